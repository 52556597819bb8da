//! A disk that fails.

use std::io::ErrorKind;

use super::disk::FaultyDisk;
use super::*;

fn assert_stopped(wal: &mut Wal) {
    assert!(matches!(wal.sync().unwrap_err(), LogError::Stopped));
    assert!(matches!(wal.write(&[vote(1, 9)]).unwrap_err(), LogError::Stopped));
    assert!(matches!(wal.idle().unwrap_err(), LogError::Stopped));
    assert!(matches!(wal.recover(1.into()).unwrap_err(), LogError::Stopped));
    let read = wal.reader().read(1.into(), LogIndex::new(1), LogIndex::new(9), u64::MAX);
    assert!(matches!(read.unwrap_err(), LogError::Stopped));
}

/// After a failed sync the kernel may have dropped what was to be written, and the next sync says all is well.
#[test]
fn a_failed_sync_is_never_retried_and_never_acknowledged() {
    let directory = temporary();
    let disk = FaultyDisk::default();
    let mut wal = disk.open(directory.path());
    wal.write(&[append(1, commands(1, 1..=3))]).unwrap();
    wal.sync().unwrap();
    wal.write(&[append(1, commands(1, 4..=5))]).unwrap();
    disk.plan().syncs_left = Some(0);
    let error = wal.sync().unwrap_err();
    assert!(matches!(error, LogError::Io { action: "sync", .. }), "{error}");
    let calls = disk.plan().calls.len();
    assert_stopped(&mut wal);
    assert_eq!(disk.plan().calls.len(), calls, "nothing touches the disk after a failure");
}

/// What the failed sync left in the page cache is found on opening, and written again before it is told to anybody.
#[test]
fn what_is_found_after_a_failed_sync_is_written_again_before_it_counts() {
    let directory = temporary();
    let disk = FaultyDisk::default();
    let mut wal = disk.open(directory.path());
    wal.write(&[append(1, commands(1, 1..=3))]).unwrap();
    disk.plan().syncs_left = Some(0);
    wal.sync().unwrap_err();
    drop(wal);
    disk.plan().calls.clear();
    let mut wal = disk.open(directory.path());
    assert_eq!(last_index(&mut wal), 3);
    assert_eq!(
        disk.plan().calls,
        [
            // The names that were found are durable.
            ["sync directory"].as_slice(),
            // The state of all groups and the entries are durable before they get their name.
            &["write", "write", "sync", "rename", "sync directory"],
            // The old copy is sealed, and becomes a spare.
            &["write", "sync", "rename", "sync directory"],
        ]
        .concat(),
    );
}

#[test]
fn a_full_disk_acknowledges_nothing_and_says_so() {
    for room in (0..4000).step_by(131) {
        let directory = temporary();
        let disk = FaultyDisk::default();
        let mut wal = disk.open(directory.path());
        wal.write(&[append(1, commands(1, 1..=3))]).unwrap();
        wal.sync().unwrap();
        disk.plan().room_bytes = Some(room);
        let mut acknowledged = 3;
        let error = loop {
            let result = wal.write(&[append(1, commands(1, acknowledged + 1..=acknowledged + 9))]);
            match result.and_then(|()| wal.sync()) {
                Ok(()) => acknowledged += 9,
                Err(error) => break error,
            }
        };
        assert!(
            matches!(&error, LogError::Io { action: "write to", source, .. }
            if source.kind() == ErrorKind::StorageFull),
            "{error}"
        );
        assert_stopped(&mut wal);
        drop(wal);
        disk.plan().room_bytes = None;
        let found = last_index(&mut disk.open(directory.path()));
        assert!(found >= acknowledged, "{found} of {acknowledged} entries are left with room for {room} bytes");
    }
}

/// A spare is a convenience. One that does not fit any more must not stop a node that still has room for its writes.
#[test]
fn a_disk_without_room_for_a_spare_still_takes_writes() {
    let directory = temporary();
    let disk = FaultyDisk::lazy();
    let mut wal = disk.open(directory.path());
    let mut last = 0;
    while wal.active.end < SMALL / 2 || wal.active.length < SMALL {
        wal.write(&[append(1, commands(1, last + 1..=last + 9))]).unwrap();
        wal.sync().unwrap();
        last += 9;
    }
    disk.plan().room_bytes = Some(1000);
    while wal.idle().unwrap() {}
    assert!(wal.spare.is_none());
    let names = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with("spare-")), "its room is given back");
    disk.plan().room_bytes = Some(1000);
    wal.write(&[append(1, commands(1, last + 1..=last + 1))]).unwrap();
    wal.sync().unwrap();
    assert_eq!(last_index(&mut wal), last + 1);
}

/// Wherever the disk fails, the log is stopped, and opening it again finds all that was acknowledged.
#[test]
fn a_sync_that_fails_anywhere_loses_nothing_acknowledged() {
    for syncs in 0..60 {
        let directory = temporary();
        let disk = FaultyDisk::default();
        let mut model = Model::default();
        let mut wal = disk.open(directory.path());
        disk.plan().syncs_left = Some(syncs);
        let mut next = 1;
        loop {
            let mut batch = vec![append(1, commands(1, next..=next + 39)), append(2, commands(1, next..=next + 39))];
            if next > 40 {
                let log = Some(LogWrite::Purge { through: LogIndex::new(next - 20) });
                batch.push(GroupWrite { group: 1.into(), hard_state: None, log });
            }
            if wal.write(&batch).is_err() || wal.sync().is_err() {
                break;
            }
            model.write(&batch);
            next += 40;
            if next % 3 == 0 && wal.idle().is_err() {
                break;
            }
        }
        assert_stopped(&mut wal);
        drop(wal);
        let mut wal = disk.open(directory.path());
        for group in [1, 2] {
            let (_, last) = model.bounds(group.into());
            let found = wal.recover(group.into()).unwrap().log.last();
            assert!(found >= last, "group {group} ends at {found}, not at {last}");
        }
    }
}
