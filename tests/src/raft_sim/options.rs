//! The command line of `raft-sim`.

use std::ops::Range;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use clap::Parser;
use raft_transport::sim::Faults;

use super::run::Run;

/// Simulates whole clusters: the real actors on a network, disks and clocks that a seed decides, with faults of all
/// kinds, checked after every event. The same seed gives the same run, on every machine.
///
/// Ends with 0 if everything held, with 1 if something did not or could not be decided, with 2 if the command line makes no sense.
#[derive(Debug, Clone, Parser)]
#[command(name = "raft-sim", version, after_help = EXAMPLE)]
pub struct Options {
    /// Makes the run of this seed
    #[arg(long, value_name = "N", required_unless_present = "seeds", conflicts_with = "seeds",
          value_parser = clap::value_parser!(u64).range(..u64::MAX))]
    pub seed: Option<u64>,
    /// Makes the runs of all seeds from A to before B, in parallel
    #[arg(long, value_name = "A..B")]
    pub seeds: Option<Seeds>,
    /// For how long things go wrong in a run, in virtual time; recovery comes after that
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub virtual_seconds: Duration,
    /// What goes wrong: all, none, or some of net, disk, crash, clock, membership, leadership, or single kinds (any other word
    /// makes it list them); with lost, more disks are lost than a majority can bear, and all there is to ask for is
    /// that no answer is wrong [default: all or some, as the seed decides]
    #[arg(long, value_name = "KIND,..")]
    pub faults: Option<Faults>,
    /// How many servers [default: the seed decides, mostly 3 or 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=9))]
    pub nodes: Option<u64>,
    /// How many groups the servers run, over one log and one network. If there are several, others begin and end while the
    /// membership changes [default: the seed decides, mostly 1, in a quarter of the runs 2 to 4]
    #[arg(long, value_name = "N", conflicts_with = "on_disk", value_parser = clap::value_parser!(u64).range(1..=4))]
    pub groups: Option<u64>,
    /// Disks and state machines do all they do at once, so that servers do with a call what they otherwise wait for
    /// [default: the seed decides, mostly not]
    #[arg(long, value_name = "true | false", num_args = 0..=1, default_missing_value = "true")]
    pub no_time: Option<bool>,
    /// How many clients ask each group [default: the seed decides, 4 to 8, or half as many for one of several groups]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub clients: Option<u64>,
    /// Of the planned faults only those with these numbers happen; or none
    #[arg(long, value_name = "N,.. | none", conflicts_with = "seeds")]
    pub only_faults: Option<Numbers>,
    /// The state machine lives on the servers' disks, too, and loses there what it has not synced
    #[arg(long)]
    pub on_disk: bool,
    /// Prints every event of the run
    #[arg(long, conflicts_with_all = ["seeds", "json"])]
    pub trace: bool,
    /// If the run fails, looks for a smaller one that fails in the same way, and shows that too. After a range it is
    /// done for the first seed that failed
    #[arg(long, conflicts_with_all = ["seeds", "trace"])]
    pub shrink: bool,
    /// Does not do so after a range
    #[arg(long, conflicts_with = "seed")]
    pub no_shrink: bool,
    /// How many runs it may take to find a smaller one; short runs count for less
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub shrink_runs_max: u32,
    /// How many runs at a time [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub jobs: Option<u64>,
    /// Begins no further runs after this many failures
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub failures_max: u64,
    /// Prints one JSON object per line: each failure, and what all runs were like at last
    #[arg(long)]
    pub json: bool,
}

const EXAMPLE: &str = "\
Within the repository it is run with: cargo run --release -p raft-tests --bin raft-sim -- --seed 42

Examples:
  raft-sim --seeds 0..1000
  raft-sim --seeds 0..100 --faults net,clock --nodes 5 --virtual-seconds 300 --json
  raft-sim --seeds 0..100 --faults all,lost
  raft-sim --seed 42 --shrink
  raft-sim --seed 42 --trace";

/// Seeds from one to before another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(
    /// Which.
    pub Range<u64>,
);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let advice = || format!("{text:?} is no range of seeds; say A..B with A below B, as in 0..100");
        let (from, to) = text.split_once("..").ok_or_else(advice)?;
        let range = from.parse().map_err(|_| advice())?..to.parse().map_err(|_| advice())?;
        if range.is_empty() { Err(advice()) } else { Ok(Self(range)) }
    }
}

/// Numbers of faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers(
    /// Which.
    pub Vec<usize>,
);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let numbers: Result<_, _> = text.split(',').map(|number| number.trim().parse()).collect();
        numbers.map(Self).map_err(|_| format!("{text:?} are no numbers of faults; say none, or some as in 3,7"))
    }
}

/// A day is long enough for anybody, and short enough that nothing overflows.
const SECONDS_MAX: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    // Whole microseconds, as the simulator counts: what is printed means the same when it is read again.
    let micros = seconds.map(|seconds| Duration::from_micros((seconds * 1e6).round() as u64));
    micros.ok_or_else(|| format!("say seconds from 0 to {SECONDS_MAX}, as in 60 or 12.5"))
}

impl Options {
    /// The seeds to run.
    pub fn range(&self) -> Range<u64> {
        match (&self.seeds, self.seed) {
            (Some(Seeds(range)), _) => range.clone(),
            (None, Some(seed)) => seed..seed.saturating_add(1),
            (None, None) => 0..0,
        }
    }

    /// How many runs are made at a time.
    pub fn jobs(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(cores, |jobs| usize::try_from(jobs).unwrap_or(usize::MAX))
    }

    /// Whether smaller runs are to be looked for.
    pub fn shrinks(&self) -> bool {
        self.shrink || (self.seeds.is_some() && !self.no_shrink)
    }

    /// A fault that is to happen and is not planned.
    pub(super) fn unknown_fault(&self) -> Option<usize> {
        let Numbers(chosen) = self.only_faults.as_ref()?;
        let planned = self.run(self.range().start).without_choice().planned();
        chosen.iter().copied().find(|number| planned.iter().all(|fault| fault.number != *number))
    }

    /// The run of a seed, as far as it is not left to the seed.
    pub fn run(&self, seed: u64) -> Run {
        let drawn = Run::of(seed);
        Run {
            seed,
            on_disk: self.on_disk,
            nodes: self.nodes.unwrap_or(drawn.nodes),
            // Each machine on disk would need a place of its own there.
            groups: if self.on_disk { 1 } else { self.groups.unwrap_or(drawn.groups) },
            no_time: self.no_time.unwrap_or(drawn.no_time),
            clients: self.clients.map_or(drawn.clients, |clients| clients as usize),
            lasting: self.virtual_seconds,
            faults: self.faults.clone().unwrap_or(drawn.faults),
            only_faults: self.only_faults.clone().map(|Numbers(numbers)| numbers),
        }
    }
}
