//! A write-ahead log for all groups of a host.
//!
//! ```text
//! wal/
//!   lock
//!   segment-0000000007.wal   records, batch by batch; begins with the state of all groups
//!   segment-0000000008.wal   the active one: full of zeros, or of what it held before, behind its end
//!   spare-0000000005.wal     the file of a segment that nobody needs, to be used again
//!   damaged-0000000004.wal   what was a segment before the log was mended; of no meaning any more
//!   next.tmp                 a segment in preparation; of no meaning yet
//! ```
//!
//! Everything that queued during a sync becomes the next *batch*: one write, then
//! one sync for all groups, hard states included. A batch is written only after the
//! sync of the one before, and that is what lets [opening](Wal::open) tell a torn
//! tail from damage. `docs/LOG.md` has the format and the guarantees.
//!
//! | file | what it is about |
//! |---|---|
//! | `record` | one record's bytes |
//! | `batch` | encoding what is written at once |
//! | `segment`, `files` | one file; the directory of files |
//! | `active` | the segment that is written to, and how one begins |
//! | `shape`, `index` | what is known of a log; where its entries lie |
//! | `scan`, `open` | walking through a segment; opening the log |
//! | `mend` | making a damaged log usable again |
//! | `recycle` | moving entries, recycling segments |
//! | `reader` | reading entries beside the writer |

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use raft_consensus::{GroupId, HardState, LogIndex, LogWrite};

mod active;
mod batch;
mod files;
mod index;
mod mend;
mod open;
mod options;
mod reader;
mod record;
mod recycle;
mod scan;
mod segment;
mod shape;
#[cfg(test)]
mod tests;

pub use options::WalOptions;

use self::active::Active;
use self::batch::{Batch, Label};
use self::files::{Files, Spare};
use self::index::Index;
use self::open::Opened;
use self::reader::Shared;
use self::record::{Header, Kind};
use self::segment::Segment;
use super::disk::{Disk, RealDisk};
use super::{GroupWrite, LogError, LogReader, LogStorage, RecoveredGroup};

/// What is written between two restatements of all hard states, at least and at most: a part of a segment, unless
/// there are so many groups that it would cost too much. Damage in front of a restatement can be repaired.
const RESTATED_AFTER_BYTES: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 10;
/// How many times as many bytes are written between two restatements as one of them has.
const RESTATEMENTS_APART: u64 = 16;

/// A buffer that grew beyond this for one large batch is given back.
const BUFFER_KEPT_BYTES: usize = 8 << 20;

/// An entry to be written again.
type Moved = (Label, Bytes);

/// A durable [`LogStorage`] of segment files in a directory.
#[derive(Debug)]
pub struct Wal {
    files: Files,
    /// Size at which a segment is full.
    limit_bytes: u64,
    shared: Arc<Shared>,
    /// The segments before the active one, oldest first, and where each ends.
    older: VecDeque<(Arc<Segment>, u64)>,
    active: Active,
    spare: Option<Spare>,
    /// The batch being encoded; one buffer for all of them.
    buffer: Vec<u8>,
    /// Bytes written since the hard states of all groups were last restated.
    unrestated_bytes: u64,
    /// Whether a batch was written and not synced.
    is_unsynced: bool,
    /// Whether the last batch says nothing, so that no barrier is needed.
    is_settled: bool,
    /// Whether the entries of the oldest segment are being moved.
    is_moving: bool,
    /// Whether the disk had no room for a spare; asked again in the next segment.
    has_no_room: bool,
}

impl Wal {
    /// Opens the log in a directory of its own, or begins one there. All that it then returns is durable.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if a record that was durable once cannot be read, or a segment is missing, and other members
    /// cannot [repair](WalOptions::repair) that; a torn tail is not damage. [`LogError::Locked`] if the log is open elsewhere, [`LogError::Version`] if a
    /// newer build wrote it, [`LogError::Io`] if the operating system says no.
    ///
    /// # Examples
    /// ```
    /// use raft_actor::log_storage::{GroupWrite, LogStorage, Wal, WalOptions};
    /// use raft_actor::consensus::{HardState, Term};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let directory = tempfile::tempdir()?;
    /// let mut wal = Wal::open(directory.path(), WalOptions::default())?;
    /// let hard_state = HardState { term: Term::new(3), vote: Some(2.into()), damage: None };
    /// wal.write(&[GroupWrite { group: 1.into(), hard_state: Some(hard_state), log: None }])?;
    /// wal.sync()?;
    /// drop(wal);
    /// let mut wal = Wal::open(directory.path(), WalOptions::default())?;
    /// assert_eq!(wal.recover(1.into())?.hard_state, hard_state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(directory: impl Into<PathBuf>, options: WalOptions) -> Result<Self, LogError> {
        Self::open_on(Arc::new(RealDisk), directory, options)
    }

    /// As [`open`](Self::open), on another disk than the machine's.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_on(disk: Arc<dyn Disk>, directory: impl Into<PathBuf>, options: WalOptions) -> Result<Self, LogError> {
        let files = Files::open(disk, directory.into())?;
        let Opened { index, older, active, spare, is_settled } = open::open(&files, &options)?;
        let unrestated_bytes = active.end;
        let mut wal = Self {
            files,
            limit_bytes: options.segment_limit_bytes(),
            shared: Arc::new(Shared::new(index, options.repair)),
            older,
            active,
            spare,
            buffer: Vec::new(),
            unrestated_bytes,
            is_unsynced: false,
            is_settled,
            is_moving: false,
            has_no_room: false,
        };
        wal.retire(usize::MAX)?;
        wal.is_moving = wal.should_move();
        Ok(wal)
    }

    /// Runs a step; if it fails or panics the log is stopped for good.
    fn step<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        self.shared.check_running()?;
        let mut sentinel = Sentinel { shared: Arc::clone(&self.shared), is_armed: true };
        let result = step(self);
        sentinel.is_armed = result.is_err();
        result
    }

    /// Writes a batch behind the last one, in the next segment if this one is full, and takes it into the index.
    fn append(&mut self, fill: &dyn Fn(&mut Batch<'_>)) -> Result<(), LogError> {
        assert!(!self.is_unsynced, "a batch is written only after the sync of the one before");
        self.active.encode(&mut self.buffer, fill);
        if self.buffer.is_empty() {
            return Ok(());
        }
        if !self.active.has_room_for(self.buffer.len(), self.limit_bytes) {
            self.roll()?;
            self.active.encode(&mut self.buffer, fill);
            if !self.active.has_room_for(self.buffer.len(), self.limit_bytes) {
                return Err(active::too_large(&self.active.segment.path));
            }
        }
        let start = self.active.end;
        self.active.write(&self.buffer, self.limit_bytes)?;
        self.unrestated_bytes += self.buffer.len() as u64;
        self.is_unsynced = true;
        self.is_settled = false;
        take_in(&mut self.shared.index(), &self.active.segment, start, &self.buffer)
            .expect("a batch was checked before it was encoded");
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// The hard states of all groups, if it is time to restate them: after `least` bytes, or more if there are many groups.
    fn hard_states_if_due(&self, least: u64) -> Option<Vec<(GroupId, HardState)>> {
        let groups = self.shared.index().groups.len() as u64;
        let one = groups * record::record_bytes(8);
        let is_due = self.unrestated_bytes >= least.max(one * RESTATEMENTS_APART) && groups > 0;
        is_due.then(|| self.hard_states())
    }

    fn hard_states(&self) -> Vec<(GroupId, HardState)> {
        self.shared.index().groups.iter().map(|(id, group)| (*id, group.shape.hard_state)).collect()
    }

    fn sync_batch(&mut self) -> Result<(), LogError> {
        if self.is_unsynced {
            self.active.sync()?;
            self.is_unsynced = false;
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<bool, LogError> {
        self.sync_batch()?;
        let moves = self.next_moves(&[])?;
        if !moves.is_empty() {
            self.append(&|batch| moves.iter().for_each(|(label, payload)| batch.moved(*label, payload)))?;
            self.sync_batch()?;
            return Ok(true);
        }
        // One piece at a time: a write may be waiting by now.
        if !self.is_settled {
            match self.hard_states_if_due(0) {
                Some(hard_states) => self.restate(&hard_states)?,
                None => self.settle()?,
            }
            return Ok(true);
        }
        Ok(self.tidy()? || self.is_moving)
    }

    /// From here on damage that lies before can be repaired.
    fn restate(&mut self, hard_states: &[(GroupId, HardState)]) -> Result<(), LogError> {
        self.append(&|batch| batch.restate(hard_states))?;
        self.sync_batch()?;
        self.unrestated_bytes = 0;
        Ok(())
    }

    /// From here on damage of what was written last can be told from a torn tail.
    fn settle(&mut self) -> Result<(), LogError> {
        self.append(&|batch| batch.record(Label::of_segment(Kind::Barrier, 0), &[]))?;
        self.sync_batch()?;
        self.is_settled = true;
        Ok(())
    }
}

/// Stops the log if a step does not end well.
struct Sentinel {
    shared: Arc<Shared>,
    is_armed: bool,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if self.is_armed {
            self.shared.stop();
        }
    }
}

impl LogStorage for Wal {
    fn groups(&self) -> Vec<GroupId> {
        self.shared.index().groups.keys().copied().collect()
    }

    fn recover(&mut self, group: GroupId) -> Result<RecoveredGroup, LogError> {
        self.shared.check_running()?;
        let index = self.shared.index();
        let recovered = match index.groups.get(&group) {
            Some(group) => RecoveredGroup { hard_state: group.shape.hard_state, log: group.recover() },
            None => {
                let nothing = index::Group::default();
                RecoveredGroup { hard_state: nothing.shape.hard_state, log: nothing.recover() }
            }
        };
        Ok(recovered)
    }

    /// Writes everything as one batch. If the batch before was not synced, syncs that first.
    fn write(&mut self, writes: &[GroupWrite]) -> Result<(), LogError> {
        self.step(|wal| {
            wal.sync_batch()?;
            check(&wal.shared.index(), writes);
            let moves = wal.next_moves(writes)?;
            let limits = RESTATED_AFTER_BYTES;
            let least = (wal.limit_bytes / RESTATEMENTS_APART).clamp(*limits.start(), *limits.end());
            let restated = if writes.is_empty() { None } else { wal.hard_states_if_due(least) };
            if restated.is_some() {
                wal.unrestated_bytes = 0;
            }
            wal.append(&|batch| {
                restated.iter().for_each(|hard_states| batch.restate(hard_states));
                // First, since a write may drop what is moved.
                moves.iter().for_each(|(label, payload)| batch.moved(*label, payload));
                writes.iter().for_each(|write| batch.write(write));
            })
        })
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.step(Self::sync_batch)
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::clone(&self.shared) as Arc<dyn LogReader>
    }

    fn is_volatile(&self) -> bool {
        self.files.take_no_time()
    }

    /// Restates all hard states, seals the last batch with a barrier, moves entries out of old segments, prepares zeros.
    fn idle(&mut self) -> Result<bool, LogError> {
        self.step(Self::rest)
    }

    fn close(&mut self) -> Result<(), LogError> {
        self.step(|wal| {
            wal.sync_batch()?;
            // Behind the last ones stands at most a barrier.
            if wal.unrestated_bytes > record::record_bytes(0) {
                let hard_states = wal.hard_states();
                wal.restate(&hard_states)?;
            }
            if wal.is_settled { Ok(()) } else { wal.settle() }
        })
    }
}

/// Takes the records of an encoded batch, which stands at `start` of `segment`, into the index.
fn take_in(index: &mut Index, segment: &Arc<Segment>, start: u64, batch: &[u8]) -> Result<(), &'static str> {
    let mut rest = batch;
    while let Some(header) = Header::decode_trusted(rest) {
        let offset = start + (batch.len() - rest.len()) as u64;
        let offset = u32::try_from(offset).map_err(|_| "a record lies beyond 4 GiB")?;
        let payload = &rest[record::HEADER_BYTES..][..header.length as usize];
        index.apply(segment, offset, &header, payload)?;
        let length = usize::try_from(header.record_bytes()).map_err(|_| "a record is larger than memory")?;
        rest = &rest[length..];
    }
    Ok(())
}

/// Checks that a batch fits the logs it is meant for, before anything of it is written.
///
/// # Panics
/// If it does not.
fn check(index: &Index, writes: &[GroupWrite]) {
    let mut bounds: BTreeMap<GroupId, (LogIndex, LogIndex)> = BTreeMap::new();
    for write in writes {
        let group = write.group;
        let (base, last) = bounds.entry(group).or_insert_with(|| {
            index.groups.get(&group).map(|group| (group.shape.base.index, group.shape.last)).unwrap_or_default()
        });
        match &write.log {
            None => {}
            Some(LogWrite::Append(entries) | LogWrite::Replace(entries)) => {
                let first = entries.first_index().expect("an append or replacement is never empty");
                let is_append = matches!(write.log, Some(LogWrite::Append(_)));
                assert!(
                    first == last.next() || (!is_append && first > *base && first <= *last),
                    "group {group} holds the entries after {base} through {last}: {first} cannot come next"
                );
                *last = entries.last_position().expect("it is not empty").index;
            }
            Some(LogWrite::Reset { to }) => (*base, *last) = (to.index, to.index),
            Some(LogWrite::Purge { through }) => {
                assert!(*through <= *last, "group {group} ends at {last}: cannot purge through {through}");
                *base = (*base).max(*through);
            }
        }
    }
}

/// What to do about damage that is not repaired.
const MANUAL: &str = "Restore the directory from a backup taken while the node was stopped, or remove the whole data \
     directory, remove this node from the cluster and add it again: the others bring it up to date. Do not cut or remove \
     single files: what was acknowledged would be lost";

/// Something that was durable once cannot be read.
fn damaged(path: &Path, offset: u64, what: &'static str) -> LogError {
    LogError::Damaged { path: path.to_owned(), offset, what, advice: MANUAL }
}
