//! What can go wrong with a log on disk.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log cannot be opened, written or read. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
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
    /// A record that was durable once is not readable any more.
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
    /// Another process uses the directory.
    #[error("{path} is in use by another process; stop that one first, or choose another directory")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory belongs to somebody else.
    #[error("{path} belongs to {found}, not to {expected}; check --data-dir, --id and --cluster")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who wanted to open it.
        expected: String,
    },
    /// The directory was written by a later version.
    #[error("{path} has format version {found}; this build reads up to {supported}: use a newer build")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version that this build reads.
        supported: u32,
    },
    /// An earlier write or sync failed; what the disk holds is unknown until it is opened anew.
    #[error("the log stopped after an earlier failure; restart the node so that it reads its disk again")]
    Stopped,
}

/// Says what was attempted with which file when the operating system said no.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError::Io { action, path, source }
}
