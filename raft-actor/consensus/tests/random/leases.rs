//! Lease reads in random runs, with clocks as wrong as the bound allows.

use raft_consensus::{LeaseChange, LeaseReads};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How lease reads go in a run.
#[derive(Debug)]
pub(super) struct Leases {
    rng: ChaCha8Rng,
    /// By how much clocks are off at most, in percent; `None`: the cluster never has lease reads, and clocks are off by more.
    drift_percent: Option<u8>,
}

impl Leases {
    /// Has chances of its own, so that runs without leases are what they would be without all this.
    pub(super) fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x001e_a5e0);
        let drift_percent = [None, None, Some(5), Some(15), Some(30), Some(30)][rng.random_range(0..6)];
        Self { rng, drift_percent }
    }

    /// What a configuration may say: the bound holds, and the timeout need not be that of the members' settings.
    fn lease_reads(&mut self, drift_percent: u8) -> LeaseReads {
        let election_timeout_ms_min = [60, 100, 100, 140][self.rng.random_range(0..4)];
        LeaseReads { election_timeout_ms_min, drift_percent_max: drift_percent + self.rng.random_range(0..=1) * 5 }
    }

    /// What the cluster is founded with: mostly leases, if it ever has any.
    pub(super) fn founding(&mut self) -> Option<LeaseReads> {
        let drift_percent = self.drift_percent.filter(|_| self.rng.random_bool(0.7))?;
        Some(self.lease_reads(drift_percent))
    }

    /// What a change of the membership changes as well.
    pub(super) fn change(&mut self) -> LeaseChange {
        match self.drift_percent {
            Some(_) if self.rng.random_bool(0.15) => LeaseChange::Off,
            Some(drift_percent) if self.rng.random_bool(0.4) => LeaseChange::On(self.lease_reads(drift_percent)),
            Some(_) | None => LeaseChange::Keep,
        }
    }

    /// How fast a clock runs, if there is a bound; as often as not it runs as wrong as it may.
    pub(super) fn clock_per_mille(&mut self) -> Option<u64> {
        let off = u64::from(self.drift_percent?) * 10;
        Some(
            [1000 - off, 1000, 1000 + off, self.rng.random_range(1000 - off..=1000 + off)][self.rng.random_range(0..4)],
        )
    }

    /// Whether a read asks for the lease.
    pub(super) fn wants_lease(&mut self) -> bool {
        self.drift_percent.is_some() && self.rng.random_bool(0.7)
    }
}
