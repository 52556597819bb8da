//! Bits that flip: in logs and in snapshots, while a process runs or while none does. Who may stop, or refuse to start,
//! for which of them, and that whoever runs on what has rotted holds up nobody.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use raft_actor::StateMachine;
use raft_actor::consensus::{LogIndex, NodeId};
use raft_actor::log_storage::LogError;
use raft_actor::state_machine::SnapshotError;

use super::checker::Violation;
use super::durable::{RecordPlace, RecordSubject};
use super::world::{Node, Sim, place};

/// What has rotted under a server's process, and on its disk.
#[derive(Debug, Default)]
pub(super) struct Rot {
    /// Records of the log of which a bit was flipped since the process was started: it may stop for these.
    records: Vec<(PathBuf, Range<u64>)>,
    /// The snapshot of which a bit was flipped, and the version of the disk when it was last found to be there.
    snapshot: Option<(PathBuf, u64)>,
}

impl Rot {
    /// Another process finds what there is when it opens the log.
    pub(super) fn process_starts(&mut self) {
        self.records.clear();
    }

    /// Whether the log has rotted under the process that runs.
    pub(super) fn is_in_log(&self) -> bool {
        !self.records.is_empty()
    }

    /// Whether the newest snapshot is not what was written.
    pub(super) fn is_in_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }
}

impl<S: StateMachine> Node<S> {
    /// Whether its process may stop for this: it has met a record that has rotted, at the place that it names, or its
    /// disk has failed in front of its eyes.
    pub(super) fn may_stop_for_log(&self, error: &LogError) -> bool {
        match error {
            LogError::Damaged { path, offset, .. } => {
                self.rot.records.iter().any(|(rotten, record)| rotten == path && record.contains(offset))
            }
            _ => self.disk_has_failed(),
        }
    }

    /// Whether it may say this of a snapshot: a bit of that very file was flipped, or its disk has failed in front of its
    /// eyes.
    pub(super) fn may_say_of_snapshot(&self, error: &SnapshotError) -> bool {
        match error {
            SnapshotError::Damaged { path, .. } => self.has_flipped(path),
            _ => self.disk_has_failed(),
        }
    }

    fn has_flipped(&self, snapshot: &Path) -> bool {
        self.rot.snapshot.as_ref().is_some_and(|(path, _)| path == snapshot)
    }
}

fn chosen(records: &[RecordPlace], which: u64) -> Option<(PathBuf, Range<u64>)> {
    let which = usize::try_from(which % (records.len() as u64).max(1)).unwrap_or_default();
    let RecordPlace { path, offset, length, .. } = records.get(which)?;
    Some((path.clone(), *offset..offset + length))
}

impl<S: StateMachine> Sim<S> {
    /// The process dies, and when nobody looks a bit flips in a record that was durable before the last one was.
    /// Returns whether there is such a record.
    pub(super) fn flip_a_bit(&mut self, id: NodeId, which: u64, bit: u64) -> bool {
        let records = self.judge.earlier_records(id);
        let Some((path, record)) = chosen(&records, which) else { return false };
        self.crash(id);
        self.judge.damaged(id);
        let is_flipped = self.flip_at(id, &path, record, bit);
        self.plan_start(id);
        is_flipped
    }

    /// A bit flips in an entry that was durable before the last batch, one of the latest `among`, while the process runs. It
    /// finds out when it reads there, or when it is started again.
    pub(super) fn flip_under_a_process(&mut self, id: NodeId, among: usize, which: u64, bit: u64) -> bool {
        let mut records = self.judge.earlier_records(id);
        records.retain(|record| matches!(record.subject, RecordSubject::Entry(_)));
        let latest = &records[records.len().saturating_sub(among)..];
        let Some((path, record)) = chosen(latest, which).filter(|_| self.is_up(id)) else { return false };
        self.judge.rots(id);
        let is_flipped = self.flip_at(id, &path, record.clone(), bit);
        if is_flipped {
            self.tally.rotten_records += 1;
            self.node_mut(id).rot.records.push((path, record));
        }
        is_flipped
    }

    /// A bit flips in the newest snapshot. It is found when somebody is to be sent that, or when the server is started.
    pub(super) fn flip_in_a_snapshot(&mut self, id: NodeId, bit: u64) -> bool {
        let Some(path) = self.judge.snapshot_file(id) else { return false };
        let node = self.node_mut(id);
        let size = node.disk.with_durable(&path, <[u8]>::len).unwrap_or_default() as u64;
        let is_flipped = size > 0 && node.disk.flip_bit(&path, bit / 8 % size, (bit % 8) as u8);
        if is_flipped {
            node.rot.snapshot = Some((path, node.disk.version()));
            self.tally.rotten_snapshots += 1;
            self.judge.note(Some(id), "has a damaged snapshot", 0);
        }
        is_flipped
    }

    fn flip_at(&mut self, id: NodeId, path: &Path, record: Range<u64>, bit: u64) -> bool {
        let node = self.node_mut(id);
        let offset = record.start + bit / 8 % (record.end - record.start);
        let is_flipped = node.disk.flip_bit(path, offset, (bit % 8) as u8);
        node.disk_is_damaged |= is_flipped;
        is_flipped
    }

    /// Where another snapshot has taken the place of one that had rotted, nothing is lost any more.
    pub(super) fn look_at_snapshot(&mut self, id: NodeId) {
        let node = &self.nodes[place(id)];
        let version = node.disk.version();
        if node.rot.snapshot.as_ref().is_none_or(|(_, seen)| *seen == version) {
            return;
        }
        let is_sound = self.judge.snapshot_is_sound(id);
        self.tally.snapshots_replaced += u64::from(is_sound);
        let rotten = &mut self.node_mut(id).rot.snapshot;
        *rotten = rotten.take().filter(|_| !is_sound).map(|(path, _)| (path, version));
    }

    /// Whoever leads, and whatever of its disk has rotted: the others get what they lack, from it or from who takes its
    /// place. Then those whose disks have rotted are started anew, so that it is found.
    pub(super) fn finds_what_has_rotted(&mut self, limit: Duration) -> Result<(), Violation> {
        let has_rotted = |node: &Node<S>| node.is_up() && (node.rot.is_in_log() || node.rot.is_in_snapshot());
        if !self.nodes.iter().any(has_rotted) {
            return Ok(());
        }
        self.check(limit, "a server leads though disks have rotted", |sim| sim.leader().is_some())?;
        let goal = self.judge.running(self.group().id).iter().map(|seen| seen.commit).max().unwrap_or(LogIndex::ZERO);
        self.check(limit, "a leader whose disk has rotted keeps nobody waiting", |sim| {
            let voters = sim.voters();
            let mut sound = sim.nodes.iter().filter(|node| node.is_sound() && voters.contains(&node.id));
            sound.all(|node| sim.seen(node.id).is_some_and(|seen| seen.applied >= goal))
        })?;
        let rotten: Vec<NodeId> = self.nodes.iter().filter(|node| has_rotted(node)).map(|node| node.id).collect();
        for id in &rotten {
            self.crash(*id);
            self.plan_start(*id);
        }
        // Until then nobody knows whether it has lost anything that counts.
        self.check(limit, "servers whose disks have rotted know so when they have started", |sim| {
            rotten.iter().all(|id| sim.node(*id).is_lost || sim.seen(*id).is_some())
        })
    }
}
