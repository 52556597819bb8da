//! Why a host does not do what it was asked with a group.

use raft_consensus::GroupId;

use super::StartError;

/// Why a group was not created, opened or destroyed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// There is such a group on this host already.
    #[error("group {group} exists on this host; open it")]
    Exists {
        /// The group.
        group: GroupId,
    },
    /// There is no such group on this host.
    #[error("there is no group {group} on this host; create it")]
    Unknown {
        /// The group.
        group: GroupId,
    },
    /// It runs already.
    #[error("group {group} runs on this host; use the handle of who opened it")]
    Running {
        /// The group.
        group: GroupId,
    },
    /// It was destroyed on this host, which has forgotten what it voted and acknowledged there.
    #[error("group {group} was destroyed on this host for good; take another id")]
    Destroyed {
        /// The group.
        group: GroupId,
    },
    /// Somebody else creates, opens or destroys it at the moment.
    #[error("somebody else is creating, opening or destroying group {group}")]
    Busy {
        /// The group.
        group: GroupId,
    },
    /// Its settings, its log, its snapshot or its state machine do not let it start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The host stops, or has stopped.
    #[error("the host has stopped")]
    HostStopped,
}
