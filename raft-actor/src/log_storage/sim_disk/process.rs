//! What one process sees of the disk.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use super::names::{FileId, NameChange};
use super::{SimDisk, State};
use crate::log_storage::disk::{Disk, DiskFile, Lock};

/// One process; dead as soon as there is another, or none.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) disk: SimDisk,
    pub(super) number: u64,
}

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "process {} on {:?}", self.number, self.disk)
    }
}

impl Process {
    /// The disk, unless the process is dead.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.process == self.number { Ok(state) } else { Err(dead()) }
    }

    /// The disk, to change something on it. Kills the process if that was ordered for now: `true`, and what is left of
    /// the change is up to the caller.
    fn change(&self) -> io::Result<(MutexGuard<'_, State>, bool)> {
        let mut state = self.state()?;
        let dies = match &mut state.orders.changes_before_death {
            None => false,
            Some(0) => true,
            Some(changes) => {
                *changes -= 1;
                false
            }
        };
        if dies {
            state.kill_process();
            state.died_of_order = true;
        }
        Ok((state, dies))
    }

    fn change_name(&self, change: impl FnOnce(&mut State) -> io::Result<NameChange>) -> io::Result<()> {
        let (mut state, dies) = self.change()?;
        if dies {
            return Err(dead());
        }
        let change = change(&mut state)?;
        state.names.change(change);
        Ok(())
    }

    fn file(&self, state: &mut State, id: FileId) -> Box<dyn DiskFile> {
        state.file_mut(id).opened += 1;
        Box::new(SimFile { process: self.clone(), id })
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

impl Disk for Process {
    fn takes_no_time(&self) -> bool {
        self.disk.state().takes_no_time
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.state()?.names.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.state()?.names.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut created = None;
        self.change_name(|state| {
            state.names.check_creatable(path)?;
            let id = *created.insert(state.new_file());
            Ok(NameChange::Create(path.to_owned(), id))
        })?;
        Ok(self.file(&mut *self.state()?, created.expect("it was created")))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state()?;
        let id = state.names.find(path)?;
        Ok(self.file(&mut state, id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change_name(|state| {
            state.names.find(from)?;
            state.names.check_creatable(to)?;
            Ok(NameChange::Rename(from.to_owned(), to.to_owned()))
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change_name(|state| {
            state.names.find(path)?;
            Ok(NameChange::Remove(path.to_owned()))
        })
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let (mut state, dies) = self.change()?;
        if dies {
            return Err(dead());
        }
        state.names.check_directory(directory)?;
        state.sync_names(directory);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let is_there = self.state()?.names.find(path).is_ok();
        if !is_there {
            drop(self.create(path)?);
        }
        let mut state = self.state()?;
        let is_free = state.locks.insert(path.to_owned());
        Ok(is_free.then(|| Box::new(SimLock { process: self.clone(), path: path.to_owned() }) as Box<dyn Lock>))
    }
}

#[derive(Debug)]
struct SimLock {
    process: Process,
    path: PathBuf,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        // The locks of a dead process are free already, and may be another's.
        if let Ok(mut state) = self.process.state() {
            state.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    process: Process,
    id: FileId,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Ok(mut state) = self.process.state() {
            state.file_mut(self.id).opened -= 1;
        }
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.process.state()?.file_mut(self.id).pages.length() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.process.state()?;
        if std::mem::take(&mut state.orders.fails_next_read) {
            state.happened.failed_reads += 1;
            return Err(io::Error::other("the disk cannot read this"));
        }
        Ok(state.file_mut(self.id).pages.read(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, dies) = self.process.change()?;
        let room = state.room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
        let count = if dies { bytes.len() / 2 } else { bytes.len() }.min(room);
        state.room = state.room.map(|room| room - count as u64);
        state.file_mut(self.id).pages.write(&bytes[..count], offset);
        if dies {
            return Err(dead());
        }
        if count < bytes.len() {
            state.happened.full_writes += 1;
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, dies) = self.process.change()?;
        if dies {
            return Err(dead());
        }
        match &mut state.orders.syncs_before_failure {
            None => {}
            Some(0) => {
                state.orders.syncs_before_failure = None;
                state.happened.failed_syncs += 1;
                state.file_mut(self.id).pages.fail_sync();
                return Err(io::Error::other("the disk does not answer"));
            }
            Some(syncs) => *syncs -= 1,
        }
        state.sync_file(self.id);
        Ok(())
    }
}
