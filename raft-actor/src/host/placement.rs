//! Which actor runs on which thread.

use std::io;
use std::time::Duration;

use raft_consensus::NodeId;

use super::NodeThread;

/// How long a thread of nodes looks for work before it sleeps: as long as it would take to wake it.
const BUSY_POLL: Duration = Duration::from_micros(20);

/// Where the actors of a host run.
///
/// The default, [`own_threads`](Placement::own_threads), suits one node per process: the node (with its streams and its
/// transport) on a thread, the log on another, because it waits for the disk, the
/// state machine on a third, because nobody knows how long `apply` takes. A
/// message between threads costs a wake-up of several microseconds, so fewer
/// threads answer faster as long as there is not more work than for one processor.
///
/// A log that needs no disk always runs beside its node.
#[derive(Debug, Clone)]
#[must_use]
pub struct Placement {
    node: NodePlace,
    apply_inline: bool,
    busy_poll: Duration,
}

#[derive(Debug, Clone)]
enum NodePlace {
    Own,
    On(NodeThread),
    Current,
}

impl Placement {
    /// Every part that may block or take long has a thread of its own.
    pub fn own_threads() -> Self {
        Self { node: NodePlace::Own, apply_inline: false, busy_poll: BUSY_POLL }
    }

    /// The node lives on `thread`, together with whoever else does; log and state machine have threads of their own.
    /// Nodes on one thread reach each other without waking another one.
    pub fn on_thread(thread: &NodeThread) -> Self {
        Self { node: NodePlace::On(thread.clone()), apply_inline: false, busy_poll: BUSY_POLL }
    }

    /// Everything, the log included, runs on the calling thread, which must be in an actix System. No thread is started.
    /// For simulations and other places where one thread sees all: whatever blocks there, blocks the node.
    pub fn current_thread() -> Self {
        Self { node: NodePlace::Current, apply_inline: true, busy_poll: Duration::ZERO }
    }

    /// The state machine runs beside its node: saves a hop for machines whose `apply` and
    /// `query` take no more than a few microseconds.
    pub fn apply_inline(mut self) -> Self {
        self.apply_inline = true;
        self
    }

    /// The node's thread looks for work again and again until nothing has happened on it for `limit`, instead of going to
    /// sleep at once. That saves each request that comes within that time the wake-up of a thread, and costs `limit` of a
    /// processor after each activity; see [`busy_poll`](crate::busy_poll()). Default: 20 microseconds, which is what a
    /// wake-up costs, or nothing on the [current thread](Placement::current_thread). Zero: it sleeps at once.
    pub fn busy_poll(mut self, limit: Duration) -> Self {
        self.busy_poll = limit;
        self
    }

    /// For how long the node's thread looks for work before it sleeps.
    pub(super) fn busy_poll_limit(&self) -> Duration {
        self.busy_poll
    }

    /// Whether the state machine runs beside its node.
    pub(super) fn is_apply_inline(&self) -> bool {
        self.apply_inline
    }

    /// Whether no thread may be started.
    pub(super) fn is_current_thread(&self) -> bool {
        matches!(self.node, NodePlace::Current)
    }

    /// The thread for the node: another one, or `None` for the calling one.
    pub(super) fn node_thread(&self, node: NodeId) -> io::Result<Option<NodeThread>> {
        match &self.node {
            NodePlace::Own => NodeThread::spawn(&format!("raft-{node}")).map(Some),
            NodePlace::On(thread) => Ok(Some(thread.clone())),
            NodePlace::Current => Ok(None),
        }
    }

    /// Whether the node's thread ends with the host.
    pub(super) fn owns_node_thread(&self) -> bool {
        matches!(self.node, NodePlace::Own)
    }
}

impl Default for Placement {
    fn default() -> Self {
        Self::own_threads()
    }
}
