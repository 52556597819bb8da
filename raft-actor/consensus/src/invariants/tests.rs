use super::*;
use crate::testing::*;
use crate::*;

fn facts() -> Facts {
    let hard_state = HardState { term: Term::new(2), vote: Some(id(1)), damage: None };
    Facts {
        id: id(1),
        role: Role::Leader,
        hard_state,
        hard_state_durable: hard_state,
        ordered: WriteSeq::new(5),
        persisted: WriteSeq::new(4),
        base: at(1, 1),
        snapshot: at(1, 2),
        has_snapshot: true,
        is_installing: false,
        applied: LogIndex::new(2),
        apply_ordered: LogIndex::new(3),
        commit: at(2, 4),
        durable: LogIndex::new(4),
        last: at(2, 6),
        configuration: at(1, 1),
        is_voter: true,
        hands_over_to: None,
        rests: false,
    }
}

#[test]
fn a_sound_state_passes_and_each_broken_one_is_named() {
    assert_eq!(check_state(&facts()), Ok(()));
    type Break = fn(&mut Facts);
    let breaks: [(Break, &str); 11] = [
        (|f| f.base = at(1, 3), "now.base.index <= now.snapshot.index"),
        (|f| f.applied = LogIndex::new(1), "now.snapshot.index <= now.applied"),
        (|f| f.has_snapshot = false, "now.has_snapshot"),
        (|f| f.apply_ordered = LogIndex::new(1), "now.applied <= now.apply_ordered"),
        (|f| f.apply_ordered = LogIndex::new(5), "now.apply_ordered <= now.commit.index"),
        (|f| f.last = at(2, 3), "now.commit.index <= now.last.index"),
        (|f| f.durable = LogIndex::new(9), "now.durable <= now.last.index"),
        (|f| f.last = at(9, 6), "now.last.term <= now.hard_state.term"),
        (|f| f.hard_state.vote = Some(id(2)), "is_vote_kept"),
        (|f| f.is_voter = false, "now.is_voter || now.configuration.index > now.commit.index"),
        (|f| f.hard_state_durable.vote = None, "now.hard_state_durable == now.hard_state"),
    ];
    for (break_it, named) in breaks {
        let mut broken = facts();
        break_it(&mut broken);
        let violation = check_state(&broken).expect_err(named);
        assert!(violation.contains(named), "{violation}");
        assert!(violation.contains("Facts {"), "it tells the values: {violation}");
    }
}

#[test]
fn what_is_not_durable_must_not_be_said() {
    let send = |message| [Effect::Send { to: id(2), message }];
    let reply = |durable| AppendEntriesReply {
        term: Term::new(2),
        damage: None,
        round: Round::new(1),
        outcome: AppendOutcome::Matched { durable: LogIndex::new(durable) },
    };
    let check = |effects: &[Effect]| check_effects(&facts(), effects).is_ok();
    assert!(check(&send(Message::AppendEntriesReply(reply(4)))));
    assert!(!check(&send(Message::AppendEntriesReply(reply(5)))));
    let vote = |term| Message::RequestVoteReply(RequestVoteReply { term: Term::new(term), granted: true });
    assert!(!check(&send(vote(2))), "its durable vote is its own");
    assert!(!check(&send(vote(3))), "term 3 is not durable");
    let timeout_now = send(Message::TimeoutNow(TimeoutNow { term: Term::new(2) }));
    assert!(!check(&timeout_now), "it hands over nothing");
    assert!(check_effects(&Facts { hands_over_to: Some(id(2)), ..facts() }, &timeout_now).is_ok());
    assert!(!check(&[Effect::Apply { through: LogIndex::new(5) }]), "neither committed nor durable");
}

#[test]
fn a_violation_halts_the_member_with_the_values_and_for_good() {
    let mut raft = Raft::new(Start { applied: LogIndex::new(7), ..start(1, [1, 2, 3], &[1, 1]) });
    let effects = step(&mut raft, Time::from_millis(900), Input::Deadline);
    let [Effect::Halt { violation }] = &effects[..] else { panic!("{effects:?}") };
    assert!(violation.contains("LogIndex(7)"), "{violation}");
    assert!(raft.is_halted());
    assert_eq!(raft.next_deadline(), Time::NEVER);
    assert!(step(&mut raft, Time::from_millis(999), Input::Deadline).is_empty());
}

#[test]
fn a_storage_or_state_machine_that_confirms_what_was_never_ordered_halts_the_member() {
    for input in [Input::Persisted(WriteSeq::new(1)), Input::Applied(LogIndex::new(1))] {
        let mut raft = Raft::new(start(1, [1, 2, 3], &[1, 1]));
        let effects = step(&mut raft, Time::ZERO, input);
        assert!(matches!(&effects[..], [Effect::Halt { .. }]), "{effects:?}");
    }
}
