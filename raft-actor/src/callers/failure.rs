//! Why a caller gets no answer, as the node and the actors below it say it.

use std::time::Duration;

use raft_consensus::{LogIndex, NodeId};

use super::StopReason;
use crate::envelope::ForwardError;

/// Why a request was not answered. Becomes a [`WriteError`](super::WriteError), a
/// [`ReadError`](super::ReadError) or a [`ForwardError`], whichever the caller understands.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// Nobody leads, or the leader cannot be reached; nothing was appended.
    NoLeader {
        /// Who leads, as far as is known.
        leader: Option<NodeId>,
    },
    /// A queue was full; nothing was appended.
    Overloaded,
    /// The deadline passed.
    TimedOut {
        /// Whether it may have been, or may yet be, applied.
        maybe_applied: bool,
    },
    /// The node is being shut down; nothing was appended.
    ShuttingDown,
    /// The node stopped.
    NodeStopped {
        /// Why.
        reason: StopReason,
        /// Whether it may have been, or may yet be, applied.
        maybe_applied: bool,
    },
    /// The request cannot be encoded here, or not be decoded by the leader; nothing was appended.
    BadRequest,
    /// It is larger than the whole queue; nothing was appended.
    TooLarge {
        /// Its encoded size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// An entry before it cannot be decoded by this build, so this node applies nothing any more.
    CannotApply {
        /// The entry that cannot be decoded.
        index: LogIndex,
    },
    /// `query` panicked on it.
    QueryPanicked,
    /// Its session, or its answer, is not remembered any more, so it was not applied now; it may have been before.
    SessionExpired,
    /// Its fate is unknown: leadership changed while it was under way. It may be applied.
    Unknown,
}

impl Failure {
    /// What is said when whoever was responsible for callers disappears without a word.
    pub(crate) const fn lost(part: &'static str, maybe_applied: bool) -> Self {
        Self::NodeStopped { reason: StopReason::Lost { part }, maybe_applied }
    }

    /// The same in the words of the wire, for callers at another node.
    pub(crate) fn to_wire(&self) -> ForwardError {
        match self {
            Self::NoLeader { leader } => ForwardError::NotLeader { leader: *leader },
            Self::Overloaded | Self::TooLarge { .. } => ForwardError::Overloaded,
            Self::TimedOut { maybe_applied: true } | Self::NodeStopped { maybe_applied: true, .. } => {
                ForwardError::Unknown
            }
            // Certainly not applied: the origin may try the next leader with it, within its deadline.
            Self::TimedOut { maybe_applied: false } | Self::NodeStopped { maybe_applied: false, .. } => {
                ForwardError::ShuttingDown
            }
            Self::ShuttingDown => ForwardError::ShuttingDown,
            Self::BadRequest => ForwardError::BadRequest,
            Self::SessionExpired => ForwardError::SessionExpired,
            Self::CannotApply { .. } | Self::QueryPanicked | Self::Unknown => ForwardError::Unknown,
        }
    }

    /// What a remote leader said, for callers here. `None`: it was certainly not
    /// appended there, so it can be tried again until its deadline.
    pub(crate) fn from_wire(error: ForwardError) -> Option<Self> {
        match error {
            ForwardError::NotLeader { .. } | ForwardError::ShuttingDown => None,
            ForwardError::Overloaded => Some(Self::Overloaded),
            ForwardError::BadRequest => Some(Self::BadRequest),
            ForwardError::SessionExpired => Some(Self::SessionExpired),
            ForwardError::Unknown | ForwardError::Forgotten => Some(Self::Unknown),
        }
    }
}

/// How long a caller waits who did not say otherwise.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
