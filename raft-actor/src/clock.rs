//! The one place where time is read.

use std::time::Duration;

use raft_consensus::Time;
use tokio::time::Instant;

/// A monotonic clock. All actors of a host share one, so that its readings can be compared.
///
/// It follows the clock of the runtime it is used in: where that one is paused or driven by hand, so is this one.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now, a little after zero.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        Time::ZERO.after(self.start.elapsed()).after(Duration::from_micros(1))
    }

    /// Waits until `time`. Needs a runtime; accurate to a millisecond, never early.
    pub async fn sleep_until(&self, time: Time) {
        tokio::time::sleep_until(self.start + time.since(Time::ZERO)).await;
    }
}
