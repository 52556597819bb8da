//! Why a node does not run any more.

use std::sync::Arc;

use raft_consensus::LogIndex;

use crate::log_storage::LogError;
use crate::state_machine::{MachineError, SnapshotError};

/// Why a node, or one group of it, stopped. Shared, because everybody who waits gets it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody called [`shutdown`](crate::RaftHandle::shutdown).
    #[error("it was shut down")]
    ShutDown,
    /// The last handle was dropped, so nobody could reach the node any more.
    #[error("its last handle was dropped; keep a RaftHandle for as long as the node is to run")]
    Dropped,
    /// The state machine panicked. The command is in the log: it would panic again after a restart.
    #[error(
        "the state machine panicked while applying entry {index}: {message}. Correct `apply` so that it takes this \
         command, then restart the node with the new build"
    )]
    ApplyPanicked {
        /// The entry that was being applied.
        index: LogIndex,
        /// What the panic said.
        message: Arc<str>,
    },
    /// The log failed: a full or broken disk, or damage.
    #[error("its log failed: {0}")]
    Log(Arc<LogError>),
    /// The snapshot that this node needs to go on could not be stored, or its state machine does not load it.
    #[error("it cannot install a snapshot: {0}")]
    Snapshot(Arc<SnapshotError>),
    /// The state machine lives on a disk of its own, and that failed it. Whatever it had not committed is applied again
    /// at the next start.
    #[error("its state machine failed: {0}")]
    Machine(Arc<MachineError>),
    /// The node found its own state broken and stopped before doing harm.
    #[error("it found its own state broken: {violation}. Please report this; do not restart it blindly")]
    Broken {
        /// What was found, with the values.
        violation: Arc<str>,
    },
    /// A part of the node ended without saying why: a panic, or its thread was torn down.
    #[error("its {part} ended unexpectedly; see the log for a panic, then restart the node")]
    Lost {
        /// The part, by its name in the documentation.
        part: &'static str,
    },
}
