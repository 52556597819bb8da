//! What a member wants done.

use crate::{
    Entries, HardState, LogIndex, LogPosition, MembershipRefusal, Message, NodeId, ProposalId, ReadId, Role, Round,
    SnapshotMeta, Term, TransferOutcome, WriteSeq,
};

/// Something `Raft::step` wants done. Effects are carried out in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make this durable, then say [`Input::Persisted`](crate::Input::Persisted) with `seq`. Writes are
    /// carried out in order; confirming one confirms all before it.
    ///
    /// The entries of `log` must be readable for [`Effect::Replicate`] and
    /// [`Effect::Apply`] as soon as this effect was taken, durable or not.
    Persist {
        /// Number of this write.
        seq: WriteSeq,
        /// The new term and vote, if they changed.
        hard_state: Option<HardState>,
        /// The change to the log, if there is one.
        log: Option<LogWrite>,
    },
    /// Send this message now. All that had to be durable before it already is.
    Send {
        /// The receiver.
        to: NodeId,
        /// The message.
        message: Message,
    },
    /// Read entries from the log and send them.
    Replicate(ReplicationOrder),
    /// Hand the committed entries up to and including `through` to the state
    /// machine, then say [`Input::Applied`](crate::Input::Applied). They are durable here.
    Apply {
        /// The last index to apply.
        through: LogIndex,
    },
    /// Take a snapshot of the state machine as it is now, make it durable, then say
    /// [`Input::SnapshotTaken`](crate::Input::SnapshotTaken), or [`Input::SnapshotFailed`](crate::Input::SnapshotFailed).
    /// Applying goes on meanwhile.
    TakeSnapshot,
    /// Send a peer the newest snapshot.
    SendSnapshot(SnapshotOrder),
    /// Give the snapshot that was received and covers this its final name, durably, and let the state machine
    /// load it, behind everything it was told to apply before; then say
    /// [`Input::SnapshotInstalled`](crate::Input::SnapshotInstalled). Nothing is applied meanwhile, and only one
    /// snapshot is installed at a time. A member that cannot carry this out has to stop.
    InstallSnapshot(SnapshotMeta),
    /// The snapshot of a [`Message::InstallSnapshot`] that covers the log through here is not wanted: what was
    /// received may be deleted. (Not this member's own snapshot of the same position, nor one that is being installed.)
    DropSnapshot {
        /// The last entry that it covers.
        position: LogPosition,
    },
    /// Answers [`Input::Propose`](crate::Input::Propose).
    Proposed {
        /// The id of the proposal.
        id: ProposalId,
        /// What became of it.
        outcome: ProposalOutcome,
    },
    /// Answers [`Input::ChangeMembership`](crate::Input::ChangeMembership).
    ///
    /// If all is well, the configuration at this position counts from now on, but
    /// is not committed. The change is complete when a settled configuration
    /// ([`Configuration::is_settled`](crate::Configuration::is_settled)) is
    /// committed at this position or behind it; this leader or the next sees to
    /// that by itself, as soon as the future voters have caught up. If another
    /// entry is committed at this position instead, the change has not happened.
    MembershipChange {
        /// The id of the request.
        id: ProposalId,
        /// Where the first configuration of the change stands, or why nothing was appended.
        outcome: Result<LogPosition, MembershipRefusal>,
    },
    /// Answers [`Input::TransferLeadership`](crate::Input::TransferLeadership), within a minimum election timeout.
    Transfer {
        /// The id of the request.
        id: ProposalId,
        /// What came of it.
        outcome: TransferOutcome,
    },
    /// Answers [`Input::Read`](crate::Input::Read) and [`Input::ReadByLease`](crate::Input::ReadByLease): serve it as soon as the state machine has applied `index`.
    ReadReady {
        /// The id of the read.
        id: ReadId,
        /// What the read must see at least.
        index: LogIndex,
    },
    /// Answers [`Input::Read`](crate::Input::Read) and [`Input::ReadByLease`](crate::Input::ReadByLease): this member cannot confirm it. Nothing was read.
    ReadRefused {
        /// The id of the read.
        id: ReadId,
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The role, the term or the known leader changed.
    RoleChanged {
        /// The role from now on.
        role: Role,
        /// The term from now on.
        term: Term,
        /// The leader of that term, if known.
        leader: Option<NodeId>,
        /// If `role` is leader: the index of its no-op. Once that is applied here the leader knows and serves everything.
        noop: Option<LogIndex>,
    },
    /// This member's own state is broken. It must stop at once and not be restarted blindly.
    Halt {
        /// What was found, with the values.
        violation: String,
    },
}

/// A change to the durable log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogWrite {
    /// Add these (never empty) directly behind the last entry.
    Append(Entries),
    /// Remove everything from the index of the first of these (never empty) on, then add these (§5.3).
    Replace(Entries),
    /// Forget everything; the log continues after this position, which a durable snapshot covers.
    Reset {
        /// The last entry that the snapshot covers.
        to: LogPosition,
    },
    /// Entries up to and including this index are no longer needed.
    Purge {
        /// The last entry to drop.
        through: LogIndex,
    },
}

/// What became of a batch of proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposalOutcome {
    /// They are in this leader's log at consecutive indexes from here; not committed yet.
    Appended {
        /// Position of the first of them.
        first: LogPosition,
    },
    /// Nothing was appended: this member does not lead.
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// Nothing was appended: too many bytes are appended and not yet committed
    /// ([`Settings::uncommitted_bytes_max`](crate::Settings::uncommitted_bytes_max)). Trying again later can succeed.
    Overloaded,
    /// Nothing was appended: this leader is handing over its office (dissertation 3.10). Within a minimum election
    /// timeout either another member leads or this one takes commands again.
    HandingOver,
}

/// Tells a replication stream to read `prev+1 ..= through` and to send it as one AppendEntries.
///
/// If the log does not hold exactly that any more (the read does not end at
/// `through`), it was overwritten since and the order is to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicationOrder {
    /// The receiver.
    pub peer: NodeId,
    /// The leader's term.
    pub term: Term,
    /// The entry before the first one to send.
    pub prev: LogPosition,
    /// The last entry to send; after `prev`.
    pub through: LogPosition,
    /// The leader's commit index.
    pub commit: LogIndex,
    /// The round this sending is.
    pub round: Round,
}

/// Tells a replication stream to send the newest snapshot, chunk by chunk.
///
/// Nothing but heartbeats goes to the peer until it acknowledges the log through where the snapshot reaches
/// ([`AppendOutcome::Matched`](crate::AppendOutcome::Matched), in answer to anything), or the stream gives up with
/// [`Input::Unreachable`](crate::Input::Unreachable). At the receiver `term` and `round` come with the snapshot in
/// [`InstallSnapshot`](crate::InstallSnapshot).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotOrder {
    /// The receiver.
    pub peer: NodeId,
    /// The leader's term.
    pub term: Term,
    /// The round this sending is.
    pub round: Round,
    /// What the newest snapshot covers. A newer one will do as well.
    pub position: LogPosition,
}

/// Collects the effects of one step, in order. Reuse one to save allocations.
#[derive(Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
}

impl Effects {
    /// An empty collection.
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds one behind the others.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Takes all of them out, oldest first, keeping the allocation.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect> {
        self.list.drain(..)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Forgets all but the oldest `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
    }

    /// The effects from the `first`th on, to be changed.
    pub(crate) fn iter_mut_from(&mut self, first: usize) -> impl Iterator<Item = &mut Effect> {
        self.list.iter_mut().skip(first)
    }

    /// The effects so far, oldest first.
    pub fn as_slice(&self) -> &[Effect] {
        &self.list
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
