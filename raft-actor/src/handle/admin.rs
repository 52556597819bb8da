//! The handle without the state machine's type.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use actix::prelude::Recipient;
use raft_consensus::Role;
use tokio::sync::watch;

use super::events::{RaftEvent, Subscriptions};
use super::{Status, StopReason};

/// What a host lets its handles do. Dropped with the last handle: the host then stops at once, without waiting.
pub(crate) trait HostControl: Send + Sync + 'static {
    /// Begins the clean stop, if it has not begun; ready when the threads are joined and the directory is free.
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What a handle needs of its node, apart from the queue.
pub(crate) struct NodeFace {
    /// The latest status; the node is the sender and publishes when it changes.
    pub(crate) status: watch::Receiver<Arc<Status>>,
    /// `Some` once the node has stopped. The sender goes away last of all: if it does so
    /// without a word, the node counts as lost.
    pub(crate) stopped: watch::Receiver<Option<StopReason>>,
    /// Shared with the node, which publishes.
    pub(crate) subscriptions: Subscriptions,
    /// The host. Its own actors must not hold this, or it would never stop.
    pub(crate) host: Arc<dyn HostControl>,
}

/// A node as an operator sees it: its status and its life, whatever its state machine.
///
/// Like a [`RaftHandle`](super::RaftHandle), it keeps the node running.
///
/// ```
/// use raft_actor::RaftAdmin;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// # #[actix_rt::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = LocalCluster::<Counter>::start(3).await?;
/// let node: RaftAdmin = cluster.leader().await.admin();
/// println!("{:?}", node.status());
/// node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RaftAdmin {
    node: Arc<NodeFace>,
}

impl RaftAdmin {
    pub(crate) fn new(node: Arc<NodeFace>) -> Self {
        Self { node }
    }

    /// The latest that the node has published; never waits.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.node.status.borrow())
    }

    /// The status as it changes, beginning with the present one.
    pub fn watch(&self) -> StatusWatch {
        let mut receiver = self.node.status.clone();
        receiver.mark_changed();
        StatusWatch { receiver, stopped: self.node.stopped.clone() }
    }

    /// Sends every `E` to an actor from now on, beginning with the current state if that is one.
    /// The subscription ends with the actor and does not keep it alive.
    pub fn subscribe<E: RaftEvent>(&self, subscriber: impl Into<Recipient<E>>) {
        self.node.subscriptions.subscribe(subscriber.into());
    }

    /// Stops the node cleanly: no request is left without an answer, what is acknowledged is on
    /// disk, the directory is free for the next start. Ready when that is done; dropping the future does not call it off.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<> {
        self.node.host.shutdown()
    }

    /// Waits until the node does not run any more, for whatever reason.
    pub fn stopped(&self) -> impl Future<Output = StopReason> + Send + use<> {
        let mut stopped = self.node.stopped.clone();
        async move { wait_for_stop(&mut stopped).await }
    }
}

async fn wait_for_stop(stopped: &mut watch::Receiver<Option<StopReason>>) -> StopReason {
    let reason = stopped.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
    reason.unwrap_or(StopReason::Lost { part: "node" })
}

impl fmt::Debug for RaftAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        f.debug_struct("RaftAdmin").field("node", &status.node_id).field("role", &status.role).finish_non_exhaustive()
    }
}

/// A status that can be waited for. Skips what came and went while nobody looked.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// # #[actix_rt::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = LocalCluster::<Counter>::start(3).await?;
/// let raft = cluster.node(1);
/// let mut watch = raft.watch();
/// println!("now: {:?}", watch.changed().await?);
/// raft.write(5).await?;
/// watch.wait_for(|status| status.last_applied.get() >= 2).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct StatusWatch {
    receiver: watch::Receiver<Arc<Status>>,
    stopped: watch::Receiver<Option<StopReason>>,
}

impl StatusWatch {
    /// The latest; never waits.
    pub fn latest(&self) -> Arc<Status> {
        Arc::clone(&self.receiver.borrow())
    }

    /// The next status: the first time the present one, at once, and then each time one that this has not returned before.
    ///
    /// # Errors
    /// The reason, if the node has stopped.
    pub async fn changed(&mut self) -> Result<Arc<Status>, StopReason> {
        if self.receiver.changed().await.is_err() {
            return Err(wait_for_stop(&mut self.stopped).await);
        }
        Ok(Arc::clone(&self.receiver.borrow_and_update()))
    }

    /// Waits until the status is as wanted; at once if it is already.
    ///
    /// # Errors
    /// The reason, if the node has stopped before.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&Status) -> bool) -> Result<Arc<Status>, StopReason> {
        if let Ok(status) = self.receiver.wait_for(|status| wanted(status)).await {
            return Ok(Arc::clone(&status));
        }
        Err(wait_for_stop(&mut self.stopped).await)
    }

    /// Waits until this node leads.
    ///
    /// # Errors
    /// The reason, if the node has stopped before.
    pub async fn leading(&mut self) -> Result<Arc<Status>, StopReason> {
        self.wait_for(|status| status.role == Role::Leader).await
    }
}
