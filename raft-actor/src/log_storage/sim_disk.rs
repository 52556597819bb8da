//! A disk in memory with a page cache that a machine crash loses in part.
//!
//! Directories are taken to exist; changes of names reach the disk in order, as with a
//! journalling file system, those of data in none.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::log_storage::disk::{Disk, DiskFile, Lock};

const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// What programs see.
    names: BTreeMap<PathBuf, usize>,
    /// What is on the disk.
    durable_names: BTreeMap<PathBuf, usize>,
    /// What happened to names since the last sync of the directory.
    name_changes: Vec<NameChange>,
    inodes: Vec<Inode>,
    is_locked: bool,
    fault: Option<Fault>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl Inode {
    /// These sectors reach the disk.
    fn keep(&mut self, sectors: BTreeSet<usize>) {
        for sector in sectors {
            let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(self.now.len());
            if self.durable.len() < range.end {
                self.durable.resize(range.end, 0);
            }
            self.durable[range.clone()].copy_from_slice(&self.now[range]);
        }
    }
}

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// After this many changes nothing works any more; the last one is carried out in part.
    Death { changes_left: u32 },
    /// After this many syncs of files one fails. The page cache then takes its pages for clean, as Linux does.
    Sync { syncs_left: u32 },
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    match change {
        NameChange::Create(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Rename(from, to) => {
            let inode = names.remove(from).expect("only what exists was renamed");
            names.insert(to.clone(), inode);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
    }
}

impl State {
    /// Counts a change; an error if the machine died before it. `true` if it dies in the middle of it.
    fn change(&mut self) -> io::Result<bool> {
        match &mut self.fault {
            Some(Fault::Death { changes_left: 0 }) => Err(io::Error::other("the machine is dead")),
            Some(Fault::Death { changes_left }) => {
                *changes_left -= 1;
                Ok(*changes_left == 0)
            }
            Some(Fault::Sync { .. }) | None => Ok(false),
        }
    }

    fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        self.change()?;
        apply(&mut self.names, &change);
        self.name_changes.push(change);
        Ok(())
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// A copy that goes its own way.
    pub(super) fn fork(&self) -> Self {
        let state = State { is_locked: false, ..self.state().clone() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The process ends; the page cache stays.
    pub(super) fn end_process(&self) {
        self.state().fault = None;
    }

    /// The machine crashes: of what was not synced each sector stays or goes by a bit of `kept`; of the
    /// changes of names some of the first ones stay.
    pub(super) fn crash_machine(&self, kept: u64) {
        let mut state = self.state();
        state.fault = None;
        let mut bit = 0;
        for inode in &mut state.inodes {
            let mut dirty = std::mem::take(&mut inode.dirty);
            dirty.retain(|_| {
                bit += 1;
                kept >> (bit % 64) & 1 == 1
            });
            inode.keep(dirty);
            inode.now = inode.durable.clone();
        }
        let changes = std::mem::take(&mut state.name_changes);
        let some = usize::try_from(kept % (changes.len() as u64 + 1)).unwrap();
        changes[..some].iter().for_each(|change| apply(&mut state.durable_names, change));
        state.names = state.durable_names.clone();
    }
}

impl Disk for SimDisk {
    fn create_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let paths = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let inode = state.inodes.len();
        state.change_name(NameChange::Create(path.to_owned(), inode))?;
        state.inodes.push(Inode::default());
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.state().inode(path)?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.inode(from)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.inode(path)?;
        state.change_name(NameChange::Remove(path.to_owned()))
    }
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.name_changes.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }
    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let was_locked = std::mem::replace(&mut self.state().is_locked, true);
        Ok((!was_locked).then(|| Box::new(SimLock { disk: self.clone() }) as Box<dyn Lock>))
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().is_locked = false;
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let now = &state.inodes[self.inode].now;
        let start = (offset as usize).min(now.len());
        let count = buffer.len().min(now.len() - start);
        buffer[..count].copy_from_slice(&now[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let dies = state.change()?;
        let bytes = if dies { &bytes[..bytes.len() / 2] } else { bytes };
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let inode = &mut state.inodes[self.inode];
        if inode.now.len() < end {
            inode.now.resize(end, 0);
        }
        inode.now[start..end].copy_from_slice(bytes);
        inode.dirty.extend(start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
        if dies { Err(io::Error::other("the machine dies")) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let dies = state.change()?;
        let fails = match &mut state.fault {
            Some(Fault::Sync { syncs_left: 0 }) => true,
            Some(Fault::Sync { syncs_left }) => {
                *syncs_left -= 1;
                false
            }
            Some(Fault::Death { .. }) | None => dies,
        };
        if dies {
            return Err(io::Error::other("the machine dies"));
        }
        let inode = &mut state.inodes[self.inode];
        let dirty = std::mem::take(&mut inode.dirty);
        if fails {
            state.fault = Some(Fault::Death { changes_left: 0 });
            return Err(io::Error::other("the disk does not answer"));
        }
        // Only what is dirty: what a failed sync took for clean does not reach the disk with a later one either.
        inode.keep(dirty);
        if inode.durable.len() < inode.now.len() {
            inode.durable.resize(inode.now.len(), 0);
        }
        Ok(())
    }
}
