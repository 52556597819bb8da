//! The snapshots of one group.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_consensus::{GroupId, SnapshotMeta};

use super::SnapshotError;
use super::error::{io_error, remove_useless};
use super::file::SnapshotFile;
use super::format::Writer;
use super::id::{FileName, SnapshotId, written_name};
use super::memory_disk::MemoryDisk;
use super::partial::{PartialSnapshot, ReceivedSnapshot, Receptions, receive};
use crate::log_storage::disk::{Disk, DiskFile};

/// Keeps the newest snapshot of a group, writes newer ones and receives those of others. Clones are the same store;
/// any thread may use it.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotStore {
    shared: Arc<Shared>,
}

/// See [`SnapshotStore`]. Who holds more than one of its locks has taken `publishing` first.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    pub(super) group: GroupId,
    newest: Mutex<Option<SnapshotFile>>,
    receptions: Mutex<Receptions>,
    /// Held while files get and lose their names; how many were written by this process.
    publishing: Mutex<u64>,
    /// Set under all locks.
    is_closed: AtomicBool,
}

/// The directory may be another's by now.
const CLOSED: SnapshotError = SnapshotError::Over { reason: "the host stops" };

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks leaves half a change behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn receptions(&self) -> MutexGuard<'_, Receptions> {
        lock(&self.receptions)
    }

    /// To be asked under one of the locks: names change under no other condition.
    pub(super) fn check_open(&self) -> Result<(), SnapshotError> {
        if self.is_closed() { Err(CLOSED) } else { Ok(()) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Gives a durable file its final name, durably, and removes what it replaces.
    fn publish(
        &self,
        temporary: &Path,
        id: SnapshotId,
        meta: SnapshotMeta,
        file: Box<dyn DiskFile>,
    ) -> Result<SnapshotFile, SnapshotError> {
        let _publishing = lock(&self.publishing);
        self.check_open()?;
        let path = self.directory.join(id.whole_name());
        self.disk.rename(temporary, &path).map_err(io_error("rename", temporary))?;
        if let Err(source) = self.disk.sync_directory(&self.directory) {
            // Found after a restart, it would do no harm: it is whole, and what it covers is committed.
            remove_useless(self.disk.as_ref(), &path);
            return Err(io_error("sync", &self.directory)(source));
        }
        let published = SnapshotFile::new(id, meta, path, self.group, file);
        let mut newest = lock(&self.newest);
        let is_late = newest.as_ref().is_some_and(|newest| newest.id().position.index > id.position.index);
        let replaced = if is_late { Some(published.clone()) } else { newest.replace(published.clone()) };
        drop(newest);
        if let Some(replaced) = replaced.filter(|replaced| is_late || replaced.path() != published.path()) {
            // Its bytes stay for those who hold it.
            remove_useless(self.disk.as_ref(), replaced.path());
        }
        Ok(published)
    }
}

impl SnapshotStore {
    /// Opens a directory, which is created if it is missing. Reads the newest snapshot as a whole, removes what a
    /// crash has left behind.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] if the newest snapshot is not what was written, [`SnapshotError::Version`] if a newer
    /// build wrote it, [`SnapshotError::Io`].
    pub(crate) fn open(disk: Arc<dyn Disk>, directory: &Path, group: GroupId) -> Result<Self, SnapshotError> {
        disk.create_directory(directory).map_err(io_error("use as a directory", directory))?;
        let names = disk.list(directory).map_err(io_error("list", directory))?;
        // A name given just before a crash of the process could otherwise be lost in a later one of the machine,
        // after the log was cut behind that snapshot.
        disk.sync_directory(directory).map_err(io_error("sync", directory))?;
        let (mut whole, mut received, mut useless) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            match FileName::parse(&name) {
                FileName::Whole(id) => whole.push(id),
                FileName::Received(id) => received.push(id),
                FileName::Written => useless.push(name),
                FileName::Foreign => {}
            }
        }
        let by_age = |id: &SnapshotId| (id.position.index, *id);
        whole.sort_by_key(by_age);
        received.sort_by_key(by_age);
        let newest = whole.pop();
        // What is not newer will not be installed.
        let is_useful = |id: &SnapshotId| newest.is_none_or(|newest| newest.position.index < id.position.index);
        let leftover = received.pop_if(|id| is_useful(id));
        let newest = match newest {
            Some(id) => Some(SnapshotFile::open(disk.as_ref(), &directory.join(id.whole_name()), group, id)?),
            None => None,
        };
        useless.extend(whole.iter().map(SnapshotId::whole_name));
        useless.extend(received.iter().map(SnapshotId::received_name));
        for name in useless {
            let path = directory.join(name);
            disk.remove(&path).map_err(io_error("remove", &path))?;
        }
        Ok(Self::new(disk, directory, group, newest, Receptions::new(leftover)))
    }

    /// A store for a host that keeps nothing.
    pub(crate) fn in_memory(group: GroupId) -> Self {
        let directory = Path::new("snapshots");
        Self::new(Arc::new(MemoryDisk::default()), directory, group, None, Receptions::default())
    }

    fn new(
        disk: Arc<dyn Disk>,
        directory: &Path,
        group: GroupId,
        newest: Option<SnapshotFile>,
        receptions: Receptions,
    ) -> Self {
        let shared = Shared {
            disk,
            directory: directory.to_owned(),
            group,
            newest: Mutex::new(newest),
            receptions: Mutex::new(receptions),
            publishing: Mutex::new(0),
            is_closed: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The newest durable snapshot. Never waits for the disk.
    pub(crate) fn newest(&self) -> Option<SnapshotFile> {
        lock(&self.shared.newest).clone()
    }

    /// Writes a snapshot of which `fill` writes the state machine's part. It is durable when this returns, and the ones
    /// before it are gone.
    ///
    /// # Errors
    /// [`SnapshotError::Machine`] if `fill` fails by itself, [`SnapshotError::Io`] if the disk does. Nothing is left of
    /// it then.
    pub(crate) fn write(
        &self,
        meta: &SnapshotMeta,
        fill: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
    ) -> Result<SnapshotFile, SnapshotError> {
        let shared = &self.shared;
        let (mut temporary, path, file) = {
            let mut written = lock(&shared.publishing);
            shared.check_open()?;
            *written += 1;
            let path = shared.directory.join(written_name(*written));
            let file = shared.disk.create(&path).map_err(io_error("create", &path))?;
            (Temporary { shared, path: Some(path.clone()) }, path, file)
        };
        let path = &path;
        let mut writer = Writer::begin(file.as_ref(), shared.group, meta).map_err(io_error("write to", path))?;
        if let Err(source) = fill(&mut UnlessClosed { shared, writer: &mut writer }) {
            shared.check_open()?;
            return Err(match writer.failed {
                Some(source) => io_error("write to", path)(source),
                None => SnapshotError::Machine { action: "save", source },
            });
        }
        let id = writer.end().map_err(io_error("write to", path))?;
        file.sync_data().map_err(io_error("sync", path))?;
        let published = shared.publish(path, id, meta.clone(), file)?;
        temporary.path = None;
        Ok(published)
    }

    /// From when this returns on, no file of the directory is created, renamed or removed through this store, whoever
    /// still writes or receives: somebody else may open it.
    pub(crate) fn close(&self) {
        let _publishing = lock(&self.shared.publishing);
        let _receptions = self.shared.receptions();
        self.shared.is_closed.store(true, Ordering::Release);
    }

    /// Begins to receive a snapshot, or goes on where an earlier reception of the same one stopped, also before a
    /// restart. The reception of any other one is over.
    ///
    /// # Errors
    /// [`SnapshotError::Over`] if this one is complete and waits for its installation; [`SnapshotError::Io`].
    pub(crate) fn receive(&self, id: SnapshotId) -> Result<PartialSnapshot, SnapshotError> {
        receive(&self.shared, id)
    }

    /// Makes a received snapshot this member's own. It is durable when this returns, and the ones before it are gone.
    ///
    /// # Errors
    /// [`SnapshotError::Io`]; nothing is left of it then.
    pub(crate) fn adopt(&self, mut received: ReceivedSnapshot) -> Result<SnapshotFile, SnapshotError> {
        let (id, meta, path) = (received.id(), received.meta().clone(), received.path().to_owned());
        let published = self.shared.publish(&path, id, meta, received.take_file())?;
        received.is_adopted = true;
        Ok(published)
    }
}

/// Ends the writing of a large state when nobody waits for it any more.
struct UnlessClosed<'a, 'b> {
    shared: &'a Shared,
    writer: &'a mut Writer<'b>,
}

impl std::io::Write for UnlessClosed<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.shared.check_open().map_err(std::io::Error::other)?;
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

/// Removes a file that is not finished, however that came about.
struct Temporary<'a> {
    shared: &'a Shared,
    /// `None` once it has its final name.
    path: Option<PathBuf>,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        let _publishing = lock(&self.shared.publishing);
        if let Some(path) = self.path.as_ref().filter(|_| !self.shared.is_closed()) {
            remove_useless(self.shared.disk.as_ref(), path);
        }
    }
}
