//! What a cluster looks like before its story begins.

use std::collections::{BTreeMap, BTreeSet};

use raft_consensus::{Configuration, DirectoryId, Entry, HardState, LeaseReads, NodeId, Settings, Term};

use super::cluster::Cluster;
use super::disk::Image;
use super::member::Member;
use super::{node, voters};

/// Describes a cluster; [`Setup::start`] brings it to life.
#[derive(Debug, Clone)]
pub struct Setup {
    count: u64,
    configuration: Configuration,
    settings: Settings,
    seed: u64,
    images: BTreeMap<NodeId, Image>,
    without_suffrage: Vec<NodeId>,
    joining: BTreeSet<NodeId>,
    has_disks: bool,
}

impl Setup {
    /// Servers 1 to `count`, all voters, with empty logs.
    pub fn of(count: u64) -> Self {
        Self {
            count,
            configuration: voters(count),
            settings: Settings::default(),
            seed: 1,
            images: BTreeMap::new(),
            without_suffrage: Vec::new(),
            joining: BTreeSet::new(),
            has_disks: false,
        }
    }

    /// The configuration before the first entry.
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configuration = configuration;
        self
    }

    /// Lease reads from the beginning, for clocks that are off by so much at most.
    pub fn lease_reads(mut self, drift_percent_max: u8) -> Self {
        let election_timeout_ms_min = self.settings.election_timeout_ms_min;
        let lease_reads = LeaseReads { election_timeout_ms_min, drift_percent_max };
        self.configuration = self.configuration.with_lease_reads(lease_reads);
        self
    }

    /// Other settings than the default ones.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The seed of all randomness.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What server `n` has in its log; its term is at least that of the last entry.
    pub fn log(mut self, n: u64, entries: Vec<Entry>) -> Self {
        let image = self.images.entry(node(n)).or_default();
        let last = entries.last().map_or(Term::ZERO, |entry| entry.position.term);
        image.hard_state.term = image.hard_state.term.max(last);
        image.entries = entries;
        self
    }

    /// The term of server `n`.
    pub fn term(mut self, n: u64, term: u64) -> Self {
        let image = self.images.entry(node(n)).or_default();
        image.hard_state = HardState { term: Term::new(term), vote: None, damage: None };
        self
    }

    /// A server that may not vote yet.
    pub fn without_suffrage(mut self, n: u64) -> Self {
        self.without_suffrage.push(node(n));
        self
    }

    /// A further server that belongs to nothing yet: it knows no configuration and waits to be added.
    pub fn joining(mut self, n: u64) -> Self {
        self.count = self.count.max(n);
        self.joining.insert(node(n));
        self
    }

    /// Everybody meets the others with their disks: server 4 has disk 40, and 41 when that was wiped.
    pub fn disks(mut self) -> Self {
        self.has_disks = true;
        self
    }

    /// Server `n` alone, not started.
    pub fn member(&self, n: u64) -> Member {
        let id = node(n);
        let image = self.images.get(&id).cloned().unwrap_or_default();
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(n);
        let is_joining = self.joining.contains(&id);
        let configuration = if is_joining { Configuration::default() } else { self.configuration.clone() };
        let mut member = Member::new(id, self.settings.clone(), configuration, image, seed);
        member.suffrage = !self.without_suffrage.contains(&id);
        member.directory = self.has_disks.then_some(DirectoryId(10 * n));
        member
    }

    /// Starts all servers.
    pub fn start(&self) -> Cluster {
        Cluster::start((1..=self.count).map(|n| (node(n), self.member(n))).collect())
    }
}
