//! A rolling restart: one node after the other is asked to stop and started again, and no client's write fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use crate::client::{Client, NoAnswer, eventually};
use crate::cluster::Cluster;

/// A write is answered by the first node that takes it. A node that stops says so before it takes anything, or its
/// closed socket does; as every HTTP client does with a request that may be repeated, this one asks another node then.
/// Everything else that is no success is a failed write: no answer in time, no leader, an outcome that is unknown.
fn write(clients: &[Client], first: usize, key: &str) -> usize {
    eventually("some node takes the write", || {
        for at in (0..clients.len()).map(|turn| (first + turn) % clients.len()) {
            match clients[at].put(key, key, 5_000) {
                Ok(answer) if answer.status == 200 => return Some(at),
                Ok(answer) => {
                    assert_eq!(answer.status, 503, "{answer:?}");
                    let was = answer.json();
                    assert_eq!(was["error"], json!("shutting_down"), "a write failed: {answer:?}");
                    assert!(!answer.maybe_applied(), "a node that stops takes nothing it cannot answer: {answer:?}");
                }
                Err(NoAnswer::NotSent | NoAnswer::Unknown) => {}
            }
        }
        None
    })
}

/// Clients that use any node.
struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(clients: &[Client], writers: usize) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..writers).map(|writer| {
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            let clients = clients.to_vec();
            std::thread::spawn(move || {
                let mut keys = Vec::new();
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("r{writer}-{turn}");
                    write(&clients, writer + turn, &key);
                    written.fetch_add(1, Ordering::Relaxed);
                    keys.push(key);
                }
                keys
            })
        });
        Self { threads: threads.collect(), stop, written }
    }

    /// Waits until some more writes were acknowledged.
    fn progress(&self) {
        let before = self.written.load(Ordering::Relaxed);
        eventually("writes go on", || (self.written.load(Ordering::Relaxed) >= before + 20).then_some(()));
    }

    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().expect("no write failed")).collect()
    }
}

#[test]
fn a_rolling_restart_under_load_shows_no_failed_write() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster.clients, 4);
    load.progress();
    for round in 0..2 {
        for at in 0..3 {
            // The leader's turn comes, too; in the second round it is asked to be the one whose turn it is.
            let leader = cluster.settled();
            if round == 1 && leader != at {
                let wish = json!({ "to": at + 1 }).to_string();
                let answer = cluster.clients[(at + 1) % 3].send("POST", "/raft/transfer", wish.as_bytes());
                let answer = answer.expect("an answer");
                assert_eq!((answer.status, &answer.json()["leader_id"]), (200, &json!(at + 1)), "{answer:?}");
            }
            let status = cluster.nodes[at].terminate();
            assert!(status.success(), "{status}: {}", cluster.nodes[at].printed());
            load.progress();
            cluster.nodes[at].restart();
            // Only a node that follows again is one that the next may leave alone.
            eventually("the node follows again", || {
                let status = cluster.clients[at].status().ok()?;
                let leader = cluster.clients[usize::try_from(status["leader_id"].as_u64()? - 1).ok()?].status().ok()?;
                let matched = leader["peers"][(at + 1).to_string()]["match_index"].as_u64()?;
                (matched > 0 && matched + 200 >= leader["last_log_index"].as_u64()?).then_some(())
            });
            load.progress();
        }
    }
    let written = load.end();
    println!("{} writes were acknowledged, none failed", written.len());
    for key in &written {
        let read = cluster.clients[0].get(key, 5_000).map(|answer| answer.text);
        assert_eq!(read.as_deref(), Ok(key.as_str()), "{key}");
    }
}
