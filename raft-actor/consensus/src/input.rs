//! What can happen to a member.

use bytes::Bytes;

use crate::{
    DirectoryId, LogIndex, LogPosition, Membership, Message, NodeId, ProposalId, ReadId, SnapshotMeta, WriteSeq,
};

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
    /// Clients want to read linearizably, and sooner if the leader has a lease (dissertation 6.4.1); answered as
    /// [`Input::Read`] is. Without a lease, or where the configuration allows none, it is the same.
    ReadByLease {
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
    /// Another voter shall lead (dissertation 3.10); see [`Effect::Transfer`](crate::Effect::Transfer).
    TransferLeadership {
        /// Comes back in the answer.
        id: ProposalId,
        /// Who. If nobody is named, the voter that has most of the log.
        to: Option<NodeId>,
    },
    /// The storage has made durable every write up to and including this one.
    Persisted(WriteSeq),
    /// The state machine has applied everything up to and including this index.
    Applied(LogIndex),
    /// Somebody wants a snapshot now, whatever the settings say. If one is being taken already, or nothing was
    /// applied since the last one, nothing is ordered ([`Raft::is_taking_snapshot`](crate::Raft::is_taking_snapshot)
    /// tells which). Otherwise the answer to [`Effect::TakeSnapshot`](crate::Effect::TakeSnapshot) is the answer.
    TakeSnapshot,
    /// The newest snapshot of this member cannot be read any more. Another one is ordered
    /// ([`Effect::TakeSnapshot`](crate::Effect::TakeSnapshot)), of the same entries if no more were applied, unless one is
    /// being taken or installed already.
    SnapshotLost,
    /// A snapshot of this member's own state machine is on stable storage, under its final name.
    SnapshotTaken(SnapshotMeta),
    /// The snapshot that was ordered could not be taken; another will be ordered after the usual interval.
    SnapshotFailed,
    /// The snapshot of [`Effect::InstallSnapshot`](crate::Effect::InstallSnapshot) that covers the log through here is
    /// on stable storage under its final name, *and* the state machine has loaded it.
    SnapshotInstalled(LogPosition),
    /// A [`ReplicationOrder`](crate::ReplicationOrder) or a [`SnapshotOrder`](crate::SnapshotOrder) could not be
    /// carried out, or the connection broke.
    Unreachable(NodeId),
    /// The process of this host has ended, as far as can be known. All that
    /// [`Unreachable`](Self::Unreachable) says, and if its leader was there, a member campaigns without waiting for its
    /// election timeout, one after the other by their numbers, and lets others; but not where the configuration allows
    /// [`LeaseReads`](crate::LeaseReads).
    HungUp(NodeId),
    /// Nothing was heard of this host for a minimum election timeout, or it has said that it does not run this group
    /// any more. Said again as long as that is so. A member that [rests](crate::Raft::rests) relies on it: if its leader
    /// was there, it campaigns unless it hears from it again.
    HostSilent(NodeId),
    /// Somebody here wants something of the group: a member that rests watches its leader again.
    Stirred,
    /// A server was met, or met again: from now on it has this disk. Said of everybody before anything that it
    /// [sends](Input::Received), and of those that were met in an earlier run.
    Met {
        /// Who.
        peer: NodeId,
        /// Its disk.
        directory: DirectoryId,
    },
    /// Every peer has confirmed this directory: from now on this member votes and campaigns.
    SuffrageGranted,
}
