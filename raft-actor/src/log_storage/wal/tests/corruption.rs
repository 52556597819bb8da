//! Random corruption of whole directories: refused or cut, never a panic, never a wrong entry.

use proptest::prelude::*;

use super::*;

/// Writes 400 entries of group 1 in 20 batches over some segments, with a barrier in between; returns the entries.
fn written(directory: &Path) -> raft_consensus::Entries {
    let mut wal = open(directory);
    let mut model = Model::default();
    let mut all = raft_consensus::Entries::new();
    for index in 0..20 {
        let first = 20 * index + 1;
        let entries = commands(index + 1, first..=first + 19);
        write(&mut wal, &mut model, &[vote(1, index + 1), append(1, entries.clone())]);
        all.append(entries);
        if index == 10 {
            while wal.idle().unwrap() {}
        }
    }
    assert!(segments(directory).len() > 1);
    all
}

fn corrupt(bytes: &mut Vec<u8>, kind: u8, at: usize, value: u64) {
    let at = at % bytes.len().max(1);
    match kind {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << (value % 8),
        2 => bytes[at..].iter_mut().take(8).zip(value.to_le_bytes()).for_each(|(byte, new)| *byte = new),
        3 => bytes[at..].iter_mut().take(usize::try_from(value % 2000).unwrap()).for_each(|byte| *byte = 0),
        4 => bytes.extend_from_slice(&value.to_le_bytes()),
        _ => {
            let from = usize::try_from(value % bytes.len().max(1) as u64).unwrap() / 8 * 8;
            let piece = bytes[from..].iter().take(400).copied().collect::<Vec<_>>();
            bytes[at / 8 * 8..].iter_mut().zip(piece).for_each(|(byte, new)| *byte = new);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_corrupted_log_is_refused_or_holds_a_beginning_of_what_was_written(
        damages in proptest::collection::vec((any::<usize>(), 0..6_u8, any::<usize>(), any::<u64>()), 1..4)
    ) {
        let directory = temporary();
        let entries = written(directory.path());
        let files = segments(directory.path());
        // What wipes out the end together with all traces of it cannot be told from a crash before it was written.
        let is_small = damages.iter().all(|(_, kind, ..)| matches!(kind, 1 | 2 | 4));
        for (file, kind, at, value) in damages {
            let path = &files[file % files.len()];
            let mut bytes = fs::read(path).unwrap();
            if !bytes.is_empty() {
                corrupt(&mut bytes, kind, at, value);
            }
            fs::write(path, bytes).unwrap();
        }
        match Wal::open_on(Arc::new(disk::FaultyDisk::lazy()), directory.path(), options(SMALL)) {
            Err(error) => prop_assert!(matches!(error, LogError::Damaged { .. }), "{error}"),
            Ok(mut wal) => {
                let found = last_index(&mut wal);
                prop_assert!(found <= 400 && (found >= 380 || !is_small), "{found} entries are left");
                let everything = (LogIndex::new(1), LogIndex::new(found));
                let read = wal.reader().read(1.into(), everything.0, everything.1, u64::MAX).unwrap();
                prop_assert_eq!(read, entries.range(everything.0, everything.1));
            }
        }
    }
}
