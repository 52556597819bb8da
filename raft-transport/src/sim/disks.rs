//! The disks of all servers, as somebody reads them who shares no code with what writes to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use raft_actor::consensus::{GroupId, HardState, LogIndex, LogPosition, NodeId};
use raft_actor::log_storage::sim_disk::SimDisk;

use super::checker::{Disks, Durable, Stored};
use super::durable::{Damage, DurableReader, DurableState, PayloadKind, RecordPlace, SnapshotReader};

/// Where a server's log is on its disk.
pub(super) const WAL_DIRECTORY: &str = "/data/wal";
/// Where the snapshots of its groups are, each in a directory of its own.
pub(super) const SNAPSHOT_DIRECTORY: &str = "/data/snapshots";

/// The first group of a host, and the only one of most.
pub(super) const GROUP: GroupId = GroupId::new(1);

fn snapshots_of(group: GroupId, disk: &SimDisk) -> SnapshotReader {
    SnapshotReader::new(disk.clone(), format!("{SNAPSHOT_DIRECTORY}/{group}"), group)
}

/// What is durable of a group on one disk.
pub(super) struct DiskReader {
    group: GroupId,
    log: DurableReader,
    snapshots: SnapshotReader,
}

impl DiskReader {
    fn new(group: GroupId, disk: &SimDisk) -> Self {
        let log = DurableReader::new(disk.clone(), WAL_DIRECTORY);
        Self { group, log, snapshots: snapshots_of(group, disk) }
    }

    /// A reader of another group of the same log, who has read as much of it.
    fn beside(&self, group: GroupId) -> Self {
        Self { group, log: self.log.clone(), snapshots: snapshots_of(group, self.log.disk()) }
    }

    /// Takes in what became durable since the last time. Returns whether anything did.
    fn follow(&mut self) -> Result<bool, Damage> {
        // First the snapshot: the log is cut behind it.
        let has_another = self.snapshots.follow()?;
        Ok(self.log.follow()? || has_another)
    }

    fn group(&self) -> &DurableState {
        self.log.state(self.group)
    }
}

impl Durable for DiskReader {
    fn hard_state(&self) -> HardState {
        self.group().hard_state()
    }

    fn snapshot(&self) -> LogPosition {
        self.snapshots.newest().map_or(LogPosition::ZERO, |snapshot| snapshot.position)
    }

    fn snapshot_is_sound(&self) -> bool {
        self.snapshots.is_sound()
    }

    fn base(&self) -> LogPosition {
        self.group().base()
    }

    fn last(&self) -> LogPosition {
        self.group().last()
    }

    fn position_at(&self, index: LogIndex) -> Option<LogPosition> {
        self.group().position_at(index)
    }

    fn entry(&self, index: LogIndex) -> Option<Stored<'_>> {
        let record = self.group().entry(index)?;
        let content = match record.kind {
            PayloadKind::Command => record.payload_hash,
            PayloadKind::Noop | PayloadKind::Configuration => 0,
        };
        let configuration = record.configuration.as_deref();
        Some(Stored { position: record.position, kind: record.kind, content, configuration })
    }
}

/// What is durable of a group on all disks.
pub(super) struct DiskReaders {
    group: GroupId,
    readers: BTreeMap<NodeId, DiskReader>,
    /// Disks that were damaged and that nobody has started on since.
    damaged: BTreeSet<NodeId>,
    /// Disks of which a bit was flipped under a process that runs.
    rotten: BTreeSet<NodeId>,
}

impl Default for DiskReaders {
    fn default() -> Self {
        Self { group: GROUP, readers: BTreeMap::new(), damaged: BTreeSet::new(), rotten: BTreeSet::new() }
    }
}

impl DiskReaders {
    /// Readers of what is durable of another group, which begins. It is written to the logs that are there: what has been read
    /// of these is not read again, for it may have rotted since.
    pub(super) fn beside(&self, group: GroupId) -> Self {
        let readers = self.readers.iter().map(|(node, reader)| (*node, reader.beside(group))).collect();
        Self { group, readers, damaged: self.damaged.clone(), rotten: self.rotten.clone() }
    }

    pub(super) fn add(&mut self, node: NodeId, disk: &SimDisk) {
        self.readers.insert(node, DiskReader::new(self.group, disk));
    }

    /// A bit of this disk was flipped: nobody need be able to read it.
    pub(super) fn damaged(&mut self, node: NodeId) {
        self.damaged.insert(node);
    }

    /// A bit of this disk was flipped under a process that runs. What that goes on to write is followed all the same: what
    /// was read before is not read again.
    pub(super) fn rots(&mut self, node: NodeId) {
        self.rotten.insert(node);
    }

    /// Nobody runs on this disk any more. Whether a bit of it was flipped while somebody did.
    pub(super) fn has_rotted(&mut self, node: NodeId) -> bool {
        self.rotten.remove(&node)
    }

    pub(super) fn is_damaged(&self, node: NodeId) -> bool {
        self.damaged.contains(&node)
    }

    /// Whoever starts on a disk of which a bit was flipped has found something to start with: it can be read again.
    pub(super) fn look_again(&mut self, node: NodeId) -> Result<(), Damage> {
        if !self.damaged.remove(&node) {
            return Ok(());
        }
        let Some(reader) = self.readers.get_mut(&node) else { return Ok(()) };
        reader.snapshots.follow()?;
        reader.log.reread()
    }

    pub(super) fn reader(&self, node: NodeId) -> Option<&DiskReader> {
        self.readers.get(&node)
    }

    /// Takes in what has become durable on a server's disk since the last look. Returns the disk if anything has.
    pub(super) fn follow(&mut self, node: NodeId) -> Result<Option<&DiskReader>, Damage> {
        if self.damaged.contains(&node) {
            return Ok(None);
        }
        let Some(reader) = self.readers.get_mut(&node) else { return Ok(None) };
        Ok(reader.follow()?.then_some(&*reader))
    }

    /// Where the durable records of a log stand that lie in batches before the last one.
    pub(super) fn earlier_records(&self, node: NodeId) -> Vec<RecordPlace> {
        self.readers.get(&node).map(|reader| reader.log.earlier_records()).unwrap_or_default()
    }

    /// The file of a server's newest durable snapshot.
    pub(super) fn snapshot_file(&self, node: NodeId) -> Option<PathBuf> {
        self.readers.get(&node)?.snapshots.newest_file().map(Path::to_owned)
    }

    /// Whether the newest snapshot on a disk is what was written, as far as there is one.
    pub(super) fn snapshot_is_sound(&self, node: NodeId) -> bool {
        self.readers.get(&node).is_none_or(|reader| reader.snapshots.is_sound())
    }

    /// Reads all logs that ought to be sound from scratch.
    pub(super) fn check(&mut self) -> Result<(), (NodeId, Damage)> {
        let is_sound = |node: &NodeId| !self.damaged.contains(node) && !self.rotten.contains(node);
        let sound = self.readers.iter_mut().filter(|(node, _)| is_sound(node));
        for (node, reader) in sound {
            reader.follow().and_then(|_| reader.log.check()).map_err(|damage| (*node, damage))?;
        }
        Ok(())
    }
}

impl Disks for DiskReaders {
    fn disk(&self, node: NodeId) -> Option<&dyn Durable> {
        self.readers.get(&node).map(|reader| reader as &dyn Durable)
    }
}

#[cfg(test)]
mod tests;
