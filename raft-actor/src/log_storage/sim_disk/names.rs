//! Which names lead to which files, for programs and on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file, whatever its names are.
pub(super) type FileId = u64;

/// The directories of a disk.
///
/// Changes of names reach the disk in order, as with a journalling file system; a directory is there for good once it
/// was created.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    directories: BTreeSet<PathBuf>,
    /// What programs see.
    cached: BTreeMap<PathBuf, FileId>,
    /// What is on the disk.
    durable: BTreeMap<PathBuf, FileId>,
    /// What is not on the disk yet, in order.
    changes: Vec<NameChange>,
}

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Create(PathBuf, FileId),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameChange {
    /// The directory that has to be synced to make it durable.
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Rename(_, path) | Self::Remove(path) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, FileId>) {
        match self {
            Self::Create(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Rename(from, to) => {
                let file = names.remove(from).expect("only what exists was renamed");
                names.insert(to.clone(), file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl Names {
    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        if path.ancestors().any(|path| self.cached.contains_key(path)) {
            return Err(ErrorKind::NotADirectory.into());
        }
        if !self.directories.contains(path) {
            self.directories.extend(path.ancestors().map(Path::to_owned));
        }
        Ok(())
    }

    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.check_directory(directory)?;
        let paths = self.cached.keys().chain(&self.directories).filter(|path| path.parent() == Some(directory));
        Ok(paths.filter_map(|path| path.file_name()?.to_str()).map(str::to_owned).collect())
    }

    pub(super) fn check_directory(&self, path: &Path) -> io::Result<()> {
        if self.directories.contains(path) { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }

    /// Whether `path` can be the name of a file.
    pub(super) fn check_creatable(&self, path: &Path) -> io::Result<()> {
        if self.directories.contains(path) {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.check_directory(path.parent().unwrap_or(Path::new("")))
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<FileId> {
        self.cached.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn find_durable(&self, path: &Path) -> Option<FileId> {
        self.durable.get(path).copied()
    }

    /// The files as the disk has them.
    pub(super) fn durable(&self) -> &BTreeMap<PathBuf, FileId> {
        &self.durable
    }

    /// The files as programs see them.
    pub(super) fn cached(&self) -> &BTreeMap<PathBuf, FileId> {
        &self.cached
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.cached);
        self.changes.push(change);
    }

    /// Makes the names of a directory durable. Returns whether any had changed.
    pub(super) fn sync(&mut self, directory: &Path) -> bool {
        let before = self.changes.len();
        let durable = &mut self.durable;
        self.changes.retain(|change| {
            let is_other = change.directory() != Some(directory);
            if !is_other {
                change.apply(durable);
            }
            is_other
        });
        self.changes.len() < before
    }

    /// The changes that a crash may lose.
    pub(super) fn unsynced(&self) -> usize {
        self.changes.len()
    }

    /// The machine crashes: of the changes that were not synced the first `kept` reach the disk.
    pub(super) fn crash(&mut self, kept: usize) {
        std::mem::take(&mut self.changes)[..kept].iter().for_each(|change| change.apply(&mut self.durable));
        self.cached.clone_from(&self.durable);
    }

    /// Whether a file has a name, or a crash could give it one.
    pub(super) fn leads_to(&self, file: FileId) -> bool {
        let is_created = |change: &NameChange| matches!(change, NameChange::Create(_, created) if *created == file);
        self.cached.values().chain(self.durable.values()).any(|named| *named == file)
            || self.changes.iter().any(is_created)
    }
}
