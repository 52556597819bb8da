//! A second opinion: all orders of a few operations, tried one by one with no cleverness at all.

use super::*;

/// A handful of operations with answers that are right by chance, now and then.
pub(super) fn small_history(rng: &mut StdRng) -> Vec<Operation> {
    let mut index = 0;
    let indexed = rng.random_bool(0.3);
    let mut operations: Vec<Operation> =
        (0..rng.random_range(1..=6)).map(|client| random(rng, client, &mut index)).collect();
    for operation in &mut operations {
        if let Outcome::Done(Answer::Changed { index, .. }) = &mut operation.outcome
            && !indexed
        {
            *index = None;
        }
    }
    operations.sort_by_key(|operation| operation.called_us);
    operations
}

fn random(rng: &mut StdRng, client: u64, last_index: &mut u64) -> Operation {
    let mut value = || rng.random_range(0..3u64);
    let (a, b, c) = (value(), value(), value());
    let maybe = |value: u64| value.checked_sub(1);
    let action = match rng.random_range(0..4) {
        0 => Action::Get,
        1 => Action::Put(a),
        2 => Action::Delete,
        _ => cas(maybe(b), a),
    };
    *last_index += rng.random_range(1..=2);
    let answer = match action {
        Action::Get => Answer::Found(maybe(c)),
        Action::Cas { expect, .. } if expect != maybe(c) => Answer::Mismatch { current: maybe(c) },
        Action::Put(_) | Action::Delete | Action::Cas { .. } => {
            Answer::Changed { index: Some(*last_index), previous: maybe(c) }
        }
    };
    let called = rng.random_range(0..30);
    match rng.random_range(0..10) {
        0..3 => unknown(client, called, action),
        3 => operation(client, called, called + 3, action, Outcome::Failed),
        _ => operation(client, called, called + rng.random_range(1..15), action, Outcome::Done(answer)),
    }
}

/// Whether some order of all that is done and some of what is unknown explains every answer.
pub(super) fn explains(history: &[Operation]) -> bool {
    let left: Vec<Operation> =
        history.iter().filter(|operation| operation.outcome != Outcome::Failed).copied().collect();
    go_on(&left, None, 0)
}

fn go_on(left: &[Operation], value: Option<Value>, last_index: u64) -> bool {
    if left.iter().all(|operation| operation.outcome == Outcome::Unknown) {
        return true;
    }
    (0..left.len()).any(|at| {
        let next = left[at];
        let after_another = left.iter().any(|other| match other.outcome {
            Outcome::Done(_) => other.returned_us.unwrap() < next.called_us,
            Outcome::Failed | Outcome::Unknown => false,
        });
        let mut rest = left.to_vec();
        rest.remove(at);
        let (answer, after) = apply(next.action, value);
        let (fits, index) = match (next.outcome, answer) {
            (Outcome::Done(Answer::Changed { index, previous }), Answer::Changed { previous: expected, .. }) => {
                (previous == expected && index.is_none_or(|index| index > last_index), index.unwrap_or(last_index))
            }
            (Outcome::Done(given), expected) => (given == expected, last_index),
            (Outcome::Failed | Outcome::Unknown, _) => (true, last_index),
        };
        !after_another && fits && go_on(&rest, after, index)
    })
}

/// What a register does and says.
pub(super) fn apply(action: Action, value: Option<Value>) -> (Answer, Option<Value>) {
    let changed = Answer::Changed { index: None, previous: value };
    match action {
        Action::Get => (Answer::Found(value), value),
        Action::Put(new) => (changed, Some(new)),
        Action::Delete => (changed, None),
        Action::Cas { expect, value: new } if expect == value => (changed, Some(new)),
        Action::Cas { .. } => (Answer::Mismatch { current: value }, value),
    }
}
