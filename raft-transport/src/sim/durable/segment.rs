//! One segment, as far as it was read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_actor::consensus::{GroupId, HardState, LogPosition};

use super::format::{self, Beginning, Kind, Raw, Restated, record_at};
use super::state::DurableState;

pub(super) type Groups = BTreeMap<GroupId, DurableState>;

/// What is wrong, and at which offset of the segment.
pub(super) type Fault = (usize, &'static str);

/// The number in the name of a segment; `None` for all other files.
pub(super) fn number_of(path: &Path) -> Option<u32> {
    let digits = path.file_name()?.to_str()?.strip_prefix("segment-")?.strip_suffix(".wal")?;
    (digits.len() == 10).then(|| digits.parse().ok()).flatten()
}

/// What a record is about that somebody could want to damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordSubject {
    /// A hard state.
    HardState(HardState),
    /// An entry.
    Entry(LogPosition),
}

/// Where a durable record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    /// The segment's file.
    pub path: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How many bytes of it are under a checksum, and so may not change unnoticed.
    pub length: u64,
    /// The group it belongs to.
    pub group: GroupId,
    /// What it is about.
    pub subject: RecordSubject,
}

/// The first record of a segment, and its number.
fn first_record<'a>(path: &Path, bytes: &'a [u8]) -> Result<(Raw<'a>, u32), Fault> {
    let number = number_of(path).ok_or((0, "this is no segment"))?;
    let first = record_at(bytes, 0, number).filter(|record| record.kind == Kind::Segment && record.batch == 0);
    let first = first.ok_or((0, "the segment does not begin as one"))?;
    if first.index != u64::from(number) {
        return Err((0, "the segment begins with another number than its own"));
    }
    Ok((first, number))
}

/// How a segment links to the one before.
pub(super) fn link(path: &Path, bytes: &[u8]) -> Result<Beginning, Fault> {
    let (first, _) = first_record(path, bytes)?;
    Beginning::decode(first.payload).map_err(|what| (0, what))
}

/// A segment and how far it was read.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) path: Arc<Path>,
    pub(super) beginning: Beginning,
    /// Behind the last record that counts.
    pub(super) end: usize,
    /// The batch of that record, counted from the segment's first.
    pub(super) batch: u32,
    /// Whether that record is the last one of its batch.
    is_complete: bool,
}

impl Segment {
    /// Reads the beginning: how it links to the one before, and what it says of the groups. The groups of the oldest
    /// segment are taken from there; for others they must be what they are known to be.
    pub(super) fn begin(path: &Path, bytes: &[u8], groups: &mut Groups, is_oldest: bool) -> Result<Self, Fault> {
        let (first, number) = first_record(path, bytes)?;
        let beginning = Beginning::decode(first.payload).map_err(|what| (0, what))?;
        let mut segment =
            Self { number, path: path.into(), beginning, end: first.end, batch: 0, is_complete: first.is_last };
        let mut restated = 0;
        while !segment.is_complete {
            let at = segment.end;
            let record = record_at(bytes, at, number).filter(|record| record.kind == Kind::GroupState);
            let record = record.filter(|record| record.batch == 0).ok_or((at, "the first batch cannot be read"))?;
            let state = Restated::decode(record.payload).map_err(|what| (at, what))?;
            if is_oldest {
                let state = DurableState::restore(state).map_err(|what| (at, what))?;
                groups.insert(record.group, state);
            } else if !groups.get(&record.group).is_some_and(|known| known.is_restated_by(&state)) {
                return Err((at, "a group is restated as something else than it was"));
            }
            restated += 1;
            segment.take(&record);
        }
        if restated != segment.beginning.groups || restated != groups.len() as u64 {
            return Err((0, "the segment does not restate every group once"));
        }
        Ok(segment)
    }

    fn take(&mut self, record: &Raw<'_>) {
        self.end = record.end;
        self.batch = record.batch;
        self.is_complete = record.is_last;
    }

    /// The only batch that the next record can belong to.
    pub(super) fn next_batch(&self) -> u32 {
        if self.is_complete { self.batch + 1 } else { self.batch }
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Option<Raw<'a>> {
        record_at(bytes, self.end, self.number).filter(|record| record.batch == self.next_batch())
    }

    /// Reads on, up to `limit`, until no record follows. A seal says nothing of the groups; it is left alone.
    pub(super) fn read(&mut self, bytes: &[u8], limit: usize, groups: &mut Groups) -> Result<(), Fault> {
        while self.end < limit {
            let Some(record) = self.next(bytes).filter(|record| record.kind != Kind::Seal) else { break };
            if record.kind != Kind::Barrier {
                let group = groups.entry(record.group).or_default();
                group.apply(&record, self.number).map_err(|what| (self.end, what))?;
            }
            self.take(&record);
        }
        Ok(())
    }

    /// Whether the log goes on in `next` exactly where this ends.
    pub(super) fn leads_to(&self, next: &Beginning) -> bool {
        self.is_complete
            && next.previous_end.is_some_and(|end| end as usize == self.end)
            && next.first_batch == self.beginning.first_batch + u64::from(self.next_batch())
    }

    /// What cannot be about the last segment of a sound log.
    pub(super) fn check_last(&self, bytes: &[u8]) -> Result<(), Fault> {
        if self.next(bytes).is_some_and(|record| record.kind == Kind::Seal) {
            return Err((self.end, "a seal says that there is another segment, and there is none"));
        }
        if format::holds_batch(bytes, self.end, self.number, self.next_batch() + 1) {
            return Err((self.end, "a record of an earlier batch cannot be read"));
        }
        Ok(())
    }

    /// Where the hard states and entries of the batches stand for which `chosen` holds.
    pub(super) fn places(&self, bytes: &[u8], chosen: impl Fn(u32) -> bool, found: &mut Vec<RecordPlace>) {
        let mut offset = 0;
        while offset < self.end {
            let Some(record) = record_at(bytes, offset, self.number) else { return };
            let subject = match record.kind {
                Kind::HardState => record.hard_state().ok().map(RecordSubject::HardState),
                Kind::Entry(_) => Some(RecordSubject::Entry(record.position())),
                Kind::Segment | Kind::GroupState | Kind::Truncate | Kind::Reset => None,
                Kind::Purge | Kind::Barrier | Kind::Seal => None,
            };
            if let Some(subject) = subject.filter(|_| chosen(record.batch)) {
                found.push(RecordPlace {
                    path: self.path.to_path_buf(),
                    offset: offset as u64,
                    length: record.length as u64,
                    group: record.group,
                    subject,
                });
            }
            offset = record.end;
        }
    }
}
