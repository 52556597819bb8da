//! Why a host does not start.

use std::io;

use raft_consensus::{LogIndex, LogPosition, NodeId};

use crate::log_storage::LogError;
use crate::state_machine::{MachineError, SnapshotError};

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
    /// The newest snapshot cannot be read, or the state machine does not load it.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The state machine lives on a disk of its own, and cannot be used.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The log begins above what the snapshot covers: what lies between is lost.
    #[error(
        "the log in {path} begins after {log_base}, but the snapshot covers only {}; put the snapshot back, or remove \
         node {node} from the cluster, start with an empty directory and add it again; if it is the only voter, restore the \
         directory from a backup",
        if snapshot.get() == 0 { "nothing".to_owned() } else { format!("everything through {snapshot}") }
    )]
    SnapshotMissing {
        /// The data directory.
        path: std::path::PathBuf,
        /// The node it belongs to.
        node: NodeId,
        /// The last entry that the log does not hold any more.
        log_base: LogIndex,
        /// The last entry that the snapshot covers; zero without one.
        snapshot: LogIndex,
    },
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
    /// The log was damaged, and there is no other voter who could give back what it has lost.
    #[error(
        "the log in {path} has lost something, and node {node} is the only voter: nobody can repair it; restore the \
         directory from a backup"
    )]
    NobodyToRepair {
        /// The data directory.
        path: std::path::PathBuf,
        /// The node it belongs to.
        node: NodeId,
    },
    /// A founder that has no vote yet is started with another list of first members than before.
    #[error(
        "node {node} was first started with other peers than {peers:?}, and not all of those have confirmed it yet; start \
         it with the same list, or remove its directory if that list was wrong"
    )]
    OtherFounders {
        /// The node that was to be started.
        node: NodeId,
        /// The ids that were listed now.
        peers: Vec<u64>,
    },
    /// The state machine lives on a disk of its own and does not fit the log.
    #[error(
        "the state machine has durably applied everything through {applied}, but the log begins after {log_base} and \
         ends at {log_last}; one of them was lost or replaced: restore it, or remove the node from the cluster, start with \
         both empty and add it again"
    )]
    MachineMismatch {
        /// What the state machine says.
        applied: LogIndex,
        /// The last entry that the log does not hold any more.
        log_base: LogIndex,
        /// The last entry of the log.
        log_last: LogIndex,
    },
    /// The state machine has applied another entry than the log holds: they are not of one history.
    #[error(
        "the state machine has applied entry {applied}, but the log holds {in_log} there; one of them belongs to \
         another cluster or was restored from another time: give the node the right one, or remove it from the \
         cluster, start with both empty and add it again"
    )]
    MachineDiverges {
        /// The last entry that the state machine has applied.
        applied: LogPosition,
        /// What stands in the log at that index.
        in_log: LogPosition,
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
