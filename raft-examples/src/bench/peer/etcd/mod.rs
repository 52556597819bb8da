//! The same work on etcd: as many processes, with their data beside ours, on the same loopback.
//!
//! Clients speak gRPC to the leader, as etcd's own do. How it is kept fair: see `docs/BENCHMARKS.md`.

use super::super::options::RaftBench;
use super::super::report::Report;
use super::super::row::Row;
use super::{BenchError, RatioRow, best, measure};

#[cfg(not(feature = "etcd"))]
#[path = "absent.rs"]
mod cluster;
#[cfg(feature = "etcd")]
mod cluster;
#[cfg(feature = "etcd")]
mod grpc;
#[cfg(feature = "etcd")]
mod message;

/// All clients share so many HTTP/2 connections. One is what it takes to have few packets, more of them spread over the
/// threads of a member.
const CONNECTIONS: [usize; 3] = [1, 4, 16];

/// Measures both systems in turn and prints a row for each way to reach ours, one of etcd, and how they compare.
///
/// # Errors
/// If etcd cannot be run, or one of the two fails.
pub(super) async fn compare(options: &RaftBench, report: &mut Report) -> Result<(), BenchError> {
    cluster::is_here(options)?;
    for clients in &options.clients {
        // As many connections as clients are enough.
        let connections = CONNECTIONS.into_iter().filter(|connections| connections <= clients).collect::<Vec<_>>();
        let mut ours = vec![Vec::new(); options.through().len()];
        let mut theirs = vec![Vec::new(); connections.len()];
        for run in 1..=options.repeat {
            let turn = format!("{clients} clients, run {run} of {}", options.repeat);
            for (through, rows) in options.through().into_iter().zip(&mut ours) {
                report.progress(&format!("{turn}: raft-actor through {}", through.name()));
                rows.push(measure(options, *clients, through).await?);
            }
            for (connections, rows) in connections.iter().zip(&mut theirs) {
                report.progress(&format!("{turn}: etcd, {connections} connections"));
                rows.push(cluster::measure(options, *clients, *connections).await?);
            }
        }
        let (theirs, tried) = best(theirs);
        for ours in &ours {
            report.row(&Row::median_of(ours.clone()));
        }
        let mut row = Row::median_of(theirs.clone());
        row.tried = tried;
        report.row(&row);
        for ours in &ours {
            report.ratio(&RatioRow::of("raft-actor/etcd", ours, &theirs));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
