//! What can go wrong for whoever wants another leader.

use raft_consensus::{NodeId, Term};

use super::StopReason;

/// Why leadership was not handed over, as far as is known. Whatever it says, no request is lost by it, and to ask again
/// is safe.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The node that shall lead has no vote, or is about to lose it.
    #[error("node {to} is no voter; name one, or make it one first")]
    #[non_exhaustive]
    NotVoter {
        /// Who shall lead.
        to: NodeId,
    },
    /// No node was named, and the leader has heard from no other voter lately.
    #[error("the leader can reach no other voter; check that the others run")]
    #[non_exhaustive]
    NobodyElse {},
    /// Leadership is being handed to another node at this moment.
    #[error("leadership is being handed to node {to}; ask again when that is over, after an election timeout at most")]
    #[non_exhaustive]
    InProgress {
        /// Who shall lead.
        to: NodeId,
    },
    /// The node did not take over within an election timeout, or nothing was heard of it before the deadline. The
    /// former leader goes on, unless the node wins its election after all.
    #[error("the node did not take over in time; check that it runs and is not far behind, and ask again")]
    #[non_exhaustive]
    TimedOut {},
    /// Another node leads now.
    #[error("node {leader} has been elected instead, in term {term}; ask again")]
    #[non_exhaustive]
    Superseded {
        /// Who leads.
        leader: NodeId,
        /// In this term.
        term: Term,
    },
    /// Within the deadline no leader could be found or reached.
    #[error(
        "no leader could be reached{}; try again, and check that a majority of the voters runs",
        super::error::known(leader)
    )]
    #[non_exhaustive]
    NoLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// The node that was asked does not run any more.
    #[error("this node stopped: {reason}")]
    #[non_exhaustive]
    NodeStopped {
        /// Why.
        reason: StopReason,
    },
}
