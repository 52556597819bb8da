//! Tests on real files.

use std::fs;
use std::path::{Path, PathBuf};

use raft_consensus::{HardState, Term};
use tempfile::TempDir;

use super::*;
use crate::log_storage::contract::{self, Model, commands};

mod contract_runs;
mod corruption;
mod directory;
mod disk;
mod faults;
mod mending;
mod random;
mod recycling;
mod tail;

/// Segments so small that every few batches begin a new one.
const SMALL: u64 = 16 << 10;

pub(super) fn options(segment_bytes: u64) -> WalOptions {
    WalOptions { segment_bytes, repair: false, ..WalOptions::default() }
}

pub(super) fn temporary() -> TempDir {
    tempfile::tempdir().expect("the machine has room for a temporary directory")
}

pub(super) fn open(directory: &Path) -> Wal {
    disk::FaultyDisk::lazy().open(directory)
}

pub(super) fn append(group: u64, entries: raft_consensus::Entries) -> GroupWrite {
    GroupWrite { group: group.into(), hard_state: None, log: Some(LogWrite::Append(entries)) }
}

pub(super) fn vote(group: u64, term: u64) -> GroupWrite {
    let hard_state = HardState { term: Term::new(term), vote: Some(3.into()), damage: None };
    GroupWrite { group: group.into(), hard_state: Some(hard_state), log: None }
}

/// Writes a batch to the log and to the model, and syncs.
pub(super) fn write(wal: &mut Wal, model: &mut Model, writes: &[GroupWrite]) {
    wal.write(writes).expect("a write succeeds");
    wal.sync().expect("a sync succeeds");
    model.write(writes);
}

/// The segments of a directory, oldest first.
pub(super) fn segments(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).expect("the directory is there");
    let mut found: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("segment-")));
    found.sort();
    found
}

/// A record found in a segment: where it stands, and what it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) header: Header,
}

impl Place {
    /// Behind its payload.
    pub(super) fn end(&self) -> usize {
        self.offset + record::HEADER_BYTES + self.header.length as usize
    }
}

/// The records of a segment, as its bytes have them.
pub(super) fn records(segment: &[u8]) -> Vec<Place> {
    let mut found = Vec::new();
    let mut offset = 0;
    while let Some(header) = segment.get(offset..).and_then(|rest| Header::decode(rest, offset as u32)) {
        found.push(Place { offset, header });
        offset += header.record_bytes() as usize;
    }
    found
}

/// Replaces the only segment of a log by other bytes, and opens the log.
pub(super) fn open_with(directory: &Path, segment: &str, bytes: &[u8]) -> Result<Wal, LogError> {
    for path in segments(directory) {
        fs::remove_file(path).expect("a segment can be removed");
    }
    fs::write(directory.join(segment), bytes).expect("a segment can be written");
    Wal::open_on(Arc::new(disk::FaultyDisk::lazy()), directory, options(SMALL))
}

/// The index of the last entry of group 1.
pub(super) fn last_index(wal: &mut Wal) -> u64 {
    let recovered = wal.recover(1.into()).expect("the group can be recovered");
    let last = recovered.log.last().index;
    let read = wal.reader().read(1.into(), LogIndex::new(1), last, u64::MAX).expect("the entries can be read");
    assert_eq!(read.last_position().map(|position| position.index).unwrap_or_default(), last);
    last.get()
}
