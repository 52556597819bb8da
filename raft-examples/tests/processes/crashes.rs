//! kill -9 under load.

use std::time::Instant;

use crate::client::{Client, eventually};
use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::workload::{REGISTER, Workload, swaps_of};

const LEADER_KILLS: usize = 4;

#[test]
fn nothing_acknowledged_is_lost_when_leaders_and_then_all_nodes_are_killed_under_load() {
    let mut cluster = Cluster::start(3);
    let load = Workload::start(&cluster.clients, 4);
    load.progress();

    for kill in 1..=LEADER_KILLS {
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
