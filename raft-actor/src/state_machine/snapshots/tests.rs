//! The store on a simulated disk.

use std::io::{self, Read};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_consensus::{Configuration, GroupId, LogIndex, LogPosition, NodeId, SnapshotMeta, Term};

use super::*;
use crate::log_storage::disk::Disk;
use crate::log_storage::sim_disk::{Keep, SimDisk};

mod crashes;
mod damage;
mod reception;

const GROUP: GroupId = GroupId::new(1);

fn directory() -> PathBuf {
    PathBuf::from("/snapshots/1")
}

fn open(disk: &SimDisk) -> Result<SnapshotStore, SnapshotError> {
    SnapshotStore::open(disk.process(), &directory(), GROUP)
}

fn meta(index: u64) -> SnapshotMeta {
    let members = (1..=3).map(|id| (NodeId::from(id), format!("host-{id}:7000")));
    let position = LogPosition::new(Term::new(3), LogIndex::new(index));
    SnapshotMeta { position, configuration: Configuration::of_voters(members), configured_at: LogPosition::ZERO }
}

/// The state as of an index: of several blocks, and unlike that of any other.
fn state(index: u64, length: usize) -> Vec<u8> {
    (0..length).map(|n| (n as u64).wrapping_mul(index.wrapping_mul(2_654_435_761) | 1).to_le_bytes()[2]).collect()
}

fn write(store: &SnapshotStore, index: u64, length: usize) -> Result<SnapshotFile, SnapshotError> {
    store.write(&meta(index), |out| out.write_all(&state(index, length)))
}

fn body(file: &SnapshotFile) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.body().read_to_end(&mut content)?;
    Ok(content)
}

/// The names in the directory as a program sees them.
fn names(disk: &dyn Disk) -> Vec<String> {
    let mut names = disk.list(&directory()).expect("it is there");
    names.sort();
    names
}

#[test]
fn what_was_written_is_found_again_with_what_it_covers() {
    let disk = SimDisk::new(1);
    for (index, length) in [(7, 0), (8, 1), (9, 64 << 10), (10, 300_000)] {
        let store = open(&disk).unwrap();
        let written = write(&store, index, length).unwrap();
        let store = open(&disk).unwrap();
        let found = store.newest().expect("it is durable");
        assert_eq!((found.id(), found.meta()), (written.id(), &meta(index)));
        assert!(body(&found).unwrap() == state(index, length));
    }
}

#[test]
fn only_the_newest_stays_and_what_is_held_can_be_read_to_its_end() {
    let disk = SimDisk::new(1);
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    assert!(store.newest().is_none());
    let held = write(&store, 5, 200_000).unwrap();
    let newer = write(&store, 6, 10).unwrap();
    assert_eq!(names(process.as_ref()), [newer.id().whole_name()]);
    assert!(body(&held).unwrap() == state(5, 200_000));
    // One that was begun earlier and is done later is not the newest.
    write(&store, 4, 10).unwrap();
    assert_eq!(store.newest().unwrap().id(), newer.id());
    assert_eq!(names(process.as_ref()), [newer.id().whole_name()]);
}

#[test]
fn two_of_the_same_position_replace_each_other() {
    let disk = SimDisk::new(1);
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    let first = write(&store, 5, 1000).unwrap();
    assert_eq!(write(&store, 5, 1000).unwrap().id(), first.id(), "the same bytes, the same name");
    let other = store.write(&meta(5), |out| out.write_all(b"saved in another order")).unwrap();
    assert_ne!(other.id(), first.id());
    assert_eq!(names(process.as_ref()), [other.id().whole_name()]);
    assert_eq!(body(&store.newest().unwrap()).unwrap(), b"saved in another order");
}

#[test]
fn a_state_that_cannot_be_saved_leaves_nothing_behind() {
    let disk = SimDisk::new(1);
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    let before = write(&store, 5, 10).unwrap();
    let error = store.write(&meta(6), |out| {
        out.write_all(&[0; 100_000])?;
        Err(io::Error::other("a map with two equal keys"))
    });
    assert!(matches!(error, Err(SnapshotError::Machine { action: "save", .. })), "{error:?}");
    let panics = AssertUnwindSafe(|| store.write(&meta(6), |_| panic!("asked to")));
    let panicked = std::panic::catch_unwind(panics);
    assert!(panicked.is_err());
    assert_eq!(names(process.as_ref()), [before.id().whole_name()]);
    assert_eq!(store.newest().unwrap().id(), before.id());
}

#[test]
fn the_store_of_a_host_that_keeps_nothing_does_the_same() {
    let store = SnapshotStore::in_memory(GROUP);
    let held = write(&store, 5, 100_000).unwrap();
    write(&store, 6, 10).unwrap();
    assert!(body(&held).unwrap() == state(5, 100_000));
    assert_eq!(body(&store.newest().unwrap()).unwrap(), state(6, 10));
    let other = SnapshotStore::in_memory(GROUP);
    let mut partial = other.receive(held.id()).unwrap();
    partial.append(0, &held.read_at(0, usize::MAX).unwrap()).unwrap();
    let adopted = other.adopt(partial.finish().unwrap()).unwrap();
    assert!(body(&adopted).unwrap() == state(5, 100_000));
}

#[test]
fn whoever_still_writes_or_receives_when_the_store_is_closed_touches_no_name() {
    let disk = SimDisk::new(1);
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    let before = write(&store, 5, 10).unwrap();
    let sent = write(&SnapshotStore::in_memory(GROUP), 9, 10).unwrap();
    let receive = || {
        let mut partial = store.receive(sent.id())?;
        partial.append(0, &sent.read_at(0, usize::MAX)?)?;
        partial.finish()
    };
    let received = receive().unwrap();
    let mut next = None;
    let error = store.write(&meta(6), |out| {
        out.write_all(&[1; 100])?;
        store.close();
        // The next run of the host has the directory now.
        next = Some(SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap());
        out.write_all(&[1; 100])
    });
    assert!(matches!(error, Err(SnapshotError::Over { .. })), "{error:?}");
    let next = next.expect("opened");
    let newer = write(&next, 7, 10).unwrap();
    assert!(matches!(store.write(&meta(8), |_| Ok(())), Err(SnapshotError::Over { .. })));
    assert!(matches!(store.adopt(received), Err(SnapshotError::Over { .. })));
    assert!(matches!(receive(), Err(SnapshotError::Over { .. })));
    drop(before);
    assert_eq!(names(process.as_ref()), [newer.id().whole_name(), sent.id().received_name()]);
}
