use proptest::prelude::*;

use super::*;
use crate::testing::{at, configuration, entries, id};

/// A log after a base of `base` entries in term 1, and the terms and sizes of what follows, as a plain list.
fn log_and_list(base: u64, steps: &[(u64, u8)]) -> (Log, Vec<(LogPosition, u64)>) {
    let base = if base == 0 { LogPosition::ZERO } else { at(1, base) };
    let mut log = Log::new(base, configuration([1]));
    let mut list = Vec::new();
    let mut before = base;
    for (term_step, payload_bytes) in steps {
        let position = LogPosition::new(Term::new(before.term.get() + term_step), before.index.next());
        let entry = Entry { position, payload: Payload::Command(vec![0; usize::from(*payload_bytes)].into()) };
        log.push(&entry);
        list.push((position, u64::from(entry.size_bytes())));
        before = position;
    }
    (log, list)
}

fn steps() -> impl Strategy<Value = Vec<(u64, u8)>> {
    proptest::collection::vec((prop_oneof![3 => Just(0_u64), 1 => 1..4_u64], any::<u8>()), 0..40)
}

proptest! {
    #[test]
    fn a_log_answers_as_a_plain_list_does(
        base in 0..5_u64, steps in steps(), cut in 0..45_u64, purge in 0..45_u64,
        probe in 0..50_u64, term in 0..20_u64, bytes_max in 0..3000_u64
    ) {
        let (mut log, mut list) = log_and_list(base, &steps);
        let through = LogIndex::new(cut.max(base));
        log.truncate_after(through);
        list.retain(|(position, _)| position.index <= through);
        let purge = LogIndex::new(purge).min(log.last().index);
        log.purge(purge);
        if let Some(gone) = list.iter().rposition(|(position, _)| position.index <= purge) {
            prop_assert_eq!(log.base(), list[gone].0);
            list.drain(..=gone);
        }
        let probe = LogIndex::new(probe);

        prop_assert_eq!(log.last(), list.last().map_or(log.base(), |(position, _)| *position));
        let found = list.iter().map(|(position, _)| *position).chain([log.base()]).find(|p| p.index == probe);
        prop_assert_eq!(log.term_at(probe), found.map(|position| position.term));

        let at_most = |p: &&(LogPosition, u64)| p.0.term <= Term::new(term) && p.0.index <= probe;
        let expected = list.iter().rfind(at_most).map_or(log.base(), |(position, _)| *position);
        prop_assert_eq!(log.last_index_at_most(Term::new(term), probe), expected);

        let after = probe.max(log.base().index);
        let mut end = None;
        for (position, bytes) in list.iter().filter(|(position, _)| position.index > after) {
            let sum = end.map_or(0, |(_, sum)| sum) + bytes;
            if end.is_some() && sum > bytes_max {
                break;
            }
            end = Some((position.index, sum));
        }
        prop_assert_eq!(log.batch_end(after, bytes_max), end);

        let within = |from: &LogIndex| list.iter().filter(|(p, _)| p.index > *from && p.index <= probe).map(|(_, b)| b).sum::<u64>();
        let mut starts = std::iter::successors(Some(log.base().index), |index| Some(index.next()));
        let start = starts.find(|from| within(from) <= bytes_max);
        prop_assert_eq!(Some(log.start_of_last(bytes_max, probe)), start);

        let all: u64 = list.iter().filter(|(position, _)| position.index > probe).map(|(_, bytes)| bytes).sum();
        prop_assert_eq!(log.bytes_between(probe, log.last().index), all);
    }
}

fn with_configurations() -> Log {
    let mut log = Log::new(LogPosition::ZERO, configuration([1, 2, 3]));
    log.append(&entries(1, &[1]));
    let payload = Payload::Configuration(Box::new(configuration([2, 3, 4])));
    log.push(&Entry { position: at(1, 2), payload });
    log.append(&entries(3, &[1]));
    log
}

#[test]
fn a_configuration_counts_when_appended_and_is_rolled_back_when_truncated() {
    let mut log = with_configurations();
    assert_eq!(log.configuration_entry(), (LogIndex::new(2), &configuration([2, 3, 4])));
    log.truncate_after(LogIndex::new(1));
    assert_eq!(log.configuration_entry(), (LogIndex::ZERO, &configuration([1, 2, 3])));
}

#[test]
fn a_member_removed_by_what_it_does_not_know_to_be_committed_may_still_be_a_voter() {
    let log = with_configurations();
    assert!(log.may_be_voter(id(1), LogIndex::new(1)), "the removal can be rolled back");
    assert!(!log.may_be_voter(id(1), LogIndex::new(2)), "the removal is committed");
    assert!(log.may_be_voter(id(4), LogIndex::new(1)), "an addition counts at once");
}

#[test]
#[should_panic(expected = "a log has no gaps")]
fn a_gap_is_our_own_mistake() {
    with_configurations().append(&entries(9, &[1]));
}

#[test]
fn purging_keeps_the_configuration_in_force_and_where_it_stands() {
    let mut log = with_configurations();
    log.append(&entries(4, &[1, 1]));
    log.purge(LogIndex::new(4));
    assert_eq!(log.base(), at(1, 4));
    assert_eq!(log.configured_at(), at(1, 2));
    assert_eq!(log.configuration_entry(), (LogIndex::new(2), &configuration([2, 3, 4])));
    assert!(log.may_be_voter(id(4), LogIndex::new(4)) && !log.may_be_voter(id(1), LogIndex::new(4)));
    let payload = Payload::Configuration(Box::new(configuration([5])));
    log.push(&Entry { position: at(2, 6), payload });
    log.truncate_after(LogIndex::new(5));
    assert_eq!(log.configuration(), &configuration([2, 3, 4]), "rolled back to what was purged");
    log.purge(LogIndex::new(2));
    assert_eq!(log.base(), at(1, 4), "what is purged already is not purged again");
}

#[test]
fn a_log_that_was_purged_equals_one_that_began_there() {
    let mut log = Log::new(LogPosition::ZERO, configuration([1]));
    log.append(&entries(1, &[1, 2, 2, 2, 3]));
    log.purge(LogIndex::new(3));
    let mut read = Log::new(at(2, 3), configuration([1]));
    read.append(&entries(4, &[2, 3]));
    let snapshot =
        SnapshotMeta { position: at(2, 4), configuration: configuration([1]), configured_at: LogPosition::ZERO };
    read.learn_configuration(&snapshot);
    assert_eq!(log, read);
}
