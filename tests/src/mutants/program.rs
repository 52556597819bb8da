//! What `raft-mutants` does.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::hunt::{Hunt, Outcome};
use super::list::{ListError, Mutation, mutations, without_second_opinion};
use super::options::Options;
use super::report::{HEAD, Row};
use super::workshop::{Workshop, WorkshopError};
use super::workspace;

/// So many seeds have to pass without any mutation; else whatever is found says nothing about one.
const BASELINE_SEEDS: u64 = 32;
/// Thousands of seeds may take long; a loop without an end takes longer.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Why there is no result at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The list cannot be used.
    #[error(transparent)]
    List(#[from] ListError),
    /// Nothing can be built.
    #[error(transparent)]
    Workshop(#[from] WorkshopError),
    /// Nothing can be written.
    #[error("cannot write what was found: {0}")]
    Write(#[from] io::Error),
    /// No mutation is named so.
    #[error("no mutation has {0} in its name; --list names them all")]
    Unknown(String),
    /// The code as it is fails.
    #[error("without any mutation {by} does not hold (seed {seed}): {what}")]
    Baseline {
        /// The invariant.
        by: String,
        /// Where.
        seed: u64,
        /// What was found.
        what: String,
    },
    /// The code as it is cannot be judged.
    #[error("without any mutation nothing can be said: {0}")]
    NoBaseline(String),
}

/// Does what the command line says; the results go to `out`, what is being done to the standard error.
///
/// # Errors
/// If there can be no results.
pub fn main(options: &Options, out: &mut dyn Write) -> Result<ExitCode, Error> {
    let wanted = wanted(options)?;
    if options.list {
        for mutation in &wanted {
            writeln!(out, "{}\n    {}", mutation.name, mutation.breaks)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let beside = if options.second_opinion { Vec::new() } else { without_second_opinion(&workspace())? };
    let mut workshop = Workshop::open(&workspace(), options.workshop.clone())?;
    let hunt = hunt(options);
    if !options.skip_baseline {
        eprintln!("building raft-sim without a mutation, and running {BASELINE_SEEDS} seeds");
        check_baseline(&mut workshop, &hunt, &beside)?;
    }
    if !options.json {
        writeln!(out, "{HEAD}")?;
    }
    let begun = Instant::now();
    let mut rows = Vec::new();
    for mutation in wanted {
        let row = try_out(mutation, &beside, &mut workshop, &hunt);
        if options.json {
            writeln!(out, "{}", row.to_json())?;
        } else {
            writeln!(out, "{row}")?;
            eprintln!("    {}", row.detail());
        }
        out.flush()?;
        rows.push(row);
    }
    conclude(options, &rows, begun.elapsed(), out)?;
    Ok(if rows.iter().all(Row::is_caught) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn wanted(options: &Options) -> Result<Vec<Mutation>, Error> {
    let mut all = mutations(&workspace())?;
    for name in &options.only {
        if !all.iter().any(|mutation| mutation.name.contains(name)) {
            return Err(Error::Unknown(name.clone()));
        }
    }
    all.retain(|mutation| options.only.is_empty() || options.only.iter().any(|name| mutation.name.contains(name)));
    Ok(all)
}

fn hunt(options: &Options) -> Hunt {
    let mut flags = vec!["--virtual-seconds".to_owned(), options.virtual_seconds.to_string()];
    if let Some(faults) = &options.faults {
        flags.extend(["--faults".to_owned(), faults.clone()]);
    }
    Hunt { seeds_max: options.seeds_max, flags, patience: PATIENCE }
}

fn check_baseline(workshop: &mut Workshop, hunt: &Hunt, beside: &[Mutation]) -> Result<(), Error> {
    let mut texts = BTreeMap::new();
    for mutation in beside {
        mutation
            .apply(|file| workshop.original(file), &mut texts)
            .map_err(|misfit| Error::NoBaseline(misfit.to_string()))?;
    }
    workshop.change(&texts)?;
    let program = workshop.build()?;
    let hunt = Hunt { seeds_max: BASELINE_SEEDS, ..hunt.clone() };
    match hunt.run(&program, &[]) {
        Outcome::Survived { .. } => Ok(()),
        Outcome::Caught { by, what, seeds } => Err(Error::Baseline { by, what, seed: seeds - 1 }),
        Outcome::Failed { reason } => Err(Error::NoBaseline(reason)),
    }
}

fn try_out(mutation: Mutation, beside: &[Mutation], workshop: &mut Workshop, hunt: &Hunt) -> Row {
    let begun = Instant::now();
    let outcome = outcome(&mutation, beside, workshop, hunt).unwrap_or_else(|reason| Outcome::Failed { reason });
    Row { mutation, outcome, took: begun.elapsed() }
}

fn outcome(mutation: &Mutation, beside: &[Mutation], workshop: &mut Workshop, hunt: &Hunt) -> Result<Outcome, String> {
    let mut texts = BTreeMap::new();
    for each in beside.iter().chain([mutation]) {
        each.apply(|file| workshop.original(file), &mut texts)
            .map_err(|misfit| format!("it does not apply any more: {misfit}"))?;
    }
    workshop.change(&texts).map_err(|error| error.to_string())?;
    let program = workshop.build().map_err(|error| error.to_string())?;
    Ok(hunt.run(&program, &mutation.flags))
}

fn conclude(options: &Options, rows: &[Row], took: Duration, out: &mut dyn Write) -> io::Result<()> {
    let named = |is: fn(&Outcome) -> bool| -> Vec<&str> {
        let rows = rows.iter().filter(|row| is(&row.outcome));
        rows.map(|row| row.mutation.name.as_str()).collect()
    };
    let caught = named(|outcome| matches!(outcome, Outcome::Caught { .. }));
    let survived = named(|outcome| matches!(outcome, Outcome::Survived { .. }));
    let failed = named(|outcome| matches!(outcome, Outcome::Failed { .. }));
    if options.json {
        let summary = json!({
            "mutations": rows.len(), "caught": caught.len(), "survived": survived, "failed": failed,
            "seconds": took.as_secs_f64(),
        });
        return writeln!(out, "{summary}");
    }
    writeln!(out, "\n{} of {} mutations caught in {} s", caught.len(), rows.len(), took.as_secs())?;
    if !survived.is_empty() {
        writeln!(out, "survived, so something is not checked or not done: {}", survived.join(", "))?;
    }
    if !failed.is_empty() {
        writeln!(out, "to be mended in tests/mutations: {}", failed.join(", "))?;
    }
    Ok(())
}
