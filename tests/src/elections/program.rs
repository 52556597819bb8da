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
    let cell = |value: Option<Duration>| {
        value.map_or_else(|| format!("> {:.0}", ms(CAP)), |value| format!("{:.0}", ms(value)))
    };
    let cells = [median, mean, p90, p99, max].map(|value| format!("{:>9}", cell(value))).join(" ");
    writeln!(out, "{:<14} {:<9} {cells}", line.to_string(), line.variant.name())
}

/// Both graphs of the figure, by the rules of the paper, and what the rules make of its widest range.
fn plot(measured: &[(Line, Summary)], directory: &Path) -> io::Result<()> {
    let graph = |graph: Graph| {
        let lines =
            graph.timeouts_ms().iter().map(|timeouts_ms| Line { timeouts_ms: *timeouts_ms, variant: Variant::Paper });
        lines.map(|line| (line, line.to_string())).collect::<Vec<_>>()
    };
    let rules = Variant::ALL.map(|variant| (Line { timeouts_ms: (150, 300), variant }, variant.name().to_owned()));
    fs::create_dir_all(directory)?;
    for (name, title, range_ms, lines) in [
        ("randomness", "Election timeouts, more or less random", 60.0..30_000.0, graph(Graph::Randomness)),
        ("timeouts", "Election timeouts, shorter or longer", 10.0..1_000.0, graph(Graph::Timeouts)),
        ("rules", "Election timeouts of 150-300 ms, by the rules of the election", 10.0..1_000.0, rules.to_vec()),
    ] {
        let of = |line: Line| measured.iter().find(|(known, _)| *known == line).map(|(_, summary)| summary);
        let lines: Vec<_> = lines.into_iter().filter_map(|(line, label)| Some((label, of(line)?))).collect();
        fs::write(directory.join(format!("elections-{name}.svg")), picture::draw(title, range_ms, &lines)?)?;
    }
    Ok(())
}
