//! How wrong clocks go.
//!
//! Nothing in Raft relies on clocks for what is true, and they may be as wrong as they like. Only where a leader answers
//! reads by a lease is there a bound, and clocks keep to it: a simulation of wrong ones would find nothing but that.

use std::time::Duration;

use raft_actor::consensus::{LeaseReads, NodeId};
use raft_actor::{Settings, StateMachine};

use super::chance::Chance;
use super::faults::FaultKind;
use super::time::RATE_RIGHT;
use super::world::{Sim, place};

/// What lease reads assume of clocks: by how much one is off over a minimum election timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockBound {
    /// By how much its rate is off, in parts of a million ...
    rate_parts: u64,
    /// ... and how far it leaps, at most once in two such times, in microseconds: both together are the bound.
    jump_us: u64,
    timeout_us: u64,
}

/// How often a clock that goes wrong is as wrong as it may be, in parts of a million.
const EXTREME_PARTS: u32 = 700_000;

/// Clocks that run as wrong as without a bound, in parts of a million.
const RATE_UNBOUNDED: std::ops::Range<u64> = 500_000..2_000_000;
/// How far they leap, in microseconds.
const JUMP_US_UNBOUNDED: std::ops::Range<u64> = 1_000..10_001_000;

impl ClockBound {
    /// Runs differ in which part of the bound is used up by clocks that leap.
    pub(super) fn draw(drift_percent_max: u8, settings: &Settings, chance: &mut Chance) -> Self {
        let lease_reads = LeaseReads { election_timeout_ms_min: settings.election_timeout_ms_min, drift_percent_max };
        let timeout_us = lease_reads.election_timeout_ms_min * 1_000;
        let leaps_percent = *chance.pick(&[0, 0, 50, 100]);
        let off_us = timeout_us * u64::from(drift_percent_max) / 100;
        let rate_parts = u64::from(drift_percent_max) * 10_000 * (100 - leaps_percent) / 100;
        Self { rate_parts, jump_us: off_us * leaps_percent / 100, timeout_us }
    }

    /// How fast a clock that is off runs, in parts of a million.
    fn rate(&self, chance: &mut Chance) -> u64 {
        let (slowest, fastest) = (1_000_000 - self.rate_parts, 1_000_000 + self.rate_parts);
        if chance.happens(EXTREME_PARTS) {
            *chance.pick(&[slowest, fastest])
        } else {
            chance.between(slowest..=fastest)
        }
    }
}

impl<S: StateMachine> Sim<S> {
    /// No clock is right from the beginning on, where there is a bound to how wrong it may be.
    pub(super) fn put_clocks_off(&mut self) {
        let Some(bound) = self.setup.clock_bound else { return };
        let mut chance = Chance::of(self.setup.seed, 5);
        for node in &mut self.nodes {
            let rate = bound.rate(&mut chance);
            node.broken.own_rate = Some(rate);
            node.clock.set_rate(rate);
        }
    }

    /// A clock leaps, unless there is a bound and it has leapt just before.
    pub(super) fn leap(&mut self, victim: NodeId, die: u64) {
        let by_us = match self.setup.clock_bound {
            None => JUMP_US_UNBOUNDED.start + die % (JUMP_US_UNBOUNDED.end - JUMP_US_UNBOUNDED.start),
            Some(bound) => {
                let (now_us, node) = (self.now_us(), self.node_mut(victim));
                if bound.jump_us == 0 || node.leaps_again_us > now_us {
                    return;
                }
                node.leaps_again_us = now_us + 2 * bound.timeout_us;
                bound.jump_us - (die % 4) * bound.jump_us / 8
            }
        };
        // Without a process nobody looks at the clock.
        self.tally.add(FaultKind::ClockJump, u64::from(self.is_up(victim)));
        self.node(victim).clock.jump(Duration::from_micros(by_us));
        self.arm(place(victim));
    }

    /// A clock runs fast or slow, as long as a fault lasts.
    pub(super) fn drift(&mut self, fault: usize, victim: NodeId, die: u64) {
        let rate = match self.setup.clock_bound {
            None => RATE_UNBOUNDED.start + die % (RATE_UNBOUNDED.end - RATE_UNBOUNDED.start),
            Some(bound) => bound.rate(&mut Chance::of(die, 0)),
        };
        let is_right = rate == self.node(victim).broken.own_rate.unwrap_or(RATE_RIGHT);
        self.tally.add(FaultKind::ClockDrift, u64::from(self.is_up(victim) && !is_right));
        self.node_mut(victim).broken.rate.begins(fault, rate);
        self.keep_time(victim);
    }
}
