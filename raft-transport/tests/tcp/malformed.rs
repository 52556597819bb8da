//! Peers that were let in and then go wrong.

use proptest::prelude::*;
use raft_actor::consensus::{AppendEntries, Entries, Entry, LogIndex, LogPosition, Message, Payload, Round, Term};
use raft_actor::envelope::codec::frame::FrameWriter;
use raft_actor::envelope::{Body, Envelope};
use raft_transport::{Count, TcpOptions};
use serde::Serialize;

use crate::support::*;

const FRAME_BYTES_MAX: u32 = 64 << 10;

fn small_frames() -> TcpOptions {
    TcpOptions { frame_bytes_max: FRAME_BYTES_MAX, ..options() }
}

/// A message of node 9 with entries in it.
fn append(to: &Node, term: u64, index: u64) -> Envelope {
    let prev = LogPosition::new(Term::new(term), LogIndex::new(index));
    let at = |count| LogPosition::new(Term::new(term), LogIndex::new(index.saturating_add(count)));
    let entries = if index == u64::MAX {
        Entries::new()
    } else {
        let command = Payload::Command(bytes::Bytes::from_static(b"command"));
        Entries::from(vec![Entry { position: at(1), payload: command }])
    };
    let (commit, round) = (LogIndex::new(u64::MAX), Round::new(u64::MAX));
    let message = Message::AppendEntries(AppendEntries {
        term: Term::new(term),
        prev,
        entries,
        commit,
        round,
        rest: false,
        repair: None,
    });
    Envelope { body: Body::Raft(message), ..self::message(node(9), to.id, 0) }
}

/// A whole, undamaged frame with something strange in it.
fn forged<H: Serialize>(version: u8, kind: u8, header: &H, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, version, kind, header, u32::MAX);
    frame.payload().extend_from_slice(payload);
    frame.finish().unwrap();
    out
}

#[test]
fn frames_of_impossible_lengths_close_the_connection() {
    let pair = Pair::start(small_frames());
    for length in [0, 1, 9] {
        let mut raw = Raw::admitted(9, &pair.target);
        raw.write(&u32::to_be_bytes(length));
        raw.try_write(&vec![0; length as usize]);
        raw.wait_closed();
    }
    assert_eq!(pair.target.count(Count::ClosedFrameBroken), 3);
    for length in [FRAME_BYTES_MAX + 1, 1 << 30, u32::MAX] {
        let mut raw = Raw::admitted(9, &pair.target);
        // Closed on the length alone, before anything else is sent.
        raw.write(&length.to_be_bytes());
        raw.wait_closed();
    }
    assert_eq!(pair.target.count(Count::ClosedFrameTooLarge), 3);
    pair.still_serves_only_friends();
}

#[test]
fn a_frame_of_exactly_the_limit_is_taken_and_one_more_byte_is_not() {
    let target = Node::start_with(hello(1), small_frames());
    let mut raw = Raw::admitted(9, &target);
    let overhead = frame(&bulky(node(9), target.id, 1, 30_000)).len() - 30_000 - 4;
    let most = FRAME_BYTES_MAX as usize - overhead;
    let largest = bulky(node(9), target.id, 2, most);
    assert_eq!(frame(&largest).len(), FRAME_BYTES_MAX as usize + 4);
    raw.write(&frame(&largest));
    assert_eq!(target.delivered(), largest);
    raw.try_write(&frame(&bulky(node(9), target.id, 3, most + 1)));
    raw.wait_closed();
    assert_eq!(target.count(Count::ClosedFrameTooLarge), 1);
}

#[test]
fn a_frame_cut_at_any_byte_is_not_heard() {
    let pair = Pair::start(options());
    let whole = frame(&append(&pair.target, 3, 4));
    for end in 0..whole.len() {
        let mut raw = Raw::admitted(9, &pair.target);
        raw.write(&whole[..end]);
        raw.finish();
    }
    assert_eq!(pair.target.count(Count::ClosedByPeer), whole.len() as u64);
    pair.still_serves_only_friends();
}

#[test]
fn a_frame_with_any_byte_changed_closes_the_connection() {
    let pair = Pair::start(small_frames());
    let whole = frame(&append(&pair.target, 3, 4));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        let mut raw = Raw::admitted(9, &pair.target);
        raw.try_write(&changed);
        // A shorter length leaves a rest, a longer one waits for more: then it is over.
        raw.finish();
    }
    pair.still_serves_only_friends();
}

#[test]
fn a_frame_of_a_future_version_closes_the_connection() {
    let pair = Pair::start(options());
    let mut raw = Raw::admitted(9, &pair.target);
    raw.write(&forged(2, 16, &(), &[]));
    raw.wait_closed();
    assert_eq!(pair.target.count(Count::ClosedFrameBroken), 1);
    pair.still_serves_only_friends();
}

#[test]
fn whole_messages_that_make_no_sense_are_ignored_and_the_next_is_heard() {
    #[derive(Serialize)]
    struct Header<M> {
        from: u64,
        to: u64,
        group: u64,
        body: M,
    }
    #[derive(Serialize)]
    struct Append {
        term: u64,
        prev: LogPosition,
        commit: u64,
        round: u64,
        count: u32,
    }
    let pair = Pair::start(options());
    let to = pair.target.id.get();
    let append = |count| Header {
        from: 9,
        to,
        group: 1,
        body: Append { term: 1, prev: LogPosition::ZERO, commit: 0, round: 0, count },
    };
    let malformed = [
        ("a count of 2^32 - 1 in an empty body", forged(1, 20, &append(u32::MAX), &[])),
        ("a count of 2^20 in a short body", forged(1, 20, &append(1 << 20), &[0, 1, 1])),
        ("a run beyond the count", forged(1, 20, &append(1), &[0, 2, 1, 1])),
        (
            "a length of 2^62",
            forged(1, 20, &append(1), &[0, 1, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ),
        ("requests out of thin air", forged(1, 32, &append(u32::MAX), &[])),
        ("a header that is none", forged(1, 16, &(1, 2), &[])),
        ("a body that is none", forged(1, 16, &Header { from: 9, to, group: 1, body: "x" }, &[])),
    ];
    let mut raw = Raw::admitted(9, &pair.target);
    for (ignored, (what, bytes)) in (1..).zip(malformed) {
        raw.write(&bytes);
        raw.write(&frame(&message(node(9), pair.target.id, ignored)));
        assert_eq!(mark(&pair.target.delivered()), ignored, "{what}");
        assert_eq!(pair.target.count(Count::IgnoredMalformed), ignored, "{what}");
    }
    raw.write(&forged(1, 99, &append(0), b"from a later build"));
    raw.write(&frame(&message(node(9), pair.target.id, 77)));
    assert_eq!(mark(&pair.target.delivered()), 77);
    assert_eq!(pair.target.count(Count::IgnoredUnknownKind), 1);
    pair.still_serves_only_friends();
}

#[test]
fn numbers_at_the_end_of_their_range_are_passed_on_for_the_core_to_judge() {
    let target = Node::start(1);
    let mut raw = Raw::admitted(9, &target);
    for (term, index) in [(u64::MAX, 0), (0, u64::MAX - 1), (u64::MAX, u64::MAX)] {
        raw.write(&frame(&append(&target, term, index)));
        assert_eq!(target.delivered(), append(&target, term, index));
    }
}

#[test]
fn nobody_speaks_for_another_or_to_another() {
    let pair = Pair::start(options());
    let (us, friend) = (pair.target.id, pair.friend.id);
    let misaddressed = [message(friend, us, 1), message(us, us, 1), message(node(9), friend, 1)];
    for (closed, envelope) in (1..).zip(misaddressed) {
        let mut raw = Raw::admitted(9, &pair.target);
        raw.write(&frame(&envelope));
        raw.wait_closed();
        assert_eq!(pair.target.count(Count::ClosedMisaddressed), closed, "{envelope:?}");
    }
    pair.still_serves_only_friends();
}

#[test]
fn noise_from_a_peer_hurts_nobody_else() {
    let pair = Pair::start(small_frames());
    proptest!(ProptestConfig::with_cases(100), |(noise in proptest::collection::vec(any::<u8>(), 0..2000))| {
        let mut raw = Raw::admitted(9, &pair.target);
        raw.try_write(&noise);
        raw.finish();
    });
    pair.still_serves_only_friends();
}
