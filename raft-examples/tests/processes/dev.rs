//! The first command of the README.

use tempfile::TempDir;

use crate::client::{Client, eventually};
use crate::cluster::{Ports, Process};

fn args(dir: &TempDir, ports: &Ports, nodes: usize) -> Vec<String> {
    let mut args: Vec<String> = ["dev"].map(str::to_owned).into();
    let mut option = |name: &str, value: String| args.extend([name.to_owned(), value]);
    option("--nodes", nodes.to_string());
    option("--http-base", ports.port(0).to_string());
    option("--raft-base", ports.port(5).to_string());
    option("--data-dir", dir.path().join("data").display().to_string());
    option("--election-timeout-ms", "300".into());
    option("--heartbeat-ms", "30".into());
    args
}

/// Starts `raft-kv dev` with at most four nodes, and waits until they know a leader.
pub(crate) fn start(dir: &TempDir, ports: &Ports, nodes: usize) -> (Process, Vec<Client>) {
    let mut process = Process::start(args(dir, ports, nodes), &dir.path().join("dev.txt"));
    let clients: Vec<Client> = (0..nodes).map(|at| Client::new(&format!("http://{}", ports.http(at)))).collect();
    eventually("it serves", || {
        assert!(process.is_running(), "{}", process.printed());
        let leads = |client: &Client| client.status().is_ok_and(|status| status["leader_id"].is_u64());
        clients.iter().all(leads).then_some(())
    });
    (process, clients)
}

#[test]
fn dev_serves_through_every_node_and_keeps_its_data() {
    let (dir, ports) = (TempDir::new().expect("a temporary directory"), Ports::reserve());
    let (mut process, nodes) = start(&dir, &ports, 3);
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
    let (dir, ports) = (TempDir::new().expect("a temporary directory"), Ports::reserve());
    let (mut process, _) = start(&dir, &ports, 1);
    assert!(process.terminate().success());
    let mut process = Process::start(args(&dir, &ports, 3), &dir.path().join("dev.txt"));
    assert!(!process.exited().success());
    assert!(process.printed().contains("--nodes 1"), "{}", process.printed());
}

#[test]
fn dev_finds_its_nodes_again_on_other_ports() {
    let (dir, before) = (TempDir::new().expect("a temporary directory"), Ports::reserve());
    let (mut process, nodes) = start(&dir, &before, 3);
    assert_eq!(nodes[1].put("x", "3", 20_000).expect("an answer").status, 200);
    assert!(process.terminate().success());
    let after = Ports::reserve();
    let (_process, nodes) = start(&dir, &after, 3);
    assert_eq!(nodes[0].get("x", 20_000).expect("an answer").text, "3");
}
