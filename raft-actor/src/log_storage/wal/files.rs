//! The files of the log: names, and errors that name them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::segment::{FileName, LOCK_NAME, NEXT_NAME, Segment, aside_name, segment_name, spare_name};
use crate::log_storage::LogError;
use crate::log_storage::disk::{Disk, DiskFile, Lock};
use crate::log_storage::error::io_error;

/// The directory of the log.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    _lock: Box<dyn Lock>,
}

/// A file that is used instead of creating one.
#[derive(Debug)]
pub(super) struct Spare {
    /// The number it had as a segment, or 0.
    pub(super) number: u32,
    pub(super) file: Box<dyn DiskFile>,
    /// How much of it is written already, so that writing there again costs no allocation.
    pub(super) length: u64,
}

/// What the directory holds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Numbers of the segments, ascending.
    pub(super) segments: Vec<u32>,
    /// Numbers of the spares, ascending.
    pub(super) spares: Vec<u32>,
    /// Numbers of the segments that were set aside, in no order.
    pub(super) aside: Vec<u32>,
}

impl Files {
    /// Creates the directory if need be, and locks it.
    pub(super) fn open(disk: Arc<dyn Disk>, directory: PathBuf) -> Result<Self, LogError> {
        disk.create_directory(&directory).map_err(io_error("use as a directory", &directory))?;
        let lock_path = directory.join(LOCK_NAME);
        let lock = disk.lock(&lock_path).map_err(io_error("lock", &lock_path))?;
        let lock = lock.ok_or_else(|| LogError::Locked { path: directory.clone() })?;
        Ok(Self { disk, directory, _lock: lock })
    }

    /// Whether nobody ever waits for a sync.
    pub(super) fn take_no_time(&self) -> bool {
        self.disk.takes_no_time()
    }

    /// Lists the directory, and removes what an interrupted run left unfinished. What is listed is durable:
    /// a name that was given just before a crash of the process could still be lost in one of the machine.
    pub(super) fn survey(&self) -> Result<Survey, LogError> {
        let mut survey = Survey::default();
        for name in self.disk.list(&self.directory).map_err(io_error("list", &self.directory))? {
            match FileName::parse(&name) {
                FileName::Segment(number) => survey.segments.push(number),
                FileName::Spare(number) => survey.spares.push(number),
                FileName::Aside(number) => survey.aside.push(number),
                FileName::Temporary => self.remove(&name)?,
                FileName::Foreign => {}
            }
        }
        survey.segments.sort_unstable();
        survey.spares.sort_unstable();
        self.sync_directory()?;
        Ok(survey)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path_of(&self, number: u32) -> PathBuf {
        self.directory.join(segment_name(number))
    }

    pub(super) fn open_segment(&self, number: u32) -> Result<Segment, LogError> {
        let path = self.path_of(number);
        let file = self.disk.open(&path).map_err(io_error("open", &path))?;
        Ok(Segment { number, path, file })
    }

    pub(super) fn open_spare(&self, number: u32) -> Result<Spare, LogError> {
        let path = self.directory.join(spare_name(number));
        let file = self.disk.open(&path).map_err(io_error("open", &path))?;
        let length = file.length().map_err(io_error("measure", &path))?;
        Ok(Spare { number, file, length })
    }

    pub(super) fn create_spare(&self) -> Result<Spare, LogError> {
        let path = self.directory.join(spare_name(0));
        let file = self.disk.create(&path).map_err(io_error("create", &path))?;
        Ok(Spare { number: 0, file, length: 0 })
    }

    pub(super) fn remove_spare(&self, number: u32) -> Result<(), LogError> {
        self.remove(&spare_name(number))
    }

    /// A file for the next segment, under a name that does not count yet; and its length.
    pub(super) fn prepare_next(&self, spare: Option<Spare>) -> Result<(Box<dyn DiskFile>, u64), LogError> {
        let path = self.directory.join(NEXT_NAME);
        let Some(spare) = spare else {
            return Ok((self.disk.create(&path).map_err(io_error("create", &path))?, 0));
        };
        self.rename(&spare_name(spare.number), NEXT_NAME)?;
        // Before anything is written into it: else a crash could leave a spare with records of a
        // segment that is still to come, and they would be taken for its own later.
        self.sync_directory()?;
        Ok((spare.file, spare.length))
    }

    /// Gives the prepared file its name: from here on it counts.
    pub(super) fn publish_next(&self, number: u32) -> Result<(), LogError> {
        self.rename(NEXT_NAME, &segment_name(number))?;
        self.sync_directory()
    }

    /// Makes a spare of a segment that nobody needs.
    pub(super) fn keep_as_spare(&self, segment: Segment) -> Result<Spare, LogError> {
        let length = segment.file.length().map_err(io_error("measure", &segment.path))?;
        self.rename(&segment_name(segment.number), &spare_name(segment.number))?;
        self.sync_directory()?;
        Ok(Spare { number: segment.number, file: segment.file, length })
    }

    /// Removes a segment that nobody needs. Durably, so that never a later one goes before an earlier one.
    pub(super) fn remove_segment(&self, number: u32) -> Result<(), LogError> {
        self.remove(&segment_name(number))?;
        self.sync_directory()
    }

    /// Gives segments names under which they do not count, durably.
    pub(super) fn set_aside(&self, numbers: &[u32]) -> Result<(), LogError> {
        numbers.iter().try_for_each(|number| self.rename(&segment_name(*number), &aside_name(*number)))?;
        self.sync_directory()
    }

    /// Removes a segment that was set aside.
    pub(super) fn remove_aside(&self, number: u32) -> Result<(), LogError> {
        self.remove(&aside_name(number))
    }

    fn remove(&self, name: &str) -> Result<(), LogError> {
        let path = self.directory.join(name);
        self.disk.remove(&path).map_err(io_error("remove", &path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), LogError> {
        let from = self.directory.join(from);
        self.disk.rename(&from, &self.directory.join(to)).map_err(io_error("rename", &from))
    }

    fn sync_directory(&self) -> Result<(), LogError> {
        self.disk.sync_directory(&self.directory).map_err(io_error("sync", &self.directory))
    }
}
