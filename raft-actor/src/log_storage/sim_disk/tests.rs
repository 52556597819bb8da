use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::*;
use crate::log_storage::disk::DiskFile;

const SECTOR: usize = pages::SECTOR_BYTES;

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

fn process(disk: &SimDisk) -> Arc<dyn Disk> {
    let process = disk.process();
    process.create_directory(Path::new("/d")).unwrap();
    process
}

/// A file of three sectors of `a`, durable with its name.
fn durable_file(process: &dyn Disk) -> Box<dyn DiskFile> {
    let file = process.create(&path("file")).unwrap();
    file.write_at(&[b'a'; 3 * SECTOR], 0).unwrap();
    file.sync_data().unwrap();
    process.sync_directory(Path::new("/d")).unwrap();
    file
}

fn content(disk: &SimDisk) -> Vec<u8> {
    let file = disk.fork().process().open(&path("file")).unwrap();
    let mut content = vec![0; file.length().unwrap() as usize];
    file.read_at(&mut content, 0).unwrap();
    content
}

/// What a file holds, a letter per sector.
fn letters(content: &[u8]) -> String {
    content.chunks(SECTOR).map(|sector| char::from(sector[0])).collect()
}

#[test]
fn a_crash_of_the_machine_leaves_any_subset_of_the_sectors_that_were_not_synced() {
    let outcomes: BTreeSet<String> = (0..200)
        .map(|seed| {
            let disk = SimDisk::new(seed);
            let file = durable_file(&*process(&disk));
            file.write_at(&[b'b'; 4 * SECTOR], 0).unwrap();
            let loss = disk.crash_machine();
            let left = letters(&content(&disk)).replace('\0', "-");
            assert_eq!(loss.sectors_kept, left.matches('b').count() as u64);
            assert_eq!(loss.sectors_lost, 4 - loss.sectors_kept);
            assert_eq!(disk.happened().lost_sectors, loss.sectors_lost);
            left
        })
        .collect();
    assert_eq!(outcomes.len(), 16, "{outcomes:?}");
    assert!(outcomes.contains("aaa") && outcomes.contains("bbbb") && outcomes.contains("abab"), "{outcomes:?}");
}

#[test]
fn a_sector_that_is_lost_before_one_that_is_kept_reads_as_zeros() {
    let disk = SimDisk::new(0);
    let file = durable_file(&*process(&disk));
    file.write_at(&[b'b'; 2 * SECTOR], 3 * SECTOR as u64).unwrap();
    // The second of the two.
    disk.crash_machine_keeping(Keep::Bits(0b100));
    assert_eq!(letters(&content(&disk)), "aaa\0b");
}

#[test]
fn the_same_seed_loses_the_same() {
    let run = || {
        let disk = SimDisk::new(5);
        (0..20)
            .map(|_| {
                let process = process(&disk);
                let file = process.create(&path("file")).unwrap();
                file.write_at(&[b'x'; 9 * SECTOR], 0).unwrap();
                disk.crash_machine()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_end_of_a_process_loses_nothing() {
    let disk = SimDisk::new(0);
    durable_file(&*process(&disk)).write_at(b"b", 0).unwrap();
    disk.kill_process();
    assert_eq!(letters(&content(&disk)), "baa");
    assert_eq!(disk.with_durable(&path("file"), letters).unwrap(), "aaa");
}

#[test]
fn a_dead_process_reaches_nothing_and_frees_nobody_elses_lock() {
    let disk = SimDisk::new(0);
    let old = process(&disk);
    let file = durable_file(&*old);
    let lock = old.lock(&path("lock")).unwrap().expect("it is free");
    assert!(old.lock(&path("lock")).unwrap().is_none());

    let new = disk.process();
    let held = new.lock(&path("lock")).unwrap().expect("the dead hold no locks");
    file.write_at(b"b", 0).unwrap_err();
    file.sync_data().unwrap_err();
    file.length().unwrap_err();
    file.read_at(&mut [0], 0).unwrap_err();
    old.create(&path("other")).unwrap_err();
    old.open(&path("file")).unwrap_err();
    old.rename(&path("file"), &path("other")).unwrap_err();
    old.remove(&path("file")).unwrap_err();
    old.list(Path::new("/d")).unwrap_err();
    old.sync_directory(Path::new("/d")).unwrap_err();
    old.lock(&path("another")).unwrap_err();
    drop((lock, file, old));
    assert!(new.lock(&path("lock")).unwrap().is_none(), "it is held by the new process");
    drop(held);
    assert!(new.lock(&path("lock")).unwrap().is_some());
    assert_eq!(letters(&content(&disk)), "aaa");
}

#[test]
fn a_process_can_die_in_the_middle_of_a_write() {
    let disk = SimDisk::new(0);
    let file = durable_file(&*process(&disk));
    disk.kill_process_after(1);
    file.write_at(b"bbbb", 0).unwrap();
    file.write_at(b"cccc", 0).unwrap_err();
    file.write_at(b"dddd", 0).unwrap_err();
    assert!(content(&disk).starts_with(b"ccbba"));
}

#[test]
fn what_a_failed_sync_took_for_clean_never_reaches_the_disk_unless_it_is_written_again() {
    let disk = SimDisk::new(0);
    let file = durable_file(&*process(&disk));
    file.write_at(&[b'b'; 2 * SECTOR], 0).unwrap();
    disk.fail_next_sync();
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!(disk.happened().failed_syncs, 1);
    assert_eq!(letters(&content(&disk)), "bba", "the page cache looks as if all were well");
    assert_eq!(disk.with_durable(&path("file"), letters).unwrap(), "aaa");
    file.write_at(b"c", 0).unwrap();
    file.sync_data().unwrap();
    disk.crash_machine_keeping(Keep::Everything);
    assert_eq!(letters(&content(&disk)), "caa");
}

#[test]
fn a_full_disk_writes_what_fits_and_says_so() {
    let disk = SimDisk::new(0);
    let file = durable_file(&*process(&disk));
    disk.set_room(Some(3));
    file.write_at(b"bb", 0).unwrap();
    assert_eq!(file.write_at(b"cc", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"dd", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(content(&disk).starts_with(b"cba"));
    disk.set_room(None);
    file.write_at(b"ee", 0).unwrap();
    assert_eq!(disk.happened().full_writes, 2);
}

#[test]
fn a_read_fails_once() {
    let disk = SimDisk::new(0);
    let file = durable_file(&*process(&disk));
    disk.fail_next_read();
    assert_eq!(disk.happened().failed_reads, 0, "what is on order has not happened");
    file.read_at(&mut [0], 0).unwrap_err();
    file.read_at(&mut [0], 0).unwrap();
    assert_eq!(disk.happened().failed_reads, 1);
}

#[test]
fn a_flipped_bit_is_seen_on_the_disk_and_in_the_page_cache() {
    let disk = SimDisk::new(0);
    let file = durable_file(&*process(&disk));
    file.write_at(b"b", SECTOR as u64).unwrap();
    assert!(disk.flip_bit(&path("file"), 0, 1));
    assert!(disk.flip_bit(&path("file"), SECTOR as u64, 1));
    assert!(!disk.flip_bit(&path("file"), 3 * SECTOR as u64, 1), "there is no such byte");
    assert!(!disk.flip_bit(&path("none"), 0, 1));
    assert_eq!(letters(&content(&disk)), "cba", "newer bytes stand in the page cache");
    assert_eq!(disk.with_durable(&path("file"), letters).unwrap(), "cca");
    assert_eq!(disk.happened().flipped_bits, 2);
}

#[test]
fn changes_of_names_are_lost_from_the_last_one_on() {
    let found: BTreeSet<Vec<PathBuf>> = (0..4)
        .map(|kept| {
            let disk = SimDisk::new(0);
            let process = process(&disk);
            durable_file(&*process);
            drop(process.create(&path("new")).unwrap());
            process.rename(&path("new"), &path("newer")).unwrap();
            process.remove(&path("file")).unwrap();
            let loss = disk.crash_machine_keeping(Keep::Bits(kept));
            assert_eq!((loss.names_kept, loss.names_lost), (kept, 3 - kept));
            disk.files()
        })
        .collect();
    let expected: [&[&str]; 4] = [&["file"], &["file", "new"], &["file", "newer"], &["newer"]];
    let expected = expected.map(|names| names.iter().map(|name| path(name)).collect());
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn a_directory_is_synced_for_itself() {
    let disk = SimDisk::new(0);
    let process = process(&disk);
    process.create_directory(Path::new("/d/below")).unwrap();
    assert_eq!(process.list(Path::new("/d")).unwrap(), ["below"]);
    drop(process.create(Path::new("/d/below/one")).unwrap());
    drop(process.create(&path("two")).unwrap());
    process.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(disk.files(), [path("two")]);
    process.sync_directory(Path::new("/d/below")).unwrap();
    assert_eq!(disk.files().len(), 2);
    assert_eq!(process.list(Path::new("/none")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(process.create(Path::new("/none/x")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(process.create_directory(&path("two")).unwrap_err().kind(), ErrorKind::NotADirectory);
}

#[test]
fn a_file_is_freed_when_nobody_can_reach_it_any_more() {
    let disk = SimDisk::new(0);
    let process = process(&disk);
    let file = durable_file(&*process);
    assert_eq!(disk.bytes(), 3 * SECTOR as u64);
    process.remove(&path("file")).unwrap();
    process.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(file.length().unwrap(), 3 * SECTOR as u64, "an open file needs no name");
    assert_eq!(disk.bytes(), 0);
    disk.kill_process();
    assert!(disk.state().files.is_empty());
}

#[test]
fn a_reader_is_told_what_became_durable_and_nothing_else() {
    let disk = SimDisk::new(0);
    let process = process(&disk);
    let file = durable_file(&*process);
    let all = disk.synced_since(0);
    assert_eq!((all.names, all.files), (true, vec![path("file")]));
    file.write_at(b"b", 0).unwrap();
    process.rename(&path("file"), &path("other")).unwrap();
    assert_eq!(disk.synced_since(all.version), Synced { version: all.version, ..Synced::default() });
    file.sync_data().unwrap();
    let data = disk.synced_since(all.version);
    assert_eq!((data.names, &data.files), (false, &vec![path("file")]), "the new name is not durable");
    process.sync_directory(Path::new("/d")).unwrap();
    let names = disk.synced_since(data.version);
    assert_eq!((names.names, &names.files), (true, &Vec::new()));
    file.write_at(b"c", 0).unwrap();
    disk.crash_machine_keeping(Keep::Everything);
    assert_eq!(disk.synced_since(names.version).files, [path("other")], "a crash can make durable");
    disk.wipe();
    assert_eq!(disk.files(), Vec::<PathBuf>::new());
    let emptied = disk.synced_since(names.version);
    assert!(emptied.names && emptied.emptied);
    assert!(!disk.synced_since(emptied.version).emptied);
}
