//! Opens what a host has on its disk, or founds it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use raft_consensus::{
    Configuration, Entries, Entry, GroupId, HardState, LogIndex, LogPosition, LogWrite, NodeId, Payload, Term,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::StartError;
use super::builder::{HostBuilder, LogPlace};
use super::gate::incarnation;
use crate::log_storage::{DataDirectory, GroupWrite, Identity, LogStorage, MemoryLog, RecoveredGroup, Wal, WalOptions};
use crate::transport::{DirectoryId, Incarnation};

/// The one group that a host serves.
pub(super) const GROUP: GroupId = GroupId::new(1);

/// A host's state as found on its disk; all of it is durable.
pub(super) struct Opened {
    pub(super) identity: Identity,
    pub(super) directory: Option<DataDirectory>,
    pub(super) storage: Box<dyn LogStorage>,
    pub(super) recovered: RecoveredGroup,
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
    if is_founding && identity.incarnation != incarnation(&builder.cluster, &founders) {
        return Err(StartError::OtherFounders { node, peers: founders.iter().map(|peer| peer.get()).collect() });
    }
    if !identity.has_log {
        if !founders.is_empty() {
            found(storage.as_mut(), &builder.peers)?;
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
    Ok(Opened { identity, directory, storage, recovered })
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
    let cluster = &builder.cluster;
    let alone = founders.len() == 1;
    let joins = founders.is_empty();
    let incarnation = if joins { Incarnation::default() } else { incarnation(cluster, founders) };
    Identity {
        // Nobody else has to know the directory of one who founds alone. One who joins
        // has no configuration yet and so nothing to vote on.
        confirmed: alone || joins,
        ..Identity::new(node, cluster, incarnation, directory)
    }
}

/// Writes the first configuration as the first entry of the log, the same on all founders.
fn found(storage: &mut dyn LogStorage, peers: &std::collections::BTreeMap<NodeId, String>) -> Result<(), StartError> {
    // A crash in between may have left the entry: then nothing came after it, for nobody spoke to anybody yet.
    if storage.recover(GROUP)?.log.last() != LogPosition::ZERO {
        return Ok(());
    }
    let members = peers.iter().map(|(id, address)| (*id, address.clone()));
    let first = Entry {
        position: LogPosition::new(Term::new(1), LogIndex::new(1)),
        payload: Payload::Configuration(Box::new(Configuration::of_voters(members))),
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
