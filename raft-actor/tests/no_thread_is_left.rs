//! Clusters come and go without a trace. Alone in its file: it counts the threads of its process.

mod counter;
mod threads;

use counter::Counter;
use raft_actor::LocalCluster;
use threads::threads;

#[tokio::test]
async fn many_clusters_live_side_by_side_and_leave_no_thread_behind() {
    let clusters = futures_util::future::join_all((0..8).map(|_| LocalCluster::<Counter>::start(3))).await;
    let clusters: Vec<_> = clusters.into_iter().map(|cluster| cluster.expect("starts")).collect();
    for (add, cluster) in (1..).zip(&clusters) {
        assert_eq!(cluster.node(1).write(add).await.expect("a majority runs"), add, "they share nothing");
    }
    assert!(threads().iter().any(|name| name.starts_with("raft")), "{:?}", threads());
    for cluster in clusters {
        cluster.shutdown().await;
    }
    let ours = || -> Vec<_> {
        threads().into_iter().filter(|name| name.starts_with("raft") || name.contains("arbiter")).collect()
    };
    // A thread that was joined is on the kernel's list for a moment longer.
    let mut left = ours();
    for _ in 0..100_000 {
        if left.is_empty() {
            break;
        }
        std::thread::yield_now();
        left = ours();
    }
    assert_eq!(left, Vec::<String>::new());
}
