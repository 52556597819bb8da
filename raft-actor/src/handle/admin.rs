//! The handle without the state machine's type.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::Recipient;
use raft_consensus::{LogIndex, LogPosition, Membership, NodeId, Role};
use tokio::sync::{oneshot, watch};

use super::asker::Asker;
use super::events::{RaftEvent, Subscriptions};
use super::membership::ChangeMembership;
use super::transfer::{Leadership, TransferLeadership};
use super::{AskForSnapshot, MembershipError, Status, StopReason, TakeSnapshotError, TransferError};
use crate::callers::DEFAULT_TIMEOUT;
use crate::events::{EventFeed, Events};
use crate::log_storage::{LogCounters, LogCounts};

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
    /// What the host's log counts.
    pub(crate) log: Arc<LogCounters>,
    /// The node, for what does not go through the queue.
    pub(crate) change_membership: WeakRecipient<ChangeMembership>,
    pub(crate) take_snapshot: WeakRecipient<AskForSnapshot>,
    pub(crate) transfer_leadership: WeakRecipient<TransferLeadership>,
    /// Shared with the node, which publishes.
    pub(crate) subscriptions: Subscriptions,
    /// The same.
    pub(crate) events: EventFeed,
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
    timeout: Duration,
}

impl RaftAdmin {
    pub(crate) fn new(node: Arc<NodeFace>) -> Self {
        Self { node, timeout: DEFAULT_TIMEOUT }
    }

    /// The same node with another deadline for its requests. The default is five seconds.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { node: Arc::clone(&self.node), timeout }
    }

    /// The latest that the node has published; never waits. Of a change of roles or members it tells at once, of progress
    /// within ten milliseconds.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.node.status.borrow())
    }

    /// What the log of the host has made durable since the host started, for all its groups: entries for each sync.
    pub fn log_counts(&self) -> LogCounts {
        self.node.log.read()
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

    /// What happens in this node, from now on and as it happens: messages, commits, elections and all the rest. There is
    /// a great deal of it: a listener that is too slow loses some and is told how many. See [`events`](crate::events).
    pub fn events(&self) -> Events {
        self.node.events.listen()
    }

    /// Makes these the members of the cluster, any number of them at once (§6), while it serves. Any node takes it.
    ///
    /// Name all voters and learners that there shall be, not only what is to change, and the address of each that is
    /// new or has moved. Future voters first get the log, as learners; when all of them have caught up, they get their
    /// votes and the former voters that are not named lose theirs. Ready, with the position of the configuration in
    /// the log, when that is committed.
    ///
    /// A new member is a host that was started with [`join`](crate::HostBuilder::join), before or after. A member that
    /// is not named any more is sent nothing any more and can be shut down. The leader may remove itself.
    ///
    /// The request is under way when this returns; dropping the future withdraws nothing. A change whose future voters
    /// do not catch up goes on beyond the deadline: ask for the former membership to call it off.
    ///
    /// # Errors
    /// See [`MembershipError`]; ask its [`maybe_applied`](MembershipError::maybe_applied) what it leaves open.
    ///
    /// ```
    /// use std::time::Duration;
    /// use raft_actor::Membership;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut cluster = LocalCluster::<Counter>::start(3).await?;
    /// cluster.join(4).await?; // a host that waits to be added
    /// let admin = cluster.node(1).admin().with_timeout(Duration::from_secs(30));
    /// let membership = Membership::of_voters([1, 2, 4]).learners([3]).address(4, "local:4");
    /// admin.change_membership(membership).await?;
    /// cluster.node(4).write(5).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_membership(
        &self,
        membership: Membership,
    ) -> impl Future<Output = Result<LogPosition, MembershipError>> + Send + use<> {
        let (asker, answer) = Asker::here();
        let node = self.node.change_membership.upgrade();
        let is_asked = node.is_some();
        if let Some(node) = node {
            node.do_send(ChangeMembership { wanted: membership, timeout: self.timeout, asker });
        }
        let mut stopped = self.node.stopped.clone();
        async move {
            let lost = |reason| Err(MembershipError::NodeStopped { reason, maybe_applied: is_asked });
            answer_or_stop(answer, &mut stopped).await.unwrap_or_else(lost)
        }
    }

    /// Takes a snapshot of this node's state machine now, whatever the settings say, and has the log purged behind it.
    /// Ready, with the last index that the snapshot covers, when it is durable: at least everything that this node had
    /// applied when it was asked. If nothing was applied since the last snapshot, that one is named.
    ///
    /// # Errors
    /// See [`TakeSnapshotError`]. The log then stays as it is.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let node = cluster.node(1);
    /// node.write(5).await?;
    /// let through = node.admin().snapshot().await?;
    /// assert_eq!(node.status().snapshot_index, through);
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshot(&self) -> impl Future<Output = Result<LogIndex, TakeSnapshotError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        if let Some(node) = self.node.take_snapshot.upgrade() {
            node.do_send(AskForSnapshot { timeout: self.timeout, answer });
        }
        let mut stopped = self.node.stopped.clone();
        async move {
            let lost = |reason| Err(TakeSnapshotError::NodeStopped { reason });
            answer_or_stop(answered, &mut stopped).await.unwrap_or_else(lost)
        }
    }

    /// Makes another node the leader (dissertation 3.10): the one named, or with `None` the voter that needs least to
    /// catch up. Any node takes it. Ready when that node leads, as far as the former leader has heard.
    ///
    /// While leadership is handed over, writes are held and reads are served; nobody waits longer for it than one
    /// election timeout, after which the former leader goes on. No request fails for its sake.
    ///
    /// The request is under way when this returns; dropping the future withdraws nothing.
    ///
    /// # Errors
    /// See [`TransferError`].
    ///
    /// ```
    /// use raft_actor::NodeId;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let admin = cluster.node(1).admin();
    /// let new = admin.transfer_leadership(NodeId::from(3)).await?;
    /// assert_eq!(new.leader, NodeId::from(3));
    /// admin.transfer_leadership(None).await?; // to any other
    /// # Ok(())
    /// # }
    /// ```
    pub fn transfer_leadership(
        &self,
        to: impl Into<Option<NodeId>>,
    ) -> Pin<Box<dyn Future<Output = Result<Leadership, TransferError>> + Send>> {
        let (asker, answer) = Asker::here();
        if let Some(node) = self.node.transfer_leadership.upgrade() {
            node.do_send(TransferLeadership { to: to.into(), timeout: self.timeout, asker });
        }
        let mut stopped = self.node.stopped.clone();
        Box::pin(async move {
            let lost = |reason| Err(TransferError::NodeStopped { reason });
            answer_or_stop(answer, &mut stopped).await.unwrap_or_else(lost)
        })
    }

    /// Stops the node cleanly: a leader first hands over its office, no request is left without an answer, what is
    /// acknowledged is on disk, the directory is free for the next start. Ready when that is done; dropping the future does not call it off.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<> {
        self.node.host.shutdown()
    }

    /// Waits until the node does not run any more, for whatever reason.
    pub fn stopped(&self) -> impl Future<Output = StopReason> + Send + use<> {
        let mut stopped = self.node.stopped.clone();
        async move { wait_for_stop(&mut stopped).await }
    }
}

/// What the node says, or why nobody is left to say it. That is known when the host is down.
async fn answer_or_stop<O>(
    answer: oneshot::Receiver<O>,
    stopped: &mut watch::Receiver<Option<StopReason>>,
) -> Result<O, StopReason> {
    match answer.await {
        Ok(outcome) => Ok(outcome),
        Err(_) => Err(wait_for_stop(stopped).await),
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
