//! Threads that do not fall asleep between two requests.
//!
//! To wake a thread on an idle processor takes longer than to replicate a command in memory: some 20 us on either side. A
//! thread that looks for work again and again for a while, instead of going to sleep at once, saves its callers that, and
//! costs a processor meanwhile.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

/// What keeps a thread awake. One per thread.
#[derive(Default)]
struct Watch {
    /// How long after the last request; `None` on a thread that sleeps as it likes.
    limit: Option<Duration>,
    /// Something was requested since that was looked at.
    is_stirred: bool,
    /// While the thread may sleep: what ends that.
    asleep: Option<Waker>,
}

thread_local! {
    static WATCH: RefCell<Watch> = RefCell::default();
}

/// A request is made or taken in on this thread.
pub(crate) fn stir() {
    WATCH.with_borrow_mut(|watch| {
        if watch.limit.is_some() {
            watch.is_stirred = true;
            if let Some(asleep) = watch.asleep.take() {
                asleep.wake();
            }
        }
    });
}

/// The one future that keeps this thread awake.
struct Awake;

impl Drop for Awake {
    fn drop(&mut self) {
        WATCH.take();
    }
}

/// Keeps the thread on which it is polled from sleeping until `limit` has passed since the last request that was made
/// with a [`RaftHandle`](crate::RaftHandle) on it. Never ends; spawn it beside the tasks that make requests, in the same runtime.
///
/// Everything else on the thread has its turns as ever, and other threads get the processor when they want it. What it
/// costs is a processor that is never idle while requests come more often than `limit`; so take some tens of
/// microseconds, and only where there are more processors than threads that are to answer quickly. For the threads of
/// nodes there is [`Placement::busy_poll`](crate::Placement::busy_poll).
///
/// ```
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(tokio::task::LocalSet::new().run_until(async {
/// tokio::task::spawn_local(raft_actor::busy_poll(Duration::from_micros(50)));
/// # tokio::task::yield_now().await;
/// # }));
/// ```
#[expect(clippy::disallowed_methods, reason = "it is about this thread, not about the time of nodes")]
pub async fn busy_poll(limit: Duration) {
    if WATCH.with_borrow_mut(|watch| watch.limit.replace(limit)).is_some() {
        // Somebody does it already, for as long as was said last.
        return std::future::pending().await;
    }
    let _awake = Awake;
    loop {
        poll_fn(|cx| {
            WATCH.with_borrow_mut(|watch| {
                if watch.is_stirred {
                    return Poll::Ready(());
                }
                watch.asleep = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await;
        let mut last = Instant::now();
        loop {
            let now = Instant::now();
            let (is_stirred, limit) =
                WATCH.with_borrow_mut(|watch| (std::mem::take(&mut watch.is_stirred), watch.limit.unwrap_or_default()));
            if is_stirred {
                last = now;
            }
            if now - last >= limit {
                break;
            }
            // Whoever else wants this processor comes first, and so does what has happened meanwhile.
            std::thread::yield_now();
            yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Turns(AtomicUsize);

    impl Wake for Turns {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives it a turn; says whether it wants another one.
    fn turn(turns: &Arc<Turns>, polling: Pin<&mut impl Future<Output = ()>>) -> bool {
        let before = turns.0.load(Ordering::Relaxed);
        assert!(polling.poll(&mut Context::from_waker(&Waker::from(Arc::clone(turns)))).is_pending());
        turns.0.load(Ordering::Relaxed) > before
    }

    #[test]
    fn a_request_keeps_the_thread_awake() {
        let turns = Arc::<Turns>::default();
        let mut polling = pin!(busy_poll(Duration::from_secs(3600)));
        assert!(!turn(&turns, polling.as_mut()), "nothing was requested yet");
        stir();
        assert_eq!(turns.0.load(Ordering::Relaxed), 1, "a request ends the sleep");
        assert!((0..100).all(|_| turn(&turns, polling.as_mut())), "it looks again and again");
    }

    #[test]
    fn when_the_limit_has_passed_the_thread_sleeps_until_the_next_request() {
        let turns = Arc::<Turns>::default();
        let mut polling = pin!(busy_poll(Duration::ZERO));
        for _ in 0..3 {
            assert!(!turn(&turns, polling.as_mut()));
            stir();
        }
        assert_eq!(turns.0.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn when_it_is_dropped_the_thread_sleeps_as_before_and_another_one_can_begin() {
        let turns = Arc::<Turns>::default();
        for _ in 0..2 {
            let mut polling = Box::pin(busy_poll(Duration::from_secs(3600)));
            assert!(!turn(&turns, polling.as_mut()));
            stir();
            assert!(turn(&turns, polling.as_mut()));
            drop(polling);
            stir();
        }
    }

    #[test]
    fn a_second_one_on_the_same_thread_has_nothing_to_do() {
        let turns = Arc::<Turns>::default();
        let (mut first, mut second) = (pin!(busy_poll(Duration::ZERO)), pin!(busy_poll(Duration::ZERO)));
        assert!(!turn(&turns, first.as_mut()));
        assert!(!turn(&turns, second.as_mut()));
        stir();
        assert_eq!(turns.0.load(Ordering::Relaxed), 1);
    }
}
