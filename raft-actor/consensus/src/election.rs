//! Who gets a vote and when to ask for one (§5.2, §5.4.1; pre-vote and stickiness: dissertation 9.6, 4.2.3).

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{LogPosition, NodeId, PreVote, RequestVote, Settings, Term, Time};

/// What decides how a server votes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voter {
    pub(crate) term: Term,
    /// Whom it voted for in that term.
    pub(crate) vote: Option<NodeId>,
    /// Its last log entry, durable or not.
    pub(crate) last: LogPosition,
    /// Whether its votes count for anything now: it has suffrage, knows some
    /// configuration, and its storage is not stuck.
    pub(crate) may_vote: bool,
    /// Whether it heard from a leader within the minimum election timeout (or is one in contact with its quorum).
    pub(crate) leader_alive: bool,
}

/// Whether the log that ends in `candidate` is at least as up-to-date as the one that ends in `own`.
pub(crate) fn is_up_to_date(candidate: LogPosition, own: LogPosition) -> bool {
    // The later term wins, then the longer log (§5.4.1): the order of LogPosition's fields.
    candidate >= own
}

/// Whether `voter` votes for `candidate`, whose term it has already adopted.
pub(crate) fn grants_vote(voter: &Voter, candidate: NodeId, request: &RequestVote) -> bool {
    voter.may_vote
        && request.term == voter.term
        // One vote per term, first come first served (§5.2); the same candidate may ask again.
        && voter.vote.is_none_or(|vote| vote == candidate)
        && is_up_to_date(request.last, voter.last)
}

/// Whether `voter` would vote for the sender if it campaigned in `request.term`.
pub(crate) fn grants_pre_vote(voter: &Voter, request: &PreVote) -> bool {
    voter.may_vote
        && !voter.leader_alive
        // The prospective term, so a sender one term behind us is refused here; it learns our term
        // from the refusal and comes back, else it could block an election for ever.
        && request.term > voter.term
        && is_up_to_date(request.last, voter.last)
}

/// The randomised election timeout (§5.2): drawn from `[min, max)` for each election.
///
/// A member of a lower election priority waits longer, by at least the width of that range: those of a higher one campaign
/// first. That is all a priority does. If it decided votes, a member that can be elected could be refused by those
/// that cannot, for ever.
#[derive(Debug, Clone)]
pub(crate) struct ElectionTimer {
    rng: ChaCha8Rng,
    min: Duration,
    max: Duration,
    /// Added to each timeout.
    delay: Duration,
    timeout: Duration,
    deadline: Time,
}

impl ElectionTimer {
    pub(crate) fn new(seed: u64, settings: &Settings, now: Time) -> Self {
        let (min, max) = (settings.election_timeout_min(), settings.election_timeout_max());
        let (rng, delay) = (ChaCha8Rng::seed_from_u64(seed), settings.election_delay());
        let mut timer = Self { rng, min, max, delay, timeout: min, deadline: now };
        timer.redraw();
        timer.restart(now);
        timer
    }

    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }

    pub(crate) fn has_expired(&self, now: Time) -> bool {
        now >= self.deadline
    }

    /// Chooses a new timeout, so that two servers that split a vote do not do so again (§5.2).
    pub(crate) fn redraw(&mut self) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // If there is no width, the minimum is all there is.
        let (min_us, max_us) = (micros(self.min), micros(self.max.saturating_sub(Duration::from_micros(1))));
        let timeout_us = self.rng.random_range(min_us..=max_us.max(min_us));
        self.timeout = Duration::from_micros(timeout_us).saturating_add(self.delay);
    }

    /// Waits a whole timeout from `now`.
    pub(crate) fn restart(&mut self, now: Time) {
        self.deadline = now.after(self.timeout);
    }

    /// Waits a whole timeout from when a leader was `heard`; if that was longer ago than a minimum one, as if it had been
    /// just that long ago.
    pub(crate) fn restart_late(&mut self, now: Time, heard: Time) {
        self.deadline = heard.after(self.timeout).max(now.after(self.timeout.saturating_sub(self.min)));
    }

    /// Waits a whole timeout from when `rest` has passed.
    pub(crate) fn postpone(&mut self, now: Time, rest: Duration) {
        self.deadline = now.after(rest.saturating_add(self.timeout));
    }

    /// Lets the timer expire soon. All who miss the same leader miss it at the same time, so each has a turn of its own
    /// to begin, a twentieth of a minimum timeout long, unless somebody before it was elected. A lower priority waits its
    /// time nevertheless.
    pub(crate) fn expire_soon(&mut self, now: Time, turn: u32) {
        let begin = (self.min / 20).saturating_mul(turn);
        self.deadline = self.deadline.min(now.after(begin.saturating_add(self.delay)));
    }

    /// Lets the timer expire at once.
    pub(crate) fn expire(&mut self, now: Time) {
        self.deadline = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogIndex;

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term::new(term), LogIndex::new(index))
    }

    fn voter() -> Voter {
        Voter { term: Term::new(3), vote: None, last: at(2, 5), may_vote: true, leader_alive: false }
    }

    fn request(term: u64, last: LogPosition) -> RequestVote {
        RequestVote { term: Term::new(term), last, leadership_transfer: false }
    }

    #[test]
    fn up_to_date_compares_the_last_term_first_and_then_the_length() {
        let own = at(2, 5);
        assert!(is_up_to_date(at(3, 1), own), "a later term wins over a longer log");
        assert!(is_up_to_date(at(2, 5), own), "equal is up to date");
        assert!(!is_up_to_date(at(2, 4), own), "shorter in the same term is not");
        assert!(!is_up_to_date(at(1, 900), own), "longer in an older term is not");
    }

    #[test]
    fn one_vote_per_term_first_come_first_served() {
        let (first, second) = (NodeId::from(1), NodeId::from(2));
        let voted = Voter { vote: Some(first), ..voter() };
        assert!(grants_vote(&voter(), second, &request(3, at(2, 5))));
        assert!(grants_vote(&voted, first, &request(3, at(2, 5))), "a repeated request gets the same answer");
        assert!(!grants_vote(&voted, second, &request(3, at(2, 5))));
    }

    #[test]
    fn without_suffrage_there_is_neither_vote_nor_pre_vote() {
        let mute = Voter { may_vote: false, ..voter() };
        assert!(!grants_vote(&mute, NodeId::from(1), &request(3, at(9, 9))));
        assert!(!grants_pre_vote(&mute, &PreVote { term: Term::new(9), last: at(9, 9) }));
    }

    #[test]
    fn a_pre_vote_needs_a_later_term_an_up_to_date_log_and_a_silent_leader() {
        let asked = |term, last| PreVote { term: Term::new(term), last };
        assert!(grants_pre_vote(&voter(), &asked(4, at(2, 5))));
        assert!(!grants_pre_vote(&voter(), &asked(3, at(2, 5))), "the sender is a term behind");
        assert!(!grants_pre_vote(&voter(), &asked(4, at(2, 4))));
        assert!(!grants_pre_vote(&Voter { leader_alive: true, ..voter() }, &asked(4, at(2, 5))));
    }

    fn timer(seed: u64) -> ElectionTimer {
        let settings = Settings { election_timeout_ms_min: 100, ..Settings::default() };
        ElectionTimer::new(seed, &settings, Time::ZERO)
    }

    #[test]
    fn a_lower_priority_waits_longer_than_every_higher_one_and_never_for_ever() {
        for seed in 0..200 {
            let deadlines = [3, 2, 1, 0].map(|election_priority| {
                let settings = Settings { election_timeout_ms_min: 100, election_priority, ..Settings::default() };
                ElectionTimer::new(seed + u64::from(election_priority), &settings, Time::ZERO).deadline()
            });
            assert!(deadlines.is_sorted_by(|higher, lower| higher < lower), "{deadlines:?}");
            assert!(deadlines[3] < Time::from_millis(500), "{deadlines:?}");
        }
        let beyond = Settings { election_priority: 200, ..Settings::default() };
        assert_eq!(beyond.election_delay(), Duration::ZERO, "more than the highest is the highest");
    }

    #[test]
    fn timeouts_are_spread_over_the_minimum_and_twice_the_minimum() {
        let mut timer = timer(7);
        let mut quarters = [0; 4];
        for _ in 0..1000 {
            timer.redraw();
            timer.restart(Time::ZERO);
            let drawn_ms = timer.deadline().as_micros() / 1000;
            assert!((100..200).contains(&drawn_ms), "{drawn_ms} ms");
            quarters[usize::try_from((drawn_ms - 100) / 25).expect("small")] += 1;
        }
        assert!(quarters.iter().all(|drawn| (150..350).contains(drawn)), "uneven: {quarters:?}");
    }

    /// §9.3 varies the width of the range.
    #[test]
    fn the_range_of_timeouts_can_be_narrow_wide_or_a_single_value() {
        for (max, shortest_us, longest_us) in [
            (0, 100_000, 199_999),
            (100, 100_000, 100_000),
            (105, 100_000, 104_999),
            (400, 100_000, 399_999),
            // No host starts with this; the core takes it as no width.
            (50, 100_000, 100_000),
        ] {
            let settings =
                Settings { election_timeout_ms_min: 100, election_timeout_ms_max: max, ..Settings::default() };
            let mut timer = ElectionTimer::new(3, &settings, Time::ZERO);
            let mut drawn_us = Vec::new();
            for _ in 0..1000 {
                timer.redraw();
                timer.restart(Time::ZERO);
                drawn_us.push(timer.deadline().as_micros());
            }
            let (shortest, longest) = (drawn_us.iter().min(), drawn_us.iter().max());
            let (shortest, longest) = (*shortest.expect("drawn"), *longest.expect("drawn"));
            let slack_us = (longest_us - shortest_us) / 50;
            assert!((shortest_us..=shortest_us + slack_us).contains(&shortest), "max {max}: {shortest} us");
            assert!((longest_us - slack_us..=longest_us).contains(&longest), "max {max}: {longest} us");
        }
    }

    #[test]
    fn a_lower_priority_waits_longer_in_a_wide_range_too() {
        for seed in 0..200 {
            let deadlines = [3, 2, 1, 0].map(|election_priority| {
                let settings = Settings {
                    election_timeout_ms_min: 100,
                    election_timeout_ms_max: 500,
                    election_priority,
                    ..Settings::default()
                };
                ElectionTimer::new(seed + u64::from(election_priority), &settings, Time::ZERO).deadline()
            });
            assert!(deadlines.is_sorted_by(|higher, lower| higher < lower), "{deadlines:?}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_timeouts() {
        let draw = |seed| timer(seed).deadline();
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }
}
