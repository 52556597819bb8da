//! The first command of the README.

use tempfile::TempDir;

use crate::client::{Client, eventually};
use crate::cluster::{Process, free_ports};

fn args(dir: &TempDir, nodes: usize) -> (Vec<String>, Vec<Client>) {
    // A block of neighbouring ports: the base is free, and if one behind it is not, the caller tries again.
    let (http, raft) = (free_ports(1)[0], free_ports(1)[0]);
    let args = format!(
        "dev --nodes {nodes} --http-base {http} --raft-base {raft} --election-timeout-ms 300 --heartbeat-ms 30"
    );
    let mut args: Vec<String> = args.split(' ').map(str::to_owned).collect();
    args.extend(["--data-dir".to_owned(), dir.path().join("data").display().to_string()]);
    let ports = (0..nodes).map(|at| usize::from(http) + at);
    (args, ports.map(|port| Client::new(&format!("http://127.0.0.1:{port}"))).collect())
}

/// Starts `raft-kv dev`, on other ports if somebody has these.
pub(crate) fn start(dir: &TempDir, nodes: usize) -> (Process, Vec<Client>) {
    eventually("raft-kv dev serves", || {
        let (args, clients) = args(dir, nodes);
        let mut process = Process::start(args, &dir.path().join("dev.txt"));
        let serves = eventually("it serves, or ends because of a port", || {
            let leads = |client: &Client| client.status().is_ok_and(|status| status["leader_id"].is_u64());
            if process.has_exited().is_some() { Some(false) } else { clients.iter().all(leads).then_some(true) }
        });
        assert!(serves || process.printed().contains("in use"), "{}", process.printed());
        serves.then_some((process, clients))
    })
}

#[test]
fn dev_serves_through_every_node_and_keeps_its_data() {
    let dir = TempDir::new().expect("a temporary directory");
    let (mut process, nodes) = start(&dir, 3);
    let put = eventually("a write is accepted", || nodes[0].put("x", "3", 5000).ok().filter(|put| put.status == 200));
    assert!(put.json()["index"].is_u64() && put.json()["previous"].is_null(), "{put:?}");
    assert_eq!(nodes[2].get("x", 5000).expect("an answer").text, "3");
    let printed = process.printed();
    assert!(printed.contains("http://127.0.0.1:") && printed.contains("leads"), "{printed}");

    assert!(process.terminate().success(), "{}", process.printed());
    process.restart();
    let value = eventually("it serves again", || nodes[1].get("x", 5000).ok().filter(|get| get.status == 200));
    assert_eq!(value.text, "3");
}

#[test]
fn dev_refuses_another_number_of_nodes_over_the_same_data() {
    let dir = TempDir::new().expect("a temporary directory");
    let (mut process, _) = start(&dir, 1);
    assert!(process.terminate().success());
    let (args, _) = args(&dir, 3);
    let mut process = Process::start(args, &dir.path().join("dev.txt"));
    assert!(!process.exited().success());
    assert!(process.printed().contains("--nodes 1"), "{}", process.printed());
}
