//! How offices are won, kept and lost: stickiness, check-quorum, reads.

use std::time::Duration;

use bytes::Bytes;

use crate::testing::*;
use crate::*;

fn request_vote(term: u64, last: LogPosition, leadership_transfer: bool) -> Message {
    Message::RequestVote(RequestVote { term: Term::new(term), last, leadership_transfer })
}

fn heartbeat(term: u64, round: u64) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term::new(term),
        prev: LogPosition::ZERO,
        entries: Entries::new(),
        commit: LogIndex::ZERO,
        round: Round::new(round),
        rest: false,
        repair: None,
    })
}

/// A leader of term 1 among three, at time `leader.1`, that nobody has answered since.
fn lone_leader() -> (Raft, Time) {
    let mut raft = Raft::new(start(1, [1, 2, 3], &[]));
    let now = raft.next_deadline();
    step(&mut raft, now, Input::Deadline);
    let granted = PreVoteReply { term: Term::new(1), granted: true };
    step(&mut raft, now, received(2, Message::PreVoteReply(granted)));
    let granted = RequestVoteReply { term: Term::new(1), granted: true };
    step(&mut raft, now, received(2, Message::RequestVoteReply(granted)));
    assert_eq!(raft.role(), Role::Candidate, "its own vote is not durable yet");
    step(&mut raft, now, Input::Persisted(WriteSeq::new(1)));
    assert_eq!(raft.role(), Role::Leader);
    (raft, now)
}

fn reply(round: u64, outcome: AppendOutcome) -> Message {
    Message::AppendEntriesReply(AppendEntriesReply {
        term: Term::new(1),
        round: Round::new(round),
        outcome,
        damage: None,
    })
}

fn matched(round: u64, durable: u64) -> Message {
    reply(round, AppendOutcome::Matched { durable: LogIndex::new(durable) })
}

#[test]
fn votes_of_others_do_not_make_a_leader_whose_own_vote_is_not_durable() {
    lone_leader();
}

#[test]
fn a_follower_that_hears_a_leader_ignores_other_candidates_term_included() {
    let mut raft = Raft::new(start(2, [1, 2, 3], &[]));
    step(&mut raft, Time::from_millis(50), received(1, heartbeat(1, 1)));
    let effects = step(&mut raft, Time::from_millis(149), received(3, request_vote(9, at(8, 8), false)));
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!((raft.term(), raft.ignored().count(Ignored::LeaderAlive)), (Term::new(1), 1));
    step(&mut raft, Time::from_millis(150), received(3, request_vote(9, at(8, 8), false)));
    assert_eq!((raft.term(), raft.vote()), (Term::new(9), Some(id(3))), "the minimum election timeout has passed");
}

#[test]
fn a_candidate_sent_by_the_leader_itself_is_heard_at_once() {
    let mut raft = Raft::new(start(2, [1, 2, 3], &[]));
    step(&mut raft, Time::from_millis(50), received(1, heartbeat(1, 1)));
    step(&mut raft, Time::from_millis(51), received(3, request_vote(2, at(1, 1), true)));
    assert_eq!((raft.term(), raft.vote()), (Term::new(2), Some(id(3))));
}

#[test]
fn a_leader_in_contact_with_its_quorum_ignores_candidates_and_one_without_follows() {
    let (mut raft, now) = lone_leader();
    let later = now.after(Duration::from_millis(99));
    step(&mut raft, later, received(3, request_vote(5, at(1, 1), false)));
    assert_eq!((raft.role(), raft.term()), (Role::Leader, Term::new(1)));
    let later = now.after(Duration::from_millis(100));
    step(&mut raft, later, received(3, request_vote(5, at(1, 1), false)));
    assert_eq!((raft.role(), raft.term()), (Role::Follower, Term::new(5)));
}

#[test]
fn contact_counts_from_the_sending_of_the_echoed_round() {
    let (mut raft, now) = lone_leader();
    let at = |ms| now.after(Duration::from_millis(ms));
    let effects = step(&mut raft, at(10), Input::Deadline);
    let (_, Message::AppendEntries(heartbeat)) = sent(&effects)[0] else { panic!("{effects:?}") };
    let round = heartbeat.round.get();
    // The echo is a long time under way: it tells of the moment when its round was sent.
    step(&mut raft, at(99), received(2, matched(round, 0)));
    step(&mut raft, at(108), Input::Deadline);
    assert_eq!(raft.role(), Role::Leader);
    step(&mut raft, at(111), Input::Deadline);
    assert_eq!(raft.role(), Role::Follower, "nobody is known to have followed since 10 ms");
}

/// "... initial empty AppendEntries RPCs (heartbeat) ... repeat during idle periods" (§5.2): entries are as good.
#[test]
fn who_has_echoed_entries_lately_needs_no_heartbeat_and_who_has_not_gets_one() {
    let (mut raft, now) = lone_leader();
    let at = |ms| now.after(Duration::from_millis(ms));
    let heartbeat = u64::try_from(raft.settings().heartbeat().as_millis()).expect("a short time");
    step(&mut raft, now, Input::Persisted(WriteSeq::new(2)));
    step(&mut raft, at(1), received(2, matched(1, 1)));
    step(&mut raft, at(1), received(3, matched(2, 1)));
    let half = heartbeat / 2;
    let commands = vec![Bytes::from_static(b"x")];
    let proposed = step(&mut raft, at(half), Input::Propose { id: ProposalId(1), commands });
    let rounds: Vec<(u64, u64)> = proposed
        .iter()
        .filter_map(|effect| {
            let Effect::Replicate(order) = effect else { return None };
            Some((order.peer.get(), order.round.get()))
        })
        .collect();
    let [(2, of_2), (3, of_3)] = rounds[..] else { panic!("{proposed:?}") };
    step(&mut raft, at(half), received(2, matched(of_2, 1)));
    let mut deaf = raft.clone();
    assert_eq!(sent(&step(&mut deaf, at(heartbeat), Input::Deadline)).len(), 2, "one of them has echoed nothing");
    step(&mut raft, at(half), received(3, matched(of_3, 1)));
    assert!(sent(&step(&mut raft, at(heartbeat), Input::Deadline)).is_empty());
    assert_eq!(raft.next_deadline(), at(half + heartbeat), "the time counts from when they were sent");
    assert_eq!(sent(&step(&mut raft, at(half + heartbeat), Input::Deadline)).len(), 2);
}

#[test]
fn a_read_waits_until_the_no_op_of_its_term_is_committed() {
    let (mut raft, now) = lone_leader();
    let asked = step(&mut raft, now, Input::Read { id: ReadId(1) });
    let rounds: Vec<Round> = sent(&asked)
        .into_iter()
        .map(|(_, message)| match message {
            Message::AppendEntries(heartbeat) => heartbeat.round,
            other => panic!("{other:?}"),
        })
        .collect();
    let effects = step(&mut raft, now, received(2, matched(rounds[0].get(), 0)));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::ReadReady { .. })), "{effects:?}");
    step(&mut raft, now, Input::Persisted(WriteSeq::new(2)));
    let effects = step(&mut raft, now, received(3, matched(1, 1)));
    assert!(effects.contains(&Effect::ReadReady { id: ReadId(1), index: LogIndex::new(1) }), "{effects:?}");
}

#[test]
fn an_echo_of_a_round_sent_before_the_read_does_not_confirm_it() {
    let (mut raft, now) = lone_leader();
    step(&mut raft, now, Input::Persisted(WriteSeq::new(2)));
    step(&mut raft, now, received(2, matched(1, 1)));
    assert_eq!(raft.commit(), LogIndex::new(1));
    step(&mut raft, now, Input::Read { id: ReadId(1) });
    let effects = step(&mut raft, now, received(3, matched(2, 1)));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::ReadReady { .. })), "{effects:?}");
}

#[test]
fn a_refused_pre_vote_teaches_a_lagging_member_the_term_so_that_it_can_win() {
    // 1 has the longer log and an old term, 2 a later term and a short log; 3 is gone (etcd #8243).
    let mut cluster = Cluster::with_logs(&[&[1, 2, 2], &[1], &[1]]);
    cluster.input(id(2), received(3, request_vote(8, at(0, 0), false)));
    cluster.cut.extend([(id(1), id(3)), (id(2), id(3))]);
    cluster.settle();
    assert_eq!((cluster.raft(1).term(), cluster.raft(2).term()), (Term::new(2), Term::new(8)));
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(cluster.leaders(), [id(1)]);
}

#[test]
fn a_refusal_skips_a_whole_term_in_a_round_trip() {
    // The follower holds 40 entries of each of four terms that its leader never saw.
    let strange: Vec<u64> = [1; 3].into_iter().chain((0..160).map(|n| 2 + n / 40)).collect();
    let leaders: Vec<u64> = [1; 3].into_iter().chain([7; 200]).collect();
    let mut cluster = Cluster::with_logs(&[&leaders, &strange, &leaders]);
    cluster.time_out(1);
    cluster.run_for(Duration::from_millis(20));
    assert_eq!(cluster.log(2), cluster.log(1));
    let refusals = cluster.delivered.iter().filter(|(from, _, message)| match message {
        Message::AppendEntriesReply(reply) => *from == id(2) && matches!(reply.outcome, AppendOutcome::Conflict { .. }),
        _ => false,
    });
    assert!(refusals.count() <= 2);
}

#[test]
fn heartbeats_claim_no_more_than_what_is_known_to_match() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.cut.insert((id(1), id(2)));
    cluster.propose(1, 3);
    cluster.now = cluster.raft(1).next_deadline();
    cluster.input(id(1), Input::Deadline);
    for (_, to, message) in &cluster.messages {
        let Message::AppendEntries(heartbeat) = message else { panic!("{message:?}") };
        let matched = if *to == id(2) { at(1, 1) } else { at(1, 4) };
        assert_eq!((heartbeat.prev, heartbeat.commit), (matched, matched.index), "to {to}");
    }
    assert_eq!(cluster.messages.len(), 2);
}
