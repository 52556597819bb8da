//! Peers that take what they are sent slowly, or not at all.

use std::time::Duration;

use raft_actor::Settings;
use raft_tests::proxy::{Flow, Weather};
use raft_transport::{Count, TcpOptions};

use crate::cluster::{CALM, Cluster, WINDOW_BYTES, eventually, options};

const LINE_BYTES: usize = 16 << 10;
/// Far more than a window and the kernel's buffers take: 16 MiB.
const LINES: usize = 1024;
/// What the heads of messages, heartbeats and replies may add to a window of entries.
const OVERHEAD_BYTES: u64 = 128 << 10;

#[tokio::test]
async fn a_follower_that_reads_slowly_slows_nobody_down_and_costs_one_window_of_memory() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let [slow, friend] = Cluster::followers(reign.leader);
    let line = cluster.mesh.link(reign.leader, slow);
    line.set(Weather { there: Flow::Trickle { bytes: 512, pause: Duration::from_millis(5) }, ..Weather::default() });

    cluster.commits(friend, LINES, LINE_BYTES).await;
    eventually("the slow one reads slowly", async || (line.counts().trickles >= 20).then_some(())).await;
    cluster.still(reign);
    let leader = &cluster.nodes[reign.leader];
    assert!(cluster.nodes[slow].status().last_log_index < leader.status().commit_index, "it was not slow");
    let peak = leader.counters.queue_bytes_peak();
    assert!(peak <= WINDOW_BYTES + OVERHEAD_BYTES, "{peak} bytes waited for one peer");
    assert_eq!(leader.count(Count::DroppedQueueFull), 0, "the window is smaller than the queue");
    println!("at most {peak} bytes waited for the slow one while {} went to others", LINES * LINE_BYTES);
    line.set(Weather::default());
    cluster.check().await;
}

/// Raft's window is larger than the transport's queue here: the queue drops, says so, and Raft tries again.
#[tokio::test]
async fn a_queue_that_is_full_drops_and_says_so() {
    let queue_bytes_max = 128 << 10;
    let large_window = Settings { inflight_appends_max: 1_000, inflight_bytes_max: 64 << 20, ..CALM };
    let cluster = Cluster::start(large_window, TcpOptions { queue_bytes_max, ..options() }).await;
    let reign = cluster.reign().await;
    let [stuck, friend] = Cluster::followers(reign.leader);
    let line = cluster.mesh.link(reign.leader, stuck);
    line.set(Weather { there: Flow::Hold, ..Weather::default() });
    let leader = &cluster.nodes[reign.leader];
    while leader.count(Count::DroppedQueueFull) == 0 {
        cluster.commits(friend, 16, LINE_BYTES).await;
    }
    cluster.still(reign);
    let peak = leader.counters.queue_bytes_peak();
    assert!(peak <= u64::try_from(queue_bytes_max).expect("small"), "{peak} bytes waited for one peer");
    line.set(Weather::default());
    cluster.check().await;
}

#[tokio::test]
async fn a_follower_that_reads_nothing_is_given_up_and_tried_again() {
    let stall_timeout = Duration::from_millis(500);
    let cluster = Cluster::start(CALM, TcpOptions { stall_timeout, ..options() }).await;
    let reign = cluster.reign().await;
    let [stuck, friend] = Cluster::followers(reign.leader);
    let line = cluster.mesh.link(reign.leader, stuck);
    let before = cluster.nodes[reign.leader].count(Count::Disconnected);
    line.set(Weather { there: Flow::Hold, ..Weather::default() });
    while cluster.nodes[reign.leader].count(Count::Disconnected) == before {
        cluster.commits(friend, 16, LINE_BYTES).await;
    }
    assert!(line.counts().held >= 1);
    cluster.still(reign);
    line.set(Weather::default());
    cluster.check().await;
}

/// Late is not lost: the whole window is under way, and nobody is elected.
#[tokio::test]
async fn long_lines_are_no_broken_lines() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    cluster.mesh.set(|_, _| Weather::both(Flow::Delay(Duration::from_millis(40))));
    for at in 0..3 {
        cluster.commits(at, 64, 1000).await;
    }
    assert!(cluster.mesh.counts().delays > 0);
    cluster.still(reign);
    cluster.check().await;
}
