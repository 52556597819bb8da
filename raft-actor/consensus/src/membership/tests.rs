use super::*;
use crate::testing::{configuration, id};

fn membership(voters: &[u64], learners: &[u64]) -> Membership {
    let ids = |ns: &[u64]| ns.iter().map(|n| id(*n)).collect::<BTreeSet<_>>();
    let (voters, learners) = (ids(voters), ids(learners));
    let addresses = voters.union(&learners).map(|id| (*id, format!("n{id}"))).collect();
    Membership { voters, learners, addresses }
}

fn enter(current: &Configuration, wanted: Membership) -> Result<Configuration, MembershipRefusal> {
    super::enter(current, wanted, |_| true)
}

#[test]
fn other_voters_are_reached_through_a_joint_configuration() {
    let joint = enter(&configuration([1, 2, 3]), membership(&[3, 4], &[5])).expect("a valid change");
    assert!(joint.is_joint());
    assert_eq!(joint.voters, [id(3), id(4)].into());
    assert_eq!(joint.voters_outgoing, [id(1), id(2), id(3)].into());
    assert_eq!(joint.members(), (1..=5).map(id).collect());
    assert_eq!(joint.addresses.keys().copied().collect::<BTreeSet<_>>(), joint.members());

    let last = leave(&joint).expect("a sound configuration");
    assert!(!last.is_joint());
    assert_eq!((&last.voters, &last.learners), (&joint.voters, &joint.learners));
    assert_eq!(last.addresses.keys().copied().collect::<BTreeSet<_>>(), [id(3), id(4), id(5)].into());
}

#[test]
fn learners_and_addresses_change_with_one_entry() {
    let current = configuration([1, 2, 3]);
    let with_learner = enter(&current, membership(&[1, 2, 3], &[4])).expect("a valid change");
    assert!(!with_learner.is_joint());
    assert_eq!(with_learner.learners, [id(4)].into());
    let mut moved = membership(&[1, 2, 3], &[]);
    moved.addresses = [(id(2), "elsewhere".to_owned())].into();
    let moved = enter(&current, moved).expect("a valid change");
    assert!(!moved.is_joint());
    assert_eq!((&*moved.addresses[&id(1)], &*moved.addresses[&id(2)]), ("n1", "elsewhere"));
}

#[test]
fn a_voter_that_becomes_a_learner_counts_among_the_old_voters_until_the_end() {
    let joint = enter(&configuration([1, 2, 3]), membership(&[1, 2], &[3])).expect("a valid change");
    assert!(joint.is_voter(id(3)) && joint.learners.contains(&id(3)));
    let last = leave(&joint).expect("a sound configuration");
    assert!(!last.is_voter(id(3)) && last.is_member(id(3)));
}

#[test]
fn what_can_never_be_is_refused_with_its_reason() {
    let current = configuration([1, 2, 3]);
    let refused = |wanted| enter(&current, wanted).expect_err("refused");
    let invalid = MembershipRefusal::Invalid;
    assert_eq!(refused(membership(&[], &[4])), invalid(InvalidMembership::NoVoters));
    assert_eq!(refused(membership(&[1, 4], &[4])), invalid(InvalidMembership::VoterAndLearner { id: id(4) }));
    for address in [None, Some(String::new())] {
        let mut nowhere = membership(&[1, 4], &[]);
        nowhere.addresses = address.into_iter().map(|address| (id(4), address)).collect();
        assert_eq!(refused(nowhere), invalid(InvalidMembership::NoAddress { id: id(4) }));
    }
    assert_eq!(refused(membership(&[1, 2, 3], &[])), MembershipRefusal::Unchanged);
}

#[test]
fn addresses_of_strangers_are_not_kept() {
    let mut wanted = membership(&[1, 2, 3], &[]);
    wanted.addresses.insert(id(9), "n9".to_owned());
    assert_eq!(enter(&configuration([1, 2, 3]), wanted), Err(MembershipRefusal::Unchanged));
}

#[test]
fn future_voters_that_lag_behind_are_learners_first() {
    let current = configuration([1, 2, 3]);
    let waiting = super::enter(&current, membership(&[1, 4], &[3, 5]), |_| false).expect("a valid change");
    assert!(!waiting.is_joint() && !waiting.is_settled());
    assert_eq!(waiting.voters, current.voters, "nobody loses a vote before the others are ready");
    assert_eq!(waiting.learners, [id(4), id(5)].into());
    assert_eq!(granted(&waiting, |_| false), None);

    let joint = granted(&waiting, |ready| ready == id(4)).expect("all future voters are ready");
    assert_eq!((&joint.voters, &joint.voters_outgoing), (&[id(1), id(4)].into(), &current.voters));
    assert_eq!(joint.learners, [id(3), id(5)].into());
    let at_once = super::enter(&current, membership(&[1, 4], &[3, 5]), |_| true);
    assert_eq!(at_once, Ok(joint), "the same as if they had been ready from the beginning");
}

#[test]
fn a_wish_can_be_withdrawn_or_replaced() {
    let waiting = super::enter(&configuration([1, 2]), membership(&[1, 2, 3], &[]), |_| false).expect("a valid change");
    let again = super::enter(&waiting, membership(&[1, 2, 3], &[]), |_| false);
    assert_eq!(again, Err(MembershipRefusal::Unchanged));
    let withdrawn = super::enter(&waiting, membership(&[1, 2], &[]), |_| false);
    assert_eq!(withdrawn, Ok(configuration([1, 2])));
    let replaced = super::enter(&waiting, membership(&[2], &[]), |_| false).expect("a valid change");
    assert!(replaced.is_joint() && !replaced.is_member(id(3)));
}

#[test]
fn a_configuration_that_no_true_leader_wrote_leads_nowhere() {
    let mut joint = configuration([1, 2]);
    joint.voters_outgoing = std::mem::take(&mut joint.voters);
    assert_eq!(leave(&joint), None, "nobody could decide anything any more");
    joint.voters = [id(1)].into();
    joint.learners = [id(1)].into();
    assert_eq!(leave(&joint), None);
    let mut waiting = configuration([1, 2]);
    waiting.wish = Some(Wish::default());
    assert_eq!(granted(&waiting, |_| true), None);
}
