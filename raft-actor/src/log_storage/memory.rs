//! A log that forgets everything when it is dropped.
//!
//! It keeps the entries in the shared pieces in which they arrive: a write costs
//! a counter per piece, never work per entry, and the leader's log, this log and
//! the messages on their way hold the same memory. For tests, demonstrations and
//! groups whose state may be lost; to the cluster a restart looks like a wiped disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_consensus::{Configuration, Entries, GroupId, HardState, Log, LogIndex, LogPosition, LogWrite, Payload};

use super::{GroupWrite, LogError, LogReader, LogStorage, RecoveredGroup};

/// A [`LogStorage`] in memory: volatile, so [`sync`](LogStorage::sync) does nothing.
#[derive(Debug, Default)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

/// What the owner and the readers share.
#[derive(Debug, Default)]
struct Shared {
    groups: Mutex<BTreeMap<GroupId, Group>>,
}

impl Shared {
    /// A panic of another holder leaves every group whole: each change is made by one assignment at a time
    /// and the assertions stand before it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupId, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl LogStorage for MemoryLog {
    fn groups(&self) -> Vec<GroupId> {
        self.shared.lock().keys().copied().collect()
    }

    fn recover(&mut self, group: GroupId) -> Result<RecoveredGroup, LogError> {
        Ok(self.shared.lock().get(&group).unwrap_or(&Group::default()).recover())
    }

    fn write(&mut self, writes: &[GroupWrite]) -> Result<(), LogError> {
        // Freeing thousands of entries takes a while; readers need not wait for that.
        let mut dropped = Vec::new();
        let mut groups = self.shared.lock();
        for write in writes {
            let group = groups.entry(write.group).or_default();
            if let Some(hard_state) = write.hard_state {
                group.hard_state = hard_state;
            }
            if let Some(change) = &write.log {
                group.change(change, &mut dropped);
            }
        }
        drop(groups);
        drop(dropped);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::clone(&self.shared) as Arc<dyn LogReader>
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

impl LogReader for Shared {
    fn read(&self, group: GroupId, from: LogIndex, through: LogIndex, bytes_max: u64) -> Result<Entries, LogError> {
        let found = self.lock().get(&group).map(|group| group.range(from, through)).unwrap_or_default();
        // The sizes are counted outside of the lock, and only if somebody asks.
        Ok(if bytes_max == u64::MAX { found } else { cut_to_bytes(found, bytes_max) })
    }
}

/// As many of the first entries as fit into `bytes_max`, yet at least one.
fn cut_to_bytes(mut entries: Entries, bytes_max: u64) -> Entries {
    let mut bytes = 0_u64;
    let mut last_that_fits: Option<LogIndex> = None;
    for entry in entries.iter() {
        bytes = bytes.saturating_add(u64::from(entry.size_bytes()));
        if bytes > bytes_max && last_that_fits.is_some() {
            break;
        }
        last_that_fits = Some(entry.position.index);
    }
    if let Some(through) = last_that_fits {
        entries.truncate_after(through);
    }
    entries
}

/// The log of one group.
#[derive(Debug, Default)]
struct Group {
    hard_state: HardState,
    /// The last entry that was purged or is covered by a snapshot.
    base: LogPosition,
    /// The last configuration at or below the base that went through this log.
    base_configuration: Configuration,
    /// What was appended, piece by piece: never empty ones, indexes follow on from the base.
    pieces: VecDeque<Entries>,
}

impl Group {
    fn last(&self) -> LogPosition {
        self.pieces.back().and_then(Entries::last_position).unwrap_or(self.base)
    }

    fn change(&mut self, change: &LogWrite, dropped: &mut Vec<Entries>) {
        match change {
            LogWrite::Append(entries) => self.append(entries),
            LogWrite::Replace(entries) => {
                let first = entries.first_index().expect("a replacement is never empty");
                assert!(first > self.base.index, "cannot replace {first}: the log begins after {}", self.base);
                self.truncate_after(first.prev(), dropped);
                self.append(entries);
            }
            LogWrite::Reset { to } => {
                dropped.extend(self.pieces.drain(..));
                self.base = *to;
                // The snapshot knows the configuration; this log does not.
                self.base_configuration = Configuration::default();
            }
            LogWrite::Purge { through } => self.purge(*through, dropped),
        }
    }

    fn append(&mut self, entries: &Entries) {
        let first = entries.first_index().expect("an append is never empty");
        assert_eq!(first, self.last().index.next(), "entries must follow on from {}", self.last());
        self.pieces.push_back(entries.clone());
    }

    fn truncate_after(&mut self, through: LogIndex, dropped: &mut Vec<Entries>) {
        while let Some(piece) = self.pieces.back_mut() {
            if first_index(piece) <= through {
                piece.truncate_after(through);
                return;
            }
            dropped.extend(self.pieces.pop_back());
        }
    }

    fn purge(&mut self, through: LogIndex, dropped: &mut Vec<Entries>) {
        assert!(through <= self.last().index, "cannot purge through {through}: the log ends at {}", self.last());
        while let Some(piece) = self.pieces.front_mut() {
            if first_index(piece) > through {
                return;
            }
            let gone = piece.range(LogIndex::ZERO, through);
            self.base = gone.last_position().expect("its first index is at or below the purged one");
            for entry in gone.iter() {
                if let Payload::Configuration(configuration) = &entry.payload {
                    self.base_configuration = (**configuration).clone();
                }
            }
            dropped.push(gone);
            if piece.last_position() == Some(self.base) {
                self.pieces.pop_front();
            } else {
                *piece = piece.range(through.next(), LogIndex::new(u64::MAX));
            }
        }
    }

    /// The entries from `from` to `through` as far as they are here; nothing if the first of them is not.
    fn range(&self, from: LogIndex, through: LogIndex) -> Entries {
        let mut found = Entries::new();
        if from <= self.base.index {
            return found;
        }
        // The piece that holds `from`: the last one that does not begin after it.
        let start = self.pieces.partition_point(|piece| first_index(piece) <= from).saturating_sub(1);
        for piece in self.pieces.range(start..) {
            if first_index(piece) > through {
                break;
            }
            found.append(piece.range(from, through));
        }
        found
    }

    fn recover(&self) -> RecoveredGroup {
        let mut log = Log::new(self.base, self.base_configuration.clone());
        for entry in self.pieces.iter().flat_map(Entries::iter) {
            log.push(entry);
        }
        RecoveredGroup { hard_state: self.hard_state, log }
    }
}

fn first_index(piece: &Entries) -> LogIndex {
    piece.first_index().expect("the log keeps no empty pieces")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_storage::contract;

    #[test]
    fn the_memory_log_keeps_the_contract() {
        contract::check(|_| MemoryLog::new());
    }

    #[test]
    fn a_write_shares_its_entries_instead_of_copying_them() {
        let mut log = MemoryLog::new();
        let entries = contract::commands(1, 1..=4);
        let group = GroupId::from(1);
        let append = LogWrite::Append(entries.clone());
        log.write(&[GroupWrite { group, hard_state: None, log: Some(append) }]).unwrap();
        let read = log.reader().read(group, LogIndex::new(2), LogIndex::new(3), u64::MAX).unwrap();
        let written: Vec<*const _> = entries.iter().skip(1).take(2).map(std::ptr::from_ref).collect();
        let found: Vec<*const _> = read.iter().map(std::ptr::from_ref).collect();
        assert_eq!(written, found);
    }

    #[test]
    fn a_new_memory_log_is_a_wiped_disk() {
        let group = GroupId::from(1);
        let mut log = MemoryLog::new();
        let append = LogWrite::Append(contract::commands(1, 1..=4));
        log.write(&[GroupWrite { group, hard_state: None, log: Some(append) }]).unwrap();
        drop(log);
        assert_eq!(MemoryLog::new().groups(), []);
    }
}
