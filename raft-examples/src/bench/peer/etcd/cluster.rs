//! Members that run, one process each.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use super::super::super::cluster::CALM;
use super::super::super::disk::DiskTimes;
use super::super::super::load;
use super::super::super::options::{Peer, RaftBench, Threads};
use super::super::super::process::{Memory, Meter};
use super::super::super::processes::Running;
use super::super::super::row::{Row, System};
use super::BenchError;
use super::grpc::GrpcClient;

/// Without a leader after this long there will be none.
const ELECTION: Duration = Duration::from_secs(30);

/// How often a member is asked who leads.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What it may keep: the most that it offers, so that no run ends for lack of room.
const QUOTA_BYTES: u64 = 8 << 30;

/// Its program can be run.
pub(super) fn is_here(options: &RaftBench) -> Result<(), BenchError> {
    let ran = Command::new(&options.etcd).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match ran {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("{} --version: {status}", options.etcd.display()))),
        Err(source) => Err(BenchError::NoEtcd { program: options.etcd.clone(), source }),
    }
}

/// One run of one row, on members of its own.
pub(super) async fn measure(options: &RaftBench, clients: usize, connections: usize) -> Result<Row, BenchError> {
    let memory = Memory::watch();
    let mut members = Members::start(options)?;
    let leader = members.leader().await?;
    let client = GrpcClient::connect(&leader, connections).await?;
    let meter = Meter::with_nodes(members.running.iter().map(|member| member.0.id()));
    let result = load::run(&[client], options, clients, &meter).await?;
    let memory = memory.peaked();
    if members.leader().await? != leader {
        eprintln!("raft-bench: leadership changed during this run of etcd; it measured the election, too");
    }
    let Members { running, directory, .. } = members;
    drop(running);
    let disk = DiskTimes::measure(directory.path(), options.nodes())?;
    let (name, connections) = (Peer::Etcd.name(), Some(connections));
    let system = System { name, threads: Threads::Processes, workers: None, through: Some("grpc"), connections };
    Ok(Row::new(options, system, clients, &result, memory, Some(disk)))
}

struct Members {
    running: Vec<Running>,
    /// Where each serves clients.
    addresses: Vec<String>,
    directory: TempDir,
}

impl Members {
    /// Founds a cluster with the same times as ours.
    fn start(options: &RaftBench) -> Result<Self, BenchError> {
        let parent = options.data_dir.clone().unwrap_or_else(env::temp_dir);
        let directory = tempfile::Builder::new().prefix("raft-bench-").tempdir_in(parent)?;
        // Held until all are known, so that all are different.
        let mut held = Vec::new();
        let mut port = || -> io::Result<String> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?.to_string();
            held.push(listener);
            Ok(address)
        };
        let clients = (0..options.nodes()).map(|_| port()).collect::<io::Result<Vec<_>>>()?;
        let peers = (0..options.nodes()).map(|_| port()).collect::<io::Result<Vec<_>>>()?;
        drop(held);
        let all = (1..).zip(&peers).map(|(id, peer)| format!("m{id}=http://{peer}")).collect::<Vec<_>>().join(",");
        let timing = options.timing(CALM);
        let mut running = Vec::new();
        for ((id, client), peer) in (1..).zip(&clients).zip(&peers) {
            let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
            let mut command = Command::new(&options.etcd);
            command.args(["--name", &format!("m{id}"), "--data-dir"]).arg(directory.path().join(format!("m{id}")));
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args(["--initial-cluster", &all, "--initial-cluster-state", "new"]);
            command.args(["--heartbeat-interval", &timing.heartbeat_ms.to_string()]);
            command.args(["--election-timeout", &timing.election_timeout_ms.to_string()]);
            command.args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()]);
            command.args(["--logger", "zap", "--log-level", "fatal"]);
            let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
            running.push(Running(command.spawn()?));
        }
        Ok(Self { running, addresses: clients, directory })
    }

    /// Waits until a member leads; returns where it serves clients.
    async fn leader(&mut self) -> Result<String, BenchError> {
        let give_up = Instant::now() + ELECTION;
        loop {
            if let Some(leader) = self.addresses.iter().find(|address| leads(address)) {
                return Ok(leader.clone());
            }
            for member in &mut self.running {
                if let Some(status) = member.0.try_wait()? {
                    return Err(failed(format!("a member has ended: {status}")));
                }
            }
            if Instant::now() > give_up {
                return Err(failed(format!("no leader was elected within {} s", ELECTION.as_secs())));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Whether a member says that it leads.
fn leads(address: &str) -> bool {
    let asked = ureq::post(format!("http://{address}/v3/maintenance/status")).send("{}");
    let body = asked.ok().and_then(|answer| answer.into_body().read_to_vec().ok());
    body.and_then(|body| serde_json::from_slice(&body).ok()).is_some_and(|status| is_leader(&status))
}

/// Numbers are text in its JSON; a leader that is not there is left out.
fn is_leader(status: &Value) -> bool {
    let leader = status["leader"].as_str();
    leader.is_some() && leader == status["header"]["member_id"].as_str()
}

fn failed(reason: String) -> BenchError {
    BenchError::Peer { peer: Peer::Etcd.name(), reason }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_leads_that_names_itself_as_the_leader() {
        assert!(is_leader(&json!({"header": {"member_id": "7"}, "leader": "7"})));
        assert!(!is_leader(&json!({"header": {"member_id": "7"}, "leader": "8"})));
        assert!(!is_leader(&json!({"header": {"member_id": "7"}})));
        assert!(!is_leader(&json!({})));
    }
}
