//! What the checker asks of the disks.

use std::collections::BTreeMap;

use raft_actor::consensus::{Configuration, HardState, LogIndex, LogPosition, NodeId, Payload};

use crate::sim::durable::{PayloadKind, payload_hash};

/// An entry as it stands on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Its term and index.
    pub position: LogPosition,
    /// What it carries.
    pub kind: PayloadKind,
    /// Of a command: the [`payload_hash`] of its bytes.
    pub content: u64,
    /// The configuration, if it carries one.
    pub configuration: Option<&'a Configuration>,
}

impl<'a> Stored<'a> {
    /// What a disk that holds this entry should show.
    pub fn of(position: LogPosition, payload: &'a Payload) -> Self {
        let (kind, content, configuration) = match payload {
            Payload::Noop => (PayloadKind::Noop, 0, None),
            Payload::Command(command) => (PayloadKind::Command, payload_hash(command), None),
            Payload::Configuration(configuration) => (PayloadKind::Configuration, 0, Some(&**configuration)),
        };
        Self { position, kind, content, configuration }
    }
}

/// What would survive if a server's machine lost its power now, as somebody reads it who shares no code with the log.
pub trait Durable {
    /// Term and vote.
    fn hard_state(&self) -> HardState;
    /// The last entry that the newest snapshot covers.
    fn snapshot(&self) -> LogPosition;
    /// Whether the file of the newest snapshot still is what was written.
    fn snapshot_is_sound(&self) -> bool;
    /// The last entry that was purged from the log.
    fn base(&self) -> LogPosition;
    /// The last entry, or the base if there is none.
    fn last(&self) -> LogPosition;
    /// The position of the entry at this index, or of the base.
    fn position_at(&self, index: LogIndex) -> Option<LogPosition>;
    /// The entry at this index.
    fn entry(&self, index: LogIndex) -> Option<Stored<'_>>;
}

/// The disks of all servers.
pub trait Disks {
    /// The disk of this one, if it has any.
    fn disk(&self, node: NodeId) -> Option<&dyn Durable>;
}

impl<D: Durable> Disks for BTreeMap<NodeId, D> {
    fn disk(&self, node: NodeId) -> Option<&dyn Durable> {
        self.get(&node).map(|disk| disk as &dyn Durable)
    }
}

/// Whether a server durably holds this entry, or a snapshot that covers it.
pub(super) fn holds(disks: &dyn Disks, node: NodeId, position: LogPosition) -> bool {
    let Some(disk) = disks.disk(node) else { return position == LogPosition::ZERO };
    let covered = disk.snapshot();
    disk.position_at(position.index) == Some(position) || position.index < covered.index || position == covered
}
