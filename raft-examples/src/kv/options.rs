//! The command lines of `raft-kv`, and what is checked before anything is started.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// A replicated, durable key-value service.
#[derive(Debug, Parser)]
#[command(name = "raft-kv", version, about = "A replicated, durable key-value service", after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub struct RaftKv {
    /// What to run; `dev` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// `raft-kv --nodes 5` means `raft-kv dev --nodes 5`.
    #[command(flatten)]
    pub dev: Dev,
}

const EXAMPLE: &str = "\
Example:
  raft-kv dev                                       # three nodes, http://127.0.0.1:8101 to 8103
  curl -X PUT 127.0.0.1:8101/kv/x -d 3              # {\"index\":3,\"previous\":null}
  curl 127.0.0.1:8103/kv/x                          # 3
  curl 127.0.0.1:8102/raft/status                   # who leads, what is committed
RUST_LOG=info (or debug) shows what the nodes do.";

const NODE_EXAMPLE: &str = "\
Example, a cluster of three on one machine; one command per terminal:
  P='--peer 1=127.0.0.1:7101 --peer 2=127.0.0.1:7102 --peer 3=127.0.0.1:7103'
  raft-kv node --id 1 --cluster demo --data-dir d1 --listen 127.0.0.1:7101 --http 127.0.0.1:8101 $P
  raft-kv node --id 2 --cluster demo --data-dir d2 --listen 127.0.0.1:7102 --http 127.0.0.1:8102 $P
  raft-kv node --id 3 --cluster demo --data-dir d3 --listen 127.0.0.1:7103 --http 127.0.0.1:8103 $P";

/// Entries between two snapshots, if nothing is said.
const SNAPSHOT_EVERY: u64 = 100_000;

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A whole cluster in this process, each node with a directory and an HTTP port of its own
    #[command(after_help = EXAMPLE)]
    Dev(Dev),
    /// One node of a cluster
    #[command(after_help = NODE_EXAMPLE)]
    Node(Node),
}

/// Options of `raft-kv dev`.
#[derive(Debug, Clone, Args)]
pub struct Dev {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub nodes: u16,
    /// Where the nodes keep their data, each in a directory of its own below
    #[arg(long, default_value = "raft-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// HTTP port of node 1; the others follow
    #[arg(long, default_value_t = 8101, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub http_base: u16,
    /// Raft port of node 1; the others follow
    #[arg(long, default_value_t = 7101, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub raft_base: u16,
    /// Times of the protocol.
    #[command(flatten)]
    pub timing: Timing,
    /// Take a snapshot after so many entries, and let go of the log behind it; 0: only when asked to
    #[arg(long, default_value_t = SNAPSHOT_EVERY, value_name = "ENTRIES")]
    pub snapshot_every: u64,
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// Options of `raft-kv node`.
#[derive(Debug, Clone, Args)]
pub struct Node {
    /// Number of this node; never given to another machine or disk again
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub id: u64,
    /// Name of the cluster, the same on all nodes
    #[arg(long, value_name = "NAME")]
    pub cluster: String,
    /// Where this node keeps its data
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where to listen for the other nodes
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: SocketAddr,
    /// Where to listen for HTTP
    #[arg(long, value_name = "HOST:PORT")]
    pub http: SocketAddr,
    /// A first member of the cluster and where the others reach it; once for each, this node included
    #[arg(long = "peer", value_name = "ID=HOST:PORT")]
    pub peers: Vec<Peer>,
    /// Do not found a cluster: wait to be added to one that exists
    #[arg(long)]
    pub join: bool,
    /// How soon this node asks for votes, compared with the others: each step below 3 makes it wait one election timeout longer
    #[arg(long, default_value_t = 3, value_name = "0..3", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub election_priority: u8,
    /// Times of the protocol.
    #[command(flatten)]
    pub timing: Timing,
    /// Take a snapshot after so many entries, and let go of the log behind it; 0: only when asked to
    #[arg(long, default_value_t = SNAPSHOT_EVERY, value_name = "ENTRIES")]
    pub snapshot_every: u64,
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// Times of the protocol.
#[derive(Debug, Clone, Copy, Args)]
pub struct Timing {
    /// A follower that hears no leader for this long (up to twice as long, at random) asks for votes
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub election_timeout_ms: u64,
    /// How often a leader speaks at least
    #[arg(long, default_value_t = 100, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub heartbeat_ms: u64,
    /// Found the cluster with lease reads (GET with consistency=lease), for clocks that are off by at most so many percent
    /// of the election timeout; the same on all first members. Without the option such a read asks a majority, as others do
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "10", value_parser = clap::value_parser!(u8).range(0..=49))]
    pub lease_reads: Option<u8>,
    /// How long a client that numbers its writes is remembered after its last one, as 90s, 30m or 1h
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub session_ttl: Duration,
}

/// One `--peer ID=HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The number of the node.
    pub id: u64,
    /// Where it is reached.
    pub address: String,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, address) = text.split_once('=').ok_or("expected ID=HOST:PORT, as in 2=127.0.0.1:7102")?;
        let id = match id.parse::<u64>() {
            Ok(id) if id >= 1 => id,
            Ok(_) | Err(_) => return Err(format!("{id:?} is not a node number; numbers begin at 1")),
        };
        let (host, port) = address.rsplit_once(':').ok_or(format!("{address:?} lacks a port"))?;
        match port.parse::<u16>() {
            Ok(port) if port >= 1 => {}
            Ok(_) | Err(_) => return Err(format!("{port:?} is not a port; ports go from 1 to 65535")),
        }
        if host.is_empty() {
            return Err(format!("{address:?} lacks a host"));
        }
        Ok(Self { id, address: address.to_owned() })
    }
}

/// A command line that cannot be run; says what to change.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// There is nobody to found the cluster with.
    #[error("say who founds the cluster: --peer ID=HOST:PORT once for each first member; or --join to be added later")]
    NoPeers,
    /// The node is not on its own list.
    #[error(
        "node {id} is not among the --peer options: add --peer {id}={listen}, or --join if it is to be added later"
    )]
    NotAmongPeers {
        /// This node.
        id: u64,
        /// Where it listens.
        listen: SocketAddr,
    },
    /// One number, two addresses.
    #[error("--peer {id} is given twice; each node has one number and one address")]
    PeerTwice {
        /// The number.
        id: u64,
    },
    /// One address, two numbers.
    #[error("--peer {first} and --peer {second} have the same address {address}")]
    AddressTwice {
        /// A node.
        first: u64,
        /// Another one.
        second: u64,
        /// Where both are said to be.
        address: String,
    },
    /// A node would be reached where it does not say.
    #[error("--listen needs a port other than 0: the other nodes have to know it")]
    ListenPort,
    /// A name that nobody can read.
    #[error("--cluster needs a name of 1 to 64 characters")]
    ClusterName,
    /// A leader would speak too rarely.
    #[error(
        "--heartbeat-ms {heartbeat_ms} has to be at most half of --election-timeout-ms {election_timeout_ms}, best a tenth of it"
    )]
    Heartbeat {
        /// Time between heartbeats.
        heartbeat_ms: u64,
        /// The shortest election timeout.
        election_timeout_ms: u64,
    },
    /// The ports run out.
    #[error("{option} {base} leaves no room for {nodes} ports below 65536")]
    PortRange {
        /// Which option.
        option: &'static str,
        /// Its value.
        base: u16,
        /// How many ports are wanted.
        nodes: u16,
    },
    /// The two ranges of ports touch.
    #[error("the {nodes} ports from --http-base {http} and those from --raft-base {raft} overlap")]
    PortsOverlap {
        /// First HTTP port.
        http: u16,
        /// First Raft port.
        raft: u16,
        /// How many of each.
        nodes: u16,
    },
}

impl Timing {
    fn check(self) -> Result<(), OptionsError> {
        let Self { heartbeat_ms, election_timeout_ms, lease_reads: _, session_ttl: _ } = self;
        if heartbeat_ms.saturating_mul(2) <= election_timeout_ms {
            Ok(())
        } else {
            Err(OptionsError::Heartbeat { heartbeat_ms, election_timeout_ms })
        }
    }
}

impl Node {
    /// What the types of the options cannot say.
    ///
    /// # Errors
    /// What to change.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.timing.check()?;
        if self.cluster.trim().is_empty() || self.cluster.chars().count() > 64 {
            return Err(OptionsError::ClusterName);
        }
        if self.listen.port() == 0 {
            return Err(OptionsError::ListenPort);
        }
        let mut by_id = BTreeMap::new();
        let mut by_address = BTreeMap::new();
        for Peer { id, address } in &self.peers {
            if by_id.insert(*id, address).is_some() {
                return Err(OptionsError::PeerTwice { id: *id });
            }
            if let Some(first) = by_address.insert(address, *id) {
                return Err(OptionsError::AddressTwice { first, second: *id, address: address.clone() });
            }
        }
        match (self.join, self.peers.is_empty(), by_id.contains_key(&self.id)) {
            (true, _, _) | (false, false, true) => Ok(()),
            (false, true, _) => Err(OptionsError::NoPeers),
            (false, false, false) => Err(OptionsError::NotAmongPeers { id: self.id, listen: self.listen }),
        }
    }
}

impl Dev {
    /// What the types of the options cannot say.
    ///
    /// # Errors
    /// What to change.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.timing.check()?;
        let nodes = self.nodes;
        for (option, base) in [("--http-base", self.http_base), ("--raft-base", self.raft_base)] {
            if base.checked_add(nodes - 1).is_none() {
                return Err(OptionsError::PortRange { option, base, nodes });
            }
        }
        if self.http_base.abs_diff(self.raft_base) < nodes {
            return Err(OptionsError::PortsOverlap { http: self.http_base, raft: self.raft_base, nodes });
        }
        Ok(())
    }

    /// The members: number, Raft address, HTTP address.
    pub fn members(&self) -> Vec<(u64, SocketAddr, SocketAddr)> {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        (0..self.nodes).map(|at| (u64::from(at) + 1, local(self.raft_base + at), local(self.http_base + at))).collect()
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
