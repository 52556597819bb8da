//! Torn tails and damage: where the one ends and the other begins.

use super::*;

const FIRST_SEGMENT: &str = "segment-0000000001.wal";

/// Four batches in one segment; entries 1..=9 of group 1, three in the last batch. No barrier behind them.
fn written(directory: &Path) -> Vec<u8> {
    let mut wal = open(directory);
    let mut model = Model::default();
    write(&mut wal, &mut model, &[vote(1, 1), append(1, commands(1, 1..=2))]);
    write(&mut wal, &mut model, &[append(1, commands(1, 3..=4)), vote(2, 5)]);
    write(&mut wal, &mut model, &[append(1, commands(2, 5..=6))]);
    write(&mut wal, &mut model, &[append(1, commands(2, 7..=9))]);
    drop(wal);
    let mut bytes = fs::read(directory.join(FIRST_SEGMENT)).unwrap();
    let end = records(&bytes).last().unwrap().end().next_multiple_of(8);
    // Some of the zeros behind.
    bytes.truncate(end + 200);
    bytes
}

fn is_entry(place: &Place) -> bool {
    matches!(place.header.kind, Kind::Noop | Kind::Command | Kind::Configuration)
}

/// The last entry in front of the first record that is not wholly there.
fn last_whole(places: &[Place], bytes: &[u8], torn: &[u8]) -> u64 {
    let is_whole = |place: &&Place| torn.get(place.offset..place.end()) == bytes.get(place.offset..place.end());
    let whole = places.iter().take_while(is_whole);
    whole.filter(|place| is_entry(place)).map(|place| place.header.index).last().unwrap_or(0)
}

/// Behind the beginning of the segment.
fn body_start(places: &[Place]) -> usize {
    places.iter().find(|place| place.header.batch == 1).unwrap().offset
}

#[test]
fn a_log_cut_anywhere_opens_with_every_record_before_the_cut_and_goes_on() {
    let directory = temporary();
    let bytes = written(directory.path());
    let places = records(&bytes);
    for cut in body_start(&places)..bytes.len() {
        for fill_with_zeros in [false, true] {
            let mut torn = bytes[..cut].to_vec();
            if fill_with_zeros {
                torn.resize(bytes.len(), 0);
            }
            // Zeros at the end of a record survive the cut.
            let expected = last_whole(&places, &bytes, &torn);
            let mut wal = open_with(directory.path(), FIRST_SEGMENT, &torn)
                .unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            assert_eq!(last_index(&mut wal), expected, "cut at {cut}");
            wal.write(&[append(1, commands(7, expected + 1..=expected + 1))]).unwrap();
            wal.sync().unwrap();
            drop(wal);
            let mut wal = open(directory.path());
            assert_eq!(last_index(&mut wal), expected + 1, "cut at {cut}, after going on");
        }
    }
}

#[test]
fn a_flipped_bit_in_an_earlier_batch_is_refused_with_file_offset_and_advice() {
    let directory = temporary();
    let bytes = written(directory.path());
    let places = records(&bytes);
    let last_batch = places.last().unwrap().header.batch;
    for place in places.iter().filter(|place| place.header.batch < last_batch) {
        for bit in place.offset * 8..place.end() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match open_with(directory.path(), FIRST_SEGMENT, &flipped) {
                Err(LogError::Damaged { path, offset, advice, .. }) => {
                    assert!(path.ends_with(FIRST_SEGMENT), "{}", path.display());
                    assert!(offset == place.offset as u64 || place.header.batch == 0, "bit {bit}: offset {offset}");
                    assert!(advice.contains("backup"));
                }
                other => panic!("bit {bit} of {place:?}: {:?}", other.map(|_| "opened")),
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_the_last_batch_is_a_torn_tail() {
    let directory = temporary();
    let bytes = written(directory.path());
    let places = records(&bytes);
    let last_batch = places.last().unwrap().header.batch;
    for place in places.iter().filter(|place| place.header.batch == last_batch) {
        for bit in place.offset * 8..place.end() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let mut wal = open_with(directory.path(), FIRST_SEGMENT, &flipped)
                .unwrap_or_else(|error| panic!("bit {bit}: {error}"));
            assert_eq!(last_index(&mut wal), place.header.index - 1, "bit {bit}");
        }
    }
}

#[test]
fn a_barrier_turns_a_flip_in_the_last_real_batch_into_damage() {
    let directory = temporary();
    let mut wal = open(directory.path());
    wal.write(&[append(1, commands(1, 1..=2))]).unwrap();
    wal.sync().unwrap();
    while wal.idle().unwrap() {}
    drop(wal);
    let mut bytes = fs::read(directory.path().join(FIRST_SEGMENT)).unwrap();
    let places = records(&bytes);
    let entry = places.iter().rfind(|place| is_entry(place)).unwrap();
    bytes[entry.offset] ^= 1;
    let error = open_with(directory.path(), FIRST_SEGMENT, &bytes).map(|_| "opened").unwrap_err();
    assert!(matches!(error, LogError::Damaged { offset, .. } if offset == entry.offset as u64), "{error}");
}

/// Found by a simulation (seed 4366): a process died within a write, and when zeros were written ahead later, they
/// completed what had been taken for a torn tail.
#[test]
fn what_is_left_of_a_record_does_not_become_one_when_zeros_follow() {
    for cut in 1..=record::HEADER_BYTES {
        let directory = temporary();
        let path = directory.path().join(FIRST_SEGMENT);
        let mut wal = open(directory.path());
        wal.write(&[vote(1, 1)]).unwrap();
        wal.sync().unwrap();
        while wal.idle().unwrap() {}
        wal.write(&[vote(1, 2)]).unwrap();
        drop(wal);
        let bytes = fs::read(&path).unwrap();
        let last = records(&bytes).last().unwrap().offset;
        fs::write(&path, &bytes[..last + cut]).unwrap();
        let mut wal = open(directory.path());
        let found = wal.recover(1.into()).unwrap().hard_state.term.get();
        assert_eq!(found == 2, cut == record::HEADER_BYTES, "{cut} bytes of it are left");
        while wal.idle().unwrap() {}
        drop(wal);
        let found_later = open(directory.path()).recover(1.into()).unwrap().hard_state.term.get();
        assert_eq!(found_later, found, "{cut} bytes of it were left");
    }
}

#[test]
fn a_barrier_lets_the_log_go_on_in_the_same_segment() {
    let directory = temporary();
    let mut wal = open(directory.path());
    for round in 1..=5 {
        wal.write(&[append(1, commands(1, round..=round))]).unwrap();
        wal.sync().unwrap();
        while wal.idle().unwrap() {}
        drop(wal);
        wal = open(directory.path());
        assert_eq!(last_index(&mut wal), round);
    }
    assert_eq!(segments(directory.path()).len(), 1);
}

/// The batch before the last was never synced completely, yet some of the last one is there: impossible, so damage.
#[test]
fn a_hole_before_a_later_batch_is_damage() {
    let directory = temporary();
    let bytes = written(directory.path());
    let places = records(&bytes);
    for hole in places.iter().filter(|place| place.header.batch == 3) {
        let mut holed = bytes.clone();
        holed[hole.offset..hole.end()].fill(0);
        let error = open_with(directory.path(), FIRST_SEGMENT, &holed).map(|_| "opened").unwrap_err();
        assert!(matches!(error, LogError::Damaged { offset, .. } if offset == hole.offset as u64), "{error}");
    }
}

/// A machine crash may lose any part of what was not synced, so later records of the torn batch can be there.
#[test]
fn records_behind_a_hole_in_the_last_batch_never_come_back() {
    let directory = temporary();
    let bytes = written(directory.path());
    let places = records(&bytes);
    let last: Vec<_> = places.iter().filter(|place| place.header.batch == 4).collect();
    let mut holed = bytes.clone();
    holed[last[0].offset..last[0].end()].fill(0);
    let mut wal = open_with(directory.path(), FIRST_SEGMENT, &holed).unwrap();
    assert_eq!(last_index(&mut wal), 6);
    let mut expected = 6;
    // Entries of the same length as the lost ones: the next record would stand exactly where a leftover does.
    for _ in 0..3 {
        expected += 1;
        wal.write(&[append(1, commands(2, expected..=expected))]).unwrap();
        wal.sync().unwrap();
        drop(wal);
        wal = open(directory.path());
        assert_eq!(last_index(&mut wal), expected);
    }
}

#[test]
fn a_length_of_four_gigabytes_is_a_torn_tail_and_allocates_nothing() {
    let directory = temporary();
    let bytes = written(directory.path());
    let places = records(&bytes);
    let last = places.last().unwrap();
    let mut raw = bytes.clone();
    raw[last.offset + 8..last.offset + 12].fill(0xff);
    // Once with a header that does not fit its CRC, once with one that does.
    let mut valid = bytes.clone();
    let header = Header { length: u32::MAX, ..last.header }.encode(last.offset as u32);
    valid[last.offset..last.offset + record::HEADER_BYTES].copy_from_slice(&header);
    for bytes in [raw, valid] {
        let mut wal = open_with(directory.path(), FIRST_SEGMENT, &bytes).unwrap();
        assert_eq!(last_index(&mut wal), 8);
    }
}

#[test]
fn garbage_behind_the_end_is_no_record() {
    let directory = temporary();
    let bytes = written(directory.path());
    let end = records(&bytes).last().unwrap().end().next_multiple_of(8);
    for pattern in [0xff_u8, 0x01, 0xa5] {
        let mut garbage = bytes.clone();
        garbage[end..].fill(pattern);
        let mut wal = open_with(directory.path(), FIRST_SEGMENT, &garbage).unwrap();
        assert_eq!(last_index(&mut wal), 9);
    }
}

/// A user may store a piece of the log as a command.
#[test]
fn records_inside_a_command_are_no_records() {
    let directory = temporary();
    let bytes = written(directory.path());
    let places = records(&bytes);
    let mut wal = open(directory.path());
    let payload = raft_consensus::Payload::Command(Bytes::from(bytes.clone()));
    let position = raft_consensus::LogPosition::new(Term::new(2), LogIndex::new(10));
    let entries = [raft_consensus::Entry { position, payload }].into_iter().collect();
    wal.write(&[append(1, entries)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let newest = segments(directory.path()).pop().unwrap();
    let mut torn = fs::read(&newest).unwrap();
    let command = *records(&torn).iter().rfind(|place| place.header.index == 10).unwrap();
    assert!(places.len() > 3);
    torn[command.offset + 1] ^= 1;
    fs::write(&newest, &torn).unwrap();
    assert_eq!(last_index(&mut open(directory.path())), 9);
}

/// Two crashes in a row, each of which keeps another part of a batch with the same number at the same place.
#[test]
fn a_batch_never_mixes_with_what_a_crash_left_of_another() {
    let directory = temporary();
    let mut wal = open(directory.path());
    wal.write(&[append(1, commands(1, 1..=1))]).unwrap();
    while wal.idle().unwrap() {}
    wal.write(&[append(1, commands(2, 2..=4))]).unwrap();
    drop(wal);
    let mut bytes = fs::read(directory.path().join(FIRST_SEGMENT)).unwrap();
    let first_lost = *records(&bytes).iter().find(|place| is_entry(place) && place.header.index == 2).unwrap();
    bytes[first_lost.offset..first_lost.end()].fill(0);
    let mut wal = open_with(directory.path(), FIRST_SEGMENT, &bytes).unwrap();
    assert_eq!(last_index(&mut wal), 1);

    let path = segments(directory.path()).pop().unwrap();
    let before = fs::read(&path).unwrap();
    wal.write(&[append(1, commands(3, 2..=4))]).unwrap();
    drop(wal);
    let mut bytes = fs::read(&path).unwrap();
    let first_kept = *records(&bytes).iter().find(|place| is_entry(place) && place.header.index == 2).unwrap();
    bytes.truncate(before.len().max(first_kept.end()));
    let old = before.get(first_kept.end()..).unwrap_or_default();
    bytes[first_kept.end()..].copy_from_slice(old);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(last_index(&mut open(directory.path())), 2);
}
