//! The cluster that is measured, each node a process of its own: `raft-kv`, and clients that are no nodes.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io};

use raft_transport::RemoteClient;
use tempfile::TempDir;
use tokio::time::sleep;

use super::BenchError;
use super::heartbeats::Seen;
use super::http::HttpClient;
use super::keys::Keys;
use super::machine::Data;
use super::options::{RaftBench, ReadKind, Timing};
use super::process::Meter;
use super::target::Target;
use crate::kv::state_machine::{self, Kv, Query};

const CLUSTER: &str = "bench";

/// Without an answer after this long there will be none.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a node is asked whether it leads.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Nodes that run, and what they stand on.
pub(super) struct Processes {
    program: PathBuf,
    timing: Timing,
    snapshot_every: Option<u64>,
    lease_reads: bool,
    /// Raft and HTTP.
    addresses: BTreeMap<u64, (String, String)>,
    running: BTreeMap<u64, Running>,
    directory: TempDir,
}

/// A process that is killed when it is dropped.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Processes {
    pub(super) async fn start(options: &RaftBench, timing: Timing) -> Result<Self, BenchError> {
        let program = env::current_exe()?.with_file_name(format!("raft-kv{}", env::consts::EXE_SUFFIX));
        if !program.is_file() {
            return Err(BenchError::NoProgram { program });
        }
        let parent = options.data_dir.clone().unwrap_or_else(env::temp_dir);
        let directory = tempfile::Builder::new().prefix("raft-bench-").tempdir_in(parent)?;
        let mut addresses = BTreeMap::new();
        // Held until all are known, so that all are different.
        let mut held = Vec::new();
        for id in 1..=options.nodes() {
            let (raft, http) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
            addresses.insert(id, (raft.local_addr()?.to_string(), http.local_addr()?.to_string()));
            held.extend([raft, http]);
        }
        drop(held);
        let timing = options.timing(timing);
        let mut processes = Self {
            program,
            timing,
            snapshot_every: options.snapshot_every,
            lease_reads: options.read_kind == ReadKind::Lease,
            addresses,
            running: BTreeMap::new(),
            directory,
        };
        for id in 1..=options.nodes() {
            processes.revive(id)?;
        }
        processes.leader().await?;
        Ok(processes)
    }

    /// Starts a node that does not run, on the data that it has.
    pub(super) fn revive(&mut self, id: u64) -> Result<(), BenchError> {
        let (raft, http) = &self.addresses[&id];
        let mut command = Command::new(&self.program);
        command.args(["node", "--cluster", CLUSTER, "--listen", raft, "--http", http, "--json"]);
        command.args(["--id", &id.to_string(), "--data-dir"]).arg(self.directory.path().join(id.to_string()));
        command.args(["--election-timeout-ms", &self.timing.election_timeout_ms.to_string()]);
        command.args(["--heartbeat-ms", &self.timing.heartbeat_ms.to_string()]);
        if let Some(entries) = self.snapshot_every {
            command.args(["--snapshot-every", &entries.to_string()]);
        }
        if self.lease_reads {
            command.arg("--lease-reads");
        }
        if env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "error");
        }
        for (peer, (raft, _)) in &self.addresses {
            command.args(["--peer", &format!("{peer}={raft}")]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        self.running.insert(id, Running(child));
        Ok(())
    }

    /// Kills a node, as by SIGKILL.
    pub(super) fn kill(&mut self, id: u64) {
        self.running.remove(&id);
    }

    /// Waits until a node leads; says which.
    pub(super) async fn leader(&self) -> Result<u64, BenchError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let leads = |id: &u64| status(&self.addresses[id].1).is_some_and(|status| status["role"] == "leader");
            if let Some(leader) = self.running.keys().copied().find(leads) {
                return Ok(leader);
            }
            if Instant::now() > give_up {
                return Err(BenchError::NoLeader { seconds: PATIENCE.as_secs() });
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until all nodes run and have applied what any of them knows to be committed now.
    pub(super) async fn level(&self) -> Result<(), BenchError> {
        let give_up = Instant::now() + PATIENCE;
        let field = |id: &u64, name: &str| status(&self.addresses[id].1).and_then(|status| status[name].as_u64());
        let committed = self.running.keys().filter_map(|id| field(id, "commit_index")).max();
        while !self.running.keys().all(|id| field(id, "last_applied") >= committed) {
            if Instant::now() > give_up {
                return Err(BenchError::NoLeader { seconds: PATIENCE.as_secs() });
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// A client of the whole cluster.
    pub(super) async fn client(&self) -> Result<KvClient, BenchError> {
        let addresses = self.addresses.values().map(|(raft, _)| raft.clone());
        let kv = RemoteClient::connect(CLUSTER, addresses).await.map_err(io::Error::other)?;
        Ok(KvClient { kv, keys: Keys::default() })
    }

    /// A client of the leader's HTTP face.
    pub(super) async fn http_client(&self) -> Result<HttpClient, BenchError> {
        let leader = self.leader().await?;
        Ok(HttpClient::new(&self.addresses[&leader].1))
    }

    /// What the nodes say of their leader; of none that does not answer.
    pub(super) fn seen(&self) -> Vec<Vec<Seen>> {
        let seen = self.running.keys().map(|id| {
            let status = status(&self.addresses[id].1);
            let field = |name: &str| status.as_ref().and_then(|status| status[name].as_u64()).unwrap_or(0);
            Seen { term: field("term"), longest_silence_ms: field("longest_silence_ms") }
        });
        vec![seen.collect()]
    }

    /// Of the processes that run.
    pub(super) fn meter(&self) -> Meter {
        Meter::with_nodes(self.running.values().map(|running| running.0.id()))
    }

    /// Stops all nodes. The directory is removed when what is returned is dropped.
    pub(super) fn stop(self) -> TempDir {
        self.directory
    }
}

fn status(http: &str) -> Option<serde_json::Value> {
    let body = ureq::get(format!("http://{http}/raft/status")).call().ok()?.into_body().read_to_vec().ok()?;
    serde_json::from_slice(&body).ok()
}

/// A client of the processes, for all that ask.
#[derive(Clone)]
pub(super) struct KvClient {
    kv: RemoteClient<Kv>,
    keys: Keys,
}

impl KvClient {
    fn put(&self, data: &Data) -> state_machine::Command {
        state_machine::Command::Put { key: self.keys.next(), value: String::from_utf8_lossy(&data.0).into_owned() }
    }
}

impl Target for KvClient {
    async fn write(&self, data: Data) -> Result<(), String> {
        self.kv.write(self.put(&data)).await.map(drop).map_err(|error| error.to_string())
    }

    async fn write_many(&self, data: Data, writes: usize) -> Result<(), String> {
        let outcomes = self.kv.write_many((0..writes).map(|_| self.put(&data))).await;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop).map_err(|error| error.to_string()))
    }

    async fn read(&self, kind: ReadKind) -> Result<(), String> {
        let query = Query::Get { key: Keys::READ.to_owned() };
        let answer = match kind {
            // It knows no leases: who wants those goes through HTTP.
            ReadKind::Linearizable | ReadKind::Lease => self.kv.read(query),
            ReadKind::Stale => self.kv.read_local(query),
        };
        answer.await.map(drop).map_err(|error| error.to_string())
    }
}
