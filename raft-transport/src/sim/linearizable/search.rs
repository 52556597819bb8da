//! Whether the operations on one key can be put into one order that explains every answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::sim::history::{Action, Answer, Operation, Outcome, Value};

/// What the search found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none.
    NotLinearizable,
    /// Not known after this many steps.
    Undecided,
}

/// Searches for an order of these operations, all on one key that is absent at first. What it takes is taken off the
/// steps that are left.
pub(super) fn decide(operations: &[Operation], steps_left: &mut u64) -> Verdict {
    match Search::new(operations) {
        Some(search) => search.run(steps_left),
        None => Verdict::NotLinearizable,
    }
}

/// An operation with an answer. Every answer tells what the key had before, so this is all there is to it.
#[derive(Debug, Clone, Copy)]
struct Step {
    called: u64,
    returned: u64,
    index: Option<u64>,
    requires: Option<Value>,
    leaves: Option<Value>,
}

impl Step {
    /// `None`: no state of the key explains this answer to this action.
    fn new(operation: &Operation, answer: Answer) -> Option<Self> {
        let returned = operation.returned_us.expect("an operation that has an answer has returned");
        assert!(operation.called_us <= returned, "returned before it was called: {operation}");
        let (requires, leaves, index) = match (operation.action, answer) {
            (Action::Get, Answer::Found(value)) => (value, value, None),
            (Action::Put(value), Answer::Changed { index, previous }) => (previous, Some(value), index),
            (Action::Delete, Answer::Changed { index, previous }) => (previous, None, index),
            (Action::Cas { expect, value }, Answer::Changed { index, previous }) if previous == expect => {
                (previous, Some(value), index)
            }
            (Action::Cas { expect, .. }, Answer::Mismatch { current }) if current != expect => (current, current, None),
            (Action::Get | Action::Cas { .. }, Answer::Changed { .. })
            | (Action::Put(_) | Action::Delete | Action::Cas { .. }, Answer::Found(_))
            | (Action::Get | Action::Put(_) | Action::Delete | Action::Cas { .. }, Answer::Mismatch { .. }) => {
                return None;
            }
        };
        Some(Self { called: operation.called_us, returned, index, requires, leaves })
    }

    fn changes_nothing(&self) -> bool {
        self.requires == self.leaves
    }
}

/// What an operation without an answer does, should it happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Set(Option<Value>),
    Swap { expect: Option<Value>, value: Value },
}

impl Effect {
    fn of(action: Action) -> Option<Self> {
        match action {
            Action::Get => None,
            Action::Put(value) => Some(Self::Set(Some(value))),
            Action::Delete => Some(Self::Set(None)),
            Action::Cas { expect, value } => Some(Self::Swap { expect, value }),
        }
    }

    const fn leaves(self) -> Option<Value> {
        match self {
            Self::Set(value) => value,
            Self::Swap { value, .. } => Some(value),
        }
    }
}

/// Unknown operations with one effect, by the time of their call. As each may happen arbitrarily late, whatever
/// explanation uses a later one can use an earlier one in its place: they are used in this order.
#[derive(Debug)]
struct Unknown {
    effect: Effect,
    called: Vec<u64>,
    used: usize,
}

/// Which of the unknown operations could be needed to explain an answer: those that leave a value that was seen, or
/// that one of them expects. An explanation remains one without the others, and without the swaps that found nothing
/// to do: whatever comes right after one of these either cannot tell, or would have told.
fn wanted(steps: &[Step], unknown: &BTreeMap<Effect, Vec<u64>>) -> BTreeSet<Option<Value>> {
    let mut wanted: BTreeSet<Option<Value>> = steps.iter().map(|step| step.requires).collect();
    loop {
        let before = wanted.len();
        for effect in unknown.keys() {
            if let Effect::Swap { expect, value } = *effect
                && wanted.contains(&Some(value))
            {
                wanted.insert(expect);
            }
        }
        if wanted.len() == before {
            return wanted;
        }
    }
}

/// Whether somebody saw a value that nobody can have written. The search would find it out too, after every order.
fn phantoms(steps: &[Step], unknown: &BTreeMap<Effect, Vec<u64>>) -> bool {
    let changes = steps.iter().filter(|step| !step.changes_nothing()).map(|step| step.leaves);
    let written: BTreeSet<Option<Value>> = changes.chain(unknown.keys().map(|effect| effect.leaves())).collect();
    steps.iter().any(|step| step.requires.is_some() && !written.contains(&step.requires))
}

/// Which operations of a history could matter to an explanation: all with an answer, and the unknown ones of use.
pub(super) fn relevant(operations: &[Operation]) -> Vec<Operation> {
    let (steps, unknown) = sort_out(operations);
    let wanted = wanted(&steps.unwrap_or_default(), &unknown);
    let matters = |operation: &&Operation| match operation.outcome {
        Outcome::Done(_) => true,
        Outcome::Failed => false,
        Outcome::Unknown => Effect::of(operation.action).is_some_and(|effect| wanted.contains(&effect.leaves())),
    };
    operations.iter().filter(matters).copied().collect()
}

/// The steps, or `None` if one of them has an answer that nothing explains; the unknown effects with their calls.
fn sort_out(operations: &[Operation]) -> (Option<Vec<Step>>, BTreeMap<Effect, Vec<u64>>) {
    let mut steps = Some(Vec::new());
    let mut unknown: BTreeMap<Effect, Vec<u64>> = BTreeMap::new();
    for operation in operations {
        match operation.outcome {
            Outcome::Done(answer) => match (Step::new(operation, answer), &mut steps) {
                (Some(step), Some(steps)) => steps.push(step),
                (None, _) | (_, None) => steps = None,
            },
            Outcome::Failed => {}
            Outcome::Unknown => {
                if let Some(effect) = Effect::of(operation.action) {
                    unknown.entry(effect).or_default().push(operation.called_us);
                }
            }
        }
    }
    (steps, unknown)
}

#[derive(Debug, Clone, Copy)]
enum Move {
    /// Puts this step next.
    Take(usize),
    /// Lets the next of these unknown operations happen.
    Use(usize),
}

/// What it takes to undo a move.
struct Made {
    made: Move,
    value: Option<Value>,
    dangling: bool,
}

/// A place to come back to: how many moves led there, and which are still to be tried.
struct Fork {
    trail: usize,
    moves: Vec<Move>,
}

/// Depth first over the orders, never twice through the same set of operations with the same state (Lowe).
struct Search {
    /// By the time of their call.
    steps: Vec<Step>,
    taken: Vec<bool>,
    /// All steps before this one are taken.
    low: usize,
    taken_count: usize,
    /// The steps whose place in the log is known, in that order, and how many of them are taken.
    by_index: Vec<usize>,
    indexed_taken: usize,
    unknown: Vec<Unknown>,
    /// What the key has.
    value: Option<Value>,
    /// The last move was an unknown operation: somebody must need what it left, else it could have been left out.
    dangling: bool,
    /// Identifies the operations that are placed: the exclusive or of their marks.
    placed: u128,
    trail: Vec<Made>,
}

impl Search {
    fn new(operations: &[Operation]) -> Option<Self> {
        let (steps, mut unknown) = sort_out(operations);
        let mut steps = steps?;
        steps.sort_by_key(|step| (step.called, step.returned));
        let mut by_index: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].index.is_some()).collect();
        by_index.sort_by_key(|at| steps[*at].index);
        if by_index.windows(2).any(|pair| steps[pair[0]].index == steps[pair[1]].index) {
            return None; // Two commands in one place of the log.
        }
        let wanted = wanted(&steps, &unknown);
        unknown.retain(|effect, _| wanted.contains(&effect.leaves()));
        if phantoms(&steps, &unknown) {
            return None;
        }
        let in_order = |(effect, mut called): (Effect, Vec<u64>)| {
            called.sort_unstable();
            Unknown { effect, called, used: 0 }
        };
        Some(Self {
            taken: vec![false; steps.len()],
            low: 0,
            taken_count: 0,
            by_index,
            indexed_taken: 0,
            unknown: unknown.into_iter().map(in_order).collect(),
            value: None,
            dangling: false,
            placed: 0,
            trail: Vec::new(),
            steps,
        })
    }

    fn run(mut self, steps_left: &mut u64) -> Verdict {
        let mut seen = BTreeSet::new();
        let mut forks: Vec<Fork> = Vec::new();
        while *steps_left > 0 {
            *steps_left -= 1;
            self.take_what_changes_nothing();
            if self.taken_count == self.steps.len() {
                return Verdict::Linearizable;
            }
            let moves = if seen.insert(self.situation()) { self.moves() } else { Vec::new() };
            forks.push(Fork { trail: self.trail.len(), moves });
            loop {
                let Some(fork) = forks.last_mut() else { return Verdict::NotLinearizable };
                let (trail, next) = (fork.trail, fork.moves.pop());
                self.undo_to(trail);
                match next {
                    Some(next) => break self.make(next),
                    None => forks.pop(),
                };
            }
        }
        Verdict::Undecided
    }

    /// Two situations with the same number offer the same moves. 128 bits: the chance that two different ones share
    /// it, and a good history is refused for it, is below 2^-80 for any search that ends.
    fn situation(&self) -> u128 {
        let value = self.value.map_or(0, |value| mark(0, value));
        self.placed ^ value ^ u128::from(self.dangling)
    }

    /// A read that fits now may as well be now: it is in nobody's way.
    fn take_what_changes_nothing(&mut self) {
        loop {
            let fits = |at: &usize| {
                let step = &self.steps[*at];
                step.requires == self.value && step.changes_nothing() && self.is_next_in_log(*at)
            };
            let Some(at) = self.next_steps().find(fits) else { return };
            self.make(Move::Take(at));
        }
    }

    /// The steps that may come next: not taken, and called before any other that is not taken had returned.
    fn next_steps(&self) -> impl Iterator<Item = usize> {
        // In the order of the calls, the earliest return among those behind comes too late to matter for those before.
        let mut earliest_return = u64::MAX;
        (self.low..self.steps.len()).filter(|at| !self.taken[*at]).take_while(move |at| {
            let step = &self.steps[*at];
            let possible = step.called <= earliest_return;
            earliest_return = earliest_return.min(step.returned);
            possible
        })
    }

    /// Whether no earlier place in the log is still to come.
    fn is_next_in_log(&self, at: usize) -> bool {
        self.steps[at].index.is_none() || self.by_index[self.indexed_taken] == at
    }

    /// What to try from here, the most promising last.
    fn moves(&self) -> Vec<Move> {
        let next: Vec<usize> = self.next_steps().filter(|at| self.is_next_in_log(*at)).collect();
        let now = self.next_steps().map(|at| self.steps[at].returned).min().unwrap_or(u64::MAX);
        let can_happen = |unknown: &Unknown| unknown.called.get(unknown.used).is_some_and(|called| *called <= now);
        // Somebody must need what an unknown operation leaves: an answer that may come next, or another one like it.
        let mut needed: BTreeSet<Option<Value>> = next.iter().map(|at| self.steps[*at].requires).collect();
        for unknown in self.unknown.iter().filter(|unknown| can_happen(unknown)) {
            if let Effect::Swap { expect, .. } = unknown.effect {
                needed.insert(expect);
            }
        }
        let useful = |unknown: &Unknown| {
            let follows = match unknown.effect {
                Effect::Set(_) => !self.dangling,
                Effect::Swap { expect, .. } => expect == self.value,
            };
            let leaves = unknown.effect.leaves();
            follows && leaves != self.value && needed.contains(&leaves) && can_happen(unknown)
        };
        let groups = (0..self.unknown.len()).filter(|group| useful(&self.unknown[*group]));
        let mut moves: Vec<Move> = groups.map(Move::Use).collect();
        let mut fitting: Vec<usize> = next.into_iter().filter(|at| self.steps[*at].requires == self.value).collect();
        fitting.sort_by_key(|at| Reverse(self.steps[*at].returned));
        moves.extend(fitting.into_iter().map(Move::Take));
        moves
    }

    fn make(&mut self, made: Move) {
        self.trail.push(Made { made, value: self.value, dangling: self.dangling });
        match made {
            Move::Take(at) => {
                self.taken[at] = true;
                self.taken_count += 1;
                self.indexed_taken += usize::from(self.steps[at].index.is_some());
                self.placed ^= mark(1, at as u64);
                self.value = self.steps[at].leaves;
                self.dangling = false;
                while self.taken.get(self.low) == Some(&true) {
                    self.low += 1;
                }
            }
            Move::Use(group) => {
                self.placed ^= mark(2 + group as u64, self.unknown[group].used as u64);
                self.unknown[group].used += 1;
                self.value = self.unknown[group].effect.leaves();
                self.dangling = true;
            }
        }
    }

    fn undo_to(&mut self, trail: usize) {
        while self.trail.len() > trail {
            let Made { made, value, dangling } = self.trail.pop().expect("it is longer than that");
            match made {
                Move::Take(at) => {
                    self.taken[at] = false;
                    self.taken_count -= 1;
                    self.indexed_taken -= usize::from(self.steps[at].index.is_some());
                    self.placed ^= mark(1, at as u64);
                    self.low = self.low.min(at);
                }
                Move::Use(group) => {
                    self.unknown[group].used -= 1;
                    self.placed ^= mark(2 + group as u64, self.unknown[group].used as u64);
                }
            }
            self.value = value;
            self.dangling = dangling;
        }
    }
}

/// A number that looks random and belongs to this pair.
fn mark(kind: u64, number: u64) -> u128 {
    let low = mix(mix(kind.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ number);
    let high = mix(mix(kind.wrapping_add(0xd1b5_4a32_d192_ed03)).wrapping_add(number));
    (u128::from(high) << 64) | u128::from(low)
}

/// The finishing function of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
