//! `raftctl`, as an operator uses it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::client::{Client, eventually};
use crate::cluster::{Cluster, spawn};

fn start(node: &Client, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raftctl"));
    command.args(["--node", node.base()]).args(args).stdin(Stdio::null());
    spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

fn raftctl(node: &Client, args: &[&str]) -> Output {
    start(node, args).wait_with_output().expect("a child of ours")
}

/// What it prints when all is well.
#[track_caller]
fn done(node: &Client, args: &[&str]) -> String {
    let output = raftctl(node, args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{args:?}: {out}{err}");
    out.into_owned()
}

/// The objects that it prints, one per line.
#[track_caller]
fn objects(node: &Client, args: &[&str]) -> Vec<Value> {
    let printed = done(node, &[args, &["--json"]].concat());
    printed.lines().map(|line| serde_json::from_str(line).expect("an object per line")).collect()
}

/// What it says when something is wrong.
#[track_caller]
fn refused(node: &Client, args: &[&str]) -> String {
    let output = raftctl(node, args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success() && out.is_empty(), "{args:?}: {out}{err}");
    err.into_owned()
}

fn roles(members: &[Value]) -> Vec<(u64, &str)> {
    members
        .iter()
        .map(|member| (member["id"].as_u64().expect("a number"), member["role"].as_str().expect("a word")))
        .collect()
}

#[test]
fn members_are_added_demoted_and_removed_and_leadership_moves() {
    let mut cluster = Cluster::start(3);
    cluster.settled();
    let address = cluster.join(1).remove(0);
    let [first, second, ..] = &cluster.clients[..] else { panic!("there are four") };

    let status = done(first, &["status"]);
    assert!(status.contains("node") && status.contains("1 of cluster test"), "{status}");
    let object = &objects(first, &["status"])[0];
    assert_eq!((&object["node_id"], &object["voters"]), (&json!(1), &json!([1, 2, 3])), "{object}");

    let peer = format!("4={address}");
    assert!(done(second, &["add", &peer]).contains("voters 1, 2, 3, 4"));
    let members = objects(second, &["members"]);
    assert_eq!(roles(&members), [(1, "voter"), (2, "voter"), (3, "voter"), (4, "voter")]);
    assert_eq!(members[3]["address"], json!(address));
    assert!(done(first, &["members"]).contains(&address));
    assert!(done(second, &["add", &peer, "--learner"]).contains("learners 4"));
    assert_eq!(roles(&objects(first, &["members"]))[3], (4, "learner"));

    assert!(done(first, &["transfer", "3"]).contains("node 3 leads"));
    assert_eq!(objects(first, &["transfer", "2"])[0]["leader_id"], json!(2));
    assert!(done(second, &["snapshot"]).contains("snapshot"));
    // The leader goes, too.
    assert_eq!(objects(second, &["remove", "2"])[0]["voters"], json!([1, 3]));
    assert_eq!(objects(first, &["remove", "4"])[0]["learners"], json!([]));
    assert_eq!(roles(&objects(first, &["members"])), [(1, "voter"), (3, "voter")]);

    let nobody = refused(first, &["remove", "9"]);
    assert!(nobody.contains("node 9 is no member"), "{nobody}");
    let stranger = refused(first, &["transfer", "4"]);
    assert!(stranger.contains("raftctl members"), "{stranger}");
}

#[test]
fn whoever_watches_is_shown_what_happens_until_the_node_stops() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.settled();
    let node = cluster.clients[leader].clone();
    let mut watching = start(&node, &["watch", "--json", "--only", "status", "--only", "role_changed"]);
    let lines = BufReader::new(watching.stdout.take().expect("piped")).lines();
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("an object per line"));
    let begin = events.next().expect("the status comes first");
    assert_eq!((&begin["event"], &begin["role"]), (&json!("status"), &json!("leader")), "{begin}");

    let target = (leader + 1) % 3 + 1;
    done(&node, &["transfer", &target.to_string()]);
    let lost = events.next().expect("it does not lead any more");
    assert_eq!(
        (&lost["event"], &lost["from"], &lost["role"]),
        (&json!("role_changed"), &json!("leader"), &json!("follower"))
    );
    assert_eq!(lost["node"], json!(leader + 1));

    assert!(cluster.nodes[leader].terminate().success());
    events.for_each(drop);
    let ended = watching.wait_with_output().expect("a child of ours");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("ended the stream"), "{said}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let cluster = Cluster::start(1);
    let node = &cluster.clients[0];
    eventually("it leads", || (node.status().ok()?["role"] == "leader").then_some(()));
    let last = refused(node, &["remove", "1"]);
    assert!(last.contains("last voter"), "{last}");
    let usage = refused(node, &["add", "4"]);
    assert!(usage.contains("ID=HOST:PORT"), "{usage}");
    let slow = refused(node, &["add", "2=127.0.0.1:9", "--timeout", "300ms"]);
    assert!(slow.contains("did not catch up") && slow.contains("--timeout"), "{slow}");
    let nobody = Client::new("http://127.0.0.1:9");
    let silent = refused(&nobody, &["status"]);
    assert!(silent.contains("does not answer") && silent.contains("--node"), "{silent}");
    let nonsense = refused(&Client::new("ftp://node"), &["status"]);
    assert!(nonsense.contains("http://HOST:PORT"), "{nonsense}");
    assert!(done(node, &["--help"]).contains("Example"));
}
