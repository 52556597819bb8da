//! The command line of `raft-elections`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::trial::Network;

/// How long five servers are without a leader after it crashes, against the range of election timeouts: Figure 16 of the
/// Raft paper (§9.3), with the core of raft-actor in simulated time. The same seed gives the same figures, on every
/// machine.
///
/// The leader crashes at any moment between two heartbeats, of which there are two in a minimum election timeout. Each
/// server's log has another length, so that two of the four survivors cannot be elected. Disks take no time.
///
/// Each range of timeouts is tried by the rules of the paper, with the pre-vote that raft-actor always makes, with
/// one survivor of a higher priority, and with connections that are closed by the crash (hung-up).
#[derive(Debug, Clone, Parser)]
#[command(name = "raft-elections", version, after_help = EXAMPLE)]
pub struct Options {
    /// How many trials each line has
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub trials: u32,
    /// Decides everything that is left to chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The broadcast time: the mean time until the slowest of four servers has answered. At most 30, or the shortest
    /// timeouts would end while the last heartbeat is still on its way to others
    #[arg(long, value_name = "MS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=30))]
    pub broadcast_ms: u64,
    /// How much of a round trip passes before the request arrives. What a server does before it answers, such as to
    /// write its vote to a disk, counts with the way back
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub request_percent: u64,
    /// Prints one JSON object per line
    #[arg(long)]
    pub json: bool,
    /// Also draws the figure, into this directory; only in a build with the cargo feature `plot`
    #[arg(long, value_name = "DIRECTORY")]
    pub plot: Option<PathBuf>,
}

const EXAMPLE: &str = "\
Within the repository it is run with: cargo run --release -p raft-tests --bin raft-elections

Examples:
  raft-elections --trials 1000 --seed 1
  raft-elections --request-percent 50 --json
  raft-elections --plot docs/plots      (built with --features plot)";

impl Options {
    /// How long messages take.
    pub fn network(&self) -> Network {
        Network::new(Duration::from_millis(self.broadcast_ms), self.request_percent)
    }
}
