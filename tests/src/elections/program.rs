//! What `raft-elections` does, and what it prints.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::line::{Graph, Line, Variant};
use super::options::Options;
use super::picture;
use super::summary::{Summary, ms};
use super::trial::{CAP, Network, trial};

/// Does what the command line says.
///
/// # Errors
/// If `out` takes no more, or a picture cannot be drawn or written.
pub fn main(options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let mut measured: Vec<(Line, Summary)> = Vec::new();
    if !options.json {
        writeln!(out, "timeouts       rules       median     mean      90 %      99 %       max  ms without a leader")?;
    }
    for variant in Variant::ALL {
        for timeouts_ms in Graph::ALL.into_iter().flat_map(Graph::timeouts_ms) {
            let line = Line { timeouts_ms: *timeouts_ms, variant };
            // The two graphs share one.
            if measured.iter().any(|(known, _)| *known == line) {
                continue;
            }
            let summary = measure(&line, &options.network(), options.seed, options.trials);
            show(options, &line, &summary, out)?;
            measured.push((line, summary));
        }
    }
    options.plot.as_deref().map_or(Ok(()), |directory| plot(&measured, directory))
}

/// Makes the trials of a line.
pub fn measure(line: &Line, network: &Network, seed: u64, trials: u32) -> Summary {
    // Trials of neighbouring seeds have nothing in common.
    let first = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Summary::of((0..trials).map(|number| trial(line, network, first.wrapping_add(u64::from(number)))))
}

fn show(options: &Options, line: &Line, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    let (median, mean, max) = (summary.percentile(50), summary.mean(), summary.percentile(100));
    let (p90, p99) = (summary.percentile(90), summary.percentile(99));
    if options.json {
        let (min_ms, max_ms) = line.timeouts_ms;
        let row = json!({
            "timeout_ms_min": min_ms,
            "timeout_ms_max": max_ms,
            "rules": line.variant.name(),
            "broadcast_ms": options.broadcast_ms,
            "request_percent": options.request_percent,
            "seed": options.seed,
            "trials": summary.trials(),
            "elected": summary.elected(),
            "median_ms": median.map(ms),
            "mean_ms": mean.map(ms),
            "p90_ms": p90.map(ms),
            "p99_ms": p99.map(ms),
            "max_ms": max.map(ms),
        });
        return writeln!(out, "{row}");
    }
    let cell = |value: Option<Duration>| value.map_or_else(|| format!("> {:.0}", ms(CAP)), |value| format!("{:.0}", ms(value)));
    let cells = [median, mean, p90, p99, max].map(|value| format!("{:>9}", cell(value))).join(" ");
    writeln!(out, "{:<14} {:<9} {cells}", line.to_string(), line.variant.name())
}

fn plot(measured: &[(Line, Summary)], directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (graph, name) in [(Graph::Randomness, "elections-randomness.svg"), (Graph::Timeouts, "elections-timeouts.svg")] {
        fs::write(directory.join(name), picture::draw(graph, measured)?)?;
    }
    Ok(())
}
