//! What can happen to a member.

use bytes::Bytes;

use crate::{LogIndex, Membership, Message, NodeId, ProposalId, ReadId, WriteSeq};

/// Everything that can happen to a member; the argument of `Raft::step`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The time given by `Raft::next_deadline` has come.
    Deadline,
    /// A message arrived.
    Received {
        /// Who sent it.
        from: NodeId,
        /// The message.
        message: Message,
    },
    /// Clients want these commands in the log. All of them are accepted, at
    /// consecutive indexes, or none is: see [`Effect::Proposed`](crate::Effect::Proposed).
    Propose {
        /// Comes back in the answer.
        id: ProposalId,
        /// Encoded commands.
        commands: Vec<Bytes>,
    },
    /// Clients want to read linearizably (§8); one id may stand for many reads.
    Read {
        /// Comes back in the answer.
        id: ReadId,
    },
    /// The cluster shall have other members (§6); see [`Effect::MembershipChange`](crate::Effect::MembershipChange).
    ChangeMembership {
        /// Comes back in the answer.
        id: ProposalId,
        /// Who shall belong to it.
        membership: Membership,
    },
    /// The storage has made durable every write up to and including this one.
    Persisted(WriteSeq),
    /// The state machine has applied everything up to and including this index.
    Applied(LogIndex),
    /// A [`ReplicationOrder`](crate::ReplicationOrder) could not be carried out, or the connection broke.
    Unreachable(NodeId),
    /// Every peer has confirmed this directory: from now on this member votes and campaigns.
    SuffrageGranted,
}
