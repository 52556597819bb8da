//! The command line of `raft-mutants`.

use std::path::PathBuf;

use clap::Parser;

/// Breaks our own code on purpose, one rule at a time, and counts the seeds that `raft-sim` needs to find it. Each
/// mutation of `tests/mutations` is carried out in a copy of the workspace and built there.
///
/// Ends with 0 if all were caught, with 1 if one survived, does not compile or does not apply any more.
#[derive(Debug, Clone, Parser)]
#[command(name = "raft-mutants", version, after_help = EXAMPLE)]
pub struct Options {
    /// Only mutations with this in their names; can be said again
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Lists the mutations and what they break, and does nothing
    #[arg(long)]
    pub list: bool,
    /// A mutation survives if so many seeds find nothing
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub seeds_max: u64,
    /// For how long things go wrong in a run, in virtual time
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub virtual_seconds: u64,
    /// Which faults [default: as the seed decides]
    #[arg(long, value_name = "KIND,..")]
    pub faults: Option<String>,
    /// Members check themselves after every step, as they do in production, and stop if something is wrong. Without
    /// this they do not, so that it is the simulation that has to find it
    #[arg(long)]
    pub second_opinion: bool,
    /// Where the copy is made and built, and stays for the next time [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub workshop: Option<PathBuf>,
    /// Does not look first whether the code as it is passes
    #[arg(long)]
    pub skip_baseline: bool,
    /// Prints one JSON object per line: each mutation, and all together at last
    #[arg(long)]
    pub json: bool,
}

const EXAMPLE: &str = "\
Examples:
  raft-mutants
  raft-mutants --only no_op --only commits --workshop target/mutants
  raft-mutants --list";
