//! What is said to a node that is to take a snapshot.

use std::time::Duration;

use actix::prelude::*;
use raft_consensus::LogIndex;
use tokio::sync::oneshot;

use crate::callers::TakeSnapshotError;

/// Take a snapshot of everything that is applied, and tell how far it reaches.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct AskForSnapshot {
    pub(crate) timeout: Duration,
    pub(crate) answer: oneshot::Sender<Result<LogIndex, TakeSnapshotError>>,
}
