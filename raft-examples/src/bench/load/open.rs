//! An open loop: requests are sent when their time has come, whatever became of those before.
//!
//! A client that waits for its answer sends less while the system stalls, and so hides most of a stall (coordinated
//! omission). Here the time of a request counts from when it was due, so that everybody who would have waited is in the
//! figures.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::{spawn_local, yield_now};

use super::alarm::Alarm;
use super::{Client, Mix, Target};

/// After so many requests in a row, others have a turn.
const IN_A_ROW: u32 = 64;

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

/// Sends requests from now until `end`, so many per second, at most as many at the same time as there are clients.
/// Returns when all are answered.
///
/// # Errors
/// If the system has no timers.
pub(super) async fn run<T: Target>(
    client: Client<T>,
    mut mix: Mix,
    clients: usize,
    rate: f64,
    end: Instant,
) -> io::Result<Pace> {
    let client = Rc::new(client);
    let clients = u32::try_from(clients).unwrap_or(u32::MAX);
    let free = Rc::new(Semaphore::new(clients as usize));
    let alarm = Alarm::new()?;
    let mut now = Instant::now();
    let schedule = Schedule { start: now, end, rate };
    let (mut late, mut in_a_row, mut number) = (0, 0, 0_u64);
    while number < schedule.count() {
        let due = schedule.due(number);
        if due > now {
            now = Instant::now();
        }
        if due > now {
            now = alarm.until(due).await?;
            in_a_row = 0;
        }
        if due < client.begin && now >= client.begin {
            // What the warm-up has not managed burdens nobody else.
            number += 1;
            continue;
        }
        if free.available_permits() == 0 {
            late += u64::from(due >= client.begin);
            // Whoever is under way in the end is waited for below.
            if tokio::time::timeout_at(end.into(), free.acquire()).await.is_err() {
                break;
            }
        }
        free.acquire().await.expect("it is not closed").forget();
        let (client, free, is_read) = (Rc::clone(&client), Rc::clone(&free), mix.next_is_read());
        spawn_local(async move {
            client.send(number as usize, is_read, due).await;
            free.add_permits(1);
        });
        number += 1;
        in_a_row += 1;
        if in_a_row == IN_A_ROW {
            in_a_row = 0;
            yield_now().await;
            now = Instant::now();
        }
    }
    let _all = free.acquire_many(clients).await.expect("it is not closed");
    Ok(Pace { rate, late, missed: schedule.count() - number })
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
