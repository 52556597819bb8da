//! Linearizability of a [history](super::history), key by key: is there one order of all operations, true to real
//! time, in which every client got the answer that it got?
//!
//! The algorithm is Wing and Gong's (1993) with Lowe's memory of where it has been (2017): place one operation after
//! the other, each time one that was called before any other unplaced one returned; never go on twice from the same
//! set of placed operations with the same state. Keys are independent of each other (Herlihy and Wing 1990), so that
//! each is searched alone.
//!
//! What makes it our own is the outcome *unknown*. Such an operation stays concurrent with all that follows for ever,
//! and a faulty network leaves many: the set of those placed is what explodes in a checker that takes them like any
//! other. Here
//! * one that nobody can have seen is left out;
//! * one is placed only directly before an operation that needs what it left;
//! * those with the same effect are placed in the order of their calls;
//! * a read that fits is placed at once.
//!
//! None of these loses an explanation (a test compares with all permutations), and with values that are written
//! once the number of situations grows with the length of the history times the overlaps, no longer with the
//! unknown ones. So write each value once; and let few writes of a key go unknown if that cannot be.
//!
//! Tried before, on 200 operations of 8 clients on one key, each value written once: `todc-utils` 0.1.1 (no
//! dependencies, no release since 2023) needs 1 ms when every outcome is known and 10 ms for such a history with a stale
//! read; with 30 % unknown outcomes it did not end within a minute for one good history of five and for neither of two
//! with a stale read. `stateright` 0.31 (45 crates, no memory of where it has been) needs 130 to 280 ms for the first kind
//! and did not end for any other. Here a good history of either kind takes 0.1 ms, one with a stale read 0.1 to 12 ms;
//! with 2 000 operations, 30 % of them unknown, that is 1 ms and 40 to 70 ms, and two seconds more for the
//! counterexample. Neither of the others has a limit of steps, or tells more than yes or no.
//!
//! The search is bounded in steps; a history for which that is not enough is [`Refused::Undecided`], never accepted.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use super::history::{Key, Operation, Outcome};

mod search;
#[cfg(test)]
mod tests;

use search::{Verdict, decide, relevant};

/// Steps per key after which [`check`] gives up; some seconds in a release build. Ordinary histories need about one
/// per operation.
pub const STEPS_MAX: u64 = 2_000_000;

/// Steps for all attempts to say less in a counterexample.
const EXPLAIN_STEPS_MAX: u64 = 500_000;

/// Why a history was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// No order explains the answers.
    #[error("{0}")]
    NotLinearizable(Counterexample),
    /// The search was too long; nothing is known.
    #[error("undecided: the {operations} operations on key {key} need more than {steps_max} steps of search")]
    Undecided {
        /// The key.
        key: Key,
        /// How many operations there are on it.
        operations: usize,
        /// The limit.
        steps_max: u64,
    },
}

/// A part of a history that cannot be explained. It ends at the first return that made it so, and is weakened as far
/// as possible: reads that do not matter are left out, and what does not matter of a write is shown as unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// The key.
    pub key: Key,
    /// The operations that contradict each other, by the time of their calls.
    pub operations: Vec<Operation>,
    /// How many operations there were on the key.
    pub of: usize,
}

/// The key, then one line per operation.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operations, of } = self;
        write!(
            f,
            "key {key} is not linearizable: no order of these {} of {of} operations explains the",
            operations.len()
        )?;
        f.write_str(" answers (absent at first, times in microseconds, \"unknown\" may also stand for an answer that")?;
        f.write_str(" does not matter)")?;
        operations.iter().try_for_each(|operation| write!(f, "\n  {operation}"))
    }
}

/// Checks every key of a history. Keys are absent at first, so a history has to be complete: an operation that is
/// missing from it can be the one that would explain an answer.
///
/// Beyond linearizability, writes whose answers name their place in the log must take effect in that order.
///
/// # Errors
/// The first key whose answers nothing explains, or that the search cannot decide within [`STEPS_MAX`].
///
/// # Panics
/// If an operation with an answer has no return, or returned before it was called.
///
/// # Example
/// ```
/// use raft_transport::sim::history::{Action, Answer, History, Outcome};
/// use raft_transport::sim::linearizable::check;
///
/// let mut history = History::default();
/// let put = history.called(1, 7, Action::Put(42), 100);
/// let get = history.called(2, 7, Action::Get, 150);
/// history.returned(get, 200, Outcome::Done(Answer::Found(Some(42))));
/// history.returned(put, 300, Outcome::Unknown);
/// check(history.operations()).unwrap();
///
/// let late = history.called(2, 7, Action::Get, 400);
/// history.returned(late, 500, Outcome::Done(Answer::Found(None)));
/// let refused = check(history.operations()).unwrap_err().to_string();
/// assert!(refused.ends_with("client 2 [400 .. 500] get -> found nothing"), "{refused}");
/// ```
pub fn check(history: &[Operation]) -> Result<(), Refused> {
    check_within(history, STEPS_MAX)
}

/// [`check`] with another limit of steps per key.
///
/// # Errors
/// See [`check`].
///
/// # Panics
/// See [`check`].
pub fn check_within(history: &[Operation], steps_max: u64) -> Result<(), Refused> {
    let mut keys: BTreeMap<Key, Vec<Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(operation.key).or_default().push(*operation);
    }
    for (key, mut operations) in keys {
        operations.sort_by_key(|operation| operation.called_us);
        match decide(&operations, &mut { steps_max }) {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable => {
                return Err(Refused::NotLinearizable(explain(key, &operations)));
            }
            Verdict::Undecided => return Err(Refused::Undecided { key, operations: operations.len(), steps_max }),
        }
    }
    Ok(())
}

/// The least of a history without an explanation that still has none.
fn explain(key: Key, operations: &[Operation]) -> Counterexample {
    let mut steps_left = EXPLAIN_STEPS_MAX;
    let mut refused = |fewer: &[Operation]| {
        let mut attempt = steps_left.min(EXPLAIN_STEPS_MAX / 10);
        let before = attempt;
        let verdict = decide(fewer, &mut attempt);
        steps_left -= before - attempt;
        verdict == Verdict::NotLinearizable
    };
    let mut left = shortest_prefix(operations, &mut refused);
    weaken(&mut left, &mut refused);
    Counterexample { key, operations: relevant(&left), of: operations.len() }
}

/// Ends the history at the first return that nothing explains. Every prefix of a linearizable history is linearizable.
fn shortest_prefix(operations: &[Operation], refused: &mut impl FnMut(&[Operation]) -> bool) -> Vec<Operation> {
    let done = operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Done(_)));
    let mut returns: Vec<u64> = done.filter_map(|operation| operation.returned_us).collect();
    returns.sort_unstable();
    let end = returns.partition_point(|end| !refused(&until(operations, *end)));
    let prefix = returns.get(end).map(|end| until(operations, *end));
    prefix.filter(|prefix| refused(prefix)).unwrap_or_else(|| operations.to_vec())
}

/// What was known at that time.
fn until(operations: &[Operation], end_us: u64) -> Vec<Operation> {
    let called = operations.iter().filter(|operation| operation.called_us <= end_us);
    called
        .map(|operation| match operation.returned_us {
            Some(returned) if returned <= end_us => *operation,
            Some(_) | None => Operation { returned_us: None, outcome: Outcome::Unknown, ..*operation },
        })
        .collect()
}

/// Forgets every answer without which the rest still has no explanation; first many at a time, then one by one. To
/// know less of a linearizable history leaves it linearizable, so what remains is a contradiction of its own.
fn weaken(operations: &mut Vec<Operation>, refused: &mut impl FnMut(&[Operation]) -> bool) {
    let mut at_once = operations.len().div_ceil(2);
    while at_once > 0 {
        for start in (0..operations.len()).step_by(at_once) {
            let mut weaker = operations.clone();
            for operation in weaker.iter_mut().skip(start).take(at_once) {
                if matches!(operation.outcome, Outcome::Done(_)) {
                    operation.outcome = Outcome::Unknown;
                }
            }
            if refused(&weaker) {
                *operations = weaker;
            }
        }
        at_once /= 2;
    }
}
