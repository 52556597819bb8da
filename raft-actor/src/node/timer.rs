//! One timer for all groups of a host.
//!
//! Deadlines are plain fields, looked at after every batch as well. The timer
//! sleeps until the earliest; one that was moved later is noticed on waking.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use actix::prelude::*;
use raft_consensus::Time;
use tokio::sync::Notify;

use crate::clock::Clock;

/// The time that a node asked to be woken at has come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// The timer of a host. Clones are the same timer.
#[derive(Clone)]
pub(crate) struct Timer {
    shared: Rc<Shared>,
}

struct Shared {
    clock: Clock,
    alarms: RefCell<Vec<Sleeper>>,
    /// What the timer sleeps for at the moment.
    asleep_until: Cell<Time>,
    earlier: Notify,
}

/// Who sleeps, and until when.
type Sleeper = (Rc<Cell<Time>>, Recipient<Wake>);

/// A node's place in the timer. Dropping it gives up the place.
pub(crate) struct Alarm {
    at: Rc<Cell<Time>>,
    shared: Rc<Shared>,
}

impl Timer {
    pub(crate) fn new(clock: Clock) -> Self {
        let shared =
            Shared { clock, alarms: RefCell::default(), asleep_until: Cell::new(Time::ZERO), earlier: Notify::new() };
        Self { shared: Rc::new(shared) }
    }

    /// Adds somebody to be woken.
    pub(crate) fn alarm(&self, wake: Recipient<Wake>) -> Alarm {
        let at = Rc::new(Cell::new(Time::NEVER));
        self.shared.alarms.borrow_mut().push((Rc::clone(&at), wake));
        Alarm { at, shared: Rc::clone(&self.shared) }
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
        let hour = self.clock.now().after(std::time::Duration::from_secs(3600));
        self.alarms.borrow().iter().map(|(at, _)| at.get()).fold(hour, Time::min)
    }

    fn wake_due(&self) {
        let now = self.clock.now();
        for (at, wake) in self.alarms.borrow().iter() {
            if at.get() <= now {
                // Once is enough: the woken sets its next time.
                at.set(Time::NEVER);
                wake.do_send(Wake);
            }
        }
    }
}

impl Alarm {
    /// Wake me then, and not at the time said before.
    pub(crate) fn set(&self, at: Time) {
        self.at.set(at);
        if at < self.shared.asleep_until.get() {
            self.shared.asleep_until.set(at);
            self.shared.earlier.notify_one();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Ok(mut alarms) = self.shared.alarms.try_borrow_mut() {
            alarms.retain(|(at, _)| !Rc::ptr_eq(at, &self.at));
        }
    }
}
