//! One timer for all groups of a host.
//!
//! Deadlines are plain fields, looked at after every batch as well. The timer
//! sleeps until the earliest; one that was moved later is noticed on waking.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix::prelude::*;
use raft_consensus::Time;
use tokio::sync::Notify;

use crate::clock::Clock;

/// The time that a node asked to be woken at has come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// However little is to be done, the timer looks once in a while.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// The timer of a host. Clones are the same timer.
#[derive(Clone)]
pub(crate) struct Timer {
    shared: Rc<Shared>,
}

struct Shared {
    clock: Clock,
    sleepers: RefCell<Sleepers>,
    /// What the timer sleeps for at the moment.
    asleep_until: Cell<Time>,
    earlier: Notify,
}

/// Who sleeps. A host may have a thousand groups: nobody goes through all of them to find who is due.
#[derive(Default)]
struct Sleepers {
    by_id: BTreeMap<u64, Sleeper>,
    /// When to look at whom. One that was moved later since, or has gone, is noticed when its time comes.
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    next_id: u64,
}

struct Sleeper {
    times: Rc<Times>,
    wake: Recipient<Wake>,
}

struct Times {
    /// When to wake.
    at: Cell<Time>,
    /// The earliest time at which it stands in the queue.
    queued: Cell<Time>,
}

/// A node's place in the timer. Dropping it gives up the place.
pub(crate) struct Alarm {
    id: u64,
    times: Rc<Times>,
    shared: Rc<Shared>,
}

impl Timer {
    pub(crate) fn new(clock: Clock) -> Self {
        let shared =
            Shared { clock, sleepers: RefCell::default(), asleep_until: Cell::new(Time::ZERO), earlier: Notify::new() };
        Self { shared: Rc::new(shared) }
    }

    /// Adds somebody to be woken.
    pub(crate) fn alarm(&self, wake: Recipient<Wake>) -> Alarm {
        let times = Rc::new(Times { at: Cell::new(Time::NEVER), queued: Cell::new(Time::NEVER) });
        let mut sleepers = self.shared.sleepers.borrow_mut();
        let id = sleepers.next_id;
        sleepers.next_id += 1;
        sleepers.by_id.insert(id, Sleeper { times: Rc::clone(&times), wake });
        Alarm { id, times, shared: Rc::clone(&self.shared) }
    }

    /// Wakes whoever is due, for ever.
    pub(crate) async fn run(self) {
        let Shared { clock, asleep_until, earlier, .. } = &*self.shared;
        loop {
            let next = self.shared.earliest();
            asleep_until.set(next);
            let mut sleep = pin!(clock.sleep_until(next));
            let mut moved = pin!(earlier.notified());
            poll_fn(|cx| match sleep.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => moved.as_mut().poll(cx),
            })
            .await;
            self.shared.wake_due();
        }
    }
}

impl Shared {
    fn earliest(&self) -> Time {
        let first = self.sleepers.borrow().queue.peek().map_or(Time::NEVER, |Reverse((at, _))| *at);
        first.min(self.clock.now().after(SLEEP_MAX))
    }

    fn wake_due(&self) {
        let now = self.clock.now();
        let mut sleepers = self.sleepers.borrow_mut();
        let Sleepers { by_id, queue, .. } = &mut *sleepers;
        while let Some(Reverse((queued, id))) = queue.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            queue.pop();
            let Some(Sleeper { times, wake }) = by_id.get(&id) else { continue };
            if queued != times.queued.get() {
                // It stands at an earlier time, too, or did.
                continue;
            }
            times.queued.set(Time::NEVER);
            if times.at.get() <= now {
                // Once is enough: the woken sets its next time.
                times.at.set(Time::NEVER);
                wake.do_send(Wake);
            } else if times.at.get() < Time::NEVER {
                times.queued.set(times.at.get());
                queue.push(Reverse((times.at.get(), id)));
            }
        }
    }
}

impl Alarm {
    /// Wake me then, and not at the time said before.
    pub(crate) fn set(&self, at: Time) {
        self.times.at.set(at);
        if at >= self.times.queued.get() {
            // Noticed when that time has come: most alarms are moved later before they ring.
            return;
        }
        self.times.queued.set(at);
        self.shared.sleepers.borrow_mut().queue.push(Reverse((at, self.id)));
        if at < self.shared.asleep_until.get() {
            self.shared.asleep_until.set(at);
            self.shared.earlier.notify_one();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Ok(mut sleepers) = self.shared.sleepers.try_borrow_mut() {
            sleepers.by_id.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down when it was woken, in milliseconds.
    struct Sleepers {
        clock: Clock,
        woken: Rc<RefCell<Vec<u64>>>,
    }

    impl Actor for Sleepers {
        type Context = Context<Self>;
    }

    impl Handler<Wake> for Sleepers {
        type Result = ();

        fn handle(&mut self, _: Wake, _: &mut Context<Self>) {
            self.woken.borrow_mut().push(self.clock.now().as_micros() / 1000);
        }
    }

    /// Runs under a paused clock, which jumps to the next timer when nothing else is to be done.
    fn with_timer<F: Future<Output = ()>>(test: impl FnOnce(Clock, Timer) -> F) {
        let paused = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        actix_rt::System::with_tokio_rt(move || paused().expect("a runtime")).block_on(async move {
            let clock = Clock::start();
            let timer = Timer::new(clock.clone());
            let task = actix_rt::spawn(timer.clone().run());
            test(clock, timer).await;
            task.abort();
        });
    }

    fn sleeper(clock: &Clock, timer: &Timer) -> (Alarm, Rc<RefCell<Vec<u64>>>) {
        let woken = Rc::<RefCell<Vec<u64>>>::default();
        let addr = Sleepers { clock: clock.clone(), woken: Rc::clone(&woken) }.start();
        (timer.alarm(addr.recipient()), woken)
    }

    async fn until(clock: &Clock, ms: u64) {
        clock.sleep_until(Time::from_millis(ms)).await;
    }

    #[test]
    fn everybody_is_woken_once_at_the_time_asked_for() {
        with_timer(|clock, timer| async move {
            let (one, one_woken) = sleeper(&clock, &timer);
            let (other, other_woken) = sleeper(&clock, &timer);
            one.set(Time::from_millis(50));
            other.set(Time::from_millis(20));
            until(&clock, 1000).await;
            assert!(matches!(one_woken.borrow()[..], [50..=52]), "{one_woken:?}");
            assert!(matches!(other_woken.borrow()[..], [20..=22]), "{other_woken:?}");
        });
    }

    #[test]
    fn a_time_can_be_moved_in_both_directions_while_the_timer_sleeps() {
        with_timer(|clock, timer| async move {
            let (alarm, woken) = sleeper(&clock, &timer);
            alarm.set(Time::from_millis(500));
            until(&clock, 10).await;
            alarm.set(Time::from_millis(100));
            until(&clock, 50).await;
            alarm.set(Time::from_millis(300));
            until(&clock, 1000).await;
            assert!(matches!(woken.borrow()[..], [300..=302]), "{woken:?}");
        });
    }

    #[test]
    fn nobody_is_woken_who_never_asked_or_gave_up_the_place() {
        with_timer(|clock, timer| async move {
            let (_never, never_woken) = sleeper(&clock, &timer);
            let (gone, gone_woken) = sleeper(&clock, &timer);
            gone.set(Time::from_millis(10));
            drop(gone);
            until(&clock, 1000).await;
            assert!(never_woken.borrow().is_empty() && gone_woken.borrow().is_empty());
        });
    }

    #[test]
    fn who_is_moved_again_and_again_takes_no_more_room_and_is_woken_once() {
        with_timer(|clock, timer| async move {
            let (alarm, woken) = sleeper(&clock, &timer);
            for ms in (100..1_000).chain((200..1_000).rev()) {
                alarm.set(Time::from_millis(ms));
            }
            alarm.set(Time::from_millis(300));
            assert_eq!(timer.shared.sleepers.borrow().queue.len(), 1);
            until(&clock, 2_000).await;
            assert!(matches!(woken.borrow()[..], [300..=302]), "{woken:?}");
        });
    }

    #[test]
    fn a_time_that_has_passed_wakes_at_once() {
        with_timer(|clock, timer| async move {
            let (alarm, woken) = sleeper(&clock, &timer);
            until(&clock, 40).await;
            alarm.set(Time::ZERO);
            until(&clock, 100).await;
            assert!(matches!(woken.borrow()[..], [40..=42]), "{woken:?}");
        });
    }
}
