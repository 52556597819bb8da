use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use raft_consensus::{AppendOutcome, Configuration, DirectoryId, Entries, Entry, Payload};

use super::frame::LENGTH_BYTES;
use super::*;
use crate::envelope::ForwardError;

mod snapshot;

const LIMIT: u32 = 1 << 20;

fn encoded(envelope: &Envelope) -> Vec<u8> {
    let mut out = Vec::new();
    encode(envelope, LIMIT, &mut out).unwrap();
    out
}

/// What a reader hands to `decode`: the frame without its length field, which must be right.
fn body(frame: &[u8]) -> &[u8] {
    let (length, body) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
    body
}

fn envelope(body: Body) -> Envelope {
    Envelope { from: NodeId::from(1), to: NodeId::from(2), group: GroupId::from(3), body }
}

fn append_entries(prev: LogPosition, entries: Vec<Entry>) -> Envelope {
    envelope(Body::Raft(Message::AppendEntries(AppendEntries {
        term: Term::new(9),
        prev,
        entries: Entries::from(entries),
        commit: LogIndex::new(7),
        round: Round::new(4),
        rest: false,
        repair: None,
    })))
}

fn entry(term: u64, index: u64, payload: Payload) -> Entry {
    Entry { position: LogPosition::new(Term::new(term), LogIndex::new(index)), payload }
}

fn command(bytes: &'static [u8]) -> Payload {
    Payload::Command(Bytes::from_static(bytes))
}

/// A message of every kind of entry, small enough to try every byte of it.
fn sample() -> Envelope {
    let mut configuration = Configuration::of_voters([(NodeId::from(1), "a:1"), (NodeId::from(2), "b:2")]);
    configuration.directories.insert(NodeId::from(1), DirectoryId(u64::MAX));
    append_entries(
        LogPosition::new(Term::new(3), LogIndex::new(5)),
        vec![
            entry(3, 6, command(b"first")),
            entry(5, 7, Payload::Noop),
            entry(5, 8, Payload::Configuration(Box::new(configuration))),
            entry(6, 9, command(b"")),
        ],
    )
}

/// A frame with a correct checksum around whatever it is given: what a hostile peer would send.
fn forged<H: Serialize>(kind: u8, header: &H, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, VERSION, kind, header, u32::MAX);
    frame.payload().extend_from_slice(payload);
    frame.finish().unwrap();
    out
}

fn forged_append(prev: LogPosition, count: u32, payload: &[u8]) -> Result<Envelope, DecodeError> {
    let body = AppendEntriesHeader {
        term: Term::new(9),
        prev,
        commit: LogIndex::ZERO,
        round: Round::ZERO,
        count,
        rest: false,
        repair: None,
    };
    let header = Header { from: NodeId::from(1), to: NodeId::from(2), group: GroupId::from(3), body };
    decode(super::tests::body(&forged(Kind::AppendEntries.byte(), &header, payload)))
}

#[test]
fn a_frame_cut_at_any_byte_is_an_error() {
    let frame = encoded(&sample());
    for end in 0..frame.len() - LENGTH_BYTES {
        assert!(decode(&body(&frame)[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_frame_with_any_bit_flipped_is_an_error() {
    let frame = encoded(&sample());
    let mut bytes = body(&frame).to_vec();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(decode(&bytes).unwrap(), sample());
}

#[test]
fn a_changed_byte_under_a_correct_checksum_never_panics_and_never_makes_a_gap() {
    let frame = encoded(&sample());
    let original = body(&frame)[..frame.len() - LENGTH_BYTES - 4].to_vec();
    for at in 0..original.len() {
        for value in 0..=u8::MAX {
            let mut bytes = original.clone();
            bytes[at] = value;
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            if let Ok(Envelope { body: Body::Raft(Message::AppendEntries(append)), .. }) = decode(&bytes) {
                assert_consecutive(&append);
            }
        }
    }
}

fn assert_consecutive(append: &AppendEntries) {
    let mut previous = append.prev;
    for entry in append.entries.iter() {
        assert_eq!(Some(entry.position.index.get()), previous.index.get().checked_add(1));
        assert!(entry.position.term >= previous.term);
        previous = entry.position;
    }
}

#[test]
fn counts_out_of_thin_air_are_refused_before_anything_is_allocated() {
    for count in [1, 2, ITEMS_MAX, ITEMS_MAX + 1, u32::MAX] {
        let error = forged_append(LogPosition::ZERO, count, &[]).unwrap_err();
        assert!(matches!(error, DecodeError::Payload(_)), "{count}: {error}");
    }
    // A run, or an item, that is longer than the body.
    for number in [2, u64::from(u32::MAX), u64::MAX] {
        let mut run = vec![0];
        region::write_varint(&mut run, number);
        forged_append(LogPosition::ZERO, 1, &run).unwrap_err();
        let mut item = vec![0, 1];
        region::write_varint(&mut item, number << 2);
        forged_append(LogPosition::ZERO, 1, &item).unwrap_err();
    }
}

#[test]
fn numbers_of_more_than_64_bits_are_refused() {
    forged_append(LogPosition::ZERO, 1, &[0xff; 11]).unwrap_err();
    forged_append(LogPosition::ZERO, 1, &[[0x80; 9].as_slice(), &[2, 1, 1]].concat()).unwrap_err();
    // 2^63 in ten bytes is one that fits; it is the term here.
    let high = forged_append(LogPosition::ZERO, 1, &[[0x80; 9].as_slice(), &[1, 1, 1]].concat()).unwrap();
    assert!(matches!(high.body, Body::Raft(Message::AppendEntries(append))
        if append.entries.first().unwrap().position.term == Term::new(1 << 63)));
}

#[test]
fn terms_and_indexes_at_the_end_of_the_range_cannot_wrap() {
    let last_index = LogPosition::new(Term::new(1), LogIndex::new(u64::MAX));
    forged_append(last_index, 1, &[0, 1, 1]).unwrap_err();
    forged_append(last_index, 0, &[]).unwrap();
    let last_term = LogPosition::new(Term::new(u64::MAX), LogIndex::new(1));
    forged_append(last_term, 1, &[1, 1, 1]).unwrap_err();
    let frame = encoded(&append_entries(last_term, vec![entry(u64::MAX, 2, command(b"x"))]));
    decode(body(&frame)).unwrap();
}

#[test]
fn payloads_that_mean_nothing_are_refused() {
    let cases: [(&str, u32, &[u8]); 6] = [
        ("bytes are left over", 1, &[0, 1, 1, 7]),
        ("a run of no entries", 1, &[0, 0, 0]),
        ("an entry of an unknown kind", 1, &[0, 1, 3]),
        ("a no-op with bytes", 1, &[0, 1, 1 << 2 | 1, 0]),
        ("a configuration that is none", 1, &[0, 1, 1 << 2 | 2, 0xc1]),
        ("bytes and no entries", 0, &[0]),
    ];
    for (what, count, payload) in cases {
        assert!(forged_append(LogPosition::ZERO, count, payload).is_err(), "{what}");
    }
}

#[test]
fn an_unknown_kind_and_a_future_version_are_told_apart_from_damage() {
    let unknown = forged(99, &(), &[]);
    assert!(matches!(decode(body(&unknown)), Err(DecodeError::UnknownKind { kind: 99 })));
    let mut future = body(&encoded(&sample())).to_vec();
    future[0] = VERSION + 1;
    assert!(matches!(decode(&future), Err(DecodeError::Frame(FrameError::Version { .. }))));
}

#[test]
fn header_fields_of_a_later_build_are_skipped() {
    #[derive(Serialize)]
    struct Later {
        body: BTreeMap<&'static str, u64>,
        added: Vec<Vec<u64>>,
        from: u64,
        group: u64,
        to: u64,
    }
    let body = BTreeMap::from([("term", 4), ("granted_until", 8)]);
    let mut later = Later { body, added: vec![vec![1, 2]], from: 1, group: 3, to: 2 };
    let kind = Kind::PreVoteReply.byte();
    // A field that we need and do not get is an error; one that we do not need is not.
    decode(super::tests::body(&forged(kind, &later, &[]))).unwrap_err();
    later.body = BTreeMap::from([("id", 1), ("first", 0), ("count", 0), ("more", 2)]);
    let reply = decode(super::tests::body(&forged(Kind::ForwardReply.byte(), &later, &[]))).unwrap();
    assert_eq!(reply, envelope(Body::ForwardReply(ForwardReply { id: 1, first: 0, outcomes: vec![] })));
}

/// In logs and snapshots, too: a configuration looks the same everywhere.
#[test]
fn a_configuration_of_an_earlier_build_records_no_directories_and_that_build_skips_ours() {
    #[derive(Serialize, Deserialize)]
    struct Earlier {
        voters: BTreeSet<NodeId>,
        addresses: BTreeMap<NodeId, String>,
    }
    let unrecorded = Configuration::of_voters([(NodeId::from(1), "a:1")]);
    let mut ours = unrecorded.clone();
    ours.directories.insert(NodeId::from(1), DirectoryId(7));
    let as_earlier: Earlier = rmp_serde::from_slice(&rmp_serde::to_vec_named(&ours).unwrap()).unwrap();
    let theirs = rmp_serde::to_vec_named(&as_earlier).unwrap();
    assert_eq!(rmp_serde::from_slice::<Configuration>(&theirs).unwrap(), unrecorded);
    assert_eq!(rmp_serde::to_vec_named(&unrecorded).unwrap(), theirs, "what is not recorded takes no room");
}

#[test]
fn headers_that_nest_without_end_do_not_exhaust_the_stack() {
    // A map with one unknown field, which holds arrays in arrays.
    let header = [&[0x81, 0xa1, b'x'][..], &[0x91; 1 << 20]].concat();
    let mut bytes = vec![VERSION, Kind::PreVote.byte()];
    bytes.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    assert!(matches!(decode(&bytes), Err(DecodeError::Header(_))));
}

#[test]
fn a_reason_of_a_later_build_counts_as_unknown() {
    let body = ForwardReplyHeader { id: 1, first: 0, count: 1 };
    let header = Header { from: NodeId::from(1), to: NodeId::from(2), group: GroupId::from(3), body };
    let mut payload = rmp_serde::to_vec_named("QuotaExceeded").unwrap();
    payload.insert(0, u8::try_from(payload.len() << 1 | 1).unwrap());
    let reply = decode(super::tests::body(&forged(Kind::ForwardReply.byte(), &header, &payload))).unwrap();
    let outcomes = vec![Err(ForwardError::Unknown)];
    assert_eq!(reply, envelope(Body::ForwardReply(ForwardReply { id: 1, first: 0, outcomes })));
}

#[test]
fn a_frame_that_would_be_too_large_leaves_the_buffer_as_it_was() {
    let frame = encoded(&sample());
    let exactly = u32::try_from(body(&frame).len()).unwrap();
    let mut out = b"before".to_vec();
    let error = encode(&sample(), exactly - 1, &mut out).unwrap_err();
    assert!(matches!(error, EncodeError::TooLarge(TooLarge { bytes_max, .. }) if bytes_max == exactly - 1));
    assert_eq!(out, b"before");
    encode(&sample(), exactly, &mut out).unwrap();
    assert_eq!(out[6..], frame);
}

#[test]
fn entries_with_a_gap_or_a_falling_term_are_not_sent() {
    let prev = LogPosition::new(Term::new(3), LogIndex::new(5));
    let wrong = [
        vec![entry(3, 7, Payload::Noop)],
        vec![entry(3, 6, Payload::Noop), entry(3, 8, Payload::Noop)],
        vec![entry(3, 6, Payload::Noop), entry(3, 6, Payload::Noop)],
        vec![entry(2, 6, Payload::Noop)],
        vec![entry(4, 6, Payload::Noop), entry(3, 7, Payload::Noop)],
    ];
    for entries in wrong {
        let mut out = Vec::new();
        let error = encode(&append_entries(prev, entries), LIMIT, &mut out).unwrap_err();
        assert!(matches!(error, EncodeError::NotConsecutive { .. }), "{error}");
        assert!(out.is_empty());
    }
}

#[test]
fn entries_share_one_copy_that_is_not_the_read_buffer() {
    let frame = encoded(&append_entries(
        LogPosition::ZERO,
        vec![entry(1, 1, command(b"first")), entry(1, 2, command(b"second"))],
    ));
    let Body::Raft(Message::AppendEntries(append)) = decode(body(&frame)).unwrap().body else {
        panic!("this is an AppendEntries");
    };
    for entry in append.entries.iter() {
        let Payload::Command(command) = &entry.payload else { panic!("both are commands") };
        assert!(!frame.as_ptr_range().contains(&command.as_ptr()));
        assert!(!command.is_unique(), "the allocation is shared by the entries of the batch");
    }
}

fn position() -> impl Strategy<Value = LogPosition> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, index)| LogPosition::new(Term::new(term), LogIndex::new(index)))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 100..300)].prop_map(Bytes::from)
}

fn payload() -> impl Strategy<Value = Payload> {
    let members = vec((any::<u64>().prop_map(NodeId::from), "[a-z]{0,12}:[0-9]{1,5}"), 0..6);
    prop_oneof![
        6 => bytes().prop_map(Payload::Command),
        1 => Just(Payload::Noop),
        1 => members.prop_map(|members| Payload::Configuration(Box::new(Configuration::of_voters(members)))),
    ]
}

fn append() -> impl Strategy<Value = Message> {
    let entries = vec((prop_oneof![4 => Just(0_u64), 1 => 0..u64::MAX / 64], payload()), 0..40);
    let prev = (0..u64::MAX / 4, 0..u64::MAX - 64);
    (any::<u64>(), prev, entries, any::<u64>(), any::<u64>(), 0..40_usize).prop_map(
        |(term, (prev_term, prev_index), payloads, commit, round, split)| {
            let prev = LogPosition::new(Term::new(prev_term), LogIndex::new(prev_index));
            let mut at = prev;
            let mut entries = Vec::new();
            for (delta, payload) in payloads {
                at = LogPosition::new(Term::new(at.term.get().saturating_add(delta)), at.index.next());
                entries.push(Entry { position: at, payload });
            }
            // Two pieces, as after two batches of proposals; runs may cross them.
            let second = entries.split_off(split.min(entries.len()));
            let mut entries = Entries::from(entries);
            entries.append(Entries::from(second));
            let (term, commit, round) = (Term::new(term), LogIndex::new(commit), Round::new(round));
            let rest = round.get() % 2 == 0;
            Message::AppendEntries(AppendEntries { term, prev, entries, commit, round, rest, repair: None })
        },
    )
}

fn outcome() -> impl Strategy<Value = AppendOutcome> {
    let index = || any::<u64>().prop_map(LogIndex::new);
    prop_oneof![
        index().prop_map(|durable| AppendOutcome::Matched { durable }),
        (index(), position()).prop_map(|(refused, hint)| AppendOutcome::Conflict { refused, hint }),
        Just(AppendOutcome::Stale),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let term = || any::<u64>().prop_map(Term::new);
    let small = prop_oneof![
        (term(), position()).prop_map(|(term, last)| Message::PreVote(PreVote { term, last })),
        (term(), any::<bool>()).prop_map(|(term, granted)| Message::PreVoteReply(PreVoteReply { term, granted })),
        (term(), position(), any::<bool>()).prop_map(|(term, last, leadership_transfer)| {
            Message::RequestVote(RequestVote { term, last, leadership_transfer })
        }),
        (term(), any::<bool>())
            .prop_map(|(term, granted)| Message::RequestVoteReply(RequestVoteReply { term, granted })),
        (term(), any::<u64>().prop_map(Round::new), outcome()).prop_map(|(term, round, outcome)| {
            Message::AppendEntriesReply(AppendEntriesReply { term, round, outcome, damage: None })
        }),
        term().prop_map(|term| Message::TimeoutNow(TimeoutNow { term })),
    ];
    prop_oneof![small, append()]
}

fn forward_error() -> impl Strategy<Value = ForwardError> {
    prop_oneof![
        proptest::option::of(any::<u64>().prop_map(NodeId::from)).prop_map(|leader| ForwardError::NotLeader { leader }),
        Just(ForwardError::Overloaded),
        Just(ForwardError::BadRequest),
        Just(ForwardError::SessionExpired),
        Just(ForwardError::Unknown),
        Just(ForwardError::Forgotten),
        Just(ForwardError::ShuttingDown),
    ]
}

fn any_envelope() -> impl Strategy<Value = Envelope> {
    let kind = prop_oneof![
        Just(ForwardKind::Write),
        Just(ForwardKind::Read),
        Just(ForwardKind::LeaseRead),
        Just(ForwardKind::Membership),
        Just(ForwardKind::Transfer)
    ];
    let forward =
        (any::<u64>(), any::<u32>(), kind, proptest::option::of(any::<u64>().prop_map(Term::new)), vec(bytes(), 0..20))
            .prop_map(|(id, timeout_ms, kind, term, requests)| Forward { id, timeout_ms, kind, term, requests });
    let outcome = prop_oneof![2 => bytes().prop_map(Ok), 1 => forward_error().prop_map(Err)];
    let reply = (any::<u64>(), any::<u32>(), vec(outcome, 0..20)).prop_map(|(id, first, outcomes)| ForwardReply {
        id,
        first,
        outcomes,
    });
    let body = prop_oneof![
        4 => message().prop_map(Body::Raft),
        1 => forward.prop_map(Body::Forward),
        1 => reply.prop_map(Body::ForwardReply),
        1 => snapshot::any_body(),
    ];
    (any::<u64>(), any::<u64>(), any::<u64>(), body).prop_map(|(from, to, group, body)| Envelope {
        from: NodeId::from(from),
        to: NodeId::from(to),
        group: GroupId::from(group),
        body,
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(envelope in any_envelope()) {
        prop_assert_eq!(decode(body(&encoded(&envelope))).unwrap(), envelope);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn arbitrary_payloads_under_a_correct_header_never_panic(count in 0..40_u32, payload in vec(any::<u8>(), 0..100)) {
        if let Ok(Envelope { body: Body::Raft(Message::AppendEntries(append)), .. }) =
            forged_append(LogPosition::ZERO, count, &payload)
        {
            prop_assert_eq!(append.entries.len(), count as usize);
            assert_consecutive(&append);
        }
    }
}
