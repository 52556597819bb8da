//! A snapshot that comes in piece by piece.

use super::*;

const LENGTH: usize = 200_000;

/// A whole snapshot of another server.
fn sent() -> (SnapshotFile, Vec<u8>) {
    let file = write(&SnapshotStore::in_memory(GROUP), 9, LENGTH).unwrap();
    let bytes = file.read_at(0, usize::MAX).unwrap();
    assert_eq!(bytes.len() as u64, file.id().size_bytes);
    (file, bytes.to_vec())
}

fn receive_rest(mut partial: PartialSnapshot, bytes: &[u8]) -> ReceivedSnapshot {
    while partial.received() < bytes.len() as u64 {
        let from = partial.received() as usize;
        partial.append(from as u64, &bytes[from..(from + 10_000).min(bytes.len())]).unwrap();
    }
    partial.finish().unwrap()
}

#[test]
fn pieces_make_a_whole_that_is_adopted_and_found_again() {
    let (file, bytes) = sent();
    let disk = SimDisk::new(1);
    let store = open(&disk).unwrap();
    write(&store, 3, 10).unwrap();
    let received = receive_rest(store.receive(file.id()).unwrap(), &bytes);
    assert_eq!((received.id(), received.meta()), (file.id(), &meta(9)));
    assert_eq!(store.newest().unwrap().meta(), &meta(3), "not before it is adopted");
    store.adopt(received).unwrap();
    disk.crash_machine_keeping(Keep::Nothing);
    let process = disk.process();
    let found = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap().newest().unwrap();
    assert_eq!((found.id(), found.meta()), (file.id(), &meta(9)));
    assert!(body(&found).unwrap() == state(9, LENGTH));
    assert_eq!(names(process.as_ref()), [file.id().whole_name()]);
}

#[test]
fn pieces_may_come_twice_and_overlap_but_leave_no_gap() {
    let (file, bytes) = sent();
    let store = open(&SimDisk::new(1)).unwrap();
    let mut partial = store.receive(file.id()).unwrap();
    partial.append(0, &bytes[..1000]).unwrap();
    partial.append(0, &bytes[..1000]).unwrap();
    partial.append(500, &bytes[500..2000]).unwrap();
    assert_eq!(partial.received(), 2000);
    let gap = partial.append(2001, &bytes[2001..3000]);
    assert!(matches!(gap, Err(SnapshotError::Gap { offset: 2001, received: 2000, .. })), "{gap:?}");
    let beyond = partial.append(2000, &vec![0; bytes.len()]);
    assert!(matches!(beyond, Err(SnapshotError::Gap { .. })), "{beyond:?}");
    assert!(partial.append(u64::MAX, b"x").is_err());
    assert_eq!(partial.received(), 2000);
    let early = store.receive(file.id()).unwrap().finish();
    assert!(matches!(early, Err(SnapshotError::Gap { received: 2000, .. })), "{early:?}");
    let again = store.receive(file.id()).unwrap();
    assert_eq!(again.received(), 2000, "an early finish costs nothing");
    store.adopt(receive_rest(again, &bytes)).unwrap();
}

#[test]
fn a_reception_goes_on_where_it_stopped_also_after_a_restart() {
    let (file, bytes) = sent();
    let disk = SimDisk::new(1);
    let mut store = open(&disk).unwrap();
    for step in 1..=5_usize {
        let mut partial = store.receive(file.id()).unwrap();
        let from = partial.received() as usize;
        let through = step * 30_000;
        // After a restart what stands in whole blocks is still there; the rest is asked for again.
        assert!(from + (64 << 10) + 100 > (step - 1) * 30_000, "{from} at step {step}");
        partial.append(from as u64, &bytes[from..through]).unwrap();
        drop(partial);
        assert_eq!(store.receive(file.id()).unwrap().received() as usize, through, "the same process knows it all");
        store = open(&disk).unwrap();
    }
    store.adopt(receive_rest(store.receive(file.id()).unwrap(), &bytes)).unwrap();
    assert!(body(&store.newest().unwrap()).unwrap() == state(9, LENGTH));
}

#[test]
fn what_a_crash_tore_is_received_again() {
    let (file, bytes) = sent();
    for keep in (0..40).map(|n| Keep::Bits(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n))) {
        let disk = SimDisk::new(1);
        let process = disk.process();
        let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
        let mut partial = store.receive(file.id()).unwrap();
        partial.append(0, &bytes[..150_000]).unwrap();
        process.sync_directory(&directory()).unwrap();
        disk.crash_machine_keeping(keep);
        let store = open(&disk).unwrap();
        let partial = store.receive(file.id()).unwrap();
        store.adopt(receive_rest(partial, &bytes)).unwrap();
        assert!(body(&store.newest().unwrap()).unwrap() == state(9, LENGTH));
    }
}

#[test]
fn one_is_received_at_a_time() {
    let (file, bytes) = sent();
    let other = write(&SnapshotStore::in_memory(GROUP), 10, 50).unwrap();
    let disk = SimDisk::new(1);
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    let mut first = store.receive(file.id()).unwrap();
    first.append(0, &bytes[..1000]).unwrap();
    let mut second = store.receive(other.id()).unwrap();
    assert_eq!(names(process.as_ref()), [other.id().received_name()], "the first is gone");
    let over = first.append(1000, &bytes[1000..2000]);
    assert!(matches!(over, Err(SnapshotError::Over { .. })), "{over:?}");
    second.append(0, &other.read_at(0, usize::MAX).unwrap()).unwrap();
    let second = second.finish().unwrap();
    // Complete ones are not disturbed by what is received next.
    let again = store.receive(other.id());
    assert!(matches!(again, Err(SnapshotError::Over { .. })), "{again:?}");
    let first = store.receive(file.id()).unwrap();
    assert_eq!(first.received(), 0);
    store.adopt(second).unwrap();
    assert_eq!(store.newest().unwrap().id(), other.id());
    drop(first);
    assert_eq!(names(process.as_ref()).len(), 2, "{:?}", names(process.as_ref()));
    // What will never be installed goes with the next start.
    let process = disk.process();
    SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    assert_eq!(names(process.as_ref()), [other.id().whole_name()]);
}

#[test]
fn a_received_one_that_is_dropped_leaves_nothing_and_can_be_received_again() {
    let (file, bytes) = sent();
    let disk = SimDisk::new(1);
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    drop(receive_rest(store.receive(file.id()).unwrap(), &bytes));
    assert!(names(process.as_ref()).is_empty());
    let partial = store.receive(file.id()).unwrap();
    assert_eq!(partial.received(), 0);
    store.adopt(receive_rest(partial, &bytes)).unwrap();
}

#[test]
fn what_is_not_what_its_name_says_is_thrown_away() {
    let (file, bytes) = sent();
    let disk = SimDisk::new(1);
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    for (at, id) in [
        (100_000, file.id()),
        (0, file.id()),
        (bytes.len() - 1, file.id()),
        (20, SnapshotId { checksum: file.id().checksum ^ 1, ..file.id() }),
        (20, SnapshotId { position: LogPosition::new(Term::new(3), LogIndex::new(8)), ..file.id() }),
    ] {
        let mut partial = store.receive(id).unwrap();
        let mut bytes = bytes.clone();
        // Where the name is another one, the bytes stay as they are.
        bytes[at] ^= u8::from(id == file.id());
        partial.append(0, &bytes).unwrap();
        let error = partial.finish().unwrap_err();
        assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
        assert!(names(process.as_ref()).is_empty());
        assert_eq!(store.receive(id).unwrap().received(), 0, "from the beginning");
    }
    let other_group = SnapshotStore::in_memory(GroupId::new(2));
    let mut partial = other_group.receive(file.id()).unwrap();
    partial.append(0, &bytes).unwrap();
    assert!(partial.finish().unwrap_err().to_string().contains("another group"));
}
