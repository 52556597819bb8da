//! Founding a cluster when not everything goes smoothly.

mod counter;

use std::path::Path;
use std::time::Duration;

use counter::Counter;
use raft_actor::transport::LocalNetwork;
use raft_actor::{RaftHandle, RaftHost, Settings, StartError};

async fn start(
    network: &LocalNetwork,
    place: &Path,
    node: u64,
    peers: std::ops::RangeInclusive<u64>,
) -> Result<RaftHandle<Counter>, StartError> {
    RaftHost::builder()
        .node(node)
        .data_dir(place.join(node.to_string()))
        .log_segment_bytes(64 << 10)
        .transport(network.transport(node))
        .peers(peers.map(|peer| (peer, format!("local:{peer}"))))
        .settings(Settings { election_timeout_ms_min: 100, heartbeat_ms: 20, ..Settings::default() })
        .start(Counter::default())
        .await
}

/// Who confirmed it before is asked again: nothing of that was on the disk.
#[tokio::test]
async fn a_founder_that_restarts_before_all_have_confirmed_it_still_gets_its_vote() {
    let (network, place) = (LocalNetwork::default(), tempfile::tempdir().expect("a directory"));
    let start = |node| start(&network, place.path(), node, 1..=3);
    let first = start(1).await.expect("starts");
    let second = start(2).await.expect("starts");
    first.shutdown().await;
    let first = start(1).await.expect("starts again");
    let third = start(3).await.expect("starts");
    // All three are needed to see that the first has its vote: without the third the first two must agree.
    third.shutdown().await;
    let written = first.with_timeout(Duration::from_secs(30)).write(1).await;
    assert_eq!(written.expect("two of three have a vote"), 1);
    first.shutdown().await;
    second.shutdown().await;
}

/// The founding entry would name other members than the identity, and than the other founders' does.
#[tokio::test]
async fn a_founder_is_not_started_with_other_peers_before_it_has_its_vote() {
    let (network, place) = (LocalNetwork::default(), tempfile::tempdir().expect("a directory"));
    let host = start(&network, place.path(), 1, 1..=3).await.expect("starts");
    host.shutdown().await;
    let error = start(&network, place.path(), 1, 1..=2).await.expect_err("it was told of three");
    assert!(matches!(error, StartError::OtherFounders { .. }), "{error}");
    let host = start(&network, place.path(), 1, 1..=3).await.expect("starts with the same list");
    host.shutdown().await;
}
