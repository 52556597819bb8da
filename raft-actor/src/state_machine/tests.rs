//! The state machine's actor, driven by hand.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::marker::PhantomPinned;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use raft_consensus::{Configuration, Entries, Entry, GroupId, LogIndex, LogPosition, Payload, SnapshotMeta, Term};
use serde::{Deserialize, Serialize};

use super::snapshots::SnapshotStore;
use super::*;
use crate::callers::{decode, encode_to_bytes};
use crate::clock::Clock;
use crate::envelope::{Forward, ForwardKind};
use crate::handle::queue::Consistency;
use crate::handle::{ClientQueue, Queue, QueueLimits, ReadError, StopReason, WriteError};

const SECOND: Duration = Duration::from_secs(1);

/// A list that misbehaves on demand. Not `Unpin` and not `Sync`: no bound of ours may ask for that.
#[derive(Default)]
struct List {
    items: Vec<(u64, u64, Item)>,
    durable: Option<LogIndex>,
    asked: Cell<u32>,
    _pinned: PhantomPinned,
}

/// Its `note` does not travel: a lossy round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    word: String,
    #[serde(skip)]
    note: u64,
}

fn item(word: &str) -> Item {
    Item { word: word.to_owned(), note: 7 }
}

impl StateMachine for List {
    type Command = Item;
    type Response = (usize, Item);
    type Query = usize;
    type Answer = Option<String>;

    fn apply(&mut self, ctx: &mut ApplyContext<'_>, item: Item) -> (usize, Item) {
        assert_ne!(item.word, "panic", "asked to");
        self.items.push((ctx.index().get(), ctx.term().get(), item.clone()));
        (self.items.len(), item)
    }

    fn query(&self, index: usize) -> Option<String> {
        assert_ne!(index, 999, "asked to");
        self.asked.set(self.asked.get() + 1);
        self.items.get(index).map(|(index, term, item)| format!("{} {index}@{term}", item.word))
    }

    fn durable_through(&self) -> Option<LogIndex> {
        self.durable
    }
}

impl Snapshot for List {
    type Frozen = Vec<(u64, u64, Item)>;

    fn freeze(&self) -> Self::Frozen {
        assert!(self.items.iter().all(|(.., item)| item.word != "no freeze"), "asked to");
        self.items.clone()
    }

    fn save(frozen: Self::Frozen, out: &mut dyn Write) -> io::Result<()> {
        assert!(frozen.iter().all(|(.., item)| item.word != "no save"), "asked to");
        if frozen.iter().any(|(.., item)| item.word == "bad save") {
            return Err(io::Error::other("asked to"));
        }
        <Self::Frozen as Snapshot>::save(frozen, out)
    }

    fn load(&mut self, input: &mut dyn Read) -> io::Result<()> {
        self.items.load(input)?;
        assert!(self.items.iter().all(|(.., item)| item.word != "no load"), "asked to");
        Ok(())
    }
}

mod saving;

/// Stands in for the node: keeps what it is told.
#[derive(Default)]
struct Node {
    applied: Vec<u64>,
    stopped: Vec<StateMachineStopped>,
    snapshots: Vec<SnapshotNews>,
}

impl Actor for Node {
    type Context = Context<Self>;
}

impl Handler<Applied> for Node {
    type Result = ();
    fn handle(&mut self, Applied { through, .. }: Applied, _: &mut Self::Context) {
        self.applied.push(through.get());
    }
}

impl Handler<SnapshotNews> for Node {
    type Result = ();
    fn handle(&mut self, news: SnapshotNews, _: &mut Context<Self>) {
        self.snapshots.push(news);
    }
}

impl Handler<StateMachineStopped> for Node {
    type Result = ();
    fn handle(&mut self, stopped: StateMachineStopped, _: &mut Self::Context) {
        self.stopped.push(stopped);
    }
}

/// Answered when all earlier messages were handled.
#[derive(Message)]
#[rtype(result = "(Vec<u64>, Vec<StateMachineStopped>)")]
struct Heard;

impl Handler<Heard> for Node {
    type Result = MessageResult<Heard>;
    fn handle(&mut self, _: Heard, _: &mut Self::Context) -> Self::Result {
        MessageResult((self.applied.clone(), self.stopped.clone()))
    }
}

/// As a group does that has stopped.
#[derive(Message)]
#[rtype(result = "()")]
struct End;

impl Handler<End> for Node {
    type Result = ();
    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

struct Bench {
    queue: Arc<Queue<List>>,
    clients: ClientQueue,
    machine: Addr<StateMachineActor<List>>,
    node: Addr<Node>,
    snapshots: SnapshotStore,
}

fn start(machine: List) -> Bench {
    let (queue, clients) = Queue::new(QueueLimits::default(), Clock::start());
    let node = Node::default().start();
    let snapshots = SnapshotStore::in_memory(GroupId::new(1));
    let parts = parts(&node, machine.durable.unwrap_or(LogIndex::ZERO), snapshots.clone());
    Bench { queue, clients, machine: StateMachineActor::new(machine, parts).start(), node, snapshots }
}

fn parts(node: &Addr<Node>, applied: LogIndex, snapshots: SnapshotStore) -> MachineParts {
    let feedback =
        Feedback { applied: node.clone().into(), stopped: node.clone().into(), snapshots: node.clone().into() };
    let covered = SnapshotMeta {
        position: LogPosition::new(Term::new(3), applied),
        configuration: Configuration::default(),
        configured_at: LogPosition::ZERO,
    };
    MachineParts {
        owner: Owner { cluster: "tests".into(), group: GroupId::new(1) },
        covered,
        sessions: Sessions::default(),
        stored: None,
        snapshots,
        saves_here: false,
        feedback,
        clock: Clock::start(),
    }
}

impl Bench {
    /// What the node was told so far. A message to the machine goes ahead, so that all before it is done.
    async fn heard(&self) -> (Vec<u64>, Vec<StateMachineStopped>) {
        // If the machine's actor is gone, so is what it could still say.
        let _ = self.machine.send(Query { answers: Vec::new() }).await;
        self.node.send(Heard).await.expect("the node runs")
    }

    fn batch(&self) -> crate::handle::ClientBatch {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match self.clients.poll_batch(&mut cx) {
            std::task::Poll::Ready(Some(batch)) => batch,
            std::task::Poll::Ready(None) | std::task::Poll::Pending => panic!("nobody asked for anything"),
        }
    }

    /// Commits all that was written, from this index on.
    fn commit(&self, first: u64) -> crate::callers::Waiting {
        let mut batch = self.batch().writes.expect("somebody wrote");
        let answers = vec![(LogIndex::new(first), batch.waiting.answers())];
        self.machine.do_send(Apply { entries: commands(first, batch.commands), answers });
        batch.waiting
    }

    async fn ask(&self, index: usize) -> Result<Option<String>, ReadError> {
        let answer = self.queue.read(index, Consistency::Linearizable, SECOND);
        let mut reads = self.batch().reads.expect("somebody asked");
        self.machine.do_send(Query { answers: vec![reads.answers()] });
        answer.await
    }
}

fn entry(index: u64, payload: Payload) -> Entry {
    Entry { position: LogPosition::new(Term::new(3), LogIndex::new(index)), payload }
}

fn commands(first: u64, commands: Vec<Bytes>) -> Entries {
    (first..).zip(commands).map(|(index, command)| entry(index, Payload::Command(command))).collect()
}

fn command(word: &str) -> Bytes {
    super::command::plain(&item(word))
}

#[actix_rt::test]
async fn commands_are_applied_in_order_with_their_position_and_their_callers_answered() {
    let bench = start(List::default());
    let callers = ["a", "b", "c"].map(|word| bench.queue.write(&item(word), SECOND));
    let waiting = bench.commit(5);
    for (n, caller) in (1..).zip(callers) {
        assert_eq!(caller.await.expect("answered").0, n);
    }
    assert!(waiting.is_answered());
    assert_eq!(bench.ask(1).await.expect("answered").as_deref(), Some("b 6@3"));
    assert_eq!(bench.heard().await.0, [7]);
}

#[actix_rt::test]
async fn a_command_is_applied_as_decoded_from_the_log_also_where_it_was_encoded() {
    let bench = start(List::default());
    let caller = bench.queue.write(&item("a"), SECOND);
    let _waiting = bench.commit(1);
    let (_, applied) = caller.await.expect("answered");
    assert_eq!(applied.note, 0, "what the other members see, not the 7 that was written here");
}

#[actix_rt::test]
async fn callers_belong_to_some_of_the_entries_and_the_machine_sees_only_commands() {
    let bench = start(List::default());
    let callers = ["c", "d", "f"].map(|word| bench.queue.write(&item(word), SECOND));
    let batch = bench.batch().writes.expect("writes");
    let (mut first, mut commands) = (batch.waiting, batch.commands.into_iter().map(Payload::Command));
    let mut next = || commands.next().expect("three");
    let two = {
        let mut two = first.split_to(2);
        let answers = two.answers();
        (two, answers)
    };
    let entries = [
        entry(1, Payload::Noop),
        entry(2, Payload::Command(command("b"))),
        entry(3, next()),
        entry(4, next()),
        entry(5, Payload::Configuration(Box::default())),
        entry(6, Payload::Command(command("e"))),
        entry(7, next()),
    ];
    let answers = vec![(LogIndex::new(3), two.1), (LogIndex::new(7), first.answers())];
    bench.machine.do_send(Apply { entries: entries.into_iter().collect(), answers });
    let mut places = Vec::new();
    for caller in callers {
        places.push(caller.await.expect("answered").0);
    }
    assert_eq!(places, [2, 3, 5]);
    assert_eq!(bench.ask(0).await.expect("answered").as_deref(), Some("b 2@3"));
    assert_eq!(bench.heard().await.0, [7]);
}

#[actix_rt::test]
async fn entries_that_come_twice_are_applied_once() {
    let bench = start(List::default());
    let entries = commands(1, vec![command("a"), command("b")]);
    for _ in 0..2 {
        bench.machine.do_send(Apply { entries: entries.clone(), answers: Vec::new() });
    }
    assert_eq!(bench.ask(2).await.expect("answered"), None);
    assert_eq!(bench.heard().await.0, [2, 2]);
}

/// Seed 11 of the simulated clusters: the group was destroyed already, or ran again with another machine.
#[actix_rt::test]
async fn what_waits_for_the_machine_of_a_group_that_has_stopped_is_not_applied() {
    let bench = start(List::default());
    let caller = bench.queue.write(&item("a"), SECOND);
    bench.node.send(End).await.expect("it runs");
    while bench.node.connected() {
        tokio::task::yield_now().await;
    }
    drop(bench.commit(1));
    let answer = caller.await.expect_err("not applied here");
    assert!(answer.maybe_applied(), "somebody else may: {answer}");
    assert_eq!(bench.ask(0).await.expect("answered"), None);
}

#[actix_rt::test]
async fn what_a_machine_on_disk_has_made_durable_is_not_applied_again() {
    let bench = start(List { durable: Some(LogIndex::new(2)), ..List::default() });
    let entries = commands(1, vec![command("a"), command("b"), command("c")]);
    bench.machine.do_send(Apply { entries, answers: Vec::new() });
    assert_eq!(bench.ask(0).await.expect("answered").as_deref(), Some("c 3@3"));
}

#[actix_rt::test]
async fn a_panic_in_apply_names_the_index_fails_everybody_and_ends_applying() {
    let bench = start(List::default());
    let callers = ["a", "panic", "c"].map(|word| bench.queue.write(&item(word), SECOND));
    let waiting = bench.commit(4);
    let mut outcomes = Vec::new();
    for caller in callers {
        outcomes.push(caller.await);
    }
    assert_eq!(outcomes[0].as_ref().expect("applied before the panic").0, 1);
    for outcome in &outcomes[1..] {
        let Err(WriteError::NodeStopped { reason: StopReason::ApplyPanicked { index, message }, maybe_applied }) =
            outcome
        else {
            panic!("{outcome:?}")
        };
        assert_eq!((index.get(), *maybe_applied), (5, true));
        assert!(message.contains("asked to"), "{message}");
    }
    assert!(waiting.is_answered());

    let late = bench.queue.write(&item("late"), SECOND);
    let _waiting = bench.commit(7);
    assert!(late.await.expect_err("nothing is applied any more").maybe_applied());
    assert!(matches!(bench.ask(0).await, Err(ReadError::NodeStopped { .. })), "the state may be half changed");
    let (applied, stopped) = bench.heard().await;
    assert!(applied.is_empty());
    assert!(matches!(stopped[..], [StateMachineStopped::Failed(StopReason::ApplyPanicked { .. })]), "{stopped:?}");
}

#[actix_rt::test]
async fn a_committed_command_that_does_not_decode_is_never_skipped() {
    let bench = start(List::default());
    let callers = ["a", "b", "c"].map(|word| bench.queue.write(&item(word), SECOND));
    let mut batch = bench.batch().writes.expect("writes");
    batch.commands[1] = Bytes::from_static(b"\xc1from a newer build");
    let answers = vec![(LogIndex::new(1), batch.waiting.answers())];
    bench.machine.do_send(Apply { entries: commands(1, batch.commands), answers });
    let [first, second, third] = callers;
    assert_eq!(first.await.expect("applied before it").0, 1);
    for caller in [second, third] {
        let error = caller.await.expect_err("not applied here");
        assert!(matches!(error, WriteError::CannotApply { index, .. } if index.get() == 2), "{error}");
        assert!(error.maybe_applied(), "by the others");
    }
    assert!(matches!(bench.ask(0).await, Err(ReadError::CannotApply { .. })), "stale for good");
    bench.machine.do_send(Apply { entries: commands(4, vec![command("d")]), answers: Vec::new() });
    let (applied, stopped) = bench.heard().await;
    assert_eq!(applied, [1]);
    let [StateMachineStopped::Poisoned { index, error }] = &stopped[..] else { panic!("{stopped:?}") };
    assert_eq!(index.get(), 2);
    assert!(!error.is_empty());
}

#[actix_rt::test]
async fn a_query_sees_all_that_was_applied_before_it_was_sent() {
    let bench = start(List::default());
    for n in 0..50 {
        bench.machine.do_send(Apply { entries: commands(n + 1, vec![command("x")]), answers: Vec::new() });
        let answer = bench.ask(usize::try_from(n).expect("small")).await.expect("answered");
        assert_eq!(answer, Some(format!("x {}@3", n + 1)));
    }
}

#[actix_rt::test]
async fn a_panic_in_query_fails_this_query_alone() {
    let bench = start(List::default());
    bench.machine.do_send(Apply { entries: commands(1, vec![command("a")]), answers: Vec::new() });
    assert!(matches!(bench.ask(999).await, Err(ReadError::QueryPanicked {})));
    assert_eq!(bench.ask(0).await.expect("answered").as_deref(), Some("a 1@3"));
    assert!(bench.heard().await.1.is_empty());
}

#[actix_rt::test]
async fn forwarded_requests_are_answered_in_bytes() {
    let bench = start(List::default());
    let (sender, receiver) = std::sync::mpsc::channel();
    let outlet: crate::callers::Outlet = Arc::new(move |reply| drop(sender.send(reply)));
    let forward = |kind, requests| Forward { id: 1, timeout_ms: 1000, kind, term: None, requests };
    let write = forward(ForwardKind::Write, vec![command("a")]);
    let now = raft_consensus::Time::ZERO;
    let mut batch = bench.clients.accept_forward(write, now, outlet.clone()).writes.expect("a write");
    let answers = vec![(LogIndex::new(1), batch.waiting.answers())];
    bench.machine.do_send(Apply { entries: commands(1, batch.commands), answers });
    let read = forward(ForwardKind::Read, vec![encode_to_bytes(&0_usize).expect("encodes")]);
    let mut reads = bench.clients.accept_forward(read, now, outlet).reads.expect("a read");
    bench.machine.do_send(Query { answers: vec![reads.answers()] });
    bench.heard().await;
    let mut outcomes = receiver.try_iter().map(|reply| reply.outcomes[0].clone().expect("answered"));
    let (_, applied): (usize, Item) = decode(&outcomes.next().expect("of the write")).expect("a response");
    assert_eq!(applied.word, "a");
    let answer: Option<String> = decode(&outcomes.next().expect("of the read")).expect("an answer");
    assert_eq!(answer.as_deref(), Some("a 1@3"));
}

#[actix_rt::test]
async fn an_actor_that_is_gone_is_reported_and_leaves_nobody_waiting() {
    let bench = start(List::default());
    let arbiter = Arbiter::new();
    let parts = parts(&bench.node, LogIndex::ZERO, bench.snapshots.clone());
    let machine =
        StateMachineActor::start_in_arbiter(&arbiter.handle(), move |_| StateMachineActor::new(List::default(), parts));
    arbiter.stop();
    arbiter.join().expect("its thread ends");
    let caller = bench.queue.write(&item("a"), SECOND);
    let mut batch = bench.batch().writes.expect("a write");
    let answers = vec![(LogIndex::new(1), batch.waiting.answers())];
    machine.do_send(Apply { entries: commands(1, batch.commands), answers });
    assert!(matches!(caller.await, Err(WriteError::NodeStopped { maybe_applied: true, .. })));
    drop(machine);
    assert!(batch.waiting.is_answered());
}

#[actix_rt::test]
async fn the_end_of_the_actor_reaches_the_node() {
    let Bench { node, machine, .. } = start(List::default());
    drop(machine);
    loop {
        let (_, stopped) = node.send(Heard).await.expect("the node runs");
        if let [StateMachineStopped::Failed(StopReason::Lost { part })] = stopped[..] {
            assert_eq!(part, "state machine");
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_snapshot_is_of_the_moment_it_was_frozen() {
    let mut state = vec![1_u64, 2];
    let frozen = state.freeze();
    state.push(3);
    let mut file = Vec::new();
    <Vec<u64> as Snapshot>::save(frozen, &mut file).expect("a Vec takes all");
    state.load(&mut file.as_slice()).expect("it was saved like this");
    assert_eq!(state, [1, 2]);
}

#[test]
fn a_snapshot_that_cannot_be_read_changes_nothing() {
    let mut state = vec![1_u64, 2];
    let mut file = Vec::new();
    <Vec<u64> as Snapshot>::save(vec![9; 100], &mut file).expect("a Vec takes all");
    for cut in 0..file.len() {
        assert!(state.load(&mut &file[..cut]).is_err(), "cut at {cut}");
        assert_eq!(state, [1, 2]);
    }
}
