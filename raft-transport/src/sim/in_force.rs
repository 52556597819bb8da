//! What is broken at the moment, by the number of the fault that broke it.
//!
//! Several faults of one kind may strike at one place at a time. Each is mended for itself, and what the others have
//! broken stays so.

use std::collections::BTreeMap;

use raft_actor::StateMachine;
use raft_actor::consensus::NodeId;
use raft_actor::log_storage::sim_disk::Happened;

use super::faults::Noise;
use super::time::Pace;
use super::world::{Node, SYNC, Sim, place};

/// What faults do as long as they last, by their numbers.
#[derive(Debug, Clone)]
pub(super) struct InForce<T>(BTreeMap<usize, T>);

impl<T> Default for InForce<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> InForce<T> {
    pub(super) fn begins(&mut self, fault: usize, what: T) {
        self.0.insert(fault, what);
    }

    pub(super) fn ends(&mut self, fault: usize) {
        self.0.remove(&fault);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.values()
    }
}

/// What is broken at one server.
#[derive(Debug, Default)]
pub(super) struct Broken {
    pub(super) sync: InForce<Pace>,
    pub(super) apply: InForce<Pace>,
    /// Parts of a million.
    pub(super) rate: InForce<u64>,
    pub(super) room: InForce<()>,
    /// How fast its clock runs where no fault has it run otherwise; `None`: as it should.
    pub(super) own_rate: Option<u64>,
}

impl<S: StateMachine> Node<S> {
    /// How long things take at this server now: as long as the worst fault has it.
    pub(super) fn keep_pace(&self) {
        let worst = |paces: &InForce<Pace>| paces.all().copied().max_by_key(|pace| (pace.max_us, pace.min_us));
        self.clock.set_sync(worst(&self.broken.sync).unwrap_or(SYNC));
        self.clock.set_apply(worst(&self.broken.apply).unwrap_or(Pace::INSTANT));
    }

    /// How often its disk has failed so far, in whatever way a process is told of.
    pub(super) fn disk_failures(&self) -> u64 {
        let Happened { failed_syncs, failed_reads, full_writes, .. } = self.disk.happened();
        failed_syncs + failed_reads + full_writes
    }

    /// Whether its disk has failed since its process was started: then it may stop, or not even begin.
    pub(super) fn disk_has_failed(&self) -> bool {
        self.disk_failures() > self.failures_before
    }
}

impl<S: StateMachine> Sim<S> {
    /// The clock of this server runs as the latest fault has it.
    pub(super) fn keep_time(&mut self, id: NodeId) {
        let Broken { rate, own_rate, .. } = &self.node(id).broken;
        match rate.all().next_back().copied().or(*own_rate) {
            Some(rate) => self.node(id).clock.set_rate(rate),
            None => self.node(id).clock.set_right(),
        }
        self.arm(place(id));
    }

    /// The network does what all faults together have it do.
    pub(super) fn keep_noise(&mut self) {
        self.noise = self.noises.all().fold(Noise::default(), Noise::with);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::faults::FaultKind;
    use super::*;

    #[test]
    fn faults_of_one_kind_do_not_end_each_other() {
        let mut sync = InForce::default();
        sync.begins(1, Pace::of(Duration::from_millis(9)));
        sync.begins(2, Pace::of(Duration::from_millis(5)));
        sync.ends(1);
        assert_eq!(sync.all().copied().collect::<Vec<_>>(), [Pace::of(Duration::from_millis(5))]);
        sync.ends(2);
        assert!(sync.is_empty(), "{:?}", FaultKind::SlowDisk);
    }
}
