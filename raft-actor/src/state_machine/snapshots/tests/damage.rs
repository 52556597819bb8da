//! Files that are not what was written.

use super::*;

fn written(disk: &SimDisk, length: usize) -> (PathBuf, Vec<u8>) {
    let file = write(&open(disk).unwrap(), 5, length).unwrap();
    let bytes = file.read_at(0, usize::MAX).unwrap().to_vec();
    (directory().join(file.id().whole_name()), bytes)
}

/// Replaces a file, durably.
fn replace(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let process = disk.process();
    let file = process.create(path).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    process.sync_directory(&directory()).unwrap();
}

#[track_caller]
fn refused(disk: &SimDisk, path: &Path) -> u64 {
    match open(disk) {
        Err(SnapshotError::Damaged { path: named, offset, advice, .. }) => {
            assert_eq!(named, path);
            assert!(advice.contains("Move the file away"), "says what to do: {advice}");
            offset
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_the_file_named() {
    let disk = SimDisk::new(1);
    let (path, bytes) = written(&disk, 300);
    for offset in 0..bytes.len() as u64 {
        for bit in [0, 3, 7] {
            let disk = disk.fork();
            assert!(disk.flip_bit(&path, offset, bit));
            refused(&disk, &path);
        }
    }
    // Deep in a large one, too, near the place.
    let disk = SimDisk::new(1);
    let (path, bytes) = written(&disk, 300_000);
    for offset in (0..bytes.len() as u64).step_by(20_011) {
        let disk = disk.fork();
        assert!(disk.flip_bit(&path, offset, 4));
        let found = refused(&disk, &path);
        assert!(found.abs_diff(offset) <= 65 << 10, "flipped at {offset}, found at {found}");
    }
}

#[test]
fn every_truncation_and_every_addition_is_noticed() {
    let disk = SimDisk::new(1);
    let (path, bytes) = written(&disk, 300);
    for length in 0..bytes.len() {
        let disk = disk.fork();
        replace(&disk, &path, &bytes[..length]);
        refused(&disk, &path);
        // Filled up with zeros: the name knows the size.
        let mut filled = bytes.clone();
        filled[length..].fill(0);
        if filled != bytes {
            replace(&disk, &path, &filled);
            refused(&disk, &path);
        }
    }
    for more in [1, 12, 500] {
        let disk = disk.fork();
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + more, 0);
        replace(&disk, &path, &longer);
        refused(&disk, &path);
    }
}

#[test]
fn blocks_that_changed_places_are_noticed() {
    let disk = SimDisk::new(1);
    let (path, mut bytes) = written(&disk, 4 * (64 << 10));
    let block = (64 << 10) + 12;
    let first = bytes.len() - 24 - 4 * block;
    let (before, behind) = bytes[first..].split_at_mut(block);
    before.swap_with_slice(&mut behind[..block]);
    replace(&disk, &path, &bytes);
    assert_eq!(refused(&disk, &path), first as u64);
}

#[test]
fn a_length_that_was_not_written_allocates_nothing() {
    let disk = SimDisk::new(1);
    let (path, bytes) = written(&disk, 300);
    let block = bytes.len() - 24 - 300 - 12;
    for at in [12, block + 4] {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        replace(&disk, &path, &bytes);
        refused(&disk, &path);
    }
}

#[test]
fn the_file_of_a_newer_build_of_another_group_and_of_another_name_are_told_apart() {
    let disk = SimDisk::new(1);
    let (path, bytes) = written(&disk, 300);
    let mut newer = bytes.clone();
    newer[8] = 2;
    let header_end = 16 + u32::from_le_bytes(newer[12..16].try_into().unwrap()) as usize;
    let crc = crc32fast::hash(&newer[..header_end]);
    newer[header_end..header_end + 4].copy_from_slice(&crc.to_le_bytes());
    let newer_disk = disk.fork();
    replace(&newer_disk, &path, &newer);
    let error = open(&newer_disk).unwrap_err();
    assert!(matches!(error, SnapshotError::Version { found: 2, supported: 1, .. }), "{error}");

    let error = SnapshotStore::open(disk.fork().process(), &directory(), GroupId::new(2)).unwrap_err();
    assert!(error.to_string().contains("another group"), "{error}");

    let renamed = SnapshotId { position: LogPosition::new(Term::new(3), LogIndex::new(6)), size_bytes: 1, checksum: 0 };
    let renamed = directory().join(renamed.whole_name());
    let process = disk.process();
    process.rename(&path, &renamed).unwrap();
    process.sync_directory(&directory()).unwrap();
    refused(&disk, &renamed);
}

#[test]
fn what_was_damaged_after_it_was_opened_is_not_loaded() {
    let disk = SimDisk::new(1);
    let (path, _) = written(&disk, 300_000);
    let store = open(&disk).unwrap();
    let newest = store.newest().unwrap();
    assert!(disk.flip_bit(&path, 200_000, 0));
    let mut loaded = Vec::new();
    let error = newest.body().read_to_end(&mut loaded).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(loaded == state(5, 300_000)[..loaded.len()], "nothing wrong came out before");
    let mut body = newest.body();
    body.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(body.read(&mut [0; 10]).is_err(), "and nothing comes out behind");
}

#[test]
fn a_disk_that_cannot_read_is_named() {
    let disk = SimDisk::new(1);
    let (path, _) = written(&disk, 300);
    disk.fail_next_read();
    let error = open(&disk).unwrap_err();
    assert!(matches!(&error, SnapshotError::Io { action: "read", path: named, .. } if *named == path), "{error}");
    let newest = open(&disk).unwrap().newest().unwrap();
    disk.fail_next_read();
    assert!(newest.read_at(0, 100).is_err());
    disk.fail_next_read();
    assert!(body(&newest).is_err());
    assert_eq!(body(&newest).unwrap(), state(5, 300), "it was only once");
}

#[test]
fn files_of_others_in_the_directory_are_left_alone() {
    let disk = SimDisk::new(1);
    let (_, bytes) = written(&disk, 300);
    for name in ["notes.txt", "5.snapshot", "snapshot", "00000000000000000005-3-400-zz.snapshot", "other.tmp"] {
        replace(&disk, &directory().join(name), &bytes);
    }
    let process = disk.process();
    let store = SnapshotStore::open(Arc::clone(&process), &directory(), GROUP).unwrap();
    assert_eq!(store.newest().unwrap().meta(), &meta(5));
    assert_eq!(names(process.as_ref()).len(), 6);
}
