//! This system and another one, side by side: in turn, at the same work.
//!
//! The clients, the payload, the warm-up and the clock are the same code for both. The other system may be placed on
//! threads in several ways; all are measured, and the one with the best median counts.

use serde::Serialize;

use super::options::{Peer, RaftBench, Store, Threads, Through, Transport};
use super::process::Memory;
use super::report::Report;
use super::row::{Row, System, Tried, middle, rounded};
use super::{BenchError, measure};

#[cfg(feature = "openraft")]
mod cluster;
#[cfg(not(feature = "openraft"))]
#[path = "absent.rs"]
mod cluster;
mod etcd;
#[cfg(feature = "openraft")]
mod network;
#[cfg(feature = "openraft")]
mod store;

/// Where the other system's tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// On so many worker threads; the clients have a thread of their own
    Workers(usize),
    /// On one thread, together with the clients
    WithClients,
}

impl Placement {
    /// Those to try. Whoever runs with its clients on one thread has to let the other do so, too.
    fn all(threads: Threads) -> Vec<Self> {
        let workers = [1, 2, 16].map(Self::Workers);
        match threads {
            Threads::Nodes | Threads::Separate | Threads::Processes => workers.to_vec(),
            Threads::One => [[Self::WithClients].as_slice(), &workers].concat(),
        }
    }

    fn system(self) -> System {
        match self {
            Self::Workers(workers) => Self::on(Threads::Nodes, workers),
            Self::WithClients => Self::on(Threads::One, 1),
        }
    }

    fn on(threads: Threads, workers: usize) -> System {
        System { name: "openraft", threads, workers: Some(workers), through: None, connections: None }
    }
}

/// Measures both systems in turn and prints a row of each, and how they compare.
///
/// # Errors
/// If the other system was not built in, or cannot do what is asked for, or one of the two does not run.
pub(super) async fn compare(options: &RaftBench, peer: Peer, report: &mut Report) -> Result<(), BenchError> {
    match peer {
        Peer::Openraft => compare_with_openraft(options, report).await,
        Peer::Etcd => etcd::compare(options, report).await,
    }
}

async fn compare_with_openraft(options: &RaftBench, report: &mut Report) -> Result<(), BenchError> {
    cluster::built_in()?;
    if options.store != Store::Memory || options.transport != Transport::Local {
        return Err(BenchError::PeerInMemoryOnly);
    }
    let placements = Placement::all(options.threads());
    for clients in &options.clients {
        let mut ours = Vec::new();
        let mut theirs = vec![Vec::new(); placements.len()];
        for run in 1..=options.repeat {
            let turn = format!("{clients} clients, run {run} of {}", options.repeat);
            report.progress(&format!("{turn}: raft-actor"));
            ours.push(measure(options, *clients, Through::Client).await?);
            for (placement, rows) in placements.iter().zip(&mut theirs) {
                report.progress(&format!("{turn}: openraft, {placement:?}"));
                let memory = Memory::watch();
                let result = cluster::run(options, *clients, *placement).await?;
                rows.push(Row::new(options, placement.system(), *clients, &result, memory.peaked(), None));
            }
        }
        let (theirs, tried) = best(theirs);
        report.row(&Row::median_of(ours.clone()));
        let mut row = Row::median_of(theirs.clone());
        row.tried = tried;
        report.row(&row);
        report.ratio(&RatioRow::of("raft-actor/openraft", &ours, &theirs));
    }
    Ok(())
}

/// The runs of the placement whose median throughput is best, and what came of each.
fn best(placements: Vec<Vec<Row>>) -> (Vec<Row>, Vec<Tried>) {
    let medians = placements.iter().map(|runs| Row::median_of(runs.clone()));
    let tried = medians.map(|Row { threads, workers, connections, ops_per_s, cpu_us_per_op, .. }| Tried {
        threads,
        workers,
        connections,
        ops_per_s,
        cpu_us_per_op,
    });
    let tried = tried.collect::<Vec<_>>();
    let (runs, _) = placements
        .into_iter()
        .zip(&tried)
        .max_by(|(_, a), (_, b)| a.ops_per_s.total_cmp(&b.ops_per_s))
        .expect("there is more than one placement");
    (runs, tried)
}

/// How this system compares with the other, as JSON: its operations per second divided by theirs, run by run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RatioRow {
    system: &'static str,
    /// What is divided by what.
    pub(super) of: &'static str,
    /// How the clients reach this system's nodes, where these are processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) through: Option<&'static str>,
    store: Store,
    transport: Transport,
    nodes: u64,
    threads: Threads,
    pub(super) clients: usize,
    payload_bytes: usize,
    reads: u32,
    batch: usize,
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
    /// Of the processor time for an operation: this system's divided by the other's.
    pub(super) cpu_median: f64,
    runs: usize,
}

impl RatioRow {
    /// Each run is compared with the one of the same turn.
    fn of(of: &'static str, ours: &[Row], theirs: &[Row]) -> Self {
        let turns = || ours.iter().zip(theirs);
        let ops = turns().map(|(ours, theirs)| ours.ops_per_s / theirs.ops_per_s).collect::<Vec<_>>();
        let cpu = turns().map(|(ours, theirs)| ours.cpu_us_per_op / theirs.cpu_us_per_op).collect::<Vec<_>>();
        let hundredths = |ratio| rounded(ratio, 100.0);
        let first = &ours[0];
        Self {
            system: "ratio",
            of,
            through: first.through,
            store: first.store,
            transport: first.transport,
            nodes: first.nodes,
            threads: first.threads,
            clients: first.clients,
            payload_bytes: first.payload_bytes,
            reads: first.reads,
            batch: first.batch,
            min: hundredths(ops.iter().copied().fold(f64::INFINITY, f64::min)),
            median: hundredths(middle(ops.clone())),
            max: hundredths(ops.iter().copied().fold(0.0, f64::max)),
            cpu_median: hundredths(middle(cpu)),
            runs: ops.len(),
        }
    }
}

#[cfg(test)]
mod tests;
