//! Processes and machines that die in the middle of what the store does, disks that fail. Scenario: a snapshot file
//! torn by a crash, in every step of write, sync, rename, sync of the directory, removal.

use super::*;
use crate::log_storage::sim_disk::SimDisk;

const KEEPS: [Option<Keep>; 6] = [
    // The process dies, the machine does not.
    None,
    Some(Keep::Nothing),
    Some(Keep::Everything),
    Some(Keep::Bits(0b1010_1010_0110_1001)),
    Some(Keep::Bits(0x5555_3333_0f0f_00ff)),
    Some(Keep::Bits(1)),
];

/// What must be so after any crash, with snapshots of 5 and perhaps of 6.
#[track_caller]
fn check(disk: &SimDisk, was_told: bool, length: usize) {
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).expect("nothing torn has a final name");
    let newest = store.newest().expect("the one before was durable");
    let index = newest.meta().position.index.get();
    assert!(index == 6 || (index == 5 && !was_told), "found {index}, told of 6: {was_told}");
    assert!(body(&newest).unwrap() == state(index, length));
    let names = names(process.as_ref());
    let others: Vec<_> = names.iter().filter(|name| **name != newest.id().whole_name()).collect();
    assert!(others.iter().all(|name| name.starts_with("received-")), "{others:?}");
    // And it goes on from there.
    write(&store, 7, length).unwrap();
    assert_eq!(store.newest().unwrap().meta(), &meta(7));
}

/// Does `work`, which brings a snapshot of 6 and says whether it is durable, and dies in every change of it.
fn die_in_every_change(length: usize, work: impl Fn(&SnapshotStore) -> bool) {
    for keep in KEEPS {
        let mut changes = 0;
        loop {
            let disk = SimDisk::new(u64::from(changes));
            let store = open(&disk).unwrap();
            write(&store, 5, length).unwrap();
            disk.kill_process_after(changes);
            let was_told = work(&store);
            disk.clear_orders();
            if let Some(keep) = keep {
                disk.crash_machine_keeping(keep);
            }
            check(&disk, was_told, length);
            if was_told && changes > 3 && disk_is_through(changes, length, &work) {
                break;
            }
            changes += 1;
        }
        assert!(changes >= 5, "write, sync, rename, sync of the directory and removal are more than {changes}");
    }
}

/// Whether so many changes are all that `work` makes.
fn disk_is_through(changes: u32, length: usize, work: &impl Fn(&SnapshotStore) -> bool) -> bool {
    let disk = SimDisk::new(0);
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    write(&store, 5, length).unwrap();
    disk.kill_process_after(changes);
    work(&store);
    process.list(&directory()).is_ok()
}

#[test]
fn a_death_in_any_change_of_writing_leaves_the_old_or_the_new_one_whole() {
    die_in_every_change(150_000, |store| write(store, 6, 150_000).is_ok());
}

#[test]
fn a_death_in_any_change_of_receiving_leaves_the_old_or_the_new_one_whole() {
    let file = write(&SnapshotStore::in_memory(GROUP), 6, 150_000).unwrap();
    let bytes = file.read_at(0, usize::MAX).unwrap();
    let receive = |store: &SnapshotStore| -> Result<(), SnapshotError> {
        let mut partial = store.receive(file.id())?;
        for (n, piece) in bytes.chunks(40_000).enumerate() {
            partial.append(n as u64 * 40_000, piece)?;
        }
        store.adopt(partial.finish()?).map(drop)
    };
    die_in_every_change(150_000, |store| receive(store).is_ok());
}

#[test]
fn a_death_in_any_change_of_going_on_with_a_reception_leaves_nothing_torn() {
    let file = write(&SnapshotStore::in_memory(GROUP), 6, 150_000).unwrap();
    let bytes = file.read_at(0, usize::MAX).unwrap();
    for keep in KEEPS {
        for changes in 0..20 {
            let disk = SimDisk::new(u64::from(changes));
            let store = open(&disk).unwrap();
            write(&store, 5, 150_000).unwrap();
            store.receive(file.id()).unwrap().append(0, &bytes[..100_000]).unwrap();
            disk.kill_process();
            if let Some(keep) = keep {
                disk.crash_machine_keeping(keep);
            }
            disk.kill_process_after(changes);
            let go_on = || -> Result<(), SnapshotError> {
                let store = open(&disk)?;
                let mut partial = store.receive(file.id())?;
                let from = partial.received() as usize;
                partial.append(from as u64, &bytes[from..])?;
                store.adopt(partial.finish()?).map(drop)
            };
            let was_told = go_on().is_ok();
            disk.clear_orders();
            if let Some(keep) = keep {
                disk.crash_machine_keeping(keep);
            }
            check(&disk, was_told, 150_000);
        }
    }
}

#[test]
fn a_death_in_any_change_of_opening_loses_nothing() {
    for changes in 0..8 {
        for keep in KEEPS {
            let disk = SimDisk::new(3);
            let store = open(&disk).unwrap();
            write(&store, 5, 1000).unwrap();
            // A crash in the middle of writing the next one leaves names to be removed.
            disk.kill_process_after(2);
            assert!(write(&store, 6, 100_000).is_err());
            disk.kill_process_after(changes);
            let _ = open(&disk);
            disk.clear_orders();
            if let Some(keep) = keep {
                disk.crash_machine_keeping(keep);
            }
            let found = open(&disk).unwrap().newest().unwrap();
            assert_eq!(found.meta(), &meta(5));
        }
    }
}

#[test]
fn a_sync_that_fails_is_never_taken_for_one_that_succeeded() {
    let file = write(&SnapshotStore::in_memory(GROUP), 6, 150_000).unwrap();
    let bytes = file.read_at(0, usize::MAX).unwrap();
    for is_killed in [false, true] {
        let disk = SimDisk::new(1);
        let store = open(&disk).unwrap();
        write(&store, 5, 150_000).unwrap();
        disk.fail_next_sync();
        let error = write(&store, 6, 150_000).unwrap_err();
        assert!(matches!(error, SnapshotError::Io { action: "sync", .. }), "{error}");
        let mut partial = store.receive(file.id()).unwrap();
        partial.append(0, &bytes).unwrap();
        disk.fail_next_sync();
        if is_killed {
            // It dies before it can remove the file: everything is in the page cache, clean, and not on the disk.
            disk.kill_process_after(1);
        }
        partial.finish().unwrap_err();
        disk.clear_orders();
        let store = open(&disk).unwrap();
        let mut partial = store.receive(file.id()).unwrap();
        let from = partial.received() as usize;
        assert_eq!(from, if is_killed { bytes.len() } else { 0 });
        partial.append(from as u64, &bytes[from..]).unwrap();
        store.adopt(partial.finish().unwrap()).unwrap();
        disk.crash_machine_keeping(Keep::Nothing);
        check(&disk, true, 150_000);
    }
}

#[test]
fn a_full_disk_costs_the_new_one_and_nothing_else() {
    let file = write(&SnapshotStore::in_memory(GROUP), 6, 150_000).unwrap();
    let bytes = file.read_at(0, usize::MAX).unwrap();
    for room in (0..152_000).step_by(7_001) {
        let disk = SimDisk::new(1);
        let process = disk.process();
        let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
        write(&store, 5, 150_000).unwrap();
        let before = names(process.as_ref());
        disk.set_room(Some(room));
        if room < file.id().size_bytes {
            let error = write(&store, 6, 150_000).unwrap_err();
            assert!(matches!(error, SnapshotError::Io { action: "write to", .. }), "{error}");
            assert_eq!(names(process.as_ref()), before);
        }
        disk.set_room(Some(room));
        let mut partial = store.receive(file.id()).unwrap();
        let is_full = partial.append(0, &bytes).is_err();
        assert_eq!(is_full, room < file.id().size_bytes);
        // Room was made: it goes on with what is there.
        disk.set_room(None);
        let from = partial.received();
        partial.append(from, &bytes[from as usize..]).unwrap();
        store.adopt(partial.finish().unwrap()).unwrap();
        check(&disk, true, 150_000);
    }
}
