//! What the core knows of snapshots (§7): what they cover, not what is in them.

use serde::{Deserialize, Serialize};

use crate::{Configuration, Log, LogPosition};

/// Entries up to here are more than any cluster will ever write: a snapshot that says so is wrong.
const INDEX_MAX: u64 = 1 << 60;

/// What a snapshot covers, which is all that the core has to know of it (Figure 13, §7).
///
/// In the paper's words: `position` is `lastIncludedIndex` and `lastIncludedTerm`, and `configuration`
/// the latest one through there, which a member that begins with this snapshot uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The last entry that the snapshot covers.
    pub position: LogPosition,
    /// The configuration in force there.
    pub configuration: Configuration,
    /// Where that configuration stands: at or below `position`; [`LogPosition::ZERO`] if it was in force before the first entry.
    #[serde(default)]
    pub configured_at: LogPosition,
}

impl SnapshotMeta {
    /// Whether it does not contradict itself. What comes from outside may.
    pub fn is_sound(&self) -> bool {
        let Self { position, configuration, configured_at } = self;
        // No log comes near the last of all indexes, and behind it nothing could follow.
        let has_something = (1..INDEX_MAX).contains(&position.index.get());
        let is_in_order = configured_at.index <= position.index && configured_at.term <= position.term;
        // Whatever is committed was committed by voters.
        has_something && is_in_order && !configuration.voters.is_empty()
    }
}

/// How a log relates to the newest durable snapshot when both are opened, before a member starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAtStart {
    /// The log goes on behind the snapshot, or reaches back to before it.
    Continues,
    /// The log lacks what the snapshot covers: the last run ended after the snapshot was stored and before the log was
    /// reset ([`LogWrite::Reset`](crate::LogWrite::Reset)). That has to be made up for before the member starts.
    LacksSnapshot {
        /// Where the log has to begin.
        reset_to: LogPosition,
    },
    /// The log begins above the snapshot, or there is none: what lies between is lost. This member must not start.
    BeginsAboveSnapshot,
}

impl LogAtStart {
    /// Compares what was read.
    pub fn of(log: &Log, snapshot: Option<&SnapshotMeta>) -> Self {
        let covered = snapshot.map_or(LogPosition::ZERO, |snapshot| snapshot.position);
        if log.contains(covered) {
            Self::Continues
        } else if log.base().index >= covered.index {
            // Of the same index and another term: they were not of one history.
            Self::BeginsAboveSnapshot
        } else {
            Self::LacksSnapshot { reset_to: covered }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, configuration, entries};

    #[test]
    fn a_crash_between_the_snapshot_and_the_reset_of_the_log_is_told_from_damage() {
        let meta = |position| SnapshotMeta {
            position,
            configuration: configuration([1, 2, 3]),
            configured_at: LogPosition::ZERO,
        };
        let compare = |base, terms: &[u64], covered: Option<LogPosition>| {
            let mut log = Log::new(base, configuration([1, 2, 3]));
            log.append(&entries(log.first_index().get(), terms));
            LogAtStart::of(&log, covered.map(meta).as_ref())
        };
        let lacks = |reset_to| LogAtStart::LacksSnapshot { reset_to };
        assert_eq!(compare(LogPosition::ZERO, &[], None), LogAtStart::Continues);
        assert_eq!(compare(LogPosition::ZERO, &[1, 2, 2], Some(at(2, 2))), LogAtStart::Continues);
        assert_eq!(compare(at(2, 2), &[], Some(at(2, 2))), LogAtStart::Continues);
        assert_eq!(compare(LogPosition::ZERO, &[1, 1, 1], Some(at(2, 2))), lacks(at(2, 2)), "another history");
        assert_eq!(compare(at(1, 2), &[1], Some(at(2, 9))), lacks(at(2, 9)), "a gap");
        assert_eq!(compare(at(1, 5), &[1], Some(at(1, 4))), LogAtStart::BeginsAboveSnapshot);
        assert_eq!(compare(at(1, 5), &[1], Some(at(2, 5))), LogAtStart::BeginsAboveSnapshot);
        assert_eq!(compare(at(1, 5), &[1], None), LogAtStart::BeginsAboveSnapshot);
    }
}
