//! The checker refuses nothing that is sound, and whatever is not.

use raft_actor::consensus::{LogIndex, LogPosition, NodeId, Term};

mod leases;
mod offices;
mod promises;
mod repair;
mod rules;
mod safety;
mod sessions;
mod situations;
mod snapshots;
mod sound;
mod tombs;
mod world;

/// The server `n`.
fn node(n: u64) -> NodeId {
    NodeId::from(n)
}

/// The position with this index and term; in the order in which traces print it, `index@term`.
pub(super) fn at(index: u64, term: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

/// The verdict names this invariant as broken.
#[track_caller]
fn refused(verdict: super::Verdict, invariant: &str) {
    let violation = verdict.expect_err("this breaks a rule");
    assert_eq!(violation.invariant, invariant, "{violation}");
}
