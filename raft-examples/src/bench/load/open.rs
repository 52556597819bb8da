//! An open loop: requests are sent when their time has come, whatever became of those before.
//!
//! A client that waits for its answer sends less while the system stalls, and so hides most of a stall (coordinated
//! omission). Here the time of a request counts from when it was due, so that everybody who would have waited is in the
//! figures.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::{JoinSet, yield_now};

use super::alarm::Alarm;
use super::{Client, Mix, Target};

/// How an open loop went; part of its row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(in super::super) struct Pace {
    /// Requests that were due in a second.
    pub(in super::super) rate: f64,
    /// Requests that were sent late because all clients waited for an answer; part of the latencies like all others.
    pub(in super::super) late: u64,
    /// Requests that were due and were not sent in the time that was measured.
    pub(in super::super) missed: u64,
}

/// When requests are due.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    end: Instant,
    rate: f64,
}

impl Schedule {
    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// How many are due before the end.
    fn count(&self) -> u64 {
        ((self.end - self.start).as_secs_f64() * self.rate).ceil() as u64
    }
}

/// What the clients take their requests from, and the task that wakes them.
struct Shared {
    schedule: Schedule,
    /// The next request.
    next: Cell<u64>,
    mix: RefCell<Mix>,
    late: Cell<u64>,
    /// Clients that wait for the next request to be due.
    idle: Cell<usize>,
    /// Wakes one of them.
    due: Notify,
    /// One more of them waits.
    rests: Notify,
}

/// Sends requests from now until `end`, so many per second, with these clients. Returns when all are answered.
///
/// # Errors
/// If the system has no timers.
pub(super) async fn run<T: Target>(clients: Vec<Client<T>>, mix: Mix, rate: f64, end: Instant) -> io::Result<Pace> {
    let shared = Rc::new(Shared {
        schedule: Schedule { start: Instant::now(), end, rate },
        next: Cell::new(0),
        mix: RefCell::new(mix),
        late: Cell::new(0),
        idle: Cell::new(0),
        due: Notify::new(),
        rests: Notify::new(),
    });
    let alarm = Alarm::new()?;
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn_local(take_requests(client, Rc::clone(&shared)));
    }
    let all = async {
        while let Some(client) = tasks.join_next().await {
            client.map_err(io::Error::other)?;
        }
        io::Result::Ok(())
    };
    tokio::select! {
        ended = all => ended?,
        error = wake_clients(&shared, &alarm) => return Err(error),
    }
    Ok(Pace { rate, late: shared.late.get(), missed: shared.schedule.count() - shared.next.get() })
}

/// A client: takes one request after the other that is due, and waits when none is.
async fn take_requests<T: Target>(client: Client<T>, shared: Rc<Shared>) {
    let (mut now, mut has_waited) = (Instant::now(), false);
    loop {
        shared.skip_warm_up(client.begin, now);
        let number = shared.next.get();
        // In the end whoever was waiting still takes one: that all was sent late is no fault of the system.
        if number >= shared.schedule.count() || (now >= shared.schedule.end && !has_waited) {
            // The others are to learn that this was the last one.
            shared.rests.notify_one();
            return;
        }
        let due = shared.schedule.due(number);
        if due > now {
            shared.idle.set(shared.idle.get() + 1);
            shared.rests.notify_one();
            shared.due.notified().await;
            shared.idle.set(shared.idle.get() - 1);
            (now, has_waited) = (Instant::now(), true);
            continue;
        }
        shared.next.set(number + 1);
        let is_late = !has_waited && shared.idle.get() == 0 && due >= client.begin;
        shared.late.set(shared.late.get() + u64::from(is_late));
        let is_read = shared.mix.borrow_mut().next_is_read();
        (now, has_waited) = (client.send(is_read, due).await, false);
    }
}

/// Wakes as many waiting clients as requests have become due, all of them once the last request is taken. Ends only with
/// an error.
async fn wake_clients(shared: &Shared, alarm: &Alarm) -> io::Error {
    loop {
        let number = shared.next.get();
        if number >= shared.schedule.count() {
            shared.due.notify_waiters();
        }
        if number >= shared.schedule.count() || shared.idle.get() == 0 {
            // Whoever is answered takes the next one by itself.
            shared.rests.notified().await;
            continue;
        }
        let now = match alarm.until(shared.schedule.due(number)).await {
            Ok(now) => now,
            Err(error) => return error,
        };
        let waiting = (number..).take_while(|number| shared.schedule.due(*number) <= now).take(shared.idle.get());
        waiting.for_each(|_| shared.due.notify_one());
        // They take what is due; those that are left go on waiting.
        yield_now().await;
    }
}

impl Shared {
    /// What the warm-up has not managed burdens nobody else.
    fn skip_warm_up(&self, begin: Instant, now: Instant) {
        if now >= begin && self.schedule.due(self.next.get()) < begin {
            let begun = Schedule { end: begin, ..self.schedule }.count();
            self.next.set(self.next.get().max(begun));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_equal_distances_and_none_at_the_end() {
        let start = Instant::now();
        let schedule = Schedule { start, end: start + Duration::from_secs(2), rate: 4.0 };
        assert_eq!(schedule.count(), 8);
        assert_eq!(schedule.due(2), start + Duration::from_millis(500));
        assert!(schedule.due(schedule.count()) >= schedule.end);
    }
}
