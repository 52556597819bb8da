//! Linearizable reads without a log entry (§8, dissertation 6.4).
//!
//! A leader may serve a read from its state machine once it knows (1) that it
//! still led after the read arrived: a quorum echoed a round that was *sent*
//! later; and (2) everything that was committed by then: its own no-op is
//! committed, and the state machine has applied what was. One round confirms
//! all reads that arrived before it; while it is under way, further reads
//! gather for the next.

use std::collections::VecDeque;

use crate::{LogIndex, ReadId, Round};

/// The reads that wait for a confirmation.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadIndex {
    waiting: VecDeque<Waiting>,
    /// The first round of the latest sending to all peers.
    asked: Round,
}

#[derive(Debug, Clone)]
struct Waiting {
    id: ReadId,
    /// What was committed when it arrived.
    index: LogIndex,
    /// The last round sent before it arrived; only later ones confirm it.
    after: Round,
}

impl ReadIndex {
    /// A read arrived when `index` was the commit index (or our no-op, if that is
    /// not committed yet) and `last_round` the last round sent.
    pub(crate) fn arrived(&mut self, id: ReadId, index: LogIndex, last_round: Round) {
        self.waiting.push_back(Waiting { id, index, after: last_round });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// All peers are being sent to, beginning with this round.
    pub(crate) fn asked(&mut self, first_round: Round) {
        self.asked = first_round;
    }

    /// Whether all peers should be asked now: some read waits for a later round than those
    /// under way, and the one under way has been answered by a quorum.
    pub(crate) fn wants_round(&self, confirmed: Round) -> bool {
        self.waiting.back().is_some_and(|read| read.after >= self.asked) && confirmed >= self.asked
    }

    /// The next read that a quorum's echo of `confirmed` confirms.
    pub(crate) fn take_confirmed(&mut self, confirmed: Round) -> Option<(ReadId, LogIndex)> {
        if confirmed <= self.waiting.front()?.after {
            return None;
        }
        self.waiting.pop_front().map(|read| (read.id, read.index))
    }

    /// Gives up all of them: no leader any more.
    pub(crate) fn refuse_all(&mut self) -> impl Iterator<Item = ReadId> {
        self.waiting.drain(..).map(|read| read.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(reads: &mut ReadIndex, id: u64, last_round: u64) {
        reads.arrived(ReadId(id), LogIndex::new(7), Round::new(last_round));
    }

    #[test]
    fn a_read_is_confirmed_only_by_a_round_sent_after_it_arrived() {
        let mut reads = ReadIndex::default();
        arrive(&mut reads, 1, 4);
        assert_eq!(reads.take_confirmed(Round::new(4)), None, "round 4 was sent before");
        assert_eq!(reads.take_confirmed(Round::new(5)), Some((ReadId(1), LogIndex::new(7))));
        assert_eq!(reads.take_confirmed(Round::new(5)), None, "once only");
    }

    #[test]
    fn reads_gather_while_a_round_is_under_way() {
        let mut reads = ReadIndex::default();
        arrive(&mut reads, 1, 4);
        assert!(reads.wants_round(Round::new(4)), "nothing is under way");
        reads.asked(Round::new(5));
        assert!(!reads.wants_round(Round::new(4)), "round 5 will do");
        arrive(&mut reads, 2, 6);
        arrive(&mut reads, 3, 6);
        assert!(!reads.wants_round(Round::new(4)), "they wait until round 5 is answered");
        assert!(reads.wants_round(Round::new(5)));
        reads.asked(Round::new(7));
        let confirmed: Vec<_> = std::iter::from_fn(|| reads.take_confirmed(Round::new(7))).collect();
        assert_eq!(confirmed.len(), 3, "one round confirms all that came before it");
        assert!(!reads.wants_round(Round::new(7)));
    }

    #[test]
    fn all_waiting_reads_are_refused_at_once() {
        let mut reads = ReadIndex::default();
        arrive(&mut reads, 1, 4);
        arrive(&mut reads, 2, 4);
        assert_eq!(reads.refuse_all().collect::<Vec<_>>(), [ReadId(1), ReadId(2)]);
        assert_eq!(reads.take_confirmed(Round::new(9)), None);
    }
}
