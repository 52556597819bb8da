//! The small numbers of Raft as types of their own, so that the compiler keeps
//! a term from being used as an index.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Identifies a server of a cluster. Never reused for another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(u64);

/// Identifies one Raft group (one replicated log) among those a host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(u64);

/// A term of office (§5.1): a logical clock, at most one leader in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(u64);

/// A place in the log (§5.3). The first entry has index 1; [`LogIndex::ZERO`] is before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogIndex(u64);

/// Names one entry for ever: no two different entries share term and index (Log Matching, §5.3).
///
/// The order of the fields *is* §5.4.1: the later term wins, then the longer log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LogPosition {
    /// Term of the leader that created the entry.
    pub term: Term,
    /// Index of the entry in the log.
    pub index: LogIndex,
}

/// Numbers the writes a node orders from its storage, in order. An index would
/// not do: two leaders can make a node write the same index twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WriteSeq(u64);

/// Numbers the AppendEntries a leader sends, so that a reply tells which sending it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Round(u64);

/// Names one damage to a member's log; the storage that finds the damage chooses it, and never the same one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DamageId(pub u64);

/// The random id that a data directory gets at its first start: names the disk on which a member remembers what it has
/// promised, and tells one that was wiped from a restart. A label; its value means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DirectoryId(pub u64);

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Names a batch of proposals between the node and the core; chosen by the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u64);

/// Names a batch of linearizable reads between the node and the core; chosen by the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// A reading of the node's monotonic clock, in microseconds since an arbitrary start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

/// The counting numbers: zero, a value, its successor.
macro_rules! counting {
    ($name:ident, $prefix:literal) => {
        impl $name {
            /// The first value; nothing real has it.
            pub const ZERO: Self = Self(0);

            /// The value `n`.
            pub const fn new(n: u64) -> Self {
                Self(n)
            }

            /// The plain number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after. Saturates, so that a hostile peer's `u64::MAX` cannot wrap around.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

counting!(Term, "");
counting!(LogIndex, "");
counting!(WriteSeq, "w");
counting!(Round, "r");

macro_rules! named {
    ($name:ident) => {
        impl $name {
            /// The id `n`.
            pub const fn new(n: u64) -> Self {
                Self(n)
            }

            /// The plain number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl From<u64> for $name {
            fn from(n: u64) -> Self {
                Self(n)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

named!(NodeId);
named!(GroupId);

impl LogIndex {
    /// The one before; [`LogIndex::ZERO`] has none and stays.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The index `count` further on (saturating).
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The index `count` before; at least [`LogIndex::ZERO`].
    #[must_use]
    pub const fn minus(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }

    /// How many entries lie in `earlier+1 ..= self`; 0 if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl LogPosition {
    /// Before the first entry of every log.
    pub const ZERO: Self = Self { term: Term::ZERO, index: LogIndex::ZERO };

    /// The position of the entry with this term and index.
    pub const fn new(term: Term, index: LogIndex) -> Self {
        Self { term, index }
    }

    /// Whether a log with an entry here cannot have one at `other`: an index holds one entry, and along
    /// a log terms never fall (§5.3).
    pub fn rules_out(self, other: Self) -> bool {
        match other.index.cmp(&self.index) {
            Ordering::Less => other.term > self.term,
            Ordering::Equal => other.term != self.term,
            Ordering::Greater => other.term < self.term,
        }
    }
}

/// Printed as `index@term`.
impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl Time {
    /// The clock's arbitrary start.
    pub const ZERO: Self = Self(0);
    /// A time that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The time `micros` microseconds after the clock's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The time `millis` milliseconds after the clock's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the clock's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This time plus `duration`, or [`Time::NEVER`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_rules_out_what_no_log_can_hold_beside_it() {
        let at = |term, index| LogPosition::new(Term::new(term), LogIndex::new(index));
        let is_ruled_out = |other| at(3, 5).rules_out(other);
        assert!(!is_ruled_out(at(3, 5)));
        assert!(is_ruled_out(at(2, 5)) && is_ruled_out(at(4, 5)), "one entry for each index");
        assert!(is_ruled_out(at(2, 6)) && !is_ruled_out(at(3, 6)) && !is_ruled_out(at(9, 6)));
        assert!(is_ruled_out(at(4, 4)) && !is_ruled_out(at(3, 4)) && !is_ruled_out(at(1, 4)));
    }
}
