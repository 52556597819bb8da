//! Log entries as the payload of an AppendEntries.
//!
//! A sequence of runs of equal terms. Each run: its term as the difference to
//! the term before (the first to that of `prev`), its number of entries, then
//! the entries: length and kind in one number, then the bytes. Indexes are not
//! written, they follow from `prev`. So a gap or a falling term *cannot be
//! said* on the wire.

use raft_consensus::{Configuration, Entries, Entry, LogIndex, LogPosition, Payload, Term};

use super::frame::{FrameWriter, unpack};
use super::region::{Region, write_varint};
use super::{DecodeError, EncodeError};

/// The low bits of an entry's length say what the bytes are.
const KIND_BITS: u32 = 2;
const COMMAND: u64 = 0;
const NOOP: u64 = 1;
const CONFIGURATION: u64 = 2;

pub(super) fn write(prev: LogPosition, entries: &Entries, frame: &mut FrameWriter<'_>) -> Result<(), EncodeError> {
    // The budget's measure of an entry is its bytes plus 24; here it takes them plus at most 7 and its share of a run.
    let commands = entries.iter().map(|entry| match &entry.payload {
        Payload::Command(command) => command.len(),
        Payload::Noop | Payload::Configuration(_) => 0,
    });
    frame.reserve(commands.sum::<usize>() + entries.len())?;
    let mut previous = prev;
    for run in entries.slices().flat_map(|slice| slice.chunk_by(|a, b| a.position.term == b.position.term)) {
        let term = run[0].position.term;
        let not_consecutive = EncodeError::NotConsecutive { previous, found: run[0].position };
        let delta = term.get().checked_sub(previous.term.get()).ok_or(not_consecutive)?;
        let out = frame.payload();
        write_varint(out, delta);
        write_varint(out, run.len() as u64);
        for entry in run {
            let follows = previous.index.get().checked_add(1) == Some(entry.position.index.get());
            if !follows {
                return Err(EncodeError::NotConsecutive { previous, found: entry.position });
            }
            previous = entry.position;
            write_payload(out, &entry.payload);
        }
    }
    Ok(())
}

fn write_payload(out: &mut Vec<u8>, payload: &Payload) {
    let mut put = |kind: u64, bytes: &[u8]| {
        write_varint(out, (bytes.len() as u64) << KIND_BITS | kind);
        out.extend_from_slice(bytes);
    };
    match payload {
        Payload::Noop => put(NOOP, &[]),
        Payload::Command(command) => put(COMMAND, command),
        Payload::Configuration(configuration) => {
            let bytes =
                rmp_serde::to_vec_named(configuration).expect("sets and maps of numbers and text can be encoded");
            put(CONFIGURATION, &bytes);
        }
    }
}

pub(super) fn read(prev: LogPosition, count: u32, mut region: Region) -> Result<Entries, DecodeError> {
    let mut left = u64::from(count);
    let Some(last) = prev.index.get().checked_add(left) else {
        return Err(DecodeError::Payload("the indexes exceed 64 bits"));
    };
    let mut entries = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let mut term = prev.term.get();
    while left > 0 {
        let delta = region.varint()?;
        term = term.checked_add(delta).ok_or(DecodeError::Payload("a term exceeds 64 bits"))?;
        let run = region.varint()?;
        if run == 0 || run > left {
            return Err(DecodeError::Payload("a run of terms is empty or longer than the batch"));
        }
        for _ in 0..run {
            let index = LogIndex::new(last - left + 1);
            let payload = read_payload(&mut region)?;
            entries.push(Entry { position: LogPosition::new(Term::new(term), index), payload });
            left -= 1;
        }
    }
    region.finish()?;
    Ok(Entries::from(entries))
}

fn read_payload(region: &mut Region) -> Result<Payload, DecodeError> {
    let tag = region.varint()?;
    let (length, kind) = (tag >> KIND_BITS, tag & ((1 << KIND_BITS) - 1));
    let bytes = region.take(length)?;
    match kind {
        COMMAND => Ok(Payload::Command(bytes)),
        NOOP if bytes.is_empty() => Ok(Payload::Noop),
        NOOP => Err(DecodeError::Payload("a no-op carries bytes")),
        CONFIGURATION => match unpack::<Configuration>(&bytes) {
            Ok(configuration) => Ok(Payload::Configuration(Box::new(configuration))),
            Err(_) => Err(DecodeError::Payload("a configuration that is none")),
        },
        _ => Err(DecodeError::Payload("an entry of a kind that this build does not know")),
    }
}
