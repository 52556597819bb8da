//! A remote client counts while leaders are killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use raft_examples::kv::state_machine::{Command, Kv, Outcome, Query};
use raft_transport::RemoteClient;

use crate::client::eventually;
use crate::cluster::Cluster;

/// How long a write may take while leaders are killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sets a key of its own to 1, 2, 3, ...: each has to find its predecessor. One that is applied twice, or late, would be
/// found by the next.
async fn count(kv: RemoteClient<Kv>, key: String, stop: Arc<AtomicBool>, counted: Arc<AtomicU64>) -> u64 {
    let mut last = 0;
    while !stop.load(Ordering::Relaxed) {
        let next = last + 1;
        let outcome = kv.write(Command::Put { key: key.clone(), value: next.to_string() }).await;
        let expected = (last > 0).then(|| last.to_string());
        match outcome.expect("it is sent again until it is answered") {
            Outcome::Done { previous, .. } => assert_eq!(previous, expected, "{key} was to become {next}"),
            other => panic!("a put does not compare anything: {other:?}"),
        }
        last = next;
        counted.fetch_add(1, Ordering::Relaxed);
    }
    let value = kv.read(Query::Get { key: key.clone() }).await.expect("read");
    assert_eq!(value, Some(last.to_string()), "{key}");
    last
}

/// On threads of its own, with a runtime that actix knows nothing of.
fn count_all(addresses: Vec<String>, stop: &Arc<AtomicBool>, counted: &Arc<AtomicU64>) -> Vec<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let kv = RemoteClient::<Kv>::connect("test", addresses).await.expect("connected").with_timeout(PATIENCE);
        let tasks: Vec<_> = (0..16)
            .map(|task| count(kv.clone(), format!("count-{task}"), Arc::clone(stop), Arc::clone(counted)))
            .map(tokio::spawn)
            .collect();
        let mut counts = Vec::new();
        for task in tasks {
            counts.push(task.await.expect("it counts on"));
        }
        counts
    })
}

#[test]
fn a_remote_client_counts_exactly_while_leaders_are_killed() {
    let mut cluster = Cluster::start(3);
    let addresses = (0..3).map(|at| cluster.raft_address(at)).collect();
    let (stop, counted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let client = {
        let (stop, counted) = (Arc::clone(&stop), Arc::clone(&counted));
        std::thread::spawn(move || count_all(addresses, &stop, &counted))
    };
    let progress = || {
        let before = counted.load(Ordering::Relaxed);
        eventually("counting goes on", || {
            assert!(!client.is_finished(), "the client failed");
            (counted.load(Ordering::Relaxed) >= before + 100).then_some(())
        });
    };
    for _ in 0..3 {
        progress();
        let leader = cluster.settled();
        cluster.nodes[leader].kill();
        progress();
        cluster.nodes[leader].restart();
    }
    // All of them at once: what was answered is on disk, and what was not is asked again.
    progress();
    cluster.nodes.iter_mut().for_each(|node| node.kill());
    cluster.nodes.iter_mut().for_each(|node| node.restart());
    progress();
    stop.store(true, Ordering::Relaxed);
    let counts = client.join().expect("all counted right");
    println!("{} steps, each exactly once", counts.iter().sum::<u64>());
}
