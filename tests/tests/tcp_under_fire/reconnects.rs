//! Thousands of reconnects: nothing leaks, nothing is lost, nobody is elected.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raft_tests::proxy::Weather;
use raft_transport::{Count, TcpOptions};

use crate::cluster::{CALM, Cluster, eventually, options};

const RECONNECTS: u64 = 2_000;
/// Something is committed after so many turns.
const TURNS_BETWEEN_COMMITS: usize = 30;

#[tokio::test]
async fn thousands_of_reconnects_under_load_leave_nothing_behind() {
    let quick = TcpOptions { reconnect_delay_max: Duration::from_millis(2), ..options() };
    let cluster = Cluster::start(CALM, quick).await;
    let reign = cluster.reign().await;
    let descriptors_before = open_descriptors();
    let connected_before = cluster.sum(Count::Connected);
    let stop = AtomicBool::new(false);
    let fire = async {
        let mut welcomed = BTreeMap::new();
        let lines = cluster.mesh.links().cycle();
        let storm = lines.take_while(|_| cluster.sum(Count::Connected) < connected_before + RECONNECTS);
        for (turn, (from, to, line)) in storm.enumerate() {
            // In turn, and only one that has been let in since.
            let heard = line.counts().back_bytes;
            if welcomed.insert((from, to), heard).is_none_or(|before| heard > before) {
                line.reset();
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
            if turn % TURNS_BETWEEN_COMMITS == 0 {
                // Where nothing gets through, however busy the machine is, somebody would have to be elected.
                cluster.acknowledged_more().await;
            }
        }
        cluster.connected().await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(fire, cluster.load(100, &stop));
    cluster.still(reign);
    let (connected, acknowledged) = (cluster.sum(Count::Connected), cluster.acknowledged().await);
    println!("{} reconnects, {acknowledged} lines acknowledged meanwhile", connected - connected_before);
    assert!(acknowledged > 0, "nothing was acknowledged in the storm");
    // Every connection that was made is accounted for at both ends.
    eventually("every connection that was let in is closed, but for the last", async || {
        let closed = cluster.sum(Count::ClosedByPeer) + cluster.sum(Count::ClosedReplaced);
        (cluster.sum(Count::Admitted) <= closed + 6).then_some(())
    })
    .await;
    // Other tests of this process come and go; a leak would be far larger.
    assert!(open_descriptors() < descriptors_before + 1_000, "descriptors are left behind");
    cluster.check().await;
}

/// All nodes lose each other at the same moment, over and over, and all come back at the same moment.
#[tokio::test]
async fn a_storm_of_refused_attempts_ends_when_the_ports_are_back() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    for round in 1..=5 {
        let failed = cluster.sum(Count::ConnectFailed);
        cluster.mesh.set(|_, _| Weather { refuse: true, ..Weather::default() });
        eventually("nobody listens", async || (cluster.mesh.counts().deaf == 6 * round).then_some(())).await;
        cluster.mesh.links().for_each(|(_, _, link)| link.reset());
        eventually("everybody tries", async || (cluster.sum(Count::ConnectFailed) >= failed + 30).then_some(())).await;
        cluster.mesh.calm();
        cluster.connected().await;
        cluster.commits(0, 5, 100).await;
    }
    cluster.still(reign);
    cluster.check().await;
}

/// Open files of this process, sockets among them; 0 where that cannot be known.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
