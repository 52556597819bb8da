//! What happens in a node, as it happens: elections, messages, entries written, committed and applied, snapshots,
//! changes of the membership. For pictures, logs and curious people.
//!
//! [`RaftAdmin::events`](crate::RaftAdmin::events) begins to listen. There is a great deal to hear, so it goes through
//! a bounded buffer: a listener that is too slow loses the oldest events and is told how many
//! ([`EventKind::Lost`]); the node never waits for anybody. While nobody listens, an event costs nothing but a look at
//! a flag, and no buffer exists. What must not be lost is to be [subscribed](crate::RaftAdmin::subscribe) to.
//!
//! Serialized, an event is one flat JSON object; docs/EVENTS.md lists them.

use std::collections::{BTreeMap, BTreeSet};

use raft_consensus::notation;
use raft_consensus::{GroupId, LogIndex, LogPosition, NodeId, Role, Term, Time};
use serde::{Serialize, Serializer};

mod feed;
mod listener;
mod message;
mod step;

#[cfg(test)]
mod tests;

pub use listener::Events;
pub use message::MessageSummary;

pub(crate) use feed::EventFeed;

/// Something that happened in a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The node it happened in.
    pub node: NodeId,
    /// The group, if the node belongs to several.
    pub group: GroupId,
    /// The term of the node just after.
    pub term: Term,
    /// When, by the monotonic clock of the node's host: comparable with other events of this run of the host only.
    pub at: Time,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen. What is "written" is ordered to be; when it is on the disk, [`Durable`](EventKind::Durable) says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EventKind {
    /// The role, the term or the known leader changed.
    #[non_exhaustive]
    RoleChanged {
        /// The role before.
        #[serde(serialize_with = "role_name")]
        from: Role,
        /// The role from now on.
        #[serde(serialize_with = "role_name")]
        role: Role,
        /// The leader of the term, if known.
        leader_id: Option<NodeId>,
    },
    /// It votes in this term; itself, if it campaigns.
    #[non_exhaustive]
    Voted {
        /// For whom.
        candidate: NodeId,
    },
    /// A message leaves for a peer, or is about to be read from the log for it.
    #[non_exhaustive]
    MessageSent {
        /// This node.
        from: NodeId,
        /// The peer.
        to: NodeId,
        /// What it says.
        message: MessageSummary,
    },
    /// A message of a peer arrived. Whether it counts is another matter.
    #[non_exhaustive]
    MessageReceived {
        /// The peer.
        from: NodeId,
        /// This node.
        to: NodeId,
        /// What it says.
        message: MessageSummary,
    },
    /// Entries were written behind the last one.
    #[non_exhaustive]
    Appended {
        /// The first of them.
        first: LogPosition,
        /// The last of them.
        last: LogPosition,
    },
    /// The entries from here on contradict the leader's log and were removed (§5.3).
    #[non_exhaustive]
    Truncated {
        /// The first that was removed.
        from_index: LogIndex,
    },
    /// The log through here is durable on this node.
    #[non_exhaustive]
    Durable {
        /// The last durable entry.
        index: LogIndex,
    },
    /// The node knows that the log through here is committed.
    #[non_exhaustive]
    Committed {
        /// The last committed entry.
        index: LogIndex,
    },
    /// The state machine has applied the log through here.
    #[non_exhaustive]
    Applied {
        /// The last applied entry.
        index: LogIndex,
    },
    /// The latest configuration in the log is another one, or was committed.
    ConfigurationChanged(ConfigurationSummary),
    /// A snapshot of the state machine is being taken.
    SnapshotStarted {},
    /// A snapshot of this node's state machine is durable.
    #[non_exhaustive]
    SnapshotTaken {
        /// The last entry that it covers.
        through: LogPosition,
    },
    /// The snapshot that was being taken could not be.
    SnapshotFailed {},
    /// A peer lacks what was purged here: it is being sent the snapshot.
    #[non_exhaustive]
    SnapshotSent {
        /// This node.
        from: NodeId,
        /// The peer.
        to: NodeId,
        /// The last entry that the snapshot covers.
        through: LogPosition,
    },
    /// A snapshot that was received is durable, and the state machine has loaded it.
    #[non_exhaustive]
    SnapshotInstalled {
        /// The last entry that it covers.
        through: LogPosition,
    },
    /// The log was emptied and goes on behind a snapshot.
    #[non_exhaustive]
    LogReset {
        /// The last entry that the snapshot covers.
        to: LogPosition,
    },
    /// The log through here was let go: a snapshot covers it.
    #[non_exhaustive]
    Purged {
        /// The last entry that is gone.
        through_index: LogIndex,
    },
    /// A peer could not be reached, or the connection to it broke.
    #[non_exhaustive]
    PeerUnreachable {
        /// The peer.
        peer: NodeId,
    },
    /// The node stopped. Nothing comes after this.
    #[non_exhaustive]
    Stopped {
        /// Why, for people.
        reason: String,
    },
    /// The listener was too slow: so many events before the next one are lost to it.
    #[non_exhaustive]
    Lost {
        /// How many.
        count: u64,
    },
}

/// Who belongs to the cluster, by the latest configuration in a node's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConfigurationSummary {
    /// Where it stands in the log.
    pub index: LogIndex,
    /// Whether this node knows that it is committed.
    pub committed: bool,
    /// Whose votes count.
    pub voters: BTreeSet<NodeId>,
    /// Whose votes count too, until a joint configuration is left; empty otherwise (§6).
    pub voters_outgoing: BTreeSet<NodeId>,
    /// Who gets the log without a vote; future voters among them.
    pub learners: BTreeSet<NodeId>,
    /// Where they are.
    pub addresses: BTreeMap<NodeId, String>,
}

impl Event {
    /// The name of what happened, as in the JSON: `role_changed`.
    pub fn name(&self) -> &'static str {
        match self.kind {
            EventKind::RoleChanged { .. } => "role_changed",
            EventKind::Voted { .. } => "voted",
            EventKind::MessageSent { .. } => "message_sent",
            EventKind::MessageReceived { .. } => "message_received",
            EventKind::Appended { .. } => "appended",
            EventKind::Truncated { .. } => "truncated",
            EventKind::Durable { .. } => "durable",
            EventKind::Committed { .. } => "committed",
            EventKind::Applied { .. } => "applied",
            EventKind::ConfigurationChanged(_) => "configuration_changed",
            EventKind::SnapshotStarted {} => "snapshot_started",
            EventKind::SnapshotTaken { .. } => "snapshot_taken",
            EventKind::SnapshotFailed {} => "snapshot_failed",
            EventKind::SnapshotSent { .. } => "snapshot_sent",
            EventKind::SnapshotInstalled { .. } => "snapshot_installed",
            EventKind::LogReset { .. } => "log_reset",
            EventKind::Purged { .. } => "purged",
            EventKind::PeerUnreachable { .. } => "peer_unreachable",
            EventKind::Stopped { .. } => "stopped",
            EventKind::Lost { .. } => "lost",
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Its name first, for whoever reads the lines.
        #[derive(Serialize)]
        struct Line<'a> {
            event: &'static str,
            node: NodeId,
            group: GroupId,
            term: Term,
            at_us: u64,
            #[serde(flatten)]
            kind: &'a EventKind,
        }
        let Self { node, group, term, at, kind } = self;
        let line = Line { event: self.name(), node: *node, group: *group, term: *term, at_us: at.as_micros(), kind };
        line.serialize(serializer)
    }
}

fn role_name<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(notation::role(*role))
}
