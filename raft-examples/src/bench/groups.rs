//! Many groups on the same hosts: what idle ones cost, and what all of them do together.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use raft_actor::transport::{LocalNetwork, Transport as _};
use raft_actor::{GroupOptions, NodeThread, Placement, RaftHandle, RaftHost, Role};
use raft_transport::Tcp;
use serde::Serialize;
use tempfile::TempDir;

use super::cluster::CALM;
use super::heartbeats::{Heartbeats, Seen};
use super::machine::Tally;
use super::options::{RaftBench, Store, Threads, Transport};
use super::process::Meter;
use super::report::Report;
use super::row::{Row, System, rounded};
use super::{BenchError, load, process};

/// How long idle groups are watched.
const IDLE: Duration = Duration::from_secs(10);

/// All groups have rested for a while by then.
const UNTIL_AT_REST: Duration = Duration::from_secs(5);

/// What groups cost in which nothing happens, as JSON.
#[derive(Debug, Clone, Serialize)]
pub(super) struct IdleRow {
    pub(super) system: &'static str,
    pub(super) store: Store,
    pub(super) transport: Transport,
    pub(super) nodes: u64,
    pub(super) groups: u64,
    /// Until all were created on all nodes and had a leader.
    pub(super) created_s: f64,
    /// Of resident memory, for a group on one node.
    pub(super) bytes_per_group_and_node: u64,
    /// Of one processor, for all nodes together.
    pub(super) idle_cpu_percent: f64,
}

/// Hosts, their groups, and what they stand on.
struct Hosts {
    thread: Option<NodeThread>,
    hosts: Vec<RaftHost>,
    /// By group, then by node.
    groups: Vec<Vec<RaftHandle<Tally>>>,
    _directory: TempDir,
}

/// Creates the groups, watches them idle, then lets clients write to all of them.
pub(super) async fn run(options: &RaftBench, groups: u64, report: &mut Report) -> Result<(), BenchError> {
    report.progress(&format!("creating {groups} groups"));
    let mut hosts = Hosts::start(options).await?;
    let (before, begun) = (process::resident_bytes(), Instant::now());
    for group in 1..=groups {
        hosts.create(group, options).await?;
    }
    hosts.elect().await?;
    let created_s = begun.elapsed().as_secs_f64();
    report.progress("waiting until all rest");
    tokio::time::sleep(UNTIL_AT_REST).await;
    let members = groups * options.nodes();
    let bytes_per_group_and_node = process::resident_bytes().saturating_sub(before) / members;
    let (cpu, watched) = (process::cpu_seconds(), Instant::now());
    tokio::time::sleep(IDLE).await;
    let idle_cpu = (process::cpu_seconds() - cpu) / watched.elapsed().as_secs_f64();
    report.idle(&IdleRow {
        system: "raft-actor",
        store: options.store,
        transport: options.transport,
        nodes: options.nodes(),
        groups,
        created_s: rounded(created_s, 100.0),
        bytes_per_group_and_node,
        idle_cpu_percent: rounded(100.0 * idle_cpu, 100.0),
    });
    for clients in &options.clients {
        let mut runs = Vec::new();
        for run in 1..=options.repeat {
            report.progress(&format!("{clients} clients, run {run} of {}", options.repeat));
            let memory = process::Memory::watch();
            let leaders = hosts.elect().await?;
            let log = leaders[0].log_counts();
            let log_of = leaders[0].clone();
            let before = hosts.seen();
            let result = match hosts.thread.as_ref().filter(|_| options.threads() == Threads::One) {
                Some(thread) => load::run_on(thread, leaders, options.clone(), *clients).await?,
                None => load::run(&leaders, options, *clients, &Meter::default()).await?,
            };
            let row = Row::new(options, System::ours(options), *clients, &result, memory.peaked(), None);
            let heartbeats = Heartbeats::between(&before, &hosts.seen(), options.timing(CALM).election_timeout_ms);
            runs.push(row.with_heartbeats(heartbeats).with_log(log, log_of.log_counts()));
        }
        report.row(&Row::median_of(runs));
    }
    drop(hosts.groups);
    join_all(hosts.hosts.iter().map(RaftHost::shutdown)).await;
    Ok(())
}

impl Hosts {
    async fn start(options: &RaftBench) -> Result<Self, BenchError> {
        let parent = options.data_dir.clone().unwrap_or_else(std::env::temp_dir);
        let directory = tempfile::Builder::new().prefix("raft-bench-").tempdir_in(parent)?;
        let thread = match options.threads() {
            Threads::Separate | Threads::Processes => None,
            Threads::Nodes | Threads::One => Some(NodeThread::spawn("raft-nodes")?),
        };
        let network = LocalNetwork::default();
        // All ports first: every host has to know the addresses of all.
        let mut builders = Vec::new();
        for id in 1..=options.nodes() {
            let builder = RaftHost::builder().node(id).cluster("bench");
            builders.push(match options.transport {
                Transport::Local => (format!("local:{id}"), builder.transport(network.transport(id))),
                Transport::Tcp => {
                    let transport = Tcp::bind("127.0.0.1:0")?;
                    (transport.address(), builder.transport(transport))
                }
            });
        }
        let peers: Vec<(u64, String)> = (1..).zip(builders.iter().map(|(address, _)| address.clone())).collect();
        let mut hosts = Vec::new();
        for (id, (_, builder)) in (1..).zip(builders) {
            let placement = thread.as_ref().map_or_else(Placement::own_threads, Placement::on_thread);
            let builder = builder.peers(peers.clone()).settings(options.settings(CALM));
            let builder = builder.placement(placement.apply_inline());
            let builder = match options.store {
                Store::Memory => builder.in_memory(),
                Store::Wal => builder.data_dir(directory.path().join(id.to_string())),
            };
            hosts.push(builder.start_host().await.map_err(|source| BenchError::Start { node: id, source })?);
        }
        Ok(Self { thread, hosts, groups: Vec::new(), _directory: directory })
    }

    async fn create(&mut self, group: u64, options: &RaftBench) -> Result<(), BenchError> {
        let mut members = Vec::new();
        for host in &self.hosts {
            let group_options = GroupOptions::default()
                .queue_limits(options.queue_limits())
                .snapshot_every(options.snapshot_every.unwrap_or(0));
            members.push(host.create_group(group, Tally::default(), group_options).await?);
        }
        self.groups.push(members);
        Ok(())
    }

    /// What the members of each group say of their leader.
    fn seen(&self) -> Vec<Vec<Seen>> {
        let members = |group: &Vec<RaftHandle<Tally>>| group.iter().map(|raft| Seen::from(&*raft.status())).collect();
        self.groups.iter().map(members).collect()
    }

    /// Waits until each group has a leader; returns their handles.
    async fn elect(&self) -> Result<Vec<RaftHandle<Tally>>, BenchError> {
        let mut leaders = Vec::new();
        for members in &self.groups {
            let mut watch = members[0].watch();
            let status = watch.wait_for(|status| status.leader_id.is_some()).await;
            let status = status.map_err(|reason| BenchError::Stopped { node: 1, reason })?;
            let leads = |raft: &&RaftHandle<Tally>| {
                raft.status().role == Role::Leader || Some(raft.status().node_id) == status.leader_id
            };
            leaders.push(members.iter().find(leads).unwrap_or(&members[0]).clone());
        }
        Ok(leaders)
    }
}
