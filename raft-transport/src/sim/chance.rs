//! Chance from a seed.

use std::ops::RangeInclusive;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random choices that the seed decides.
///
/// ```
/// use raft_transport::sim::Chance;
///
/// let (mut one, mut other) = (Chance::new(7), Chance::new(7));
/// assert_eq!(one.between(1..=1000), other.between(1..=1000));
/// ```
#[derive(Debug, Clone)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The choices of this seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// The choices of this seed for one purpose; those for another have nothing to do with them.
    pub(super) fn of(seed: u64, purpose: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        chance.set_stream(purpose);
        Self(chance)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.random()
    }

    /// A number of the range, each as likely as another.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// Whether something happens that does so `parts` times in a million.
    pub fn happens(&mut self, parts: u32) -> bool {
        parts > 0 && self.0.random_range(0..1_000_000_u32) < parts
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.0.random_range(0..among.len())]
    }

    pub(super) fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.0
    }
}
