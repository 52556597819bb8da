//! Opens what a host has on its disk, or founds it.

use std::collections::BTreeSet;
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
use crate::log_storage::{DataDirectory, GroupWrite, Identity, LogStorage, MemoryLog, RecoveredGroup, Wal, WalOptions};
use crate::state_machine::snapshots::{SnapshotFile, SnapshotStore};
use crate::state_machine::{Sessions, StateMachine, load};
use crate::transport::{DirectoryId, Incarnation};

/// The one group that a host serves.
pub(crate) const GROUP: GroupId = GroupId::new(1);

/// A host's state as found on its disk; all of it is durable.
pub(super) struct Opened {
    pub(super) identity: Identity,
    pub(super) directory: Option<DataDirectory>,
    pub(super) storage: Box<dyn LogStorage>,
    /// Its log continues the newest snapshot.
    pub(super) recovered: RecoveredGroup,
    pub(super) snapshots: SnapshotStore,
}

/// Reads the disk; takes as long as that takes.
pub(super) fn open(builder: &mut HostBuilder, node: NodeId) -> Result<Opened, StartError> {
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
        if !founders.is_empty() {
            found(storage.as_mut(), &builder.peers, builder.founding_lease())?;
        }
        identity.has_log = true;
        if let Some(directory) = &mut directory {
            directory.store(&identity)?;
        }
    }
    let recovered = storage.recover(GROUP)?;
    if !founders.is_empty() && recovered.log.last() == LogPosition::ZERO {
        let path = directory.as_ref().map(|directory| directory.path().to_owned()).unwrap_or_default();
        return Err(StartError::LogMissing { path, node });
    }
    let snapshots = match &directory {
        Some(directory) => SnapshotStore::open(Arc::clone(&builder.disk), &directory.snapshots_path(GROUP), GROUP)?,
        None => SnapshotStore::in_memory(GROUP),
    };
    let covered = snapshots.newest();
    let recovered = match LogAtStart::of(&recovered.log, covered.as_ref().map(SnapshotFile::meta)) {
        LogAtStart::Continues => recovered,
        LogAtStart::LacksSnapshot { reset_to } => reset(storage.as_mut(), reset_to)?,
        LogAtStart::BeginsAboveSnapshot => {
            let path = directory.as_ref().map(|directory| directory.path().to_owned()).unwrap_or_default();
            let snapshot = covered.map_or(LogIndex::ZERO, |file| file.meta().position.index);
            return Err(StartError::SnapshotMissing { path, node, log_base: recovered.log.base().index, snapshot });
        }
    };
    Ok(Opened { identity, directory, storage, recovered, snapshots })
}

/// Makes up for the reset of the log that a crash prevented when a snapshot was installed (Figure 13, rule 7).
fn reset(storage: &mut dyn LogStorage, to: LogPosition) -> Result<RecoveredGroup, StartError> {
    tracing::info!(%to, "the log is reset to the snapshot that was installed last");
    storage.write(&[GroupWrite { group: GROUP, hard_state: None, log: Some(LogWrite::Reset { to }) }])?;
    storage.sync()?;
    Ok(storage.recover(GROUP)?)
}

/// What a state machine begins with.
pub(super) struct Loaded {
    /// What it has applied.
    pub(super) covered: SnapshotMeta,
    /// What clients were answered, up to there.
    pub(super) sessions: Sessions,
}

impl Opened {
    /// Brings a state machine to where its snapshot is, unless it is there by itself. Returns what it has applied then.
    pub(super) fn load_machine<S: StateMachine>(&self, machine: &mut S) -> Result<Loaded, StartError> {
        let newest = self.snapshots.newest();
        let of_itself = |machine: &S| machine.durable_through().unwrap_or(LogIndex::ZERO);
        let covered = newest.as_ref().map_or(LogIndex::ZERO, |file| file.meta().position.index);
        let sessions = match newest.as_ref().filter(|_| of_itself(machine) < covered) {
            Some(file) => load(machine, &mut file.body())?,
            None => Sessions::default(),
        };
        let applied = of_itself(machine).max(covered);
        let covered = covered_by(&self.recovered.log, newest.as_ref().map(SnapshotFile::meta), applied)?;
        Ok(Loaded { covered, sessions })
    }
}

/// What a machine covers that has applied everything through `applied`. One that is ahead of the log, or behind what the
/// log still holds, would miss entries.
fn covered_by(log: &Log, snapshot: Option<&SnapshotMeta>, applied: LogIndex) -> Result<SnapshotMeta, StartError> {
    if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.position.index == applied) {
        return Ok(snapshot.clone());
    }
    let (log_base, log_last) = (log.base().index, log.last().index);
    let term = log.term_at(applied).ok_or(StartError::MachineMismatch { applied, log_base, log_last })?;
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
    let options = WalOptions { segment_bytes: builder.log_segment_bytes, create: !identity.has_log };
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

/// Writes the first configuration as the first entry of the log, the same on all founders.
fn found(
    storage: &mut dyn LogStorage,
    peers: &std::collections::BTreeMap<NodeId, String>,
    lease_reads: Option<LeaseReads>,
) -> Result<(), StartError> {
    // A crash in between may have left the entry: then nothing came after it, for nobody spoke to anybody yet.
    if storage.recover(GROUP)?.log.last() != LogPosition::ZERO {
        return Ok(());
    }
    let members = peers.iter().map(|(id, address)| (*id, address.clone()));
    let first = Entry {
        position: LogPosition::new(Term::new(1), LogIndex::new(1)),
        payload: Payload::Configuration(Box::new(Configuration::of_voters(members).with_lease_reads(lease_reads))),
    };
    storage.write(&[GroupWrite {
        group: GROUP,
        hard_state: Some(HardState { term: Term::new(1), vote: None }),
        log: Some(LogWrite::Append(Entries::from(vec![first]))),
    }])?;
    Ok(storage.sync()?)
}

#[cfg(test)]
mod tests;
