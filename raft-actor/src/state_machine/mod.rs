//! What a user of this crate writes: a [`StateMachine`].
//!
//! The framework replicates commands; the machine turns them into a state. Every
//! member applies the same commands in the same order, so every member arrives
//! at the same state, as long as [`apply`](StateMachine::apply) depends on
//! nothing but the state and the command (§2, "replicated state machines").
//!
//! The machine lives in an actor of its own, away from the elections: however
//! long `apply` takes, no heartbeat waits for it.

use std::io;

use raft_consensus::{LogIndex, LogPosition, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;

mod actor;
pub(crate) mod command;
pub(crate) mod on_disk;
mod requests;
mod saving;
pub(crate) mod sessions;
mod snapshot;
pub(crate) mod snapshots;

#[cfg(test)]
mod tests;

pub(crate) use actor::{
    Applied, Apply, ApplyHere, Feedback, MachineParts, Query, Restore, SnapshotNews, StateMachineActor,
    StateMachineStopped, TakeSnapshot,
};
pub use on_disk::{MachineError, OnDisk, Owner, Records};
pub(crate) use requests::{Reads, Writes};
pub(crate) use saving::{freeze, load, save};
pub(crate) use sessions::Sessions;
pub use snapshot::Snapshot;
pub use snapshots::{SnapshotError, SnapshotId};

/// A deterministic machine that the cluster keeps identical on all members.
///
/// `apply` must depend on the state and the command alone: no clock, no random
/// numbers, no iteration over a `HashMap`, no I/O. Otherwise the members drift
/// apart, silently.
///
/// Commands, responses, queries and answers travel between nodes as MessagePack
/// with named fields: a field with `#[serde(default)]` can be added later. A
/// command is applied as it was decoded from the log, also on the node that
/// encoded it.
///
/// # Panics
/// A panic in `apply` stops the group on this node and names the index; as the
/// command is in the log, it would recur on every restart and on every member.
/// Return an error as the response instead.
///
/// # Example
/// ```
/// use raft_actor::{ApplyContext, StateMachine};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Counter {
///     value: u64,
/// }
///
/// impl StateMachine for Counter {
///     type Command = u64; // add this
///     type Response = u64; // the new value
///     type Query = (); // what is it?
///     type Answer = u64;
///
///     fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
///         self.value += add;
///         self.value
///     }
///
///     fn query(&self, (): ()) -> u64 {
///         self.value
///     }
/// }
/// ```
pub trait StateMachine: Snapshot + Send + 'static {
    /// What changes the state; goes through the log.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What [`apply`](StateMachine::apply) gives back to whoever wrote the command.
    type Response: Serialize + DeserializeOwned + Send + 'static;
    /// A question that changes nothing.
    type Query: Serialize + DeserializeOwned + Send + 'static;
    /// What [`query`](StateMachine::query) gives back.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// Applies a committed command. Called once per command, in the order of the log.
    fn apply(&mut self, ctx: &mut ApplyContext<'_>, command: Self::Command) -> Self::Response;

    /// Answers a question from the state as it is. A panic fails this one question.
    fn query(&self, query: Self::Query) -> Self::Answer;

    /// For machines that keep their state on a disk of their own: themselves. They store the framework's records in the
    /// same transactions as their data, so that nothing is applied again after a restart, nor when a client repeats a
    /// request; [`OnDisk`] says how. `None`: the machine lives in memory and is rebuilt from snapshot and log.
    fn on_disk(&mut self) -> Option<&mut dyn OnDisk> {
        None
    }

    /// For machines that keep their state on disk: the last entry whose effects are durable there. Asked once, when the
    /// machine is started. Not needed by a machine that is [`on_disk`](StateMachine::on_disk): its records say so. If it
    /// answers all the same, it must not claim more than they do.
    ///
    /// For one that cannot store them, entries up to this one are not applied again; but what clients were answered is
    /// forgotten when it is restarted, so a request that comes again after that may be applied twice.
    fn durable_through(&self) -> Option<LogIndex> {
        None
    }
}

/// What a machine may know while it applies a command: the same on every member.
#[derive(Debug)]
pub struct ApplyContext<'a> {
    position: LogPosition,
    failed: Option<io::Error>,
    /// Room for what later versions hand to the machine by reference.
    _scope: std::marker::PhantomData<&'a mut ()>,
}

impl ApplyContext<'_> {
    pub(crate) const fn new(position: LogPosition) -> Self {
        Self { position, failed: None, _scope: std::marker::PhantomData }
    }

    /// What a machine is told with the entry at `position`: to apply a command to a machine that is in no cluster.
    #[cfg(feature = "sim")]
    pub const fn at(position: LogPosition) -> Self {
        Self::new(position)
    }

    /// The index of the command in the log: unique, and growing from command to command.
    pub const fn index(&self) -> LogIndex {
        self.position.index
    }

    /// The term of the leader that took the command in.
    pub const fn term(&self) -> Term {
        self.position.term
    }

    /// For machines on disk: the disk failed, so this command was not applied, here. What `apply` returns then goes to
    /// nobody, nothing of the batch is committed, and the group stops on this node. The command is applied at the next
    /// start.
    ///
    /// Not for commands that make no sense: say that in the response, the same on all members.
    pub fn fail(&mut self, error: impl Into<io::Error>) {
        self.failed.get_or_insert_with(|| error.into());
    }
}
