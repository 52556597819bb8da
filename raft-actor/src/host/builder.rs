//! What a host is told before it starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use raft_consensus::{LeaseReads, NodeId, Settings};

use super::snapshot_settings::SnapshotSettings;
use super::{Placement, StartError};
use crate::clock::Clock;
use crate::handle::{DEFAULT_LIFETIME, QueueLimits};
use crate::log_storage::disk::{Disk, RealDisk};
use crate::log_storage::{LogStorage, WalOptions};
use crate::observer::Observer;
use crate::transport::Transport;

/// What a message needs beyond its largest commands.
const MESSAGE_OVERHEAD_BYTES: u64 = 1 << 20;

/// Where a host keeps its log.
pub(super) enum LogPlace {
    Memory,
    Directory(PathBuf),
    Custom(Box<dyn LogStorage>),
}

/// Collects what a host needs, then [starts](HostBuilder::start) it.
#[must_use]
pub struct HostBuilder {
    pub(super) node: Option<NodeId>,
    pub(super) cluster: String,
    pub(super) log: Option<LogPlace>,
    pub(super) log_segment_bytes: u64,
    pub(super) log_cache_bytes: Option<u64>,
    pub(super) repair_log: bool,
    pub(super) transport: Option<Box<dyn Transport>>,
    pub(super) peers: BTreeMap<NodeId, String>,
    pub(super) join: bool,
    pub(super) settings: Settings,
    /// How much clocks may be off, in percent, if the cluster is to have lease reads.
    pub(super) lease_drift_percent_max: Option<u8>,
    pub(super) snapshots: SnapshotSettings,
    pub(super) queue_limits: QueueLimits,
    pub(super) session_lifetime: Duration,
    pub(super) placement: Placement,
    pub(super) seed: Option<u64>,
    pub(super) clock: Option<Clock>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

impl Default for HostBuilder {
    fn default() -> Self {
        Self {
            node: None,
            cluster: "raft".to_owned(),
            log: None,
            log_segment_bytes: WalOptions::default().segment_bytes,
            log_cache_bytes: None,
            repair_log: WalOptions::default().repair,
            transport: None,
            peers: BTreeMap::new(),
            join: false,
            settings: Settings::default(),
            lease_drift_percent_max: None,
            snapshots: SnapshotSettings::default(),
            queue_limits: QueueLimits::default(),
            session_lifetime: DEFAULT_LIFETIME,
            placement: Placement::default(),
            seed: None,
            clock: None,
            disk: Arc::new(RealDisk),
            observer: None,
        }
    }
}

impl HostBuilder {
    /// The id of this server; never given to another server of the cluster.
    pub fn node(mut self, id: impl Into<NodeId>) -> Self {
        self.node = Some(id.into());
        self
    }

    /// The name of the cluster; hosts of other clusters are turned away. Default `raft`.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = name.into();
        self
    }

    /// Keep the log in this directory, which is created if it is missing: nothing acknowledged is lost, even by `kill -9`.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(LogPlace::Directory(path.into()));
        self
    }

    /// Keep the log in memory. To the cluster, a restart of this host looks like a wiped disk.
    pub fn in_memory(mut self) -> Self {
        self.log = Some(LogPlace::Memory);
        self
    }

    /// Keep the log in a storage of your own. Its identity is kept in memory, so it does not survive a restart.
    pub fn log_storage(mut self, storage: impl LogStorage) -> Self {
        self.log = Some(LogPlace::Custom(Box::new(storage)));
        self
    }

    /// Size of the files that a log in a [directory](HostBuilder::data_dir) is made of, in bytes; default
    /// 64 MiB, taken into 16 KiB ..= 1 GiB. At least two of them are on the disk, written full.
    pub fn log_segment_bytes(mut self, bytes: u64) -> Self {
        self.log_segment_bytes = bytes;
        self
    }

    /// So many bytes of its newest entries each group keeps in memory, beside those that are not durable yet: for its state
    /// machine, and for peers that lag a little. What is older is read from the log. Default: 16 MiB, for each group of
    /// several 1 MiB.
    pub fn log_cache_bytes(mut self, bytes: u64) -> Self {
        self.log_cache_bytes = Some(bytes);
        self
    }

    /// Whether a log in a [directory](HostBuilder::data_dir) that is damaged in the middle is repaired by the other voters
    /// of its groups, which is the default: until then this host has no vote. Without it, the host refuses to start on such
    /// a log, as it also does if nobody else could repair it.
    pub fn repair_log(mut self, repair: bool) -> Self {
        self.repair_log = repair;
        self
    }

    /// How this host reaches the others.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Box::new(transport));
        self
    }

    /// The first members of the cluster with their addresses, this one included; the same list on all of them.
    pub fn peers<I, N, A>(mut self, peers: I) -> Self
    where
        I: IntoIterator<Item = (N, A)>,
        N: Into<NodeId>,
        A: Into<String>,
    {
        self.peers = peers.into_iter().map(|(id, address)| (id.into(), address.into())).collect();
        self
    }

    /// Do not found a cluster; wait to be added to one that runs. The peers, if any are named, are where to look for it.
    pub fn join(mut self) -> Self {
        self.join = true;
        self
    }

    /// Times and limits of the protocol.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Found the cluster with lease reads ([`RaftHandle::read_lease`](crate::RaftHandle::read_lease)): the same on all
    /// founders. From then on it stands in the log, together with the minimum election timeout of the
    /// [`settings`](HostBuilder::settings), which is the same on all founders, too; what hosts say that start later or
    /// join does not count.
    ///
    /// `drift_percent_max`, at most [`LEASE_DRIFT_PERCENT_MAX`](crate::LEASE_DRIFT_PERCENT_MAX): by how much the clock
    /// of any host may be off over a minimum election timeout, in percent of it. Beyond that a read may be stale, so leave
    /// it at 10 unless you know better. Clocks that stand still while a machine is suspended are beyond any bound.
    pub fn lease_reads(mut self, drift_percent_max: impl Into<Option<u8>>) -> Self {
        self.lease_drift_percent_max = drift_percent_max.into();
        self
    }

    /// Take a snapshot whenever so many entries were applied since the last one, and purge the log behind it; 0: never
    /// by this count, which is the default. Wins over the [`settings`](HostBuilder::settings).
    pub fn snapshot_every(mut self, entries: u64) -> Self {
        self.snapshots.entries = Some(entries);
        self
    }

    /// Take a snapshot whenever entries of so many bytes were applied since the last one; 0: never by this count.
    /// Wins over the [`settings`](HostBuilder::settings). Good values are a few times the size of the state: what a snapshot
    /// costs is then little beside what was written meanwhile.
    pub fn snapshot_every_bytes(mut self, bytes: u64) -> Self {
        self.snapshots.bytes = Some(bytes);
        self
    }

    /// Keep so many entries of the log behind a snapshot for followers that lag a little: they need no snapshot then.
    /// Wins over the [`settings`](HostBuilder::settings).
    pub fn log_tail(mut self, entries: u64) -> Self {
        self.snapshots.tail_entries = Some(entries);
        self
    }

    /// How many requests of clients may be under way at a time.
    pub fn queue_limits(mut self, limits: QueueLimits) -> Self {
        self.queue_limits = limits;
        self
    }

    /// How long a [`Session`](crate::Session) is remembered after its last command, in log time: time that passes while
    /// somebody leads, as that leader's clock has it. Whoever leads decides for all. Default: an hour; at most 49 days.
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// On which threads the parts of the host run. Default: threads of its own.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// The disk that the [directory](HostBuilder::data_dir) is on. Default: that of the machine.
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    /// The clock of the host. Default: that of the machine.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Somebody who looks on at every step. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// How soon this host campaigns, compared with the others: from 0 to
    /// [`ELECTION_PRIORITY_MAX`](crate::ELECTION_PRIORITY_MAX), the default. Part of the
    /// [`settings`](HostBuilder::settings), so call it after them.
    ///
    /// A lower priority lengthens this host's own election timeouts, by a minimum election timeout each step, and does
    /// nothing else: if nobody of a higher priority can be elected, it is.
    pub fn election_priority(mut self, priority: u8) -> Self {
        self.settings.election_priority = priority;
        self
    }

    /// Seed of the election timeouts and of the names of requests; where it founds or joins for the first time, of its
    /// directory's id as well. Default: from the operating system.
    ///
    /// Another one at each start, please: an answer that is still on its way to an earlier run of
    /// this host is told apart by it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What the cluster is founded with.
    pub(super) fn founding_lease(&self) -> Option<LeaseReads> {
        lease_of(&self.settings, self.lease_drift_percent_max)
    }

    /// The seed, drawn now if none was given.
    #[expect(clippy::disallowed_methods, reason = "without a seed no two hosts are to be alike")]
    pub(super) fn draw_seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(rand::random)
    }

    pub(super) fn validate(&self) -> Result<(), StartError> {
        let wrong = |what: &str| Err(StartError::Settings { what: what.to_owned() });
        let Some(node) = self.node else {
            return wrong("no node id was given; say .node(1)");
        };
        if self.log.is_none() {
            return wrong("no place for the log was given; say .data_dir(path), or .in_memory()");
        }
        if self.transport.is_none() {
            return wrong("no transport was given; say .transport(Tcp::bind(address)?), or that of a LocalNetwork");
        }
        if self.cluster.is_empty() || self.cluster.len() > 255 {
            return wrong("the cluster's name must have between 1 and 255 bytes");
        }
        let carried = self.transport.as_ref().map_or(u64::MAX, |transport| transport.message_bytes_max());
        check(&self.settings, &self.queue_limits, carried)?;
        check_lease(self.founding_lease())?;
        if !self.join && !self.peers.contains_key(&node) {
            return Err(StartError::NotAPeer { node, peers: self.peers.keys().map(|peer| peer.get()).collect() });
        }
        Ok(())
    }
}

/// What a group is founded with whose clocks may be off by so much, if it is to have lease reads.
pub(super) fn lease_of(settings: &Settings, drift_percent_max: Option<u8>) -> Option<LeaseReads> {
    let election_timeout_ms_min = settings.election_timeout_ms_min;
    drift_percent_max.map(|drift_percent_max| LeaseReads { election_timeout_ms_min, drift_percent_max })
}

/// Refuses lease reads on values that nobody could keep.
pub(super) fn check_lease(lease_reads: Option<LeaseReads>) -> Result<(), StartError> {
    if lease_reads.is_some_and(|lease_reads| !lease_reads.is_sound()) {
        let what = "lease reads need a drift of at most 49 percent, and an election timeout of at most ten minutes";
        return Err(StartError::Settings { what: what.to_owned() });
    }
    Ok(())
}

/// Refuses settings that make no sense, or messages larger than what the transport carries.
pub(super) fn check(settings: &Settings, limits: &QueueLimits, carried_bytes_max: u64) -> Result<(), StartError> {
    let wrong = |what: &str| Err(StartError::Settings { what: what.to_owned() });
    if settings.election_timeout_ms_min == 0 || settings.heartbeat_ms == 0 {
        return wrong("election timeout and heartbeat must be at least 1 ms");
    }
    if (1..settings.election_timeout_ms_min).contains(&settings.election_timeout_ms_max) {
        return wrong("the largest election timeout must be at least the smallest; or 0, which is twice the smallest");
    }
    if settings.heartbeat_ms.saturating_mul(2) > settings.election_timeout_ms_min {
        return wrong("the election timeout must be at least twice the heartbeat, better ten times");
    }
    if settings.inflight_appends_max == 0 {
        return wrong("at least one AppendEntries must be allowed on its way; set inflight_appends_max to 1 or more");
    }
    let largest = settings.append_batch_bytes_max.max(limits.largest_command());
    if largest.saturating_add(MESSAGE_OVERHEAD_BYTES) > carried_bytes_max {
        // What the transport does not carry would be sent again and again, for ever.
        return wrong(
            "the transport's messages are too small; lower append_batch_bytes_max and command_bytes_max well below \
             what it takes as one message, or raise that",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_election_timeouts_must_not_end_before_it_begins() {
        let check = |election_timeout_ms_max| {
            let settings = Settings { election_timeout_ms_min: 300, election_timeout_ms_max, ..Settings::default() };
            check(&settings, &QueueLimits::default(), u64::MAX)
        };
        assert!(check(0).is_ok(), "twice the minimum");
        assert!(check(300).is_ok() && check(301).is_ok() && check(1000).is_ok());
        let refused = check(299).expect_err("refused").to_string();
        assert!(refused.contains("largest election timeout"), "{refused}");
    }
}
