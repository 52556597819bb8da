//! A snapshot that is whole and durable.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use raft_consensus::{GroupId, SnapshotMeta};

use super::error::{SnapshotError, io_error};
use super::format::{Block, Flaw, Parser, VERSION};
use super::id::SnapshotId;
use crate::log_storage::disk::{Disk, DiskFile};

/// What to do about one that is found damaged when it is opened.
const ADVICE: &str = "Move the file away and start again: what the log still holds is then applied anew. If the log \
                      does not reach back far enough, the start says so; then remove this node from the cluster, start \
                      with an empty directory and add it again, or, if it is the only voter, restore the directory from \
                      a backup";

/// What is done about one that is found damaged while the state that it was taken of is there.
const IS_REPLACED: &str = "It is not sent to anybody; another one is taken in its place";

/// A whole, durable snapshot. Clones are the same; as long as one is held its bytes can be read, even if newer ones
/// have replaced it and its name is gone.
#[derive(Clone)]
pub(crate) struct SnapshotFile {
    inner: Arc<Inner>,
}

struct Inner {
    id: SnapshotId,
    meta: SnapshotMeta,
    path: PathBuf,
    group: GroupId,
    file: Box<dyn DiskFile>,
}

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SnapshotFile").field(&self.inner.id).finish()
    }
}

impl SnapshotFile {
    pub(super) fn new(
        id: SnapshotId,
        meta: SnapshotMeta,
        path: PathBuf,
        group: GroupId,
        file: Box<dyn DiskFile>,
    ) -> Self {
        Self { inner: Arc::new(Inner { id, meta, path, group, file }) }
    }

    /// Opens a file and reads all of it, to be sure.
    pub(super) fn open(disk: &dyn Disk, path: &Path, group: GroupId, id: SnapshotId) -> Result<Self, SnapshotError> {
        let file = disk.open(path).map_err(io_error("open", path))?;
        let meta = verify(file.as_ref(), path, group, id)?;
        Ok(Self::new(id, meta, path.to_owned(), group, file))
    }

    /// Its name.
    pub(crate) fn id(&self) -> SnapshotId {
        self.inner.id
    }

    /// What it covers.
    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.inner.meta
    }

    /// Where it was when it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Reads all of it once more: whether it still is what was written.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] if it is not, [`SnapshotError::Io`].
    pub(crate) fn verify(&self) -> Result<(), SnapshotError> {
        let Inner { id, meta: _, path, group, file } = &*self.inner;
        match verify(file.as_ref(), path, *group, *id) {
            Ok(_) => Ok(()),
            Err(SnapshotError::Damaged { path, offset, what, advice: _ }) => {
                Err(SnapshotError::Damaged { path, offset, what, advice: IS_REPLACED })
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the file as it is, to be sent: at most `length` bytes from `offset` on, fewer at its end.
    pub(crate) fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, SnapshotError> {
        let left = usize::try_from(self.inner.id.size_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; length.min(left)];
        let count = self.inner.file.read_at(&mut buffer, offset).map_err(io_error("read", &self.inner.path))?;
        if count < buffer.len() {
            return Err(damaged(&self.inner.path, offset + count as u64, "the file is cut short"));
        }
        Ok(buffer.into())
    }

    /// The state machine's part. Every byte that comes out was checked; what was damaged since it was opened is an error.
    pub(crate) fn body(&self) -> Body {
        Body { file: self.clone(), state: BodyState::Begin }
    }
}

/// See [`SnapshotFile::body`].
pub(crate) struct Body {
    file: SnapshotFile,
    state: BodyState,
}

enum BodyState {
    Begin,
    /// So much of the parser's last block was read.
    Block(Box<Parser>, usize),
    Over,
    /// What comes next is unknown.
    Failed,
}

impl Body {
    /// Goes on to the next block of the state machine's part.
    fn advance(&mut self) -> Result<(), Flaw> {
        let file = self.file.inner.file.as_ref();
        let mut parser = match std::mem::replace(&mut self.state, BodyState::Failed) {
            BodyState::Begin => Box::new(Parser::begin(file)?),
            BodyState::Block(parser, _) => parser,
            BodyState::Over | BodyState::Failed => return Ok(()),
        };
        self.state = match parser.next(file)? {
            Block::Machine => BodyState::Block(parser, 0),
            Block::End(_) => BodyState::Over,
        };
        Ok(())
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.state {
                BodyState::Block(parser, next) if *next < parser.content().len() => {
                    let content = &parser.content()[*next..];
                    let count = content.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&content[..count]);
                    *next += count;
                    return Ok(count);
                }
                BodyState::Begin | BodyState::Block(..) => {}
                BodyState::Over => return Ok(0),
                BodyState::Failed => return Err(io::Error::other("an earlier read of this snapshot failed")),
            }
            match self.advance() {
                Ok(()) => {}
                Err(Flaw::Io(error)) => return Err(error),
                Err(flaw) => {
                    let error = of_flaw(flaw, &self.file.inner.path);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }
}

/// Reads a file to its end, and whether it is the one that it should be.
pub(super) fn verify(
    file: &dyn DiskFile,
    path: &Path,
    group: GroupId,
    id: SnapshotId,
) -> Result<SnapshotMeta, SnapshotError> {
    let mut parser = Parser::begin(file).map_err(|flaw| of_flaw(flaw, path))?;
    let found = parser.verify(file).map_err(|flaw| of_flaw(flaw, path))?;
    if parser.header().group != group {
        return Err(damaged(path, 0, "it is the snapshot of another group"));
    }
    if found != id {
        return Err(damaged(path, 0, "it is another snapshot than its name says"));
    }
    Ok(parser.header().meta.clone())
}

fn damaged(path: &Path, offset: u64, what: &'static str) -> SnapshotError {
    SnapshotError::Damaged { path: path.to_owned(), offset, what, advice: ADVICE }
}

fn of_flaw(flaw: Flaw, path: &Path) -> SnapshotError {
    match flaw {
        Flaw::Io(source) => io_error("read", path)(source),
        Flaw::Damaged { offset, what } => damaged(path, offset, what),
        Flaw::Version { found } => SnapshotError::Version { path: path.to_owned(), found, supported: VERSION },
    }
}
