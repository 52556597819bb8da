//! What came out of the trials of a line.

use std::time::Duration;

/// The downtimes of all trials of a line, shortest first.
#[derive(Debug, Clone)]
pub struct Summary {
    trials: usize,
    /// Of those in which somebody was elected.
    downtimes: Vec<Duration>,
}

impl Summary {
    /// Of these trials; `None` where nobody was elected.
    pub fn of(trials: impl IntoIterator<Item = Option<Duration>>) -> Self {
        let trials: Vec<Option<Duration>> = trials.into_iter().collect();
        let mut downtimes: Vec<Duration> = trials.iter().copied().flatten().collect();
        downtimes.sort_unstable();
        Self { trials: trials.len(), downtimes }
    }

    /// How many trials there were.
    pub fn trials(&self) -> usize {
        self.trials
    }

    /// In how many somebody was elected before the trial was given up.
    pub fn elected(&self) -> usize {
        self.downtimes.len()
    }

    /// In how many somebody was elected within so long.
    pub fn elected_within(&self, limit: Duration) -> usize {
        self.downtimes.partition_point(|downtime| *downtime <= limit)
    }

    /// So many percent of all trials took no longer; `None` if in fewer somebody was elected.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.trials * percent).div_ceil(100).max(1);
        self.downtimes.get(rank - 1).copied()
    }

    /// The mean; `None` if not all trials have an end.
    pub fn mean(&self) -> Option<Duration> {
        let count = u32::try_from(self.trials).ok().filter(|count| *count > 0)?;
        (self.elected() == self.trials).then(|| self.downtimes.iter().sum::<Duration>() / count)
    }

    /// Milliseconds, and the percentage of all trials that took no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, f64)> {
        let percent = 100.0 / self.trials.max(1) as f64;
        self.downtimes.iter().zip(1_u32..).map(move |(downtime, rank)| (ms(*downtime), f64::from(rank) * percent))
    }
}

/// Milliseconds.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
