//! Pieces of snapshots, and their answers.

use proptest::prelude::*;

use super::*;
use crate::envelope::{SnapshotChunk, SnapshotOutcome};
use crate::state_machine::SnapshotId;

fn id(size_bytes: u64) -> SnapshotId {
    SnapshotId { position: LogPosition::new(Term::new(3), LogIndex::new(5)), size_bytes, checksum: 0xdead_beef }
}

fn chunk(size_bytes: u64, offset: u64, bytes: &'static [u8]) -> SnapshotChunk {
    let bytes = Bytes::from_static(bytes);
    SnapshotChunk { term: Term::new(9), round: Round::new(4), id: id(size_bytes), offset, bytes }
}

fn reply(size_bytes: u64, received: u64) -> SnapshotReply {
    SnapshotReply { id: id(size_bytes), round: Round::new(4), received, outcome: SnapshotOutcome::Continue }
}

/// How many frames are decoded, of `frame` cut at any byte, and of it with any byte set to any value under a correct checksum.
fn decoded_of_mutants(frame: &[u8], mut look: impl FnMut(Body)) {
    for end in 0..frame.len() - LENGTH_BYTES {
        assert!(decode(&body(frame)[..end]).is_err(), "cut at {end}");
    }
    let original = body(frame)[..frame.len() - LENGTH_BYTES - 4].to_vec();
    for at in 0..original.len() {
        for value in 0..=u8::MAX {
            let mut bytes = original.clone();
            bytes[at] = value;
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            if let Ok(envelope) = decode(&bytes) {
                look(envelope.body);
            }
        }
    }
}

#[test]
fn a_piece_may_be_empty_and_may_end_with_the_snapshot() {
    for chunk in [chunk(20, 0, b""), chunk(20, 10, b"0123456789"), chunk(20, 20, b""), chunk(0, 0, b"")] {
        let sent = envelope(Body::SnapshotChunk(chunk));
        assert_eq!(decode(body(&encoded(&sent))).unwrap(), sent);
    }
}

#[test]
fn a_piece_beyond_the_end_of_its_snapshot_is_refused() {
    let most = u64::MAX;
    for wrong in [chunk(20, 11, b"0123456789"), chunk(20, 21, b""), chunk(most, most, b"x"), chunk(0, 0, b"x")] {
        assert_eq!(wrong.end(), None);
        let frame = encoded(&envelope(Body::SnapshotChunk(wrong)));
        assert!(matches!(decode(body(&frame)), Err(DecodeError::Payload(_))));
    }
    let last = chunk(most, most - 1, b"x");
    assert_eq!(last.end(), Some(most));
    decode(body(&encoded(&envelope(Body::SnapshotChunk(last))))).unwrap();
}

#[test]
fn an_answer_that_counts_more_than_there_is_is_refused() {
    let frame = encoded(&envelope(Body::SnapshotReply(reply(20, 21))));
    assert!(matches!(decode(body(&frame)), Err(DecodeError::Payload(_))));
    for received in [0, 20] {
        decode(body(&encoded(&envelope(Body::SnapshotReply(reply(20, received)))))).unwrap();
    }
}

#[test]
fn a_changed_byte_of_a_piece_never_panics_and_never_leads_out_of_the_file() {
    let frame = encoded(&envelope(Body::SnapshotChunk(chunk(30, 10, b"0123456789"))));
    decoded_of_mutants(&frame, |body| match body {
        Body::SnapshotChunk(chunk) => assert!(chunk.end().is_some_and(|end| end <= chunk.id.size_bytes)),
        // The kind itself was changed to one of which the header knows enough.
        Body::SnapshotReply(_) | Body::Raft(_) | Body::Forward(_) | Body::ForwardReply(_) | Body::Pulse(_) => {}
    });
}

#[test]
fn a_changed_byte_of_an_answer_never_panics_and_never_counts_more_than_there_is() {
    let frame = encoded(&envelope(Body::SnapshotReply(reply(30, 10))));
    decoded_of_mutants(&frame, |body| match body {
        Body::SnapshotReply(reply) => assert!(reply.received <= reply.id.size_bytes),
        Body::SnapshotChunk(_) | Body::Raft(_) | Body::Forward(_) | Body::ForwardReply(_) | Body::Pulse(_) => {}
    });
}

/// An answer that this build does not know is no answer: whoever waits for one asks again.
#[test]
fn an_answer_of_a_later_build_is_refused() {
    #[derive(Serialize)]
    struct Later {
        id: SnapshotId,
        round: Round,
        received: u64,
        outcome: &'static str,
    }
    for (outcome, known) in [("Paused", false), ("Continue", true)] {
        let later = Later { id: id(9), round: Round::ZERO, received: 1, outcome };
        let header = Header { from: NodeId::from(1), to: NodeId::from(2), group: GroupId::from(3), body: later };
        let frame = forged(Kind::SnapshotReply.byte(), &header, &[]);
        assert_eq!(decode(super::body(&frame)).is_ok(), known, "{outcome}");
    }
}

#[test]
fn a_piece_does_not_keep_the_read_buffer_alive() {
    let frame = encoded(&envelope(Body::SnapshotChunk(chunk(30, 10, b"0123456789"))));
    let Body::SnapshotChunk(chunk) = decode(body(&frame)).unwrap().body else { panic!("this is a piece") };
    assert!(!frame.as_ptr_range().contains(&chunk.bytes.as_ptr()));
    assert!(chunk.bytes.is_unique());
}

/// Bodies of both kinds, all of them sound.
pub(super) fn any_body() -> impl Strategy<Value = Body> {
    let id = |size_bytes| {
        (position(), any::<u32>()).prop_map(move |(position, checksum)| SnapshotId { position, size_bytes, checksum })
    };
    let round = || any::<u64>().prop_map(Round::new);
    let chunk = (bytes(), any::<u64>(), any::<u32>()).prop_flat_map(move |(bytes, offset, behind)| {
        let offset = offset / 2;
        let size_bytes = offset + bytes.len() as u64 + u64::from(behind);
        (any::<u64>(), round(), id(size_bytes)).prop_map(move |(term, round, id)| {
            let (term, bytes) = (Term::new(term), bytes.clone());
            Body::SnapshotChunk(SnapshotChunk { term, round, id, offset, bytes })
        })
    });
    let outcome = prop_oneof![
        Just(SnapshotOutcome::Continue),
        Just(SnapshotOutcome::Gap),
        Just(SnapshotOutcome::Whole),
        Just(SnapshotOutcome::Covered),
        Just(SnapshotOutcome::Failed),
    ];
    let reply = (any::<u64>(), any::<u64>(), outcome).prop_flat_map(move |(a, b, outcome)| {
        (round(), id(a.max(b)))
            .prop_map(move |(round, id)| Body::SnapshotReply(SnapshotReply { id, round, received: a.min(b), outcome }))
    });
    prop_oneof![chunk, reply]
}
