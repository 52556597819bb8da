//! What can be chosen about a write-ahead log.

/// Settings of a [`Wal`](super::Wal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalOptions {
    /// Size of a segment in bytes, 64 MiB unless told; taken into 16 KiB ..= 1 GiB. A larger batch gets a
    /// larger segment of its own. May differ from one opening to the next.
    pub segment_bytes: u64,
    /// Whether a log that is not there is begun. Without it, a log that is not there is
    /// [`LogError::Damaged`](crate::log_storage::LogError::Damaged).
    pub create: bool,
    /// Whether a log that is damaged in the middle is cut there and marked, so that its groups' other voters give
    /// back what is lost (`docs/REPAIR.md`). Where that is impossible, or without it, such a log is
    /// [`LogError::Damaged`](crate::log_storage::LogError::Damaged).
    pub repair: bool,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, create: true, repair: true }
    }
}

impl WalOptions {
    /// The size of a segment within its limits.
    pub(super) fn segment_limit_bytes(&self) -> u64 {
        self.segment_bytes.clamp(16 << 10, 1 << 30)
    }
}
