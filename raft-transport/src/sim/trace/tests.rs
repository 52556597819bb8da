use raft_actor::consensus::{GroupId, Message, PreVote, Role, Term};

use super::*;

fn moment(role: Role, term: u64, commit: u64) -> Moment {
    Moment { id: NodeId::from(2), role, term: Term::new(term), commit: LogIndex::new(commit) }
}

fn at(micros: u64) -> Time {
    Time::from_micros(micros)
}

fn role_changed() -> Effect {
    Effect::RoleChanged { role: Role::Leader, term: Term::new(3), leader: None, noop: Some(LogIndex::new(5)) }
}

fn pre_vote(term: u64) -> Envelope {
    let last = LogPosition::new(Term::new(2), LogIndex::new(4));
    let message = Message::PreVote(PreVote { term: Term::new(term), last });
    Envelope { from: NodeId::from(2), to: NodeId::from(1), group: GroupId::new(1), body: Body::Raft(message) }
}

#[test]
fn events_read_as_in_the_golden_scripts_with_the_time_before_them() {
    let mut trace = Trace::keeping(10);
    trace.step(at(12_345_678), moment(Role::Candidate, 3, 4), moment(Role::Leader, 3, 4), &[role_changed()]);
    trace.travels(at(12_345_700), Travel::IsLost, &pre_vote(4));
    trace.applies(at(12_400_000), NodeId::from(1), LogPosition::new(Term::new(2), LogIndex::new(4)), 0xabc);
    trace.step(at(12_400_001), moment(Role::Leader, 3, 4), moment(Role::Leader, 3, 6), &[]);
    trace.note(at(13_000_000), Some(NodeId::from(1)), "crashes", 0);
    let lines: Vec<String> = trace.latest().collect();
    assert_eq!(
        lines,
        [
            "12.345678s n2@3 candidate => leader, noop at 5",
            "12.345700s n2@4 -x n1 PreVote last=4@2",
            "12.400000s n1 applies 4@2, response 0000000000000abc",
            "12.400001s n2@3 commits 4 => 6",
            "13.000000s n1 crashes",
        ]
    );
    assert_eq!(trace.events(), 5);
}

#[test]
fn only_the_latest_events_are_kept_and_all_count_for_the_hash() {
    let run = |kept_max, second| {
        let mut trace = Trace::keeping(kept_max);
        trace.travels(at(1), Travel::Leaves, &pre_vote(4));
        trace.travels(at(2), Travel::Leaves, &pre_vote(second));
        trace.note(at(3), None, "heals", 0);
        trace
    };
    assert_eq!(run(2, 5).latest().count(), 2);
    assert_eq!(run(0, 5).latest().count(), 0);
    assert_eq!(run(2, 5).hash(), run(0, 5).hash(), "what is kept makes no difference");
    assert_ne!(run(0, 5).hash(), run(0, 6).hash());
    // Written down, so that a change of the hash is a decision: recorded hashes of other builds would be void.
    assert_eq!(run(0, 5).hash(), 14_487_306_708_657_311_345);
}
