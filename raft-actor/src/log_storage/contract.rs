//! The contract of [`LogStorage`], as tests that any implementation can run.
//!
//! ```
//! use raft_actor::log_storage::{MemoryLog, contract};
//!
//! contract::check(|_place| MemoryLog::new());
//! ```
//!
//! Every case drives a log and a [`Model`] of plain vectors side by side and
//! compares what they hold; a durable log is dropped and opened again in between.
//! A case that fails panics and names what was expected.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use raft_consensus::{
    Configuration, DamageId, Entries, Entry, HardState, LogIndex, LogPosition, LogWrite, NodeId, Payload, Term,
};

use super::{GroupWrite, LogStorage};

mod model;

pub use model::Model;

/// Runs the whole suite.
///
/// `open` opens the log at a place of its own: the same number means the same
/// place, a new number an empty one. It is called again for the same place after
/// the former log was dropped; a durable log then holds what it held, a volatile
/// one ([`is_volatile`](LogStorage::is_volatile)) is empty and is not asked.
///
/// # Panics
/// If the log breaks the contract.
pub fn check<L: LogStorage>(mut open: impl FnMut(usize) -> L) {
    let cases: &[fn(&mut Subject<'_, L>)] = &[
        a_group_that_was_never_written_is_empty,
        what_was_written_is_readable_at_once_and_in_order,
        a_read_keeps_to_its_limits,
        every_kind_of_payload_comes_back_as_it_was,
        a_replacement_removes_what_follows,
        a_truncated_configuration_is_rolled_back,
        a_reset_forgets_everything_and_goes_on_behind_the_snapshot,
        a_purge_drops_the_beginning_and_keeps_the_rest,
        a_hard_state_is_kept_and_the_last_one_counts,
        a_batch_takes_effect_in_order,
        groups_do_not_see_each_other,
        a_group_that_was_destroyed_is_remembered_as_such,
        a_reader_works_while_the_owner_writes,
        idle_work_comes_to_an_end_and_changes_nothing,
        random_writes_agree_with_the_model,
    ];
    for (place, case) in cases.iter().enumerate() {
        case(&mut Subject::new(place, &mut open));
    }
}

/// Commands at the indexes `indexes` in `term`, one piece; their bytes differ.
pub fn commands(term: u64, indexes: RangeInclusive<u64>) -> Entries {
    indexes
        .map(|index| {
            let command = format!("command {index} of term {term}").repeat(usize::try_from(index % 5).unwrap_or(0));
            entry(term, index, Payload::Command(Bytes::from(command)))
        })
        .collect()
}

fn entry(term: u64, index: u64, payload: Payload) -> Entry {
    Entry { position: LogPosition::new(Term::new(term), LogIndex::new(index)), payload }
}

fn configuration(term: u64, index: u64, voters: RangeInclusive<u64>) -> Entry {
    let members = voters.map(|id| (NodeId::from(id), format!("127.0.0.1:{}", 7100 + id)));
    entry(term, index, Payload::Configuration(Box::new(Configuration::of_voters(members))))
}

fn hard_state(term: u64, vote: Option<u64>) -> HardState {
    HardState { term: Term::new(term), vote: vote.map(NodeId::from), damage: None }
}

/// A log under test beside the model of what it must hold.
struct Subject<'a, L> {
    place: usize,
    open: &'a mut dyn FnMut(usize) -> L,
    log: Option<L>,
    model: Model,
}

const GROUP: u64 = 7;

impl<'a, L: LogStorage> Subject<'a, L> {
    fn new(place: usize, open: &'a mut dyn FnMut(usize) -> L) -> Self {
        let log = Some(open(place));
        Self { place, open, log, model: Model::default() }
    }

    fn log(&mut self) -> &mut L {
        self.log.as_mut().expect("a log is open but for the moment of reopening")
    }

    /// Writes and syncs a batch, then compares.
    fn write(&mut self, writes: &[GroupWrite]) {
        self.log().write(writes).expect("a write succeeds");
        self.model.write(writes);
        let reader = self.log().reader();
        self.model.assert_readable(reader.as_ref());
        self.log().sync().expect("a sync succeeds");
    }

    fn change(&mut self, change: LogWrite) {
        self.write(&[GroupWrite { group: GROUP.into(), hard_state: None, log: Some(change) }]);
    }

    fn vote(&mut self, group: u64, hard_state: HardState) {
        self.write(&[GroupWrite { group: group.into(), hard_state: Some(hard_state), log: None }]);
    }

    /// Compares everything, and again after opening a durable log anew.
    fn compare(&mut self) {
        let model = self.model.clone();
        model.assert_same(self.log());
        if !self.log().is_volatile() {
            self.log = None;
            self.log = Some((self.open)(self.place));
            model.assert_same(self.log());
        }
    }

    fn read(&mut self, from: u64, through: u64, bytes_max: u64) -> Vec<u64> {
        let reader = self.log().reader();
        let read = reader.read(GROUP.into(), LogIndex::new(from), LogIndex::new(through), bytes_max);
        read.expect("a read succeeds").iter().map(|entry| entry.position.index.get()).collect()
    }
}

fn a_group_that_was_never_written_is_empty<L: LogStorage>(subject: &mut Subject<'_, L>) {
    assert_eq!(subject.log().groups(), []);
    assert_eq!(subject.read(1, 10, u64::MAX), [0; 0]);
    subject.compare();
}

fn what_was_written_is_readable_at_once_and_in_order<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.change(LogWrite::Append(commands(1, 1..=3)));
    subject.change(LogWrite::Append(commands(1, 4..=4)));
    let mut pieces = commands(2, 5..=9);
    pieces.append(commands(4, 10..=12));
    subject.change(LogWrite::Append(pieces));
    subject.compare();
    subject.change(LogWrite::Append(commands(4, 13..=400)));
    subject.compare();
}

fn a_read_keeps_to_its_limits<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.change(LogWrite::Append(commands(1, 1..=6)));
    subject.change(LogWrite::Append(commands(1, 7..=10)));
    subject.change(LogWrite::Purge { through: LogIndex::new(2) });
    assert_eq!(subject.read(3, 8, u64::MAX), [3, 4, 5, 6, 7, 8]);
    assert_eq!(subject.read(9, 20, u64::MAX), [9, 10], "what is beyond the end is not there");
    assert_eq!(subject.read(11, 20, u64::MAX), [0; 0]);
    assert_eq!(subject.read(2, 8, u64::MAX), [0; 0], "a read begins at `from` or is empty");
    assert_eq!(subject.read(8, 7, u64::MAX), [0; 0]);
    assert_eq!(subject.read(5, 10, 0), [5], "at least one entry");
    let two = commands(1, 5..=6).size_bytes();
    assert_eq!(subject.read(5, 10, two), [5, 6]);
    assert_eq!(subject.read(5, 10, two - 1), [5]);
}

fn every_kind_of_payload_comes_back_as_it_was<L: LogStorage>(subject: &mut Subject<'_, L>) {
    let large = Bytes::from(vec![0xa5; 1 << 20]);
    let entries = [
        entry(1, 1, Payload::Noop),
        configuration(1, 2, 1..=3),
        entry(1, 3, Payload::Command(Bytes::new())),
        entry(1, 4, Payload::Command(Bytes::from(vec![0; 5000]))),
        entry(1, 5, Payload::Command(large)),
        configuration(1, 6, 1..=5),
    ];
    subject.change(LogWrite::Append(entries.into_iter().collect()));
    subject.compare();
}

fn a_replacement_removes_what_follows<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.change(LogWrite::Append(commands(1, 1..=5)));
    subject.change(LogWrite::Append(commands(1, 6..=10)));
    subject.change(LogWrite::Replace(commands(2, 4..=5)));
    subject.compare();
    subject.change(LogWrite::Append(commands(2, 6..=8)));
    subject.change(LogWrite::Replace(commands(3, 9..=9)));
    subject.compare();
    subject.change(LogWrite::Replace(commands(4, 1..=1)));
    subject.compare();
}

fn a_truncated_configuration_is_rolled_back<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.change(LogWrite::Append([configuration(1, 1, 1..=3)].into_iter().collect()));
    subject.change(LogWrite::Append([configuration(1, 2, 1..=4)].into_iter().collect()));
    subject.change(LogWrite::Append(commands(1, 3..=5)));
    subject.change(LogWrite::Replace(commands(2, 2..=2)));
    subject.compare();
    let recovered = subject.log().recover(GROUP.into()).expect("a log that was just written can be recovered");
    assert_eq!(recovered.log.configuration_entry().0, LogIndex::new(1));
}

fn a_reset_forgets_everything_and_goes_on_behind_the_snapshot<L: LogStorage>(subject: &mut Subject<'_, L>) {
    let at = |term, index| LogWrite::Reset { to: LogPosition::new(Term::new(term), LogIndex::new(index)) };
    subject.change(LogWrite::Append(commands(1, 1..=5)));
    subject.change(at(3, 100));
    subject.compare();
    subject.change(LogWrite::Append(commands(3, 101..=105)));
    subject.compare();
    subject.change(at(3, 103));
    subject.change(LogWrite::Append(commands(4, 104..=104)));
    subject.compare();
    subject.change(at(5, 2));
    subject.compare();
}

fn a_purge_drops_the_beginning_and_keeps_the_rest<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.change(LogWrite::Append([configuration(1, 1, 1..=3)].into_iter().collect()));
    subject.change(LogWrite::Append(commands(1, 2..=10)));
    subject.change(LogWrite::Append(commands(2, 11..=20)));
    for through in [1, 4, 10, 15, 3, 20] {
        subject.change(LogWrite::Purge { through: LogIndex::new(through) });
        subject.compare();
    }
    let recovered = subject.log().recover(GROUP.into()).expect("a log that was just written can be recovered");
    assert_eq!(recovered.log.base(), LogPosition::new(Term::new(2), LogIndex::new(20)));
    assert_eq!(recovered.log.configuration().voters.len(), 3, "the configuration outlives its entry");
    subject.change(LogWrite::Append(commands(2, 21..=22)));
    subject.compare();
}

fn a_hard_state_is_kept_and_the_last_one_counts<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.vote(GROUP, hard_state(1, Some(2)));
    subject.vote(GROUP, hard_state(2, None));
    let damaged = HardState { damage: Some(DamageId(u64::MAX)), ..hard_state(3, Some(1)) };
    subject.vote(GROUP, damaged);
    subject.vote(GROUP, HardState { damage: None, ..damaged });
    subject.vote(GROUP, HardState { damage: Some(DamageId(0)), vote: None, ..hard_state(4, None) });
    subject.change(LogWrite::Reset { to: LogPosition::new(Term::new(4), LogIndex::new(40)) });
    subject.compare();
    subject.vote(GROUP, hard_state(9, Some(u64::MAX)));
    subject.vote(1, hard_state(u64::MAX, None));
    subject.compare();
}

fn a_batch_takes_effect_in_order<L: LogStorage>(subject: &mut Subject<'_, L>) {
    let write = |state, log| GroupWrite { group: GROUP.into(), hard_state: state, log: Some(log) };
    subject.write(&[]);
    subject.write(&[
        write(Some(hard_state(1, Some(1))), LogWrite::Append(commands(1, 1..=9))),
        write(None, LogWrite::Replace(commands(2, 5..=6))),
        write(Some(hard_state(2, None)), LogWrite::Append(commands(2, 7..=8))),
        write(None, LogWrite::Purge { through: LogIndex::new(3) }),
        write(Some(hard_state(3, Some(3))), LogWrite::Replace(commands(3, 8..=8))),
    ]);
    subject.compare();
    subject.write(&[
        write(None, LogWrite::Reset { to: LogPosition::new(Term::new(3), LogIndex::new(50)) }),
        write(None, LogWrite::Append(commands(4, 51..=52))),
    ]);
    subject.compare();
}

fn groups_do_not_see_each_other<L: LogStorage>(subject: &mut Subject<'_, L>) {
    let append = |group: u64, term, range| GroupWrite {
        group: group.into(),
        hard_state: Some(hard_state(term, Some(group))),
        log: Some(LogWrite::Append(commands(term, range))),
    };
    let writes: Vec<_> = (0..40).map(|group| append(group * 3, group + 1, 1..=5)).collect();
    subject.write(&writes);
    subject.write(&[append(u64::MAX, 4, 1..=5), append(0, 4, 6..=9)]);
    let replace = LogWrite::Replace(commands(50, 2..=2));
    subject.write(&[GroupWrite { group: 3.into(), hard_state: None, log: Some(replace) }]);
    subject.compare();
    let reader = subject.log().reader();
    let none = reader.read(1.into(), LogIndex::new(1), LogIndex::new(9), u64::MAX).expect("a read succeeds");
    assert!(none.is_empty(), "a group without a log has no entries");
}

fn a_group_that_was_destroyed_is_remembered_as_such<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.change(LogWrite::Append(commands(1, 1..=5)));
    let other = GroupWrite { group: 8.into(), hard_state: None, log: Some(LogWrite::Append(commands(1, 1..=2))) };
    subject.write(&[GroupWrite::tombstone(GROUP.into()), other]);
    subject.compare();
    let mut is_destroyed = |group: u64| subject.log().recover(group.into()).expect("it can be read").is_destroyed();
    assert!(is_destroyed(GROUP) && !is_destroyed(8) && !is_destroyed(9));
}

fn a_reader_works_while_the_owner_writes<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.change(LogWrite::Append(commands(1, 1..=50)));
    let reader = subject.log().reader();
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let thread = std::thread::spawn(move || {
        while !is_done.load(Ordering::Acquire) {
            let read = reader.read(GROUP.into(), LogIndex::new(1), LogIndex::new(50), u64::MAX);
            assert_eq!(read.expect("a read succeeds"), commands(1, 1..=50));
        }
    });
    for step in 0..50 {
        let first = 51 + step * 10;
        subject.change(LogWrite::Append(commands(1, first..=first + 9)));
    }
    done.store(true, Ordering::Release);
    thread.join().expect("the reading thread saw what was written");
    subject.compare();
}

fn idle_work_comes_to_an_end_and_changes_nothing<L: LogStorage>(subject: &mut Subject<'_, L>) {
    subject.change(LogWrite::Append(commands(1, 1..=3)));
    let calls = (0..1_000_000).take_while(|_| subject.log().idle().expect("idle work succeeds")).count();
    assert!(calls < 1_000_000, "idle work never ends");
    subject.compare();
    subject.change(LogWrite::Append(commands(1, 4..=4)));
    subject.compare();
}

fn random_writes_agree_with_the_model<L: LogStorage>(subject: &mut Subject<'_, L>) {
    let mut choices = Choices(0x5eed);
    for _ in 0..30 {
        for _ in 0..choices.below(12) {
            // Each write of a batch is chosen on top of the ones before it.
            let mut after = subject.model.clone();
            let writes: Vec<_> = (0..choices.below(4))
                .map(|_| {
                    let write = random_write(&after, &mut |n| choices.below(n));
                    after.write(std::slice::from_ref(&write));
                    write
                })
                .collect();
            subject.write(&writes);
        }
        subject.compare();
    }
}

/// A write that is allowed in the state `model`; `below(n)` chooses a number in `0..n`.
pub(crate) fn random_write(model: &Model, below: &mut dyn FnMut(u64) -> u64) -> GroupWrite {
    let group = below(3).into();
    let (base, last) = model.bounds(group);
    let (base_index, last_index) = (base.index.get(), last.index.get());
    let term = last.term.get() + below(2);
    let log = match below(10) {
        0 => None,
        1 => Some(LogWrite::Purge { through: LogIndex::new(below(last_index + 1)) }),
        2 => {
            let to = LogPosition::new(Term::new(term), LogIndex::new(base_index + below(30)));
            Some(LogWrite::Reset { to })
        }
        3 | 4 if last_index > base_index => {
            let first = base_index + 1 + below(last_index - base_index);
            Some(LogWrite::Replace(random_entries(term + 1, first, below)))
        }
        _ => Some(LogWrite::Append(random_entries(term, last_index + 1, below))),
    };
    let hard_state = (log.is_none() || below(4) == 0).then(|| hard_state(term, Some(below(5))));
    GroupWrite { group, hard_state, log }
}

fn random_entries(term: u64, first: u64, below: &mut dyn FnMut(u64) -> u64) -> Entries {
    let last = first + below(8);
    if below(6) == 0 {
        let mut entries: Entries = [configuration(term, first, 1..=1 + below(5))].into_iter().collect();
        entries.append(commands(term, first + 1..=last));
        return entries;
    }
    commands(term, first..=last)
}

/// A small generator (splitmix64), so that the suite needs nothing and repeats itself exactly.
struct Choices(u64);

impl Choices {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n.max(1)
    }
}
