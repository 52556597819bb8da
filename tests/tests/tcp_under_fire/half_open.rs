//! Lines that carry one way only, and whose sender is told nothing.

use raft_tests::proxy::{Flow, Weather};
use raft_transport::Count;

use crate::cluster::{CALM, Cluster, eventually, options};

/// As if the follower's machine had lost its power and come back: the leader's kernel still takes what it is given.
#[tokio::test]
async fn a_leader_that_writes_into_a_half_open_line_serves_the_others_and_mends_it() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let [cut_off, friend] = Cluster::followers(reign.leader);
    let line = cluster.mesh.link(reign.leader, cut_off);
    let before = cluster.nodes[reign.leader].count(Count::Disconnected);
    line.set(Weather { there: Flow::Swallow, ..Weather::default() });

    for at in [reign.leader, friend] {
        cluster.commits(at, 100, 1000).await;
    }
    eventually("the line swallows", async || (line.counts().swallowed_there_bytes > 0).then_some(())).await;
    cluster.still(reign);
    assert_eq!(cluster.nodes[reign.leader].count(Count::Disconnected), before, "nobody could have told it");
    let behind = cluster.nodes[cut_off].status();
    assert!(behind.commit_index < cluster.nodes[reign.leader].status().commit_index, "{behind:?}");

    // TCP never fills a gap: now it breaks, is noticed, and made anew.
    line.set(Weather::default());
    cluster.counted(reign.leader, Count::Disconnected, before, 1).await;
    cluster.still(reign);
    cluster.check().await;
}

/// The other half: what the leader sends arrives, and its peer's words do not come back.
#[tokio::test]
async fn a_handshake_whose_answer_is_lost_is_tried_again_and_troubles_nobody_else() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let [deaf_to, friend] = Cluster::followers(reign.leader);
    let line = cluster.mesh.link(reign.leader, deaf_to);
    let failed = cluster.nodes[reign.leader].count(Count::ConnectFailed);
    let admitted = cluster.nodes[deaf_to].count(Count::Admitted);
    line.set(Weather { back: Flow::Swallow, ..Weather::default() });
    line.reset();

    // The peer lets it in again and again, and keeps one connection of it.
    cluster.counted(reign.leader, Count::ConnectFailed, failed, 3).await;
    cluster.counted(deaf_to, Count::Admitted, admitted, 3).await;
    cluster.commits(friend, 50, 100).await;
    cluster.still(reign);
    line.set(Weather::default());
    cluster.check().await;
}

/// A peer whose end of the connection is gone, and whose good-bye was lost: an open connection to nobody.
#[tokio::test]
async fn who_comes_back_over_a_new_connection_takes_the_place_of_the_old_one() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let [follower, friend] = Cluster::followers(reign.leader);
    let line = cluster.mesh.link(reign.leader, follower);
    let replaced = cluster.nodes[follower].count(Count::ClosedReplaced);
    // The leader learns that the connection broke; the follower does not.
    line.abandon();
    cluster.counted(follower, Count::ClosedReplaced, replaced, 1).await;
    cluster.commits(friend, 50, 100).await;
    cluster.still(reign);
    line.reset();
    cluster.check().await;
}
