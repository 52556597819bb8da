//! What can go wrong with a snapshot.

use std::io;
use std::path::{Path, PathBuf};

use crate::log_storage::disk::Disk;

/// Why a snapshot cannot be written, received, opened or read. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The operating system said no.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was attempted, as a verb: `open`, `write to`, `sync`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The state machine could not write its state, or not read it back.
    #[error("the state machine cannot {action} its state: {source}")]
    Machine {
        /// `save` or `load`.
        action: &'static str,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("{path} is damaged at byte {offset}: {what}. {advice}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// The file was written by a later version.
    #[error("{path} has format version {found}; this build reads up to {supported}: use a newer build")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version that this build reads.
        supported: u32,
    },
    /// A piece of a snapshot does not follow on what was received before it.
    #[error("a piece at byte {offset} does not follow on the {received} bytes received of {size_bytes}")]
    Gap {
        /// Where the piece begins.
        offset: u64,
        /// How much is there.
        received: u64,
        /// How much there will be.
        size_bytes: u64,
    },
    /// The reception of another snapshot was begun, which ended this one; or this very one is complete already.
    #[error("this reception is over: {reason}")]
    Over {
        /// Why.
        reason: &'static str,
    },
}

/// Says what was attempted with which file when the operating system said no.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::Io { action, path, source }
}

/// Removes a file that nobody needs. One that stays is removed at the next start.
pub(super) fn remove_useless(disk: &dyn Disk, path: &Path) {
    if let Err(error) = disk.remove(path) {
        tracing::debug!(path = %path.display(), %error, "a file that nobody needs stays until the next start");
    }
}
