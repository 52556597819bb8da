//! All members are replaced by others over HTTP, while clients write.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, eventually};
use crate::cluster::Cluster;

/// What one writer has done.
#[derive(Default)]
struct Written {
    keys: Vec<String>,
    longest: Duration,
}

/// Clients that use any of the nodes that they are told to use.
struct Load {
    /// `None`: stop.
    nodes: Arc<Mutex<Option<Vec<Client>>>>,
    written: Vec<Arc<Mutex<Written>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(clients: &[Client], writers: usize) -> Self {
        let nodes = Arc::new(Mutex::new(Some(clients.to_vec())));
        let written: Vec<Arc<Mutex<Written>>> = (0..writers).map(|_| Arc::default()).collect();
        let threads = written.iter().cloned().enumerate().map(|(writer, written)| {
            let nodes = Arc::clone(&nodes);
            std::thread::spawn(move || {
                for turn in 0.. {
                    let Some(clients) = nodes.lock().expect("no writer panicked").clone() else { break };
                    let key = format!("m{writer}-{turn}");
                    let began = Instant::now();
                    write(&clients, writer + turn, &key);
                    let mut written = written.lock().expect("this writer did not panic");
                    written.keys.push(key);
                    written.longest = written.longest.max(began.elapsed());
                }
            })
        });
        Self { threads: threads.collect(), nodes, written }
    }

    fn count(&self, writer: usize) -> usize {
        self.written[writer].lock().expect("no writer panicked").keys.len()
    }

    /// Waits until every writer has written some more.
    fn progress(&self) {
        let before: Vec<usize> = (0..self.written.len()).map(|writer| self.count(writer)).collect();
        eventually("every writer's writes go on", || {
            assert!(self.threads.iter().all(|thread| !thread.is_finished()), "a write failed");
            let has_written = |(writer, before): (usize, &usize)| self.count(writer) >= before + 5;
            before.iter().enumerate().all(has_written).then_some(())
        });
    }

    /// Uses these nodes from now on; when this returns, nobody waits for any other.
    fn move_to(&self, clients: &[Client]) {
        *self.nodes.lock().expect("no writer panicked") = Some(clients.to_vec());
        self.progress();
    }

    fn end(self) -> Written {
        *self.nodes.lock().expect("no writer panicked") = None;
        self.threads.into_iter().for_each(|thread| thread.join().expect("no write failed"));
        let mut all = Written::default();
        for written in self.written {
            let written = std::mem::take(&mut *written.lock().expect("no writer panicked"));
            all.keys.extend(written.keys);
            all.longest = all.longest.max(written.longest);
        }
        all
    }
}

/// A write that its node certainly has not carried out goes to the next. Any other outcome but success is a failure.
fn write(clients: &[Client], first: usize, key: &str) {
    eventually("some node takes the write", || {
        let answer = clients[first % clients.len()].put(key, key, 1_000);
        let answers = std::iter::once(answer)
            .chain((1..clients.len()).map(|next| clients[(first + next) % clients.len()].put(key, key, 1_000)));
        for answer in answers {
            let answer = answer.expect("no node is stopped that is still used");
            if answer.status == 200 {
                return Some(());
            }
            assert!(answer.status == 503 && !answer.maybe_applied(), "the write failed: {answer:?}");
        }
        None
    });
}

fn change(node: &Client, wanted: Value) {
    let answer = node.send("POST", "/raft/membership?timeout_ms=60000", wanted.to_string().as_bytes());
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, &answer.json()["voters"]), (200, &wanted["voters"]), "{answer:?}");
}

#[test]
fn all_members_are_replaced_while_clients_write_and_no_write_fails() {
    let mut cluster = Cluster::start_with(3, &["--snapshot-every", "100"]);
    let load = Load::start(&cluster.clients, 8);
    eventually("the founders let go of the beginning of their logs", || {
        let lacks_the_beginning =
            |client: &Client| client.status().ok()?["first_log_index"].as_u64().filter(|at| *at > 1);
        cluster.clients.iter().all(|client| lacks_the_beginning(client).is_some()).then_some(())
    });
    let addresses = cluster.join(3);
    let peers = json!({ "4": addresses[0], "5": addresses[1], "6": addresses[2] });
    change(&cluster.clients[1], json!({ "voters": [1, 2, 3, 4, 5, 6], "peers": peers }));
    // Clients are to use the new ones before the old ones, the leader among them, lose their votes.
    let new = &cluster.clients[3..];
    load.move_to(new);
    change(&new[0], json!({ "voters": [4, 5, 6] }));
    load.progress();
    for node in &mut cluster.nodes[..3] {
        let status = node.terminate();
        assert!(status.success(), "{status}: {}", node.printed());
    }
    load.progress();
    for client in new {
        let status = client.status().expect("an answer");
        assert_eq!((&status["voters"], &status["learners"]), (&json!([4, 5, 6]), &json!([])), "{status}");
        // They were started without --snapshot-every: what snapshot they have, they were sent.
        let (snapshot, first) = (status["snapshot_index"].as_u64(), status["first_log_index"].as_u64());
        assert!(snapshot > Some(0) && first > Some(1), "it got the log and no snapshot: {status}");
    }
    let Written { keys, longest } = load.end();
    println!("{} writes were acknowledged, none failed; the longest took {longest:?}", keys.len());
    for (at, key) in keys.iter().enumerate() {
        let read = new[at % 3].get(key, 5_000).map(|answer| answer.text);
        assert_eq!(read.as_deref(), Ok(key.as_str()), "{key}");
    }
}
