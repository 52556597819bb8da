//! The receiver's side of InstallSnapshot (Figure 13, §7): what to do with a snapshot that has arrived. Plain values out.

use crate::{Log, LogIndex, LogPosition, NodeId, Round, SnapshotMeta, Term};

/// How a snapshot of the leader relates to our log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// We have committed what it covers: there is nothing to install.
    Covered,
    /// Our log holds its last entry, and so all before it: there is nothing to install, and what
    /// follows in our log stays.
    Contained,
    /// It says what our log does not.
    Needed,
    /// It contradicts a committed entry: no true leader sends that (Leader Completeness, §5.4).
    ConflictsWithCommitted,
}

/// How the snapshot of what lies through `covered` relates to `log`, which is committed through `commit`.
pub(crate) fn need(log: &Log, commit: LogIndex, covered: LogPosition) -> Need {
    let committed = LogPosition::new(log.term_at(commit).unwrap_or(Term::ZERO), commit);
    let is_other = |term| term != covered.term;
    if committed.rules_out(covered) {
        Need::ConflictsWithCommitted
    } else if covered.index <= commit {
        // What lies below our base was committed, and so is the same at every true leader.
        if log.term_at(covered.index).is_some_and(is_other) { Need::ConflictsWithCommitted } else { Need::Covered }
    } else if log.contains(covered) {
        // "If existing log entry has same index and term as snapshot's last included entry, retain
        // log entries following it and reply" (Figure 13, InstallSnapshot rule 6).
        Need::Contained
    } else {
        Need::Needed
    }
}

/// A snapshot that is being installed: its file gets its final name, and the state machine loads it.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    pub(crate) snapshot: SnapshotMeta,
    /// Whom to tell when it is done, if its term still lasts, and in answer to what.
    pub(crate) leader: NodeId,
    pub(crate) term: Term,
    pub(crate) round: Round,
    /// Whether it has begun. It begins when the term in which it came is durable: a snapshot must not
    /// survive a crash which that term did not.
    pub(crate) is_ordered: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, configuration, entries};

    #[test]
    fn a_snapshot_is_needed_only_if_the_log_lacks_its_last_entry() {
        let mut log = Log::new(at(1, 3), configuration([1, 2, 3]));
        log.append(&entries(4, &[1, 2, 2, 3]));
        let need = |term, index| need(&log, LogIndex::new(5), at(term, index));
        assert_eq!(need(1, 2), Need::Covered, "purged here");
        assert_eq!(need(1, 3), Need::Covered, "the base");
        assert_eq!(need(2, 5), Need::Covered, "the last committed entry");
        assert_eq!(need(2, 6), Need::Contained);
        assert_eq!(need(3, 7), Need::Contained);
        assert_eq!(need(4, 7), Need::Needed, "ours at 7 is of another term (Figure 13, rule 7)");
        assert_eq!(need(3, 6), Need::Needed);
        assert_eq!(need(3, 9), Need::Needed, "our log ends before");
        assert_eq!(need(2, 4), Need::ConflictsWithCommitted);
        assert_eq!(need(1, 5), Need::ConflictsWithCommitted);
        assert_eq!(need(1, 9), Need::ConflictsWithCommitted, "terms never fall behind 5@2");
        assert_eq!(need(3, 2), Need::ConflictsWithCommitted);
    }
}
