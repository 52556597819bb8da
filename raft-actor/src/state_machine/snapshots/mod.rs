//! The snapshots of a group: one file each, of which the newest counts. `docs/SNAPSHOTS.md` has the format and the promises.
//!
//! A snapshot gets its final name only when all of its bytes are durable, so whatever carries one is whole, or was
//! damaged later. It comes about in one of two ways:
//!
//! ```text
//! write      written-N.tmp  -> sync -> rename -> sync of the directory -> the ones before it are removed
//! receive    received-*.tmp -> all there, checked, sync -> adopt: rename -> sync of the directory -> the same
//! ```
//!
//! | file | what it is about |
//! |---|---|
//! | `store` | one group's snapshots: open, write, receive, adopt |
//! | `file` | a whole one, to be sent or loaded |
//! | `partial` | one that is coming in |
//! | `format` | the bytes |
//! | `id` | names |

mod error;
mod file;
mod format;
mod id;
mod memory_disk;
mod partial;
mod store;
#[cfg(test)]
mod tests;

pub use error::SnapshotError;
pub(crate) use file::SnapshotFile;
pub use id::SnapshotId;
pub(crate) use partial::{PartialSnapshot, ReceivedSnapshot};
pub(crate) use store::SnapshotStore;
