//! Opens what a host has on its disk, or founds it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use raft_consensus::{
    Configuration, Entries, Entry, GroupId, HardState, LeaseReads, Log, LogAtStart, LogIndex, LogPosition, LogWrite,
    NodeId, Payload, SnapshotMeta, Term,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::StartError;
use super::builder::{HostBuilder, LogPlace};
use super::gate::incarnation;
use crate::log_storage::disk::Disk;
use crate::log_storage::{DataDirectory, GroupWrite, Identity, LogStorage, MemoryLog, RecoveredGroup, Wal, WalOptions};
use crate::state_machine::on_disk::{self, Held, Stored};
use crate::state_machine::snapshots::{SnapshotFile, SnapshotStore};
use crate::state_machine::{MachineError, Owner, Sessions, SnapshotError, StateMachine, freeze, load, save};
use crate::transport::{DirectoryId, Incarnation};

/// The group of a host that is started with a state machine.
pub(crate) const GROUP: GroupId = GroupId::new(1);

/// A host's state as found on its disk; all of it is durable.
pub(super) struct Opened {
    pub(super) identity: Identity,
    pub(super) directory: Option<DataDirectory>,
    pub(super) storage: Box<dyn LogStorage>,
    pub(super) home: Home,
}

/// Where a host keeps what is not in its log.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) node: NodeId,
    cluster: Arc<str>,
    disk: Arc<dyn Disk>,
    /// `None`: in memory.
    path: Option<PathBuf>,
}

/// Reads the disk; takes as long as that takes. A host whose first start this is founds `first`, if that is to be its
/// only group.
pub(super) fn open(builder: &mut HostBuilder, node: NodeId, first: Option<GroupId>) -> Result<Opened, StartError> {
    let place = builder.log.take().expect("validated before");
    let founders: BTreeSet<NodeId> =
        if builder.join { BTreeSet::new() } else { builder.peers.keys().copied().collect() };
    let (mut directory, mut identity, mut storage) = match place {
        LogPlace::Directory(path) => open_directory(path, builder, node, &founders)?,
        LogPlace::Memory => (None, new_identity(builder, node, &founders), boxed(MemoryLog::new())),
        LogPlace::Custom(storage) => (None, new_identity(builder, node, &founders), storage),
    };
    // Until all founders know each other, what they found has to be the same everywhere.
    let is_founding = !founders.is_empty() && identity.incarnation != Incarnation::default() && !identity.confirmed;
    if is_founding && identity.incarnation != incarnation(&builder.cluster, &founders, builder.founding_lease()) {
        return Err(StartError::OtherFounders { node, peers: founders.iter().map(|peer| peer.get()).collect() });
    }
    if !identity.has_log {
        if let Some(first) = first
            && !founders.is_empty()
        {
            found(storage.as_mut(), first, &builder.peers, builder.founding_lease())?;
        }
        identity.has_log = true;
        if let Some(directory) = &mut directory {
            directory.store(&identity)?;
        }
    }
    let path = directory.as_ref().map(|directory| directory.path().to_owned());
    let is_missing = |recovered: RecoveredGroup| {
        // If a damage has left nothing of it, its leader sends it.
        recovered.log.last() == LogPosition::ZERO && recovered.hard_state.damage.is_none()
    };
    if let Some(first) = first
        && !founders.is_empty()
        && is_missing(storage.recover(first)?)
    {
        return Err(StartError::LogMissing { path: path.unwrap_or_default(), node });
    }
    let home = Home { node, cluster: builder.cluster.as_str().into(), disk: Arc::clone(&builder.disk), path };
    Ok(Opened { identity, directory, storage, home })
}

impl Home {
    /// Whether there is nothing to read that could take a while.
    pub(super) fn is_memory(&self) -> bool {
        self.path.is_none()
    }

    /// Whose state the machine of a group holds.
    pub(super) fn owner(&self, group: GroupId) -> Owner {
        Owner { cluster: Arc::clone(&self.cluster), group }
    }

    /// The snapshots of a group.
    pub(super) fn snapshots(&self, group: GroupId) -> Result<SnapshotStore, SnapshotError> {
        match &self.path {
            Some(path) => SnapshotStore::open(Arc::clone(&self.disk), &DataDirectory::snapshots_of(path, group), group),
            None => Ok(SnapshotStore::in_memory(group)),
        }
    }

    /// Removes what a group that was destroyed has left behind. What cannot be removed stays, and does no harm.
    pub(super) fn remove_snapshots(&self, group: GroupId) {
        let Some(path) = self.path.as_ref().map(|path| DataDirectory::snapshots_of(path, group)) else { return };
        // Most groups never had any.
        let Ok(names) = self.disk.list(&path) else { return };
        for name in names {
            let file = path.join(name);
            if let Err(error) = self.disk.remove(&file) {
                tracing::warn!(file = %file.display(), %error, "cannot remove a snapshot of a destroyed group");
            }
        }
    }
}

/// Reads a group's log, and brings it behind the newest snapshot if a crash prevented that.
pub(super) fn recover(
    storage: &mut dyn LogStorage,
    group: GroupId,
    home: &Home,
    snapshots: &SnapshotStore,
) -> Result<RecoveredGroup, StartError> {
    let recovered = storage.recover(group)?;
    let covered = snapshots.newest();
    let covered_meta = covered.as_ref().map(SnapshotFile::meta);
    check_repairable(&recovered, covered_meta, home)?;
    match LogAtStart::of(&recovered.log, covered_meta) {
        LogAtStart::Continues => Ok(recovered),
        LogAtStart::LacksSnapshot { reset_to } => reset(storage, group, reset_to),
        LogAtStart::BeginsAboveSnapshot => {
            let path = home.path.clone().unwrap_or_default();
            let snapshot = covered.map_or(LogIndex::ZERO, |file| file.meta().position.index);
            let log_base = recovered.log.base().index;
            Err(StartError::SnapshotMissing { path, node: home.node, log_base, snapshot })
        }
    }
}

/// Refuses a log that has lost something if nobody can give that back.
fn check_repairable(
    recovered: &RecoveredGroup,
    snapshot: Option<&SnapshotMeta>,
    home: &Home,
) -> Result<(), StartError> {
    let in_log = recovered.log.configuration();
    let last =
        if in_log.voters.is_empty() { snapshot.map_or(in_log, |snapshot| &snapshot.configuration) } else { in_log };
    if recovered.hard_state.damage.is_some() && last.voter_sets().any(|set| set.len() == 1) {
        return Err(StartError::NobodyToRepair { path: home.path.clone().unwrap_or_default(), node: home.node });
    }
    Ok(())
}

/// Makes up for the reset of the log that a crash prevented when a snapshot was installed (Figure 13, rule 7).
fn reset(storage: &mut dyn LogStorage, group: GroupId, to: LogPosition) -> Result<RecoveredGroup, StartError> {
    tracing::info!(%group, %to, "the log is reset to the snapshot that was installed last");
    storage.write(&[GroupWrite { group, hard_state: None, log: Some(LogWrite::Reset { to }) }])?;
    storage.sync()?;
    Ok(storage.recover(group)?)
}

/// A damage has taken from the log what a machine on disk has applied: its state becomes a snapshot, so that the log can
/// go on behind it, as if that had come from the leader. Returns whether this was so; the log has to be [recovered](recover)
/// once more then.
pub(super) fn make_up_for_damage<S: StateMachine>(
    machine: &mut S,
    owner: &Owner,
    recovered: &RecoveredGroup,
    snapshots: &SnapshotStore,
) -> Result<bool, StartError> {
    if recovered.hard_state.damage.is_none() {
        return Ok(false);
    }
    let Some(Held { covered, sessions }) = held(machine, owner)? else { return Ok(false) };
    let newest = snapshots.newest().map_or(LogIndex::ZERO, |file| file.meta().position.index);
    // What is applied was committed; where the log says otherwise, what is lost had overwritten it.
    if covered.position.index <= newest || recovered.log.contains(covered.position) {
        return Ok(false);
    }
    tracing::info!(position = %covered.position, "the state machine holds what the damaged log has lost");
    machine.on_disk().map_or(Ok(()), on_disk::sync)?;
    save::<S>(snapshots, covered, &sessions, freeze(machine)?)?;
    Ok(true)
}

/// What a state machine begins with.
pub(super) struct Loaded {
    /// What it has applied.
    pub(super) covered: SnapshotMeta,
    /// What clients were answered, up to there.
    pub(super) sessions: Sessions,
    /// What of the two the machine has stored, if it lives on disk.
    pub(super) stored: Option<Stored>,
}

/// Brings a state machine to where its snapshot is, unless it is there by itself. Returns what it has applied then.
pub(super) fn load_machine<S: StateMachine>(
    machine: &mut S,
    owner: &Owner,
    recovered: &RecoveredGroup,
    snapshots: &SnapshotStore,
) -> Result<Loaded, StartError> {
    let newest = snapshots.newest();
    let held = held(machine, owner)?;
    let stored = held.as_ref().map(|held| Stored::of(&held.covered));
    let of_itself = match &held {
        Some(held) => held.covered.position.index,
        None => machine.durable_through().unwrap_or(LogIndex::ZERO),
    };
    let (held, sessions) = held.map(|Held { covered, sessions }| (covered, sessions)).unzip();
    let mut sessions = sessions.unwrap_or_default();
    if machine.on_disk().is_some() {
        sessions.note_changes();
    }
    if let Some(file) = newest.as_ref().filter(|file| of_itself < file.meta().position.index) {
        sessions.replace(load(machine, &mut file.body())?);
        let mut loaded = Loaded { covered: file.meta().clone(), sessions, stored };
        loaded.keep(machine, owner)?;
        return Ok(loaded);
    }
    let log = &recovered.log;
    let covered = match held {
        Some(held) => check_held(held, recovered)?,
        // What stands in the rest of a damaged log where the machine is may not be what it has applied: it may have
        // been overwritten in what is lost.
        None if recovered.hard_state.damage.is_some()
            && newest.as_ref().map_or(LogIndex::ZERO, |file| file.meta().position.index) < of_itself =>
        {
            return Err(mismatch(log, of_itself));
        }
        None => covered_by(log, newest.as_ref().map(SnapshotFile::meta), of_itself)?,
    };
    Ok(Loaded { covered, sessions, stored })
}

impl Loaded {
    /// A machine on disk makes durable what was loaded.
    fn keep<S: StateMachine>(&mut self, machine: &mut S, owner: &Owner) -> Result<(), MachineError> {
        let Some(disk) = machine.on_disk() else { return Ok(()) };
        on_disk::commit(disk, owner, &self.covered, &mut self.sessions, &mut self.stored)?;
        on_disk::sync(disk)
    }
}

/// What a machine on disk holds; `None` if it lives in memory, is new, or stores no records.
fn held<S: StateMachine>(machine: &mut S, owner: &Owner) -> Result<Option<Held>, MachineError> {
    let Some(disk) = machine.on_disk() else { return Ok(None) };
    let Some(held) = on_disk::held(disk, owner)? else { return Ok(None) };
    let records = held.covered.position.index;
    match machine.durable_through() {
        Some(machine) if machine > records => Err(MachineError::Apart { machine, records }),
        Some(_) | None => Ok(Some(held)),
    }
}

/// The log has to hold the last entry that the machine has applied: behind it the machine goes on.
fn check_held(held: SnapshotMeta, recovered: &RecoveredGroup) -> Result<SnapshotMeta, StartError> {
    let (log, applied) = (&recovered.log, held.position);
    match log.term_at(applied.index) {
        Some(term) if term == applied.term => Ok(held),
        Some(term) => Err(StartError::MachineDiverges { applied, in_log: LogPosition::new(term, applied.index) }),
        None => Err(mismatch(log, applied.index)),
    }
}

fn mismatch(log: &Log, applied: LogIndex) -> StartError {
    StartError::MachineMismatch { applied, log_base: log.base().index, log_last: log.last().index }
}

/// What a machine covers that has applied everything through `applied`. One that is ahead of the log, or behind what the
/// log still holds, would miss entries.
fn covered_by(log: &Log, snapshot: Option<&SnapshotMeta>, applied: LogIndex) -> Result<SnapshotMeta, StartError> {
    if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.position.index == applied) {
        return Ok(snapshot.clone());
    }
    let log_base = log.base().index;
    let term = log.term_at(applied).ok_or_else(|| mismatch(log, applied))?;
    let position = LogPosition::new(term, applied);
    // Where the log has none, what was in force at its base still is: the snapshot knows that, if there is one.
    let in_log = log.configurations(log_base.next(), applied).filter(|(index, _)| *index > log_base).last();
    Ok(match (in_log, snapshot) {
        (Some((index, configuration)), _) => {
            let configured_at = LogPosition::new(log.term_at(index).unwrap_or(term), index);
            SnapshotMeta { position, configuration: configuration.clone(), configured_at }
        }
        (None, Some(snapshot)) => SnapshotMeta { position, ..snapshot.clone() },
        (None, None) => {
            let configuration = log.configurations(log_base, log_base).last().map(|(_, last)| last.clone());
            SnapshotMeta { position, configuration: configuration.unwrap_or_default(), configured_at: log.base() }
        }
    })
}

/// An identity with its log, and the directory that both are in, if they are.
type Place = (Option<DataDirectory>, Identity, Box<dyn LogStorage>);

fn open_directory(
    path: PathBuf,
    builder: &mut HostBuilder,
    node: NodeId,
    founders: &BTreeSet<NodeId>,
) -> Result<Place, StartError> {
    let mut directory = DataDirectory::open_on(Arc::clone(&builder.disk), path)?;
    let identity = match directory.identity().cloned() {
        Some(identity) => {
            identity.check_owner(directory.path(), node, &builder.cluster)?;
            identity
        }
        None => {
            let identity = new_identity(builder, node, founders);
            directory.store(&identity)?;
            identity
        }
    };
    // From its first start on, a log that is missing was lost.
    let (segment_bytes, repair) = (builder.log_segment_bytes, builder.repair_log);
    let options = WalOptions { segment_bytes, create: !identity.has_log, repair };
    let wal = Wal::open_on(Arc::clone(&builder.disk), directory.wal_path(), options)?;
    Ok((Some(directory), identity, boxed(wal)))
}

fn boxed(storage: impl LogStorage) -> Box<dyn LogStorage> {
    Box::new(storage)
}

fn new_identity(builder: &mut HostBuilder, node: NodeId, founders: &BTreeSet<NodeId>) -> Identity {
    // From other numbers than what else is drawn from the seed.
    let directory = DirectoryId(ChaCha8Rng::seed_from_u64(builder.draw_seed().rotate_left(32)).random());
    let (cluster, lease_reads) = (&builder.cluster, builder.founding_lease());
    let alone = founders.len() == 1;
    let joins = founders.is_empty();
    let incarnation = if joins { Incarnation::default() } else { incarnation(cluster, founders, lease_reads) };
    Identity {
        // Nobody else has to know the directory of one who founds alone. One who joins
        // has no configuration yet and so nothing to vote on.
        confirmed: alone || joins,
        ..Identity::new(node, cluster, incarnation, directory)
    }
}

/// Writes the first configuration of a group as the first entry of its log, the same on all founders.
pub(super) fn found(
    storage: &mut dyn LogStorage,
    group: GroupId,
    founders: &BTreeMap<NodeId, String>,
    lease_reads: Option<LeaseReads>,
) -> Result<(), StartError> {
    // A crash in between may have left the entry: then nothing came after it, for nobody spoke to anybody yet.
    if storage.recover(group)?.log.last() != LogPosition::ZERO {
        return Ok(());
    }
    let members = founders.iter().map(|(id, address)| (*id, address.clone()));
    let first = Entry {
        position: LogPosition::new(Term::new(1), LogIndex::new(1)),
        payload: Payload::Configuration(Box::new(Configuration::of_voters(members).with_lease_reads(lease_reads))),
    };
    storage.write(&[GroupWrite {
        group,
        hard_state: Some(HardState { term: Term::new(1), vote: None, damage: None }),
        log: Some(LogWrite::Append(Entries::from(vec![first]))),
    }])?;
    Ok(storage.sync()?)
}

/// Notes that there is a group, of whose log nothing is known yet: its leader will send it.
pub(super) fn claim(storage: &mut dyn LogStorage, group: GroupId) -> Result<(), StartError> {
    storage.write(&[GroupWrite { group, hard_state: Some(HardState::default()), log: None }])?;
    Ok(storage.sync()?)
}

/// Ends a group for good, durably.
pub(super) fn bury(storage: &mut dyn LogStorage, group: GroupId) -> Result<(), StartError> {
    storage.write(&[GroupWrite::tombstone(group)])?;
    Ok(storage.sync()?)
}

#[cfg(test)]
mod tests;
