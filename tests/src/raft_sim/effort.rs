//! What it took to make runs.

use std::fs;
use std::time::{Duration, Instant};

/// What it took to make runs.
#[derive(Debug, Clone)]
pub struct Effort {
    /// What the clock on the wall says.
    pub took: Duration,
    /// What the processors did for it, where the system says so.
    pub cpu: Option<Duration>,
    /// How many runs were made at a time.
    pub jobs: usize,
}

/// Since when.
pub(super) struct Since {
    begun: Instant,
    cpu: Option<Duration>,
}

impl Since {
    pub(super) fn now() -> Self {
        Self { begun: Instant::now(), cpu: cpu_time() }
    }

    pub(super) fn effort(&self, jobs: usize) -> Effort {
        let cpu = self.cpu.zip(cpu_time()).map(|(before, after)| after.saturating_sub(before));
        Effort { took: self.begun.elapsed(), cpu, jobs }
    }
}

impl Effort {
    /// Seconds of one processor. Others may use the machine too, so that the clock on the wall says less.
    pub(super) fn core_seconds(&self) -> f64 {
        let wall = self.took.as_secs_f64() * self.jobs as f64;
        self.cpu.filter(|cpu| !cpu.is_zero()).map_or(wall, |cpu| cpu.as_secs_f64()).max(1e-9)
    }
}

/// What Linux counts in, for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// What this process has used so far, its threads that have ended included; `None` where there is no procfs.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may contain anything: state is the 3rd field, utime and stime are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}
