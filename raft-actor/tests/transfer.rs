//! Leadership goes where it is wanted, and no request fails for its sake (dissertation 3.10).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raft_actor::{LocalCluster, NodeId, RaftHandle, TransferError};

mod counter;
use counter::Counter;

/// Writes through `raft` until told to stop, one after the other; how often. Each has to be answered with success.
async fn keep_writing(raft: RaftHandle<Counter>, stop: Arc<AtomicBool>) -> u64 {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        raft.write(1).await.expect("no write fails while leadership is handed over");
        written += 1;
    }
    written
}

struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<actix_rt::task::JoinHandle<u64>>,
}

impl Load {
    fn on(nodes: impl IntoIterator<Item = RaftHandle<Counter>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |raft| actix_rt::spawn(keep_writing(raft, Arc::clone(&stop)));
        Self { writers: nodes.into_iter().flat_map(|raft| [raft.clone(), raft]).map(writer).collect(), stop }
    }

    /// How many writes were acknowledged.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut written = 0;
        for writer in self.writers {
            written += writer.await.expect("a writer does not panic");
        }
        written
    }
}

#[actix_rt::test]
async fn leadership_goes_round_under_load_and_no_write_fails() {
    let cluster = LocalCluster::<Counter>::start(3).await.unwrap();
    cluster.leader().await;
    let load = Load::on((1..=3).map(|id| cluster.node(id).clone()));
    for round in 0..9_u64 {
        // Any node can be asked, and each gets its turn.
        let (asked, to) = (round % 2 + 1, NodeId::from(round % 3 + 1));
        let new = cluster.node(asked).transfer_leadership(to).await.unwrap();
        assert_eq!(new.leader, to);
        cluster.node(to.get()).watch().leading().await.unwrap();
        cluster.node(asked).write(1).await.unwrap();
    }
    let written = load.end().await + 9;
    assert_eq!(cluster.node(1).read(()).await.unwrap(), written);
}

#[actix_rt::test]
async fn a_leader_that_is_shut_down_hands_over_first_and_no_write_fails() {
    let cluster = LocalCluster::<Counter>::start(3).await.unwrap();
    let leader = cluster.leader().await.status().node_id;
    let term = cluster.node(leader.get()).status().term;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader.get()).collect();
    let load = Load::on(others.iter().map(|id| cluster.node(*id).clone()));
    cluster.node(leader.get()).shutdown().await;
    let new = cluster
        .node(others[0])
        .watch()
        .wait_for(|status| status.leader_id.is_some_and(|id| id != leader))
        .await
        .unwrap();
    assert_eq!(new.term, term.next(), "nobody had to notice that it was gone: {new:?}");
    for id in &others {
        cluster.node(*id).write(1).await.unwrap();
    }
    let written = load.end().await + 2;
    assert_eq!(cluster.node(others[1]).read(()).await.unwrap(), written);
}

#[actix_rt::test]
async fn who_cannot_lead_is_named_to_whoever_asked_at_any_node() {
    let cluster = LocalCluster::<Counter>::start(3).await.unwrap();
    cluster.leader().await;
    for id in 1..=3 {
        let stranger = cluster.node(id).transfer_leadership(NodeId::from(9)).await;
        assert!(matches!(stranger, Err(TransferError::NotVoter { to, .. }) if to.get() == 9), "{stranger:?}");
    }
    let alone = LocalCluster::<Counter>::start(1).await.unwrap();
    alone.leader().await;
    let nobody = alone.node(1).transfer_leadership(None).await;
    assert!(matches!(nobody, Err(TransferError::NobodyElse { .. })), "{nobody:?}");
    assert_eq!(alone.node(1).transfer_leadership(NodeId::from(1)).await.unwrap().leader.get(), 1, "it leads already");
}

#[actix_rt::test]
async fn a_target_that_is_down_leaves_the_leader_in_office_and_no_write_fails() {
    let cluster = LocalCluster::<Counter>::start(3).await.unwrap();
    let leader = cluster.leader().await.status().node_id;
    let (down, up) = match leader.get() {
        1 => (2, 3),
        2 => (3, 1),
        _ => (1, 2),
    };
    cluster.node(down).shutdown().await;
    let load = Load::on([cluster.node(leader.get()).clone(), cluster.node(up).clone()]);
    let outcome = cluster.node(up).transfer_leadership(NodeId::from(down)).await;
    assert!(matches!(outcome, Err(TransferError::TimedOut { .. })), "{outcome:?}");
    assert_eq!(cluster.node(up).status().leader_id, Some(leader));
    assert!(load.end().await > 0);
}

#[actix_rt::test]
async fn without_a_leader_the_wish_waits_for_one_until_its_deadline() {
    let cluster = LocalCluster::<Counter>::start(3).await.unwrap();
    cluster.leader().await;
    cluster.node(2).shutdown().await;
    cluster.node(3).shutdown().await;
    cluster.node(1).watch().wait_for(|status| status.leader_id.is_none()).await.unwrap();
    let admin = cluster.node(1).admin().with_timeout(Duration::from_millis(50));
    let outcome = admin.transfer_leadership(NodeId::from(1)).await;
    assert!(matches!(outcome, Err(TransferError::NoLeader { .. })), "{outcome:?}");
    cluster.node(1).shutdown().await;
    let outcome = admin.transfer_leadership(None).await;
    assert!(matches!(outcome, Err(TransferError::NodeStopped { .. })), "{outcome:?}");
}
