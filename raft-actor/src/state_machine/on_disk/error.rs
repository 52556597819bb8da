//! What can go wrong with a machine on disk.

use std::io;

use raft_consensus::LogIndex;

use super::Owner;

/// Why a state machine cannot go on, or not begin. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// Its own disk failed it, or it panicked.
    #[error("the state machine cannot {action}: {source}")]
    Failed {
        /// What was asked of it, as a verb.
        action: &'static str,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// It could not apply a command, and [said so](crate::ApplyContext::fail).
    #[error("the state machine cannot apply entry {index}: {source}")]
    Apply {
        /// The entry. It will be applied at the next start.
        index: LogIndex,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The records that were stored with it are not those that it was given.
    #[error(
        "the records that the state machine gives back are not those that it was given: {what}. Either it does not \
         write and remove them as it is told, in one transaction with its data, or its data was damaged: then remove \
         this node from the cluster, start with an empty machine and an empty directory, and add it again"
    )]
    Records {
        /// What is wrong.
        what: &'static str,
    },
    /// A later version has written the records.
    #[error(
        "the records stored with the state machine have version {found}; this build reads up to {supported}: use a \
         newer build"
    )]
    Version {
        /// The version found.
        found: u8,
        /// The newest version that this build reads.
        supported: u8,
    },
    /// It is the machine of another group or cluster.
    #[error("the state machine holds the state of {found}, not of {expected}; start each with its own")]
    OtherGroup {
        /// Whose state it holds.
        found: Owner,
        /// Whose machine was to be started.
        expected: Owner,
    },
    /// Its data goes further than its records.
    #[error(
        "the state machine says that it holds the effects of entry {machine}, but the records stored with it end at \
         {records}: it has to write them in one transaction with its data. Its state cannot be trusted: remove this \
         node from the cluster, start with an empty machine and an empty directory, and add it again"
    )]
    Apart {
        /// What [`durable_through`](crate::StateMachine::durable_through) says.
        machine: LogIndex,
        /// What the records say.
        records: LogIndex,
    },
}
