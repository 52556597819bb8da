//! The snapshots on a simulated disk, read by somebody who never met the store that wrote them: from
//! `docs/SNAPSHOTS.md` alone.

use std::path::{Path, PathBuf};

use crc32fast::Hasher;
use raft_actor::consensus::{Configuration, GroupId, LogIndex, LogPosition, Term};
use raft_actor::log_storage::sim_disk::SimDisk;
use serde::Deserialize;

use super::segment::Fault;
use super::{Damage, damage};

const MAGIC: &[u8; 8] = b"raft-sn\n";
const FORMAT_VERSION: u32 = 1;
/// Magic, version and length of the header.
const BEFORE_HEADER_BYTES: usize = 16;
const HEADER_BYTES_MAX: usize = 16 << 20;
/// CRC, length and kind of a block.
const BEFORE_BLOCK_BYTES: usize = 12;
const BLOCK_BYTES_MAX: usize = 1 << 20;

const FRAMEWORK: u32 = 1;
const STATE: u32 = 2;
const END: u32 = 3;

/// A snapshot that would survive if the machine lost its power now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableSnapshot {
    /// The last entry that it covers.
    pub position: LogPosition,
    /// The configuration in force there.
    pub configuration: Configuration,
    /// Where that stands in the log.
    pub configured_at: LogPosition,
    /// What clients of sessions were answered, in MessagePack.
    pub sessions: Vec<u8>,
    /// The state, as the machine saved it.
    pub machine: Vec<u8>,
}

/// What the header says.
#[derive(Debug, Deserialize)]
struct Header {
    group: GroupId,
    meta: Meta,
}

#[derive(Debug, Deserialize)]
struct Meta {
    position: LogPosition,
    configuration: Configuration,
    configured_at: LogPosition,
}

/// What a file's name says: last index, its term, size of the file, CRC-32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    position: LogPosition,
    size_bytes: u64,
    checksum: u32,
}

/// Follows the durable snapshots of one group of one node.
#[derive(Debug)]
pub struct SnapshotReader {
    disk: SimDisk,
    directory: PathBuf,
    group: GroupId,
    version: u64,
    newest: Option<(PathBuf, DurableSnapshot)>,
}

impl SnapshotReader {
    /// A reader of the snapshots in `directory`, which need not be there yet. It has read nothing.
    pub fn new(disk: SimDisk, directory: impl Into<PathBuf>, group: GroupId) -> Self {
        Self { disk, directory: directory.into(), group, version: 0, newest: None }
    }

    /// The newest durable snapshot, as of the last time that something was read.
    pub fn newest(&self) -> Option<&DurableSnapshot> {
        self.newest.as_ref().map(|(_, snapshot)| snapshot)
    }

    /// Its file.
    pub fn newest_file(&self) -> Option<&Path> {
        self.newest.as_ref().map(|(path, _)| &**path)
    }

    /// Whether the newest durable snapshot still is what was read, if there is one.
    pub fn is_sound(&self) -> bool {
        let is_same = |path: &Path, bytes: &[u8], known| read(path, bytes, self.group).as_ref() == Ok(known);
        self.newest.as_ref().is_none_or(|(path, known)| {
            self.disk.with_durable(path, |bytes| is_same(path, bytes, known)).unwrap_or(false)
        })
    }

    /// Takes in what became durable since the last time. Returns whether the newest snapshot is another one now.
    ///
    /// # Errors
    /// If a file with a final name is not whole.
    pub fn follow(&mut self) -> Result<bool, Damage> {
        let synced = self.disk.synced_since(self.version);
        self.version = synced.version;
        let is_touched = || synced.files.iter().any(|path| self.is_whole_name(path));
        if !synced.names && !synced.emptied && !is_touched() {
            return Ok(false);
        }
        let newest = self.newest_name();
        let is_known = newest.as_ref() == self.newest.as_ref().map(|(path, _)| path);
        if is_known && !is_touched() {
            return Ok(false);
        }
        self.newest = match newest {
            Some(path) => {
                let read = self.disk.with_durable(&path, |bytes| read(&path, bytes, self.group));
                let read = read.unwrap_or(Err((0, "the snapshot vanished while it was read")));
                let snapshot = read.map_err(|fault| damage(&path, fault))?;
                Some((path, snapshot))
            }
            None => None,
        };
        Ok(true)
    }

    fn is_whole_name(&self, path: &Path) -> bool {
        path.parent() == Some(&self.directory) && name_of(path).is_some()
    }

    /// The higher index counts, where a crash has left two.
    fn newest_name(&self) -> Option<PathBuf> {
        let mut found = self.disk.files();
        found.retain(|path| self.is_whole_name(path));
        found.into_iter().max_by_key(|path| name_of(path).map(|name| name.position.index))
    }
}

/// What the name of a whole snapshot says; `None` of any other file.
fn name_of(path: &Path) -> Option<Name> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".snapshot")?;
    let parts: Vec<&str> = stem.split('-').collect();
    let [index, term, size, checksum] = parts[..] else { return None };
    Some(Name {
        position: LogPosition::new(Term::new(term.parse().ok()?), LogIndex::new(index.parse().ok()?)),
        size_bytes: size.parse().ok()?,
        checksum: u32::from_str_radix(checksum, 16).ok()?,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    let four = bytes.get(at..at + 4).ok_or((at, "the snapshot ends too early"))?;
    Ok(u32::from_le_bytes(four.try_into().expect("four bytes are four bytes")))
}

/// The snapshot in these bytes, all of which are checked.
fn read(path: &Path, bytes: &[u8], group: GroupId) -> Result<DurableSnapshot, Fault> {
    let name = name_of(path).ok_or((0, "the name says nothing"))?;
    if bytes.len() as u64 != name.size_bytes {
        return Err((bytes.len(), "the snapshot is not as long as its name says"));
    }
    let (meta, mut at) = read_header(bytes, group)?;
    if meta.position != name.position {
        return Err((0, "the snapshot covers something else than its name says"));
    }
    let mut state = Vec::new();
    loop {
        let (kind, content, end) = read_block(bytes, at)?;
        match kind {
            FRAMEWORK => {}
            STATE => state.extend_from_slice(content),
            END => {
                check_end(bytes, at, content, name)?;
                if end != bytes.len() {
                    return Err((end, "something stands behind the end"));
                }
                let Meta { position, configuration, configured_at } = meta;
                let (sessions, machine) = split_state(state).ok_or((at, "the answers to clients do not end"))?;
                return Ok(DurableSnapshot { position, configuration, configured_at, sessions, machine });
            }
            _ => return Err((at, "a block is of no known kind")),
        }
        at = end;
    }
}

/// What the header says, and where the first block begins.
fn read_header(bytes: &[u8], group: GroupId) -> Result<(Meta, usize), Fault> {
    if bytes.get(..8) != Some(MAGIC) {
        return Err((0, "this is no snapshot"));
    }
    if u32_at(bytes, 8)? != FORMAT_VERSION {
        return Err((8, "the snapshot has a format that this reader does not know"));
    }
    let length = u32_at(bytes, 12)? as usize;
    let end = BEFORE_HEADER_BYTES + length;
    if length > HEADER_BYTES_MAX || u32_at(bytes, end)? != crc32fast::hash(&bytes[..end]) {
        return Err((BEFORE_HEADER_BYTES, "the header is damaged"));
    }
    let header: Header = rmp_serde::from_slice(&bytes[BEFORE_HEADER_BYTES..end])
        .map_err(|_| (BEFORE_HEADER_BYTES, "the header cannot be decoded"))?;
    if header.group != group {
        return Err((BEFORE_HEADER_BYTES, "the snapshot is one of another group"));
    }
    Ok((header.meta, end + 4))
}

/// What clients were answered, and the state of the machine behind it.
fn split_state(mut state: Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (length, _) = state.split_first_chunk::<8>()?;
    let end = usize::try_from(u64::from_le_bytes(*length)).ok()?.checked_add(8)?;
    if end > state.len() {
        return None;
    }
    let machine = state.split_off(end);
    state.drain(..8);
    Some((state, machine))
}

/// Kind and content of the block at `at`, and where it ends.
fn read_block(bytes: &[u8], at: usize) -> Result<(u32, &[u8], usize), Fault> {
    let length = u32_at(bytes, at + 4)? as usize;
    let kind = u32_at(bytes, at + 8)?;
    let begin = at + BEFORE_BLOCK_BYTES;
    let content = bytes.get(begin..begin + length).filter(|_| length <= BLOCK_BYTES_MAX);
    let content = content.ok_or((at, "a block does not end"))?;
    let mut hasher = Hasher::new();
    hasher.update(&(at as u64).to_le_bytes());
    hasher.update(&bytes[at + 4..begin + length]);
    if hasher.finalize() != u32_at(bytes, at)? {
        return Err((at, "a block is damaged"));
    }
    Ok((kind, content, begin + length))
}

/// The last block, at `at`, says what the name says, and what is so.
fn check_end(bytes: &[u8], at: usize, content: &[u8], name: Name) -> Result<(), Fault> {
    let told = content.split_first_chunk::<8>().filter(|(_, rest)| rest.len() == 4);
    let (size, _) = told.ok_or((at, "the end does not say what it has to"))?;
    let checksum = crc32fast::hash(&bytes[..at]);
    let is_so = u64::from_le_bytes(*size) == name.size_bytes && u32_at(content, 8)? == checksum;
    if is_so && checksum == name.checksum { Ok(()) } else { Err((at, "the end belongs to another snapshot")) }
}

#[cfg(test)]
mod tests;
