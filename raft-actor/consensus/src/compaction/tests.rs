use super::*;
use crate::testing::{at, configuration, entries};

const ENTRY_BYTES: u64 = 24;

fn log(base: u64, count: usize) -> Log {
    let mut log = Log::new(if base == 0 { LogPosition::ZERO } else { at(1, base) }, configuration([1, 2, 3]));
    log.append(&entries(base + 1, &vec![1; count]));
    log
}

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn snapshot(index: u64) -> SnapshotMeta {
    SnapshotMeta { position: at(1, index), configuration: configuration([1, 2, 3]), configured_at: LogPosition::ZERO }
}

#[test]
fn a_snapshot_is_due_by_entries_or_by_bytes_or_never() {
    let log = log(0, 100);
    let due = |entries, bytes, applied| {
        let settings = settings(|s| (s.snapshot_entries, s.snapshot_bytes) = (entries, bytes));
        Compaction::new(Some(snapshot(10))).is_due(&settings, &log, LogIndex::new(applied))
    };
    assert!(!due(0, 0, 100), "off");
    assert!(!due(20, 0, 29));
    assert!(due(20, 0, 30));
    assert!(!due(0, 20 * ENTRY_BYTES, 29));
    assert!(due(0, 20 * ENTRY_BYTES, 30));
    assert!(due(50, 20 * ENTRY_BYTES, 30), "whichever comes first");
}

#[test]
fn one_snapshot_is_taken_at_a_time_and_one_that_failed_is_not_repeated_at_once() {
    let (log, settings) = (log(0, 100), settings(|s| s.snapshot_entries = 20));
    let mut compaction = Compaction::new(None);
    let due = |compaction: &Compaction, applied| compaction.is_due(&settings, &log, LogIndex::new(applied));
    assert!(due(&compaction, 20));
    compaction.ordered();
    assert!(!due(&compaction, 50), "one is under way");
    compaction.failed(LogIndex::new(50));
    assert!(!due(&compaction, 69));
    assert!(due(&compaction, 70));
    assert!(compaction.may_take(LogIndex::new(51)), "on request there is no interval");
    assert!(compaction.learn(snapshot(70)) && !compaction.learn(snapshot(60)), "an older one changes nothing");
    assert_eq!(compaction.covered(), at(1, 70));
    assert!(!compaction.may_take(LogIndex::new(70)), "nothing was applied since");
}

#[test]
fn a_tail_stays_behind_the_snapshot() {
    let log = log(5, 95);
    let through = |tail, needed: Option<u64>, bytes| {
        let settings = settings(|s| (s.log_tail_entries, s.log_tail_bytes_max) = (tail, bytes));
        purge_through(&log, &settings, LogIndex::new(80), needed.map(LogIndex::new)).get()
    };
    assert_eq!(through(0, None, u64::MAX), 80);
    assert_eq!(through(30, None, u64::MAX), 50);
    assert_eq!(through(30, Some(60), u64::MAX), 50, "who follows further on needs no more");
    assert_eq!(through(30, Some(20), u64::MAX), 20, "who follows still needs it");
    assert_eq!(through(30, Some(20), 40 * ENTRY_BYTES), 40, "up to a limit");
    assert_eq!(through(30, None, 10 * ENTRY_BYTES + 1), 70);
    assert_eq!(through(30, None, 0), 80);
    assert!(through(100, None, u64::MAX) <= 5, "nothing below the base is left to purge");
}
