//! The disk is bounded by what counts plus a few segments, and what was there before never comes back.

use super::*;

fn purge(group: u64, through: u64) -> GroupWrite {
    let log = Some(LogWrite::Purge { through: LogIndex::new(through) });
    GroupWrite { group: group.into(), hard_state: None, log }
}

fn disk_bytes(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// A busy group that is purged all the time, beside an idle one with two old entries.
fn busy_and_idle(directory: &Path) -> (Wal, Model, u64) {
    let mut wal = open(directory);
    let mut model = Model::default();
    write(&mut wal, &mut model, &[append(9, commands(1, 1..=2)), vote(9, 4)]);
    let mut next = 1;
    for _ in 0..200 {
        write(&mut wal, &mut model, &[append(1, commands(1, next..=next + 19))]);
        write(&mut wal, &mut model, &[purge(1, next + 9)]);
        next += 20;
    }
    (wal, model, next)
}

#[test]
fn the_disk_stays_bounded_although_an_idle_group_needs_the_oldest_segment() {
    let directory = temporary();
    let (mut wal, model, _) = busy_and_idle(directory.path());
    model.assert_same(&mut wal);
    let newest: u32 = wal.active.segment.number;
    assert!(newest > 20, "the test writes far more than it keeps: segment {newest}");
    let bytes = disk_bytes(directory.path());
    assert!(bytes < 12 * SMALL, "{bytes} bytes on disk");
    drop(wal);
    model.assert_same(&mut open(directory.path()));
}

#[test]
fn nothing_of_a_recycled_segment_comes_back() {
    let directory = temporary();
    let (mut wal, mut model, mut next) = busy_and_idle(directory.path());
    for _ in 0..60 {
        write(&mut wal, &mut model, &[append(1, commands(2, next..=next + 4)), purge(1, next)]);
        next += 5;
        drop(wal);
        wal = open(directory.path());
        model.assert_same(&mut wal);
    }
}

#[test]
fn a_segment_is_not_recycled_while_it_is_read() {
    let directory = temporary();
    let mut wal = open(directory.path());
    let mut model = Model::default();
    write(&mut wal, &mut model, &[append(1, commands(1, 1..=5))]);
    let held = Arc::clone(&wal.active.segment);
    let mut next = 6;
    while wal.active.segment.number < 6 {
        write(&mut wal, &mut model, &[append(1, commands(1, next..=next + 19)), purge(1, next)]);
        next += 20;
    }
    assert!(held.path.exists(), "a reader holds it");
    assert_eq!(wal.older.front().map(|(segment, _)| segment.number), Some(held.number));
    drop(held);
    while wal.idle().unwrap() {}
    assert!(wal.older.front().is_none_or(|(segment, _)| segment.number > 1), "nobody holds it");
    model.assert_same(&mut wal);
    drop(wal);
    model.assert_same(&mut open(directory.path()));
}

#[test]
fn many_restarts_do_not_pile_up_segments() {
    let directory = temporary();
    let mut model = Model::default();
    for index in 1..=100 {
        let mut wal = open(directory.path());
        model.assert_same(&mut wal);
        write(&mut wal, &mut model, &[append(index % 3, commands(1, index.div_ceil(3)..=index.div_ceil(3)))]);
    }
    assert!(segments(directory.path()).len() < 20, "{} segments", segments(directory.path()).len());
}

#[test]
fn a_batch_larger_than_a_segment_gets_a_segment_of_its_own() {
    let directory = temporary();
    let mut wal = open(directory.path());
    let mut model = Model::default();
    write(&mut wal, &mut model, &[append(1, commands(1, 1..=10))]);
    write(&mut wal, &mut model, &[append(1, commands(1, 11..=2000))]);
    write(&mut wal, &mut model, &[append(1, commands(1, 2001..=2001))]);
    model.assert_same(&mut wal);
    drop(wal);
    model.assert_same(&mut open(directory.path()));
}

#[test]
fn a_log_opens_with_another_segment_size() {
    let directory = temporary();
    let (wal, model, _) = busy_and_idle(directory.path());
    drop(wal);
    for bytes in [1 << 20, 0, 64 << 20, SMALL] {
        let mut wal = Wal::open(directory.path(), options(bytes)).unwrap();
        model.assert_same(&mut wal);
    }
}

/// Moving once copied what was left of the run for each entry: a segment of a million small ones stopped the log for
/// hours. This test would not end if it did.
#[test]
fn moving_a_long_run_takes_time_in_proportion() {
    let directory = temporary();
    let wal = Wal::open(directory.path(), options(1 << 30)).unwrap();
    let count: u64 = 400_000;
    let mut index = Index::default();
    let from = Arc::clone(&wal.active.segment);
    let to = Arc::new(Segment { number: 2, path: from.path.clone(), file: RealDisk.open(&from.path).unwrap() });
    let header = |flags, index| Header {
        payload_crc: 0,
        length: 0,
        epoch: 1,
        batch: 1,
        kind: Kind::Noop,
        flags,
        group: 1,
        term: 1,
        index,
    };
    for at in 1..=count {
        index.apply(&from, 0, &header(0, at), &[]).unwrap();
    }
    let live_bytes = index.live_bytes();
    for at in 1..=count {
        index.apply(&to, 0, &header(record::MOVED, at), &[]).unwrap();
    }
    assert_eq!(index.entries_in(&from, u64::MAX), []);
    assert_eq!(index.live_bytes(), live_bytes);
    assert_eq!(index.entries_in(&to, u64::MAX).len() as u64, count);
}

/// A purge that sets many segments free must not make the next write wait for all of them to be recycled.
#[test]
fn many_free_segments_are_recycled_one_by_one() {
    let directory = temporary();
    let disk = disk::FaultyDisk::lazy();
    let mut wal = disk.open(directory.path());
    let mut model = Model::default();
    let mut next = 1;
    while wal.older.len() < 40 {
        write(&mut wal, &mut model, &[append(1, commands(1, next..=next + 99))]);
        next += 100;
    }
    write(&mut wal, &mut model, &[purge(1, next - 1)]);
    let directory_syncs = || disk.plan().calls.drain(..).filter(|call| *call == "sync directory").count();
    directory_syncs();
    let number = wal.active.segment.number;
    while wal.active.segment.number == number {
        write(&mut wal, &mut model, &[append(1, commands(1, next..=next + 99))]);
        next += 100;
        assert!(directory_syncs() <= 4, "two segments go with each that begins");
    }
    loop {
        let goes_on = wal.idle().unwrap();
        assert!(directory_syncs() <= 2, "a piece of work is small");
        if !goes_on {
            break;
        }
    }
    assert!(wal.older.len() <= 1, "{} segments are left", wal.older.len());
    model.assert_same(&mut wal);
    drop(wal);
    model.assert_same(&mut open(directory.path()));
}
