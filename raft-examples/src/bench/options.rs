//! The command line of `raft-bench`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use raft_actor::{QueueLimits, Settings};
use serde::Serialize;

/// Measures a cluster in this process: requests per second, latencies and memory, or how long a failover takes.
///
/// Each client has one request under way and sends the next when it has the state machine's answer.
#[derive(Debug, Clone, Parser)]
#[command(name = "raft-bench", version, after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub struct RaftBench {
    /// Instead of measuring
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How many clients; a row for each number
    #[arg(long, default_value = "1,64,256,1024,4096", value_delimiter = ',', value_name = "N,N,..", value_parser = clients)]
    pub clients: Vec<usize>,
    /// How many nodes; rows for each number
    #[arg(long, default_value = "3", value_delimiter = ',', value_name = "N,N,..", value_parser = clap::value_parser!(u64).range(1..=9))]
    pub nodes: Vec<u64>,
    /// Bytes of data in each write; rows for each size
    #[arg(long, default_value = "16", value_delimiter = ',', value_name = "BYTES,..")]
    pub payload: Vec<usize>,
    /// Where the nodes keep their logs
    #[arg(long, value_enum, default_value_t = Store::Memory)]
    pub store: Store,
    /// How the nodes reach each other
    #[arg(long, value_enum, default_value_t = Transport::Local)]
    pub transport: Transport,
    /// Who shares a thread with whom; a durable node's log always has one of its own [default: one; with --peer openraft
    /// nodes; with --peer etcd processes]
    #[arg(long, value_enum)]
    pub threads: Option<Threads>,
    /// Threads of our nodes and of their clients look for work for so many microseconds before they sleep; 0: they sleep
    /// at once
    #[arg(long, default_value_t = 20, value_name = "US", value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub busy_poll_us: u64,
    /// How long each run is measured, after a warm-up of one second
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Instead of a time: until so many requests were sent
    #[arg(long, value_name = "N", conflicts_with_all = ["seconds", "rate", "failover"], value_parser = clap::value_parser!(u64).range(1..))]
    pub entries: Option<u64>,
    /// Rows also for the parts of each run, so many seconds long: does it get slower, does it take ever more memory?
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub every: Option<u64>,
    /// An open loop: so many requests in a second, each sent when it is due and timed from then, whatever became of those
    /// before, with at most as many under way as there are clients; or, as 70%, a share of the peak, which is measured first
    #[arg(long, value_name = "OPS|PERCENT%", conflicts_with_all = ["batch", "failover"])]
    pub rate: Option<Rate>,
    /// How many of a hundred requests are reads; rows for each number
    #[arg(long, default_value = "0", value_delimiter = ',', value_name = "PERCENT,..", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub reads: Vec<u32>,
    /// What reads may miss
    #[arg(long, value_enum, default_value_t = ReadKind::Linearizable)]
    pub read_kind: ReadKind,
    /// Writes that a client submits with one call, and waits for all of them; each is counted, with the time of its batch
    #[arg(long, default_value_t = 1, value_name = "WRITES", conflicts_with = "reads", value_parser = batch)]
    pub batch: usize,
    /// Runs per row; the row is the one with the median throughput
    #[arg(long, default_value_t = 1, value_name = "RUNS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Measure another system in turn with this one, at the same work, and how they compare
    #[arg(long, value_enum, conflicts_with_all = ["groups", "failover"])]
    pub peer: Option<Peer>,
    /// The program of --peer etcd: its path, or its name if it is in PATH
    #[arg(long, default_value = "etcd", value_name = "PROGRAM")]
    pub etcd: PathBuf,
    /// How clients reach nodes that are processes; rows for each of them [default: client; with --peer etcd both]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub through: Vec<Through>,
    /// So many groups on the same nodes, each client writing to one of them: first what they cost while nothing happens,
    /// then throughput
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub groups: Option<u64>,
    /// Instead of throughput: stop the leader this many times without warning, and measure the time from there to
    /// the next write that another node accepts
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub failover: Option<u32>,
    /// A follower that hears no leader for this long (up to twice as long, at random) asks for votes [default: 1000;
    /// with --failover 100]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub election_timeout_ms: Option<u64>,
    /// Nodes take a snapshot after so many entries, and let go of the log behind it; 0: never [default: 0; of processes
    /// what raft-kv does]
    #[arg(long, value_name = "ENTRIES")]
    pub snapshot_every: Option<u64>,
    /// One follower takes so many times as long as the others to handle a message
    #[arg(long, value_name = "FACTOR", conflicts_with_all = ["groups", "failover", "peer"], value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub slow_follower: Option<u32>,
    /// How often a leader speaks at least [default: 100; with --failover 10]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub heartbeat_ms: Option<u64>,
    /// Where durable nodes keep their logs: in a directory below that is removed in the end [default: the system's
    /// directory for temporary files, which should be on the disk you mean]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// What else there is to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Draw rows that were measured before, as SVG: for each file FILE-throughput.svg and FILE-latency.svg
    Plot {
        /// What raft-bench --json has printed; rows that are no throughput are passed over
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Where the pictures go
        #[arg(long, default_value = ".", value_name = "DIR")]
        to: PathBuf,
        /// Against what
        #[arg(long, value_enum, default_value_t = Axis::Clients)]
        x: Axis,
    },
    /// Measure the log alone, as a node's log thread drives it: batches of entries, each synced before the next, beside
    /// bare synced appends of as many bytes; then how long a log takes to open
    Storage(StorageBench),
}

/// What of the log alone is measured.
#[derive(Debug, Clone, Args)]
pub struct StorageBench {
    /// Entries that are written and synced together; a row for each number
    #[arg(long, default_value = "1,16,256", value_delimiter = ',', value_name = "N,N,..", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub batch: Vec<u64>,
    /// Bytes of data in each entry
    #[arg(long, default_value_t = 256, value_name = "BYTES")]
    pub payload: usize,
    /// Entries of the log that is opened
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub entries: u64,
    /// Newest entries that stay in the log that is appended to, as if snapshots covered the others; few enough, and the
    /// disk's files are used again
    #[arg(long, default_value_t = 100_000, value_name = "ENTRIES")]
    pub keep: u64,
    /// How long each size of batch is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Where the logs are: in directories below that are removed in the end [default: the system's directory for
    /// temporary files, which should be on the disk you mean]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

const EXAMPLE: &str = "\
Examples:
  raft-bench                                             # all in memory, 1 to 4096 clients
  raft-bench --store wal --transport tcp --repeat 3      # durable, over loopback TCP
  raft-bench --store wal --failover 20                   # how long until somebody else serves
  raft-bench --threads processes --payload 256           # nodes are processes, durable, over loopback TCP
  raft-bench --threads processes --failover 20           # SIGKILL for the leader
  raft-bench --clients 1 --threads one                   # the round trip without waking a thread
  raft-bench --groups 1000 --clients 1000                # a thousand groups, idle and under load
  raft-bench --peer openraft --repeat 5                  # side by side; needs the cargo feature openraft
  raft-bench --peer etcd --payload 256 --repeat 3        # side by side, processes; needs the cargo feature etcd
  raft-bench --peer openraft --json > rows.jsonl && raft-bench plot rows.jsonl
  raft-bench storage --batch 256 --data-dir .            # the log alone, on the disk of this directory
  raft-bench --clients 256 --rate 70%                    # latencies at 70 % of the peak, none of them hidden
  raft-bench --nodes 1,3,5,7,9 --json > rows.jsonl && raft-bench plot rows.jsonl --x nodes
  raft-bench --clients 256 --entries 10000000 --snapshot-every 100000 --every 5
  raft-bench --clients 256 --reads 90 --json | jq .ops_per_s";

/// Where the nodes keep their logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// In memory
    Memory,
    /// In a write-ahead log on disk: acknowledged is synced on a majority
    Wal,
}

/// How the nodes reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// As messages between actors
    Local,
    /// Over loopback TCP
    Tcp,
}

/// Who shares a thread with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Threads {
    /// All nodes share one, the clients have another
    Nodes,
    /// Nodes and clients share one: no request wakes another thread
    One,
    /// Each node has one, the clients have another
    Separate,
    /// Each node is a process of its own, `raft-kv`, with its log on disk; the clients are no nodes and reach them over
    /// loopback TCP
    Processes,
}

/// Other systems to measure side by side with this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// The openraft crate, in memory and in one process: its runtime with 1, 2 and 16 workers, of which the best counts
    Openraft,
    /// As many etcd processes by gRPC over 1, 4 and 16 connections, of which the best counts
    Etcd,
}

impl Peer {
    /// What it is called, also as a cargo feature.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Openraft => "openraft",
            Self::Etcd => "etcd",
        }
    }
}

/// Against what rows are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// The number of clients
    Clients,
    /// The number of nodes
    Nodes,
    /// Bytes of data in each write
    Payload,
    /// Reads of a hundred requests
    Reads,
    /// The number of groups
    Groups,
}

/// What reads may miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadKind {
    /// Nothing: the leader asks a majority first
    Linearizable,
    /// Nothing, if clocks are as good as promised: the leader answers by its lease
    Lease,
    /// What the node that is asked has not applied yet
    Stale,
}

/// How many requests are due in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// So many.
    PerSecond(f64),
    /// So many percent of what clients reach that have one request under way each.
    PercentOfPeak(f64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, rate): (_, fn(f64) -> Self) = match text.strip_suffix('%') {
            Some(percent) => (percent, Self::PercentOfPeak),
            None => (text, Self::PerSecond),
        };
        match number.parse() {
            Ok(number) if (1.0..=1e9).contains(&number) => Ok(rate(number)),
            Ok(_) | Err(_) => Err("a rate is a number of requests per second from 1 on, or a share as 70%".to_owned()),
        }
    }
}

/// How clients reach nodes that are processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Through {
    /// The client of the framework: one connection for all
    Client,
    /// The HTTP face of raft-kv: a connection each, kept alive
    Http,
}

impl Through {
    /// As rows have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Http => "http",
        }
    }
}

/// Election timeout and heartbeat, unless others are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) election_timeout_ms: u64,
    pub(super) heartbeat_ms: u64,
}

impl RaftBench {
    /// Who shares a thread with whom.
    pub(super) fn threads(&self) -> Threads {
        self.threads.unwrap_or(match self.peer {
            None => Threads::One,
            Some(Peer::Openraft) => Threads::Nodes,
            Some(Peer::Etcd) => Threads::Processes,
        })
    }

    /// How clients reach nodes that are processes, each way once.
    pub(super) fn through(&self) -> Vec<Through> {
        let default = match self.peer {
            None | Some(Peer::Openraft) => vec![Through::Client],
            Some(Peer::Etcd) => vec![Through::Client, Through::Http],
        };
        let asked = [Through::Client, Through::Http].into_iter().filter(|way| self.through.contains(way));
        if self.through.is_empty() { default } else { asked.collect() }
    }

    /// One for each number of nodes, size of the payload and share of reads.
    pub(super) fn combinations(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for nodes in &self.nodes {
            for payload in &self.payload {
                for reads in &self.reads {
                    let (nodes, payload, reads) = (vec![*nodes], vec![*payload], vec![*reads]);
                    all.push(Self { nodes, payload, reads, ..self.clone() });
                }
            }
        }
        all
    }

    /// How many nodes, of one combination.
    pub(super) fn nodes(&self) -> u64 {
        self.nodes[0]
    }

    /// Bytes of data in each write, of one combination.
    pub(super) fn payload(&self) -> usize {
        self.payload[0]
    }

    /// How many of a hundred requests are reads, of one combination.
    pub(super) fn reads(&self) -> u32 {
        self.reads[0]
    }

    /// The times that were asked for.
    pub(super) fn timing(&self, default: Timing) -> Timing {
        Timing {
            election_timeout_ms: self.election_timeout_ms.unwrap_or(default.election_timeout_ms),
            heartbeat_ms: self.heartbeat_ms.unwrap_or(default.heartbeat_ms),
        }
    }

    /// The settings of the nodes.
    pub(super) fn settings(&self, default: Timing) -> Settings {
        let Timing { election_timeout_ms, heartbeat_ms } = self.timing(default);
        Settings { election_timeout_ms_min: election_timeout_ms, heartbeat_ms, ..Settings::default() }
    }

    /// How long threads look for work before they sleep.
    pub(super) fn busy_poll(&self) -> Duration {
        Duration::from_micros(self.busy_poll_us)
    }

    /// Limits that let every client have its request under way.
    pub(super) fn queue_limits(&self) -> QueueLimits {
        let default = QueueLimits::default();
        let clients = (self.clients.iter().copied().max().unwrap_or(1) * self.batch) as u64;
        // Room for the envelope around the payload, and for a request that is answered but not yet given back.
        let bytes = clients * 2 * (self.payload() as u64 + 64);
        QueueLimits {
            requests_max: default.requests_max.max(clients * 2),
            bytes_max: default.bytes_max.max(bytes),
            ..default
        }
    }
}

fn clients(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(clients @ 1..=1_000_000) => Ok(clients),
        Ok(_) | Err(_) => Err("a number of clients is between 1 and 1000000".to_owned()),
    }
}

fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(batch @ 1..=10_000) => Ok(batch),
        Ok(_) | Err(_) => Err("a number of writes in one call is between 1 and 10000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        RaftBench::command().debug_assert();
    }

    #[test]
    fn clients_are_a_list_and_none_of_them_is_zero() {
        let options = RaftBench::try_parse_from(["raft-bench", "--clients", "1,64,4096"]).expect("three numbers");
        assert_eq!(options.clients, [1, 64, 4096]);
        assert!(RaftBench::try_parse_from(["raft-bench", "--clients", "1,0"]).is_err());
    }

    #[test]
    fn there_is_a_row_for_each_combination() {
        let arguments = ["raft-bench", "--nodes", "1,3", "--payload", "16,256", "--reads", "0,50"];
        let all = RaftBench::try_parse_from(arguments).expect("valid").combinations();
        let all = all.iter().map(|one| (one.nodes(), one.payload(), one.reads())).collect::<Vec<_>>();
        assert_eq!((all.len(), all[0], all[1], all[7]), (8, (1, 16, 0), (1, 16, 50), (3, 256, 50)));
    }

    #[test]
    fn a_rate_is_a_number_or_a_share() {
        assert_eq!("50000".parse(), Ok(Rate::PerSecond(50_000.0)));
        assert_eq!("70%".parse(), Ok(Rate::PercentOfPeak(70.0)));
        for refused in ["", "%", "0", "-1", "many", "inf", "nan%"] {
            assert!(refused.parse::<Rate>().is_err(), "{refused:?}");
        }
    }

    #[test]
    fn every_client_has_room_in_the_queue() {
        let options = RaftBench::try_parse_from(["raft-bench", "--clients", "100000", "--payload", "4096"]);
        let limits = options.expect("valid").queue_limits();
        assert!(limits.requests_max >= 100_000);
        assert!(limits.bytes_max >= 100_000 * 4096);
    }

    #[test]
    fn every_write_of_a_batch_has_room_in_the_queue() {
        let options = RaftBench::try_parse_from(["raft-bench", "--clients", "4096", "--batch", "1000"]).expect("valid");
        assert!(options.queue_limits().requests_max >= 4096 * 1000);
    }

    #[test]
    fn a_comparison_leaves_the_clients_a_thread_of_their_own_unless_told_otherwise() {
        let threads = |arguments: &[&str]| RaftBench::try_parse_from(arguments).expect("valid").threads();
        assert_eq!(threads(&["raft-bench"]), Threads::One);
        assert_eq!(threads(&["raft-bench", "--peer", "openraft"]), Threads::Nodes);
        assert_eq!(threads(&["raft-bench", "--peer", "openraft", "--threads", "one"]), Threads::One);
        assert_eq!(threads(&["raft-bench", "--peer", "etcd"]), Threads::Processes);
    }

    #[test]
    fn a_comparison_of_processes_goes_through_the_client_and_through_http() {
        let through = |arguments: &[&str]| RaftBench::try_parse_from(arguments).expect("valid").through();
        assert_eq!(through(&["raft-bench", "--threads", "processes"]), [Through::Client]);
        assert_eq!(through(&["raft-bench", "--peer", "etcd"]), [Through::Client, Through::Http]);
        assert_eq!(through(&["raft-bench", "--peer", "etcd", "--through", "http"]), [Through::Http]);
        assert_eq!(through(&["raft-bench", "--through", "http,client,http"]), [Through::Client, Through::Http]);
    }

    #[test]
    fn batches_consist_of_writes_and_peers_have_neither_groups_nor_failovers() {
        for refused in [
            ["--batch", "4", "--reads", "50"],
            ["--peer", "openraft", "--groups", "4"],
            ["--peer", "openraft", "--failover", "4"],
        ] {
            assert!(RaftBench::try_parse_from([&["raft-bench"], refused.as_slice()].concat()).is_err(), "{refused:?}");
        }
    }
}
