//! Measures clusters that run in this process, or as processes of their own.
//!
//! The work is a closed loop: each client has one write under way, and sends the
//! next when it has the state machine's answer; or an open one, on a schedule.
//! Nothing is counted that was not committed and applied. Another system can be
//! given the same work in turn.

use std::io;
use std::path::PathBuf;

use raft_actor::log_storage::LogError;
use raft_actor::{GroupError, StartError, StopReason, TransferError};

mod cluster;
mod disk;
mod failover;
mod groups;
mod heartbeats;
mod http;
mod keys;
mod load;
mod machine;
pub mod options;
mod peer;
mod plot;
mod process;
mod processes;
mod report;
mod row;
mod slow;
mod storage;
mod target;

use cluster::{CALM, Cluster};
use disk::DiskTimes;
use heartbeats::Heartbeats;
use options::{Command, Peer, RaftBench, Rate, ReadKind, Store, Threads, Through, Transport};
use process::{Memory, Meter};
use processes::Processes;
use report::Report;
use row::{Row, System};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A node of the cluster does not start.
    #[error("cannot start node {node}: {source}")]
    Start {
        /// Which.
        node: u64,
        /// Why not.
        #[source]
        source: StartError,
    },
    /// A node has stopped by itself.
    #[error("node {node} stopped while it was measured: {reason}")]
    Stopped {
        /// Which.
        node: u64,
        /// Why.
        reason: StopReason,
    },
    /// Nobody leads.
    #[error("no leader was elected within {seconds} s; is the election timeout ten times the heartbeat?")]
    NoLeader {
        /// How long that was waited for.
        seconds: u64,
    },
    /// The program of a node is not there.
    #[error(
        "{} is not there, of which each node is a process; build it beside this one: cargo build --release -p raft-examples",
        program.display()
    )]
    NoProgram {
        /// Where it should be.
        program: PathBuf,
    },
    /// What needs the nodes in this process.
    #[error("--groups and --peer openraft need the nodes in this process: take --threads nodes, one or separate")]
    NotWithProcesses,
    /// What needs processes.
    #[error("--peer etcd and --through need each node to be a process: take --threads processes")]
    OnlyWithProcesses,
    /// A group cannot be created.
    #[error("cannot create a group: {0}")]
    Group(#[from] GroupError),
    /// What needs the nodes in this process.
    #[error("--slow-follower needs the nodes in this process: take --threads nodes, one or separate")]
    SlowProcess,
    /// Reads that not everybody knows.
    #[error("neither etcd nor the client of processes reads by leases: take --through http without --peer etcd")]
    NoLeases,
    /// A share of nothing in particular.
    #[error(
        "a share of the peak is not the same rate for all that is measured with --peer or --groups: give --rate a number"
    )]
    WhosePeak,
    /// The slow node leads.
    #[error("the node that is to be a slow follower leads, and nobody takes over; it needs --nodes 2 or more: {0}")]
    SlowLeader(TransferError),
    /// A cluster that does not survive the loss of a node.
    #[error("{nodes} nodes do not survive the loss of one; a failover needs --nodes 3 or more")]
    TooFewNodes {
        /// How many were asked for.
        nodes: u64,
    },
    /// The other system of a comparison is not part of this build.
    #[error(
        "this build cannot compare with {peer}; build one that can: cargo build --release -p raft-examples --features {peer}"
    )]
    PeerNotBuilt {
        /// Which, and the cargo feature.
        peer: &'static str,
    },
    /// A comparison of what the other system does not have.
    #[error(
        "openraft has neither a log on disk nor a transport in the box: compare with --store memory --transport local"
    )]
    PeerInMemoryOnly,
    /// The program of the other system is not there.
    #[error(
        "cannot run {}: {source}; install etcd (on Debian the package etcd-server), or say where it is with --etcd PROGRAM",
        program.display()
    )]
    NoEtcd {
        /// What was tried.
        program: PathBuf,
        /// Why it does not run.
        #[source]
        source: io::Error,
    },
    /// The other system of a comparison fails.
    #[error("{peer}: {reason}")]
    Peer {
        /// Which.
        peer: &'static str,
        /// What it says.
        reason: String,
    },
    /// The figures are those of a cluster in trouble.
    #[error(
        "{rows} of these rows are of clusters in trouble: a follower went up to {silence_ms} ms without word from its leader, \
         and {elections} elections took place; measure when the machine has nothing else to do, or with a longer \
         --election-timeout-ms"
    )]
    Irregular {
        /// How many.
        rows: usize,
        /// The longest silence of a leader.
        silence_ms: u64,
        /// How many in all.
        elections: u64,
    },
    /// A file cannot be drawn.
    #[error("cannot draw {}: {reason}", path.display())]
    Plot {
        /// The file, or the picture.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The log that is measured alone fails.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The operating system refuses a file, a port or a thread.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No request was answered in the time that was measured.
    #[error("none of {clients} clients got an answer within {seconds} s; last error: {last}")]
    NothingDone {
        /// How many tried.
        clients: usize,
        /// For how long.
        seconds: u64,
        /// What the last of them was told.
        last: String,
    },
}

/// Measures what was asked for and prints it.
///
/// # Errors
/// Why there are no figures, or why those that were printed are not good.
pub async fn run(mut options: RaftBench) -> Result<(), BenchError> {
    match &options.command {
        None => {}
        Some(Command::Plot { files, to, x }) => {
            for picture in plot::draw(files, to, *x)? {
                println!("{}", picture.display());
            }
            return Ok(());
        }
        Some(Command::Storage(storage)) => return storage::run(storage, &mut Report::new(storage.json)),
    }
    if options.threads() == Threads::Processes {
        if options.groups.is_some() || options.peer == Some(Peer::Openraft) {
            return Err(BenchError::NotWithProcesses);
        }
        // That is what they are.
        (options.store, options.transport) = (Store::Wal, Transport::Tcp);
    } else if options.peer == Some(Peer::Etcd) || !options.through.is_empty() {
        return Err(BenchError::OnlyWithProcesses);
    }
    if options.slow_follower.is_some() && options.threads() == Threads::Processes {
        return Err(BenchError::SlowProcess);
    }
    let ways = options.through();
    let knows_leases = match options.peer {
        Some(Peer::Etcd) => false,
        Some(Peer::Openraft) => true,
        None => options.threads() != Threads::Processes || !ways.contains(&Through::Client),
    };
    if options.read_kind == ReadKind::Lease && !knows_leases {
        return Err(BenchError::NoLeases);
    }
    if matches!(options.rate, Some(Rate::PercentOfPeak(_))) && (options.peer.is_some() || options.groups.is_some()) {
        return Err(BenchError::WhosePeak);
    }
    let mut report = Report::new(options.json);
    for options in options.combinations() {
        measure_all(options, &mut report).await?;
    }
    report.verdict()
}

/// Prints all rows.
async fn measure_all(options: RaftBench, report: &mut Report) -> Result<(), BenchError> {
    if let Some(kills) = options.failover {
        let row = failover::measure(&options, kills, report).await?;
        report.failover(&row);
        return Ok(());
    }
    if let Some(groups) = options.groups {
        return groups::run(&options, groups, report).await;
    }
    if let Some(peer) = options.peer {
        return peer::compare(&options, peer, report).await;
    }
    for clients in &options.clients {
        for through in options.through() {
            let mut options = options.clone();
            if let Some(Rate::PercentOfPeak(percent)) = options.rate {
                options.rate = None;
                let peak = measure_row(&options, *clients, through, report).await?;
                options.rate = Some(Rate::PerSecond(peak * percent / 100.0));
            }
            measure_row(&options, *clients, through, report).await?;
        }
    }
    Ok(())
}

/// All runs of one row; returns the operations per second.
async fn measure_row(
    options: &RaftBench,
    clients: usize,
    through: Through,
    report: &mut Report,
) -> Result<f64, BenchError> {
    let mut runs = Vec::new();
    for run in 1..=options.repeat {
        report.progress(&format!("{clients} clients, run {run} of {}", options.repeat));
        runs.push(measure(options, clients, through).await?);
    }
    let row = Row::median_of(runs);
    report.row(&row);
    Ok(row.ops_per_s)
}

/// One run of one row, on a cluster of its own.
async fn measure(options: &RaftBench, clients: usize, through: Through) -> Result<Row, BenchError> {
    if options.threads() == Threads::Processes {
        return measure_processes(options, clients, through).await;
    }
    let memory = Memory::watch();
    let cluster = Cluster::start(options, CALM).await?;
    let mut leader = cluster.leader().await?;
    if cluster.is_slow(leader) {
        let handed_over = cluster.handle(leader).transfer_leadership(None).await;
        leader = handed_over.map_err(BenchError::SlowLeader)?.leader.get();
    }
    let log = cluster.handle(leader).log_counts();
    let before = cluster.seen();
    let result = match cluster.clients_thread() {
        Some(thread) => load::run_on(thread, vec![cluster.handle(leader).clone()], options.clone(), clients).await?,
        None => load::run(&[cluster.handle(leader).clone()], options, clients, &Meter::default()).await?,
    };
    let memory = memory.peaked();
    let heartbeats = Heartbeats::between(&before, &cluster.seen(), options.timing(CALM).election_timeout_ms);
    let (log_before, log) = (log, cluster.handle(leader).log_counts());
    let directory = cluster.shutdown().await;
    // Before the directory goes: to remove large files keeps a disk busy.
    let disk = match options.store {
        Store::Wal => Some(DiskTimes::measure(directory.path(), options.nodes())?),
        Store::Memory => None,
    };
    let row = Row::new(options, System::ours(options), clients, &result, memory, disk);
    Ok(row.with_heartbeats(heartbeats).with_log(log_before, log))
}

/// One run of one row, on nodes that are processes of their own, with clients in this one.
async fn measure_processes(options: &RaftBench, clients: usize, through: Through) -> Result<Row, BenchError> {
    let memory = Memory::watch();
    let processes = Processes::start(options, CALM).await?;
    let (meter, before) = (processes.meter(), processes.seen());
    let result = match through {
        Through::Http => load::run(&[processes.http_client().await?], options, clients, &meter).await?,
        Through::Client => load::run(&[processes.client().await?], options, clients, &meter).await?,
    };
    let memory = memory.peaked();
    let heartbeats = Heartbeats::between(&before, &processes.seen(), options.timing(CALM).election_timeout_ms);
    let directory = processes.stop();
    let disk = DiskTimes::measure(directory.path(), options.nodes())?;
    let system = System { through: Some(through.name()), ..System::ours(options) };
    let row = Row::new(options, system, clients, &result, memory, Some(disk));
    Ok(row.with_heartbeats(heartbeats))
}
