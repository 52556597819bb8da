//! What can go wrong for whoever wants other members.

use raft_consensus::{InvalidMembership, NodeId};

use super::StopReason;

/// Why a change of the membership was not answered with success.
/// Ask [`maybe_applied`](MembershipError::maybe_applied) whether it may have happened, or may yet.
///
/// To ask again for the same membership is always safe: if it is so already, or becoming so, nothing is
/// changed once more and the answer is that of the change that is under way. Beware only of another
/// change that somebody asked for in between.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// What was asked for can never be. Nothing was changed.
    #[error("{0}; correct the request")]
    Invalid(#[from] InvalidMembership),
    /// Another change is at a point from which it cannot be withdrawn. Nothing was changed.
    #[error("another change of the membership is under way; wait until it has ended and ask again")]
    #[non_exhaustive]
    InProgress {},
    /// Another membership was asked for, and committed, before this one was reached.
    #[error("another membership was asked for meanwhile; look at the status before you ask again")]
    #[non_exhaustive]
    Superseded {},
    /// Within the deadline the future voters did not catch up. The voters are as they were; the future ones are
    /// learners, and become voters as soon as all of them have caught up.
    #[error(
        "{waiting_for:?} did not catch up before the deadline and have no vote yet; check that they run and can be \
         reached. They get it as soon as they have caught up: ask again to wait for that, or ask for the former \
         membership to call it off"
    )]
    #[non_exhaustive]
    NotCaughtUp {
        /// Who is to get a vote; at least one of them is not ready.
        waiting_for: Vec<NodeId>,
    },
    /// Within the deadline no leader could be found or reached. Nothing was changed.
    #[error(
        "no leader could be reached{}; try again, and check that a majority of the voters runs",
        super::error::known(leader)
    )]
    #[non_exhaustive]
    NoLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// The deadline passed.
    #[error(
        "no answer before the deadline; {}",
        if *maybe_applied { "the membership may have changed or may yet change: look at the status, or ask again" }
        else { "nothing was changed: ask again" }
    )]
    #[non_exhaustive]
    TimedOut {
        /// Whether it may have happened, or may yet.
        maybe_applied: bool,
    },
    /// Leadership changed while the request was under way to the leader, or its answer was not understood. It may have
    /// happened, or may yet.
    #[error("the leader changed; the membership may have changed or may yet change: look at the status, or ask again")]
    #[non_exhaustive]
    Unknown {},
    /// The node that was asked does not run any more.
    #[error("this node stopped: {reason}")]
    #[non_exhaustive]
    NodeStopped {
        /// Why.
        reason: StopReason,
        /// Whether it may have happened, or may yet.
        maybe_applied: bool,
    },
}

impl MembershipError {
    /// Whether the membership may have become, or may yet become, what was asked for.
    pub fn maybe_applied(&self) -> bool {
        match self {
            Self::TimedOut { maybe_applied } | Self::NodeStopped { maybe_applied, .. } => *maybe_applied,
            Self::NotCaughtUp { .. } | Self::Unknown {} => true,
            Self::Invalid(_) | Self::InProgress {} | Self::Superseded {} | Self::NoLeader { .. } => false,
        }
    }

    /// Who leads, if this error knows.
    pub fn leader(&self) -> Option<NodeId> {
        match self {
            Self::NoLeader { leader } => *leader,
            Self::Invalid(_)
            | Self::InProgress {}
            | Self::Superseded {}
            | Self::NotCaughtUp { .. }
            | Self::TimedOut { .. }
            | Self::Unknown {}
            | Self::NodeStopped { .. } => None,
        }
    }
}
