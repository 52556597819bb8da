//! Why a remote client got no answer.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use raft_actor::transport::Refusal;

use crate::tcp::handshake::HandshakeError;

/// Why a request was not answered. Ask [`maybe_applied`](RemoteError::maybe_applied) before trying again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The deadline passed.
    #[error("no answer before the deadline: {trouble}; {}", advice(*maybe_applied))]
    #[non_exhaustive]
    TimedOut {
        /// What it waited for at last.
        trouble: Trouble,
        /// Whether it may have been applied, or may yet be.
        maybe_applied: bool,
    },
    /// This client has too many requests under way. Nothing was applied.
    #[error("too many requests of this client are under way; slow down and try again, or raise its limits")]
    #[non_exhaustive]
    Overloaded {},
    /// The command or query cannot be encoded here, or not be decoded by the leader. Nothing was applied.
    #[error("the request cannot be encoded and decoded again; check its serde attributes and the members' builds")]
    #[non_exhaustive]
    BadRequest {},
    /// The request is larger than a message may be. Nothing was applied.
    #[error("the request takes {bytes} bytes of at most {bytes_max}; split it")]
    #[non_exhaustive]
    TooLarge {
        /// Its encoded size in bytes.
        bytes: u64,
        /// The most that is taken.
        bytes_max: u64,
    },
    /// The session was not used for longer than its lifetime, or made room for others, and is forgotten. Commands
    /// from now on travel in a new one.
    #[error("the session is not remembered any more; {}", advice(*maybe_applied))]
    #[non_exhaustive]
    SessionExpired {
        /// Whether the command may have been applied before: it was sent more than once.
        maybe_applied: bool,
    },
    /// A command without a session was under way when its leader was lost; or a request made the leader fail again and
    /// again.
    #[error("its leader was lost or lost track of it; if it is a command, it may have been or may yet be applied")]
    #[non_exhaustive]
    Unknown {
        /// Whether it may have been applied, or may yet be.
        maybe_applied: bool,
    },
    /// It was answered, but the answer cannot be decoded.
    #[error("the answer cannot be decoded; do this client and the members run builds that fit together?")]
    #[non_exhaustive]
    BadAnswer {
        /// Whether it was a command, which was applied.
        maybe_applied: bool,
    },
    /// The runtime that the client was connected on is gone.
    #[error("the runtime that this client was connected on is gone; connect again; {}", advice(*maybe_applied))]
    #[non_exhaustive]
    Closed {
        /// Whether it may have been applied, or may yet be.
        maybe_applied: bool,
    },
}

impl RemoteError {
    /// Whether the command may have been applied, or may yet be. If not, trying again cannot apply it twice. Always
    /// `false` for reads.
    pub fn maybe_applied(&self) -> bool {
        match self {
            Self::TimedOut { maybe_applied, .. }
            | Self::SessionExpired { maybe_applied }
            | Self::Unknown { maybe_applied }
            | Self::BadAnswer { maybe_applied }
            | Self::Closed { maybe_applied } => *maybe_applied,
            Self::Overloaded {} | Self::BadRequest {} | Self::TooLarge { .. } => false,
        }
    }
}

fn advice(maybe_applied: bool) -> &'static str {
    if maybe_applied {
        "it may have been or may yet be applied: read before you try again"
    } else {
        "nothing was applied: try again"
    }
}

/// What a request waited for when its time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No node could be reached.
    #[error("no node could be reached; check that they run and that the addresses are right")]
    Unconnected,
    /// Nobody led, or the leader could not be reached.
    #[error("no leader could be reached; check that a majority of the members runs")]
    NoLeader,
    /// The leader had too much to do.
    #[error("the leader had too many requests under way")]
    Overloaded,
    /// It waited for the answer.
    #[error("the leader did not answer")]
    Unanswered,
}

/// Why a client could not be connected: what became of the last attempt at each address.
#[derive(Debug, Clone)]
pub struct ConnectError {
    attempts: Vec<(String, AttemptError)>,
}

impl ConnectError {
    pub(super) fn new(attempts: Vec<(String, AttemptError)>) -> Self {
        Self { attempts }
    }

    /// The addresses that were tried, and why each of them did not serve.
    pub fn attempts(&self) -> &[(String, AttemptError)] {
        &self.attempts
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no node of the cluster could be reached")?;
        if self.attempts.is_empty() {
            write!(f, ": no address was given or tried")?;
        }
        for (address, error) in &self.attempts {
            write!(f, "; {address}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// Why one attempt to connect to a node failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The connection did not open in time.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// The connection could not be opened, or broke.
    #[error("no connection: {0}")]
    Io(Arc<io::Error>),
    /// It was opened, and then nobody answered.
    #[error("nobody answered within {0:?}")]
    Unanswered(Duration),
    /// The node does not serve this client.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Whoever answers is no node, or one of a build that has no version in common with this one.
    #[error("it does not speak our protocol, or another version of it")]
    NotANode,
}

impl AttemptError {
    /// Whether another attempt would end the same way.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused(Refusal::Cluster { .. }))
    }
}

impl From<HandshakeError> for AttemptError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Io(error) => Self::Io(Arc::new(error)),
            HandshakeError::Refused(refusal) => Self::Refused(refusal),
            HandshakeError::TooLong { .. }
            | HandshakeError::Frame(_)
            | HandshakeError::Kind { .. }
            | HandshakeError::Header(_)
            | HandshakeError::Magic
            | HandshakeError::Version
            | HandshakeError::WrongNode { .. }
            | HandshakeError::RefusedInWords(_) => Self::NotANode,
        }
    }
}
