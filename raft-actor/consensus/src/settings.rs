//! What can be set.

use std::time::Duration;

/// Times and limits of a member. The defaults suit a local network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A follower that hears nothing for a random time in `[min, 2 * min)` milliseconds campaigns (§5.2). At least 1.
    pub election_timeout_ms_min: u64,
    /// A leader speaks at least this often. Well below the election timeout; at least 1.
    pub heartbeat_ms: u64,
    /// Most bytes of entries in one AppendEntries; a single larger entry travels alone.
    pub append_batch_bytes_max: u64,
    /// Most AppendEntries with entries on their way to one follower at a time. At least 1.
    pub inflight_appends_max: usize,
    /// Most bytes of entries on their way to one follower at a time.
    pub inflight_bytes_max: u64,
    /// A storage that has not confirmed a write for this long counts as stuck:
    /// a leader steps down, nobody campaigns or votes. `None`: the larger of 1 s and two election timeouts.
    pub storage_stall_ms_max: Option<u64>,
    /// Most bytes of proposals that are appended but not yet committed; above it a leader refuses further batches.
    pub uncommitted_bytes_max: u64,
    /// A snapshot is taken when this many entries were applied since the last one (§7). 0: never by this count.
    pub snapshot_entries: u64,
    /// A snapshot is taken when entries of this many bytes were applied since the last one. 0: never by this count.
    pub snapshot_bytes: u64,
    /// How many entries behind the newest snapshot the log keeps, so that a follower that lags a little
    /// needs no snapshot. One that follows keeps more, as far as it needs.
    pub log_tail_entries: u64,
    /// Most bytes of entries behind the newest snapshot that the log keeps, whoever needs them.
    pub log_tail_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            election_timeout_ms_min: 1000,
            heartbeat_ms: 100,
            append_batch_bytes_max: 1 << 20,
            inflight_appends_max: 8,
            inflight_bytes_max: 8 << 20,
            storage_stall_ms_max: None,
            uncommitted_bytes_max: 64 << 20,
            snapshot_entries: 0,
            snapshot_bytes: 0,
            log_tail_entries: 1_000,
            log_tail_bytes_max: 64 << 20,
        }
    }
}

impl Settings {
    /// The shortest election timeout.
    pub fn election_timeout_min(&self) -> Duration {
        Duration::from_millis(self.election_timeout_ms_min.max(1))
    }

    /// The time between heartbeats.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.max(1))
    }

    /// How old an unconfirmed write may get before the storage counts as stuck.
    pub fn storage_stall_max(&self) -> Duration {
        let default_ms = self.election_timeout_ms_min.saturating_mul(2).max(1000);
        Duration::from_millis(self.storage_stall_ms_max.unwrap_or(default_ms))
    }
}
