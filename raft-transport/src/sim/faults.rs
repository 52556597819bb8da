//! What can go wrong, and when it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::chance::Chance;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal in $family:ident,)+) => {
        /// A way in which things go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $($(#[$doc])* $kind,)+
        }

        impl FaultKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// Its name in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// What it is a case of.
            pub const fn family(self) -> FaultFamily {
                match self { $(Self::$kind => FaultFamily::$family,)+ }
            }
        }
    };
}

kinds! {
    /// Messages get lost.
    Loss = "loss" in Network,
    /// Messages arrive twice.
    Repetition = "repetition" in Network,
    /// Messages arrive much later.
    Delay = "delay" in Network,
    /// Messages overtake others.
    Reordering = "reordering" in Network,
    /// The servers fall into two groups that do not hear each other.
    Partition = "partition" in Network,
    /// One server hears another, and is not heard.
    OneWayPartition = "partition_one_way" in Network,
    /// Two groups that do not hear each other, and one server that both hear.
    Bridge = "partition_bridge" in Network,
    /// The leader is cut off.
    LeaderIsolation = "leader_isolation" in Network,
    /// A process dies.
    Crash = "crash" in Crash,
    /// A machine loses power, and with it any part of what was not synced.
    PowerLoss = "power_loss" in Crash,
    /// All servers die and come back, again and again.
    RestartStorm = "restart_storm" in Crash,
    /// A process gets no turn for some time.
    Pause = "pause" in Crash,
    /// A state machine takes its time.
    SlowMachine = "slow_machine" in Crash,
    /// Clients give up early, and what failed or timed out they ask for again at once.
    RetryStorm = "retry_storm" in Crash,
    /// A sync fails once.
    FailedSync = "sync_failure" in Disk,
    /// A sync takes seconds.
    StalledSync = "sync_stall" in Disk,
    /// A read fails once.
    FailedRead = "read_error" in Disk,
    /// A disk is slow.
    SlowDisk = "slow_disk" in Disk,
    /// A disk has no room left.
    FullDisk = "disk_full" in Disk,
    /// A bit flips in a record that was durable, or in a snapshot, mostly while a process runs on it.
    BitFlip = "bit_flip" in Disk,
    /// A server comes back with an empty disk.
    WipedDisk = "wiped_disk" in Disk,
    /// A clock leaps ahead.
    ClockJump = "clock_jump" in Clock,
    /// A clock runs fast or slow.
    ClockDrift = "clock_drift" in Clock,
    /// The cluster is told to have other members.
    MembershipChange = "membership_change" in Membership,
    /// A leader is told to hand over its office.
    LeadershipTransfer = "leadership_transfer" in Leadership,
    /// A process is asked to stop, and hands over its office first if it leads.
    CleanShutdown = "clean_shutdown" in Leadership,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Kinds of faults that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultFamily {
    /// What happens to messages.
    Network,
    /// What happens to disks.
    Disk,
    /// What happens to processes.
    Crash,
    /// What happens to clocks.
    Clock,
    /// Changes of the membership.
    Membership,
    /// What moves leadership from one server to another on purpose.
    Leadership,
}

/// Which kinds of faults are to happen.
///
/// ```
/// use raft_transport::sim::{FaultKind, Faults};
///
/// let faults: Faults = "net,clock".parse()?;
/// assert!(faults.contains(FaultKind::Loss) && !faults.contains(FaultKind::Crash));
/// # Ok::<(), raft_transport::sim::UnknownFault>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    kinds: BTreeSet<FaultKind>,
    majority_may_be_lost: bool,
}

impl Faults {
    /// Nothing goes wrong.
    pub const fn none() -> Self {
        Self { kinds: BTreeSet::new(), majority_may_be_lost: false }
    }

    /// Everything goes wrong.
    pub fn all() -> Self {
        Self::of(FaultKind::ALL.iter().copied())
    }

    /// Disks are wiped and damaged until all but one of the founders have lost theirs: more than any cluster can bear.
    /// It may come to a standstill, which is where such a run ends well; it must not answer anything wrong.
    pub fn lost() -> Self {
        let kinds = FaultKind::ALL.iter().copied().filter(|kind| kind.costs_a_server());
        Self { majority_may_be_lost: true, ..Self::of(kinds) }
    }

    /// These kinds only.
    pub fn of(kinds: impl IntoIterator<Item = FaultKind>) -> Self {
        Self { kinds: kinds.into_iter().collect(), majority_may_be_lost: false }
    }

    /// All kinds of these families.
    pub fn of_families(families: &[FaultFamily]) -> Self {
        Self::of(FaultKind::ALL.iter().copied().filter(|kind| families.contains(&kind.family())))
    }

    /// The same without one kind.
    #[must_use]
    pub fn without(mut self, kind: FaultKind) -> Self {
        self.kinds.remove(&kind);
        self
    }

    /// Whether this kind is to happen.
    pub fn contains(&self, kind: FaultKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether more disks may be lost than a majority can bear.
    pub const fn majority_may_be_lost(&self) -> bool {
        self.majority_may_be_lost
    }

    /// The kinds that are to happen.
    pub fn kinds(&self) -> impl Iterator<Item = FaultKind> + '_ {
        self.kinds.iter().copied()
    }
}

/// As it can be read again.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.kinds.len() == FaultKind::ALL.len() {
            words.push("all");
        } else {
            for (word, family) in FAMILIES {
                if Self::of_families(&[family]).kinds.is_subset(&self.kinds) {
                    words.push(word);
                    continue;
                }
                // "lost" says itself what it is about.
                let some = self.kinds().filter(|kind| kind.family() == family);
                let some = some.filter(|kind| !(self.majority_may_be_lost && kind.costs_a_server()));
                words.extend(some.map(FaultKind::name));
            }
        }
        if self.majority_may_be_lost {
            words.push("lost");
        }
        if words.is_empty() {
            words.push("none");
        }
        f.write_str(&words.join(","))
    }
}

/// Families by what they are called in lists of faults.
const FAMILIES: [(&str, FaultFamily); 6] = [
    ("net", FaultFamily::Network),
    ("disk", FaultFamily::Disk),
    ("crash", FaultFamily::Crash),
    ("clock", FaultFamily::Clock),
    ("membership", FaultFamily::Membership),
    ("leadership", FaultFamily::Leadership),
];

/// A word that names no faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{word:?} names no faults; say all, none, or some of net, disk, crash, clock, membership, leadership, lost, or of: {}",
    names()
)]
pub struct UnknownFault {
    /// The word.
    pub word: String,
}

fn names() -> String {
    FaultKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Faults {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut faults = Self::none();
        for word in text.split(',').map(str::trim) {
            let added = match word {
                "none" => Self::none(),
                "all" => Self::all(),
                "lost" => Self::lost(),
                _ => {
                    let family = FAMILIES.iter().find(|(name, _)| *name == word);
                    let kind = || FaultKind::ALL.iter().find(|kind| kind.name() == word);
                    match family {
                        Some((_, family)) => Self::of_families(&[*family]),
                        None => Self::of([*kind().ok_or_else(|| UnknownFault { word: word.to_owned() })?]),
                    }
                }
            };
            faults.kinds.extend(added.kinds);
            faults.majority_may_be_lost |= added.majority_may_be_lost;
        }
        Ok(faults)
    }
}

/// One fault of a run: planned before the run begins, so that the others stay what they are when it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the plan; names it when others are left out.
    pub number: usize,
    /// What goes wrong.
    pub kind: FaultKind,
    /// When, in microseconds of virtual time.
    pub at_us: u64,
    /// For how long, where it lasts.
    pub duration_us: u64,
    /// Decides whom it hits, and how hard.
    pub(super) dice: [u64; 3],
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, kind, at_us, duration_us, .. } = self;
        let (at, duration) = (*at_us as f64 / 1e6, *duration_us as f64 / 1e6);
        write!(f, "#{number} {kind} at {at:.6}s for {duration:.3}s")
    }
}

/// Time from one fault to the next, in microseconds.
const GAP_US: RangeInclusive<u64> = 50_000..=1_800_000;
/// How long a fault lasts, in microseconds.
const DURATION_US: RangeInclusive<u64> = 50_000..=2_500_000;

/// All faults of a run of this length.
pub(super) fn plan(seed: u64, faults: &Faults, length_us: u64) -> Vec<Fault> {
    let mut chance = Chance::of(seed, 1);
    let mut kinds: Vec<FaultKind> = faults.kinds().collect();
    if faults.majority_may_be_lost {
        kinds.extend(faults.kinds().filter(|kind| kind.costs_a_server()));
    }
    let mut planned = Vec::new();
    if kinds.is_empty() {
        return planned;
    }
    let mut at_us = chance.between(GAP_US);
    while at_us < length_us {
        let kind = *chance.pick(&kinds);
        let duration_us = chance.between(DURATION_US);
        let dice = [chance.number(), chance.number(), chance.number()];
        // What costs a server for the rest of the run is not to happen in every one.
        if kind.costs_a_server() && !faults.majority_may_be_lost && !chance.happens(80_000) {
            continue;
        }
        planned.push(Fault { number: planned.len(), kind, at_us, duration_us, dice });
        at_us += chance.between(GAP_US);
    }
    planned
}

impl FaultKind {
    /// Whether a server does not recover from it by itself.
    pub(super) const fn costs_a_server(self) -> bool {
        matches!(self, Self::BitFlip | Self::WipedDisk)
    }
}

/// What the network does to messages, in parts of a million.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noise {
    pub(super) loss: u32,
    pub(super) repetition: u32,
    pub(super) lateness: u32,
    /// The same for what is said in elections, which is so little that chance hardly meets it.
    pub(super) lateness_in_elections: u32,
    /// What is said in elections waits until it is about something else.
    pub(super) holding: u32,
    pub(super) late_us_max: u64,
    pub(super) delay_us: RangeInclusive<u64>,
}

/// How long a message takes on a network that is well, in microseconds.
pub(super) const DELAY_US: RangeInclusive<u64> = 60..=300;

impl Default for Noise {
    fn default() -> Self {
        Self {
            loss: 0,
            repetition: 0,
            lateness: 0,
            lateness_in_elections: 0,
            holding: 0,
            late_us_max: 0,
            delay_us: DELAY_US,
        }
    }
}

impl Noise {
    /// What the network does while this and `other` go on.
    pub(super) fn with(self, other: &Self) -> Self {
        let delay_us_max = *self.delay_us.end().max(other.delay_us.end());
        Self {
            loss: self.loss.max(other.loss),
            repetition: self.repetition.max(other.repetition),
            lateness: self.lateness.max(other.lateness),
            lateness_in_elections: self.lateness_in_elections.max(other.lateness_in_elections),
            holding: self.holding.max(other.holding),
            late_us_max: self.late_us_max.max(other.late_us_max),
            delay_us: *DELAY_US.start()..=delay_us_max,
        }
    }
}

/// How often what really happened: a fault that was on its way and met nothing that it could harm is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    faults: BTreeMap<FaultKind, u64>,
    /// Messages that a cut link swallowed.
    pub messages_cut: u64,
    /// Nodes that stopped themselves.
    pub stops: u64,
    /// Sectors that were written, not synced, and lost with the power.
    pub lost_sectors: u64,
    /// Of the bits that flipped, those in logs under processes that ran.
    pub rotten_records: u64,
    /// Those in snapshots.
    pub rotten_snapshots: u64,
    /// Nodes that stopped themselves because of a record that had rotted.
    pub stops_for_rot: u64,
    /// Snapshots that took the place of one that had rotted.
    pub snapshots_replaced: u64,
    /// Disks that were wiped or damaged although the majority could not bear it.
    pub unbearable_losses: u64,
    /// Runs at whose end nobody could write any more.
    pub standstills: u64,
    /// Groups that were begun while everything else went on.
    pub groups_begun: u64,
    /// How often a server has destroyed its part of a group.
    pub groups_destroyed: u64,
    /// How often a group stopped on a server, for whatever reason, whose process went on.
    pub group_stops: u64,
}

impl Tally {
    pub(super) fn count(&mut self, kind: FaultKind) {
        self.add(kind, 1);
    }

    pub(super) fn add(&mut self, kind: FaultKind, times: u64) {
        if times > 0 {
            *self.faults.entry(kind).or_default() += times;
        }
    }

    /// How often a fault of this kind happened.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.faults.get(&kind).copied().unwrap_or(0)
    }

    /// All kinds that happened, with how often.
    pub fn faults(&self) -> impl Iterator<Item = (FaultKind, u64)> + '_ {
        self.faults.iter().map(|(kind, count)| (*kind, *count))
    }

    /// Adds up.
    pub fn merge(&mut self, other: &Self) {
        other.faults().for_each(|(kind, count)| self.add(kind, count));
        self.messages_cut += other.messages_cut;
        self.stops += other.stops;
        self.lost_sectors += other.lost_sectors;
        self.rotten_records += other.rotten_records;
        self.rotten_snapshots += other.rotten_snapshots;
        self.stops_for_rot += other.stops_for_rot;
        self.snapshots_replaced += other.snapshots_replaced;
        self.unbearable_losses += other.unbearable_losses;
        self.standstills += other.standstills;
        self.groups_begun += other.groups_begun;
        self.groups_destroyed += other.groups_destroyed;
        self.group_stops += other.group_stops;
    }
}

#[cfg(test)]
mod tests {
    use super::Faults;

    #[test]
    fn lists_of_faults_are_shown_as_they_can_be_read() {
        for text in ["none", "all", "lost", "all,lost", "net,clock", "net,crash,disk_full,lost", "disk,lost"] {
            let faults: Faults = text.parse().unwrap();
            assert_eq!(faults.to_string().parse(), Ok(faults.clone()), "{text}");
            let words = |text: &str| text.split(',').map(ToOwned::to_owned).collect::<std::collections::BTreeSet<_>>();
            assert_eq!(words(&faults.to_string()), words(text));
        }
        let error = "net,worms".parse::<Faults>().unwrap_err().to_string();
        assert!(error.starts_with("\"worms\" names no faults; say all, none"), "{error}");
    }
}
