//! The command lines of `raftctl`.

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::kv::options::Peer;

/// Operates a cluster of raft-kv nodes.
#[derive(Debug, Parser)]
#[command(name = "raftctl", version, about = "Operates a cluster of raft-kv nodes, through any of them", after_help = EXAMPLE)]
pub struct RaftCtl {
    /// Where a node of the cluster serves HTTP; any will do
    #[arg(long, global = true, default_value = "http://127.0.0.1:8101", value_name = "URL")]
    pub node: String,
    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub json: bool,
    /// How long a change may take, as 500ms, 90s or 10m: a voter that is added gets the whole state first
    #[arg(long, global = true, default_value = "60s", value_name = "TIME", value_parser = timeout)]
    pub timeout: Duration,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLE: &str = "\
Example, a fourth node for the cluster of raft-kv dev:
  raft-kv node --join --id 4 --cluster dev --data-dir d4 --listen 127.0.0.1:7104 --http 127.0.0.1:8104
  raftctl --node http://127.0.0.1:8101 add 4=127.0.0.1:7104    # from another terminal
  raftctl members
  raftctl watch --only role_changed --only configuration_changed
Exits with 0 only if it is done.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What a node knows about itself and the cluster
    Status,
    /// Who belongs to the cluster, and how far each one is
    Members,
    /// Adds a node that was started with --join: it gets the log first, and its vote as soon as it has caught up
    Add {
        /// Its number, and where it listens for the other nodes (--listen of raft-kv node)
        #[arg(value_name = "ID=HOST:PORT")]
        peer: Peer,
        /// Without a vote, to stay so; a voter loses its vote
        #[arg(long)]
        learner: bool,
    },
    /// Removes a node, which may be the leader; stop it afterwards
    Remove {
        /// Its number
        id: u64,
    },
    /// Makes a node the leader
    Transfer {
        /// Its number
        id: u64,
    },
    /// Has the node that is asked take a snapshot, and let go of the log behind it
    Snapshot,
    /// Shows what happens in the node that is asked, until one of them is stopped
    Watch {
        /// Show only events of this name, as role_changed; may be said several times (docs/EVENTS.md has the names)
        #[arg(long, value_name = "EVENT")]
        only: Vec<String>,
    },
}

/// As long as a node takes requests to take.
fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_millis(1)..=Duration::from_secs(600);
    if allowed.contains(&timeout) { Ok(timeout) } else { Err("from 1ms to 10m are possible".into()) }
}
