//! The directory of a host: one owner at a time, and one owner for ever.
//!
//! ```text
//! data-dir/
//!   lock        held while the directory is in use
//!   identity    whose it is; replaced as a whole, so that a crash leaves the old or the new one
//!   wal/        the write-ahead log
//!   snapshots/  a directory for each group
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_consensus::GroupId;

use super::LogError;
use super::disk::{self, Disk, Lock, RealDisk};
use super::error::io_error;
use super::identity::{self, Identity};

const LOCK_FILE: &str = "lock";
const IDENTITY_FILE: &str = "identity";
const WAL_DIRECTORY: &str = "wal";
const SNAPSHOTS_DIRECTORY: &str = "snapshots";
/// An identity remembers a few bytes per peer; more than this is no identity.
const IDENTITY_BYTES_MAX: usize = 16 << 20;

/// An open data directory; locked until it is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    identity: Option<Identity>,
    _lock: Box<dyn Lock>,
}

impl DataDirectory {
    /// Opens the directory, creates it if need be, and locks it.
    ///
    /// # Errors
    /// [`LogError::Locked`] if it is in use, [`LogError::Version`] if a newer build wrote it,
    /// [`LogError::Damaged`] if its identity cannot be read or is missing although there is a log,
    /// [`LogError::Io`] if it is no directory or cannot be written.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        Self::open_on(Arc::new(RealDisk), path)
    }

    /// As [`open`](Self::open), on another disk than the machine's.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_on(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        disk.create_directory(&path).map_err(io_error("use as a directory", &path))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = disk.lock(&lock_path).map_err(io_error("lock", &lock_path))?;
        let lock = lock.ok_or_else(|| LogError::Locked { path: path.clone() })?;
        remove_leftover(disk.as_ref(), &path)?;
        // The identity may have got its name just before a crash of the process; a crash of the machine must not
        // bring back the one before, once others were told of this one.
        disk.sync_directory(&path).map_err(io_error("sync", &path))?;
        let identity = read_identity(disk.as_ref(), &path)?;
        if identity.is_none() {
            refuse_orphaned_log(disk.as_ref(), &path)?;
        }
        Ok(Self { path, disk, identity, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is; `None` before the first [`store`](Self::store): nobody's.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Records whose it is, durably. On an error the old identity stays the one that counts here,
    /// and either may be found after a restart.
    ///
    /// # Errors
    /// [`LogError::Foreign`] if it already belongs to somebody else, [`LogError::Io`] if it cannot be written.
    pub fn store(&mut self, identity: &Identity) -> Result<(), LogError> {
        let mut identity = identity.clone();
        if let Some(owner) = &self.identity {
            owner.check_owner(&self.path, identity.node, &identity.cluster)?;
            // A copy of the identity from before the log was begun must not make it forget that.
            identity.has_log |= owner.has_log;
        }
        let content = identity::encode(&identity);
        disk::replace(self.disk.as_ref(), &self.path, IDENTITY_FILE, &content)
            .map_err(io_error("write the identity into", &self.path))?;
        self.identity = Some(identity);
        Ok(())
    }

    /// Where the write-ahead log is. Store an identity before it is begun, and set
    /// [`has_log`](Identity::has_log) behind that; from then on open it with
    /// [`create`](super::WalOptions::create) unset: one that is gone was lost, with all votes and entries.
    pub fn wal_path(&self) -> PathBuf {
        self.path.join(WAL_DIRECTORY)
    }

    /// Where the snapshots of a group are.
    pub fn snapshots_path(&self, group: GroupId) -> PathBuf {
        Self::snapshots_of(&self.path, group)
    }

    /// Where the snapshots of a group are in the data directory `path`.
    pub(crate) fn snapshots_of(path: &Path, group: GroupId) -> PathBuf {
        path.join(SNAPSHOTS_DIRECTORY).join(group.to_string())
    }
}

fn remove_leftover(disk: &dyn Disk, path: &Path) -> Result<(), LogError> {
    let temporary = disk::temporary_name(IDENTITY_FILE);
    let names = disk.list(path).map_err(io_error("list", path))?;
    if names.iter().any(|name| Path::new(name) == temporary) {
        let leftover = path.join(temporary);
        disk.remove(&leftover).map_err(io_error("remove the unfinished", &leftover))?;
    }
    Ok(())
}

fn read_identity(disk: &dyn Disk, path: &Path) -> Result<Option<Identity>, LogError> {
    let file_path = path.join(IDENTITY_FILE);
    let file = disk::read_small(disk, &file_path, IDENTITY_BYTES_MAX).map_err(io_error("read", &file_path))?;
    file.map(|file| identity::decode(&file_path, &file)).transpose()
}

/// A log without an identity is not a first start: taking it for one would let a node vote twice in a term.
fn refuse_orphaned_log(disk: &dyn Disk, path: &Path) -> Result<(), LogError> {
    let names = disk.list(path).map_err(io_error("list", path))?;
    if !names.iter().any(|name| name == WAL_DIRECTORY) {
        return Ok(());
    }
    let wal = path.join(WAL_DIRECTORY);
    if disk.list(&wal).map_err(io_error("list", &wal))?.is_empty() {
        return Ok(());
    }
    Err(LogError::Damaged {
        path: path.join(IDENTITY_FILE),
        offset: 0,
        what: "the file is missing although the directory holds a log",
        advice: "Restore the file from a backup, or remove the directory, remove this node from the cluster \
                 and add it again",
    })
}

#[cfg(test)]
mod tests;
