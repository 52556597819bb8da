//! How long a cluster is without a leader when it loses one.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::BenchError;
use super::cluster::Cluster;
use super::machine::Data;
use super::options::{RaftBench, Store, Threads, Timing};
use super::processes::Processes;
use super::report::Report;
use super::row::{FailoverRow, rounded};
use super::target::Target;

/// Short, as for a local network.
const EAGER: Timing = Timing { election_timeout_ms: 100, heartbeat_ms: 10 };

/// Between two failures, longer than a client remembers the last one: who loses one connection after the other waits
/// ever longer before it tries again.
const CALM_WEATHER: Duration = Duration::from_secs(1);

/// A write that nobody has accepted after this long does not count as a failover.
const GIVE_UP: Duration = Duration::from_secs(30);

/// Kills the leader `times` times.
///
/// Durable nodes are started again on their data each time. A node that had its log in memory
/// would come back as one whose disk was wiped, so those get a new cluster.
///
/// # Errors
/// If nobody takes over.
pub(super) async fn measure(options: &RaftBench, times: u32, report: &Report) -> Result<FailoverRow, BenchError> {
    if options.nodes() < 3 {
        return Err(BenchError::TooFewNodes { nodes: options.nodes() });
    }
    let settings = options.settings(EAGER);
    let mut outages = if options.threads() == Threads::Processes {
        of_processes(options, times, report).await?
    } else {
        of_nodes(options, times, report).await?
    };
    outages.sort_unstable();
    let milliseconds = |outage: &Duration| rounded(outage.as_secs_f64() * 1000.0, 10.0);
    Ok(FailoverRow {
        system: "raft-actor",
        store: options.store,
        transport: options.transport,
        nodes: options.nodes(),
        failovers: outages.len(),
        election_timeout_ms: settings.election_timeout_ms_min,
        heartbeat_ms: settings.heartbeat_ms,
        median_ms: milliseconds(&outages[outages.len() / 2]),
        min_ms: milliseconds(&outages[0]),
        max_ms: milliseconds(&outages[outages.len() - 1]),
    })
}

/// With nodes in this process.
async fn of_nodes(options: &RaftBench, times: u32, report: &Report) -> Result<Vec<Duration>, BenchError> {
    let mut outages = Vec::new();
    let mut cluster = Cluster::start(options, EAGER).await?;
    for kill in 1..=times {
        report.progress(&format!("failover {kill} of {times}"));
        let leader = cluster.leader().await?;
        write(&cluster, leader).await?;
        cluster.level().await;
        outages.push(failover(&mut cluster, leader).await?);
        match options.store {
            Store::Wal => cluster.revive(leader).await?,
            Store::Memory => {
                drop(cluster.shutdown().await);
                cluster = Cluster::start(options, EAGER).await?;
            }
        }
    }
    drop(cluster.shutdown().await);
    Ok(outages)
}

/// With nodes that are processes, and a client of the cluster: from the SIGKILL to the next answer.
async fn of_processes(options: &RaftBench, times: u32, report: &Report) -> Result<Vec<Duration>, BenchError> {
    let mut outages = Vec::new();
    let mut processes = Processes::start(options, EAGER).await?;
    let client = processes.client().await?;
    for kill in 1..=times {
        report.progress(&format!("failover {kill} of {times}"));
        try_write(&client).await?;
        processes.level().await?;
        let leader = processes.leader().await?;
        tokio::time::sleep(CALM_WEATHER).await;
        let killed = Instant::now();
        processes.kill(leader);
        try_write(&client).await?;
        outages.push(killed.elapsed());
        processes.revive(leader)?;
    }
    drop(processes.stop());
    Ok(outages)
}

/// Kills the leader; the time until a survivor has accepted a write.
async fn failover(cluster: &mut Cluster, leader: u64) -> Result<Duration, BenchError> {
    let killed = Instant::now();
    // Until it has stopped it might answer a write that a survivor forwards; that would be no failover.
    cluster.kill(leader).await;
    let survivors = cluster.running();
    // Any of them: a client does not know who will lead.
    let survivor = survivors[leader as usize % survivors.len()];
    write(cluster, survivor).await?;
    Ok(killed.elapsed())
}

/// One write to a node, tried until it is accepted.
async fn write(cluster: &Cluster, node: u64) -> Result<(), BenchError> {
    try_write(cluster.handle(node)).await
}

async fn try_write(target: &impl Target) -> Result<(), BenchError> {
    let give_up = Instant::now() + GIVE_UP;
    loop {
        match target.write(Data(Bytes::from_static(b"failover"))).await {
            Ok(()) => return Ok(()),
            Err(last) if Instant::now() > give_up => {
                return Err(BenchError::NothingDone { clients: 1, seconds: GIVE_UP.as_secs(), last });
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
