//! When an entry is committed, and when it may be applied. Plain values in, plain values out.

use crate::{Log, LogIndex, Term};

/// The commit index of a leader whose entries a majority holds durably through `replicated`.
pub(crate) fn by_counting(log: &Log, term: Term, replicated: LogIndex, commit: LogIndex) -> LogIndex {
    // Only entries of our own term commit by counting (§5.4.2, Fig. 8): an older one on a majority
    // can still be overwritten. With the first of our own, all before it commit too (Log Matching).
    if replicated > commit && log.term_at(replicated) == Some(term) { replicated } else { commit }
}

/// The commit index of a follower that was told `leader_commit` in a message through whose last
/// entry, `verified`, its log is known to equal the leader's.
pub(crate) fn by_leader(commit: LogIndex, leader_commit: LogIndex, verified: LogIndex) -> LogIndex {
    // Never beyond what this very message covered (Fig. 2, AppendEntries rule 5): what lies behind
    // that in our log may still be another leader's.
    commit.max(leader_commit.min(verified))
}

/// How far the state machine may go: what is committed, and durable on this very server. An answer
/// that was applied from memory alone could not be repeated after a restart.
pub(crate) fn applicable(commit: LogIndex, durable: LogIndex) -> LogIndex {
    commit.min(durable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Configuration, Entry, LogPosition, Payload};

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::new(LogPosition::ZERO, Configuration::default());
        for term in terms {
            let position = LogPosition::new(Term::new(*term), log.last().index.next());
            log.push(&Entry { position, payload: Payload::Noop });
        }
        log
    }

    #[test]
    fn a_leader_never_commits_an_older_term_by_counting() {
        let log = log(&[1, 2, 2, 4]);
        let commit = |replicated| by_counting(&log, Term::new(4), LogIndex::new(replicated), LogIndex::new(1)).get();
        assert_eq!([commit(1), commit(2), commit(3), commit(4), commit(5)], [1, 1, 1, 4, 1]);
    }

    #[test]
    fn a_commit_index_never_falls() {
        let log = log(&[1, 1, 1]);
        assert_eq!(by_counting(&log, Term::new(1), LogIndex::new(2), LogIndex::new(3)), LogIndex::new(3));
        assert_eq!(by_leader(LogIndex::new(3), LogIndex::new(2), LogIndex::new(2)), LogIndex::new(3));
    }

    #[test]
    fn a_follower_commits_no_further_than_the_message_reached() {
        let through = |leader, verified| by_leader(LogIndex::new(1), LogIndex::new(leader), LogIndex::new(verified));
        assert_eq!(through(u64::MAX, 4), LogIndex::new(4));
        assert_eq!(through(2, 4), LogIndex::new(2));
    }
}
