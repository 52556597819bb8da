//! Whether a leader still reaches a quorum (dissertation 6.2), told by rounds.
//!
//! Every AppendEntries carries a [`Round`], which its reply echoes. An echo
//! proves that the peer followed us at some moment *after* that round was sent;
//! when the echo arrived proves nothing, it may have been under way for long.
//! So contact counts from the sending.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Round, Settings, Time};

/// Numbers the sendings of one leadership and remembers when they happened.
#[derive(Debug, Clone)]
pub(crate) struct Rounds {
    elected_at: Time,
    last: Round,
    /// The first round sent at or after each of some moments, ascending in both; a moment
    /// stands for all sendings up to the next one.
    moments: VecDeque<(Round, Time)>,
    /// Least distance of two moments: the memory is bounded however much is sent.
    grain: Duration,
    /// How long ago a sending may lie to be of interest.
    memory: Duration,
}

/// Remembered moments in a minimum election timeout.
const MOMENTS_PER_TIMEOUT: u32 = 64;

impl Rounds {
    pub(crate) fn new(settings: &Settings, elected_at: Time) -> Self {
        let timeout = settings.election_timeout_min();
        Self {
            elected_at,
            last: Round::ZERO,
            moments: VecDeque::new(),
            grain: timeout / MOMENTS_PER_TIMEOUT,
            memory: timeout * 2,
        }
    }

    /// The round of the latest sending.
    pub(crate) fn last(&self) -> Round {
        self.last
    }

    /// Numbers a sending that happens now.
    pub(crate) fn issue(&mut self, now: Time) -> Round {
        self.last = self.last.next();
        if self.moments.back().is_none_or(|(_, moment)| now >= moment.after(self.grain)) {
            while self.moments.get(1).is_some_and(|(_, next)| now.since(*next) > self.memory) {
                self.moments.pop_front();
            }
            self.moments.push_back((self.last, now));
        }
        self.last
    }

    /// A moment at or shortly before `round` was sent, never after.
    pub(crate) fn sent_at(&self, round: Round) -> Time {
        let moments_through = self.moments.partition_point(|(first, _)| *first <= round);
        moments_through.checked_sub(1).map_or(self.elected_at, |at| self.moments[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds() -> Rounds {
        Rounds::new(&Settings { election_timeout_ms_min: 64, ..Settings::default() }, Time::from_millis(1000))
    }

    #[test]
    fn a_round_is_dated_no_later_than_it_was_sent() {
        let mut rounds = rounds();
        let sent: Vec<(Round, Time)> = (0..2000_u64)
            .map(|step| {
                let now = Time::from_micros(1_000_000 + step * 100);
                (rounds.issue(now), now)
            })
            .collect();
        for (round, time) in sent {
            let dated = rounds.sent_at(round);
            assert!(dated <= time, "{round} was sent at {time:?} and dated {dated:?}");
            let is_recent = Time::from_micros(1_199_900).since(time) < Duration::from_millis(64);
            assert!(!is_recent || time.since(dated) <= Duration::from_millis(1), "{round} {time:?} {dated:?}");
        }
    }

    #[test]
    fn memory_is_bounded_however_much_is_sent() {
        let mut rounds = rounds();
        (0..100_000_u64).for_each(|step| {
            rounds.issue(Time::from_micros(1_000_000 + step * 10));
        });
        assert!(rounds.moments.len() < 140, "{} moments", rounds.moments.len());
    }
}
