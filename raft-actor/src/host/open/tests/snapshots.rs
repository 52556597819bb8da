//! How log, snapshot and state machine fit together at the start.

use super::*;

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

fn members(ids: &[u64]) -> Configuration {
    Configuration::of_voters(ids.iter().map(|id| (NodeId::from(*id), "somewhere")))
}

fn meta(position: LogPosition) -> SnapshotMeta {
    SnapshotMeta { position, configuration: members(&[1, 2, 3]), configured_at: at(1, 1) }
}

fn keep(path: &Path, position: LogPosition) {
    let directory = path.join("snapshots/1");
    let store = SnapshotStore::open(Arc::new(crate::log_storage::disk::RealDisk), &directory, GROUP).expect("opens");
    let fill = |out: &mut dyn std::io::Write| Sessions::default().save(out).and_then(|()| out.write_all(b"\xa1x"));
    store.write(&meta(position), fill).expect("room");
}

/// Entries 2 to 6 of term 2 behind the founding one.
fn with_entries(path: &Path) {
    let mut opened = open_again(path);
    let entries = (2..=6).map(|index| Entry { position: at(2, index), payload: Payload::Noop });
    let log = Some(LogWrite::Append(entries.collect()));
    opened.storage.write(&[GroupWrite { group: GROUP, hard_state: None, log }]).expect("room");
    opened.storage.sync().expect("a disk that works");
}

#[test]
fn a_log_that_a_crash_kept_from_being_reset_to_an_installed_snapshot_is_reset_at_the_start() {
    for lacking in [at(2, 9), at(3, 5)] {
        let place = tempfile::tempdir().expect("a directory");
        with_entries(place.path());
        keep(place.path(), lacking);
        for _ in 0..2 {
            let opened = open_again(place.path());
            assert_eq!((opened.recovered.log.base(), opened.recovered.log.last()), (lacking, lacking));
        }
    }
}

#[test]
fn a_log_that_holds_the_last_entry_of_the_snapshot_stays_as_it_is() {
    let place = tempfile::tempdir().expect("a directory");
    with_entries(place.path());
    keep(place.path(), at(2, 4));
    let opened = open_again(place.path());
    assert_eq!((opened.recovered.log.base(), opened.recovered.log.last()), (LogPosition::ZERO, at(2, 6)));
    let mut machine = String::new();
    let covered = opened.snapshots.newest().map(|file| load(&mut machine, &mut file.body()));
    assert!(matches!(covered, Some(Ok(_))), "{covered:?}");
    assert_eq!(machine, "x");
}

#[test]
fn a_log_that_begins_above_the_snapshot_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    with_entries(place.path());
    keep(place.path(), at(2, 9));
    drop(open_again(place.path()));
    for file in place.path().join("snapshots/1").read_dir().expect("it is there") {
        std::fs::remove_file(file.expect("readable").path()).expect("removes");
    }
    let error = open_whole(builder(place.path(), 3), 1).err();
    assert!(matches!(error, Some(StartError::SnapshotMissing { .. })), "{error:?}");
    keep(place.path(), at(2, 8));
    let error = open_whole(builder(place.path(), 3), 1).err();
    assert!(matches!(error, Some(StartError::SnapshotMissing { .. })), "{error:?}");
}

#[test]
fn what_a_machine_covers_is_told_from_snapshot_and_log() {
    let mut log = Log::new(at(1, 3), Configuration::default());
    let mut push = |position, configuration: Option<&[u64]>| {
        let payload = configuration.map_or(Payload::Noop, |ids| Payload::Configuration(Box::new(members(ids))));
        log.push(&Entry { position, payload });
    };
    push(at(2, 4), None);
    push(at(2, 5), Some(&[1, 2]));
    push(at(2, 6), None);
    push(at(3, 7), Some(&[1]));
    let snapshot = meta(at(2, 4));
    let covered = |applied| covered_by(&log, Some(&snapshot), LogIndex::new(applied));
    assert_eq!(covered(4).expect("the snapshot's own"), snapshot);
    // A machine on disk is ahead of it.
    for (applied, position, ids, configured_at) in
        [(5, at(2, 5), &[1, 2][..], at(2, 5)), (6, at(2, 6), &[1, 2][..], at(2, 5)), (7, at(3, 7), &[1][..], at(3, 7))]
    {
        let expected = SnapshotMeta { position, configuration: members(ids), configured_at };
        assert_eq!(covered(applied).expect("the log holds it"), expected);
    }
    let earlier = meta(at(1, 3));
    let between = covered_by(&log, Some(&earlier), LogIndex::new(4)).expect("the log holds it");
    assert_eq!(between, SnapshotMeta { position: at(2, 4), ..earlier }, "the configuration is the snapshot's still");
    assert!(matches!(covered(8), Err(StartError::MachineMismatch { .. })), "it is ahead of the log");
    assert!(matches!(covered(2), Err(StartError::MachineMismatch { .. })), "the log does not reach back to it");
    let nothing = covered_by(&Log::default(), None, LogIndex::ZERO);
    assert!(nothing.is_ok_and(|meta| meta.position == LogPosition::ZERO));
}
