//! Commands of sessions are applied once, whatever becomes of leaders and nodes.

mod counter;

use std::time::Duration;

use counter::Counter;
use raft_actor::transport::LocalNetwork;
use raft_actor::{LocalCluster, RaftHost, WriteError};

/// Every leader dies with commands under way; the sum shows whether one of them was added twice or not at all.
#[tokio::test]
async fn commands_of_a_session_are_applied_once_though_leaders_die_with_them_under_way() {
    let mut cluster = LocalCluster::<Counter>::builder(3).durable().start(Counter::default).await.expect("starts");
    let mut sum = 0;
    for round in 1..=6_u64 {
        let leader = cluster.leader().await.status().node_id;
        let survivor = cluster.ids().into_iter().find(|id| *id != leader).expect("there are three");
        let session = cluster.node(survivor).with_timeout(Duration::from_secs(30)).session();
        let pending: Vec<_> = (1..=50).map(|amount| session.write(amount * round)).collect();
        cluster.stop(leader).await;
        for write in pending {
            write.await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        sum += (1..=50).sum::<u64>() * round;
        assert_eq!(cluster.node(survivor).read(()).await.expect("two run"), sum, "round {round}");
        cluster.restart(leader).await.expect("it starts again");
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn the_same_number_of_a_client_gets_the_first_answer_through_every_node() {
    let cluster = LocalCluster::<Counter>::start(3).await.expect("starts");
    assert_eq!(cluster.node(1).write_once("till-7", 1, 5).await.expect("a majority runs"), 5);
    assert_eq!(cluster.node(1).write_once("till-7", 2, 5).await.expect("a majority runs"), 10);
    for id in cluster.ids() {
        assert_eq!(cluster.node(id).write_once("till-7", 1, 5).await.expect("a majority runs"), 5);
    }
    let stranger = cluster.node(2).write_once("till-8", 2, 5).await.expect_err("nobody knows it");
    assert!(matches!(stranger, WriteError::SessionExpired { .. }) && stranger.maybe_applied(), "{stranger}");
    let nameless = cluster.node(2).write_once("", 1, 5).await.expect_err("it has no name");
    assert!(matches!(nameless, WriteError::BadRequest { .. }), "{nameless}");
    assert_eq!(cluster.node(3).read(()).await.expect("a majority runs"), 10);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_session_outlives_a_restart_from_a_snapshot() {
    let (network, place) = (LocalNetwork::default(), tempfile::tempdir().expect("a directory"));
    let start = || {
        RaftHost::builder()
            .node(1)
            .data_dir(place.path())
            .transport(network.transport(1))
            .peers([(1, "local:1")])
            .snapshot_every(20)
            .log_tail(0)
            .start(Counter::default())
    };
    let host = start().await.expect("starts");
    assert_eq!(host.write_once("till-7", 1, 5).await.expect("it decides alone"), 5);
    for _ in 0..100 {
        host.write(1).await.expect("it decides alone");
    }
    host.snapshot().await.expect("there is something to cover");
    host.shutdown().await;
    let host = start().await.expect("starts again");
    assert_eq!(host.write_once("till-7", 1, 5).await.expect("it decides alone"), 5, "the first answer");
    assert_eq!(host.read(()).await.expect("it decides alone"), 105, "not applied again");
    assert!(host.status().first_log_index.get() > 2, "the entry itself is gone");
    host.shutdown().await;
}

#[tokio::test]
async fn a_session_that_is_not_used_is_forgotten_and_says_so() {
    let (network, place) = (LocalNetwork::default(), tempfile::tempdir().expect("a directory"));
    let host = RaftHost::builder()
        .node(1)
        .data_dir(place.path())
        .transport(network.transport(1))
        .peers([(1, "local:1")])
        .session_lifetime(Duration::from_millis(5))
        .start(Counter::default())
        .await
        .expect("starts");
    let idle = host.session();
    idle.write(1).await.expect("it decides alone");
    let mut pause = 1;
    let error = loop {
        // Log time goes on with the commands of others.
        for _ in 0..pause {
            host.session().write(0).await.expect("it decides alone");
        }
        // Each time that it is still known it is in use again.
        match host.write_once(idle.client(), 2, 1).await {
            Ok(_) => pause *= 2,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, WriteError::SessionExpired { .. }), "{error}");
    host.shutdown().await;
}
