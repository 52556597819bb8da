//! What the operating system says about this process, and others that it has started.

use std::fs;

/// The most memory that was resident since the last reset, in bytes; zero where there is no `/proc`.
fn peak_rss_bytes() -> u64 {
    peak_rss_bytes_of("self").unwrap_or(0)
}

fn peak_rss_bytes_of(id: &str) -> Option<u64> {
    peak_in(&fs::read_to_string(format!("/proc/{id}/status")).ok()?)
}

/// Whose processor time a run costs: this process's, and that of the nodes which are processes of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    nodes: Vec<u32>,
}

impl Meter {
    /// This process and those with these numbers.
    pub(super) fn with_nodes(nodes: impl IntoIterator<Item = u32>) -> Self {
        Self { nodes: nodes.into_iter().collect() }
    }

    /// Processor time that all of them have used so far.
    pub(super) fn cpu_seconds(&self) -> f64 {
        cpu_seconds() + self.nodes.iter().map(|id| cpu_seconds_of(&id.to_string())).sum::<f64>()
    }

    /// The memory of all of them that is resident now.
    pub(super) fn resident_bytes(&self) -> u64 {
        resident_bytes() + self.nodes.iter().map(|id| resident_bytes_of(&id.to_string())).sum::<u64>()
    }

    /// The most memory that one of the nodes has ever had; none where nodes are no processes.
    pub(super) fn node_peak_rss_bytes(&self) -> Option<u64> {
        self.nodes.iter().filter_map(|id| peak_rss_bytes_of(&id.to_string())).max()
    }
}

/// The memory that is resident now, in bytes; zero where there is no `/proc`.
pub(super) fn resident_bytes() -> u64 {
    resident_bytes_of("self")
}

fn resident_bytes_of(id: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    kib_in(&status, "VmRSS:").unwrap_or(0)
}

/// The memory of this process during a run. What earlier runs have left with the allocator is part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// Resident when the run began.
    pub(super) before_bytes: u64,
    /// The most that was resident since.
    pub(super) peak_bytes: u64,
}

impl Memory {
    /// Forgets the peak so far, where the system allows it; otherwise peaks only ever grow from row to row.
    pub(super) fn watch() -> Self {
        // 5 resets VmHWM, see proc(5).
        let _ = fs::write("/proc/self/clear_refs", "5");
        Self { before_bytes: resident_bytes(), peak_bytes: 0 }
    }

    /// The run is over; what comes after it does not count.
    pub(super) fn peaked(self) -> Self {
        Self { peak_bytes: peak_rss_bytes(), ..self }
    }
}

fn peak_in(status: &str) -> Option<u64> {
    kib_in(status, "VmHWM:")
}

/// What stands behind a name, in bytes.
fn kib_in(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Processor time that this process has used, in seconds; zero where there is no `/proc`.
pub(super) fn cpu_seconds() -> f64 {
    cpu_seconds_of("self")
}

/// The same of another process.
fn cpu_seconds_of(id: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    cpu_ticks_in(&stat).map_or(0.0, |ticks| ticks as f64 / TICKS_PER_SECOND)
}

/// Processor time that the calling thread has used, in seconds; zero where the system does not tell.
pub(super) fn thread_cpu_seconds() -> f64 {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
    nanoseconds.map_or(0.0, |nanoseconds| nanoseconds as f64 / 1e9)
}

/// Of the times in `/proc`, on every Linux that there is: USER_HZ.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time: fields 14 and 15, counted behind the name, which may contain anything.
fn cpu_ticks_in(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_kib() {
        assert_eq!(peak_in("VmPeak:\t  900 kB\nVmHWM:\t  12 kB\nVmRSS:\t 11 kB\n"), Some(12 * 1024));
        assert_eq!(peak_in(""), None);
    }

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0";
        assert_eq!(cpu_ticks_in(stat), Some(300));
        assert_eq!(cpu_ticks_in(""), None);
    }
}
