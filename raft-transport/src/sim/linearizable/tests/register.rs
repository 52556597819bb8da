//! A real register, used by clients whose operations overlap and whose answers get lost.

use super::*;

/// What the clients do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mix {
    pub(super) operations: usize,
    pub(super) clients: u64,
    pub(super) unknown_percent: u32,
    /// Of how many values the writes choose; `None`: every write has its own.
    pub(super) values: Option<u64>,
}

impl Mix {
    pub(super) const EASY: Self = Self { operations: 60, clients: 4, unknown_percent: 5, values: None };
    pub(super) const HARD: Self = Self { operations: 200, clients: 8, unknown_percent: 30, values: None };
}

/// Every operation takes effect at an instant between its call and its return; an unknown one may do so any time
/// later, or never.
pub(super) fn history(rng: &mut StdRng, mix: Mix) -> Vec<Operation> {
    let mut planned: Vec<(u64, Operation)> = Vec::new();
    let mut idle_from = vec![0u64; mix.clients as usize];
    for number in 0..mix.operations as u64 {
        let client = (0..mix.clients).min_by_key(|client| idle_from[*client as usize]).unwrap();
        let called = idle_from[client as usize] + rng.random_range(0..50);
        let returned = called + rng.random_range(1..400);
        idle_from[client as usize] = returned + 1;
        let mut value = || mix.values.map_or(number, |values| rng.random_range(0..values));
        let (new, other) = (value(), value());
        let action = match rng.random_range(0..10) {
            0..4 => Action::Get,
            4..7 => Action::Put(new),
            7 => Action::Delete,
            // With values of their own, clients guess what the register may have.
            _ => cas(other.checked_sub(rng.random_range(0..4)), new),
        };
        let is_unknown = rng.random_range(0..100) < mix.unknown_percent;
        let instant = match (is_unknown, rng.random_range(0..4)) {
            (false, _) | (true, 0) => rng.random_range(called..=returned),
            (true, 1) => returned + rng.random_range(0..20_000),
            (true, _) => u64::MAX,
        };
        let outcome = if is_unknown { Outcome::Unknown } else { Outcome::Failed };
        planned.push((instant, operation(client, called, returned, action, outcome)));
    }
    planned.sort_by_key(|(instant, _)| *instant);
    let mut value = None;
    for (instant, operation) in &mut planned {
        if *instant == u64::MAX {
            break;
        }
        let (answer, after) = every_order::apply(operation.action, value);
        value = after;
        if operation.outcome != Outcome::Unknown {
            operation.outcome = Outcome::Done(answer);
        }
    }
    let mut operations: Vec<Operation> = planned.into_iter().map(|(_, operation)| operation).collect();
    operations.sort_by_key(|operation| operation.called_us);
    operations
}
