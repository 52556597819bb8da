//! The one place where time is read.
//!
//! A host runs on the clock of the machine. A simulation gives it another one
//! ([`TimeSource`]): then nothing in the host reads the machine's time, and work
//! that takes time on real hardware takes as long as the source says.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use raft_consensus::Time;
use tokio::time::Instant;

/// A monotonic clock. All actors of a host share one, so that its readings can be compared.
///
/// The machine's follows the clock of the runtime it is used in: where that one is paused or driven by hand, so is this one.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
}

#[derive(Clone)]
enum Source {
    Machine { start: Instant },
    Given(Arc<dyn TimeSource>),
}

/// Time as somebody else tells it: the seam for simulations.
pub trait TimeSource: Send + Sync + 'static {
    /// The time now; never less than what was said before.
    fn now(&self) -> Time;

    /// Wakes `waker` when [`now`](Self::now) has reached `time`, or earlier. A later call does not undo this one.
    fn wake_at(&self, time: Time, waker: &Waker);

    /// How long this piece of work is to take, beyond what it takes anyway.
    fn duration_of(&self, work: Work) -> Duration;

    /// Whether it is always nothing. Then a node does what it can with a call, as on the machine's clock.
    fn takes_no_time(&self) -> bool {
        false
    }
}

/// Work that takes its time on real hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Making durable what was written to the log.
    Sync,
    /// Applying so many entries to the state machine.
    Apply {
        /// How many.
        entries: usize,
    },
    /// Writing a snapshot of the state machine.
    Save,
    /// Loading one into it.
    Load,
}

impl Clock {
    /// The machine's clock, starting now, a little after zero.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        Self { source: Source::Machine { start: Instant::now() } }
    }

    /// A clock that shows what `source` says.
    pub fn of(source: Arc<dyn TimeSource>) -> Self {
        Self { source: Source::Given(source) }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        match &self.source {
            Source::Machine { start } => Time::ZERO.after(start.elapsed()).after(Duration::from_micros(1)),
            Source::Given(source) => source.now(),
        }
    }

    /// Waits until `time`. Needs a runtime on the machine's clock; accurate to a millisecond, never early.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub async fn sleep_until(&self, time: Time) {
        match &self.source {
            Source::Machine { start } => tokio::time::sleep_until(*start + time.since(Time::ZERO)).await,
            Source::Given(source) => Sleep { source: Arc::clone(source), until: time, asleep: None }.await,
        }
    }

    /// Waits for a time; see [`sleep_until`](Self::sleep_until).
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().after(duration)).await;
    }

    /// Whether work takes no more time than it takes anyway, so that what is done on the spot need not be waited for.
    pub(crate) fn takes_no_time(&self) -> bool {
        match &self.source {
            Source::Machine { .. } => true,
            Source::Given(source) => source.takes_no_time(),
        }
    }

    /// How long `work` is to take beyond what it takes anyway: nothing, but in a simulation.
    pub(crate) fn duration_of(&self, work: Work) -> Duration {
        match &self.source {
            Source::Machine { .. } => Duration::ZERO,
            Source::Given(source) => source.duration_of(work),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine { start } => f.debug_struct("Machine").field("start", start).finish(),
            Self::Given(source) => f.debug_tuple("Given").field(&source.now()).finish(),
        }
    }
}

/// Waits on a [`TimeSource`].
struct Sleep {
    source: Arc<dyn TimeSource>,
    until: Time,
    /// Who is to be woken, once that was said.
    asleep: Option<Waker>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.source.now() >= self.until {
            return Poll::Ready(());
        }
        // Said once: a source that keeps a list of sleepers would otherwise get an entry for each look at it.
        if !self.asleep.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.source.wake_at(self.until, cx.waker());
            self.asleep = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}
