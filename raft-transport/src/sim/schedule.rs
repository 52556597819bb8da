//! What is to happen, in the order of its time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A queue of events. Which of several at the same microsecond comes first is a matter of chance.
#[derive(Debug)]
pub(super) struct Schedule<E> {
    heap: BinaryHeap<Planned<E>>,
    count: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at_us: u64,
    tie: u32,
    number: u64,
    event: E,
}

impl<E> Planned<E> {
    fn key(&self) -> (u64, u32, u64) {
        (self.at_us, self.tie, self.number)
    }
}

/// The earliest is the greatest, since a heap gives out the greatest first.
impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Planned<E> {}

impl<E> Schedule<E> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    pub(super) fn add(&mut self, at_us: u64, event: E, chance: &mut ChaCha8Rng) {
        self.count += 1;
        self.heap.push(Planned { at_us, tie: chance.random(), number: self.count, event });
    }

    /// When the next event is due.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|planned| planned.at_us)
    }

    /// Takes out the next event.
    pub(super) fn take(&mut self) -> Option<(u64, E)> {
        self.heap.pop().map(|planned| (planned.at_us, planned.event))
    }

    /// Takes out what is not wanted any more.
    pub(super) fn retain(&mut self, wanted: impl Fn(&E) -> bool) {
        self.heap.retain(|planned| wanted(&planned.event));
    }
}
