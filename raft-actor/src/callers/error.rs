//! What can go wrong for a caller.

use raft_consensus::{LogIndex, NodeId};

use super::{Failure, StopReason};

/// Why a write was not answered. Ask [`maybe_applied`](WriteError::maybe_applied) before trying again.
///
/// ```
/// use raft_actor::{RaftHandle, StateMachine, WriteError};
///
/// /// For commands that may be applied more than once.
/// async fn write_until_answered<S: StateMachine>(raft: &RaftHandle<S>, command: S::Command) -> S::Response
/// where
///     S::Command: Clone,
/// {
///     loop {
///         match raft.write(command.clone()).await {
///             Ok(response) => return response,
///             Err(error) => eprintln!("{error}"), // says what to do
///         }
///     }
/// }
///
/// /// For all others.
/// fn may_try_again(error: &WriteError) -> bool {
///     !error.maybe_applied()
/// }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Within the deadline no leader could be found or reached. Nothing was applied.
    #[error("no leader could be reached{}; try again, and check that a majority of the members runs", known(leader))]
    #[non_exhaustive]
    NoLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Too many requests are under way. Nothing was applied.
    #[error("too many requests are under way; slow down and try again, or raise the queue's limits")]
    #[non_exhaustive]
    Overloaded {},
    /// The deadline passed.
    #[error(
        "no answer before the deadline; {}",
        if *maybe_applied { "it may have been or may yet be applied: read before you try again" }
        else { "it was not applied: try again" }
    )]
    #[non_exhaustive]
    TimedOut {
        /// Whether it may have been applied, or may yet be.
        maybe_applied: bool,
    },
    /// The node is being shut down. Nothing was applied.
    #[error("this node is shutting down and did not apply it; use another one")]
    #[non_exhaustive]
    ShuttingDown {},
    /// The node does not run any more.
    #[error("this node stopped: {reason}")]
    #[non_exhaustive]
    NodeStopped {
        /// Why.
        reason: StopReason,
        /// Whether it may have been applied, or may yet be, by the others.
        maybe_applied: bool,
    },
    /// The command does not survive being encoded and decoded, here or at the leader. Nothing was applied.
    #[error(
        "the command cannot be encoded and decoded again; check its serde attributes, and that all members run builds \
         that know it"
    )]
    #[non_exhaustive]
    BadRequest {},
    /// The command is larger than the queue. Nothing was applied.
    #[error("the command takes {bytes} bytes of at most {bytes_max}; split it, or raise the queue's limit")]
    #[non_exhaustive]
    TooLarge {
        /// Its encoded size in bytes.
        bytes: u64,
        /// The most that is taken.
        bytes_max: u64,
    },
    /// This node cannot apply an earlier command, so it does not know the response. The others may have applied it.
    #[error("this node cannot decode entry {index} and applies nothing any more; run a newer build on it")]
    #[non_exhaustive]
    CannotApply {
        /// The entry that cannot be decoded.
        index: LogIndex,
    },
    /// The session was not used for longer than its lifetime, or had too many commands under way, and is forgotten. The
    /// command was not applied now, but may have been before.
    #[error(
        "the session is not remembered any more; the command may have been applied before: read, then begin another session"
    )]
    #[non_exhaustive]
    SessionExpired {},
    /// Leadership changed while the command was under way, or the leader ran out of time. It may have been applied,
    /// or may yet be.
    #[error(
        "the leader changed or gave no answer in time; it may have been or may yet be applied: read before you try again"
    )]
    #[non_exhaustive]
    Unknown {},
}

impl WriteError {
    /// Whether the command may have been applied, or may yet be. If not, trying again cannot apply it twice.
    pub fn maybe_applied(&self) -> bool {
        match self {
            Self::TimedOut { maybe_applied } | Self::NodeStopped { maybe_applied, .. } => *maybe_applied,
            Self::CannotApply { .. } | Self::SessionExpired {} | Self::Unknown {} => true,
            Self::NoLeader { .. }
            | Self::Overloaded {}
            | Self::ShuttingDown {}
            | Self::BadRequest {}
            | Self::TooLarge { .. } => false,
        }
    }

    /// The same for a command that was sent before, and that may have been applied then.
    pub(crate) fn of_one_more_try(self) -> Self {
        match self {
            Self::TimedOut { maybe_applied: _ } => Self::TimedOut { maybe_applied: true },
            Self::NodeStopped { reason, maybe_applied: _ } => Self::NodeStopped { reason, maybe_applied: true },
            known @ (Self::CannotApply { .. } | Self::SessionExpired {} | Self::Unknown {}) => known,
            Self::NoLeader { .. }
            | Self::Overloaded {}
            | Self::ShuttingDown {}
            | Self::BadRequest {}
            | Self::TooLarge { .. } => Self::Unknown {},
        }
    }

    /// Who leads, if this error knows.
    pub fn leader(&self) -> Option<NodeId> {
        match self {
            Self::NoLeader { leader } => *leader,
            Self::Overloaded {}
            | Self::TimedOut { .. }
            | Self::ShuttingDown {}
            | Self::NodeStopped { .. }
            | Self::BadRequest {}
            | Self::TooLarge { .. }
            | Self::CannotApply { .. }
            | Self::SessionExpired {}
            | Self::Unknown {} => None,
        }
    }
}

/// Why a read was not answered. Reading changes nothing, so every one of them can be tried again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Within the deadline no leader could be found or reached.
    #[error("no leader could be reached{}; try again, or accept a stale answer with read_local", known(leader))]
    #[non_exhaustive]
    NoLeader {
        /// Who leads, as far as this node knows.
        leader: Option<NodeId>,
    },
    /// Too many requests are under way.
    #[error("too many requests are under way; slow down and try again, or raise the queue's limits")]
    #[non_exhaustive]
    Overloaded {},
    /// The deadline passed, or leadership changed on the way.
    #[error("no answer before the deadline; try again")]
    #[non_exhaustive]
    TimedOut {},
    /// The node is being shut down.
    #[error("this node is shutting down; use another one")]
    #[non_exhaustive]
    ShuttingDown {},
    /// The node does not run any more.
    #[error("this node stopped: {reason}")]
    #[non_exhaustive]
    NodeStopped {
        /// Why.
        reason: StopReason,
    },
    /// The query or its answer does not survive being encoded and decoded, here or at the leader.
    #[error("the query cannot be encoded and decoded again; check its serde attributes and the members' builds")]
    #[non_exhaustive]
    BadRequest {},
    /// This node cannot apply a command, so its state is out of date for good.
    #[error("this node cannot decode entry {index} and applies nothing any more; run a newer build on it")]
    #[non_exhaustive]
    CannotApply {
        /// The entry that cannot be decoded.
        index: LogIndex,
    },
    /// The state machine's `query` panicked on this query. The state is unharmed.
    #[error("the state machine panicked on this query; see the log")]
    #[non_exhaustive]
    QueryPanicked {},
}

impl ReadError {
    /// Who leads, if this error knows.
    pub fn leader(&self) -> Option<NodeId> {
        match self {
            Self::NoLeader { leader } => *leader,
            Self::Overloaded {}
            | Self::TimedOut {}
            | Self::ShuttingDown {}
            | Self::NodeStopped { .. }
            | Self::BadRequest {}
            | Self::CannotApply { .. }
            | Self::QueryPanicked {} => None,
        }
    }

    /// Always `false`: a read changes nothing. Here so that both errors can be treated alike.
    pub const fn maybe_applied(&self) -> bool {
        false
    }
}

pub(super) fn known(leader: &Option<NodeId>) -> String {
    leader.map_or_else(String::new, |leader| format!(" (node {leader} leads as far as is known)"))
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoLeader { leader } => Self::NoLeader { leader },
            Failure::Overloaded => Self::Overloaded {},
            Failure::TimedOut { maybe_applied } => Self::TimedOut { maybe_applied },
            Failure::ShuttingDown => Self::ShuttingDown {},
            Failure::NodeStopped { reason, maybe_applied } => Self::NodeStopped { reason, maybe_applied },
            Failure::BadRequest => Self::BadRequest {},
            Failure::TooLarge { bytes, bytes_max } => Self::TooLarge { bytes, bytes_max },
            Failure::CannotApply { index } => Self::CannotApply { index },
            Failure::SessionExpired => Self::SessionExpired {},
            // Only queries are answered by `query`; if it ever reached a writer, this would be the honest word.
            Failure::QueryPanicked | Failure::Unknown => Self::Unknown {},
        }
    }
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoLeader { leader } => Self::NoLeader { leader },
            // A query too large for the queue will find no room later either, but reads are not counted in bytes.
            Failure::Overloaded | Failure::TooLarge { .. } => Self::Overloaded {},
            Failure::TimedOut { .. } | Failure::SessionExpired | Failure::Unknown => Self::TimedOut {},
            Failure::ShuttingDown => Self::ShuttingDown {},
            Failure::NodeStopped { reason, .. } => Self::NodeStopped { reason },
            Failure::BadRequest => Self::BadRequest {},
            Failure::CannotApply { index } => Self::CannotApply { index },
            Failure::QueryPanicked => Self::QueryPanicked {},
        }
    }
}
