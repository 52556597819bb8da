//! The cluster that is measured: all its nodes in this process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, select_all};
use raft_actor::transport::{LocalNetwork, Transport as _};
use raft_actor::{HostBuilder, NodeThread, Placement, RaftHandle, RaftHost, Role, Settings};
use raft_transport::Tcp;
use tempfile::TempDir;

use super::BenchError;
use super::heartbeats::Seen;
use super::machine::Tally;
use super::options::{RaftBench, ReadKind, Store, Threads, Timing, Transport};
use super::slow::Slow;

/// While throughput is measured nobody should campaign only because a processor was busy.
pub(super) const CALM: Timing = Timing { election_timeout_ms: 1000, heartbeat_ms: 100 };

/// How long a node that was killed may hold on to its port and directory.
const REVIVAL: Duration = Duration::from_secs(5);

/// All clocks are the same one here.
const LEASE_DRIFT_PERCENT: u8 = 10;

/// Without a leader after this long there will be none.
const ELECTION: Duration = Duration::from_secs(30);

/// Nodes that reach each other, and what they stand on.
pub(super) struct Cluster {
    options: RaftBench,
    settings: Settings,
    network: LocalNetwork,
    /// Shared by the nodes, unless each is to have its own.
    thread: Option<NodeThread>,
    addresses: BTreeMap<u64, String>,
    nodes: BTreeMap<u64, RaftHandle<Tally>>,
    directory: TempDir,
}

impl Cluster {
    pub(super) async fn start(options: &RaftBench, timing: Timing) -> Result<Self, BenchError> {
        let parent = options.data_dir.clone().unwrap_or_else(std::env::temp_dir);
        let mut cluster = Self {
            options: options.clone(),
            settings: options.settings(timing),
            network: LocalNetwork::default(),
            thread: match options.threads() {
                Threads::Separate | Threads::Processes => None,
                Threads::Nodes | Threads::One => Some(NodeThread::spawn("raft-nodes")?),
            },
            addresses: BTreeMap::new(),
            nodes: BTreeMap::new(),
            directory: tempfile::Builder::new().prefix("raft-bench-").tempdir_in(parent)?,
        };
        // All ports first: every node has to know the addresses of all.
        let mut transports = Vec::new();
        for id in 1..=options.nodes() {
            let (address, builder) = cluster.with_transport(id, "127.0.0.1:0")?;
            cluster.addresses.insert(id, address);
            transports.push((id, builder));
        }
        for (id, builder) in transports {
            cluster.start_node(id, builder).await?;
        }
        Ok(cluster)
    }

    /// The thread for the clients, if it is to be that of the nodes.
    pub(super) fn clients_thread(&self) -> Option<&NodeThread> {
        self.thread.as_ref().filter(|_| self.options.threads() == Threads::One)
    }

    pub(super) fn handle(&self, id: u64) -> &RaftHandle<Tally> {
        &self.nodes[&id]
    }

    /// What the nodes say of their leader; but for the one that hears everything late because it has to be slow.
    pub(super) fn seen(&self) -> Vec<Vec<Seen>> {
        let heard = self.nodes.iter().filter(|(id, _)| !self.is_slow(**id));
        vec![heard.map(|(_, raft)| Seen::from(&*raft.status())).collect()]
    }

    /// The last node, if one has to be slow.
    pub(super) fn is_slow(&self, id: u64) -> bool {
        self.options.slow_follower.is_some() && id == self.options.nodes()
    }

    /// The nodes that run.
    pub(super) fn running(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// Waits until a node leads; says which.
    pub(super) async fn leader(&self) -> Result<u64, BenchError> {
        let watches = self.nodes.iter().map(|(id, raft)| {
            let mut status = raft.watch();
            Box::pin(async move {
                let leads = status.wait_for(|status| status.role == Role::Leader).await.map(|_| *id);
                leads.map_err(|reason| BenchError::Stopped { node: *id, reason })
            })
        });
        match tokio::time::timeout(ELECTION, select_all(watches)).await {
            Ok((leader, _, _)) => leader,
            Err(_) => Err(BenchError::NoLeader { seconds: ELECTION.as_secs() }),
        }
    }

    /// Waits until every node has applied all that any node knows to be committed now.
    pub(super) async fn level(&self) {
        let committed = self.nodes.values().map(|raft| raft.status().commit_index).max();
        join_all(self.nodes.values().map(|raft| {
            let mut status = raft.watch();
            async move {
                // A node that stops meanwhile is found by whoever uses it next.
                let _ = status.wait_for(|status| Some(status.last_applied) >= committed).await;
            }
        }))
        .await;
    }

    /// Stops a node at once, without a word to the others; returns when it has stopped.
    pub(super) async fn kill(&mut self, id: u64) {
        if let Some(raft) = self.nodes.remove(&id) {
            let stopped = raft.stopped();
            drop(raft); // the last handle
            stopped.await;
        }
    }

    /// Starts a node again that was killed, on the data and at the address that it had.
    pub(super) async fn revive(&mut self, id: u64) -> Result<(), BenchError> {
        let address = self.addresses[&id].clone();
        let give_up = Instant::now() + REVIVAL;
        loop {
            let started = match self.with_transport(id, &address) {
                Ok((_, builder)) => self.start_node(id, builder).await,
                Err(error) => Err(error),
            };
            if started.is_ok() || Instant::now() > give_up {
                return started;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops everything in order. The directory is removed when what is returned is dropped.
    pub(super) async fn shutdown(self) -> TempDir {
        join_all(self.nodes.values().map(RaftHandle::shutdown)).await;
        self.directory
    }

    /// A builder with a transport at `address` (which local nodes do not need), and the address that the others are to use.
    fn with_transport(&self, id: u64, address: &str) -> Result<(String, HostBuilder), BenchError> {
        let builder = RaftHost::builder().node(id);
        Ok(match self.options.transport {
            Transport::Local => {
                let transport = self.network.transport(id);
                (transport.address(), self.as_fast_as_asked(id, builder, transport))
            }
            Transport::Tcp => {
                let transport = Tcp::bind(address)?;
                (transport.address(), self.as_fast_as_asked(id, builder, transport))
            }
        })
    }

    /// A node that has to be slow should not lead.
    fn as_fast_as_asked<T: raft_actor::transport::Transport>(
        &self,
        id: u64,
        builder: HostBuilder,
        transport: T,
    ) -> HostBuilder {
        match self.options.slow_follower {
            Some(factor) if self.is_slow(id) => builder.transport(Slow { transport, factor }).election_priority(0),
            Some(_) | None => builder.transport(transport),
        }
    }

    async fn start_node(&mut self, id: u64, builder: HostBuilder) -> Result<(), BenchError> {
        let placement = self.thread.as_ref().map_or_else(Placement::own_threads, Placement::on_thread);
        let builder = builder
            .cluster("bench")
            .peers(self.addresses.clone())
            .settings(self.settings.clone())
            .queue_limits(self.options.queue_limits())
            .lease_reads((self.options.read_kind == ReadKind::Lease).then_some(LEASE_DRIFT_PERCENT))
            .snapshot_every(self.options.snapshot_every.unwrap_or(0))
            .placement(placement.apply_inline().busy_poll(self.options.busy_poll()));
        let builder = match self.options.store {
            Store::Memory => builder.in_memory(),
            Store::Wal => builder.data_dir(self.node_dir(id)),
        };
        let raft = builder.start(Tally::default()).await.map_err(|source| BenchError::Start { node: id, source })?;
        self.nodes.insert(id, raft);
        Ok(())
    }

    fn node_dir(&self, id: u64) -> PathBuf {
        self.directory.path().join(id.to_string())
    }
}
