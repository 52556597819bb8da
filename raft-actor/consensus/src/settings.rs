//! What can be set.

use std::time::Duration;

/// The highest [`Settings::election_priority`].
pub const ELECTION_PRIORITY_MAX: u8 = 3;

/// Times and limits of a member. The defaults suit a local network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A follower that hears nothing for a random time in `[min, max)` milliseconds campaigns (§5.2). At least 1.
    pub election_timeout_ms_min: u64,
    /// The end of that range. 0: twice the minimum; otherwise at least the minimum. A narrow range makes split votes
    /// likely, and one without any width makes nearly all of them so (§9.3, Figure 16).
    pub election_timeout_ms_max: u64,
    /// How soon this member campaigns, compared with others: 0 to [`ELECTION_PRIORITY_MAX`], which is the default.
    /// Each step below adds one minimum election timeout to its own timeouts (or the width of their range, if that is
    /// more), so that members of a higher priority that can be elected are, before it asks. It neither changes votes nor keeps it from leading: if no other can be
    /// elected, it is, only later.
    pub election_priority: u8,
    /// A leader speaks at least this often. Well below the election timeout; at least 1.
    pub heartbeat_ms: u64,
    /// A group in which nothing has happened for this many milliseconds, and whose members are all level, rests: its
    /// leader sends no heartbeats. 0: never. Only for hosts that tell each other that they are alive
    /// ([`Input::HostSilent`](crate::Input::HostSilent)).
    pub rest_after_ms: u64,
    /// A resting leader speaks at least this often, and a follower rests no longer than twice this without hearing it,
    /// whatever is said of hosts.
    pub rest_ms_max: u64,
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
        Self::DEFAULT
    }
}

impl Settings {
    /// The default, for constants.
    pub const DEFAULT: Self = Self {
        election_timeout_ms_min: 1000,
        election_timeout_ms_max: 0,
        election_priority: ELECTION_PRIORITY_MAX,
        heartbeat_ms: 100,
        rest_after_ms: 0,
        rest_ms_max: 30_000,
        append_batch_bytes_max: 1 << 20,
        inflight_appends_max: 8,
        inflight_bytes_max: 8 << 20,
        storage_stall_ms_max: None,
        uncommitted_bytes_max: 64 << 20,
        snapshot_entries: 0,
        snapshot_bytes: 0,
        log_tail_entries: 1_000,
        log_tail_bytes_max: 64 << 20,
    };

    /// The shortest election timeout.
    pub fn election_timeout_min(&self) -> Duration {
        Duration::from_millis(self.election_timeout_ms_min.max(1))
    }

    /// The end of the range of election timeouts; never below the shortest.
    pub fn election_timeout_max(&self) -> Duration {
        let min = self.election_timeout_min();
        if self.election_timeout_ms_max == 0 {
            min.saturating_mul(2)
        } else {
            Duration::from_millis(self.election_timeout_ms_max).max(min)
        }
    }

    /// By how much this member's election timeouts are longer than those of a member of the highest priority.
    pub fn election_delay(&self) -> Duration {
        let below = ELECTION_PRIORITY_MAX.saturating_sub(self.election_priority);
        let (min, max) = (self.election_timeout_min(), self.election_timeout_max());
        min.max(max.saturating_sub(min)) * u32::from(below)
    }

    /// The time between heartbeats.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.max(1))
    }

    /// After which time without any activity a group rests, if ever.
    pub fn rest_after(&self) -> Option<Duration> {
        (self.rest_after_ms > 0).then(|| Duration::from_millis(self.rest_after_ms))
    }

    /// The time between two signs of life of a resting leader.
    pub fn rest_max(&self) -> Duration {
        Duration::from_millis(self.rest_ms_max.max(self.heartbeat_ms).max(1))
    }

    /// How old an unconfirmed write may get before the storage counts as stuck.
    pub fn storage_stall_max(&self) -> Duration {
        let default_ms = self.election_timeout_ms_min.saturating_mul(2).max(1000);
        Duration::from_millis(self.storage_stall_ms_max.unwrap_or(default_ms))
    }
}
