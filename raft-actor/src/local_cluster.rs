//! A whole cluster inside one process, for tests, demonstrations and benchmarks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use raft_consensus::{NodeId, Settings};

use crate::handle::{QueueLimits, RaftHandle};
use crate::host::{NodeThread, Placement, RaftHost, SnapshotSettings, StartError};
use crate::log_storage::LogError;
use crate::state_machine::StateMachine;
use crate::transport::LocalNetwork;

/// Some nodes of one process that form a cluster, with ids from 1 on.
///
/// It needs no ports. Its nodes share a thread, which is what makes it fast, and
/// with [`durable`](LocalClusterBuilder::durable) they keep real logs in a
/// temporary directory that goes when the cluster does. Dropping it stops it;
/// [`shutdown`](LocalCluster::shutdown) also waits until every thread has ended.
///
/// ```
/// use raft_actor::{ApplyContext, LocalCluster, StateMachine};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Counter(u64);
///
/// impl StateMachine for Counter {
///     type Command = u64;
///     type Response = u64;
///     type Query = ();
///     type Answer = u64;
///
///     fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
///         self.0 += add;
///         self.0
///     }
///
///     fn query(&self, (): ()) -> u64 {
///         self.0
///     }
/// }
///
/// # #[actix_rt::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = LocalCluster::<Counter>::start(3).await?;
/// cluster.node(1).write(2).await?;
/// cluster.node(2).write(3).await?;
/// assert_eq!(cluster.node(3).read(()).await?, 5);
/// cluster.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct LocalCluster<S: StateMachine> {
    network: LocalNetwork,
    thread: NodeThread,
    builder: LocalClusterBuilder,
    machine: Box<dyn Fn() -> S + Send + Sync>,
    nodes: BTreeMap<NodeId, RaftHandle<S>>,
    /// Who was no founder.
    joined: BTreeSet<NodeId>,
    /// How often a node was started: each run gets a seed of its own.
    starts: u64,
    directory: Option<tempfile::TempDir>,
}

/// Small clusters of tests and demonstrations are not to fill the disk.
const LOG_SEGMENT_BYTES: u64 = 4 << 20;

/// How a [`LocalCluster`] is to be.
#[derive(Debug, Clone)]
#[must_use]
pub struct LocalClusterBuilder {
    nodes: u64,
    settings: Settings,
    lease_drift_percent_max: Option<u8>,
    snapshots: SnapshotSettings,
    queue_limits: QueueLimits,
    durable: bool,
    data_dir: Option<PathBuf>,
    apply_inline: bool,
    seed: Option<u64>,
}

impl LocalClusterBuilder {
    /// Times and limits of the protocol. Default: an election timeout of 300 to 600 ms, a heartbeat every 50 ms.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Found the cluster with lease reads; see [`HostBuilder::lease_reads`](crate::HostBuilder::lease_reads).
    pub fn lease_reads(mut self, drift_percent_max: impl Into<Option<u8>>) -> Self {
        self.lease_drift_percent_max = drift_percent_max.into();
        self
    }

    /// Take a snapshot whenever so many entries were applied since the last one, and purge the log behind it; 0: never
    /// by this count, which is the default. Wins over the [`settings`](LocalClusterBuilder::settings).
    pub fn snapshot_every(mut self, entries: u64) -> Self {
        self.snapshots.entries = Some(entries);
        self
    }

    /// Take a snapshot whenever entries of so many bytes were applied since the last one; 0: never by this count.
    /// Wins over the [`settings`](LocalClusterBuilder::settings). Good values are a few times the size of the state: what a snapshot
    /// costs is then little beside what was written meanwhile.
    pub fn snapshot_every_bytes(mut self, bytes: u64) -> Self {
        self.snapshots.bytes = Some(bytes);
        self
    }

    /// Keep so many entries of the log behind a snapshot for followers that lag a little: they need no snapshot then.
    /// Wins over the [`settings`](LocalClusterBuilder::settings).
    pub fn log_tail(mut self, entries: u64) -> Self {
        self.snapshots.tail_entries = Some(entries);
        self
    }

    /// How many requests of clients may be under way at each node.
    pub fn queue_limits(mut self, limits: QueueLimits) -> Self {
        self.queue_limits = limits;
        self
    }

    /// Keep real logs, in a temporary directory: nodes can be restarted.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Keep real logs, in this directory, and leave them there.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Run the state machines on the nodes' thread; see [`Placement::apply_inline`].
    pub fn apply_inline(mut self) -> Self {
        self.apply_inline = true;
        self
    }

    /// Seed of the nodes' randomness. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the cluster, each node with a machine that `machine` makes.
    ///
    /// # Errors
    /// As [`HostBuilder::start`](crate::HostBuilder::start).
    pub async fn start<S: StateMachine>(
        self,
        machine: impl Fn() -> S + Send + Sync + 'static,
    ) -> Result<LocalCluster<S>, StartError> {
        let directory = match (self.durable, &self.data_dir) {
            (true, None) => Some(tempfile::tempdir().map_err(no_temporary_directory)?),
            (true | false, Some(_)) | (false, None) => None,
        };
        let mut cluster = LocalCluster {
            network: LocalNetwork::default(),
            thread: NodeThread::spawn("raft-cluster").map_err(StartError::Thread)?,
            machine: Box::new(machine),
            nodes: BTreeMap::new(),
            joined: BTreeSet::new(),
            starts: 0,
            directory,
            builder: self,
        };
        for node in cluster.founders() {
            cluster.restart(node).await?;
        }
        Ok(cluster)
    }
}

fn no_temporary_directory(source: std::io::Error) -> StartError {
    StartError::Log(LogError::Io { action: "create a directory in", path: std::env::temp_dir(), source })
}

impl<S: StateMachine> LocalCluster<S> {
    /// Starts `nodes` nodes with logs in memory.
    ///
    /// # Errors
    /// As [`HostBuilder::start`](crate::HostBuilder::start).
    pub async fn start(nodes: u64) -> Result<Self, StartError>
    where
        S: Default,
    {
        Self::builder(nodes).start(S::default).await
    }

    /// A builder for a cluster of `nodes` nodes.
    pub fn builder(nodes: u64) -> LocalClusterBuilder {
        LocalClusterBuilder {
            nodes,
            settings: Settings { election_timeout_ms_min: 300, heartbeat_ms: 50, ..Settings::default() },
            lease_drift_percent_max: None,
            snapshots: SnapshotSettings::default(),
            queue_limits: QueueLimits::default(),
            durable: false,
            data_dir: None,
            apply_inline: false,
            seed: None,
        }
    }

    /// The ids of all nodes, running or not.
    pub fn ids(&self) -> Vec<NodeId> {
        let founders: BTreeSet<NodeId> = self.founders().collect();
        founders.union(&self.joined).copied().collect()
    }

    fn founders(&self) -> impl Iterator<Item = NodeId> + use<S> {
        (1..=self.builder.nodes).map(NodeId::from)
    }

    /// Starts a node that is no founder: it waits to be added with
    /// [`change_membership`](crate::RaftHandle::change_membership), at the address `local:ID`.
    ///
    /// # Errors
    /// As [`HostBuilder::start`](crate::HostBuilder::start).
    ///
    /// ```
    /// use raft_actor::Membership;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut cluster = LocalCluster::<Counter>::start(3).await?;
    /// cluster.join(4).await?;
    /// cluster.node(1).change_membership(Membership::of_voters([1, 2, 3, 4]).address(4, "local:4")).await?;
    /// assert_eq!(cluster.node(4).write(5).await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn join(&mut self, id: impl Into<NodeId>) -> Result<(), StartError> {
        let id = id.into();
        if self.founders().all(|founder| founder != id) {
            self.joined.insert(id);
        }
        self.restart(id).await
    }

    /// The handle of a node.
    ///
    /// # Panics
    /// If there is no such node, or it does not run.
    pub fn node(&self, id: impl Into<NodeId>) -> &RaftHandle<S> {
        let id = id.into();
        self.nodes.get(&id).unwrap_or_else(|| panic!("node {id} does not run in this cluster"))
    }

    /// The handles of all nodes that run.
    pub fn running(&self) -> impl Iterator<Item = &RaftHandle<S>> {
        self.nodes.values()
    }

    /// Waits until a node leads, and returns its handle. It may not have announced itself yet; requests to it wait for that.
    ///
    /// # Panics
    /// If no node runs.
    pub async fn leader(&self) -> &RaftHandle<S> {
        let leading = self.nodes.values().map(|node| {
            let mut watch = node.watch();
            Box::pin(async move {
                match watch.leading().await {
                    Ok(_) => node,
                    // It stopped: one of the others may come to lead.
                    Err(_) => std::future::pending().await,
                }
            })
        });
        futures_util::future::select_all(leading).await.0
    }

    /// The network between the nodes, on which links can be cut.
    pub fn network(&self) -> &LocalNetwork {
        &self.network
    }

    /// Stops a node in order. Nothing happens if it does not run.
    pub async fn stop(&mut self, id: impl Into<NodeId>) {
        if let Some(node) = self.nodes.remove(&id.into()) {
            node.shutdown().await;
        }
    }

    /// Starts a node, again if it has run before.
    ///
    /// A node with its log in memory has forgotten everything and gets no vote; see [`durable`](LocalClusterBuilder::durable).
    ///
    /// # Errors
    /// As [`HostBuilder::start`](crate::HostBuilder::start).
    pub async fn restart(&mut self, id: impl Into<NodeId>) -> Result<(), StartError> {
        let id = id.into();
        self.stop(id).await;
        let placement = Placement::on_thread(&self.thread);
        let mut settings = self.builder.settings.clone();
        self.builder.snapshots.apply_to(&mut settings);
        let builder = RaftHost::builder()
            .node(id)
            .cluster("local")
            .transport(self.network.transport(id))
            .peers(self.founders().map(|peer| (peer, format!("local:{peer}"))))
            .settings(settings)
            .lease_reads(self.builder.lease_drift_percent_max)
            .queue_limits(self.builder.queue_limits)
            .placement(if self.builder.apply_inline { placement.apply_inline() } else { placement });
        let builder = if self.joined.contains(&id) { builder.join() } else { builder };
        let builder = match self.data_dir() {
            Some(path) => builder.data_dir(path.join(id.to_string())).log_segment_bytes(LOG_SEGMENT_BYTES),
            None => builder.in_memory(),
        };
        let builder = match self.builder.seed {
            Some(seed) => builder.seed(seed.wrapping_add(self.starts << 32).wrapping_add(id.get())),
            None => builder,
        };
        self.starts += 1;
        let handle = builder.start((self.machine)()).await?;
        self.nodes.insert(id, handle);
        Ok(())
    }

    fn data_dir(&self) -> Option<&Path> {
        self.builder.data_dir.as_deref().or(self.directory.as_ref().map(tempfile::TempDir::path))
    }

    /// Stops all nodes and waits until every thread has ended.
    pub async fn shutdown(mut self) {
        for node in std::mem::take(&mut self.nodes).into_values() {
            node.shutdown().await;
        }
        self.thread.stop_and_join();
    }
}
