//! What a log needs of a file system, and nothing more.
//!
//! [`RealDisk`] is the machine's; a simulated one stands behind the same seam,
//! with a page cache that a crash may lose. Whatever is written counts as durable
//! only after the `sync_data` of its file, whatever is created, renamed or removed
//! only after the `sync_directory` of its directory.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file system.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Creates a directory with the missing ones above it, durably. One that exists is fine.
    ///
    /// # Errors
    /// What the operating system says; [`ErrorKind::NotADirectory`] if something else has the name.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// The names of everything in a directory, in no particular order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Creates an empty file, to read and write; one that exists under the name is emptied.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that exists, to read and write.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes durable which names the directory holds.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Locks a file against everybody else, also in this process, until the lock is dropped;
    /// `None` if somebody has it. Creates the file if need be.
    ///
    /// # Errors
    /// What the operating system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;

    /// Whether nobody ever waits for a sync, as where memory keeps what it holds without power.
    fn takes_no_time(&self) -> bool {
        false
    }
}

/// An open file: offsets instead of a cursor, so that readers and the writer share one.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Reads as much as there is at `offset`, at most the length of `buffer`; returns how much that was.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; the file grows if need be.
    ///
    /// # Errors
    /// What the operating system says. Any part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes durable what was written.
    ///
    /// # Errors
    /// What the operating system says. After an error nothing is known about what the disk
    /// holds, not even after a later success.
    fn sync_data(&self) -> io::Result<()>;
}

/// A held lock; dropping it lets others in.
pub trait Lock: fmt::Debug + Send + Sync {}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    fn sync_parent(self, path: &Path) -> io::Result<()> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        self.sync_directory(parent.unwrap_or(Path::new(".")))
    }
}

fn unless_forbidden(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::PermissionDenied { Ok(()) } else { Err(error) }
}

impl Disk for RealDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match fs::metadata(path) {
            // Whoever made it may not have made its name durable. Where the parent may not be read it is not ours to.
            Ok(metadata) if metadata.is_dir() => return self.sync_parent(path).or_else(unless_forbidden),
            Ok(_) => return Err(ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // `data` alone has the empty path as its parent: the current directory, which exists.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_directory(parent)?;
        }
        match fs::create_dir(path) {
            // Somebody else was faster; whether it is a directory shows when it is used.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
        self.sync_parent(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        // A name that is no Unicode is none of ours.
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().into_string().ok()))
            .filter_map(Result::transpose)
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(RealLock { _file: file }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[derive(Debug)]
struct RealLock {
    /// Closing it unlocks.
    _file: File,
}

impl Lock for RealLock {}

/// Replaces the file `name` in `directory` by one with this content, so that a crash leaves the old or the new one.
pub(super) fn replace(disk: &dyn Disk, directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = directory.join(temporary_name(name));
    let file = disk.create(&temporary)?;
    file.write_at(content, 0)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&temporary, &directory.join(name))?;
    disk.sync_directory(directory)
}

/// Reads a small file whole; `None` if there is none.
///
/// Of one that is larger than `length_max` only as much is read.
pub(super) fn read_small(disk: &dyn Disk, path: &Path, length_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX).min(length_max);
    let mut content = vec![0; length];
    let read = file.read_at(&mut content, 0)?;
    content.truncate(read);
    Ok(Some(content))
}

/// The name a file has while it is not finished.
pub(super) fn temporary_name(name: &str) -> PathBuf {
    PathBuf::from(format!("{name}.tmp"))
}
