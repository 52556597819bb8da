//! A bit flips in the log of a server: its peers give back what it has lost, on real files.

mod counter;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use counter::Counter;
use raft_actor::log_storage::LogError;
use raft_actor::{LocalCluster, NodeId, StartError, StopReason};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many that what stands behind the first records tells term and vote once more.
const WRITES: u64 = 4_000;

fn segments(data: &Path, node: u64) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join(format!("{node}/wal"))).expect("the log is there");
    let mut found: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("segment-")));
    found.sort();
    found
}

/// Flips a bit of this byte of a server's first segment.
fn flip(data: &Path, node: u64, at: usize) {
    let path = &segments(data, node)[0];
    let mut bytes = fs::read(path).expect("it can be read");
    bytes[at] ^= 4;
    fs::write(path, bytes).expect("it can be written");
}

async fn filled(data: &Path, nodes: u64) -> LocalCluster<Counter> {
    let cluster = LocalCluster::<Counter>::builder(nodes).data_dir(data).start(Counter::default).await.expect("starts");
    fill(&cluster).await;
    cluster
}

async fn fill(cluster: &LocalCluster<Counter>) {
    let leader = cluster.leader().await;
    // As many batches of the log.
    for _ in 0..WRITES / 100 {
        let answers = leader.write_many((0..100).map(|_| 1)).await;
        assert!(answers.iter().all(Result::is_ok));
    }
}

/// Waits until a server knows all that was written, and has everything that it ever had.
async fn is_whole(cluster: &LocalCluster<Counter>, node: u64) {
    let mut watch = cluster.node(node).watch();
    let is_back = watch.wait_for(|status| !status.damaged && status.last_applied.get() > WRITES).await;
    is_back.expect("it runs");
}

/// Whoever it is, leader or not: it comes back without anybody doing anything, and has everything.
#[tokio::test]
async fn a_server_with_a_flipped_bit_in_its_log_comes_back_by_itself() {
    let place = tempfile::tempdir().expect("a directory");
    let mut cluster = filled(place.path(), 3).await;
    for node in 1..=3 {
        cluster.stop(node).await;
        flip(place.path(), node, 9_000);
        cluster.restart(node).await.expect("it is repaired by the others");
        is_whole(&cluster, node).await;
        let state = cluster.node(node).with_timeout(PATIENCE).read(()).await.expect("it is served");
        assert_eq!(state, WRITES + node - 1);
        // Its copy counts again: one of the others is not needed.
        cluster.stop(node % 3 + 1).await;
        let written = cluster.node(node).with_timeout(PATIENCE).write(1).await.expect("two are a majority");
        assert_eq!(written, WRITES + node);
        cluster.restart(node % 3 + 1).await.expect("it starts");
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_alone_with_a_damaged_log_refuses_to_start() {
    let place = tempfile::tempdir().expect("a directory");
    let mut cluster = filled(place.path(), 1).await;
    cluster.stop(1).await;
    flip(place.path(), 1, 9_000);
    let Err(StartError::Log(LogError::Damaged { path, advice, .. })) = cluster.restart(1).await else {
        panic!("nobody can repair it")
    };
    assert_eq!(path, segments(place.path(), 1)[0]);
    assert!(advice.contains("no other voter"), "{advice}");
    flip(place.path(), 1, 9_000);
    cluster.restart(1).await.expect("nothing was changed");
    assert_eq!(cluster.node(1).with_timeout(PATIENCE).read(()).await.expect("it decides alone"), WRITES);
    cluster.shutdown().await;
}

/// It serves on until somebody needs what it cannot read any more. Then it says so, and makes room for one who can.
#[tokio::test]
async fn a_leader_that_meets_damage_stops_and_says_what_to_do_and_is_repaired_by_its_successor() {
    let place = tempfile::tempdir().expect("a directory");
    let builder = LocalCluster::<Counter>::builder(3).data_dir(place.path());
    let mut cluster = builder.start(Counter::default).await.expect("starts");
    cluster.leader().await;
    cluster.stop(3).await;
    fill(&cluster).await;
    // From here on it has nothing in its memory.
    cluster.stop(1).await;
    cluster.restart(1).await.expect("it starts");
    is_whole(&cluster, 1).await;
    while cluster.leader().await.status().node_id != 1.into() {
        // It may have to catch up first.
        drop(cluster.leader().await.with_timeout(PATIENCE).transfer_leadership(NodeId::from(1)).await);
    }
    flip(place.path(), 1, 9_000);
    assert_eq!(cluster.node(1).with_timeout(PATIENCE).write(1).await.expect("two run"), WRITES + 1, "nobody noticed");
    cluster.restart(3).await.expect("it starts");
    let reason = cluster.node(1).stopped().await;
    assert!(matches!(&reason, StopReason::Log(error) if matches!(**error, LogError::Damaged { .. })), "{reason}");
    let words = reason.to_string();
    let segment = segments(place.path(), 1)[0].display().to_string();
    assert!(words.contains(&format!("{segment} is damaged at byte ")), "{words}");
    assert!(words.contains("Start the node again"), "{words}");
    is_whole(&cluster, 3).await;
    let state = cluster.node(3).with_timeout(PATIENCE).read(()).await.expect("two are a majority");
    assert_eq!(state, WRITES + 1);
    cluster.restart(1).await.expect("it is repaired by the others");
    is_whole(&cluster, 1).await;
    let state = cluster.node(1).with_timeout(PATIENCE).read(()).await.expect("it is served");
    assert_eq!(state, WRITES + 1);
    cluster.shutdown().await;
}
