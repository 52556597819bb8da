use proptest::prelude::*;

use super::*;
use crate::LogIndex;

fn quorum(voters: &[u64], voters_outgoing: &[u64]) -> Quorum {
    Quorum::of(&Configuration {
        voters: voters.iter().copied().map(NodeId::from).collect(),
        voters_outgoing: voters_outgoing.iter().copied().map(NodeId::from).collect(),
        ..Configuration::default()
    })
}

/// The second opinion: try every candidate value and count who reached it.
fn reached_by_counting(set: &[u64], values: &[u64]) -> u64 {
    let mut candidates = values.to_vec();
    candidates.sort_unstable();
    let holds = |value: &u64| set.iter().filter(|id| value_of(values, **id) >= *value).count() * 2 > set.len();
    candidates.into_iter().rev().find(holds).unwrap_or(0)
}

fn value_of(values: &[u64], id: u64) -> u64 {
    values[usize::try_from(id).expect("small")]
}

/// 1–9 voters out of ten servers.
fn voters() -> impl Strategy<Value = Vec<u64>> {
    proptest::sample::subsequence((0..10_u64).collect::<Vec<_>>(), 1..=9)
}

proptest! {
    #[test]
    fn reached_agrees_with_a_plain_count(set in voters(), values in proptest::collection::vec(0..6_u64, 10)) {
        let reached = quorum(&set, &[]).reached(|id| LogIndex::new(value_of(&values, id.get())));
        prop_assert_eq!(reached, Some(LogIndex::new(reached_by_counting(&set, &values))));
    }

    #[test]
    fn joint_sets_both_have_to_reach_a_value(
        new in voters(), old in voters(), values in proptest::collection::vec(0..6_u64, 10)
    ) {
        let reached = quorum(&new, &old).reached(|id| value_of(&values, id.get()));
        let expected = reached_by_counting(&new, &values).min(reached_by_counting(&old, &values));
        prop_assert_eq!(reached, Some(expected));
    }

    #[test]
    fn votes_agree_with_a_plain_count(
        new in voters(), old in proptest::option::of(voters()), votes in proptest::collection::vec(0..3_u8, 10)
    ) {
        let vote = |id: u64| match votes[usize::try_from(id).expect("small")] { 0 => None, 1 => Some(true), _ => Some(false) };
        let old = old.unwrap_or_default();
        let sets: Vec<&Vec<u64>> = [&new, &old].into_iter().filter(|set| !set.is_empty()).collect();
        let count = |set: &[u64], wanted: Option<bool>| set.iter().filter(|id| vote(**id) == wanted).count();
        let expected = if sets.iter().all(|set| count(set, Some(true)) * 2 > set.len()) {
            VoteResult::Won
        } else if sets.iter().all(|set| (count(set, Some(true)) + count(set, None)) * 2 > set.len()) {
            VoteResult::Pending
        } else {
            VoteResult::Lost
        };
        prop_assert_eq!(quorum(&new, &old).vote_result(|id| vote(id.get())), expected);
    }
}

#[test]
fn large_sets_are_counted_as_small_ones_are() {
    let set: Vec<u64> = (0..33).collect();
    assert_eq!(quorum(&set, &[]).reached(NodeId::get), Some(16), "17 of 33 have 16 or more");
}

#[test]
fn without_voters_nothing_is_reached_and_every_vote_is_lost() {
    let nobody = quorum(&[], &[]);
    assert_eq!(nobody.reached(NodeId::get), None);
    assert_eq!(nobody.vote_result(|_| Some(true)), VoteResult::Lost);
    assert!(!nobody.is_only(NodeId::from(1)));
}

#[test]
fn a_voter_of_both_sets_is_listed_once() {
    let listed: Vec<u64> = quorum(&[1, 2], &[2, 3]).voters().map(NodeId::get).collect();
    assert_eq!(listed, [1, 2, 3]);
}
