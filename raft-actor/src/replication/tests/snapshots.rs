//! A snapshot on its way, over a network that does as the test says, in the time of a runtime that never waits.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;

use futures_util::future::{Either, select};
use raft_consensus::{Configuration, SnapshotMeta, SnapshotOrder};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::envelope::{SnapshotChunk, SnapshotOutcome, SnapshotReply};
use crate::log_storage::sim_disk::SimDisk;
use crate::node::SnapshotReceived;
use crate::state_machine::SnapshotId;
use crate::state_machine::snapshots::{SnapshotError, SnapshotFile};
use crate::transport::Credit;

mod rot;

const GROUP: GroupId = GroupId::new(1);
const LEADER: NodeId = NodeId::new(1);
const FOLLOWER: NodeId = NodeId::new(2);
const STATE_BYTES: usize = 300_000;

fn pace() -> SnapshotPace {
    let ask_after = Duration::from_millis(100);
    SnapshotPace { chunk_bytes: 10_000, window_bytes: 40_000, ask_after, give_up_after: 20 * ask_after }
}

fn open(disk: &SimDisk) -> SnapshotStore {
    SnapshotStore::open(disk.process(), Path::new("/snapshots"), GROUP).expect("a sound disk")
}

fn write(store: &SnapshotStore, index: u64) -> SnapshotFile {
    let configuration = Configuration::of_voters([(LEADER, "a"), (FOLLOWER, "b")]);
    let meta = SnapshotMeta { position: position(3, index), configuration, configured_at: LogPosition::ZERO };
    let state: Vec<u8> =
        (0..STATE_BYTES).map(|n| (n as u64 * ((index * 2_654_435_761) | 1)).to_le_bytes()[2]).collect();
    store.write(&meta, |out| out.write_all(&state)).expect("a sound disk")
}

fn order(term: u64, round: u64, file: &SnapshotFile) -> SnapshotOrder {
    let position = file.id().position;
    SnapshotOrder { peer: FOLLOWER, term: Term::new(term), round: Round::new(round), position }
}

/// What happens between the two, and what comes of it.
#[derive(Debug)]
enum Event {
    Said(Envelope),
    Received(SnapshotReceived),
    Unreachable,
    /// A node is told that its snapshot cannot be read.
    Unreadable(SnapshotId, SnapshotError),
}

struct Wire(channel::UnboundedSender<Event>);

impl Outbound for Wire {
    fn send(&self, envelope: Envelope) -> bool {
        self.0.send(Event::Said(envelope)).is_ok()
    }

    fn set_address(&self, _: NodeId, _: &str) {}

    fn forget(&self, _: NodeId) {}
}

impl Handler<PeerUnreachable> for Owner {
    type Result = ();

    fn handle(&mut self, PeerUnreachable(peer): PeerUnreachable, _: &mut Context<Self>) {
        assert_eq!(peer, FOLLOWER);
        // The test may be over.
        drop(self.0.send(Event::Unreachable));
    }
}

struct FollowerNode(channel::UnboundedSender<Event>);

impl Actor for FollowerNode {
    type Context = Context<Self>;
}

impl Handler<SnapshotReceived> for FollowerNode {
    type Result = ();

    fn handle(&mut self, received: SnapshotReceived, _: &mut Context<Self>) {
        drop(self.0.send(Event::Received(received)));
    }
}

/// Either of the nodes, as far as what is told of its disk.
struct Owner(channel::UnboundedSender<Event>);

impl Actor for Owner {
    type Context = Context<Self>;
}

impl Handler<Unreadable> for Owner {
    type Result = ();

    fn handle(&mut self, unreadable: Unreadable, _: &mut Context<Self>) {
        let Unreadable::Snapshot { id, error } = unreadable else { panic!("there is no log here: {unreadable:?}") };
        drop(self.0.send(Event::Unreadable(id, error)));
    }
}

/// A leader and a follower, their disks, and all that is between them.
struct World {
    happens: channel::UnboundedSender<Event>,
    events: channel::UnboundedReceiver<Event>,
    owner: Addr<Owner>,
    leader_disk: SimDisk,
    leader: SnapshotStore,
    follower_disk: SimDisk,
    follower: SnapshotStore,
    sending: Option<SnapshotSending>,
    reception: SnapshotReception,
    clock: Clock,
    /// What travels.
    in_flight: Vec<Envelope>,
    /// Bytes of the snapshot that were sent, and how often the follower was asked.
    sent_bytes: u64,
    questions: usize,
}

/// How a step of the world ended.
#[derive(Debug)]
enum End {
    Received(Box<SnapshotReceived>),
    Unreachable,
    Unreadable(SnapshotId, SnapshotError),
}

impl World {
    fn new() -> Self {
        let (happens, events) = channel::unbounded_channel();
        let (leader_disk, follower_disk) = (SimDisk::new(1), SimDisk::new(2));
        let (leader, follower) = (open(&leader_disk), open(&follower_disk));
        let clock = Clock::start();
        let owner = Owner(happens.clone()).start();
        let reception = receive_with(&happens, &follower, &clock, &owner);
        let (in_flight, sent_bytes, questions) = (Vec::new(), 0, 0);
        let sending = None;
        Self {
            happens,
            events,
            owner,
            leader_disk,
            leader,
            follower_disk,
            follower,
            sending,
            reception,
            clock,
            in_flight,
            sent_bytes,
            questions,
        }
    }

    fn send(&mut self, order: SnapshotOrder, file: &SnapshotFile) {
        let context = context(LEADER, &self.happens, &self.leader, &self.clock, &self.owner);
        self.sending = Some(SnapshotSending::start(context, order, file.clone()));
        (self.sent_bytes, self.questions) = (0, 0);
    }

    /// The follower's process is killed and started again; what was under way is lost.
    fn restart_follower(&mut self) {
        self.in_flight.clear();
        self.follower = open(&self.follower_disk);
        self.reception = receive_with(&self.happens, &self.follower, &self.clock, &self.owner);
    }

    fn deliver(&mut self, envelope: Envelope) {
        match envelope.body {
            Body::SnapshotChunk(chunk) => self.reception.arrived(envelope.from, chunk, Credit::none()),
            Body::SnapshotReply(reply) => self.sending.as_ref().expect("one is under way").answered(reply),
            Body::Raft(_) | Body::Forward(_) | Body::ForwardReply(_) | Body::Pulse(_) => {
                panic!("nobody here says that")
            }
        }
    }

    /// Lets the two go on until something comes of it, or `weather` has had enough. It is shown what travels, the newest
    /// last, whenever something is said, and says what is to be delivered then.
    async fn run(&mut self, mut weather: impl FnMut(&mut Vec<Envelope>) -> Option<Vec<Envelope>>) -> Option<End> {
        loop {
            match self.events.recv().await.expect("this end is held") {
                Event::Said(envelope) => {
                    if let Body::SnapshotChunk(chunk) = &envelope.body {
                        self.sent_bytes += chunk.bytes.len() as u64;
                        self.questions += usize::from(chunk.is_question());
                    }
                    self.in_flight.push(envelope);
                    let arriving = weather(&mut self.in_flight)?;
                    arriving.into_iter().for_each(|envelope| self.deliver(envelope));
                }
                Event::Received(received) => return Some(End::Received(Box::new(received))),
                Event::Unreachable => return Some(End::Unreachable),
                Event::Unreadable(id, error) => return Some(End::Unreadable(id, error)),
            }
        }
    }

    async fn received(&mut self, weather: impl FnMut(&mut Vec<Envelope>) -> Option<Vec<Envelope>>) -> SnapshotReceived {
        match self.run(weather).await {
            Some(End::Received(received)) => *received,
            end => panic!("{end:?}"),
        }
    }

    /// What the follower has is what the leader has.
    fn check(&self, received: SnapshotReceived, file: &SnapshotFile) {
        assert_eq!(received.snapshot.meta(), file.meta());
        let adopted = self.follower.adopt(received.snapshot).expect("a sound disk");
        let size = usize::try_from(file.id().size_bytes).expect("a small one");
        assert!(adopted.read_at(0, size).expect("it is there") == file.read_at(0, size).expect("it is there"));
    }
}

fn context(
    node: NodeId,
    happens: &channel::UnboundedSender<Event>,
    store: &SnapshotStore,
    clock: &Clock,
    owner: &Addr<Owner>,
) -> StreamContext {
    StreamContext {
        node,
        group: GROUP,
        cache: Rc::new(RefCell::new(LogCache::new(0))),
        reader: Arc::new(Disk(Mutex::new(mpsc::channel().1))),
        // All on this thread, as in a simulation.
        reader_is_fast: true,
        outbound: Rc::new(Wire(happens.clone())),
        unreadable: owner.downgrade().recipient(),
        unreachable: owner.downgrade().recipient(),
        snapshots: store.clone(),
        pace: pace(),
        clock: clock.clone(),
    }
}

fn receive_with(
    happens: &channel::UnboundedSender<Event>,
    store: &SnapshotStore,
    clock: &Clock,
    owner: &Addr<Owner>,
) -> SnapshotReception {
    let node = FollowerNode(happens.clone()).start();
    SnapshotReception::start(context(FOLLOWER, happens, store, clock, owner), node.recipient())
}

/// Runs in virtual time: what waits for a timer while nothing else is to do has waited enough.
fn virtually(test: impl Future<Output = ()>) {
    let paused = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    System::with_tokio_rt(|| paused().expect("a runtime")).block_on(test);
}

/// Everything arrives, in order.
fn calm(in_flight: &mut Vec<Envelope>) -> Option<Vec<Envelope>> {
    Some(std::mem::take(in_flight))
}

/// The network is cut for good once so many bytes of the snapshot were sent: what is on its way is lost.
fn cut_after(bytes: u64) -> impl FnMut(&mut Vec<Envelope>) -> Option<Vec<Envelope>> {
    let mut sent = 0;
    move |in_flight| {
        sent += in_flight.iter().map(chunk_bytes).sum::<u64>();
        let arriving = std::mem::take(in_flight);
        (sent < bytes).then_some(arriving)
    }
}

fn chunk_bytes(envelope: &Envelope) -> u64 {
    match &envelope.body {
        Body::SnapshotChunk(chunk) => chunk.bytes.len() as u64,
        Body::SnapshotReply(_) | Body::Raft(_) | Body::Forward(_) | Body::ForwardReply(_) | Body::Pulse(_) => 0,
    }
}

fn outcome(envelope: &Envelope) -> Option<SnapshotOutcome> {
    match &envelope.body {
        Body::SnapshotReply(reply) => Some(reply.outcome),
        Body::SnapshotChunk(_) | Body::Raft(_) | Body::Forward(_) | Body::ForwardReply(_) | Body::Pulse(_) => None,
    }
}

#[test]
fn a_snapshot_arrives_as_it_was_with_the_office_of_its_sender() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        let received = world.received(calm).await;
        assert_eq!((received.from, received.term, received.round), (LEADER, Term::new(5), Round::new(7)));
        assert_eq!((world.sent_bytes, world.questions), (file.id().size_bytes, 1));
        world.check(received, &file);
    });
}

#[test]
fn a_snapshot_survives_a_network_that_loses_doubles_delays_and_reorders() {
    for seed in 0..100 {
        virtually(async {
            let mut chance = ChaCha8Rng::seed_from_u64(seed);
            let mut world = World::new();
            let file = write(&world.leader, 9);
            world.send(order(5, 7, &file), &file);
            let received = world
                .received(|in_flight| {
                    let mut arriving = Vec::new();
                    while !in_flight.is_empty() && chance.random_bool(0.7) {
                        let picked = in_flight.swap_remove(chance.random_range(0..in_flight.len()));
                        if chance.random_bool(0.1) {
                            in_flight.push(picked.clone());
                        }
                        if chance.random_bool(0.85) {
                            arriving.push(picked);
                        }
                    }
                    Some(arriving)
                })
                .await;
            world.check(received, &file);
        });
    }
}

#[test]
fn no_more_than_the_window_is_on_its_way_to_a_peer_that_does_not_confirm() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        // The first answer gets through: how much is there.
        let mut has_answered = false;
        let mut arrives =
            |envelope: &Envelope| outcome(envelope).is_none() || !std::mem::replace(&mut has_answered, true);
        let end = world.run(|in_flight| Some(in_flight.drain(..).filter(&mut arrives).collect())).await;
        assert!(matches!(end, Some(End::Unreachable)));
        assert!(world.sent_bytes <= pace().window_bytes, "{} bytes", world.sent_bytes);
    });
}

#[test]
fn a_peer_that_says_nothing_is_asked_and_given_up_in_bounded_time() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        let begun = world.clock.now();
        world.send(order(5, 7, &file), &file);
        let end = world.run(|_| Some(Vec::new())).await;
        assert!(matches!(end, Some(End::Unreachable)));
        let silence = world.clock.now().since(begun);
        assert!(
            silence >= pace().give_up_after && silence <= pace().give_up_after + 2 * pace().ask_after,
            "{silence:?}"
        );
        assert!((15..=20).contains(&world.questions), "{} questions", world.questions);
        assert_eq!(world.sent_bytes, 0);
    });
}

#[test]
fn after_a_broken_connection_the_next_sending_goes_on_where_the_last_one_stopped() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        assert!(world.run(cut_after(150_000)).await.is_none());
        world.send(order(5, 8, &file), &file);
        let received = world.received(calm).await;
        assert_eq!(received.round, Round::new(8));
        assert!(world.sent_bytes <= file.id().size_bytes - 150_000 + 2 * pace().window_bytes, "{}", world.sent_bytes);
        world.check(received, &file);
    });
}

/// The same sending, without a word from anybody: it asks when nothing comes.
#[test]
fn a_sending_goes_on_by_itself_when_the_network_is_back() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        assert!(world.run(cut_after(150_000)).await.is_none());
        world.in_flight.clear();
        let received = world.received(calm).await;
        assert!(world.sent_bytes <= file.id().size_bytes + 2 * pace().window_bytes, "{}", world.sent_bytes);
        world.check(received, &file);
    });
}

#[test]
fn after_a_restart_of_the_receiver_what_is_on_its_disk_is_not_sent_again() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        assert!(world.run(cut_after(200_000)).await.is_none());
        world.restart_follower();
        world.send(order(5, 8, &file), &file);
        let received = world.received(calm).await;
        assert!(world.sent_bytes < 200_000, "{} bytes", world.sent_bytes);
        world.check(received, &file);
    });
}

/// Nobody tells the sender of it. It hears that what it sends does not follow on.
#[test]
fn a_restart_of_the_receiver_in_the_middle_does_not_end_a_sending() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        assert!(world.run(cut_after(200_000)).await.is_none());
        world.restart_follower();
        let received = world.received(calm).await;
        world.check(received, &file);
    });
}

#[test]
fn a_new_leader_with_the_same_file_goes_on_with_it() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        assert!(world.run(cut_after(200_000)).await.is_none());
        // Equal machines write equal files.
        world.leader = open(&SimDisk::new(3));
        let same = write(&world.leader, 9);
        world.send(order(6, 2, &same), &same);
        let received = world.received(calm).await;
        assert_eq!((received.term, received.round), (Term::new(6), Round::new(2)));
        assert!(world.sent_bytes < 200_000, "{} bytes", world.sent_bytes);
        world.check(received, &file);
    });
}

#[test]
fn a_new_leader_with_another_file_begins_anew_and_late_chunks_of_the_old_one_do_not_count() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        let mut late = Vec::new();
        let mut cut = cut_after(200_000);
        let keep_and_cut = |in_flight: &mut Vec<Envelope>| {
            late.extend(in_flight.iter().filter(|envelope| chunk_bytes(envelope) > 0).cloned());
            cut(in_flight)
        };
        assert!(world.run(keep_and_cut).await.is_none());
        let newer = write(&world.leader, 12);
        world.send(order(6, 2, &newer), &newer);
        let received = world
            .received(|in_flight| {
                let mut arriving = std::mem::take(in_flight);
                arriving.extend(late.pop());
                Some(arriving)
            })
            .await;
        assert_eq!(received.snapshot.meta(), newer.meta());
        world.check(received, &newer);
    });
}

#[test]
fn what_is_not_what_was_announced_is_refused_and_the_sender_gives_up() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        let mut outcomes = BTreeSet::new();
        let end = world
            .run(|in_flight| {
                let mut arriving = std::mem::take(in_flight);
                for envelope in &mut arriving {
                    outcomes.extend(outcome(envelope).map(|outcome| outcome as u8));
                    let Body::SnapshotChunk(chunk) = &mut envelope.body else { continue };
                    if chunk.offset == 100_000 && !chunk.is_question() {
                        let mut bytes = chunk.bytes.to_vec();
                        bytes[77] ^= 1;
                        chunk.bytes = bytes.into();
                    }
                }
                Some(arriving)
            })
            .await;
        assert!(matches!(end, Some(End::Unreachable)), "{end:?}");
        assert!(outcomes.contains(&(SnapshotOutcome::Failed as u8)));
        // It was the network's fault: the next time it arrives.
        world.send(order(5, 8, &file), &file);
        let received = world.received(calm).await;
        world.check(received, &file);
    });
}

/// The sender asks on after all has arrived: what the core makes of it is not known yet.
#[test]
fn what_the_core_dropped_is_sent_again_and_what_it_keeps_is_not() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        let kept = world.received(calm).await;
        let mut wholes = 0;
        let still_there = |in_flight: &mut Vec<Envelope>| {
            wholes += in_flight.iter().filter(|envelope| outcome(envelope) == Some(SnapshotOutcome::Whole)).count();
            let arriving = std::mem::take(in_flight);
            (wholes < 5).then_some(arriving)
        };
        assert!(world.run(still_there).await.is_none());
        assert_eq!(world.sent_bytes, file.id().size_bytes);
        drop(kept);
        let again = world.received(calm).await;
        assert_eq!(world.sent_bytes, 2 * file.id().size_bytes);
        world.check(again, &file);
        // Adopted, it is this server's own, and the machine may still be loading it.
        let mut wholes = 0;
        let loading = |in_flight: &mut Vec<Envelope>| {
            wholes += in_flight.iter().filter(|envelope| outcome(envelope) == Some(SnapshotOutcome::Whole)).count();
            let arriving = std::mem::take(in_flight);
            (wholes < 5).then_some(arriving)
        };
        assert!(world.run(loading).await.is_none());
        assert_eq!(world.sent_bytes, 2 * file.id().size_bytes);
    });
}

#[test]
fn a_peer_that_needs_nothing_ends_the_sending() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        world.send(order(5, 7, &file), &file);
        let covered = |in_flight: &mut Vec<Envelope>| {
            let asked = in_flight.drain(..).next_back()?;
            let Body::SnapshotChunk(SnapshotChunk { round, id, .. }) = asked.body else { return None };
            let reply = SnapshotReply { id, round, received: id.size_bytes, outcome: SnapshotOutcome::Covered };
            Some(vec![Envelope { from: FOLLOWER, to: LEADER, group: GROUP, body: Body::SnapshotReply(reply) }])
        };
        let clock = world.clock.clone();
        let patience = pin!(clock.sleep(10 * pace().give_up_after));
        let is_quiet = matches!(select(pin!(world.run(covered)), patience).await, Either::Right(_));
        assert!(is_quiet, "nothing comes of it any more, not even that it gives up");
        assert_eq!((world.questions, world.sent_bytes), (1, 0));
    });
}

/// Remotes may say anything.
#[test]
fn answers_and_chunks_that_make_no_sense_are_ignored() {
    virtually(async {
        let mut world = World::new();
        let file = write(&world.leader, 9);
        let id = file.id();
        world.send(order(5, 7, &file), &file);
        let strange = SnapshotId { checksum: !id.checksum, ..id };
        let reply = |id: SnapshotId, round: u64, received, outcome| SnapshotReply {
            id,
            round: Round::new(round),
            received,
            outcome,
        };
        for reply in [
            reply(strange, 7, 0, SnapshotOutcome::Failed),
            reply(id, 6, 0, SnapshotOutcome::Covered),
            reply(id, 7, u64::MAX, SnapshotOutcome::Continue),
            reply(id, 7, id.size_bytes, SnapshotOutcome::Gap),
        ] {
            world.sending.as_ref().expect("it was begun").answered(reply);
        }
        let beyond = SnapshotChunk {
            term: Term::new(9),
            round: Round::new(9),
            id,
            offset: u64::MAX,
            bytes: Bytes::from_static(b"x"),
        };
        world.reception.arrived(LEADER, beyond, Credit::none());
        let received = world.received(calm).await;
        world.check(received, &file);
    });
}
