//! Directories that are gone, taken, somebody else's, or damaged.

use std::fs;
use std::path::Path;

use crate::client::eventually;
use crate::cluster::{Cluster, Ports, Process};

/// Replaces the value of an option.
fn with(mut args: Vec<String>, option: &str, value: &str) -> Vec<String> {
    let at = args.iter().position(|arg| arg == option).expect("the option is there");
    args[at + 1] = value.to_owned();
    args
}

/// Starts a process that is expected to end by itself, and gives what it printed.
#[track_caller]
fn refused(cluster: &Cluster, args: Vec<String>) -> String {
    let mut process = Process::start(args, &cluster.dir.path().join("refused.txt"));
    let status = process.exited();
    let printed = process.printed();
    assert!(!status.success(), "expected a refusal: {printed}");
    fs::remove_file(cluster.dir.path().join("refused.txt")).expect("it printed something");
    printed
}

#[test]
fn a_wiped_directory_under_a_known_id_gets_no_vote_and_says_so() {
    let mut cluster = Cluster::start(3);
    cluster.write_until_accepted("x", "3");
    cluster.settled();
    let (keeper, wiped, other) = (0, 1, 2);
    cluster.nodes[wiped].kill();
    fs::remove_dir_all(cluster.data_dir(wiped)).expect("the directory of the killed node");
    // Alone with the keeper, the wiped node would be the second vote of three.
    cluster.nodes[other].kill();
    cluster.nodes[wiped].restart();
    eventually("the wiped node says so", || cluster.nodes[wiped].printed().contains("wiped").then_some(()));

    let reaches_a_majority = (0..4).any(|attempt| {
        let answer = cluster.clients[keeper].put(&format!("wiped-{attempt}"), "x", 700).expect("an answer");
        answer.status != 503
    });
    assert!(!reaches_a_majority, "a wiped node was counted");
    let role = cluster.clients[wiped].status().expect("an answer")["role"].clone();
    assert!(role != "leader" && role != "candidate", "{role}");

    cluster.nodes[other].restart();
    cluster.write_until_accepted("x", "4");
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let mut cluster = Cluster::start(1);
    let ports = Ports::reserve();
    let args = with(cluster.args(0), "--listen", &ports.raft(0));
    let printed = refused(&cluster, with(args, "--http", &ports.http(0)));
    assert!(printed.contains("in use by another process"), "{printed}");
    assert!(cluster.nodes[0].is_running());
    cluster.write_until_accepted("x", "3");
}

#[test]
fn a_port_in_use_is_said_before_anything_is_touched() {
    let cluster = Cluster::start(1);
    let ports = Ports::reserve();
    let fresh = with(cluster.args(0), "--data-dir", &cluster.dir.path().join("fresh").display().to_string());
    let taken_raft = with(fresh.clone(), "--http", &ports.http(0));
    let taken_http = with(fresh, "--listen", &ports.raft(0));
    for (args, option) in [(taken_raft, "--listen"), (taken_http, "--http")] {
        let printed = refused(&cluster, args);
        assert!(printed.contains("in use") && printed.contains(option), "{printed}");
    }
    assert!(!cluster.dir.path().join("fresh").exists());
}

#[test]
fn a_directory_of_another_node_or_cluster_is_refused() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].terminate();
    let printed = refused(&cluster, with(cluster.args(0), "--cluster", "other"));
    assert!(printed.contains("belongs to"), "{printed}");
    let id = with(cluster.args(0), "--id", "2");
    let peer = id.iter().find(|arg| arg.starts_with("1=")).expect("a peer").replacen("1=", "2=", 1);
    let printed = refused(&cluster, with(id, "--peer", &peer));
    assert!(printed.contains("belongs to"), "{printed}");
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let cluster = Cluster::start(1);
    let file = cluster.dir.path().join("file");
    fs::write(&file, "not a directory").expect("the temporary directory");
    let ports = Ports::reserve();
    let args = with(cluster.args(0), "--data-dir", &file.display().to_string());
    let args = with(with(args, "--listen", &ports.raft(0)), "--http", &ports.http(0));
    let printed = refused(&cluster, args);
    assert!(printed.contains(&file.display().to_string()), "{printed}");
}

#[test]
fn damage_in_the_middle_of_the_log_is_refused_with_file_and_advice() {
    let mut cluster = Cluster::start(1);
    let value = "damage-me-".repeat(100);
    for turn in 0..20 {
        cluster.write_until_accepted(&format!("k{turn}"), &value);
    }
    cluster.nodes[0].terminate();
    let file = flip_a_byte_within(&cluster.data_dir(0), value.as_bytes());
    let printed = refused(&cluster, cluster.args(0));
    assert!(printed.contains("damaged") && printed.contains(&file), "{printed}");
}

/// Flips a byte of the first place below `dir` where `pattern` stands; gives the name of the file.
fn flip_a_byte_within(dir: &Path, pattern: &[u8]) -> String {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).expect("a file");
            if let Some(at) = bytes.windows(pattern.len()).position(|window| window == pattern) {
                bytes[at + pattern.len() / 2] ^= 1;
                fs::write(&path, bytes).expect("a file");
                return path.file_name().expect("a name").to_string_lossy().into_owned();
            }
        }
    }
    panic!("the value stands nowhere below {}", dir.display());
}
