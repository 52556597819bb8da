//! What can go wrong for whoever asks for a snapshot.

use std::sync::Arc;

use super::StopReason;
use crate::state_machine::SnapshotError;

/// Why [`snapshot`](crate::RaftAdmin::snapshot) did not return one. The log stays as it is, so nothing is lost.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TakeSnapshotError {
    /// It could not be written.
    #[error("the snapshot could not be taken: {0}")]
    Failed(Arc<SnapshotError>),
    /// The deadline passed.
    #[error("no snapshot before the deadline; it may still become one: look at snapshot_index in the status")]
    #[non_exhaustive]
    TimedOut {},
    /// The node does not run any more.
    #[error("this node stopped: {reason}")]
    #[non_exhaustive]
    NodeStopped {
        /// Why.
        reason: StopReason,
    },
}
