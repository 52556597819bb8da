//! Why a host does not start.

use std::io;

use raft_consensus::NodeId;

use crate::log_storage::LogError;

/// Why a host does not start. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Something that the builder was told does not make sense.
    #[error("{what}")]
    Settings {
        /// What, and what would.
        what: String,
    },
    /// This node is not among the first members.
    #[error("node {node} is not among the peers {peers:?}; list it too, or let it join a running cluster")]
    NotAPeer {
        /// The node that was to be started.
        node: NodeId,
        /// The ids that were listed.
        peers: Vec<u64>,
    },
    /// The directory or the log in it cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The directory has an identity, but its log is gone: starting would forget votes and acknowledged entries.
    #[error(
        "the log in {path} is gone although node {node} has used it; put the log back, or remove the node from the \
         cluster, start with an empty directory and add it again"
    )]
    LogMissing {
        /// The data directory.
        path: std::path::PathBuf,
        /// The node it belongs to.
        node: NodeId,
    },
    /// The transport cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Transport {
        /// The address.
        address: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The operating system gives no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// A thread of the host ended while it started.
    #[error("a thread of the host ended while it started; see the log for a panic")]
    Crashed,
}
