//! The names of snapshots.

use raft_consensus::{LogIndex, LogPosition, Term};
use serde::{Deserialize, Serialize};

/// Names one snapshot file: two snapshots of the same position, by different servers, need not have the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SnapshotId {
    /// The last entry that it covers.
    pub position: LogPosition,
    /// Size of the whole file.
    pub size_bytes: u64,
    /// CRC-32 of the file up to its last block.
    pub checksum: u32,
}

/// What a name in the directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileName {
    /// A whole snapshot, durable.
    Whole(SnapshotId),
    /// One that is being received.
    Received(SnapshotId),
    /// One that is being written here.
    Written,
    /// None of ours.
    Foreign,
}

impl SnapshotId {
    /// `INDEX-TERM-SIZE-CHECKSUM`, so that a listing in alphabetical order is one by age.
    fn stem(&self) -> String {
        let LogPosition { term, index } = self.position;
        format!("{:020}-{}-{}-{:08x}", index.get(), term.get(), self.size_bytes, self.checksum)
    }

    fn parse(stem: &str) -> Option<Self> {
        let mut parts = stem.split('-');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (index, term, size_bytes) = (number()?, number()?, number()?);
        let checksum = u32::from_str_radix(parts.next()?, 16).ok()?;
        let position = LogPosition::new(Term::new(term), LogIndex::new(index));
        let id = Self { position, size_bytes, checksum };
        // One spelling for each.
        (id.stem() == stem).then_some(id)
    }

    /// The name of the file once it is durable.
    pub(super) fn whole_name(&self) -> String {
        format!("{}.snapshot", self.stem())
    }

    /// The name of the file while it is received.
    pub(super) fn received_name(&self) -> String {
        format!("received-{}.tmp", self.stem())
    }
}

impl FileName {
    pub(super) fn parse(name: &str) -> Self {
        if let Some(id) = name.strip_suffix(".snapshot").and_then(SnapshotId::parse) {
            return Self::Whole(id);
        }
        let Some(stem) = name.strip_suffix(".tmp") else { return Self::Foreign };
        if stem.starts_with("written-") {
            return Self::Written;
        }
        stem.strip_prefix("received-").and_then(SnapshotId::parse).map_or(Self::Foreign, Self::Received)
    }
}

/// The name of the `n`th file that this process writes.
pub(super) fn written_name(n: u64) -> String {
    format!("written-{n}.tmp")
}
