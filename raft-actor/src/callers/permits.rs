//! How much may be under way: back-pressure is ours, not the mailbox's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much the client queue and the node behind it hold at most; beyond it callers are `Overloaded` at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most requests under way. At least 1.
    pub requests_max: u64,
    /// Most bytes of encoded commands under way.
    pub bytes_max: u64,
    /// Most bytes of a single encoded command; a larger one is refused as `TooLarge`. The transport has to
    /// carry it, so it must be well below what that takes as one message (32 MiB over TCP).
    pub command_bytes_max: u64,
}

impl QueueLimits {
    /// The most that a single command may take.
    pub(crate) fn largest_command(&self) -> u64 {
        self.bytes_max.min(self.command_bytes_max)
    }
}

impl Default for QueueLimits {
    /// 65 536 requests, 64 MiB, 8 MiB for one command.
    fn default() -> Self {
        Self { requests_max: 65_536, bytes_max: 64 << 20, command_bytes_max: 8 << 20 }
    }
}

/// The taking side. It lives under the queue's mutex, so taking needs no atomic read-modify-write.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: QueueLimits,
    /// All ever taken; never falls.
    taken: Amount,
    returned: Arc<Returned>,
}

/// All ever given back, from any thread; never falls.
#[derive(Debug, Default)]
struct Returned {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// So many requests, so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Amount {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

impl Admission {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { limits, taken: Amount::default(), returned: Arc::default() }
    }

    /// Takes room for `amount`, or nothing.
    pub(crate) fn try_take(&mut self, amount: Amount) -> bool {
        let in_use = self.in_use();
        let fits = in_use.requests + amount.requests <= self.limits.requests_max
            && in_use.bytes.saturating_add(amount.bytes) <= self.limits.bytes_max;
        if fits {
            self.taken.requests += amount.requests;
            self.taken.bytes += amount.bytes;
        }
        fits
    }

    /// What is under way at the moment.
    pub(crate) fn in_use(&self) -> Amount {
        Amount {
            requests: self.taken.requests - self.returned.requests.load(Ordering::Acquire),
            bytes: self.taken.bytes - self.returned.bytes.load(Ordering::Acquire),
        }
    }

    /// The right to what was taken with `try_take`; gives it back when dropped.
    pub(crate) fn permit(&self, amount: Amount) -> Permit {
        Permit { amount, returned: Arc::clone(&self.returned) }
    }
}

/// Room that is in use. Dropped: given back.
#[derive(Debug)]
pub(crate) struct Permit {
    amount: Amount,
    returned: Arc<Returned>,
}

impl Permit {
    /// Splits off a part, which is then given back on its own.
    pub(crate) fn split(&mut self, part: Amount) -> Self {
        self.amount.requests -= part.requests;
        self.amount.bytes -= part.bytes;
        Self { amount: part, returned: Arc::clone(&self.returned) }
    }

    /// Takes over the room of `more`, of the same queue.
    pub(crate) fn merge(&mut self, mut more: Self) {
        let moved = std::mem::take(&mut more.amount);
        self.amount.requests += moved.requests;
        self.amount.bytes += moved.bytes;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.returned.requests.fetch_add(self.amount.requests, Ordering::Release);
        self.returned.bytes.fetch_add(self.amount.bytes, Ordering::Release);
    }
}
