//! How long to wait before the next attempt.

use std::time::Duration;

/// Doubling, up to a limit, and somewhat random, so that all who lost the same node do not come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    /// Trying again soon is of no use.
    pub(crate) fn exhaust(&mut self) {
        self.next = self.max;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let now = self.next.min(self.max);
        self.next = (now * 2).min(self.max);
        now.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_are_never_shorter_than_half() {
        let (min, max) = (Duration::from_millis(20), Duration::from_secs(1));
        let mut backoff = Backoff::new(min, max);
        let mut expected = min;
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(wait <= expected && wait >= expected / 2, "{wait:?} of {expected:?}");
            expected = (expected * 2).min(max);
        }
        backoff.reset();
        assert!(backoff.next() <= min);
        backoff.exhaust();
        assert!(backoff.next() >= max / 2);
    }
}
