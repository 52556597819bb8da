//! Threads that do not fall asleep between two requests.
//!
//! To wake a thread on an idle processor takes longer than to replicate a command in memory: some 20 us on either side. A
//! thread that looks for work again and again for a while, instead of going to sleep at once, saves its callers that, and
//! costs a processor meanwhile.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, RawWakerVTable, Waker};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

mod post;

pub(crate) use post::Post;

/// What keeps a thread awake. One per thread.
#[derive(Default)]
struct Watch {
    /// How long after the last request; `None` on a thread that sleeps as it likes.
    limit: Option<Duration>,
    /// Something was requested since that was looked at.
    is_stirred: bool,
    /// While the thread may sleep: what ends that.
    asleep: Option<Waker>,
    /// Whose tasks are to be woken while it looks for work.
    post: Arc<Post>,
    /// What wakes its own task. Whoever is woken otherwise may be no task of this runtime, and block it.
    runtime: Option<&'static RawWakerVTable>,
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

/// Where to leave wakers of tasks of this thread, if it looks for work.
pub(crate) fn post() -> Option<Arc<Post>> {
    WATCH.with_borrow(|watch| watch.limit.is_some().then(|| Arc::clone(&watch.post)))
}

/// Whether this thread fetches from `post`, and can wake this way.
pub(crate) fn fetches(post: &Arc<Post>, waker: &Waker) -> bool {
    WATCH.with_borrow(|watch| {
        let is_of_runtime = watch.runtime.is_some_and(|runtime| std::ptr::eq(runtime, waker.vtable()));
        is_of_runtime && Arc::ptr_eq(&watch.post, post)
    })
}

/// Has the thread of `post` wake one of its tasks.
pub(crate) fn leave(post: &Arc<Post>, waker: Waker) {
    if WATCH.with_borrow(|watch| Arc::ptr_eq(&watch.post, post)) {
        // That is this one.
        waker.wake();
    } else {
        post.leave(waker);
    }
}

/// The one future that keeps this thread awake.
struct Awake {
    post: Arc<Post>,
}

impl Drop for Awake {
    fn drop(&mut self) {
        WATCH.take();
        self.post.close();
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
/// While it looks for work it also wakes the tasks beside it whose answers have come from other threads, which saves those
/// the trouble.
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
    let post = WATCH.with_borrow(|watch| Arc::clone(&watch.post));
    let _awake = Awake { post: Arc::clone(&post) };
    let mut spare = Vec::new();
    loop {
        poll_fn(|cx| {
            WATCH.with_borrow_mut(|watch| {
                watch.runtime = Some(cx.waker().vtable());
                if watch.is_stirred {
                    return Poll::Ready(());
                }
                watch.asleep = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await;
        post.open();
        let mut last = Instant::now();
        loop {
            let is_news = post.fetch(&mut spare);
            let now = Instant::now();
            let (is_stirred, limit) =
                WATCH.with_borrow_mut(|watch| (std::mem::take(&mut watch.is_stirred), watch.limit.unwrap_or_default()));
            if is_stirred {
                last = now;
            }
            if now - last >= limit {
                break;
            }
            // What has happened meanwhile comes first, and so does whoever else wants this processor.
            if !is_news {
                std::thread::yield_now();
            }
            yield_now().await;
        }
        post.close();
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

    /// As another thread does it, from which wakers are left.
    fn leave_elsewhere(post: &Arc<Post>, waker: Waker) {
        std::thread::scope(|scope| {
            scope.spawn(|| leave(post, waker));
        });
    }

    #[test]
    fn a_thread_that_looks_for_work_wakes_its_own_tasks() {
        let (turns, task) = (Arc::<Turns>::default(), Arc::<Turns>::default());
        let mut polling = Box::pin(busy_poll(Duration::from_secs(3600)));
        assert!(post().is_none(), "nobody would fetch it");
        turn(&turns, polling.as_mut());
        let post = post().expect("it looks for work");
        let woken = || task.0.load(Ordering::Relaxed);
        leave_elsewhere(&post, Waker::from(Arc::clone(&task)));
        assert_eq!(woken(), 1, "it sleeps yet");
        stir();
        turn(&turns, polling.as_mut());
        leave_elsewhere(&post, Waker::from(Arc::clone(&task)));
        assert_eq!(woken(), 1, "left for the thread");
        turn(&turns, polling.as_mut());
        assert_eq!(woken(), 2, "and done by it");
        leave(&post, Waker::from(Arc::clone(&task)));
        assert_eq!(woken(), 3, "what this thread itself has to say is not left anywhere");
        leave_elsewhere(&post, Waker::from(Arc::clone(&task)));
        drop(polling);
        assert_eq!(woken(), 4, "nobody is forgotten in the end");
        leave_elsewhere(&post, Waker::from(Arc::clone(&task)));
        assert_eq!(woken(), 5);
    }

    /// A caller may block its thread until it has its answer: then nobody comes to wake it.
    #[test]
    fn only_tasks_of_the_same_runtime_are_woken_that_way() {
        let waker = Waker::from(Arc::<Turns>::default());
        let mut polling = pin!(busy_poll(Duration::from_secs(3600)));
        assert!(polling.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let post = post().expect("it looks for work");
        assert!(fetches(&post, &waker));
        assert!(!fetches(&post, Waker::noop()), "of something else");
        assert!(!fetches(&Arc::default(), &waker), "of another thread");
    }
}
