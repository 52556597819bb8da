use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use raft_consensus::{Entry, LogIndex, LogPosition, LogWrite, Payload, Round, Settings, Term};
use tokio::sync::mpsc as channel;

use super::*;

mod snapshots;

fn position(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Entries {
    indexes
        .map(|index| Entry { position: position(term, index), payload: Payload::Command(Bytes::from_static(b"x")) })
        .collect()
}

fn order(prev: LogPosition, through: LogPosition, round: u64) -> Replicate {
    let (peer, term, commit) = (NodeId::new(2), Term::new(3), LogIndex::ZERO);
    Replicate(ReplicationOrder { peer, term, prev, through, commit, round: Round::new(round) })
}

/// What a stream does: it sends, or it gives up on an order.
#[derive(Debug, PartialEq)]
enum Deed {
    Sent {
        round: u64,
        first: Option<LogPosition>,
        last: Option<LogPosition>,
    },
    Unreachable,
    /// The node is told that its log cannot be read.
    Told(String),
}

/// Transport and node of a stream.
struct Surroundings(channel::UnboundedSender<Deed>);

impl Outbound for Surroundings {
    fn send(&self, envelope: Envelope) -> bool {
        let Body::Raft(RaftMessage::AppendEntries(append)) = envelope.body else {
            panic!("a stream sends AppendEntries only");
        };
        let first = append.entries.first().map(|entry| entry.position);
        let last = append.entries.last_position();
        self.0.send(Deed::Sent { round: append.round.get(), first, last }).is_ok()
    }

    fn set_address(&self, _: NodeId, _: &str) {}

    fn forget(&self, _: NodeId) {}
}

impl Handler<PeerUnreachable> for Owner {
    type Result = ();

    fn handle(&mut self, _: PeerUnreachable, _: &mut Context<Self>) {
        self.0.send(Deed::Unreachable).expect("the test looks on");
    }
}

/// The node whose stream it is.
struct Owner(channel::UnboundedSender<Deed>);

impl Actor for Owner {
    type Context = Context<Self>;
}

impl Handler<Unreadable> for Owner {
    type Result = ();

    fn handle(&mut self, unreadable: Unreadable, _: &mut Context<Self>) {
        let Unreadable::Log(error) = unreadable else { panic!("a stream reads the log only: {unreadable:?}") };
        self.0.send(Deed::Told(error.to_string())).expect("the test looks on");
    }
}

/// A disk that answers when the test says what it holds.
struct Disk(Mutex<mpsc::Receiver<Result<Entries, LogError>>>);

impl LogReader for Disk {
    fn read(&self, _: GroupId, from: LogIndex, through: LogIndex, _: u64) -> Result<Entries, LogError> {
        let held = self.0.lock().expect("one read at a time").recv().expect("the test answers every read")?;
        Ok(held.range(from, through))
    }
}

struct Bench {
    context: StreamContext,
    stream: Addr<ReplicationStream>,
    /// It lives as long as somebody has its address.
    _owner: Addr<Owner>,
    cache: Rc<RefCell<LogCache>>,
    disk: mpsc::Sender<Result<Entries, LogError>>,
    deeds: channel::UnboundedReceiver<Deed>,
}

fn bench() -> Bench {
    let (done, deeds) = channel::unbounded_channel();
    let (disk, held) = mpsc::channel();
    let cache = Rc::new(RefCell::new(LogCache::new(1 << 20)));
    let owner = Owner(done.clone()).start();
    let context = StreamContext {
        node: NodeId::new(1),
        group: GroupId::new(1),
        cache: Rc::clone(&cache),
        reader: Arc::new(Disk(Mutex::new(held))),
        reader_is_fast: false,
        outbound: Rc::new(Surroundings(done)),
        unreadable: owner.downgrade().recipient(),
        unreachable: owner.downgrade().recipient(),
        snapshots: SnapshotStore::in_memory(GroupId::new(1)),
        pace: SnapshotPace::of(&Settings::default(), u64::MAX),
        clock: Clock::start(),
    };
    let stream = ReplicationStream::new(context.clone()).start();
    Bench { stream, _owner: owner, context, cache, disk, deeds }
}

fn sent(round: u64, first: LogPosition, last: LogPosition) -> Option<Deed> {
    Some(Deed::Sent { round, first: Some(first), last: Some(last) })
}

#[actix_rt::test]
async fn one_order_is_one_message_with_exactly_its_entries() {
    let mut bench = bench();
    bench.cache.borrow_mut().write(&LogWrite::Append(entries(3, 1..=9)));
    bench.stream.do_send(order(position(3, 2), position(3, 7), 1));
    assert_eq!(bench.deeds.recv().await, sent(1, position(3, 3), position(3, 7)));
}

/// The log may have been overwritten since the order was given, after this node ceased to lead.
#[actix_rt::test]
async fn a_stream_drops_an_order_whose_entries_were_overwritten_in_memory() {
    let mut bench = bench();
    bench.cache.borrow_mut().write(&LogWrite::Append(entries(3, 1..=5)));
    bench.cache.borrow_mut().write(&LogWrite::Replace(entries(4, 4..=6)));
    bench.disk.send(Ok(entries(4, 4..=6))).expect("the disk is there");
    bench.stream.do_send(order(position(3, 3), position(3, 5), 1));
    assert_eq!(bench.deeds.recv().await, Some(Deed::Unreachable));
}

/// The same while the read from disk is under way.
#[actix_rt::test]
async fn a_stream_drops_an_order_whose_entries_were_overwritten_on_disk() {
    let mut bench = bench();
    bench.stream.do_send(order(position(3, 3), position(3, 5), 1));
    bench.disk.send(Ok(entries(4, 4..=5))).expect("the disk is there");
    assert_eq!(bench.deeds.recv().await, Some(Deed::Unreachable));
}

#[actix_rt::test]
async fn a_stream_drops_an_order_of_which_the_disk_holds_less() {
    let mut bench = bench();
    bench.stream.do_send(order(position(3, 3), position(3, 5), 1));
    bench.disk.send(Ok(entries(3, 4..=4))).expect("the disk is there");
    assert_eq!(bench.deeds.recv().await, Some(Deed::Unreachable));
}

#[actix_rt::test]
async fn orders_keep_their_order_behind_a_read_from_disk() {
    let mut bench = bench();
    bench.cache.borrow_mut().write(&LogWrite::Append(entries(3, 6..=9)));
    bench.stream.do_send(order(position(3, 1), position(3, 3), 1));
    bench.stream.do_send(order(position(3, 3), position(3, 5), 2));
    bench.stream.do_send(order(position(3, 5), position(3, 9), 3));
    for _ in 0..2 {
        bench.disk.send(Ok(entries(3, 1..=9))).expect("the disk is there");
    }
    assert_eq!(bench.deeds.recv().await, sent(1, position(3, 2), position(3, 3)));
    assert_eq!(bench.deeds.recv().await, sent(2, position(3, 4), position(3, 5)));
    assert_eq!(bench.deeds.recv().await, sent(3, position(3, 6), position(3, 9)));
}

/// To read again gives the same, and whoever lacks these entries would wait for ever for a leader that cannot send them.
#[actix_rt::test]
async fn a_record_that_cannot_be_read_is_not_asked_for_again_and_the_node_is_told() {
    let rotten = || LogError::Damaged { path: "7.wal".into(), offset: 4096, what: "an entry", advice: "Start again" };
    let failing =
        || LogError::Io { action: "read", path: "7.wal".into(), source: std::io::Error::other("a bad sector") };
    for error in [rotten(), failing()] {
        let mut bench = bench();
        let words = error.to_string();
        bench.stream.do_send(order(position(3, 1), position(3, 3), 1));
        bench.disk.send(Err(error)).expect("the disk is there");
        assert_eq!(bench.deeds.recv().await, Some(Deed::Told(words)));
    }
}

#[actix_rt::test]
async fn a_log_that_has_stopped_makes_the_peer_unreachable_and_no_more() {
    let mut bench = bench();
    bench.stream.do_send(order(position(3, 1), position(3, 3), 1));
    bench.disk.send(Err(LogError::Stopped)).expect("the disk is there");
    assert_eq!(bench.deeds.recv().await, Some(Deed::Unreachable));
    bench.cache.borrow_mut().write(&LogWrite::Append(entries(3, 4..=4)));
    bench.stream.do_send(order(position(3, 3), position(3, 4), 2));
    assert_eq!(bench.deeds.recv().await, sent(2, position(3, 4), position(3, 4)));
}

#[actix_rt::test]
async fn what_the_cache_holds_is_sent_with_a_call_unless_it_would_overtake_a_read_from_disk() {
    let Replicate(first) = order(position(3, 5), position(3, 7), 1);
    let mut bench = bench();
    let mut peer = PeerStream::default();
    bench.cache.borrow_mut().write(&LogWrite::Append(entries(3, 6..=9)));
    peer.carry_out(&bench.context, first);
    assert_eq!(bench.deeds.try_recv().ok(), sent(1, position(3, 6), position(3, 7)));
    peer.carry_out(&bench.context, order(position(3, 1), position(3, 5), 2).0);
    peer.carry_out(&bench.context, order(position(3, 5), position(3, 9), 3).0);
    assert!(bench.deeds.try_recv().is_err(), "it waits for the disk");
    bench.disk.send(Ok(entries(3, 1..=9))).expect("the disk is there");
    assert_eq!(bench.deeds.recv().await, sent(2, position(3, 2), position(3, 5)));
    assert_eq!(bench.deeds.recv().await, sent(3, position(3, 6), position(3, 9)));
    peer.carry_out(&bench.context, order(position(3, 7), position(3, 9), 4).0);
    assert_eq!(bench.deeds.try_recv().ok(), sent(4, position(3, 8), position(3, 9)), "nothing is left to wait for");
}
