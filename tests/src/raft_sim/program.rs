//! What `raft-sim` does, and what it prints.

use std::io::{self, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::attempt::{Attempt, Failed, attempt};
use super::effort::Since;
use super::options::Options;
use super::range::run_all;
use super::run::{Machine, Run};
use super::shrink::{Budget, Shrunk, shrink};
use super::totals::{Totals, failure_to_json, smallest_to_json};

/// Does what the command line says, with clusters of this machine. What is found goes to `out`, the progress bar to
/// the terminal, if there is one.
///
/// # Errors
/// If `out` takes no more.
pub fn main<S: Machine>(options: &Options, out: &mut dyn Write) -> io::Result<ExitCode> {
    if let Some(unknown) = options.unknown_fault() {
        let planned = options.run(options.range().start).without_choice().planned().len();
        writeln!(out, "there is no fault {unknown}: {planned} are planned in this run, and they count from 0")?;
        return Ok(ExitCode::from(2));
    }
    let seeds = options.range();
    let jobs = options.jobs().min(usize::try_from(seeds.end - seeds.start).unwrap_or(usize::MAX));
    let since = Since::now();
    let bar = bar(seeds.end - seeds.start).with_message("0 failed");
    let mut totals = Totals::default();
    let mut written = Ok(());
    let make = |seed| attempt::<S>(&options.run(seed), options.trace);
    run_all(seeds.clone(), jobs, make, |attempt| {
        bar.inc(1);
        if written.is_ok() {
            written = bar.suspend(|| show(options, &attempt, out));
        }
        totals.add(attempt);
        bar.set_message(format!("{} failed", totals.failures.len()));
        written.is_ok() && (totals.failures.len() as u64) < options.failures_max
    });
    bar.finish_and_clear();
    written?;
    let effort = since.effort(jobs);
    if options.shrinks()
        && let Some((run, failed)) = totals.failures.values().next()
    {
        show_smallest::<S>(options, run, failed, out)?;
    }
    if options.json {
        writeln!(out, "{}", totals.to_json(&effort))?;
    } else {
        totals.show(&effort, out)?;
        conclude(&totals, seeds.end - seeds.start, out)?;
    }
    Ok(if totals.failures.is_empty() && totals.undecided == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Draws nothing unless the errors go to a terminal.
fn bar(length: u64) -> ProgressBar {
    let bar = if length == 1 { ProgressBar::hidden() } else { ProgressBar::new(length) };
    bar.with_style(style("{bar:30} {pos}/{len} seeds, {msg}, {elapsed} so far, {eta} to go"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is right")
}

/// What is said of a single run at once.
fn show(options: &Options, attempt: &Attempt, out: &mut dyn Write) -> io::Result<()> {
    let Some(failed) = &attempt.failed else { return Ok(()) };
    if options.json {
        return writeln!(out, "{}", json!({ "violation": failure_to_json(&attempt.run, failed) }));
    }
    writeln!(out, "seed {} fails: {failed}", attempt.run.seed)?;
    if !options.trace {
        show_last_events(failed, out)?;
    }
    writeln!(out, "replay it with: {} --trace\n", attempt.run)
}

fn show_last_events(failed: &Failed, out: &mut dyn Write) -> io::Result<()> {
    failed.last_events().iter().try_for_each(|line| writeln!(out, "  {line}"))
}

/// Looks for a smaller run that fails in the same way, and shows the smallest.
fn show_smallest<S: Machine>(options: &Options, run: &Run, failed: &Failed, out: &mut dyn Write) -> io::Result<()> {
    let bar = bar(u64::MAX).with_style(style("{spinner} {pos} runs for a smaller one that fails, {elapsed} so far"));
    let budget = Budget { runs: options.shrink_runs_max, jobs: options.jobs() };
    let found = shrink(run.clone(), Box::new(failed.clone()), budget, |run| {
        bar.inc(1);
        attempt::<S>(run, false).failed
    });
    bar.finish_and_clear();
    if options.json {
        return writeln!(out, "{}", json!({ "smallest": smallest_to_json(&found) }));
    }
    let seed = run.seed;
    let Shrunk { run, failed, attempts } = &found;
    let planned = run.planned();
    writeln!(
        out,
        "the smallest run of {attempts} that fails like seed {seed}: {} servers, {} clients, {:.6} virtual seconds, {} faults",
        run.nodes,
        run.clients,
        run.lasting.as_secs_f64(),
        planned.len(),
    )?;
    planned.iter().try_for_each(|fault| writeln!(out, "  {fault}"))?;
    writeln!(out, "{failed}")?;
    show_last_events(failed, out)?;
    writeln!(out, "replay it with: {run} --trace\n")
}

fn conclude(totals: &Totals, wanted: u64, out: &mut dyn Write) -> io::Result<()> {
    let missing: Vec<&str> = totals.faults.iter().filter(|(_, count)| **count == 0).map(|(kind, _)| *kind).collect();
    if !missing.is_empty() {
        writeln!(out, "never happened, so nothing is known of it: {}", missing.join(", "))?;
    }
    if totals.seeds < wanted {
        writeln!(out, "{} seeds were not run any more (--failures-max)", wanted - totals.seeds)?;
    }
    if totals.undecided > 0 {
        let advice = "fewer requests on a key make it easier: fewer --clients, fewer --virtual-seconds";
        writeln!(
            out,
            "{} histories could not be decided: nobody knows whether they are linearizable; {advice}",
            totals.undecided
        )?;
    }
    if totals.failures.is_empty() {
        return writeln!(out, "everything {}held", if totals.undecided == 0 { "" } else { "else " });
    }
    let seeds: Vec<String> = totals.failures.keys().map(ToString::to_string).collect();
    writeln!(out, "{} failed: {}", seeds.len(), seeds.join(", "))
}
