//! The handle that applications hold.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix::prelude::{Addr, Recipient};
use raft_consensus::{LogIndex, LogPosition, Membership, NodeId};

use super::admin::{NodeFace, RaftAdmin, StatusWatch};
use super::events::RaftEvent;
use super::gateway::Gateway;
use super::queue::{Consistency, Queue};
use super::session::SessionNames;
use super::{Leadership, MembershipError, ReadError, Status, StopReason, TakeSnapshotError, TransferError, WriteError};
use crate::callers::DEFAULT_TIMEOUT;
use crate::callers::slots::Pending;
use crate::events::Events;
use crate::log_storage::LogCounts;
use crate::state_machine::StateMachine;
use crate::state_machine::{Reads, Writes};

/// A running node, as an application uses it. Cheap to clone, `Send` and `Sync`;
/// the node runs as long as there is a handle.
///
/// Its futures need no particular runtime: they contain no timer and spawn
/// nothing. Deadlines are kept by the node.
///
/// The examples use the `Counter` of [`StateMachine`].
pub struct RaftHandle<S: StateMachine> {
    shared: Arc<HandleParts<S>>,
    timeout: Duration,
}

/// What the host makes a handle from.
pub(crate) struct HandleParts<S: StateMachine> {
    /// The callers' side of the node's queue.
    pub(crate) queue: Arc<Queue<S>>,
    /// A started [`Gateway`] to the same queue.
    pub(crate) gateway: Addr<Gateway<S>>,
    /// Everything else.
    pub(crate) node: Arc<NodeFace>,
    pub(crate) sessions: SessionNames,
}

impl<S: StateMachine> RaftHandle<S> {
    pub(super) fn queue(&self) -> &Arc<Queue<S>> {
        &self.shared.queue
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn session_names(&self) -> &SessionNames {
        &self.shared.sessions
    }

    pub(crate) fn new(parts: HandleParts<S>) -> Self {
        Self { shared: Arc::new(parts), timeout: DEFAULT_TIMEOUT }
    }

    /// Replicates a command and applies it; answers with the state machine's response.
    ///
    /// The command is in the queue when this returns, whether the future is polled or not, and
    /// commands written one after the other from one handle are applied in that order as long
    /// as leadership does not change. Dropping the future withdraws nothing.
    ///
    /// # Errors
    /// See [`WriteError`]; ask its [`maybe_applied`](WriteError::maybe_applied) before trying again.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let raft = cluster.node(1);
    /// assert_eq!(raft.write(5).await?, 5);
    /// let (a, b) = (raft.write(1), raft.write(2)); // both are under way
    /// assert_eq!((a.await?, b.await?), (6, 8));
    /// # Ok(())
    /// # }
    /// ```
    pub fn write(&self, command: S::Command) -> PendingWrite<S> {
        PendingWrite { pending: self.shared.queue.write(&command, self.timeout) }
    }

    /// Like [`write`](RaftHandle::write) for many commands at once. Each has an outcome of its own, in the order given.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let outcomes = cluster.node(1).write_many([1, 2, 3]).await;
    /// assert_eq!(outcomes.into_iter().collect::<Result<Vec<_>, _>>()?, [1, 3, 6]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_many(&self, commands: impl IntoIterator<Item = S::Command>) -> PendingWrites<S> {
        let pending = commands.into_iter().map(|command| self.write(command)).collect::<Vec<_>>();
        PendingWrites { outcomes: Vec::with_capacity(pending.len()), pending: pending.into_iter(), current: None }
    }

    /// Answers a query linearizably: it sees every write that was answered before it was asked, wherever that was.
    ///
    /// # Errors
    /// See [`ReadError`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// cluster.node(1).write(5).await?;
    /// assert_eq!(cluster.node(3).read(()).await?, 5, "whichever node is asked");
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(&self, query: S::Query) -> PendingRead<S> {
        PendingRead { pending: self.shared.queue.read(query, Consistency::Linearizable, self.timeout) }
    }

    /// Answers a query as linearizably as [`read`](RaftHandle::read) does, and without a round trip between the nodes
    /// if the leader has a lease: for that the cluster has to be
    /// [founded](crate::HostBuilder::lease_reads) or [changed](crate::Membership::lease_reads) so that it has lease
    /// reads, and no clock may be off by more than was said there. Where the leader has no lease, it is a `read`.
    ///
    /// # Errors
    /// See [`ReadError`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // No clock is off by more than a tenth of the minimum election timeout, over such a time.
    /// let cluster = LocalCluster::<Counter>::builder(3).lease_reads(10).start(Counter::default).await?;
    /// cluster.node(1).write(5).await?;
    /// assert_eq!(cluster.node(3).read_lease(()).await?, 5, "whichever node is asked");
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_lease(&self, query: S::Query) -> PendingRead<S> {
        PendingRead { pending: self.shared.queue.read(query, Consistency::Lease, self.timeout) }
    }

    /// Answers a query from this node's state as it is. That may be stale, by any
    /// amount if the node is cut off; but it needs no majority and no round trip.
    ///
    /// # Errors
    /// See [`ReadError`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// cluster.node(1).write(5).await?;
    /// let perhaps_stale = cluster.node(3).read_local(()).await?;
    /// assert!(perhaps_stale == 0 || perhaps_stale == 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_local(&self, query: S::Query) -> PendingRead<S> {
        PendingRead { pending: self.shared.queue.read(query, Consistency::Local, self.timeout) }
    }

    /// The same handle with another deadline for its requests. The default is five seconds.
    ///
    /// ```
    /// use std::time::Duration;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let patient = cluster.node(1).with_timeout(Duration::from_secs(60));
    /// assert_eq!(patient.write(5).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), timeout }
    }

    /// The node as an actor, for programs made of actors. Its requests have the default deadline.
    ///
    /// ```
    /// use raft_actor::{Read, Write};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let counter = cluster.node(1).addr();
    /// assert_eq!(counter.send(Write(5)).await??, 5);
    /// assert_eq!(counter.send(Read(())).await??, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn addr(&self) -> Addr<Gateway<S>> {
        self.shared.gateway.clone()
    }

    /// Takes a snapshot of this node's state machine now; see [`RaftAdmin::snapshot`].
    ///
    /// # Errors
    /// See [`TakeSnapshotError`].
    pub fn snapshot(&self) -> impl Future<Output = Result<LogIndex, TakeSnapshotError>> + Send + use<S> {
        self.admin().snapshot()
    }

    /// Changes who belongs to the cluster; see [`RaftAdmin::change_membership`].
    ///
    /// # Errors
    /// See [`MembershipError`].
    ///
    /// ```
    /// use raft_actor::Membership;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// cluster.node(1).change_membership(Membership::of_voters([1, 2]).learners([3])).await?;
    /// cluster.node(1).watch().wait_for(|status| status.voters.len() == 2).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn change_membership(
        &self,
        membership: Membership,
    ) -> impl Future<Output = Result<LogPosition, MembershipError>> + Send + use<S> {
        self.admin().change_membership(membership)
    }

    /// Makes another node the leader; see [`RaftAdmin::transfer_leadership`].
    ///
    /// # Errors
    /// See [`TransferError`].
    pub fn transfer_leadership(
        &self,
        to: impl Into<Option<NodeId>>,
    ) -> Pin<Box<dyn Future<Output = Result<Leadership, TransferError>> + Send>> {
        self.admin().transfer_leadership(to)
    }

    /// The node without its state machine's type. It has the same deadline for its requests as this handle.
    ///
    /// ```
    /// use raft_actor::RaftAdmin;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let nodes: Vec<RaftAdmin> = cluster.running().map(|raft| raft.admin()).collect();
    /// assert_eq!(nodes.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn admin(&self) -> RaftAdmin {
        RaftAdmin::new(Arc::clone(&self.shared.node)).with_timeout(self.timeout)
    }

    /// The latest status that the node has published; never waits.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let status = cluster.leader().await.status();
    /// println!("node {} leads in term {}", status.node_id, status.term);
    /// assert_eq!(status.leader_id, Some(status.node_id));
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Arc<Status> {
        self.admin().status()
    }

    /// What the log of the host has made durable since the host started, for all its groups: entries for each sync.
    pub fn log_counts(&self) -> LogCounts {
        self.shared.node.log.read()
    }

    /// The status as it changes, beginning with the present one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// cluster.node(2).watch().wait_for(|status| status.leader_id.is_some()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self) -> StatusWatch {
        self.admin().watch()
    }

    /// Sends every `E` to an actor from now on; see [`RaftAdmin::subscribe`].
    ///
    /// ```
    /// use actix::prelude::*;
    /// use raft_actor::{BecameLeader, RaftHandle, StateMachine};
    ///
    /// struct Scheduler;
    /// impl Actor for Scheduler {
    ///     type Context = Context<Self>;
    /// }
    /// impl Handler<BecameLeader> for Scheduler {
    ///     type Result = ();
    ///     fn handle(&mut self, now: BecameLeader, _: &mut Self::Context) {
    ///         println!("mine, in term {}", now.term);
    ///     }
    /// }
    ///
    /// fn watch_leadership<S: StateMachine>(raft: &RaftHandle<S>, scheduler: &Addr<Scheduler>) {
    ///     raft.subscribe::<BecameLeader>(scheduler.clone());
    /// }
    /// ```
    pub fn subscribe<E: RaftEvent>(&self, subscriber: impl Into<Recipient<E>>) {
        self.admin().subscribe(subscriber);
    }

    /// What happens in this node, from now on and as it happens; see [`RaftAdmin::events`].
    pub fn events(&self) -> Events {
        self.admin().events()
    }

    /// Stops the node cleanly; see [`RaftAdmin::shutdown`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let raft = cluster.node(1).clone();
    /// raft.shutdown().await;
    /// assert!(raft.write(5).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<S> {
        self.admin().shutdown()
    }

    /// Waits until the node does not run any more; for a `select!` beside `HttpServer::run`. Does not keep the node running.
    ///
    /// ```
    /// use raft_actor::StopReason;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let (raft, stopped) = (cluster.node(1).clone(), cluster.node(1).stopped());
    /// raft.shutdown().await;
    /// assert!(matches!(stopped.await, StopReason::ShutDown));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stopped(&self) -> impl Future<Output = StopReason> + Send + use<S> {
        self.admin().stopped()
    }
}

impl<S: StateMachine> Clone for RaftHandle<S> {
    fn clone(&self) -> Self {
        self.with_timeout(self.timeout)
    }
}

impl<S: StateMachine> fmt::Debug for RaftHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        f.debug_struct("RaftHandle").field("node", &status.node_id).field("role", &status.role).finish_non_exhaustive()
    }
}

/// A write under way: resolves to the state machine's response.
#[must_use = "the command is under way, but only the future knows whether it was applied"]
pub struct PendingWrite<S: StateMachine> {
    pending: Pending<Writes<S>>,
}

/// A read under way: resolves to the state machine's answer.
#[must_use = "a read is of no use without its answer"]
pub struct PendingRead<S: StateMachine> {
    pending: Pending<Reads<S>>,
}

/// Writes under way: resolves when all have an outcome.
#[must_use = "the commands are under way, but only the future knows whether they were applied"]
pub struct PendingWrites<S: StateMachine> {
    pending: std::vec::IntoIter<PendingWrite<S>>,
    /// The one waited for. They are answered in order, so waiting for one at a time wakes the caller least.
    current: Option<PendingWrite<S>>,
    outcomes: Vec<Result<S::Response, WriteError>>,
}

impl<S: StateMachine> Future for PendingWrite<S> {
    type Output = Result<S::Response, WriteError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().pending).poll(cx)
    }
}

impl<S: StateMachine> Future for PendingRead<S> {
    type Output = Result<S::Answer, ReadError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().pending).poll(cx)
    }
}

/// Nothing in here is pinned, whatever the response is.
impl<S: StateMachine> Unpin for PendingWrites<S> {}

impl<S: StateMachine> Future for PendingWrites<S> {
    type Output = Vec<Result<S::Response, WriteError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if this.current.is_none() {
                this.current = this.pending.next();
            }
            let Some(current) = &mut this.current else {
                return Poll::Ready(std::mem::take(&mut this.outcomes));
            };
            this.outcomes.push(ready!(Pin::new(current).poll(cx)));
            this.current = None;
        }
    }
}
