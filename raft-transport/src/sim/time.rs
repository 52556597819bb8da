//! Simulated time: one for the world, and a clock for each node that may run
//! fast or slow and may jump.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use raft_actor::clock::{TimeSource, Work};
use raft_actor::consensus::Time;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Microseconds since the simulation began, as the world counts them.
#[derive(Debug, Clone, Default)]
pub(super) struct WorldTime(Arc<AtomicU64>);

impl WorldTime {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, micros: u64) {
        self.0.store(micros, Ordering::Relaxed);
    }
}

/// Parts in a million by which a clock that is right advances.
pub(super) const RATE_RIGHT: u64 = 1_000_000;

/// The clock of a node, and how long things take there.
#[derive(Debug)]
pub(super) struct NodeClock {
    world: WorldTime,
    /// Whether work takes none of it, whatever is said of its pace.
    takes_no_time: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the clock showed ...
    local_base: u64,
    /// ... at this time of the world.
    world_base: u64,
    /// How far it advances in a million microseconds of the world.
    rate: u64,
    sleepers: BTreeMap<(Time, u64), Waker>,
    sleepers_ever: u64,
    sync: Pace,
    apply: Pace,
    /// Syncs that were begun so far, those of snapshots among them.
    syncs: u64,
    /// How often something was applied or loaded so far.
    applies: u64,
    /// When the latest sync ends, or has ended.
    synced_at: Time,
    chance: ChaCha8Rng,
}

/// How long one piece of work takes: between these, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) min_us: u64,
    pub(super) max_us: u64,
}

impl Pace {
    /// What takes no time.
    pub(super) const INSTANT: Self = Self { min_us: 0, max_us: 0 };

    /// What always takes the same time.
    pub(super) fn of(duration: Duration) -> Self {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4);
        Self { min_us: us, max_us: us }
    }

    fn draw(self, chance: &mut ChaCha8Rng) -> Duration {
        if self.max_us == 0 {
            Duration::ZERO
        } else {
            Duration::from_micros(chance.random_range(self.min_us..=self.max_us))
        }
    }
}

impl NodeClock {
    /// A clock that is right, of a node whose disk and machine take this long.
    pub(super) fn new(world: WorldTime, seed: u64, sync: Pace) -> Self {
        let state = State {
            // Clocks of different machines have nothing to do with one another.
            local_base: 1 + seed % 1_000_000,
            world_base: world.now(),
            rate: RATE_RIGHT,
            sleepers: BTreeMap::new(),
            sleepers_ever: 0,
            sync,
            apply: Pace::INSTANT,
            syncs: 0,
            applies: 0,
            synced_at: Time::ZERO,
            chance: ChaCha8Rng::seed_from_u64(seed),
        };
        Self { world, takes_no_time: false, state: Mutex::new(state) }
    }

    /// The same where no work ever takes any time.
    pub(super) fn in_no_time(self) -> Self {
        Self { takes_no_time: true, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the clock advances by `parts` microseconds in a million.
    pub(super) fn set_rate(&self, parts: u64) {
        let world = self.world.now();
        let mut state = self.state();
        state.local_base = state.at(world);
        state.world_base = world;
        state.rate = parts.max(1);
    }

    /// The clock is right again, from where it is.
    pub(super) fn set_right(&self) {
        self.set_rate(RATE_RIGHT);
    }

    /// The clock leaps ahead, as after a suspension of the machine. A monotonic clock never leaps back.
    pub(super) fn jump(&self, by: Duration) {
        self.state().local_base += u64::try_from(by.as_micros()).unwrap_or(u64::MAX / 4);
    }

    /// From now on a sync takes this long.
    pub(super) fn set_sync(&self, pace: Pace) {
        self.state().sync = pace;
    }

    /// From now on applying an entry takes this long.
    pub(super) fn set_apply(&self, pace: Pace) {
        self.state().apply = pace;
    }

    /// How many syncs were begun so far.
    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// How often something was applied or loaded so far.
    pub(super) fn applies(&self) -> u64 {
        self.state().applies
    }

    /// When the first sleeper is to be woken, in the time of the world.
    pub(super) fn next_alarm(&self) -> Option<u64> {
        let state = self.state();
        let ((local, _), _) = state.sleepers.first_key_value()?;
        let ahead = local.as_micros().saturating_sub(state.local_base);
        Some(state.world_base + (ahead.saturating_mul(RATE_RIGHT)).div_ceil(state.rate))
    }

    /// Takes out all sleepers whose time has come.
    pub(super) fn wake_due(&self) {
        let mut state = self.state();
        let now = Time::from_micros(state.at(self.world.now()));
        let later = state.sleepers.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut state.sleepers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// The process that slept is gone.
    pub(super) fn forget_sleepers(&self) {
        let mut state = self.state();
        state.synced_at = Time::ZERO;
        let gone = std::mem::take(&mut state.sleepers);
        drop(state);
        drop(gone);
    }

    /// How long the sync that is under way still takes.
    pub(super) fn syncs_for(&self) -> Duration {
        let state = self.state();
        state.synced_at.since(Time::from_micros(state.at(self.world.now())))
    }
}

impl State {
    fn at(&self, world: u64) -> u64 {
        self.local_base + (world - self.world_base).saturating_mul(self.rate) / RATE_RIGHT
    }
}

impl TimeSource for NodeClock {
    fn now(&self) -> Time {
        Time::from_micros(self.state().at(self.world.now()))
    }

    fn wake_at(&self, time: Time, waker: &Waker) {
        let mut state = self.state();
        state.sleepers_ever += 1;
        let key = (time, state.sleepers_ever);
        state.sleepers.insert(key, waker.clone());
    }

    fn takes_no_time(&self) -> bool {
        self.takes_no_time
    }

    fn duration_of(&self, work: Work) -> Duration {
        if self.takes_no_time {
            return Duration::ZERO;
        }
        let state = &mut *self.state();
        match work {
            Work::Sync | Work::Save => state.syncs += 1,
            Work::Apply { .. } | Work::Load => state.applies += 1,
        }
        match work {
            Work::Sync => {
                let duration = state.sync.draw(&mut state.chance);
                state.synced_at = Time::from_micros(state.at(self.world.now())).after(duration);
                duration
            }
            Work::Apply { entries } => {
                state.apply.draw(&mut state.chance) * u32::try_from(entries.min(1000)).expect("a thousand at most")
            }
            // A file and its directory are synced, and the disk is not the faster for the log that uses it as well.
            Work::Save => state.sync.draw(&mut state.chance) * 2,
            Work::Load => state.apply.draw(&mut state.chance) * 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> (WorldTime, NodeClock) {
        let world = WorldTime::default();
        (world.clone(), NodeClock::new(world, 7, Pace::INSTANT))
    }

    #[test]
    fn a_fast_clock_wakes_its_sleepers_earlier_than_the_world_would() {
        let (world, clock) = clock();
        let start = clock.now();
        clock.set_rate(2_000_000);
        clock.wake_at(start.after(Duration::from_millis(10)), Waker::noop());
        assert_eq!(clock.next_alarm(), Some(5_000));
        world.set(5_000);
        clock.wake_due();
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn a_leap_makes_sleepers_due() {
        let (world, clock) = clock();
        clock.wake_at(clock.now().after(Duration::from_secs(10)), Waker::noop());
        world.set(1_000);
        clock.jump(Duration::from_secs(60));
        assert!(clock.next_alarm().is_some_and(|at| at <= 1_000));
    }

    #[test]
    fn a_clock_never_goes_back() {
        let (world, clock) = clock();
        let mut last = clock.now();
        for (at, rate) in [(1_000, 1_500_000), (2_000, 500_000), (2_000, 1_000_000), (9_000, 999_999)] {
            world.set(at);
            clock.set_rate(rate);
            assert!(clock.now() >= last);
            last = clock.now();
        }
    }
}
