//! Peers that are too slow, or gone without a word.

use std::net::TcpListener;
use std::time::Duration;

use raft_actor::consensus::{AppendEntries, Entry, LogIndex, LogPosition, Message, Payload, Round, Term};
use raft_actor::envelope::{Body, Envelope};
use raft_transport::{Count, TcpOptions};

use crate::support::*;

/// Accepts one connection from `node`, lets it in as node 7, and leaves the rest to the test.
fn accept_as_seven(from: &Node, listener: &TcpListener) -> Raw {
    let mut raw = Raw::over(listener.accept().unwrap().0);
    let (kind, _): (u8, Greeting) = raw.read_header();
    assert_eq!(kind, GREETING);
    raw.write(&handshake_frame(WELCOME, &Welcome { version: 1, hello: hello(7) }));
    from.confirmed_by(node(7));
    raw
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn a_reader_that_never_reads_is_bounded_and_then_disconnected() {
    let options = TcpOptions { queue_bytes_max: 1 << 20, stall_timeout: Duration::from_millis(500), ..options() };
    let (a, friend) = (Node::start_with(hello(1), options), Node::start(2));
    a.connect(&friend);
    let (listener, address) = listener();
    a.set_address(node(7), &address);
    let _never_read = accept_as_seven(&a, &listener);
    // Far more than the kernel's buffers and the queue hold together.
    for mark in 0..1000 {
        a.send(bulky(a.id, node(7), mark, 100_000));
    }
    a.lost(node(7));
    assert!(a.count(Count::DroppedQueueFull) > 0);
    assert_eq!(a.count(Count::Disconnected), 0, "first the queue is full");
    assert!(a.counters.queue_bytes_peak() > (1 << 20) - 200_000 && a.counters.queue_bytes_peak() <= 1 << 20);
    a.send(message(a.id, friend.id, 1));
    assert_eq!(mark(&friend.delivered()), 1, "others do not wait for it");
    // Then it is given up, and tried again.
    let _second = Raw::over(listener.accept().unwrap().0);
    assert_eq!(a.count(Count::Disconnected), 1);
    assert_eq!(a.hung_up_so_far(), [], "silence is for election timeouts");
}

/// Scenario: a peer behind a line that swallows everything must not delay the others' heartbeats.
#[test]
fn a_black_hole_delays_nobody_else() {
    let options = TcpOptions { handshake_timeout: 100 * PATIENCE, connect_timeout: 100 * PATIENCE, ..options() };
    let (a, friend) = (Node::start_with(hello(1), options), Node::start(2));
    a.connect(&friend);
    // The kernel accepts the connection; nobody ever answers on it.
    let (_black_hole, address) = listener();
    a.set_address(node(7), &address);
    for mark in 0..100 {
        a.send(bulky(a.id, node(7), mark, 1000));
        a.send(message(a.id, friend.id, mark));
    }
    for expected in 0..100 {
        assert_eq!(mark(&friend.delivered()), expected);
        a.lost(node(7));
    }
    a.barrier();
    assert_eq!(a.count(Count::DroppedUnconnected), 100);
    assert_eq!(a.count(Count::BytesOut), 100 * frame(&message(a.id, friend.id, 0)).len() as u64);
}

#[test]
fn a_message_too_large_for_a_frame_is_dropped_and_the_next_one_sent() {
    let options = TcpOptions { frame_bytes_max: 1000, ..options() };
    let (a, b) = (Node::start_with(hello(1), options), Node::start(2));
    a.connect(&b);
    a.send(bulky(a.id, b.id, 1, 1000));
    a.lost(b.id);
    a.send(bulky(a.id, b.id, 2, 100));
    assert_eq!(mark(&b.delivered()), 2);
    assert_eq!(a.count(Count::DroppedUnsendable), 1);
}

const CREDIT_BYTES: u32 = 100_000;

#[test]
fn a_host_that_is_behind_holds_its_peers_back() {
    let sender = Node::start_with(hello(1), TcpOptions { queue_bytes_max: 1 << 20, ..options() });
    let slow = Node::start_with(hello(2), TcpOptions { credit_bytes: CREDIT_BYTES, ..options() });
    slow.hold_credit();
    sender.connect(&slow);
    for mark in 0..10_000 {
        sender.send(bulky(sender.id, slow.id, mark, 10_000));
    }
    // The receiver's credit, the kernel's buffers, then the sender's queue: it is full at last, and says so.
    sender.lost(slow.id);
    assert!(slow.held() <= CREDIT_BYTES as usize / 10_000, "{} messages at once", slow.held());
    assert_eq!(sender.count(Count::Disconnected), 0);
    sender.barrier();
    slow.release_credit();
    let delivered = sender.count(Count::MessagesOut);
    for _ in 0..delivered {
        slow.delivered();
    }
    assert_eq!(slow.count(Count::MessagesIn), delivered);
}

#[test]
fn who_reconnects_gets_no_second_credit() {
    let pair = Pair::start(TcpOptions { credit_bytes: CREDIT_BYTES, ..options() });
    pair.target.hold_credit();
    let whole = frame(&bulky(node(9), pair.target.id, 1, 30_000));
    for _ in 0..20 {
        let mut raw = Raw::admitted(9, &pair.target);
        raw.try_write(&whole);
    }
    let mut last = Raw::admitted(9, &pair.target);
    pair.still_serves_only_friends_beside(9);
    assert!(pair.target.held() <= 3 + 1, "three of node 9, one of the friend");
    last.write(&frame(&message(node(9), pair.target.id, 2)));
    pair.target.release_credit();
    pair.target.wait("the last message", |event| {
        matches!(&event, Event::Delivered(envelope) if mark(envelope) == 2).then_some(())
    });
}

#[test]
fn a_frame_larger_than_the_whole_credit_still_gets_through() {
    let target = Node::start_with(hello(1), TcpOptions { credit_bytes: 1000, ..options() });
    let mut raw = Raw::admitted(9, &target);
    for mark_sent in 0..3 {
        raw.write(&frame(&bulky(node(9), target.id, mark_sent, 50_000)));
        assert_eq!(mark(&target.delivered()), mark_sent);
    }
}

/// An entry without a command takes one byte on the wire and fifty in memory.
#[test]
fn many_tiny_entries_cost_the_credit_that_they_take_in_memory() {
    let pair = Pair::start(TcpOptions { credit_bytes: CREDIT_BYTES, ..options() });
    pair.target.hold_credit();
    let noops =
        |index| Entry { position: LogPosition::new(Term::new(1), LogIndex::new(index)), payload: Payload::Noop };
    let message = Message::AppendEntries(AppendEntries {
        term: Term::new(1),
        prev: LogPosition::default(),
        entries: (1..=1000).map(noops).collect(),
        commit: LogIndex::ZERO,
        round: Round::new(1),
        rest: false,
        repair: None,
    });
    let envelope = Envelope { body: Body::Raft(message), ..self::message(node(9), pair.target.id, 0) };
    let mut raw = Raw::admitted(9, &pair.target);
    raw.write(&frame(&envelope).repeat(20));
    let turns = 50;
    (0..turns).for_each(|_| pair.still_serves_only_friends_beside(9));
    assert!(pair.target.held() <= 2 + turns, "{} at once", pair.target.held() - turns);
}
