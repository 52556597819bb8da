//! The connection that snapshots have for themselves.

use std::net::TcpListener;
use std::time::Duration;

use raft_actor::consensus::{GroupId, LogIndex, LogPosition, Round, Term};
use raft_actor::envelope::{Body, Envelope, SnapshotChunk, SnapshotOutcome, SnapshotReply};
use raft_actor::state_machine::SnapshotId;
use raft_transport::{Count, TcpOptions};

use crate::support::*;

const CHUNK_BYTES: usize = 100_000;

fn id() -> SnapshotId {
    SnapshotId { position: LogPosition::new(Term::new(1), LogIndex::new(9)), size_bytes: 1 << 40, checksum: 7 }
}

/// A piece of a snapshot that begins at `offset`, which marks it.
fn chunk(from: &Node, to: raft_actor::NodeId, offset: u64) -> Envelope {
    let (term, round, bytes) = (Term::new(1), Round::new(1), vec![7; CHUNK_BYTES].into());
    let body = Body::SnapshotChunk(SnapshotChunk { term, round, id: id(), offset, bytes });
    Envelope { from: from.id, to, group: GroupId::from(1), body }
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Accepts a connection as node 7; says which lane it is for.
fn accept(listener: &TcpListener) -> (Raw, String) {
    let mut raw = Raw::over(listener.accept().unwrap().0);
    let (kind, greeting): (u8, Greeting) = raw.read_header();
    assert_eq!(kind, GREETING);
    raw.write(&handshake_frame(WELCOME, &Welcome { version: 1, hello: hello(7) }));
    (raw, greeting.lane)
}

/// Node 1 with a connection to node 7, which the test plays.
fn with_seven(options: TcpOptions) -> (Node, TcpListener, Raw) {
    let a = Node::start_with(hello(1), options);
    let (listener, address) = listener();
    a.set_address(node(7), &address);
    let (raft, lane) = accept(&listener);
    assert_eq!(lane, "Raft");
    a.confirmed_by(node(7));
    (a, listener, raft)
}

#[test]
fn pieces_of_snapshots_have_a_connection_of_their_own_which_the_first_opens() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.connect(&b);
    assert_eq!(a.count(Count::BulkConnected), 0);
    for at in 0..20 {
        a.send(chunk(&a, b.id, at));
    }
    for at in 0..20 {
        assert_eq!(b.delivered(), chunk(&a, b.id, at), "none is lost while it opens");
    }
    assert_eq!((a.count(Count::BulkConnected), a.count(Count::Connected)), (1, 1));
    assert!(b.count(Count::BulkBytesIn) > 20 * CHUNK_BYTES as u64);
    a.eventually("they are counted", |a| a.count(Count::BulkBytesOut) > 20 * CHUNK_BYTES as u64);
}

#[test]
fn answers_take_the_way_of_the_heartbeats() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.connect(&b);
    let reply = SnapshotReply { id: id(), round: Round::new(1), received: 5, outcome: SnapshotOutcome::Continue };
    let sent = Envelope { from: a.id, to: b.id, group: GroupId::from(1), body: Body::SnapshotReply(reply) };
    a.send(sent.clone());
    assert_eq!(b.delivered(), sent);
    assert_eq!(a.count(Count::BulkConnected), 0);
}

/// Scenario: a snapshot's transfer must not block heartbeats, however slowly its receiver takes it.
#[test]
fn a_peer_that_reads_no_snapshots_gets_every_heartbeat_and_costs_bounded_memory() {
    let options = TcpOptions {
        bulk_queue_bytes_max: 1 << 20,
        stall_timeout: 100 * PATIENCE,
        bulk_idle_timeout: 100 * PATIENCE,
        ..options()
    };
    let (a, listener, mut raft) = with_seven(options);
    a.send(chunk(&a, node(7), 0));
    let (_never_read, lane) = accept(&listener);
    assert_eq!(lane, "Bulk");
    // Far more than the kernel's buffers and the queue hold together; after each some heartbeats.
    for at in 1..1000 {
        a.send(chunk(&a, node(7), at));
        a.send(message(a.id, node(7), at));
        assert_eq!(raft.read_frame(), frame(&message(a.id, node(7), at))[4..]);
    }
    assert!(a.count(Count::BulkDropped) > 0);
    assert_eq!(a.count(Count::BulkDropped), a.count(Count::DroppedQueueFull));
    let peak = a.counters.bulk_queue_bytes_peak();
    assert!(peak > (1 << 20) - 2 * CHUNK_BYTES as u64 && peak <= 1 << 20, "{peak}");
    assert!(a.counters.queue_bytes_peak() < 1000);
    assert_eq!(a.lost_so_far(), [], "the way of the heartbeats is open");
}

#[test]
fn a_host_that_is_slow_with_snapshots_holds_only_them_back() {
    const CREDIT_BYTES: u32 = 4 * CHUNK_BYTES as u32;
    let a = Node::start_with(hello(1), options());
    let slow = Node::start_with(hello(2), TcpOptions { credit_bytes: CREDIT_BYTES, ..options() });
    a.connect(&slow);
    slow.hold_credit_of(|envelope| matches!(envelope.body, Body::SnapshotChunk(_)));
    for at in 0..50 {
        a.send(chunk(&a, slow.id, at));
    }
    for at in 0..1000 {
        a.send(message(a.id, slow.id, 1000 + at));
    }
    for at in 0..1000 {
        let arrived = slow.wait("a heartbeat", |event| match event {
            Event::Delivered(envelope) if matches!(envelope.body, Body::Raft(_)) => Some(envelope),
            _ => None,
        });
        assert_eq!(mark(&arrived), 1000 + at);
    }
    assert!(slow.held() <= 4, "{} pieces at once", slow.held());
}

/// Scenario: a connection that nobody serves any more. The snapshot's sender asks again, on a new one.
#[test]
fn a_stalled_connection_is_given_up_and_the_next_piece_opens_another() {
    let options = TcpOptions { bulk_queue_bytes_max: 16 << 20, stall_timeout: Duration::from_millis(300), ..options() };
    let (a, listener, mut raft) = with_seven(options);
    a.send(chunk(&a, node(7), 0));
    let (_never_read, _) = accept(&listener);
    (1..150).for_each(|at| a.send(chunk(&a, node(7), at)));
    a.eventually("the stalled connection is given up", |a| a.count(Count::BulkDisconnected) == 1);
    // Before it is time for another attempt, pieces are dropped; then one of them opens a connection.
    listener.set_nonblocking(true).unwrap();
    a.eventually("another one is opened", |a| {
        a.send(chunk(a, node(7), 1_000));
        a.barrier();
        listener.accept().is_ok()
    });
    a.send(message(a.id, node(7), 5));
    assert_eq!(raft.read_frame(), frame(&message(a.id, node(7), 5))[4..], "the other one was never touched");
    assert_eq!(a.lost_so_far(), []);
}

#[test]
fn a_connection_without_anything_to_send_is_closed_and_opened_again_when_needed() {
    let options = TcpOptions { bulk_idle_timeout: Duration::from_millis(50), ..options() };
    let (a, b) = (Node::start_with(hello(1), options), Node::start(2));
    a.connect(&b);
    for round in 1..=3 {
        a.send(chunk(&a, b.id, round));
        assert_eq!(mark(&b.delivered()), round);
        a.eventually("it is closed", |a| a.count(Count::BulkClosedIdle) == round);
    }
    assert_eq!(a.count(Count::BulkConnected), 3);
    assert_eq!((a.count(Count::Disconnected), a.count(Count::BulkDisconnected)), (0, 0));
    assert_eq!(a.lost_so_far(), [], "no follower takes it for the loss of a leader");
}

#[test]
fn a_snapshot_for_a_peer_that_does_not_answer_is_dropped_in_bounded_time() {
    let options = TcpOptions { handshake_timeout: Duration::from_millis(200), ..options() };
    let (a, _listener, mut raft) = with_seven(options);
    // The kernel accepts the connection; nobody ever answers on it.
    a.send(chunk(&a, node(7), 0));
    a.eventually("the attempt ends", |a| a.count(Count::ConnectFailed) == 1);
    a.send(chunk(&a, node(7), 1));
    a.barrier();
    a.send(message(a.id, node(7), 5));
    assert_eq!(raft.read_frame(), frame(&message(a.id, node(7), 5))[4..]);
}
