//! What a log must hold, as plain vectors.

use std::collections::BTreeMap;

use raft_consensus::{
    Configuration, Entries, Entry, GroupId, HardState, Log, LogIndex, LogPosition, LogWrite, Payload,
};

use crate::log_storage::{GroupWrite, LogReader, LogStorage, RecoveredGroup};

/// The contents of a log, kept in the simplest way there is, to compare a real one with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    groups: BTreeMap<GroupId, ModelGroup>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ModelGroup {
    hard_state: HardState,
    base: LogPosition,
    base_configuration: Configuration,
    entries: Vec<Entry>,
}

impl Model {
    /// Applies a batch of writes.
    ///
    /// # Panics
    /// If a write is none that a core would order: a gap, or a purge beyond the end.
    pub fn write(&mut self, writes: &[GroupWrite]) {
        for write in writes {
            let group = self.groups.entry(write.group).or_default();
            if let Some(hard_state) = write.hard_state {
                group.hard_state = hard_state;
            }
            if let Some(change) = &write.log {
                group.change(change);
            }
        }
    }

    /// The base and the last position of a group.
    pub fn bounds(&self, group: GroupId) -> (LogPosition, LogPosition) {
        self.groups.get(&group).map(|group| (group.base, group.last())).unwrap_or_default()
    }

    /// All that a log holds.
    ///
    /// # Panics
    /// If it cannot be recovered or read.
    pub fn of(log: &mut dyn LogStorage) -> Self {
        let mut model = Self::default();
        let reader = log.reader();
        for id in log.groups() {
            let RecoveredGroup { hard_state, log } = log.recover(id).expect("a group of the log can be recovered");
            let read = reader.read(id, log.first_index(), log.last().index, u64::MAX);
            let entries = read.expect("the entries of the log can be read").iter().cloned().collect();
            let mut base_only = log.clone();
            base_only.truncate_after(log.base().index);
            let base_configuration = base_only.configuration().clone();
            model.groups.insert(id, ModelGroup { hard_state, base: log.base(), base_configuration, entries });
        }
        model
    }

    /// The first record of a replacement, without the entries behind it: what a crash may leave of one.
    #[cfg(test)]
    pub(crate) fn truncate_after(&mut self, group: GroupId, through: LogIndex) {
        let group = self.groups.entry(group).or_default();
        group.entries.retain(|entry| entry.position.index <= through);
    }

    /// Compares everything that `log` holds with this.
    ///
    /// # Panics
    /// If it holds anything else.
    pub fn assert_same(&self, log: &mut dyn LogStorage) {
        let groups: Vec<_> = self.groups.keys().copied().collect();
        assert_eq!(log.groups(), groups, "the groups of the log");
        for (id, group) in &self.groups {
            let recovered = log.recover(*id).unwrap_or_else(|error| panic!("group {id} cannot be recovered: {error}"));
            assert_eq!(recovered, group.recovered(), "group {id} as recovered");
        }
        self.assert_readable(log.reader().as_ref());
    }

    /// Compares the entries that `reader` returns with this.
    ///
    /// # Panics
    /// If it returns anything else.
    pub fn assert_readable(&self, reader: &dyn LogReader) {
        for (id, group) in &self.groups {
            let everything = (group.base.index.next(), LogIndex::new(u64::MAX));
            let read = reader.read(*id, everything.0, everything.1, u64::MAX);
            let read = read.unwrap_or_else(|error| panic!("group {id} cannot be read: {error}"));
            assert_eq!(read, group.entries.iter().cloned().collect::<Entries>(), "the entries of group {id}");
        }
    }
}

impl ModelGroup {
    fn last(&self) -> LogPosition {
        self.entries.last().map_or(self.base, |entry| entry.position)
    }

    fn change(&mut self, change: &LogWrite) {
        match change {
            LogWrite::Append(entries) => self.append(entries),
            LogWrite::Replace(entries) => {
                let first = entries.first_index().expect("a replacement is never empty");
                assert!(first > self.base.index, "a replacement lies above the base");
                self.entries.retain(|entry| entry.position.index < first);
                self.append(entries);
            }
            LogWrite::Reset { to } => {
                *self = Self { hard_state: self.hard_state, base: *to, ..Self::default() };
            }
            LogWrite::Purge { through } => {
                assert!(*through <= self.last().index, "a purge stays within the log");
                while self.entries.first().is_some_and(|entry| entry.position.index <= *through) {
                    let entry = self.entries.remove(0);
                    self.base = entry.position;
                    if let Payload::Configuration(configuration) = entry.payload {
                        self.base_configuration = *configuration;
                    }
                }
            }
        }
    }

    fn append(&mut self, entries: &Entries) {
        for entry in entries.iter() {
            assert_eq!(entry.position.index, self.last().index.next(), "a log has no gaps");
            self.entries.push(entry.clone());
        }
    }

    fn recovered(&self) -> RecoveredGroup {
        let mut log = Log::new(self.base, self.base_configuration.clone());
        for entry in &self.entries {
            log.push(entry);
        }
        RecoveredGroup { hard_state: self.hard_state, log }
    }
}
