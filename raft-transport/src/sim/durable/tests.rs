use std::collections::BTreeSet;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use raft_actor::consensus::{
    Configuration, DamageId, DirectoryId, Entries, Entry, HardState, LogIndex, LogPosition, LogWrite, NodeId, Payload,
    Term,
};
use raft_actor::log_storage::contract::Model;
use raft_actor::log_storage::sim_disk::Keep;
use raft_actor::log_storage::{GroupWrite, LogError, LogStorage, Wal, WalOptions};

use super::format::record_at;
use super::*;

const DIRECTORY: &str = "/data/wal";

fn open(disk: &SimDisk) -> Result<Wal, LogError> {
    Wal::open_on(
        disk.process(),
        DIRECTORY,
        WalOptions { segment_bytes: 16 << 10, repair: false, ..WalOptions::default() },
    )
}

/// What a log finds after a crash that keeps nothing.
fn recovered(disk: &SimDisk) -> Result<Wal, LogError> {
    let fork = disk.fork();
    fork.crash_machine_keeping(Keep::Nothing);
    open(&fork)
}

#[track_caller]
fn assert_same(reader: &DurableReader, wal: &mut Wal) {
    let groups: Vec<GroupId> = reader.groups().map(|(id, _)| id).collect();
    assert_eq!(groups, wal.groups());
    for (id, state) in reader.groups() {
        let found = wal.recover(id).unwrap();
        assert_eq!(state.hard_state(), found.hard_state, "group {id}");
        assert_eq!((state.base(), state.last()), (found.log.base(), found.log.last()), "group {id}");
        assert_eq!(state.configuration(), found.log.configuration(), "group {id}");
        let entries = wal.reader().read(id, found.log.first_index(), found.log.last().index, u64::MAX).unwrap();
        let expected: Vec<Record> = entries.iter().map(record_of).collect();
        assert_eq!(state.entries().cloned().collect::<Vec<_>>(), expected, "group {id}");
        for record in expected {
            assert!(state.contains(record.position));
            assert_eq!(state.entry(record.position.index), Some(&record));
        }
        assert_eq!(state.position_at(state.last().index.next()), None);
        assert_eq!(state.entry(state.base().index), None);
    }
}

fn record_of(entry: &Entry) -> Record {
    let (kind, payload_hash, configuration) = match &entry.payload {
        Payload::Noop => (PayloadKind::Noop, payload_hash(&[]), None),
        Payload::Command(command) => (PayloadKind::Command, payload_hash(command), None),
        Payload::Configuration(configuration) => {
            let encoded = rmp_serde::to_vec_named(configuration).unwrap();
            (PayloadKind::Configuration, payload_hash(&encoded), Some(Arc::new((**configuration).clone())))
        }
    };
    Record { position: entry.position, kind, payload_hash, configuration }
}

fn entries(rng: &mut StdRng, term: Term, first: LogIndex) -> Entries {
    let count = rng.random_range(1..8);
    (0..count)
        .map(|at| {
            let payload = match rng.random_range(0..12_u8) {
                0 => Payload::Noop,
                1 => {
                    let voters = (1..rng.random_range(2..7)).map(|id| (NodeId::new(id), format!("n{id}")));
                    let mut configuration = Configuration::of_voters(voters);
                    let recorded = configuration.voters.iter().filter(|_| rng.random());
                    configuration.directories = recorded.map(|id| (*id, DirectoryId(id.get() << 40))).collect();
                    Payload::Configuration(Box::new(configuration))
                }
                _ => Payload::Command(Bytes::from(vec![rng.random(); rng.random_range(0..300)])),
            };
            Entry { position: LogPosition::new(term, first.plus(at)), payload }
        })
        .collect()
}

/// A write that fits; group 3 writes rarely, so that its entries hold back old segments until they are moved.
fn group_write(rng: &mut StdRng, model: &Model) -> GroupWrite {
    let group = if rng.random_bool(0.01) { 3 } else { rng.random_range(1..3) }.into();
    let (base, last) = model.bounds(group);
    let term = Term::new(last.term.get() + rng.random_range(0..2));
    let span = last.index.since(base.index);
    let log = match rng.random_range(0..16_u8) {
        0 => None,
        1..4 if group.get() != 3 => Some(LogWrite::Purge { through: base.index.plus(rng.random_range(0..=span)) }),
        4 if group.get() != 3 => {
            let to = base.index.plus(rng.random_range(0..30));
            Some(LogWrite::Reset { to: LogPosition::new(term, to) })
        }
        5 | 6 if span > 0 => {
            let first = base.index.plus(1 + rng.random_range(0..span));
            Some(LogWrite::Replace(entries(rng, term.next(), first)))
        }
        _ => Some(LogWrite::Append(entries(rng, term, last.index.next()))),
    };
    let hard_state = (log.is_none() || rng.random_bool(0.25)).then(|| HardState {
        term,
        vote: rng.random_bool(0.8).then(|| rng.random_range(1..6).into()),
        damage: rng.random_bool(0.1).then(|| DamageId(rng.random())),
    });
    GroupWrite { group, hard_state, log }
}

fn batch(rng: &mut StdRng, model: &Model) -> Vec<GroupWrite> {
    let mut model = model.clone();
    (0..rng.random_range(1..6))
        .map(|_| {
            let write = group_write(rng, &model);
            model.write(std::slice::from_ref(&write));
            write
        })
        .collect()
}

/// What a run came across.
#[derive(Debug, Default)]
struct Seen {
    moved: u32,
    retired: u32,
    carried_over: u32,
    torn: u32,
    failed_opening: u32,
}

/// A log on a simulated disk, and somebody who reads along.
struct Run {
    rng: StdRng,
    disk: SimDisk,
    wal: Option<Wal>,
    reader: DurableReader,
    seen: Seen,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        let reader = DurableReader::new(disk.clone(), DIRECTORY);
        Self { rng: StdRng::seed_from_u64(seed), disk, wal: None, reader, seen: Seen::default() }
    }

    /// One step of the log; `Err` if it has to be opened anew.
    fn step(&mut self) -> Result<(), LogError> {
        let Some(wal) = &mut self.wal else {
            if self.rng.random_bool(0.2) {
                self.disk.kill_process_after(self.rng.random_range(0..16));
            }
            self.wal = Some(open(&self.disk).inspect_err(|_| self.seen.failed_opening += 1)?);
            return Ok(());
        };
        match self.rng.random_range(0..60_u8) {
            0 => self.disk.fail_sync_after(self.rng.random_range(0..5)),
            1 => self.disk.kill_process_after(self.rng.random_range(0..20)),
            2 => self.wal = None,
            3..6 => {
                let writes = batch(&mut self.rng, &Model::of(wal));
                wal.write(&writes)?;
                return Err(LogError::Stopped);
            }
            6..12 => while wal.idle()? && self.rng.random_bool(0.8) {},
            12 if self.rng.random_bool(0.1) => {
                self.wal = None;
                self.disk.wipe();
            }
            _ => {
                let writes = batch(&mut self.rng, &Model::of(wal));
                wal.write(&writes)?;
                wal.sync()?;
            }
        }
        Ok(())
    }

    fn crash(&mut self) {
        if self.rng.random_bool(0.5) {
            self.disk.kill_process();
        } else {
            self.disk.crash_machine();
        }
        self.disk.clear_orders();
        self.wal = None;
    }

    fn look(&mut self) {
        let (oldest, newest) = self.numbers();
        let changed = self.reader.follow().unwrap();
        let (oldest_now, newest_now) = self.numbers();
        self.seen.retired += u32::from(oldest_now > oldest);
        if changed {
            let mut wal = recovered(&self.disk).unwrap();
            assert_same(&self.reader, &mut wal);
            if newest_now == newest + 1 {
                self.look_at_carried();
            }
        }
        self.reader.check().unwrap();
    }

    fn numbers(&self) -> (u32, u32) {
        let number = |segment: Option<&Segment>| segment.map_or(0, |segment| segment.number);
        (number(self.reader.segments.front()), number(self.reader.segments.back()))
    }

    /// Whether the newest segment begins in front of the last batch of the one before, and what was moved.
    fn look_at_carried(&mut self) {
        let mut older = self.reader.segments.iter().rev();
        let (Some(newest), Some(before)) = (older.next(), older.next()) else { return };
        let is_behind = |segment: &Segment, bytes: &[u8]| record_at(bytes, segment.end + 48, segment.number).is_some();
        let carried = self.disk.with_durable(&before.path, |bytes| is_behind(before, bytes)).unwrap();
        self.seen.carried_over += u32::from(carried && newest.batch > 0);
    }

    fn count_moved(&mut self) {
        for segment in &self.reader.segments {
            let mut at = 0;
            self.disk.with_durable(&segment.path, |bytes| {
                while let Some(record) = record_at(bytes, at, segment.number).filter(|_| at < segment.end) {
                    self.seen.moved += u32::from(record.is_moved);
                    at = record.end;
                }
            });
        }
    }
}

/// After each sync, crash and opening: the same as a real log finds, whether followed or read from the beginning.
#[test]
fn the_reader_and_the_log_agree_on_what_is_durable() {
    let mut all = Seen::default();
    for seed in 0..10 {
        let mut run = Run::new(seed);
        for _ in 0..160 {
            match run.step() {
                Ok(()) => run.look(),
                Err(LogError::Io { .. } | LogError::Stopped) => {
                    run.look();
                    run.crash();
                    run.look();
                    let last = run.reader.segments.back();
                    run.seen.torn += u32::from(last.is_some_and(|last| last.next_batch() == last.batch));
                }
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        run.count_moved();
        all.moved += run.seen.moved;
        all.retired += run.seen.retired;
        all.carried_over += run.seen.carried_over;
        all.torn += run.seen.torn;
        all.failed_opening += run.seen.failed_opening;
    }
    let Seen { moved, retired, carried_over, torn, failed_opening } = all;
    // What did not happen was not tested.
    assert!([moved, retired, carried_over, torn, failed_opening].iter().all(|count| *count > 5), "{all:?}");
}

/// A log with several segments, and its disk.
fn written(seed: u64) -> (SimDisk, Wal) {
    let mut rng = StdRng::seed_from_u64(seed);
    let disk = SimDisk::new(seed);
    let mut wal = open(&disk).unwrap();
    for _ in 0..60 {
        let writes = batch(&mut rng, &Model::of(&mut wal));
        wal.write(&writes).unwrap();
        wal.sync().unwrap();
    }
    (disk, wal)
}

#[test]
fn damage_in_an_earlier_batch_is_refused_by_the_reader_and_by_the_log() {
    let (disk, _wal) = written(3);
    let mut reader = DurableReader::new(disk.clone(), DIRECTORY);
    reader.reread().unwrap();
    let places = reader.earlier_records();
    assert!(places.iter().map(|place| &place.path).collect::<BTreeSet<_>>().len() > 2);
    assert!(places.iter().any(|place| matches!(place.subject, RecordSubject::HardState(_))));
    let mut rng = StdRng::seed_from_u64(3);
    for place in places {
        let fork = disk.fork();
        assert!(fork.flip_bit(&place.path, place.offset + rng.random_range(0..place.length), rng.random_range(0..8)));
        let error = DurableReader::new(fork.clone(), DIRECTORY).reread().unwrap_err();
        assert_eq!(error.path, place.path, "{error}");
        let refused = open(&fork).unwrap_err();
        assert!(matches!(refused, LogError::Damaged { .. }), "{place:?}: {refused}");
    }
}

#[test]
fn damage_in_the_last_batch_is_a_torn_tail_to_both() {
    let (disk, _wal) = written(4);
    let mut reader = DurableReader::new(disk.clone(), DIRECTORY);
    reader.reread().unwrap();
    let places = reader.last_batch_records();
    assert!(!places.is_empty());
    for place in places {
        let fork = disk.fork();
        assert!(fork.flip_bit(&place.path, place.offset + place.length - 1, 7));
        let mut reader = DurableReader::new(fork.clone(), DIRECTORY);
        reader.reread().unwrap();
        assert_same(&reader, &mut open(&fork).unwrap());
    }
}

#[test]
fn a_missing_segment_is_noticed() {
    let disk = SimDisk::new(0);
    let mut wal = open(&disk).unwrap();
    for index in 1..200 {
        let payload = Payload::Command(Bytes::from(vec![7; 300]));
        let entry = Entry { position: LogPosition::new(Term::new(1), LogIndex::new(index)), payload };
        let log = Some(LogWrite::Append([entry].into_iter().collect()));
        wal.write(&[GroupWrite { group: 1.into(), hard_state: None, log }]).unwrap();
        wal.sync().unwrap();
    }
    let mut reader = DurableReader::new(disk.clone(), DIRECTORY);
    reader.reread().unwrap();
    let paths: Vec<PathBuf> = reader.segments.iter().map(|segment| segment.path.to_path_buf()).collect();
    assert!(paths.len() > 2);
    for path in &paths {
        let fork = disk.fork();
        let process = fork.process();
        process.remove(path).unwrap();
        process.sync_directory(Path::new(DIRECTORY)).unwrap();
        DurableReader::new(fork.clone(), DIRECTORY).reread().unwrap_err();
    }
}

#[test]
fn a_checker_is_told_from_where_on_the_log_changed() {
    let disk = SimDisk::new(1);
    let mut wal = open(&disk).unwrap();
    let mut reader = DurableReader::new(disk, DIRECTORY);
    let mut write = |log: LogWrite| {
        wal.write(&[GroupWrite { group: 1.into(), hard_state: None, log: Some(log) }]).unwrap();
        wal.sync().unwrap();
        let changed = reader.follow().unwrap();
        (changed, reader.state(1.into()).changed_from().map(LogIndex::get))
    };
    let noops = |term, first: u64, last: u64| -> Entries {
        let position = |index| LogPosition::new(Term::new(term), LogIndex::new(index));
        (first..=last).map(|index| Entry { position: position(index), payload: Payload::Noop }).collect()
    };
    assert_eq!(write(LogWrite::Append(noops(1, 1, 5))), (true, Some(1)));
    assert_eq!(write(LogWrite::Append(noops(1, 6, 7))), (true, Some(6)));
    assert_eq!(write(LogWrite::Replace(noops(2, 4, 4))), (true, Some(4)));
    assert_eq!(write(LogWrite::Purge { through: LogIndex::new(3) }), (true, None));
    assert!(!reader.follow().unwrap(), "nothing happened");
    assert_eq!(reader.state(1.into()).last(), LogPosition::new(Term::new(2), LogIndex::new(4)));
    assert_eq!(reader.state(9.into()).last(), LogPosition::ZERO);
}
