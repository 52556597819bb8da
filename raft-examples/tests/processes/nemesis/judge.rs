//! What must be true of what clients were told, and of what the nodes have in the end.

use std::collections::{BTreeMap, BTreeSet};

use raft_transport::sim::history::{Answer, Key, Operation, Outcome};
use raft_transport::sim::linearizable;

use super::load::name;
use crate::client::{Client, eventually};

/// Linearizable, key by key; and over all keys one order of the writes, which is that of the log.
#[track_caller]
pub(super) fn what_clients_were_told(operations: &[Operation]) {
    if let Err(refused) = linearizable::check(operations) {
        panic!("{refused}");
    }
    log_order_is_true_to_time(operations);
    let longest = operations.iter().fold(BTreeMap::<Key, usize>::new(), |mut keys, operation| {
        *keys.entry(operation.key).or_default() += 1;
        keys
    });
    let at_most = longest.values().max().copied().unwrap_or_default();
    println!("{} operations on {} keys, at most {at_most} on one: linearizable", operations.len(), longest.len());
}

/// No two writes have one place in the log, and who asks after another was answered comes behind it.
#[track_caller]
fn log_order_is_true_to_time(operations: &[Operation]) {
    let mut writes: Vec<(&Operation, u64)> =
        operations.iter().filter_map(|operation| Some((operation, index_of(operation)?))).collect();
    let places: BTreeSet<u64> = writes.iter().map(|(_, index)| *index).collect();
    assert_eq!(places.len(), writes.len(), "two writes were acknowledged with one index");
    writes.sort_by_key(|(write, _)| write.called_us);
    let mut answered = writes.clone();
    answered.sort_by_key(|(write, _)| write.returned_us);
    let mut answered = answered.into_iter().peekable();
    let mut last: Option<(&Operation, u64)> = None;
    for (write, index) in writes {
        while let Some(before) = answered.next_if(|(before, _)| before.returned_us < Some(write.called_us)) {
            last = last.filter(|last| last.1 > before.1).or(Some(before));
        }
        if let Some((before, before_index)) = last {
            assert!(before_index < index, "answered first, but placed behind:\n  {before}\n  {write}");
        }
    }
}

fn index_of(operation: &Operation) -> Option<u64> {
    match operation.outcome {
        Outcome::Done(Answer::Changed { index, .. }) => index,
        Outcome::Done(Answer::Found(_) | Answer::Mismatch { .. }) | Outcome::Failed | Outcome::Unknown => None,
    }
}

/// All nodes have applied all, and the same.
#[track_caller]
pub(super) fn all_nodes_have_the_same(nodes: &[Client], operations: &[Operation]) {
    eventually("all nodes have applied everything", || {
        let mut places = BTreeSet::new();
        for node in nodes {
            let status = node.status().ok()?;
            places.insert(status["last_applied"].as_u64());
            places.insert(status["last_log_index"].as_u64());
        }
        (places.len() == 1).then_some(())
    });
    let keys: BTreeSet<Key> = operations.iter().map(|operation| operation.key).collect();
    for key in keys {
        let found: BTreeSet<(u16, String)> = nodes
            .iter()
            .map(|node| {
                let answer = node.get_stale(&name(key)).expect("an answer");
                let value = if answer.status == 200 { answer.text } else { String::new() };
                (answer.status, value)
            })
            .collect();
        assert_eq!(found.len(), 1, "the nodes differ in {}: {found:?}", name(key));
    }
}

/// The judge has to notice what it is there for.
mod proof {
    use raft_transport::sim::history::{Action, History};

    use super::*;

    fn put(history: &mut History, value: u64, times: (u64, u64), index: u64) {
        let put = history.called(1, value, Action::Put(value), times.0);
        let told = Answer::Changed { index: Some(index), previous: None };
        history.returned(put, times.1, Outcome::Done(told));
    }

    #[test]
    #[should_panic(expected = "answered first, but placed behind")]
    fn writes_of_different_keys_out_of_order_are_noticed() {
        let mut history = History::default();
        put(&mut history, 1, (10, 20), 7);
        put(&mut history, 2, (15, 30), 5);
        put(&mut history, 3, (21, 25), 6);
        what_clients_were_told(history.operations());
    }

    #[test]
    #[should_panic(expected = "is not linearizable")]
    fn a_read_from_the_past_is_noticed() {
        let mut history = History::default();
        put(&mut history, 1, (10, 20), 7);
        let get = history.called(2, 1, Action::Get, 21);
        history.returned(get, 30, Outcome::Done(Answer::Found(None)));
        what_clients_were_told(history.operations());
    }

    #[test]
    fn writes_at_the_same_time_may_have_any_order() {
        let mut history = History::default();
        put(&mut history, 1, (10, 20), 7);
        put(&mut history, 2, (15, 30), 5);
        what_clients_were_told(history.operations());
    }
}
