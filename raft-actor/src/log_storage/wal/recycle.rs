//! Keeps the disk bounded by what counts, plus a few segments.
//!
//! Segments go in order, the oldest first, when no entry that counts lies in them and
//! nobody reads them. If old segments hold back much more than what counts in them, the
//! entries of the oldest are written again at the end, some with every batch. A segment
//! that goes becomes the spare for the next one, since writing into blocks that were
//! written before is faster.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;

use super::active::{Active, encode_beginning, seal, write_zeros};
use super::batch::Label;
use super::{Moved, Wal};
use crate::log_storage::error::io_error;
use crate::log_storage::{GroupWrite, LogError};
use raft_consensus::{Entries, LogWrite};

/// Bytes that are moved at least with a batch, while there is something to move.
const MOVE_BYTES_MIN: u64 = 256 << 10;
/// Bytes of zeros that are written at once when there is nothing else to do.
const IDLE_ZERO_BYTES: u64 = 256 << 10;
/// How far zeros are prepared ahead of the last record.
const IDLE_AHEAD_BYTES: u64 = 4 << 20;
/// Segments that are recycled at once while writes wait: each costs two changes of the directory, and a purge may set
/// a hundred free.
const RETIRED_WITH_A_ROLL: usize = 2;
/// Segments that may be there beyond twice what counts.
const SLACK_SEGMENTS: u64 = 4;

impl Wal {
    /// Goes on in the next segment.
    pub(super) fn roll(&mut self) -> Result<(), LogError> {
        self.retire(RETIRED_WITH_A_ROLL)?;
        let link = self.active.link_after();
        let beginning = encode_beginning(link, &self.shared.index());
        let (next, _) = Active::begin(&self.files, self.spare.take(), link, &beginning, &[])?;
        let full = std::mem::replace(&mut self.active, next);
        self.has_no_room = false;
        self.unrestated_bytes = 0;
        let end = link.previous_end.expect("the link leads from the full segment");
        seal(&full.segment, end, full.next_batch)?;
        self.older.push_back((full.segment, full.end));
        self.is_moving = self.should_move();
        Ok(())
    }

    /// Recycles the oldest segments as far as nobody needs them, at most `count_max`; returns how many. All that was
    /// written must have been synced: what makes a segment superfluous has to be durable before it goes.
    pub(super) fn retire(&mut self, count_max: usize) -> Result<usize, LogError> {
        assert!(!self.is_unsynced, "a segment may only go after what replaces it is durable");
        for count in 0..count_max {
            let Some((segment, end)) = self.older.pop_front() else { return Ok(count) };
            let segment = match Arc::try_unwrap(segment) {
                Ok(segment) => segment,
                Err(shared) => {
                    self.older.push_front((shared, end));
                    return Ok(count);
                }
            };
            if self.spare.is_none() && end <= self.limit_bytes {
                self.spare = Some(self.files.keep_as_spare(segment)?);
            } else {
                self.files.remove_segment(segment.number)?;
            }
        }
        Ok(count_max)
    }

    /// Whether old segments hold back much more than what counts in them.
    pub(super) fn should_move(&self) -> bool {
        let live_bytes = self.shared.index().live_bytes();
        let total_bytes = self.older.iter().map(|(_, end)| end).sum::<u64>() + self.active.end;
        let is_large = total_bytes > 2 * live_bytes + SLACK_SEGMENTS * self.limit_bytes;
        // Many small segments come from many restarts.
        let is_scattered = self.older.len() as u64 > 2 * live_bytes.div_ceil(self.limit_bytes) + 2 * SLACK_SEGMENTS;
        !self.older.is_empty() && (is_large || is_scattered)
    }

    /// The next entries of the oldest segment to be written again, with a batch that holds `writes`:
    /// twice as many bytes, so that moving is faster than writing.
    pub(super) fn next_moves(&mut self, writes: &[GroupWrite]) -> Result<Vec<Moved>, LogError> {
        if !self.is_moving {
            return Ok(Vec::new());
        }
        let Some((oldest, _)) = self.older.front() else {
            self.is_moving = false;
            return Ok(Vec::new());
        };
        let oldest = Arc::clone(oldest);
        let bytes_max = MOVE_BYTES_MIN.max(2 * writes.iter().map(write_bytes).sum::<u64>());
        let locations = self.shared.index().entries_in(&oldest, bytes_max);
        let moves = locations
            .into_iter()
            .map(|location| {
                let (header, payload) = self.shared.read_record(&oldest, location)?;
                let label =
                    Label { kind: header.kind, flags: 0, group: header.group, term: header.term, index: header.index };
                Ok((label, payload))
            })
            .collect::<Result<Vec<(Label, Bytes)>, LogError>>()?;
        drop(oldest);
        if moves.is_empty() {
            self.retire(1)?;
            self.is_moving = self.should_move();
        }
        Ok(moves)
    }

    /// Does a piece of what can wait. Returns whether more is to be done.
    pub(super) fn tidy(&mut self) -> Result<bool, LogError> {
        if self.retire(1)? > 0 {
            return Ok(true);
        }
        let ahead = self.limit_bytes.min(self.active.end + IDLE_AHEAD_BYTES);
        if self.active.extend(IDLE_ZERO_BYTES, ahead)? {
            self.active.sync()?;
            return Ok(true);
        }
        // A log that is hardly used does not need the room for a second segment.
        if self.active.end < self.limit_bytes / 2 || self.has_no_room {
            return Ok(false);
        }
        match self.prepare_spare() {
            Err(LogError::Io { source, .. }) if source.kind() == ErrorKind::StorageFull => {
                // Nothing counts in a spare: its room is better used for what does.
                self.has_no_room = true;
                if let Some(spare) = self.spare.take() {
                    self.files.remove_spare(spare.number)?;
                }
                Ok(false)
            }
            other => other,
        }
    }

    /// Writes zeros into the spare, a piece at a time. Returns whether more is to be done.
    fn prepare_spare(&mut self) -> Result<bool, LogError> {
        if self.spare.is_none() {
            self.spare = Some(self.files.create_spare()?);
        }
        let directory = self.files.directory();
        let spare = self.spare.as_mut().expect("it was created if there was none");
        if spare.length >= self.limit_bytes {
            return Ok(false);
        }
        spare.length = write_zeros(spare.file.as_ref(), directory, spare.length, IDLE_ZERO_BYTES, self.limit_bytes)?;
        spare.file.sync_data().map_err(io_error("sync a spare file in", directory))?;
        Ok(true)
    }
}

/// What the entries of a write come to, roughly.
fn write_bytes(write: &GroupWrite) -> u64 {
    match &write.log {
        Some(LogWrite::Append(entries) | LogWrite::Replace(entries)) => Entries::size_bytes(entries),
        Some(LogWrite::Reset { .. } | LogWrite::Purge { .. }) | None => 0,
    }
}
