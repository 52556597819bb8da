//! The handle itself.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use raft_consensus::{Configuration, GroupId, LogIndex, LogPosition, Membership, NodeId, PeerState, Role, Term, Time};
use tokio::sync::watch;

use super::support::*;
use crate::events::EventFeed;
use crate::handle::gateway::{QueuedRead, QueuedWrite};
use crate::handle::{
    AskForSnapshot, ChangeMembership, ClientQueue, Gateway, HandleParts, HostControl, NodeFace, PendingRead,
    PendingWrite, PendingWrites, RaftAdmin, RaftHandle, SessionNames, Status, StatusWatch, StopReason, Subscriptions,
    TransferLeadership,
};

/// A host that only counts.
#[derive(Default)]
struct Host {
    shutdowns: Arc<AtomicUsize>,
    drops: Arc<AtomicUsize>,
}

impl HostControl for Host {
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.shutdowns.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

/// A node that drops whoever asks it for other members or another leader.
struct Deaf;

impl Actor for Deaf {
    type Context = Context<Self>;
}

impl Handler<ChangeMembership> for Deaf {
    type Result = ();

    fn handle(&mut self, _: ChangeMembership, _: &mut Context<Self>) {}
}

impl Handler<AskForSnapshot> for Deaf {
    type Result = ();

    fn handle(&mut self, _: AskForSnapshot, _: &mut Context<Self>) {}
}

impl Handler<TransferLeadership> for Deaf {
    type Result = ();

    fn handle(&mut self, _: TransferLeadership, _: &mut Context<Self>) {}
}

struct Parts {
    raft: RaftHandle<Words>,
    node: ClientQueue,
    status: watch::Sender<Arc<Status>>,
    stopped: watch::Sender<Option<StopReason>>,
    shutdowns: Arc<AtomicUsize>,
    drops: Arc<AtomicUsize>,
    deaf: Addr<Deaf>,
}

fn core_status(role: Role) -> raft_consensus::Status {
    let position = |index, term| LogPosition::new(Term::new(term), LogIndex::new(index));
    raft_consensus::Status {
        id: 1.into(),
        role,
        term: Term::new(4),
        leader: Some(1.into()),
        rests: false,
        damaged: false,
        commit: LogIndex::new(9),
        applied: LogIndex::new(8),
        last: position(12, 4),
        durable: LogIndex::new(11),
        base: position(5, 3),
        snapshot: position(7, 3),
        configuration: Configuration {
            learners: [3.into()].into(),
            ..Configuration::of_voters([(1.into(), "a"), (2.into(), "b")])
        },
        peers: BTreeMap::from([(
            2.into(),
            raft_consensus::PeerStatus {
                matched: LogIndex::new(9),
                state: PeerState::Replicate,
                last_contact: Some(Time::from_millis(40)),
            },
        )]),
        longest_silence: Duration::from_millis(110),
    }
}

fn status(role: Role) -> Arc<Status> {
    Arc::new(Status::new("test".into(), &core_status(role), Time::from_millis(100)))
}

/// Must be called within a System, for the gateway.
fn parts() -> Parts {
    let (queue, node) = words();
    let host = Host::default();
    let (shutdowns, drops) = (host.shutdowns.clone(), host.drops.clone());
    let (status, status_receiver) = watch::channel(status(Role::Follower));
    let (stopped, stopped_receiver) = watch::channel(None);
    let deaf = Deaf.start();
    let face = NodeFace {
        status: status_receiver,
        stopped: stopped_receiver,
        log: Arc::default(),
        change_membership: deaf.downgrade().recipient(),
        take_snapshot: deaf.downgrade().recipient(),
        transfer_leadership: deaf.downgrade().recipient(),
        subscriptions: Subscriptions::default(),
        events: EventFeed::new(NodeId::from(1), GroupId::from(1)),
        host: Arc::new(host),
    };
    let gateway = Gateway::new(queue.clone()).start();
    let raft = RaftHandle::new(HandleParts { queue, gateway, node: Arc::new(face), sessions: SessionNames::new(7) });
    Parts { raft, node, status, stopped, shutdowns, drops, deaf }
}

/// A handle to a node that does nothing.
#[cfg(feature = "actix-web")]
pub(super) fn handle() -> RaftHandle<Words> {
    parts().raft
}

#[test]
fn handles_and_their_futures_may_go_to_any_thread() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    fn sent<T: Send + Unpin + 'static>() {}
    fn sent_value<T: Send + 'static>(_: &T) {}
    shared::<RaftHandle<Words>>();
    shared::<RaftAdmin>();
    shared::<StatusWatch>();
    sent::<PendingWrite<Words>>();
    sent::<PendingWrites<Words>>();
    sent::<PendingRead<Words>>();
    shared::<Addr<Gateway<Words>>>();
    sent::<QueuedWrite<Words>>();
    sent::<QueuedRead<Words>>();
    fn futures(raft: &RaftHandle<Words>) {
        sent_value(&raft.shutdown());
        sent_value(&raft.stopped());
        sent_value(&raft.change_membership(Membership::default()));
    }
    let _ = futures;
}

#[actix_rt::test]
async fn requests_go_into_the_queue_at_the_call() {
    let Parts { raft, node, .. } = parts();
    let (write, read, local) = (raft.write("a".to_owned()), raft.read(0), raft.read_local(0));
    let batch = node.batch().expect("they are in line");
    assert!(batch.writes.is_some() && batch.reads.is_some() && batch.local_reads.is_some());
    drop(batch);
    assert!(write.await.is_err() && read.await.is_err() && local.await.is_err());
}

#[actix_rt::test]
async fn many_writes_have_outcomes_of_their_own_in_the_order_given() {
    let Parts { raft, node, .. } = parts();
    let writes = raft.write_many(["a", "b", "c", "d"].map(str::to_owned));
    let mut waiting = node.writes().waiting;
    answer(waiting.split_to(2), 1);
    waiting.split_to(1).fail(crate::callers::Failure::Overloaded);
    answer(waiting, 4);
    let outcomes: Vec<_> = writes.await.into_iter().map(Result::ok).collect();
    assert_eq!(outcomes, [Some(1), Some(2), None, Some(4)]);
    assert!(raft.write_many([]).await.is_empty());
}

#[actix_rt::test]
async fn a_handle_with_another_deadline_is_the_same_node() {
    let Parts { raft, node, .. } = parts();
    let _default = raft.write("five seconds".to_owned());
    let default = node.writes().waiting.earliest_deadline();
    let _short = raft.with_timeout(Duration::ZERO).clone().write("none".to_owned());
    let _long = raft.with_timeout(Duration::from_secs(7200)).write("two hours".to_owned());
    let waiting = node.writes().waiting;
    assert!(waiting.earliest_deadline() < default);
    assert!(waiting.latest_deadline() > default);
}

#[actix_rt::test]
async fn the_status_is_the_latest_published_and_can_be_waited_for() {
    let Parts { raft, status: sender, stopped, .. } = parts();
    assert_eq!(raft.status().role, Role::Follower);
    let mut watch = raft.watch();
    sender.send_replace(status(Role::Leader));
    assert_eq!(raft.admin().status().role, Role::Leader);
    assert_eq!(watch.leading().await.expect("it leads").role, Role::Leader);
    stopped.send_replace(Some(StopReason::ShutDown));
    drop(sender);
    assert!(matches!(watch.changed().await, Err(StopReason::ShutDown)));
    assert!(matches!(watch.wait_for(|_| false).await, Err(StopReason::ShutDown)));
}

#[test]
fn the_status_serializes_as_the_json_of_the_status_page() {
    let json = crate::callers::encode_to_bytes(&*status(Role::Leader)).expect("encodes");
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Page {
        node_id: u64,
        cluster: String,
        role: String,
        term: u64,
        leader_id: Option<u64>,
        commit_index: u64,
        last_applied: u64,
        last_log_index: u64,
        snapshot_index: u64,
        first_log_index: u64,
        voters: Vec<u64>,
        learners: Vec<u64>,
        addresses: BTreeMap<u64, String>,
        changing_to: Option<()>,
        peers: BTreeMap<u64, Peer>,
        longest_silence_ms: u64,
    }
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Peer {
        match_index: u64,
        state: String,
        last_contact_ms: Option<u64>,
    }
    let page: Page = crate::callers::decode(&json).expect("has all fields of the status page");
    let peer = Peer { match_index: 9, state: "replicate".to_owned(), last_contact_ms: Some(60) };
    let expected = Page {
        node_id: 1,
        cluster: "test".to_owned(),
        role: "leader".to_owned(),
        term: 4,
        leader_id: Some(1),
        commit_index: 9,
        last_applied: 8,
        last_log_index: 12,
        snapshot_index: 7,
        first_log_index: 6,
        voters: vec![1, 2],
        learners: vec![3],
        addresses: [(1, "a".to_owned()), (2, "b".to_owned())].into(),
        changing_to: None,
        peers: BTreeMap::from([(2, peer)]),
        longest_silence_ms: 110,
    };
    assert_eq!(page, expected);
}

#[actix_rt::test]
async fn whoever_waits_for_the_end_learns_the_reason() {
    let Parts { raft, stopped, .. } = parts();
    let (before, after) = (raft.stopped(), raft.stopped());
    stopped.send_replace(Some(StopReason::ShutDown));
    assert!(matches!(before.await, StopReason::ShutDown));
    drop(stopped);
    assert!(matches!(after.await, StopReason::ShutDown));
    assert!(matches!(raft.stopped().await, StopReason::ShutDown), "also later");
}

#[actix_rt::test]
async fn a_node_that_vanishes_without_a_word_counts_as_lost() {
    let Parts { raft, stopped, .. } = parts();
    drop(stopped);
    assert!(matches!(raft.stopped().await, StopReason::Lost { part: "node" }));
}

#[actix_rt::test]
async fn the_host_stops_with_the_last_handle_and_is_not_held_by_those_who_wait() {
    let Parts { raft, drops, shutdowns, stopped, .. } = parts();
    let (clone, admin, waiting, shutdown) = (raft.clone(), raft.admin(), raft.stopped(), raft.shutdown());
    assert_eq!(shutdowns.load(Ordering::SeqCst), 1, "begun at the call");
    drop(raft);
    drop(clone);
    assert_eq!(drops.load(Ordering::SeqCst), 0, "the admin is a handle, too");
    drop(admin);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    shutdown.await;
    stopped.send_replace(Some(StopReason::Dropped));
    waiting.await;
}

#[actix_rt::test]
async fn whoever_asked_for_other_members_learns_why_nobody_answered() {
    let Parts { raft, stopped, deaf, .. } = parts();
    let asked = raft.change_membership(Membership::of_voters([1, 2]));
    let reason = || StopReason::Broken { violation: "x".into() };
    stopped.send_replace(Some(reason()));
    let told = asked.await.expect_err("nobody was there");
    assert!(told.maybe_applied(), "the node may have begun it");
    assert!(told.to_string().contains(&reason().to_string()), "{told}");

    let gone = deaf.downgrade();
    drop(deaf);
    while gone.upgrade().is_some() {
        actix_rt::task::yield_now().await;
    }
    let told = raft.change_membership(Membership::of_voters([1, 2])).await.expect_err("nobody could be asked");
    assert!(!told.maybe_applied(), "{told}");
}
