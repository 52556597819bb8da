//! Where a host keeps the logs of its groups.
//!
//! [`LogStorage`] is the seam: the write-ahead log and the memory log implement
//! it, both pass the same contract tests, and so can a log of your own. It knows
//! terms and indexes as labels only; what they mean is the core's business.
//!
//! A log is driven from outside as [`write`](LogStorage::write), then
//! [`sync`](LogStorage::sync), by one owner on one thread. Nothing that was
//! written counts as durable before the `sync` behind it returned `Ok`.

use std::sync::Arc;

/// What logs are made of, for one of your own.
pub use raft_consensus::{Entries, Entry, GroupId, HardState, Log, LogIndex, LogPosition, LogWrite, Payload, Term};

mod actor;
mod cache;
pub mod contract;
mod counts;
mod directory;
pub mod disk;
mod error;
mod identity;
mod memory;
#[cfg(any(test, feature = "sim"))]
pub mod sim_disk;
mod wal;

pub(crate) use actor::{
    CloseLog, Flush, ForgetLogClient, LogClient, LogOrders, LogShare, LogStorageActor, Persist, Persisted,
    StorageFailed, WithLog,
};
pub(crate) use cache::LogCache;
pub(crate) use counts::LogCounters;
pub use counts::LogCounts;
pub use directory::DataDirectory;
pub use error::LogError;
pub use identity::Identity;
pub use memory::MemoryLog;
pub use wal::{Wal, WalOptions};

/// The durable logs and hard states of all groups of one host.
pub trait LogStorage: Send + 'static {
    /// The groups that have a log here, in ascending order.
    fn groups(&self) -> Vec<GroupId>;

    /// Returns what is durable of a group; an empty log for one that was never
    /// written to. Opening the storage has made durable all that this returns.
    ///
    /// The base of the log is the last entry that was purged, with the configuration that was in force there,
    /// or the position of the last reset, with an empty configuration: the snapshot knows that one.
    ///
    /// # Errors
    /// If the log is damaged or cannot be read.
    fn recover(&mut self, group: GroupId) -> Result<RecoveredGroup, LogError>;

    /// Takes over a batch of writes, in order, without making them durable.
    /// They must be readable through [`reader`](LogStorage::reader) from here on.
    ///
    /// # Errors
    /// After an error the log refuses everything; the host has to stop and to open it anew.
    ///
    /// # Panics
    /// If a write does not fit the log: a gap, a replacement at or below the base, a purge beyond the end.
    /// A purge of what is already gone is none of these; it does nothing.
    fn write(&mut self, writes: &[GroupWrite]) -> Result<(), LogError>;

    /// Makes everything durable that was written so far.
    ///
    /// # Errors
    /// As for [`write`](LogStorage::write). A failed sync is never retried: what
    /// the disk holds is unknown from then on.
    fn sync(&mut self) -> Result<(), LogError>;

    /// A reader for other threads.
    fn reader(&self) -> Arc<dyn LogReader>;

    /// Whether `sync` costs nothing, so that the log may run on the node's own thread.
    fn is_volatile(&self) -> bool {
        false
    }

    /// Called when nothing happened for some milliseconds, for work that can wait
    /// (sealing the last batch, preparing a spare segment). Returns whether more is to be done.
    ///
    /// # Errors
    /// As for [`write`](LogStorage::write).
    fn idle(&mut self) -> Result<bool, LogError> {
        Ok(false)
    }

    /// Called when the host stops in order; nothing is written any more. The last chance to make sure that whatever was
    /// durable is missed at the next opening if it is lost by then, or was found to be: a log that ends with what was
    /// acknowledged last may be cut there in silence.
    ///
    /// # Errors
    /// As for [`write`](LogStorage::write). What was durable before stays so.
    fn close(&mut self) -> Result<(), LogError> {
        Ok(())
    }
}

/// Reads logs while their owner goes on writing.
pub trait LogReader: Send + Sync {
    /// The entries from `from` to `through`: as many as fit into `bytes_max`,
    /// yet at least one. They begin at `from`; none if the log does not hold that one (any more),
    /// fewer if it ends before `through`.
    ///
    /// # Errors
    /// If what is read turns out to be damaged, or the disk does not answer.
    fn read(&self, group: GroupId, from: LogIndex, through: LogIndex, bytes_max: u64) -> Result<Entries, LogError>;
}

/// A change to the durable state of one group.
///
/// Until it was synced a crash may leave any part of it from its beginning on: nothing, the hard state, the hard
/// state and some of the entries. Never an entry without the hard state and the entries before it; nothing of it
/// counts before the sync anyway.
#[derive(Debug, Clone)]
pub struct GroupWrite {
    /// The group it belongs to.
    pub group: GroupId,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// The change to the log, if there is one.
    pub log: Option<LogWrite>,
}

/// Where the log of a destroyed group stands: in the last of all terms, in which nobody can be elected, behind the last
/// of all entries, which nothing can follow. So even a member that was started on it by mistake could do no harm.
const TOMBSTONE: LogPosition = LogPosition::new(Term::new(u64::MAX), LogIndex::new(u64::MAX));

impl GroupWrite {
    /// Ends a group for good: what it had is gone, and that it was destroyed is remembered like anything else in the log.
    pub fn tombstone(group: GroupId) -> Self {
        let hard_state = HardState { term: TOMBSTONE.term, vote: None, damage: None };
        Self { group, hard_state: Some(hard_state), log: Some(LogWrite::Reset { to: TOMBSTONE }) }
    }
}

/// What a log gave back when it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveredGroup {
    /// The last hard state that was made durable.
    pub hard_state: HardState,
    /// The shape of the log.
    pub log: Log,
}

impl RecoveredGroup {
    /// Whether the group was destroyed on this host; see [`GroupWrite::tombstone`].
    pub fn is_destroyed(&self) -> bool {
        self.log.base() == TOMBSTONE
    }
}
