//! How long it takes to encode and to decode 64 entries of 256 bytes.
//!
//! ```text
//! cargo run --release -p raft-transport --example codec_speed
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use raft_actor::consensus::{AppendEntries, Entries, Entry, LogIndex, LogPosition, Message, Payload, Round, Term};
use raft_actor::envelope::codec::{self, frame::LENGTH_BYTES};
use raft_actor::envelope::{Body, Envelope};

const ENTRIES: u64 = 64;
const ENTRY_BYTES: usize = 256;
const ROUNDS: u32 = 200;
const REPEATS: u32 = 1000;

fn main() {
    for (what, entries) in [("heartbeat", 0), ("batch of 64 x 256 B", ENTRIES)] {
        let envelope = append_entries(entries);
        let mut frame = Vec::new();
        let encode = best(|| {
            frame.clear();
            codec::encode(black_box(&envelope), u32::MAX, &mut frame).expect("it is well below the limit");
        });
        let decode = best(|| {
            black_box(codec::decode(black_box(&frame[LENGTH_BYTES..])).expect("it was just encoded"));
        });
        let checksum = best(|| {
            black_box(crc32fast::hash(black_box(&frame)));
        });
        let (encode, decode, checksum) = (encode.as_nanos(), decode.as_nanos(), checksum.as_nanos());
        println!(
            "{what}, {} bytes: encode {encode} ns, decode {decode} ns, of each {checksum} ns checksum",
            frame.len()
        );
    }
}

/// The shortest of many rounds: what it takes when nothing else disturbs.
fn best(mut work: impl FnMut()) -> Duration {
    let mut round = || {
        let start = Instant::now();
        (0..REPEATS).for_each(|_| work());
        start.elapsed() / REPEATS
    };
    (0..ROUNDS).map(|_| round()).min().expect("there are rounds")
}

fn append_entries(count: u64) -> Envelope {
    let position = |index| LogPosition::new(Term::new(3), LogIndex::new(index));
    let entry = |index| Entry { position: position(index), payload: Payload::Command(vec![7; ENTRY_BYTES].into()) };
    let message = Message::AppendEntries(AppendEntries {
        term: Term::new(3),
        prev: position(100_000),
        entries: Entries::from((0..count).map(|n| entry(100_001 + n)).collect::<Vec<_>>()),
        commit: LogIndex::new(99_999),
        round: Round::new(12_345),
    });
    Envelope { from: 1.into(), to: 2.into(), group: 1.into(), body: Body::Raft(message) }
}
