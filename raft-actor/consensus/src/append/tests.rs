use super::*;
use crate::testing::{at, entries, noop};
use crate::*;

/// A log of these terms from index 1 on.
fn log(terms: &[u64]) -> Log {
    let mut log = Log::new(LogPosition::ZERO, Configuration::default());
    log.append(&entries(1, terms));
    log
}

fn message(term: u64, prev: LogPosition, entries: Entries) -> AppendEntries {
    AppendEntries {
        term: Term::new(term),
        prev,
        entries,
        commit: LogIndex::ZERO,
        round: Round::new(1),
        rest: false,
        repair: None,
    }
}

fn accepted(change: Change, verified: u64) -> Fit {
    Fit::Accepted { change, verified: LogIndex::new(verified) }
}

const NONE: LogIndex = LogIndex::ZERO;

#[test]
fn entries_follow_on_without_gaps_or_falling_terms() {
    let check = |prev, list: Entries| is_well_formed(&message(3, prev, list));
    assert!(check(at(1, 4), entries(5, &[1, 2, 3])));
    assert!(check(at(0, 0), Entries::new()));
    assert!(!check(at(1, 4), entries(6, &[1])), "a gap");
    assert!(!check(at(1, 4), entries(4, &[1])), "an overlap with prev");
    assert!(!check(at(1, 4), [noop(1, 5), noop(1, 7)].into_iter().collect()), "a gap inside");
    assert!(!check(at(2, 4), entries(5, &[1])), "a term below prev's");
    assert!(!check(at(1, 4), entries(5, &[2, 1])), "a falling term");
    assert!(!check(at(1, 4), entries(5, &[4])), "a term above the leader's own");
    assert!(!check(at(4, 4), Entries::new()), "a prev above the leader's own term");
    assert!(!check(at(1, 0), Entries::new()), "a term before the first entry");
    assert!(
        !check(at(1, u64::MAX), [noop(1, u64::MAX)].into_iter().collect()),
        "nothing follows the last of all indexes"
    );
}

#[test]
fn what_follows_on_is_appended() {
    let new = entries(4, &[2, 2]);
    assert_eq!(fit(&log(&[1, 1, 2]), NONE, at(2, 3), new.clone()), accepted(Change::Append(new), 5));
}

#[test]
fn a_missing_prev_is_refused_with_our_last_entry_as_a_hint() {
    assert_eq!(fit(&log(&[1, 1]), NONE, at(1, 9), Entries::new()), Fit::Refused { hint: at(1, 2) });
}

#[test]
fn a_hint_skips_every_entry_of_a_term_later_than_prevs() {
    let fits = fit(&log(&[1, 1, 1, 2, 2, 2, 3, 3, 3]), NONE, at(1, 8), Entries::new());
    assert_eq!(fits, Fit::Refused { hint: at(1, 3) });
}

#[test]
fn entries_are_removed_only_on_a_real_conflict() {
    let ours = log(&[1, 1, 2, 2]);
    assert_eq!(fit(&ours, NONE, at(1, 1), entries(2, &[1])), accepted(Change::Nothing, 2), "late and shorter");
    assert_eq!(fit(&ours, NONE, at(0, 0), entries(1, &[1, 1, 2, 2])), accepted(Change::Nothing, 4), "a duplicate");
    assert_eq!(fit(&ours, NONE, at(2, 3), Entries::new()), accepted(Change::Nothing, 3), "a heartbeat");
}

#[test]
fn a_conflict_replaces_from_the_first_entry_that_differs() {
    let fits = fit(&log(&[1, 1, 2, 2]), LogIndex::new(2), at(1, 1), entries(2, &[1, 3, 3, 3]));
    assert_eq!(fits, accepted(Change::Replace(entries(3, &[3, 3, 3])), 5));
}

#[test]
fn of_an_overlap_only_the_rest_is_appended() {
    let fits = fit(&log(&[1, 1]), NONE, at(1, 1), entries(2, &[1, 1, 2]));
    assert_eq!(fits, accepted(Change::Append(entries(3, &[1, 2])), 4));
}

#[test]
fn nothing_committed_is_ever_replaced() {
    let ours = log(&[1, 1, 2, 2]);
    let commit = LogIndex::new(3);
    assert_eq!(fit(&ours, commit, at(1, 2), entries(3, &[3])), Fit::ConflictsWithCommitted);
    assert_eq!(fit(&ours, commit, at(3, 3), Entries::new()), Fit::ConflictsWithCommitted);
    assert_eq!(fit(&ours, commit, at(2, 3), entries(4, &[3])), accepted(Change::Replace(entries(4, &[3])), 4));
}

#[test]
fn what_a_snapshot_covers_counts_as_matching() {
    let mut ours = Log::new(at(2, 5), Configuration::default());
    ours.append(&entries(6, &[2]));
    let base = LogIndex::new(5);
    assert_eq!(fit(&ours, base, at(1, 1), entries(2, &[1, 1])), accepted(Change::Nothing, 3));
    let across = entries(4, &[2, 2, 2, 3]);
    assert_eq!(fit(&ours, base, at(1, 3), across), accepted(Change::Append(entries(7, &[3])), 7));
    let wrong_base = entries(4, &[1, 1, 3]);
    assert_eq!(fit(&ours, base, at(1, 3), wrong_base), Fit::ConflictsWithCommitted);
}
