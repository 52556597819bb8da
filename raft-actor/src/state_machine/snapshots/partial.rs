//! A snapshot that comes in piece by piece.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_consensus::SnapshotMeta;

use super::SnapshotError;
use super::error::{io_error, remove_useless};
use super::file::verify;
use super::format::{Block, Flaw, Parser};
use super::id::SnapshotId;
use super::store::Shared;
use crate::log_storage::disk::DiskFile;

/// The receptions of one store. At most one is under way; complete ones wait until they are adopted or dropped.
#[derive(Debug, Default)]
pub(super) struct Receptions {
    current: Option<Reception>,
    complete: Vec<SnapshotId>,
    /// What an earlier process has left, of which nobody knows yet how much is good.
    leftover: Option<SnapshotId>,
    last_owner: u64,
}

#[derive(Debug)]
struct Reception {
    id: SnapshotId,
    received: u64,
    /// The one [`PartialSnapshot`] that may go on with it.
    owner: u64,
}

impl Receptions {
    pub(super) fn new(leftover: Option<SnapshotId>) -> Self {
        Self { leftover, ..Self::default() }
    }

    fn is_owned_by(&self, owner: u64) -> bool {
        self.current.as_ref().is_some_and(|current| current.owner == owner)
    }
}

/// Another reception was begun meanwhile, of another snapshot or of this one.
const REPLACED: SnapshotError = SnapshotError::Over { reason: "another one was begun" };
const COMPLETE: SnapshotError =
    SnapshotError::Over { reason: "the snapshot is complete and waits for its installation" };

/// Begins a reception, or goes on where an earlier one stopped.
pub(super) fn receive(shared: &Arc<Shared>, id: SnapshotId) -> Result<PartialSnapshot, SnapshotError> {
    let mut receptions = shared.receptions();
    shared.check_open()?;
    if receptions.complete.contains(&id) {
        return Err(COMPLETE);
    }
    let path = shared.directory.join(id.received_name());
    let disk = shared.disk.as_ref();
    let others = [receptions.current.take_if(|current| current.id != id).map(|current| current.id)];
    for other in others.into_iter().chain([receptions.leftover.take_if(|left| *left != id)]).flatten() {
        remove_useless(disk, &shared.directory.join(other.received_name()));
    }
    let open = || disk.open(&path).map_err(io_error("open", &path));
    let leftover = receptions.leftover.take();
    let (file, received) = match (&receptions.current, leftover) {
        (Some(current), _) => (open()?, current.received),
        (None, Some(_)) => {
            let file = open()?;
            let received = salvage(file.as_ref(), id).map_err(io_error("go on with", &path))?;
            (file, received)
        }
        (None, None) => (disk.create(&path).map_err(io_error("create", &path))?, 0),
    };
    receptions.last_owner += 1;
    let owner = receptions.last_owner;
    receptions.current = Some(Reception { id, received, owner });
    drop(receptions);
    Ok(PartialSnapshot { shared: Arc::clone(shared), id, path, file, received, owner })
}

/// How much of what an earlier process received is good. A crash may have torn it: whole blocks count, what stands
/// behind them is received again.
fn salvage(file: &dyn DiskFile, id: SnapshotId) -> std::io::Result<u64> {
    let mut parser = match Parser::begin(file) {
        Ok(parser) => parser,
        Err(Flaw::Io(error)) => return Err(error),
        Err(Flaw::Damaged { .. } | Flaw::Version { .. }) => return Ok(0),
    };
    loop {
        // Written once more: if a sync failed before, the page cache takes its pages for clean, and a later
        // sync would confirm what is not on the disk.
        let (raw, end) = parser.raw();
        if end > id.size_bytes {
            return Ok(0);
        }
        file.write_at(raw, end - raw.len() as u64)?;
        match parser.next(file) {
            Ok(Block::Machine) => {}
            Ok(Block::End(found)) if found == id => {
                let (raw, end) = parser.raw();
                file.write_at(raw, end - raw.len() as u64)?;
                return Ok(end);
            }
            // Not the file that it says it is.
            Ok(Block::End(_)) => return Ok(0),
            Err(Flaw::Io(error)) => return Err(error),
            Err(Flaw::Damaged { .. } | Flaw::Version { .. }) => return Ok(parser.raw().1),
        }
    }
}

/// A snapshot of which a beginning is here. Dropped, it can be [taken up](super::SnapshotStore::receive) again, also by
/// a later process.
pub(crate) struct PartialSnapshot {
    shared: Arc<Shared>,
    id: SnapshotId,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    received: u64,
    owner: u64,
}

impl fmt::Debug for PartialSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialSnapshot")
            .field("id", &self.id)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl PartialSnapshot {
    /// How many bytes are here, from the beginning on.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Takes in a piece that begins at `offset`. What is here already is passed over.
    ///
    /// # Errors
    /// [`SnapshotError::Gap`] if it begins behind what is here or ends behind the end; [`SnapshotError::Over`] if
    /// another reception was begun; [`SnapshotError::Io`], after which nothing of the piece counts.
    pub(crate) fn append(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let end = offset.saturating_add(bytes.len() as u64);
        if offset > self.received || end > self.id.size_bytes {
            return Err(SnapshotError::Gap { offset, received: self.received, size_bytes: self.id.size_bytes });
        }
        if !self.shared.receptions().is_owned_by(self.owner) {
            return Err(REPLACED);
        }
        let known = usize::try_from(self.received - offset).unwrap_or(usize::MAX);
        let Some(news) = bytes.get(known..).filter(|news| !news.is_empty()) else { return Ok(()) };
        self.file.write_at(news, self.received).map_err(io_error("write to", &self.path))?;
        self.received = end;
        if let Some(current) = self.shared.receptions().current.as_mut().filter(|current| current.owner == self.owner) {
            current.received = end;
        }
        Ok(())
    }

    /// Checks all of it and makes it durable, under its temporary name.
    ///
    /// # Errors
    /// [`SnapshotError::Gap`] if not all of it is here. After any other error nothing is left of it.
    pub(crate) fn finish(self) -> Result<ReceivedSnapshot, SnapshotError> {
        if self.received < self.id.size_bytes {
            let (received, size_bytes) = (self.received, self.id.size_bytes);
            return Err(SnapshotError::Gap { offset: size_bytes, received, size_bytes });
        }
        let outcome = verify(self.file.as_ref(), &self.path, self.shared.group, self.id)
            .and_then(|meta| self.file.sync_data().map_err(io_error("sync", &self.path)).map(|()| meta));
        let mut receptions = self.shared.receptions();
        if !receptions.is_owned_by(self.owner) {
            return Err(REPLACED);
        }
        self.shared.check_open()?;
        receptions.current = None;
        match outcome {
            Ok(meta) => {
                receptions.complete.push(self.id);
                drop(receptions);
                let Self { shared, id, path, file, .. } = self;
                Ok(ReceivedSnapshot { shared, id, meta, path, file: Some(file), is_adopted: false })
            }
            Err(error) => {
                remove_useless(self.shared.disk.as_ref(), &self.path);
                Err(error)
            }
        }
    }
}

/// A snapshot that is here as a whole, checked and durable, but not this member's yet. Dropped, it is deleted.
pub(crate) struct ReceivedSnapshot {
    shared: Arc<Shared>,
    id: SnapshotId,
    meta: SnapshotMeta,
    path: PathBuf,
    /// `None` once it is being adopted.
    file: Option<Box<dyn DiskFile>>,
    /// It has its final name.
    pub(super) is_adopted: bool,
}

impl fmt::Debug for ReceivedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReceivedSnapshot").field(&self.id).finish()
    }
}

impl ReceivedSnapshot {
    /// What was received.
    pub(crate) fn id(&self) -> SnapshotId {
        self.id
    }

    /// What it covers.
    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn take_file(&mut self) -> Box<dyn DiskFile> {
        self.file.take().expect("it is adopted once")
    }
}

impl Drop for ReceivedSnapshot {
    fn drop(&mut self) {
        // Under the lock: whoever receives the same again creates the file anew.
        let mut receptions = self.shared.receptions();
        if !self.is_adopted && !self.shared.is_closed() {
            remove_useless(self.shared.disk.as_ref(), &self.path);
        }
        receptions.complete.retain(|id| *id != self.id);
    }
}
