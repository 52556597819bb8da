//! Founding is interrupted by a crash after each of its steps, and goes on at the next start.

use std::path::Path;

use super::*;
use crate::host::RaftHost;

mod snapshots;

fn builder(path: &Path, peers: u64) -> HostBuilder {
    RaftHost::builder()
        .node(1)
        .data_dir(path)
        .log_segment_bytes(64 << 10)
        .peers((1..=peers).map(|id| (id, "somewhere")))
}

/// A host with its one group.
struct Whole {
    identity: Identity,
    storage: Box<dyn LogStorage>,
    recovered: RecoveredGroup,
    snapshots: SnapshotStore,
    _directory: Option<DataDirectory>,
}

fn open_whole(mut builder: HostBuilder, node: u64) -> Result<Whole, StartError> {
    let Opened { identity, directory, mut storage, home } = open(&mut builder, NodeId::from(node), Some(GROUP))?;
    let snapshots = home.snapshots(GROUP)?;
    let recovered = recover(storage.as_mut(), GROUP, &home, &snapshots)?;
    Ok(Whole { identity, storage, recovered, snapshots, _directory: directory })
}

fn open_again(path: &Path) -> Whole {
    open_whole(builder(path, 3), 1).expect("opens")
}

/// The directory as it is after the identity was stored, before there is a log.
fn identity_only(path: &Path) -> Identity {
    let founders = (1..=3).map(NodeId::from).collect();
    let identity = new_identity(&mut builder(path, 3), NodeId::from(1), &founders);
    DataDirectory::open(path).and_then(|mut directory| directory.store(&identity)).expect("stores");
    identity
}

fn is_founded_once(opened: &Whole) -> bool {
    let log = &opened.recovered.log;
    let voters: Vec<u64> = log.configuration().voters.iter().map(|id| id.get()).collect();
    log.last() == LogPosition::new(Term::new(1), LogIndex::new(1)) && voters == [1, 2, 3] && opened.identity.has_log
}

#[test]
fn a_crash_before_the_log_is_begun_leaves_the_founding_to_the_next_start() {
    let place = tempfile::tempdir().expect("a directory");
    let identity = identity_only(place.path());
    let opened = open_again(place.path());
    assert!(is_founded_once(&opened));
    assert_eq!(opened.identity.directory, identity.directory, "peers may remember it");
}

#[test]
fn a_crash_before_the_first_entry_is_written_leaves_the_founding_to_the_next_start() {
    let place = tempfile::tempdir().expect("a directory");
    identity_only(place.path());
    drop(
        Wal::open(place.path().join("wal"), WalOptions { segment_bytes: 64 << 10, ..WalOptions::default() })
            .expect("opens"),
    );
    assert!(is_founded_once(&open_again(place.path())));
}

#[test]
fn a_crash_before_the_log_is_noted_founds_nothing_twice() {
    let place = tempfile::tempdir().expect("a directory");
    let mut identity = identity_only(place.path());
    drop(open_again(place.path()));
    // As it was just before: the founding entry is in the log, and the identity does not know yet.
    identity.has_log = false;
    std::fs::remove_file(place.path().join("identity")).expect("removes");
    let wal = place.path().join("wal");
    let aside = place.path().join("aside");
    std::fs::rename(&wal, &aside).expect("moves");
    DataDirectory::open(place.path()).and_then(|mut directory| directory.store(&identity)).expect("stores");
    std::fs::rename(&aside, &wal).expect("moves back");
    assert!(is_founded_once(&open_again(place.path())));
    assert!(is_founded_once(&open_again(place.path())), "and again");
}

#[test]
fn a_log_that_is_gone_later_is_not_founded_anew() {
    let place = tempfile::tempdir().expect("a directory");
    drop(open_again(place.path()));
    std::fs::remove_dir_all(place.path().join("wal")).expect("removes");
    assert!(open_whole(builder(place.path(), 3), 1).is_err());
}

#[test]
fn a_directory_of_another_node_or_cluster_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    drop(open_again(place.path()));
    assert!(open_whole(builder(place.path(), 3), 2).is_err());
    assert!(open_whole(builder(place.path(), 3).cluster("another"), 1).is_err());
    assert!(is_founded_once(&open_again(place.path())));
}

#[test]
fn who_joins_has_an_empty_log_and_stays_a_joiner() {
    let place = tempfile::tempdir().expect("a directory");
    for _ in 0..2 {
        let opened = open_whole(builder(place.path(), 3).join(), 1).expect("opens");
        assert_eq!(opened.recovered.log.last(), LogPosition::ZERO);
    }
    let error = open_whole(builder(place.path(), 3), 1).err();
    assert!(matches!(error, Some(StartError::LogMissing { .. })), "it founds nothing later either");
}
