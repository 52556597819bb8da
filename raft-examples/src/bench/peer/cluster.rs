//! The same work on the openraft crate.
//!
//! Where there was a choice it is the one that is better for openraft: see `docs/BENCHMARKS.md`.

use std::collections::BTreeSet;
use std::io;
use std::iter::repeat_n;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::TryStreamExt;
use openraft::{Config, Raft, ReadPolicy};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::super::load::{self, LoadResult};
use super::super::machine::Data;
use super::super::options::{Peer, RaftBench, ReadKind};
use super::super::process::Meter;
use super::super::target::Target;
use super::network::Network;
use super::store::{Machine, MemoryLog, Types};
use super::{BenchError, Placement};

/// Without a leader after this long there will be none.
const ELECTION: Duration = Duration::from_secs(30);

/// This build has it.
#[expect(clippy::unnecessary_wraps, reason = "a build without it has an error here")]
pub(super) fn built_in() -> Result<(), BenchError> {
    Ok(())
}

/// Runs the clients against a cluster of its own.
///
/// # Errors
/// If it cannot be started, or nobody was ever answered.
pub(super) async fn run(options: &RaftBench, clients: usize, placement: Placement) -> Result<LoadResult, BenchError> {
    match placement {
        Placement::Workers(workers) => run_on_workers(options, clients, workers).await,
        Placement::WithClients => run_on_one_thread(options.clone(), clients).await,
    }
}

/// The nodes in a runtime of their own, the clients on the calling thread.
async fn run_on_workers(options: &RaftBench, clients: usize, workers: usize) -> Result<LoadResult, BenchError> {
    let runtime = Builder::new_multi_thread().worker_threads(workers).thread_name("openraft").enable_all().build()?;
    let cluster = runtime.spawn(Cluster::start(options.nodes())).await.map_err(io::Error::other)??;
    let result = load::run(&[cluster.leader()], options, clients, &Meter::default()).await;
    runtime.spawn(cluster.shutdown()).await.map_err(io::Error::other)??;
    // Whoever is measured next should not share the processors with its threads; to drop a runtime takes a thread that may wait.
    thread::spawn(move || drop(runtime)).join().map_err(|_| io::Error::other("openraft's runtime does not end"))?;
    result
}

/// Nodes and clients on one thread.
async fn run_on_one_thread(options: RaftBench, clients: usize) -> Result<LoadResult, BenchError> {
    let (done, result) = oneshot::channel();
    thread::Builder::new().name("openraft".to_owned()).spawn(move || {
        let outcome = Builder::new_current_thread().enable_all().build().map_err(BenchError::Io).and_then(|runtime| {
            LocalSet::new().block_on(&runtime, async {
                let cluster = Cluster::start(options.nodes()).await?;
                let result = load::run(&[cluster.leader()], &options, clients, &Meter::default()).await;
                cluster.shutdown().await?;
                result
            })
        });
        // Whoever waits for it is still there.
        drop(done.send(outcome));
    })?;
    result.await.map_err(|_| io::Error::other("openraft's thread ended while it was measured"))?
}

/// Nodes that reach each other; the first of them leads.
struct Cluster {
    network: Network,
    nodes: Vec<Raft<Types, Machine>>,
    /// What the leader's state machine has counted.
    writes: Arc<AtomicU64>,
}

impl Cluster {
    async fn start(nodes: u64) -> Result<Self, BenchError> {
        let config = Arc::new(config().validate().map_err(failed)?);
        let network = Network::default();
        let mut cluster = Self { network: network.clone(), nodes: Vec::new(), writes: Arc::default() };
        for id in 1..=nodes {
            let machine = Machine::default();
            if id == 1 {
                cluster.writes = Arc::clone(&machine.writes);
            }
            let (config, log) = (Arc::clone(&config), MemoryLog::default());
            let node = Raft::new(id, config, network.clone(), log, machine).await.map_err(failed)?;
            network.insert(id, node.clone());
            cluster.nodes.push(node);
        }
        let leader = &cluster.nodes[0];
        leader.initialize((1..=nodes).collect::<BTreeSet<u64>>()).await.map_err(failed)?;
        for node in &cluster.nodes {
            // Whoever has applied something has a leader, and who asked for the votes is the first.
            node.wait(Some(ELECTION))
                .applied_index_at_least(Some(1), "the first entry of a leader")
                .await
                .map_err(failed)?;
        }
        leader.wait(Some(ELECTION)).current_leader(1, "the first node leads").await.map_err(failed)?;
        Ok(cluster)
    }

    fn leader(&self) -> Leader {
        Leader { raft: self.nodes[0].clone(), writes: Arc::clone(&self.writes) }
    }

    async fn shutdown(self) -> Result<(), BenchError> {
        if self.nodes[0].current_leader().await != Some(1) {
            eprintln!("raft-bench: leadership changed during this run of openraft; it measured the election, too");
        }
        self.network.close();
        for node in &self.nodes {
            node.shutdown().await.map_err(failed)?;
        }
        Ok(())
    }
}

/// A client's way to the cluster.
#[derive(Clone)]
struct Leader {
    raft: Raft<Types, Machine>,
    writes: Arc<AtomicU64>,
}

impl Target for Leader {
    async fn write(&self, data: Data) -> Result<(), String> {
        self.raft.client_write(data).await.map(drop).map_err(|error| error.to_string())
    }

    async fn write_many(&self, data: Data, writes: usize) -> Result<(), String> {
        let answers = self.raft.client_write_many(repeat_n(data, writes)).await;
        let mut answers = answers.map_err(|error| error.to_string())?;
        while let Some(answer) = answers.try_next().await.map_err(|error| error.to_string())? {
            answer.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn read(&self, kind: ReadKind) -> Result<(), String> {
        let policy = match kind {
            ReadKind::Linearizable => Some(ReadPolicy::ReadIndex),
            ReadKind::Lease => Some(ReadPolicy::LeaseRead),
            ReadKind::Stale => None,
        };
        if let Some(policy) = policy {
            self.raft.ensure_linearizable(policy).await.map_err(|error| error.to_string())?;
        }
        // What a read returns, as with raft-actor: the writes so far.
        std::hint::black_box(self.writes.load(Ordering::Acquire));
        Ok(())
    }
}

/// As in openraft's own minimal benchmark. Its snapshots, every 5000 entries, cost it less than a log that grows.
fn config() -> Config {
    Config {
        election_timeout_min: 200,
        election_timeout_max: 2000,
        max_payload_entries: 1024,
        purge_batch_size: 1024,
        ..Config::default()
    }
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Peer { peer: Peer::Openraft.name(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use clap::Parser;

    use super::*;

    fn options(arguments: &[&str]) -> RaftBench {
        RaftBench::try_parse_from([&["raft-bench", "--peer", "openraft"], arguments].concat()).expect("valid")
    }

    #[tokio::test]
    async fn every_write_that_openraft_answers_was_applied_by_its_leader() {
        let cluster = Cluster::start(3).await.expect("three nodes start");
        let (leader, data) = (cluster.leader(), Data(Bytes::from_static(b"some data")));
        for _ in 0..10 {
            leader.write(data.clone()).await.expect("it is answered");
        }
        leader.write_many(data, 90).await.expect("all of them are answered");
        leader.read(ReadKind::Linearizable).await.expect("the leader leads");
        assert_eq!(leader.writes.load(Ordering::Acquire), 100);
        cluster.shutdown().await.expect("all nodes stop");
    }

    #[tokio::test]
    async fn the_same_clients_run_against_openraft_wherever_it_is_placed() {
        for placement in [Placement::Workers(1), Placement::Workers(2), Placement::WithClients] {
            let options = options(&["--seconds", "1", "--batch", "3"]);
            let run = run(&options, 8, placement);
            let result = LocalSet::new().run_until(run).await.expect("somebody is answered");
            assert_eq!(result.errors, 0, "{placement:?}");
            assert_eq!(result.latencies_ns.len() % 3, 0, "each write of a batch counts");
        }
    }
}
