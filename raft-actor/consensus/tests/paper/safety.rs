//! §5.4: safety.

use raft_consensus::{Message, RequestVote, Role};

use crate::support::lone::{append, matched, pre_vote, pre_vote_reply, request_vote, vote};
use crate::support::{Lone, Setup, at, entry, index, log_of_terms, node, term};

/// §5.4.1, 24: "The RequestVote RPC includes information about the candidate's log."
#[test]
fn a_request_for_votes_carries_the_last_index_and_term() {
    for (log, last) in [(vec![entry(1, 1)], at(1, 1)), (vec![entry(1, 1), entry(2, 2)], at(2, 2))] {
        let mut lone = Lone::of(3);
        let own = last.term.get();
        lone.receive(2, append(own, at(0, 0), log, 0));
        lone.become_candidate();
        let requests: Vec<(u64, RequestVote)> = lone
            .sent()
            .into_iter()
            .filter_map(
                |(to, message)| if let Message::RequestVote(request) = message { Some((to, request)) } else { None },
            )
            .collect();
        let expected = RequestVote { term: term(own + 1), last, leadership_transfer: false };
        assert_eq!(requests, [(2, expected.clone()), (3, expected)]);
    }
}

/// §5.4.1, 25: "The voter denies its vote if its own log is more up-to-date than that of the candidate":
/// the later last term wins, and the longer log among equal ones.
#[test]
fn a_vote_is_denied_to_a_candidate_whose_log_is_less_up_to_date() {
    let table: [(&[u64], _, _); 9] = [
        (&[1], at(1, 1), true),
        (&[1], at(2, 1), true),
        (&[1, 1], at(1, 1), false),
        (&[1], at(1, 2), true),
        (&[1], at(2, 2), true),
        (&[1, 1], at(1, 2), true),
        (&[2], at(1, 1), false),
        (&[2], at(2, 1), false),
        (&[2, 2], at(900, 1), false),
    ];
    for (log, last, granted) in table {
        let setup = Setup::of(3).log(1, log_of_terms(log));
        let mut voter = Lone::with(&setup);
        voter.receive(2, request_vote(3, last));
        assert_eq!(voter.sent(), [(2, vote(3, granted))], "log {log:?}, candidate {last}");
        assert_eq!(voter.status().term, term(3), "the term is adopted either way");

        let mut asked = Lone::with(&setup);
        let own = asked.status().term.get();
        asked.receive(2, pre_vote(3, last));
        let expected = pre_vote_reply(if granted { 3 } else { own }, granted);
        assert_eq!(asked.sent(), [(2, expected)], "log {log:?}, prospective candidate {last}");
    }
}

/// §5.4.2, 26: "Only log entries from the leader's current term are committed by counting replicas."
#[test]
fn a_leader_never_commits_an_older_term_by_counting() {
    for (acknowledged, committed) in [(1, 0), (2, 0), (3, 3)] {
        let mut leader = Lone::with(&Setup::of(3).log(1, log_of_terms(&[1, 2])));
        leader.become_candidate();
        leader.receive(2, vote(3, true));
        assert_eq!((leader.status().role, leader.status().last), (Role::Leader, at(3, 3)));
        let rounds: Vec<u64> =
            leader.sent_appends().iter().filter(|(to, _)| *to == 2).map(|(_, append)| append.round.get()).collect();
        let round = *rounds.last().expect("the leader speaks at once");
        leader.receive(2, matched(3, round, acknowledged));
        assert_eq!(leader.status().commit, index(committed), "acknowledged up to {acknowledged}");
        assert_eq!(leader.status().id, node(1));
    }
}
