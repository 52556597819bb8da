//! kill -9 under load.

use std::time::{Duration, Instant};

use crate::client::{Asked, Client, eventually};
use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::workload::{REGISTER, Workload, swaps_of};

/// How often the leader is killed: `RAFT_KV_LEADER_KILLS=100` makes a soak test of it.
fn leader_kills() -> usize {
    std::env::var("RAFT_KV_LEADER_KILLS").map_or(4, |kills| kills.parse().expect("a number"))
}

#[test]
fn nothing_acknowledged_is_lost_when_leaders_and_then_all_nodes_are_killed_under_load() {
    let mut cluster = Cluster::start(3);
    let load = Workload::start(&cluster.clients, 4);
    load.progress();

    for kill in 1..=leader_kills() {
        let leader = cluster.settled();
        cluster.nodes[leader].kill();
        let killed = Instant::now();
        cluster.write_until_accepted(&format!("after-kill-{kill}"), "x");
        println!("kill -9 of leader {}: a write was accepted again after {:?}", leader + 1, killed.elapsed());
        load.progress();
        cluster.nodes[leader].restart();
    }

    cluster.settled();
    for node in &mut cluster.nodes {
        node.kill();
    }
    let killed = Instant::now();
    for node in &mut cluster.nodes {
        node.restart();
    }
    cluster.write_until_accepted("after-kill-of-all", "x");
    println!("kill -9 of all: a write was accepted again after {:?}", killed.elapsed());
    load.progress();

    let (oracle, seen) = load.stop();
    println!(
        "{} writes were acknowledged, {} asked for",
        oracle.acknowledged(),
        oracle.once.len() + oracle.swaps.len()
    );
    check(&cluster, &oracle, &seen);
}

/// Reads everything back through every node, and holds it against what the clients were told.
fn check(cluster: &Cluster, oracle: &Oracle, seen: &[String]) {
    std::thread::scope(|scope| {
        for client in &cluster.clients {
            scope.spawn(|| {
                for key in oracle.once.keys() {
                    oracle.check_read(key, read(client, key).as_deref());
                }
            });
        }
    });
    let register = read(&cluster.clients[0], REGISTER);
    oracle.check_swaps(swaps_of(register.as_deref()));
    for value in seen.iter().chain(&register) {
        oracle.check_seen(value);
    }
}

/// A linearizable read, again and again until it is answered.
fn read(client: &Client, key: &str) -> Option<String> {
    eventually("a linearizable read is answered", || match client.get(key, 5000) {
        Ok(answer) if answer.status == 200 => Some(Some(answer.text)),
        Ok(answer) if answer.status == 404 => Some(None),
        Ok(answer) => {
            assert_eq!(answer.status, 503, "{answer:?}");
            None
        }
        Err(_) => None,
    })
}

#[test]
fn after_sigterm_the_exit_is_clean_and_a_restart_has_the_data() {
    let mut cluster = Cluster::start(3);
    cluster.write_until_accepted("x", "3");
    for node in &mut cluster.nodes {
        let status = node.terminate();
        assert!(status.success(), "{status}: {}", node.printed());
    }
    for node in &mut cluster.nodes {
        node.restart();
    }
    for client in &cluster.clients {
        assert_eq!(read(client, "x").as_deref(), Some("3"));
    }
}

#[test]
fn a_leader_that_was_paused_answers_no_read_from_the_past() {
    let mut cluster = Cluster::start(3);
    for round in 1..=3 {
        cluster.write_until_accepted("x", &format!("before {round}"));
        let paused = cluster.settled();
        cluster.nodes[paused].pause();
        let others: Vec<Client> = (0..3).filter(|at| *at != paused).map(|at| cluster.clients[at].clone()).collect();
        eventually("the others accept a write", || {
            let put = |node: &Client| node.put("x", &format!("after {round}"), 1000).is_ok_and(|put| put.status == 200);
            others.iter().any(put).then_some(())
        });
        // Asked after the write was answered, these wait in the sockets of the paused node: when it wakes up they are
        // there before it can hear of its successor.
        let asked: Vec<Asked> = (0..4).map(|_| Asked::get(&cluster.clients[paused], "/kv/x?timeout_ms=5000")).collect();
        cluster.nodes[paused].resume();
        for asked in asked {
            let answer = asked.answer();
            let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
            assert!(head.contains(" 200 ") || head.contains(" 503 "), "{answer}");
            if head.contains(" 200 ") {
                assert_eq!(body, format!("after {round}"), "a linearizable read saw the past");
            }
        }
    }
}

#[test]
fn a_founding_that_is_killed_at_any_moment_can_be_resumed() {
    for round in 0..6 {
        let mut cluster = Cluster::spawn(3);
        // Not a wait for something to happen, but the moment of the blow: from before the first file to after the
        // first election.
        std::thread::sleep(Duration::from_millis(round * round * 20));
        let one_only = round % 2 == 1;
        for node in cluster.nodes.iter_mut().skip(usize::from(one_only) * 2) {
            node.kill();
            node.restart();
        }
        cluster.write_until_accepted("x", "3");
        cluster.settled();
    }
}
