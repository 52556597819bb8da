//! The time that the leader stamps commands of sessions with: log time, in milliseconds.
//!
//! It goes on from the last time that was applied, as fast as this server's monotonic clock, and only while this server
//! leads. No two servers have to agree on any clock, and whatever a clock does, members only see what is in the log.

use std::time::Duration;

use bytes::Bytes;
use raft_consensus::Time;

use crate::state_machine::command::{self, Stamp};

/// The log time, as far as this server knows.
#[derive(Debug)]
pub(super) struct LogTime {
    /// What the log time was ...
    base_ms: u64,
    /// ... when the clock showed this.
    base_at: Time,
    lifetime_ms: u32,
}

impl LogTime {
    pub(super) fn new(lifetime: Duration, now: Time) -> Self {
        let lifetime_ms = u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX);
        Self { base_ms: 0, base_at: now, lifetime_ms }
    }

    /// This server leads from now on: time has stood still since the last entry.
    pub(super) fn takes_office(&mut self, now: Time) {
        self.base_at = now;
    }

    /// The state machine has applied a command of this time.
    pub(super) fn applied(&mut self, time_ms: u64, now: Time) {
        if time_ms > self.at(now) {
            self.base_ms = time_ms;
            self.base_at = now;
        }
    }

    fn at(&self, now: Time) -> u64 {
        let elapsed_ms = now.since(self.base_at).as_millis();
        self.base_ms.saturating_add(u64::try_from(elapsed_ms).unwrap_or(u64::MAX))
    }

    /// Stamps those commands that want it.
    pub(super) fn stamp(&self, commands: &mut [Bytes], now: Time) {
        for framed in commands.iter_mut().filter(|framed| command::wants_stamp(framed)) {
            let stamp = Stamp { time_ms: self.at(now), lifetime_ms: self.lifetime_ms };
            *framed = command::stamp(std::mem::take(framed), stamp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_machine::command::{Once, begin_once, begin_plain, parse};

    fn at_ms(ms: u64) -> Time {
        Time::from_micros(ms * 1_000)
    }

    fn stamped(time: &LogTime, now: Time) -> u64 {
        let mut framed = Vec::new();
        let once = Once { client: "a", sequence: 1, acknowledged: 0, may_open: true };
        begin_once(&once, &mut framed).unwrap();
        let mut plain = Vec::new();
        begin_plain(&mut plain);
        let mut commands = [Bytes::from(plain.clone()), Bytes::from(framed)];
        time.stamp(&mut commands, now);
        assert_eq!(commands[0], plain, "it has no stamp");
        let (_, stamp) = parse(&commands[1]).unwrap().once.unwrap();
        assert_eq!(stamp.lifetime_ms, 500);
        stamp.time_ms
    }

    #[test]
    fn log_time_goes_on_from_what_was_applied_as_the_leaders_clock_does() {
        let mut time = LogTime::new(Duration::from_millis(500), at_ms(1_000));
        time.applied(70_000, at_ms(2_000));
        time.takes_office(at_ms(9_000));
        assert_eq!(stamped(&time, at_ms(9_000)), 70_000, "nobody led meanwhile");
        assert_eq!(stamped(&time, at_ms(9_300)), 70_300);
        // Its own commands come back later than they were stamped: they hold nothing up.
        time.applied(70_200, at_ms(9_400));
        assert_eq!(stamped(&time, at_ms(9_400)), 70_400);
    }

    #[test]
    fn what_a_former_leader_stamped_and_is_applied_late_raises_it() {
        let mut time = LogTime::new(Duration::from_millis(500), at_ms(0));
        time.takes_office(at_ms(0));
        time.applied(5_000, at_ms(10));
        assert_eq!(stamped(&time, at_ms(11)), 5_001);
    }
}
