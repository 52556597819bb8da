//! What the builders are told of snapshots.

use raft_consensus::Settings;

/// What was said of snapshots beside the [`Settings`], over which it wins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SnapshotSettings {
    pub(crate) entries: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) tail_entries: Option<u64>,
}

impl SnapshotSettings {
    pub(crate) fn apply_to(self, settings: &mut Settings) {
        let Self { entries, bytes, tail_entries } = self;
        settings.snapshot_entries = entries.unwrap_or(settings.snapshot_entries);
        settings.snapshot_bytes = bytes.unwrap_or(settings.snapshot_bytes);
        settings.log_tail_entries = tail_entries.unwrap_or(settings.log_tail_entries);
    }
}
