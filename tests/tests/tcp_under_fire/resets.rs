//! Connections that break, mostly in the middle of a frame.

use std::sync::atomic::{AtomicBool, Ordering};

use raft_tests::proxy::Weather;
use raft_transport::Count;

use crate::cluster::{CALM, Cluster, eventually, options};

/// Cuts at every kind of place: within the length, the head, the header and the entries of a frame.
#[tokio::test]
async fn connections_cut_in_the_middle_of_frames_under_load_lose_nothing() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let stop = AtomicBool::new(false);
    let fire = async {
        for round in 0..12_u64 {
            let before = cluster.mesh.counts().cuts;
            // Never the same place for long; after the handshake, so that something gets through in between.
            cluster.mesh.set(|_, _| Weather::cut(2 + round % 5, [1, 3, 4, 7, 30, 200, 5_000][(round % 7) as usize]));
            let claim = format!("connections are cut, round {round}");
            eventually(&claim, async || (cluster.mesh.counts().cuts >= before + 10).then_some(())).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(fire, cluster.load(8_000, &stop));
    cluster.still(reign);
    assert!(cluster.acknowledged().await > 0, "nothing was acknowledged under fire");
    let cuts = cluster.mesh.counts().cuts;
    assert!(cluster.sum(Count::Disconnected) >= cuts / 2, "{cuts} cuts, some of them during a handshake");
    println!("{cuts} connections cut in mid-frame, {} lines acknowledged", cluster.acknowledged().await);
    cluster.check().await;
}

#[tokio::test]
async fn handshakes_cut_in_the_middle_are_counted_and_tried_again() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let [cut_off, friend] = Cluster::followers(reign.leader);
    let line = cluster.mesh.link(reign.leader, cut_off);
    let failed = cluster.nodes[reign.leader].count(Count::ConnectFailed);
    for bytes in [1, 4, 5, 20, 1 << 20] {
        let cut_off_before = cluster.nodes[cut_off].count(Count::HandshakeCutOff);
        line.set(Weather::cut(0, bytes));
        line.reset();
        cluster.counted(cut_off, Count::HandshakeCutOff, cut_off_before, 2).await;
    }
    cluster.commits(friend, 20, 100).await;
    assert!(cluster.nodes[reign.leader].count(Count::ConnectFailed) >= failed + 10);
    cluster.still(reign);
    cluster.check().await;
}

#[tokio::test]
async fn all_lines_reset_at_once_again_and_again_elect_nobody() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let stop = AtomicBool::new(false);
    let fire = async {
        for round in 1..=30 {
            let disconnected = cluster.sum(Count::Disconnected);
            cluster.mesh.links().for_each(|(_, _, line)| line.reset());
            let claim = format!("everybody notices, round {round}");
            eventually(&claim, async || (cluster.sum(Count::Disconnected) >= disconnected + 6).then_some(())).await;
            cluster.connected().await;
            cluster.acknowledged_more().await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(fire, cluster.load(1000, &stop));
    cluster.still(reign);
    assert!(cluster.mesh.counts().resets >= 6 * 30);
    cluster.check().await;
}
