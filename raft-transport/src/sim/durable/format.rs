//! The bytes of a log, as `docs/LOG.md` describes them.

use std::collections::BTreeMap;

use crc32fast::Hasher;
use raft_actor::consensus::{Configuration, DamageId, GroupId, HardState, LogIndex, LogPosition, NodeId, Term};
use serde::Deserialize;

use super::PayloadKind;

const HEADER_BYTES: usize = 48;
const FORMAT_VERSION: u32 = 1;

const LAST: u8 = 1;
const MOVED: u8 = 2;
const VOTED: u8 = 4;
const DAMAGED: u8 = 8;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Segment,
    GroupState,
    HardState,
    Entry(PayloadKind),
    Truncate,
    Reset,
    Purge,
    Barrier,
    Seal,
}

impl Kind {
    fn of_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Segment,
            2 => Self::GroupState,
            3 => Self::HardState,
            4 => Self::Entry(PayloadKind::Noop),
            5 => Self::Entry(PayloadKind::Command),
            6 => Self::Entry(PayloadKind::Configuration),
            7 => Self::Truncate,
            8 => Self::Reset,
            9 => Self::Purge,
            10 => Self::Barrier,
            11 => Self::Seal,
            _ => return None,
        })
    }
}

/// A valid record where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) kind: Kind,
    /// Number of its batch within the segment.
    pub(super) batch: u32,
    /// Whether it is the last one of its batch.
    pub(super) is_last: bool,
    /// Whether it is an entry that stood elsewhere before.
    pub(super) is_moved: bool,
    pub(super) has_vote: bool,
    pub(super) is_damaged: bool,
    pub(super) group: GroupId,
    pub(super) term: u64,
    pub(super) index: u64,
    pub(super) payload: &'a [u8],
    /// Bytes of header and payload.
    pub(super) length: usize,
    /// Where the next record begins.
    pub(super) end: usize,
}

impl Raw<'_> {
    /// Term, vote and the mark of a damage, of a hard state.
    pub(super) fn hard_state(&self) -> Result<HardState, &'static str> {
        let vote = self.has_vote.then(|| NodeId::new(self.index));
        let number: [u8; 8] = match (self.is_damaged, self.payload.is_empty()) {
            (false, true) => return Ok(HardState { term: Term::new(self.term), vote, damage: None }),
            (false, false) => return Err("a hard state carries what it should not"),
            (true, _) => self.payload.try_into().map_err(|_| "the mark of a damage has no number")?,
        };
        let damage = Some(DamageId(u64::from_le_bytes(number)));
        Ok(HardState { term: Term::new(self.term), vote, damage })
    }

    pub(super) fn position(&self) -> LogPosition {
        LogPosition::new(Term::new(self.term), LogIndex::new(self.index))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes are eight bytes"))
}

/// A header that was written at `offset` of segment `epoch`.
fn header_at(bytes: &[u8], offset: usize, epoch: u32) -> Option<&[u8]> {
    let header = bytes.get(offset..offset + HEADER_BYTES)?;
    // First what is cheap: most places hold none.
    if u32_at(header, 12) != epoch {
        return None;
    }
    let mut hasher = Hasher::new_with_initial(u32::try_from(offset).ok()?);
    hasher.update(&header[4..]);
    (hasher.finalize() == u32_at(header, 0)).then_some(header)
}

/// The valid record at `offset` of segment `epoch`, if there is one.
pub(super) fn record_at(bytes: &[u8], offset: usize, epoch: u32) -> Option<Raw<'_>> {
    let header = header_at(bytes, offset, epoch)?;
    let length = HEADER_BYTES + u32_at(header, 8) as usize;
    let payload = bytes.get(offset + HEADER_BYTES..offset + length)?;
    if crc32fast::hash(payload) != u32_at(header, 4) {
        return None;
    }
    let flags = header[21];
    Some(Raw {
        kind: Kind::of_byte(header[20])?,
        batch: u32_at(header, 16),
        is_last: flags & LAST != 0,
        is_moved: flags & MOVED != 0,
        has_vote: flags & VOTED != 0,
        is_damaged: flags & DAMAGED != 0,
        group: GroupId::new(u64_at(header, 24)),
        term: u64_at(header, 32),
        index: u64_at(header, 40),
        payload,
        length,
        end: offset + length.next_multiple_of(8),
    })
}

/// Whether a header of batch `batch` or a later one stands anywhere at or behind `from`.
pub(super) fn holds_batch(bytes: &[u8], from: usize, epoch: u32, batch: u32) -> bool {
    let mut places = (from.next_multiple_of(8)..bytes.len()).step_by(8);
    places.any(|place| header_at(bytes, place, epoch).is_some_and(|header| u32_at(header, 16) >= batch))
}

/// The payload of a segment's first record.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Beginning {
    version: u32,
    /// Number of the first batch in the whole log.
    pub(super) first_batch: u64,
    /// Where the segment before ends; `None` for the first.
    pub(super) previous_end: Option<u32>,
    /// How many groups are restated.
    pub(super) groups: u64,
}

impl Beginning {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, &'static str> {
        let beginning: Self =
            rmp_serde::from_slice(payload).map_err(|_| "the beginning of the segment cannot be decoded")?;
        if beginning.version != FORMAT_VERSION {
            return Err("the segment has a format that this reader does not know");
        }
        Ok(beginning)
    }
}

/// What the beginning of a segment restates of a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Restated {
    pub(super) hard_state: HardState,
    pub(super) base: LogPosition,
    pub(super) last: LogIndex,
    pub(super) base_configuration: Configuration,
    /// The first entry of each term.
    pub(super) terms: Vec<LogPosition>,
    /// The configurations among the entries.
    pub(super) configurations: BTreeMap<LogIndex, Configuration>,
}

impl Restated {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, &'static str> {
        rmp_serde::from_slice(payload).map_err(|_| "the state of a group cannot be decoded")
    }
}
