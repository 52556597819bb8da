//! The bytes of a snapshot file: header, blocks, end. `docs/SNAPSHOTS.md` has the tables.
//!
//! Every part carries a CRC of its own, so nothing that is read was not written, and nothing is allocated for a length
//! that was not written. The last block carries one of the whole, which is also what names the file.

use std::io::{self, Write};

use crc32fast::Hasher;
use raft_consensus::{GroupId, SnapshotMeta};
use serde::{Deserialize, Serialize};

use super::id::SnapshotId;
use crate::log_storage::disk::DiskFile;

const MAGIC: &[u8; 8] = b"raft-sn\n";
/// The version of the format that this build writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;
/// Magic, version, length.
const PREAMBLE_BYTES: usize = 16;
/// Members and their addresses; more than this is no header.
const HEADER_BYTES_MAX: usize = 16 << 20;
/// CRC, length, kind.
const BLOCK_HEADER_BYTES: usize = 12;
/// What a block holds when it is written here.
const BLOCK_BYTES: usize = 64 << 10;
/// What a block may hold.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Size of the file, CRC of the whole.
const END_BYTES: usize = 12;

/// The kinds of blocks.
const KIND_MACHINE: u32 = 2;
const KIND_END: u32 = 3;

/// What stands at the beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) group: GroupId,
    pub(super) meta: SnapshotMeta,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) enum Flaw {
    Io(io::Error),
    Damaged { offset: u64, what: &'static str },
    Version { found: u32 },
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes a file from its beginning to its end.
pub(super) struct Writer<'a> {
    file: &'a dyn DiskFile,
    meta: SnapshotMeta,
    /// How much is written.
    offset: u64,
    whole: Hasher,
    /// Room for the block's header, then its content.
    block: Vec<u8>,
    /// What the disk said, if it was the disk.
    pub(super) failed: Option<io::Error>,
}

impl<'a> Writer<'a> {
    pub(super) fn begin(file: &'a dyn DiskFile, group: GroupId, meta: &SnapshotMeta) -> io::Result<Self> {
        let header = Header { group, meta: meta.clone() };
        let header = rmp_serde::to_vec_named(&header).map_err(io::Error::other)?;
        let mut start = Vec::with_capacity(PREAMBLE_BYTES + header.len() + 4);
        start.extend_from_slice(MAGIC);
        start.extend_from_slice(&VERSION.to_le_bytes());
        start.extend_from_slice(&u32::try_from(header.len()).map_err(io::Error::other)?.to_le_bytes());
        start.extend_from_slice(&header);
        start.extend_from_slice(&crc32fast::hash(&start).to_le_bytes());
        let block = vec![0; BLOCK_HEADER_BYTES];
        let mut writer = Self { file, meta: meta.clone(), offset: 0, whole: Hasher::new(), block, failed: None };
        writer.put(&start)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.failed.is_some() {
            return Err(io::Error::other("an earlier write failed"));
        }
        if let Err(error) = self.file.write_at(bytes, self.offset) {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        self.whole.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn put_block(&mut self, kind: u32) -> io::Result<()> {
        let mut block = std::mem::take(&mut self.block);
        let length = u32::try_from(block.len() - BLOCK_HEADER_BYTES).expect("a block is small");
        block[4..8].copy_from_slice(&length.to_le_bytes());
        block[8..BLOCK_HEADER_BYTES].copy_from_slice(&kind.to_le_bytes());
        let crc = block_crc(self.offset, &block[4..]);
        block[..4].copy_from_slice(&crc.to_le_bytes());
        let outcome = self.put(&block);
        block.truncate(BLOCK_HEADER_BYTES);
        self.block = block;
        outcome
    }

    /// Writes what is left and the end. Nothing is durable yet.
    pub(super) fn end(mut self) -> io::Result<SnapshotId> {
        if self.block.len() > BLOCK_HEADER_BYTES {
            self.put_block(KIND_MACHINE)?;
        }
        let size_bytes = self.offset + (BLOCK_HEADER_BYTES + END_BYTES) as u64;
        let checksum = self.whole.clone().finalize();
        self.block.extend_from_slice(&size_bytes.to_le_bytes());
        self.block.extend_from_slice(&checksum.to_le_bytes());
        self.put_block(KIND_END)?;
        Ok(SnapshotId { position: self.meta.position, size_bytes, checksum })
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK_HEADER_BYTES + BLOCK_BYTES - self.block.len();
        let count = room.min(bytes.len());
        self.block.extend_from_slice(&bytes[..count]);
        if count == room {
            self.put_block(KIND_MACHINE)?;
        }
        Ok(count)
    }

    /// Blocks are written when they are full: flushing is not syncing.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A block of one place cannot be taken for that of another.
fn block_crc(offset: u64, length_kind_and_content: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(length_kind_and_content);
    hasher.finalize()
}

/// A valid block.
#[derive(Debug)]
pub(super) enum Block {
    /// The content of [`Parser::content`] belongs to the state machine.
    Machine,
    /// There is nothing behind it.
    End(SnapshotId),
}

/// Reads a file from its beginning to its end, believing nothing.
#[derive(Debug)]
pub(super) struct Parser {
    header: Header,
    /// Everything before is valid.
    offset: u64,
    whole: Hasher,
    /// The last part that was read, as it stands in the file.
    raw: Vec<u8>,
}

impl Parser {
    /// Reads the header.
    pub(super) fn begin(file: &dyn DiskFile) -> Result<Self, Flaw> {
        let damaged = |offset: usize, what| Flaw::Damaged { offset: offset as u64, what };
        let mut raw = Vec::new();
        if !read_to(file, 0, &mut raw, PREAMBLE_BYTES)? {
            return Err(damaged(raw.len(), "the file is cut short"));
        }
        if raw[..MAGIC.len()] != *MAGIC {
            return Err(damaged(0, "this is no snapshot"));
        }
        let length = number_at(&raw, 12) as usize;
        if length > HEADER_BYTES_MAX {
            return Err(damaged(12, "the length of the header makes no sense"));
        }
        let end = PREAMBLE_BYTES + length;
        if !read_to(file, 0, &mut raw, end + 4)? {
            return Err(damaged(raw.len(), "the file is cut short"));
        }
        if crc32fast::hash(&raw[..end]) != number_at(&raw, end) {
            return Err(damaged(end, "the checksum of the header does not match"));
        }
        // Only behind the checksum: a flipped bit is no newer version.
        let version = number_at(&raw, 8);
        if version != VERSION {
            return Err(Flaw::Version { found: version });
        }
        let header = rmp_serde::from_slice(&raw[PREAMBLE_BYTES..end])
            .map_err(|_| damaged(PREAMBLE_BYTES, "the header cannot be decoded"))?;
        let mut whole = Hasher::new();
        whole.update(&raw);
        Ok(Self { header, offset: raw.len() as u64, whole, raw })
    }

    /// Reads the next block.
    pub(super) fn next(&mut self, file: &dyn DiskFile) -> Result<Block, Flaw> {
        let offset = self.offset;
        let damaged = |offset: u64, what| Flaw::Damaged { offset, what };
        self.raw.clear();
        if !read_to(file, offset, &mut self.raw, BLOCK_HEADER_BYTES)? {
            return Err(damaged(offset + self.raw.len() as u64, "the file is cut short"));
        }
        let length = number_at(&self.raw, 4) as usize;
        if length > BLOCK_BYTES_MAX {
            return Err(damaged(offset, "the length of the block makes no sense"));
        }
        if !read_to(file, offset, &mut self.raw, BLOCK_HEADER_BYTES + length)? {
            return Err(damaged(offset + self.raw.len() as u64, "the file is cut short"));
        }
        if block_crc(offset, &self.raw[4..]) != number_at(&self.raw, 0) {
            return Err(damaged(offset, "the checksum of the block does not match"));
        }
        let before = self.whole.clone();
        self.whole.update(&self.raw);
        self.offset += self.raw.len() as u64;
        match number_at(&self.raw, 8) {
            KIND_MACHINE => Ok(Block::Machine),
            KIND_END => self.end(file, offset, before).map(Block::End),
            _ => Err(damaged(offset, "the block is of an unknown kind")),
        }
    }

    fn end(&self, file: &dyn DiskFile, offset: u64, before: Hasher) -> Result<SnapshotId, Flaw> {
        let damaged = |offset: u64, what| Err(Flaw::Damaged { offset, what });
        if self.content().len() != END_BYTES {
            return damaged(offset, "the last block has the wrong size");
        }
        let size_bytes = u64::from_le_bytes(self.content()[..8].try_into().expect("eight bytes"));
        let checksum = number_at(self.content(), 8);
        if size_bytes != self.offset || checksum != before.finalize() {
            return damaged(offset, "the checksum of the whole does not match");
        }
        if file.length()? != size_bytes {
            return damaged(size_bytes, "something stands behind the end");
        }
        Ok(SnapshotId { position: self.header.meta.position, size_bytes, checksum })
    }

    /// Reads all that is left.
    pub(super) fn verify(&mut self, file: &dyn DiskFile) -> Result<SnapshotId, Flaw> {
        loop {
            if let Block::End(id) = self.next(file)? {
                return Ok(id);
            }
        }
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// What the last block holds.
    pub(super) fn content(&self) -> &[u8] {
        &self.raw[BLOCK_HEADER_BYTES..]
    }

    /// The part that was read last, as it stands in the file, and where it ends.
    pub(super) fn raw(&self) -> (&[u8], u64) {
        (&self.raw, self.offset)
    }
}

/// Reads on until `buffer` holds `length` bytes from `offset` on. Whether there are so many.
fn read_to(file: &dyn DiskFile, offset: u64, buffer: &mut Vec<u8>, length: usize) -> io::Result<bool> {
    let done = buffer.len();
    buffer.resize(length, 0);
    let count = file.read_at(&mut buffer[done..], offset + done as u64)?;
    buffer.truncate(done + count);
    Ok(buffer.len() == length)
}

fn number_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("the slice has four bytes"))
}
