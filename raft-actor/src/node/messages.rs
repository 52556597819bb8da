//! What a [`RaftNode`](super::RaftNode) is told. All of it is control or comes in batches;
//! what clients want comes through the queue beside the mailbox.

use std::collections::{BTreeMap, BTreeSet};

use actix::prelude::*;
use raft_consensus::{GroupId, LogIndex, NodeId, Round, Term};

use crate::envelope::Envelope;
use crate::handle::StopReason;
use crate::log_storage::LogError;
use crate::state_machine::snapshots::{ReceivedSnapshot, SnapshotError, SnapshotId};
use crate::transport::{ClientRequest, Credit, DirectoryId};

/// A message for this group arrived from another host.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Received {
    pub(crate) envelope: Envelope,
    /// Given back once the message was processed.
    pub(crate) credit: Credit,
}

/// A client that is no host wants something of this group.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Asked {
    pub(crate) request: ClientRequest,
    /// Given back once the request was taken in.
    pub(crate) credit: Credit,
}

/// A snapshot of a leader is here, checked and durable. The term and the round are those in which it was sent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SnapshotReceived {
    pub(crate) from: NodeId,
    pub(crate) term: Term,
    pub(crate) round: Round,
    pub(crate) snapshot: ReceivedSnapshot,
}

/// What is sent to this host gets lost at the moment, or something that was ordered for it cannot be sent.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct PeerUnreachable(pub(crate) NodeId);

/// The process of this host has ended, as far as can be known.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct PeerHungUp(pub(crate) NodeId);

/// Nothing is heard of this host any more, or it does not run the group any more.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct HostSilent(pub(crate) NodeId);

/// All founders have confirmed this host's directory: it may vote and campaign.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct SuffrageGranted;

/// Another host was met, with this disk. Comes before anything that it sends.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct PeerMet {
    pub(crate) peer: NodeId,
    pub(crate) directory: DirectoryId,
}

/// Stop for good, for this reason.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct StopNode {
    pub(crate) reason: StopReason,
}

/// What a peer needs cannot be read on this member's disk any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum Unreadable {
    /// Entries of the log.
    Log(LogError),
    /// The snapshot.
    Snapshot {
        /// Which.
        id: SnapshotId,
        /// What was found.
        error: SnapshotError,
    },
}

/// A member of a group has stopped; tells the host.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct GroupStopped {
    pub(crate) group: GroupId,
    pub(crate) reason: StopReason,
}

/// Other hosts are members of a group now; tells the host.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct MembersChanged {
    /// The group.
    pub(crate) group: GroupId,
    /// The last configuration that is committed.
    pub(crate) committed: LogIndex,
    /// Who has left with it or with one before it that the host has not heard of. They may have come back since.
    pub(crate) left: BTreeSet<NodeId>,
    /// Who is in that configuration or in one above it, which may yet be committed or not.
    pub(crate) members: BTreeSet<NodeId>,
    /// The disks that the latest configuration records.
    pub(crate) directories: BTreeMap<NodeId, DirectoryId>,
    /// Where its members are.
    pub(crate) addresses: BTreeMap<NodeId, String>,
}

/// Send this; said by whoever has no access to the transport from its own thread.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SendOut(pub(crate) Envelope);
