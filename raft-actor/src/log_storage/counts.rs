//! What a host's log has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use raft_consensus::LogWrite;
use serde::Serialize;

use super::GroupWrite;

/// What the log of a host has made durable since the host started, for all its groups: how much shares a sync.
///
/// All zero where the log needs no disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LogCounts {
    /// Syncs that somebody waited for; not those of work that can wait.
    pub syncs: u64,
    /// Writes of groups: entries of one replication, a vote, a purge.
    pub writes: u64,
    /// Entries.
    pub entries: u64,
}

/// Written by the log, read by anybody.
#[derive(Debug, Default)]
pub(crate) struct LogCounters {
    syncs: AtomicU64,
    writes: AtomicU64,
    entries: AtomicU64,
}

impl LogCounters {
    /// These are durable, by one sync.
    pub(super) fn synced(&self, done: LogCounts) {
        self.syncs.fetch_add(done.syncs, Ordering::Relaxed);
        self.writes.fetch_add(done.writes, Ordering::Relaxed);
        self.entries.fetch_add(done.entries, Ordering::Relaxed);
    }

    /// Each is exact; together they are as of about the same moment.
    pub(crate) fn read(&self) -> LogCounts {
        LogCounts {
            syncs: self.syncs.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            entries: self.entries.load(Ordering::Relaxed),
        }
    }
}

impl LogCounts {
    /// What one sync makes durable.
    pub(super) fn of_sync(writes: &[GroupWrite]) -> Self {
        let entries = writes.iter().map(|write| match &write.log {
            Some(LogWrite::Append(entries) | LogWrite::Replace(entries)) => entries.len() as u64,
            Some(LogWrite::Reset { .. } | LogWrite::Purge { .. }) | None => 0,
        });
        Self { syncs: 1, writes: writes.len() as u64, entries: entries.sum() }
    }
}
