//! What becomes of the callers of a leader that was cut off and replaced.

mod counter;

use std::time::Duration;

use counter::Counter;
use raft_actor::{LocalCluster, QueueLimits, WriteError};

/// Its successor's log is shorter, so the positions of what was lost may not be reached again for a long time.
#[tokio::test]
async fn a_deposed_leader_tells_its_callers_and_has_room_for_new_ones() {
    const ROOM: u64 = 64;
    let limits = QueueLimits { requests_max: ROOM, ..QueueLimits::default() };
    let cluster =
        LocalCluster::<Counter>::builder(3).queue_limits(limits).start(Counter::default).await.expect("starts");
    let leader = cluster.leader().await;
    let id = leader.status().node_id;
    leader.write(1).await.expect("a majority runs");
    cluster.network().isolate(id);
    let patient = leader.with_timeout(Duration::from_secs(3600));
    let lost: Vec<_> = (0..ROOM).map(|_| patient.write(1000)).collect();
    let other = cluster.running().find(|node| node.status().node_id != id).expect("two others");
    other.with_timeout(Duration::from_secs(30)).write(1).await.expect("two of three elect a leader");
    cluster.network().rejoin(id);
    for write in lost {
        #[expect(clippy::disallowed_methods, reason = "this test runs in real time")]
        let told = tokio::time::timeout(Duration::from_secs(60), write).await;
        match told.expect("long before the deadline, as soon as the successor's log has come over") {
            Err(error) => assert!(!error.maybe_applied(), "{error}"),
            Ok(sum) => panic!("nobody but the cut off leader had it, and yet the sum is {sum}"),
        }
    }
    let written = leader.with_timeout(Duration::from_secs(30)).write(1).await;
    assert!(!matches!(written, Err(WriteError::Overloaded { .. })), "the room came back");
    assert_eq!(written.expect("it forwards"), 3);
    cluster.shutdown().await;
}
