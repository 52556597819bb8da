use super::*;
use crate::testing::{configuration, id};

fn membership(voters: &[u64], learners: &[u64]) -> Membership {
    let ids = |ns: &[u64]| ns.iter().map(|n| id(*n)).collect::<BTreeSet<_>>();
    let (voters, learners) = (ids(voters), ids(learners));
    let addresses = voters.union(&learners).map(|id| (*id, format!("n{id}"))).collect();
    Membership { voters, learners, addresses, ..Membership::default() }
}

fn enter(current: &Configuration, wanted: Membership) -> Result<Configuration, MembershipRefusal> {
    super::enter(current, wanted, &Disks::default(), |_| true)
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
    let waiting =
        super::enter(&current, membership(&[1, 4], &[3, 5]), &Disks::default(), |_| false).expect("a valid change");
    assert!(!waiting.is_joint() && !waiting.is_settled());
    assert_eq!(waiting.voters, current.voters, "nobody loses a vote before the others are ready");
    assert_eq!(waiting.learners, [id(4), id(5)].into());
    assert_eq!(granted(&waiting, &Disks::default(), |_| false), None);

    let joint = granted(&waiting, &Disks::default(), |ready| ready == id(4)).expect("all future voters are ready");
    assert_eq!((&joint.voters, &joint.voters_outgoing), (&[id(1), id(4)].into(), &current.voters));
    assert_eq!(joint.learners, [id(3), id(5)].into());
    let at_once = super::enter(&current, membership(&[1, 4], &[3, 5]), &Disks::default(), |_| true);
    assert_eq!(at_once, Ok(joint), "the same as if they had been ready from the beginning");
}

#[test]
fn a_wish_can_be_withdrawn_or_replaced() {
    let waiting = super::enter(&configuration([1, 2]), membership(&[1, 2, 3], &[]), &Disks::default(), |_| false)
        .expect("a valid change");
    let again = super::enter(&waiting, membership(&[1, 2, 3], &[]), &Disks::default(), |_| false);
    assert_eq!(again, Err(MembershipRefusal::Unchanged));
    let withdrawn = super::enter(&waiting, membership(&[1, 2], &[]), &Disks::default(), |_| false);
    assert_eq!(withdrawn, Ok(configuration([1, 2])));
    let replaced = super::enter(&waiting, membership(&[2], &[]), &Disks::default(), |_| false).expect("a valid change");
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
    assert_eq!(granted(&waiting, &Disks::default(), |_| true), None);
}

mod change_state {
    use super::*;
    use crate::Term;

    fn at(index: u64, term: u64) -> LogPosition {
        LogPosition::new(Term::new(term), LogIndex::new(index))
    }

    /// A log of three founders, then these configurations and (`None`) other entries, all of the term given with each.
    fn log(entries: &[(u64, Option<&Configuration>)]) -> Log {
        let mut log = Log::default();
        log.push_shape(at(1, 1), 50, Some(&configuration([1, 2, 3])));
        for (index, (term, configuration)) in (2..).zip(entries) {
            log.push_shape(at(index, *term), 50, *configuration);
        }
        log
    }

    /// The configurations on the way from n1, n2, n3 to n1 and n4.
    fn way() -> [Configuration; 3] {
        let waiting =
            super::super::enter(&configuration([1, 2, 3]), membership(&[1, 4], &[]), &Disks::default(), |_| false);
        let waiting = waiting.expect("a valid change");
        let joint = granted(&waiting, &Disks::default(), |_| true).expect("ready");
        let last = leave(&joint).expect("sound");
        [waiting, joint, last]
    }

    fn state(log: &Log, commit: u64, first: LogPosition) -> ChangeState {
        super::super::state(log, LogIndex::new(commit), first, &membership(&[1, 4], &[]))
    }

    #[test]
    fn a_change_is_done_when_its_settled_configuration_is_committed() {
        let [waiting, joint, last] = way();
        let log = log(&[(1, Some(&waiting)), (1, None), (2, Some(&joint)), (3, Some(&last)), (3, None)]);
        let states: Vec<_> = (1..=6).map(|commit| state(&log, commit, at(2, 1))).collect();
        assert_eq!(states[..4], [ChangeState::UnderWay; 4], "neither the wish nor the joint one is the end");
        assert_eq!(states[4..], [ChangeState::Done(at(5, 3)); 2], "whoever led when it ended");
        assert_eq!(state(&log, 6, at(5, 3)), ChangeState::Done(at(5, 3)), "whoever came late to it sees it, too");
    }

    #[test]
    fn a_change_whose_position_was_overwritten_is_lost() {
        let [waiting, ..] = way();
        let overwritten = log(&[(3, None), (3, None)]);
        assert_eq!(state(&overwritten, 1, at(2, 2)), ChangeState::UnderWay, "it may yet be committed");
        assert_eq!(state(&overwritten, 2, at(2, 2)), ChangeState::Lost);
        assert_eq!(state(&overwritten, 3, at(9, 2)), ChangeState::Lost, "no log has it behind an entry of term 3");
        let kept = log(&[(1, Some(&waiting))]);
        assert_eq!(state(&kept, 2, at(2, 1)), ChangeState::UnderWay);
    }

    #[test]
    fn a_change_that_gave_way_to_another_is_superseded_and_does_not_revive() {
        let [waiting, ..] = way();
        let withdrawn = super::super::enter(&waiting, membership(&[1, 2, 3], &[]), &Disks::default(), |_| false)
            .expect("a valid change");
        let log = log(&[(1, Some(&waiting)), (1, Some(&withdrawn)), (1, Some(&waiting))]);
        assert_eq!(state(&log, 2, at(2, 1)), ChangeState::UnderWay, "the other is not committed");
        assert_eq!(state(&log, 3, at(2, 1)), ChangeState::Superseded);
        assert_eq!(state(&log, 4, at(2, 1)), ChangeState::Superseded);
    }

    #[test]
    fn what_lies_before_the_log_is_forgotten() {
        let log = Log::new(at(10, 2), configuration([1, 4]));
        assert_eq!(state(&log, 10, at(5, 2)), ChangeState::Forgotten);
        assert_eq!(state(&log, 10, at(10, 2)), ChangeState::Done(at(10, 2)));
    }

    #[test]
    fn another_address_is_another_membership() {
        let mut wanted = membership(&[1, 2, 3], &[]);
        assert!(configuration([1, 2, 3]).leads_to(&wanted));
        wanted.addresses.insert(id(9), "n9".to_owned());
        assert!(configuration([1, 2, 3]).leads_to(&wanted), "a stranger's address is not kept");
        wanted.addresses.insert(id(2), "elsewhere".to_owned());
        assert!(!configuration([1, 2, 3]).leads_to(&wanted));
    }
}
