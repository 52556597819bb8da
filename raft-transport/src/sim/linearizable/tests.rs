use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::sim::history::{Action, Answer, Value};

mod every_order;
mod register;

use register::Mix;

fn operation(client: u64, called: u64, returned: u64, action: Action, outcome: Outcome) -> Operation {
    Operation { client, key: 1, action, called_us: called, returned_us: Some(returned), outcome }
}

fn get(client: u64, called: u64, returned: u64, found: Option<Value>) -> Operation {
    operation(client, called, returned, Action::Get, Outcome::Done(Answer::Found(found)))
}

fn put(client: u64, called: u64, returned: u64, value: Value, previous: Option<Value>) -> Operation {
    let answer = Answer::Changed { index: None, previous };
    operation(client, called, returned, Action::Put(value), Outcome::Done(answer))
}

fn put_at(index: u64, called: u64, returned: u64, value: Value, previous: Option<Value>) -> Operation {
    let answer = Answer::Changed { index: Some(index), previous };
    operation(index, called, returned, Action::Put(value), Outcome::Done(answer))
}

fn unknown(client: u64, called: u64, action: Action) -> Operation {
    Operation { client, key: 1, action, called_us: called, returned_us: None, outcome: Outcome::Unknown }
}

fn cas(expect: Option<Value>, value: Value) -> Action {
    Action::Cas { expect, value }
}

#[track_caller]
fn accepted(history: &[Operation]) {
    if let Err(refused) = check(history) {
        panic!("refused, but should not have been:\n{refused}");
    }
}

/// Gives the operations that the counterexample names.
#[track_caller]
fn refused(history: &[Operation]) -> Vec<Operation> {
    match check(history) {
        Err(Refused::NotLinearizable(Counterexample { operations, .. })) => operations,
        other => panic!("{other:?} for\n{history:#?}"),
    }
}

#[test]
fn a_lost_write_is_refused() {
    refused(&[put(1, 10, 20, 5, None), get(2, 30, 40, None)]);
}

#[test]
fn a_stale_read_is_refused() {
    let history = [put(1, 10, 20, 5, None), put(1, 30, 40, 6, Some(5)), get(2, 50, 60, Some(5))];
    refused(&history);
}

#[test]
fn a_read_that_overlaps_a_write_may_find_either_value() {
    accepted(&[put(1, 10, 20, 5, None), put(1, 30, 60, 6, Some(5)), get(2, 40, 50, Some(5)), get(3, 40, 50, Some(6))]);
}

#[test]
fn reads_that_go_back_are_refused_even_while_the_write_is_running() {
    refused(&[put(1, 10, 100, 5, None), get(2, 20, 30, Some(5)), get(3, 40, 50, None)]);
}

#[test]
fn a_phantom_value_is_refused() {
    let history = [put(1, 10, 20, 5, None), get(2, 30, 40, Some(99))];
    assert_eq!(refused(&history), [history[1]]);
}

#[test]
fn a_value_that_certainly_was_not_written_is_a_phantom() {
    let failed = operation(1, 10, 20, Action::Put(5), Outcome::Failed);
    accepted(&[failed, get(2, 30, 40, None)]);
    refused(&[failed, get(2, 30, 40, Some(5))]);
}

#[test]
fn an_unknown_write_may_happen_late_or_never() {
    let write = unknown(1, 10, Action::Put(5));
    accepted(&[write, get(2, 30, 40, None), get(2, 50, 60, Some(5)), put(3, 70, 80, 6, Some(5))]);
    accepted(&[write, get(2, 30, 40, None), put(3, 70, 80, 6, None)]);
    // A client that was told "timed out" knows no more than one that was told nothing.
    let told = operation(1, 10, 20, Action::Put(5), Outcome::Unknown);
    accepted(&[told, get(2, 30, 40, None), get(2, 50, 60, Some(5))]);
}

#[test]
fn an_unknown_write_that_happens_twice_is_refused() {
    let write = unknown(1, 10, Action::Put(5));
    let history = [write, get(2, 20, 30, Some(5)), put(2, 40, 50, 6, Some(5)), get(2, 60, 70, Some(5))];
    assert_eq!(refused(&history).len(), 4 - 1, "the first read does not matter");
}

#[test]
fn an_unknown_write_does_not_happen_before_it_was_called() {
    refused(&[get(2, 20, 30, Some(5)), unknown(1, 40, Action::Put(5))]);
}

#[test]
fn unknown_swaps_and_deletes_explain_what_only_they_can_have_done() {
    let first = put(1, 10, 20, 5, None);
    accepted(&[first, unknown(2, 30, cas(Some(5), 6)), unknown(3, 40, cas(Some(6), 7)), get(1, 50, 60, Some(7))]);
    refused(&[first, unknown(2, 30, cas(Some(4), 6)), get(1, 50, 60, Some(6))]);
    accepted(&[first, unknown(2, 30, Action::Delete), unknown(3, 40, cas(None, 7)), get(1, 50, 60, Some(7))]);
    refused(&[
        first,
        unknown(2, 30, Action::Delete),
        get(1, 50, 60, None),
        put(1, 70, 80, 5, None),
        get(1, 90, 95, None),
    ]);
}

#[test]
fn an_answer_that_no_state_explains_is_refused() {
    let mismatch = Outcome::Done(Answer::Mismatch { current: Some(5) });
    refused(&[put(1, 10, 20, 5, None), operation(2, 30, 40, cas(Some(5), 6), mismatch)]);
    let changed = Outcome::Done(Answer::Changed { index: None, previous: Some(4) });
    refused(&[put(1, 10, 20, 4, None), operation(2, 30, 40, cas(Some(5), 6), changed)]);
    refused(&[operation(2, 30, 40, Action::Get, changed)]);
}

#[test]
fn writes_take_effect_in_the_order_of_their_places_in_the_log() {
    accepted(&[put_at(3, 10, 50, 5, None), put_at(4, 20, 40, 6, Some(5))]);
    refused(&[put_at(4, 10, 50, 5, None), put_at(3, 20, 40, 6, Some(5))]);
    let delete = |at, index| {
        let answer = Answer::Changed { index: Some(index), previous: None };
        operation(index, at, at + 5, Action::Delete, Outcome::Done(answer))
    };
    accepted(&[delete(10, 3), delete(20, 4)]);
    refused(&[delete(10, 4), delete(20, 3)]);
    refused(&[delete(10, 4), delete(20, 4)]);
}

#[test]
fn keys_do_not_explain_each_other() {
    let other = Operation { key: 2, ..put(1, 10, 20, 5, None) };
    accepted(&[other, get(2, 30, 40, None)]);
    refused(&[other, get(2, 30, 40, Some(5))]);
}

#[test]
fn a_counterexample_names_only_what_matters_and_reads_like_a_story() {
    let mut history = vec![];
    for at in 0..20 {
        history.push(put(at, 100 * at, 100 * at + 50, at, at.checked_sub(1)));
        history.push(get(at, 100 * at + 60, 100 * at + 70, Some(at)));
    }
    history.push(unknown(30, 15, Action::Put(1_000)));
    history.push(get(31, 1_965, 1_990, Some(3)));
    history.push(get(32, 2_100, 2_200, Some(19)));
    let text = check(&history).unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
    assert!(text.starts_with("key 1 is not linearizable: no order of these 3 of 43 operations"), "{text}");
    assert_eq!(lines.first(), Some(&"client 3 [300 .. 350] put 3 -> unknown"), "{text}");
    assert_eq!(lines.last(), Some(&"client 31 [1965 .. 1990] get -> found 3"), "{text}");
}

#[test]
fn a_search_that_is_too_long_says_so() {
    let mut history: Vec<Operation> = (0..40).map(|value| unknown(value, value, Action::Put(value))).collect();
    history.extend((0..40).map(|value| get(100, 1_000 + value * 10, 1_001 + value * 10, Some(value))));
    accepted(&history);
    let undecided = check_within(&history, 20).unwrap_err();
    assert_eq!(undecided, Refused::Undecided { key: 1, operations: 80, steps_max: 20 });
}

#[test]
fn what_was_known_earlier_of_a_good_history_is_good_as_well() {
    let history = register::history(&mut StdRng::seed_from_u64(7), Mix { operations: 120, ..Mix::HARD });
    for end in (0..history.last().unwrap().called_us).step_by(97) {
        accepted(&until(&history, end));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_register_answered_is_accepted(seed: u64, hard: bool, unique: bool) {
        let mix = Mix { values: if unique { None } else { Some(4) }, ..if hard { Mix::HARD } else { Mix::EASY } };
        let history = register::history(&mut StdRng::seed_from_u64(seed), mix);
        prop_assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn an_older_value_after_a_newer_one_was_read_is_refused(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut history = register::history(&mut rng, Mix::HARD);
        let reads = history.iter().enumerate().filter_map(|(at, operation)| match operation.outcome {
            Outcome::Done(Answer::Found(found)) => Some((at, operation.called_us, operation.returned_us?, found)),
            _ => None,
        });
        let reads: Vec<_> = reads.collect();
        // Three reads, one after the other, that found a, b and c: let the last one find a again.
        let pick = |after: u64, not: &[Option<Value>], from: &[(usize, u64, u64, Option<Value>)]| {
            from.iter().find(|read| read.1 > after && read.3.is_some() && !not.contains(&read.3)).copied()
        };
        let Some(first) = pick(0, &[], &reads) else { return Ok(()) };
        let Some(second) = pick(first.2, &[first.3], &reads) else { return Ok(()) };
        let Some(third) = pick(second.2, &[], &reads) else { return Ok(()) };
        history[third.0].outcome = Outcome::Done(Answer::Found(first.3));
        prop_assert_eq!(decide(&history, &mut { STEPS_MAX }), Verdict::NotLinearizable);
    }

    #[test]
    fn a_value_that_nobody_wrote_is_refused(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut history = register::history(&mut rng, Mix::HARD);
        let at = rng.random_range(0..history.len());
        let answer = match history[at].outcome {
            Outcome::Done(Answer::Found(_)) => Answer::Found(Some(u64::MAX)),
            Outcome::Done(Answer::Changed { index, .. }) => Answer::Changed { index, previous: Some(u64::MAX) },
            Outcome::Done(Answer::Mismatch { .. }) => Answer::Mismatch { current: Some(u64::MAX) },
            Outcome::Failed | Outcome::Unknown => return Ok(()),
        };
        history[at].outcome = Outcome::Done(answer);
        prop_assert_eq!(decide(&history, &mut { STEPS_MAX }), Verdict::NotLinearizable);
    }

    #[test]
    fn an_acknowledged_write_that_everybody_forgot_is_refused(seed: u64) {
        // The register never saw the write, but its client was told that it is done.
        let mut rng = StdRng::seed_from_u64(seed);
        let mut history = register::history(&mut rng, Mix { unknown_percent: 0, ..Mix::HARD });
        let at = rng.random_range(0..history.len());
        let action = Action::Put(u64::MAX);
        let previous = match history[at].outcome {
            Outcome::Done(Answer::Found(value) | Answer::Mismatch { current: value }) => value,
            Outcome::Done(Answer::Changed { previous, .. }) => previous,
            Outcome::Failed | Outcome::Unknown => return Ok(()),
        };
        let answer = Answer::Changed { index: None, previous };
        history[at] = Operation { action, outcome: Outcome::Done(answer), ..history[at] };
        let end = history.iter().filter_map(|operation| operation.returned_us).max().unwrap();
        history.push(get(99, end + 1, end + 2, Some(u64::MAX - 1)));
        prop_assert_eq!(decide(&history, &mut { STEPS_MAX }), Verdict::NotLinearizable);
    }

    #[test]
    fn the_search_agrees_with_trying_every_order(seed: u64) {
        let history = every_order::small_history(&mut StdRng::seed_from_u64(seed));
        let expected = every_order::explains(&history);
        let verdict = decide(&history, &mut { STEPS_MAX });
        prop_assert_eq!(verdict == Verdict::Linearizable, expected, "{:?} of {:#?}", verdict, history);
        if !expected {
            // What the counterexample keeps has no explanation either.
            prop_assert!(!every_order::explains(&refused(&history)));
        }
    }
}
