//! A disk for tests.

use std::io::{self, ErrorKind};
use std::sync::Mutex;

use super::*;
use crate::log_storage::disk::{DiskFile, Lock};

/// The machine's disk, with failures on order and a record of what was asked of it.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultyDisk {
    plan: Arc<Mutex<Plan>>,
    /// Whether files are really synced; what tests see through the page cache does not depend on it.
    is_lazy: bool,
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The syncs of files that still succeed.
    pub(super) syncs_left: Option<u32>,
    /// The bytes for which there is still room; a write beyond it is carried out in part.
    pub(super) room_bytes: Option<usize>,
    /// What was done to files, in order.
    pub(super) calls: Vec<&'static str>,
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn DiskFile>,
    plan: Arc<Mutex<Plan>>,
    is_lazy: bool,
}

impl FaultyDisk {
    /// A fast one, for tests that open hundreds of logs.
    pub(super) fn lazy() -> Self {
        Self { is_lazy: true, ..Self::default() }
    }

    pub(super) fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    fn wrap(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultyFile { file, plan: Arc::clone(&self.plan), is_lazy: self.is_lazy })
    }

    pub(super) fn open(&self, directory: &Path) -> Wal {
        Wal::open_on(Arc::new(self.clone()), directory, options(SMALL)).expect("the log opens")
    }
}

impl Disk for FaultyDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create(path).map(|file| self.wrap(file))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path).map(|file| self.wrap(file))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan().calls.push("rename");
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plan().calls.push("remove");
        RealDisk.remove(path)
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.plan().calls.push("sync directory");
        if self.is_lazy { Ok(()) } else { RealDisk.sync_directory(directory) }
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        RealDisk.lock(path)
    }
}

impl DiskFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut plan = self.plan.lock().unwrap();
        plan.calls.push("write");
        let room = plan.room_bytes.unwrap_or(usize::MAX);
        plan.room_bytes = plan.room_bytes.map(|room| room.saturating_sub(bytes.len()));
        if room < bytes.len() {
            self.file.write_at(&bytes[..room], offset)?;
            return Err(ErrorKind::StorageFull.into());
        }
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut plan = self.plan.lock().unwrap();
        plan.calls.push("sync");
        if plan.syncs_left == Some(0) {
            plan.syncs_left = None;
            return Err(io::Error::other("the disk does not answer"));
        }
        plan.syncs_left = plan.syncs_left.map(|left| left - 1);
        if self.is_lazy { Ok(()) } else { self.file.sync_data() }
    }
}
