//! What is printed.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::disk::DiskTimes;
use super::load::LoadResult;
use super::options::{RaftBench, Store, Threads, Transport};

/// One row of throughput, as JSON.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    system: &'static str,
    pub(super) store: Store,
    pub(super) transport: Transport,
    nodes: u64,
    groups: u64,
    threads: Threads,
    pub(super) clients: usize,
    payload_bytes: usize,
    /// Of a hundred requests.
    reads: u32,
    pub(super) ops_per_s: f64,
    /// Over the runs.
    pub(super) ops_per_s_min: f64,
    pub(super) ops_per_s_max: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    /// Processor time of everything in this process: clients, nodes, logs.
    pub(super) cpu_us_per_op: f64,
    pub(super) peak_rss_bytes: u64,
    /// Requests that were not answered with a response.
    pub(super) errors: u64,
    seconds: f64,
    runs: usize,
    /// What the disk takes alone; see [`DiskTimes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) synced_append_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quorum_append_us: Option<f64>,
    /// How many synced appends the median request takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p50_in_synced_appends: Option<f64>,
}

impl Row {
    pub(super) fn new(
        options: &RaftBench,
        clients: usize,
        result: &LoadResult,
        peak_rss_bytes: u64,
        disk: Option<DiskTimes>,
    ) -> Self {
        let done = result.latencies_ns.len() as f64;
        let ops_per_s = (done / result.seconds).round();
        let p50_us = quantile_us(&result.latencies_ns, 0.5);
        Self {
            system: "raft-actor",
            store: options.store,
            transport: options.transport,
            nodes: options.nodes,
            groups: options.groups.unwrap_or(1),
            threads: options.threads,
            clients,
            payload_bytes: options.payload,
            reads: options.reads,
            ops_per_s,
            ops_per_s_min: ops_per_s,
            ops_per_s_max: ops_per_s,
            p50_us,
            p99_us: quantile_us(&result.latencies_ns, 0.99),
            p999_us: quantile_us(&result.latencies_ns, 0.999),
            cpu_us_per_op: rounded(result.cpu_seconds * 1e6 / done, 100.0),
            peak_rss_bytes,
            errors: result.errors,
            seconds: rounded(result.seconds, 1000.0),
            runs: 1,
            synced_append_us: disk.map(|disk| rounded(disk.synced_append_us, 10.0)),
            quorum_append_us: disk.map(|disk| rounded(disk.quorum_append_us, 10.0)),
            p50_in_synced_appends: disk.map(|disk| rounded(p50_us / disk.synced_append_us, 100.0)),
        }
    }

    /// The run with the median throughput, with the extremes of all.
    pub(super) fn median_of(mut runs: Vec<Self>) -> Self {
        runs.sort_by(|a, b| a.ops_per_s.total_cmp(&b.ops_per_s));
        let (min, max) = (runs[0].ops_per_s, runs[runs.len() - 1].ops_per_s);
        let n = runs.len();
        let median = runs.swap_remove(n / 2);
        Self { ops_per_s_min: min, ops_per_s_max: max, runs: n, ..median }
    }
}

/// One row of failovers, as JSON. Times from the stop of the leader to the next write that another node accepted.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FailoverRow {
    pub(super) system: &'static str,
    pub(super) store: Store,
    pub(super) transport: Transport,
    pub(super) nodes: u64,
    pub(super) failovers: usize,
    pub(super) election_timeout_ms: u64,
    pub(super) heartbeat_ms: u64,
    pub(super) median_ms: f64,
    pub(super) min_ms: f64,
    pub(super) max_ms: f64,
}

fn quantile_us(latencies_ns: &Histogram<u64>, quantile: f64) -> f64 {
    rounded(latencies_ns.value_at_quantile(quantile) as f64 / 1000.0, 10.0)
}

/// To one part in `parts`.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
