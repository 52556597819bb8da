//! What strangers do to a directory.

use super::*;

/// A log over several segments, with entries that count in all of them.
fn several_segments(directory: &Path) -> Vec<PathBuf> {
    let mut wal = open(directory);
    let mut next = 1;
    while segments(directory).len() < 4 {
        wal.write(&[append(1, commands(1, next..=next + 9)), vote(2, next)]).unwrap();
        wal.sync().unwrap();
        next += 10;
    }
    drop(wal);
    segments(directory)
}

fn refusal(directory: &Path) -> LogError {
    Wal::open(directory, options(SMALL)).map(|_| "opened").unwrap_err()
}

#[test]
fn a_missing_segment_is_refused_wherever_it_was() {
    for missing in 0..4 {
        let directory = temporary();
        let found = several_segments(directory.path());
        fs::remove_file(&found[missing]).unwrap();
        let error = refusal(directory.path());
        assert!(matches!(error, LogError::Damaged { .. }), "segment {missing}: {error}");
        assert!(error.to_string().contains("missing"), "segment {missing}: {error}");
    }
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let directory = temporary();
    let found = several_segments(directory.path());
    // Doubled: the copy stands where the next one would.
    let next = directory.path().join(segment::segment_name(5));
    fs::copy(&found[1], &next).unwrap();
    let error = refusal(directory.path());
    assert!(matches!(&error, LogError::Damaged { path, .. } if *path == next), "{error}");
    assert!(error.to_string().contains("renamed or copied"), "{error}");
    // Renamed: one is missing, and another is not what its name says.
    fs::rename(&found[3], &next).unwrap();
    assert!(matches!(refusal(directory.path()), LogError::Damaged { .. }));
    // Swapped.
    fs::rename(&next, &found[3]).unwrap();
    let aside = directory.path().join("aside");
    fs::rename(&found[1], &aside).unwrap();
    fs::rename(&found[2], &found[1]).unwrap();
    fs::rename(&aside, &found[2]).unwrap();
    assert!(matches!(refusal(directory.path()), LogError::Damaged { .. }));
}

#[test]
fn an_empty_or_headless_segment_is_refused() {
    for at in [0, 3] {
        let directory = temporary();
        let found = several_segments(directory.path());
        let whole = fs::read(&found[at]).unwrap();
        for length in [0, 10, 60] {
            fs::write(&found[at], &whole[..length]).unwrap();
            assert!(matches!(refusal(directory.path()), LogError::Damaged { .. }), "{length} bytes of segment {at}");
        }
    }
}

#[test]
fn a_cut_in_an_older_segment_is_refused() {
    let directory = temporary();
    let found = several_segments(directory.path());
    let whole = fs::read(&found[1]).unwrap();
    // Up to its last record: behind that there is nothing.
    let last = records(&whole).last().unwrap().offset;
    for length in (0..last).step_by(997) {
        fs::write(&found[1], &whole[..length]).unwrap();
        assert!(matches!(refusal(directory.path()), LogError::Damaged { .. }), "cut at {length}");
    }
}

#[test]
fn foreign_files_stay_and_unfinished_ones_go() {
    let directory = temporary();
    let mut wal = open(directory.path());
    wal.write(&[append(1, commands(1, 1..=3))]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let leftover = directory.path().join(segment::NEXT_NAME);
    let foreign = directory.path().join("segment-1.wal");
    let copy = directory.path().join("segment-0000000001 (copy).wal");
    for path in [&leftover, &foreign, &copy] {
        fs::write(path, b"something").unwrap();
    }
    assert_eq!(last_index(&mut open(directory.path())), 3);
    assert!(!leftover.exists() && foreign.exists() && copy.exists());
}

#[test]
fn a_second_owner_is_kept_out() {
    let directory = temporary();
    let wal = open(directory.path());
    assert!(matches!(refusal(directory.path()), LogError::Locked { .. }));
    drop(wal);
    open(directory.path());
}

#[test]
fn a_log_of_a_newer_build_is_refused() {
    let directory = temporary();
    drop(open(directory.path()));
    let path = segments(directory.path()).pop().unwrap();
    let beginning = segment::Beginning { version: 2, first_batch: 1, previous_end: None, groups: 0 };
    let mut buffer = Vec::new();
    let mut batch = Batch::begin(&mut buffer, 0, 1, 0);
    batch.record(Label::of_segment(Kind::Segment, 1), &rmp_serde::to_vec_named(&beginning).unwrap());
    batch.finish();
    fs::write(&path, &buffer).unwrap();
    let error = refusal(directory.path());
    assert!(matches!(error, LogError::Version { found: 2, supported: 1, .. }), "{error}");
}

#[test]
fn a_file_instead_of_the_directory_is_refused() {
    let directory = temporary();
    let path = directory.path().join("wal");
    fs::write(&path, b"x").unwrap();
    assert!(matches!(refusal(&path), LogError::Io { .. }));
}

#[test]
fn a_log_that_must_be_there_is_not_begun() {
    let directory = temporary();
    let options = WalOptions { create: false, ..options(SMALL) };
    let error = Wal::open(directory.path(), options).map(|_| "opened").unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn damage_that_appears_while_the_log_is_open_is_noticed_by_the_reader() {
    let directory = temporary();
    let mut wal = open(directory.path());
    wal.write(&[append(1, commands(1, 1..=9))]).unwrap();
    wal.sync().unwrap();
    let path = segments(directory.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let damaged = *records(&bytes).iter().find(|place| place.header.index == 6).unwrap();
    bytes[damaged.end() - 1] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let reader = wal.reader();
    let read = |from, through| reader.read(1.into(), LogIndex::new(from), LogIndex::new(through), u64::MAX);
    assert_eq!(read(1, 5).unwrap().len(), 5);
    let error = read(1, 9).unwrap_err();
    assert!(matches!(error, LogError::Damaged { offset, .. } if offset == damaged.offset as u64), "{error}");
}
