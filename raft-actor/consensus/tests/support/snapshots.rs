//! The model of snapshots: files that are whole or not there, and a log with what a snapshot covers before it.

use std::sync::Arc;

use raft_consensus::{Configuration, Entry, LogAtStart, LogIndex, LogPosition, Payload, SnapshotMeta};

use super::disk::{Image, position_in};

/// A snapshot: the state of a machine is the list of the entries that it applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What it covers.
    pub meta: SnapshotMeta,
    /// All entries through there.
    pub entries: Arc<Vec<Entry>>,
}

impl Snapshot {
    /// A snapshot of a machine that has applied these; `first` was in force before the first of them.
    pub fn of(entries: &[Entry], first: &Configuration) -> Self {
        let configurations = entries.iter().rev().filter_map(|entry| match &entry.payload {
            Payload::Configuration(configuration) => Some((entry.position, &**configuration)),
            Payload::Noop | Payload::Command(_) => None,
        });
        let (configured_at, configuration) = configurations.into_iter().next().unwrap_or((LogPosition::ZERO, first));
        let position = entries.last().map_or(LogPosition::ZERO, |entry| entry.position);
        let meta = SnapshotMeta { position, configuration: configuration.clone(), configured_at };
        Self { meta, entries: Arc::new(entries.to_vec()) }
    }
}

/// What a log says from its first entry on, though it begins behind a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// What was purged, taken from the snapshot that covers it.
    covered: &'a [Entry],
    entries: &'a [Entry],
}

impl<'a> History<'a> {
    /// What a member would know if it started from these.
    pub fn of(image: &'a Image, snapshot: Option<&'a Snapshot>) -> Self {
        let all = snapshot.map_or(&[][..], |snapshot| &snapshot.entries[..]);
        let position = snapshot.map_or(LogPosition::ZERO, |snapshot| snapshot.meta.position);
        if image.contains(position) {
            Self::over(image, snapshot)
        } else {
            // The log lacks it: it is reset before the member starts.
            Self { covered: all, entries: &[] }
        }
    }

    /// What is in the log `image`, and before it what the snapshot says of what was purged.
    pub fn over(image: &'a Image, snapshot: Option<&'a Snapshot>) -> Self {
        let all = snapshot.map_or(&[][..], |snapshot| &snapshot.entries[..]);
        let base = usize::try_from(image.base.index.get()).expect("a test log is short");
        Self { covered: &all[..base], entries: &image.entries }
    }

    /// The entry's position at this index; [`LogPosition::ZERO`] before the first.
    pub fn position_at(&self, at: LogIndex) -> Option<LogPosition> {
        position_in(self.covered, LogPosition::ZERO, at).or_else(|| position_in(self.entries, self.base(), at))
    }

    fn base(&self) -> LogPosition {
        self.covered.last().map_or(LogPosition::ZERO, |entry| entry.position)
    }

    /// Whether exactly this entry is there.
    pub fn contains(&self, position: LogPosition) -> bool {
        self.position_at(position.index) == Some(position)
    }

    /// The last entry.
    pub fn last(&self) -> LogPosition {
        self.entries.last().map_or(self.base(), |entry| entry.position)
    }

    /// All entries.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.covered.iter().chain(self.entries)
    }

    /// The entries `after+1 ..= through`, as far as they are there.
    pub fn range(&self, after: LogIndex, through: LogIndex) -> Vec<Entry> {
        let skipped = usize::try_from(after.get()).expect("a test log is short");
        let count = usize::try_from(through.since(after)).expect("a test log is short");
        self.iter().skip(skipped).take(count).cloned().collect()
    }
}

/// The snapshots of a member. Each is whole and durable, or not there.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// The newest one that is durable.
    pub newest: Option<Snapshot>,
    /// One of the own machine, frozen and not stored yet.
    pub saving: Option<Snapshot>,
    /// One of the leader that has arrived and is to be installed.
    pub adopting: Option<Snapshot>,
    /// While set, snapshots are neither stored nor adopted until the test says so.
    pub held: bool,
}

impl Snapshots {
    /// What the newest one covers.
    pub fn covered(&self) -> LogPosition {
        self.newest.as_ref().map_or(LogPosition::ZERO, |snapshot| snapshot.meta.position)
    }

    /// Makes one durable, unless there is a newer one.
    pub fn store(&mut self, snapshot: Snapshot) {
        if snapshot.meta.position.index > self.covered().index {
            self.newest = Some(snapshot);
        }
    }

    /// Loses what is not durable.
    pub fn crash(&mut self) {
        (self.saving, self.adopting) = (None, None);
    }

    /// Where the log has to be reset to before its member starts, if the last run died before it was.
    ///
    /// # Panics
    /// If the log begins above the snapshot: then something is lost.
    pub fn reset_needed(&self, log: &raft_consensus::Log) -> Option<LogPosition> {
        match LogAtStart::of(log, self.newest.as_ref().map(|snapshot| &snapshot.meta)) {
            LogAtStart::Continues => None,
            LogAtStart::LacksSnapshot { reset_to } => Some(reset_to),
            LogAtStart::BeginsAboveSnapshot => {
                panic!("the log begins behind {}, the snapshot ends at {}", log.base(), self.covered())
            }
        }
    }
}
