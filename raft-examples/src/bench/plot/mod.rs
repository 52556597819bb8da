//! Rows of `--json`, drawn: a picture of the throughput and one of the latencies for each file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::BenchError;
use super::options::Axis;

mod picture;

/// What of a row of throughput is drawn, or says which series it belongs to.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    system: String,
    store: String,
    transport: String,
    nodes: u64,
    groups: u64,
    threads: String,
    /// Whoever has them is shown with the best of several placements.
    workers: Option<usize>,
    through: Option<String>,
    /// Of an open loop.
    rate: Option<f64>,
    read_kind: Option<String>,
    slow_follower: Option<u32>,
    clients: u64,
    payload_bytes: u64,
    reads: u64,
    batch: u64,
    ops_per_s: f64,
    ops_per_s_min: f64,
    ops_per_s_max: f64,
    p50_us: f64,
    p99_us: f64,
}

/// One line of a picture.
#[derive(Debug, Clone)]
struct Series {
    /// The system, and in what this series differs from others of the file.
    label: String,
    /// By what they are drawn against.
    rows: BTreeMap<u64, Row>,
}

/// All of a file.
#[derive(Debug, Clone)]
struct Chart {
    x: Axis,
    /// What all series have in common.
    conditions: String,
    series: Vec<Series>,
}

/// Draws each of the files; returns the pictures.
///
/// # Errors
/// If a file cannot be read or has no rows of throughput, or a picture cannot be written.
pub(super) fn draw(files: &[PathBuf], directory: &Path, x: Axis) -> Result<Vec<PathBuf>, BenchError> {
    let mut pictures = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).map_err(|error| no_plot(file, &error))?;
        let chart = Chart::of(&text, x).map_err(|reason| no_plot(file, &reason))?;
        let stem = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
        let (throughput, latency) = (format!("{stem}-throughput.svg"), format!("{stem}-latency.svg"));
        for (name, svg) in [(throughput, picture::throughput(&chart)?), (latency, picture::latency(&chart)?)] {
            let path = directory.join(name);
            fs::write(&path, svg).map_err(|error| no_plot(&path, &error))?;
            pictures.push(path);
        }
    }
    Ok(pictures)
}

fn no_plot(path: &Path, reason: &impl ToString) -> BenchError {
    BenchError::Plot { path: path.to_path_buf(), reason: reason.to_string() }
}

impl Chart {
    /// Of JSON lines, among which there may be others: ratios, failovers, parts of runs.
    fn of(text: &str, x: Axis) -> Result<Self, String> {
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let value: serde_json::Value =
                serde_json::from_str(line).map_err(|error| format!("line {number} is no row of --json: {error}"))?;
            if value.get("ops_per_s").is_some() && value.get("until_s").is_none() {
                rows.push(Row::deserialize(value).map_err(|error| format!("line {number}: {error}"))?);
            }
        }
        let settings = rows.iter().map(|row| row.settings(x)).collect::<Vec<_>>();
        let (Some(first), Some(_)) = (settings.first(), rows.first()) else {
            return Err("it has no row of throughput; write one with raft-bench --json".to_owned());
        };
        // A setting that has one value throughout is a condition, the others tell series apart.
        let varies = |setting: usize| {
            let mut values = settings.iter().filter_map(|settings| settings[setting].as_ref());
            values.next().is_some_and(|first| values.any(|value| value != first))
        };
        let varying = (0..first.len()).map(varies).collect::<Vec<_>>();
        let texts = |settings: &[Option<String>], varying_ones: bool| {
            let chosen = settings.iter().zip(&varying).filter(|(_, varies)| **varies == varying_ones);
            chosen.filter_map(|(text, _)| text.clone()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
        };
        let conditions = texts(first, false);
        let mut series: Vec<Series> = Vec::new();
        for (row, settings) in rows.into_iter().zip(&settings) {
            let differs = texts(settings, true);
            let label = if differs.is_empty() { row.system.clone() } else { format!("{}, {differs}", row.system) };
            let position = series.iter().position(|series| series.label == label).unwrap_or_else(|| {
                series.push(Series { label, rows: BTreeMap::new() });
                series.len() - 1
            });
            series[position].rows.insert(row.at(x), row);
        }
        Ok(Self { x, conditions, series })
    }
}

impl Row {
    /// Where on the axis it is.
    fn at(&self, x: Axis) -> u64 {
        match x {
            Axis::Clients => self.clients,
            Axis::Nodes => self.nodes,
            Axis::Payload => self.payload_bytes,
            Axis::Reads => self.reads,
            Axis::Groups => self.groups,
        }
    }

    /// In words, always as many of them; none where it does not apply or is drawn against, an empty one where it is what
    /// it is by default.
    fn settings(&self, x: Axis) -> Vec<Option<String>> {
        let unless = |usual: bool, text: String| Some(if usual { String::new() } else { text });
        let beside = |axis: Axis, text: Option<String>| text.filter(|_| axis != x);
        vec![
            beside(Axis::Clients, Some(format!("{} clients", self.clients))),
            Some(if self.store == "wal" { "durable".to_owned() } else { "in memory".to_owned() }),
            Some(self.transport.clone()),
            beside(Axis::Nodes, Some(format!("{} nodes", self.nodes))),
            beside(Axis::Groups, unless(self.groups == 1, format!("{} groups", self.groups))),
            beside(Axis::Payload, Some(format!("{} bytes", self.payload_bytes))),
            beside(Axis::Reads, unless(self.reads == 0, format!("{} % reads", self.reads))),
            // Where there are no reads they are of no kind.
            self.read_kind.clone(),
            unless(self.batch == 1, format!("batches of {}", self.batch)),
            unless(self.rate.is_none(), format!("{:.0}/s due", self.rate.unwrap_or_default())),
            self.slow_follower
                .map_or_else(|| Some(String::new()), |factor| Some(format!("a follower {factor} times slower"))),
            self.through.as_ref().map(|through| format!("through {through}")),
            self.workers.is_none().then(|| format!("threads: {}", self.threads)),
        ]
    }
}

#[cfg(test)]
mod tests;
