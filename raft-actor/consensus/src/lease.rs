//! What lets a leader answer reads without asking anybody (dissertation 6.4.1).
//!
//! A member that has heard from a leader helps to elect nobody else for a minimum election timeout `m`. It counts from
//! when it *heard*; the leader counts from when it *sent* what the member echoes, which was before. So while less than
//! `m` has passed since a quorum was sent something that it has echoed, every quorum contains a member that keeps its
//! word: there is no other leader, nothing is committed that this one does not know, and a read may be answered from its
//! own state.
//!
//! The two clocks differ. Let no clock be off by more than `d` over a span of `m`, because it runs too fast or too slow,
//! or leaps. A member whose clock shows that `m` has passed has then kept its word for `m - d` at least, and a leader
//! whose clock shows a span has let that span and `d` pass at most. Hence a lease lasts `m - 2d` by the leader's clock.
//!
//! What else the argument needs, each at its place in the code:
//! - A member keeps its word whatever term it enters meanwhile, and whether it would vote for another or campaign itself
//!   (`Shared::withholds_vote`).
//! - Neither does a rest end its word, nor what it is told of the leader's host ([`HostSilent`](crate::Input::HostSilent),
//!   [`HungUp`](crate::Input::HungUp)).
//!   A leader at rest gets no echoes, so its lease runs out as if it were cut off (`role/leader/rest`).
//! - One that restarts does not know whom it heard: it acts as if it had heard a leader just then.
//! - It knows of all this from the configuration in its log, so a leader counts only on those that durably have the
//!   latest configuration of its own log, and its no-op: they cannot have another one behind that
//!   (`role/leader/lease`).
//! - [`TimeoutNow`](crate::TimeoutNow) calls an election in spite of every word given. Since it may arrive late, a leader
//!   that has said it has no lease any more, for the rest of its office.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest [`LeaseReads::election_timeout_ms_min`]: ten minutes.
pub const LEASE_TIMEOUT_MS_MAX: u64 = 600_000;

/// The largest [`LeaseReads::drift_percent_max`]; with half of the timeout nothing would be left of a lease.
pub const LEASE_DRIFT_PERCENT_MAX: u8 = 49;

/// Allows a leader to answer reads by its lease, and says what the lease rests upon. Part of the configuration, so that
/// all members go by the same values, however they were started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseReads {
    /// For so many milliseconds after a member has heard from a leader, and after it has started, it helps to elect
    /// nobody else. From 1 to [`LEASE_TIMEOUT_MS_MAX`]; at most the shortest election timeout of the members, or they
    /// campaign in vain.
    pub election_timeout_ms_min: u64,
    /// By how much a clock may be off over that time, in percent of it: how much more or less of it it shows than has
    /// truly passed. At most [`LEASE_DRIFT_PERCENT_MAX`]. Beyond this bound a read may be stale.
    pub drift_percent_max: u8,
}

impl LeaseReads {
    /// Whether these values can be used.
    pub fn is_sound(&self) -> bool {
        (1..=LEASE_TIMEOUT_MS_MAX).contains(&self.election_timeout_ms_min)
            && self.drift_percent_max <= LEASE_DRIFT_PERCENT_MAX
    }

    /// How long a member keeps its word, by its own clock.
    pub fn promise(&self) -> Duration {
        Duration::from_millis(self.election_timeout_ms_min.min(LEASE_TIMEOUT_MS_MAX))
    }

    /// How long a leader counts on it, by its own clock.
    pub fn lease(&self) -> Duration {
        // Its own clock may be slow, and the other one fast.
        let counted_percent = 100_u32.saturating_sub(2 * u32::from(self.drift_percent_max));
        self.promise() * counted_percent / 100
    }
}

/// Whether a change of the membership changes lease reads as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum LeaseChange {
    /// They stay as they are.
    #[default]
    Keep,
    /// Reads are confirmed by a quorum, also those that ask for the lease.
    Off,
    /// Leaders have leases from now on, with these values.
    On(LeaseReads),
}

impl LeaseChange {
    /// Whether nothing changes.
    pub fn is_keep(&self) -> bool {
        *self == Self::Keep
    }

    pub(crate) fn apply(self, current: Option<LeaseReads>) -> Option<LeaseReads> {
        match self {
            Self::Keep => current,
            Self::Off => None,
            Self::On(lease_reads) => Some(lease_reads),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(election_timeout_ms_min: u64, drift_percent_max: u8) -> LeaseReads {
        LeaseReads { election_timeout_ms_min, drift_percent_max }
    }

    #[test]
    fn a_lease_is_over_before_the_word_it_rests_upon_whatever_clocks_within_the_bound_show() {
        for drift_percent_max in [0, 1, 5, 10, 25, 49] {
            let lease_reads = of(1000, drift_percent_max);
            let off = lease_reads.promise() * u32::from(drift_percent_max) / 100;
            let longest_lease = lease_reads.lease() + off;
            let shortest_promise = lease_reads.promise() - off;
            assert!(longest_lease <= shortest_promise, "{drift_percent_max} %");
        }
        assert_eq!(of(1000, 10).lease(), Duration::from_millis(800));
    }

    #[test]
    fn values_that_make_no_sense_give_no_lease_and_no_endless_promise() {
        assert!(of(1, 0).is_sound() && of(LEASE_TIMEOUT_MS_MAX, LEASE_DRIFT_PERCENT_MAX).is_sound());
        for unsound in [of(0, 10), of(1000, 50), of(LEASE_TIMEOUT_MS_MAX + 1, 10), of(u64::MAX, u8::MAX)] {
            assert!(!unsound.is_sound(), "{unsound:?}");
            assert!(unsound.promise() <= Duration::from_millis(LEASE_TIMEOUT_MS_MAX));
        }
        assert_eq!(of(1000, 50).lease(), Duration::ZERO);
        assert_eq!(of(u64::MAX, u8::MAX).lease(), Duration::ZERO);
    }
}
