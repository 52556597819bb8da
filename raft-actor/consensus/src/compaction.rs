//! When a snapshot is taken, and how much of the log goes afterwards (§7, dissertation 5.1). Plain values out.
//!
//! Every server takes its snapshots by itself, whatever its role. The log is not cut off at the
//! snapshot: a tail behind it stays for followers that lag a little, so that they need entries and
//! not the whole state. What the snapshot covers and what the log still holds are therefore two things:
//! purged <= snapshot <= applied.

use crate::{Log, LogIndex, LogPosition, Settings, SnapshotMeta};

/// What a member knows of its own snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Compaction {
    /// The newest durable one, taken here or installed.
    snapshot: Option<SnapshotMeta>,
    /// One was ordered and is neither taken nor has it failed.
    is_taking: bool,
    /// What was applied after this counts towards the next one.
    counted_from: LogIndex,
}

impl Compaction {
    pub(crate) fn new(snapshot: Option<SnapshotMeta>) -> Self {
        let counted_from = snapshot.as_ref().map_or(LogIndex::ZERO, |snapshot| snapshot.position.index);
        Self { snapshot, is_taking: false, counted_from }
    }

    /// The newest durable snapshot.
    pub(crate) fn snapshot(&self) -> Option<&SnapshotMeta> {
        self.snapshot.as_ref()
    }

    /// The last entry that the newest snapshot covers.
    pub(crate) fn covered(&self) -> LogPosition {
        self.snapshot.as_ref().map_or(LogPosition::ZERO, |snapshot| snapshot.position)
    }

    pub(crate) fn is_taking(&self) -> bool {
        self.is_taking
    }

    /// Whether enough was applied since the last snapshot to take the next one (dissertation 5.1.3).
    pub(crate) fn is_due(&self, settings: &Settings, log: &Log, applied: LogIndex) -> bool {
        let reaches = |count: u64, enough: u64| enough > 0 && count >= enough;
        let has_enough = reaches(applied.since(self.counted_from), settings.snapshot_entries)
            || reaches(log.bytes_between(self.counted_from, applied), settings.snapshot_bytes);
        has_enough && self.may_take(applied)
    }

    /// Whether a snapshot taken now would be a new one, and the only one under way.
    pub(crate) fn may_take(&self, applied: LogIndex) -> bool {
        !self.is_taking && applied > self.covered().index
    }

    /// Whether a snapshot taken now would cover what the newest one does, and be the only one under way.
    pub(crate) fn may_replace(&self, applied: LogIndex) -> bool {
        !self.is_taking && self.snapshot.is_some() && applied >= self.covered().index
    }

    /// One was ordered.
    pub(crate) fn ordered(&mut self) {
        self.is_taking = true;
    }

    /// What was ordered is done, well or not.
    pub(crate) fn ended(&mut self) {
        self.is_taking = false;
    }

    /// What was ordered has failed: the next one is due after as much as usual.
    pub(crate) fn failed(&mut self, applied: LogIndex) {
        self.is_taking = false;
        self.counted_from = self.counted_from.max(applied);
    }

    /// A snapshot is durable here. Whether it covers more than the one before: else nothing has changed.
    pub(crate) fn learn(&mut self, snapshot: SnapshotMeta) -> bool {
        let position = snapshot.position;
        let is_newer = position.index > self.covered().index;
        if is_newer {
            self.counted_from = self.counted_from.max(position.index);
            self.snapshot = Some(snapshot);
        }
        is_newer
    }
}

/// The last entry to purge from the log, whose snapshot covers it through `covered`; at or below its base if none.
/// `needed_after` is what those still need who follow this leader.
pub(crate) fn purge_through(
    log: &Log,
    settings: &Settings,
    covered: LogIndex,
    needed_after: Option<LogIndex>,
) -> LogIndex {
    let behind_tail = covered.minus(settings.log_tail_entries);
    let wanted = needed_after.map_or(behind_tail, |needed| behind_tail.min(needed));
    // However much others lag: memory and disk are bounded, and a snapshot helps them as well.
    wanted.max(log.start_of_last(settings.log_tail_bytes_max, covered)).min(covered)
}

#[cfg(test)]
mod tests;
