//! §5.1: terms and roles.

use raft_consensus::{AppendEntriesReply, AppendOutcome, Message, Role, Round};

use crate::support::lone::{append, heartbeat, pre_vote_reply, request_vote, vote};
use crate::support::{Lone, Setup, at, entry, log_of_terms, node, term};

fn stale_reply(in_term: u64) -> Message {
    let (term, round, outcome) = (term(in_term), Round::ZERO, AppendOutcome::Stale);
    Message::AppendEntriesReply(AppendEntriesReply { term, round, outcome, damage: None })
}

/// One of each message that can tell of a term, RequestVote aside.
fn telling_of(in_term: u64) -> Vec<Message> {
    vec![heartbeat(in_term), vote(in_term, false), pre_vote_reply(in_term, false), stale_reply(in_term)]
}

fn assert_follows_in(lone: &Lone, in_term: u64, message: &Message) {
    let status = lone.status();
    assert_eq!(status.role, Role::Follower, "after {message:?}");
    assert_eq!(status.term, term(in_term), "after {message:?}");
    let durable = lone.member.disk.durable().hard_state;
    assert_eq!(durable.term, term(in_term), "the term is durable after {message:?}");
    let leader = matches!(message, Message::AppendEntries(_)).then(|| node(2));
    assert_eq!(status.leader, leader, "after {message:?}");
}

/// §5.1, 1: "If one server's current term is smaller than the other's, then it updates its current term."
#[test]
fn a_follower_adopts_a_larger_term_from_any_message() {
    for message in telling_of(5).into_iter().chain([request_vote(5, at(0, 0))]) {
        let mut lone = Lone::of(3);
        lone.receive(2, message.clone());
        assert_follows_in(&lone, 5, &message);
    }
}

/// §5.1, 2: "If a candidate discovers that its term is out of date, it reverts to follower state."
#[test]
fn a_candidate_that_hears_of_a_larger_term_becomes_a_follower() {
    for message in telling_of(5).into_iter().chain([request_vote(5, at(0, 0))]) {
        let mut lone = Lone::of(3);
        lone.become_candidate();
        assert_eq!((lone.status().role, lone.status().term), (Role::Candidate, term(1)));
        lone.receive(2, message.clone());
        assert_follows_in(&lone, 5, &message);
    }
}

/// §5.1, 3: the same for a leader. (A RequestVote alone does not do it while the leader
/// is in contact with its quorum, dissertation 4.2.3.)
#[test]
fn a_leader_that_hears_of_a_larger_term_becomes_a_follower() {
    for message in telling_of(5) {
        let mut lone = Lone::leader(&Setup::of(3), 3);
        lone.receive(2, message.clone());
        assert_follows_in(&lone, 5, &message);
    }
}

/// Dissertation 9.6: neither a PreVote nor a granted PreVoteReply changes anybody's term.
#[test]
fn pre_votes_do_not_change_the_term() {
    let messages = [crate::support::lone::pre_vote(5, at(0, 0)), pre_vote_reply(5, true)];
    for message in messages {
        let mut lone = Lone::of(3);
        lone.receive(2, message);
        assert_eq!(lone.status().term, term(0));
        let mut leader = Lone::leader(&Setup::of(3), 3);
        leader.receive(2, crate::support::lone::pre_vote(5, at(0, 0)));
        assert_eq!((leader.status().role, leader.status().term), (Role::Leader, term(1)));
    }
}

/// §5.1, 4: "If a server receives a request with a stale term number, it rejects the request."
#[test]
fn a_request_with_a_stale_term_is_refused_and_told_the_newer_one() {
    let setup = Setup::of(3).log(1, log_of_terms(&[1, 2])).term(1, 6);
    let follower = || Lone::with(&setup);
    let candidate = || {
        let mut lone = Lone::with(&setup);
        lone.become_candidate();
        lone
    };
    let leader = || Lone::leader(&setup, 3);
    let requests = [append(5, at(1, 1), vec![entry(2, 5)], 2), heartbeat(3), request_vote(5, at(9, 4))];
    for message in requests {
        for mut lone in [follower(), candidate(), leader()] {
            lone.forget();
            let before = lone.status();
            lone.receive(2, message.clone());
            let after = lone.status();
            assert_eq!((after.role, after.term, after.commit), (before.role, before.term, before.commit));
            assert_eq!(after.last, before.last, "the log is untouched by {message:?}");
            let answers = lone.sent();
            let [(2, answer)] = answers.as_slice() else { panic!("{answers:?} to {message:?}") };
            assert_eq!(answer.term(), before.term);
            match answer {
                Message::RequestVoteReply(reply) => assert!(!reply.granted),
                Message::AppendEntriesReply(reply) => assert_eq!(reply.outcome, AppendOutcome::Stale),
                other => panic!("{other:?} to {message:?}"),
            }
        }
    }
}
