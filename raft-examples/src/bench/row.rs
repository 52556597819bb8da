//! What is printed.

use hdrhistogram::Histogram;
use raft_actor::log_storage::LogCounts;
use serde::Serialize;

use super::disk::DiskTimes;
use super::heartbeats::Heartbeats;
use super::load::{Figures, LoadResult, Pace, Part};
use super::options::{RaftBench, ReadKind, Store, Threads, Transport};
use super::process::Memory;

/// Whose row it is, and how that was placed on threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct System {
    pub(super) name: &'static str,
    pub(super) threads: Threads,
    /// Worker threads of its runtime, if it has one.
    pub(super) workers: Option<usize>,
    /// How clients reach nodes that are processes.
    pub(super) through: Option<&'static str>,
    /// Connections that all clients share, where there is a choice.
    pub(super) connections: Option<usize>,
}

impl System {
    /// This one.
    pub(super) fn ours(options: &RaftBench) -> Self {
        Self { name: "raft-actor", threads: options.threads(), workers: None, through: None, connections: None }
    }
}

/// One of the ways in which a system was placed on threads, and its median run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Tried {
    pub(super) threads: Threads,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections: Option<usize>,
    pub(super) ops_per_s: f64,
    pub(super) cpu_us_per_op: f64,
}

/// One row of throughput, as JSON.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) system: &'static str,
    pub(super) store: Store,
    pub(super) transport: Transport,
    pub(super) nodes: u64,
    groups: u64,
    pub(super) threads: Threads,
    /// Of the system's runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workers: Option<usize>,
    /// How clients reach nodes that are processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) through: Option<&'static str>,
    /// That all clients share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections: Option<usize>,
    pub(super) clients: usize,
    pub(super) payload_bytes: usize,
    /// Of a hundred requests.
    pub(super) reads: u32,
    /// Writes that a client submits with one call.
    pub(super) batch: usize,
    pub(super) ops_per_s: f64,
    /// Over the runs.
    pub(super) ops_per_s_min: f64,
    pub(super) ops_per_s_max: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    /// Processor time of everything in this process and those of the nodes: clients, nodes, logs.
    pub(super) cpu_us_per_op: f64,
    /// Of the log of one node, of all its groups: how much shares a sync. Unless the log is in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entries_per_sync: Option<f64>,
    /// Of this process, in which both systems of a comparison live; see [`Memory`].
    pub(super) peak_rss_bytes: u64,
    pub(super) rss_before_bytes: u64,
    /// The most memory of a node, where these are processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_peak_rss_bytes: Option<u64>,
    /// Requests that were not answered with a response.
    pub(super) errors: u64,
    /// What reads may have missed, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_kind: Option<ReadKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_every: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_follower: Option<u32>,
    /// Of an open loop.
    #[serde(flatten)]
    pub(super) pace: Option<Pace>,
    /// Which part of a run this is, if it is one.
    #[serde(flatten)]
    pub(super) part: Option<Part>,
    /// Those of this run; rows of their own.
    #[serde(skip)]
    pub(super) parts: Vec<Figures>,
    /// Of all runs, where the nodes are ours.
    #[serde(flatten)]
    pub(super) heartbeats: Option<Heartbeats>,
    seconds: f64,
    runs: usize,
    /// All placements of which this row is the best, if there were several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tried: Vec<Tried>,
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
        system: System,
        clients: usize,
        result: &LoadResult,
        memory: Memory,
        disk: Option<DiskTimes>,
    ) -> Self {
        let done = result.latencies_ns.len() as f64;
        let ops_per_s = (done / result.seconds).round();
        let p50_us = quantile_us(&result.latencies_ns, 0.5);
        Self {
            system: system.name,
            store: options.store,
            transport: options.transport,
            nodes: options.nodes(),
            groups: options.groups.unwrap_or(1),
            threads: system.threads,
            workers: system.workers,
            through: system.through,
            connections: system.connections,
            clients,
            payload_bytes: options.payload(),
            reads: options.reads(),
            batch: options.batch,
            ops_per_s,
            ops_per_s_min: ops_per_s,
            ops_per_s_max: ops_per_s,
            p50_us,
            p99_us: quantile_us(&result.latencies_ns, 0.99),
            p999_us: quantile_us(&result.latencies_ns, 0.999),
            cpu_us_per_op: rounded(result.cpu_seconds * 1e6 / done, 100.0),
            entries_per_sync: None,
            peak_rss_bytes: memory.peak_bytes,
            rss_before_bytes: memory.before_bytes,
            node_peak_rss_bytes: result.node_peak_rss_bytes,
            errors: result.errors,
            read_kind: (options.reads() > 0).then_some(options.read_kind),
            snapshot_every: options.snapshot_every,
            slow_follower: options.slow_follower,
            pace: result.pace,
            part: None,
            parts: result.parts.clone(),
            heartbeats: None,
            seconds: rounded(result.seconds, 1000.0),
            runs: 1,
            tried: Vec::new(),
            synced_append_us: disk.map(|disk| rounded(disk.synced_append_us, 10.0)),
            quorum_append_us: disk.map(|disk| rounded(disk.quorum_append_us, 10.0)),
            p50_in_synced_appends: disk.map(|disk| rounded(p50_us / disk.synced_append_us, 100.0)),
        }
    }

    /// With what the log of a node had counted before the clients came, and after they had gone.
    pub(super) fn with_log(self, before: LogCounts, after: LogCounts) -> Self {
        let syncs = after.syncs - before.syncs;
        let entries_per_sync = (after.entries - before.entries) as f64 / syncs as f64;
        Self { entries_per_sync: (syncs > 0).then(|| rounded(entries_per_sync, 10.0)), ..self }
    }

    pub(super) fn with_heartbeats(self, heartbeats: Heartbeats) -> Self {
        Self { heartbeats: Some(heartbeats), ..self }
    }

    /// The rows of the parts of this run.
    pub(super) fn in_parts(&self) -> impl Iterator<Item = Self> {
        self.parts.iter().map(|part| Self {
            ops_per_s: part.ops_per_s,
            ops_per_s_min: part.ops_per_s,
            ops_per_s_max: part.ops_per_s,
            p50_us: part.p50_us,
            p99_us: part.p99_us,
            p999_us: part.p999_us,
            cpu_us_per_op: part.cpu_us_per_op,
            errors: part.errors,
            seconds: part.seconds,
            runs: 1,
            part: Some(part.part),
            parts: Vec::new(),
            pace: None,
            heartbeats: None,
            tried: Vec::new(),
            ..self.clone()
        })
    }

    /// The run with the median throughput, with the extremes of all.
    pub(super) fn median_of(mut runs: Vec<Self>) -> Self {
        runs.sort_by(|a, b| a.ops_per_s.total_cmp(&b.ops_per_s));
        let (min, max) = (runs[0].ops_per_s, runs[runs.len() - 1].ops_per_s);
        let n = runs.len();
        let heartbeats = runs.iter().filter_map(|run| run.heartbeats).reduce(Heartbeats::and);
        let median = runs.swap_remove(n / 2);
        Self { ops_per_s_min: min, ops_per_s_max: max, runs: n, heartbeats, ..median }
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

pub(super) fn quantile_us(latencies_ns: &Histogram<u64>, quantile: f64) -> f64 {
    rounded(latencies_ns.value_at_quantile(quantile) as f64 / 1000.0, 10.0)
}

/// Of values in any order, of which there is one.
pub(super) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// To one part in `parts`.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// A row as a run in memory would give it.
#[cfg(test)]
pub(super) fn row_for_tests(ops_per_s: f64) -> Row {
    use clap::Parser;

    let options = RaftBench::parse_from(["raft-bench"]);
    let mut latencies_ns = Histogram::new(3).expect("the precision is valid");
    latencies_ns.record_n(20_000, 1000).expect("it grows as needed");
    let result = LoadResult {
        latencies_ns,
        seconds: 1.0,
        cpu_seconds: 0.01,
        errors: 0,
        node_peak_rss_bytes: None,
        pace: None,
        parts: Vec::new(),
    };
    let memory = Memory { before_bytes: 1 << 20, peak_bytes: 2 << 20 };
    Row { ops_per_s, ..Row::new(&options, System::ours(&options), 64, &result, memory, None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_what_was_promised_to_those_who_read_it() {
        let row = serde_json::to_value(row_for_tests(1000.0)).expect("a row is numbers and names");
        let expected = serde_json::json!({
            "system": "raft-actor", "store": "memory", "transport": "local", "clients": 64, "payload_bytes": 16,
            "ops_per_s": 1000.0, "p50_us": 20.0, "p99_us": 20.0, "p999_us": 20.0, "peak_rss_bytes": 2 << 20, "seconds": 1.0,
        });
        for (field, value) in expected.as_object().expect("it is one") {
            assert_eq!(&row[field], value, "{field}");
        }
    }

    #[test]
    fn the_run_with_the_median_throughput_stands_for_all() {
        let runs = [30.0, 10.0, 20.0].map(row_for_tests);
        let row = Row::median_of(runs.to_vec());
        assert_eq!((row.ops_per_s, row.ops_per_s_min, row.ops_per_s_max, row.runs), (20.0, 10.0, 30.0, 3));
    }
}
