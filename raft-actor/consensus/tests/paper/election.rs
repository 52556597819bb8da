//! §5.2: leader election.

use raft_consensus::{Effect, HardState, Message, Role};

use crate::support::lone::{append, heartbeat, request_vote, vote};
use crate::support::{Cluster, Lone, Setup, at, node, term};

/// §5.2, 5: "When servers start up, they begin as followers."
#[test]
fn a_server_starts_as_a_follower() {
    for count in [1, 3, 5] {
        let mut lone = Lone::with(&Setup::of(count).term(1, 4));
        assert_eq!((lone.status().role, lone.status().term), (Role::Follower, term(4)));
        assert_eq!(lone.status().leader, None);
        assert!(lone.sent().is_empty(), "and it is silent");
    }
}

/// §5.2, 6: "Leaders send periodic heartbeats (AppendEntries RPCs that carry no log entries) to all followers."
#[test]
fn a_leader_sends_empty_append_entries_to_all_followers_when_idle() {
    let setup = Setup::of(5);
    let mut leader = Lone::with(&setup);
    leader.become_candidate();
    leader.receive(2, vote(1, true));
    leader.receive(3, vote(1, true));
    for (to, append) in leader.sent_appends() {
        leader.acknowledge(to, &append);
    }
    leader.forget();
    for _ in 0..2 {
        let before = leader.now;
        leader.deadline();
        assert!(leader.now.since(before) <= leader.member.settings.heartbeat(), "it waited longer than a heartbeat");
        let heartbeats = leader.sent_appends();
        let mut receivers: Vec<u64> = heartbeats.iter().map(|(to, _)| *to).collect();
        receivers.sort_unstable();
        assert_eq!(receivers, [2, 3, 4, 5]);
        for (to, heartbeat) in &heartbeats {
            assert!(heartbeat.entries.is_empty(), "{heartbeat:?}");
            assert_eq!((heartbeat.term, heartbeat.prev), (term(1), at(1, 1)));
            leader.acknowledge(*to, heartbeat);
        }
        leader.forget();
    }
}

fn assert_campaigns(lone: &mut Lone, in_term: u64) {
    let status = lone.status();
    assert_eq!((status.role, status.term), (Role::Candidate, term(in_term)));
    let durable = lone.member.disk.durable().hard_state;
    assert_eq!(durable, HardState { term: term(in_term), vote: Some(node(1)), damage: None });
    let requests: Vec<(u64, Message)> =
        lone.sent().into_iter().filter(|(_, message)| matches!(message, Message::RequestVote(_))).collect();
    let expected = request_vote(in_term, at(0, 0));
    assert_eq!(requests, [2, 3, 4, 5].map(|to| (to, expected.clone())));
}

/// §5.2, 7: "To begin an election, a follower increments its current term and transitions to candidate
/// state. It then votes for itself and issues RequestVote RPCs in parallel to each of the other servers."
#[test]
fn a_follower_that_hears_nothing_campaigns_in_the_next_term() {
    let mut lone = Lone::of(5);
    lone.become_candidate();
    assert_campaigns(&mut lone, 1);
}

/// §5.2, 8: "Each candidate will time out and start a new election by incrementing its term."
#[test]
fn a_candidate_that_neither_wins_nor_loses_campaigns_again() {
    let mut lone = Lone::of(5);
    for in_term in 1..=3 {
        lone.become_candidate();
        assert_campaigns(&mut lone, in_term);
    }
}

/// §5.2, 9: "A candidate wins an election if it receives votes from a majority of the servers in the full cluster."
#[test]
fn a_candidate_wins_with_a_majority_of_the_whole_cluster() {
    // size, votes granted by others, votes denied, the role afterwards
    let table = [
        (1, 0, 0, Role::Leader),
        (2, 0, 0, Role::Candidate),
        (2, 1, 0, Role::Leader),
        (3, 0, 0, Role::Candidate),
        (3, 1, 0, Role::Leader),
        (3, 2, 0, Role::Leader),
        (3, 1, 1, Role::Leader),
        (4, 1, 0, Role::Candidate),
        (4, 1, 2, Role::Follower), // the vote is lost: nobody can have a majority any more
        (4, 2, 0, Role::Leader),
        (5, 1, 0, Role::Candidate),
        (5, 1, 3, Role::Follower),
        (5, 2, 0, Role::Leader),
        (5, 2, 2, Role::Leader),
        (5, 4, 0, Role::Leader),
        (7, 2, 0, Role::Candidate),
        (7, 2, 4, Role::Follower),
        (7, 3, 0, Role::Leader),
        (7, 3, 3, Role::Leader),
        (9, 3, 0, Role::Candidate),
        (9, 4, 0, Role::Leader),
    ];
    for (size, granted, denied, role) in table {
        let mut lone = Lone::of(size);
        lone.become_candidate();
        for voter in 0..denied {
            lone.receive(2 + voter, vote(1, false));
        }
        for voter in 0..granted {
            lone.receive(2 + denied + voter, vote(1, true));
        }
        assert_eq!(lone.status().role, role, "{size} servers, {granted} votes, {denied} denied");
        assert_eq!(lone.status().term, term(1));
    }
}

/// §5.2, 9: the same vote counts once, a stranger's never.
#[test]
fn repeated_votes_and_votes_of_strangers_do_not_count() {
    let mut lone = Lone::of(5);
    lone.become_candidate();
    for from in [2, 2, 2, 77] {
        lone.receive(from, vote(1, true));
    }
    assert_eq!(lone.status().role, Role::Candidate);
}

/// §5.2, 9: in a whole cluster a candidate whom everybody hears wins in one round.
#[test]
fn an_election_that_everybody_hears_of_takes_one_round() {
    for size in [1, 2, 3, 5, 7] {
        let mut cluster = Cluster::of(size);
        cluster.elect(1);
        assert_eq!(cluster.term(1), term(1));
        for n in 2..=size {
            let status = cluster.status(n);
            assert_eq!((status.role, status.leader), (Role::Follower, Some(node(1))));
        }
    }
}

/// §5.2, 10: "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis."
#[test]
fn a_server_votes_for_at_most_one_candidate_in_a_term() {
    for (first, second, granted) in [(2, 2, true), (3, 3, true), (2, 3, false), (3, 2, false)] {
        let mut lone = Lone::of(3);
        lone.receive(first, request_vote(1, at(0, 0)));
        assert_eq!(lone.sent(), [(first, vote(1, true))]);
        lone.receive(second, request_vote(1, at(0, 0)));
        assert_eq!(lone.sent(), [(second, vote(1, granted))], "n{first} came before n{second}");
        lone.receive(second, request_vote(2, at(0, 0)));
        assert_eq!(lone.sent(), [(second, vote(2, true))], "in the next term the vote is free again");
    }
}

/// §5.2, 10: the vote outlives a crash, or the server could vote twice.
#[test]
fn a_vote_is_remembered_across_a_restart() {
    let mut lone = Lone::of(3);
    lone.receive(2, request_vote(1, at(0, 0)));
    lone.member.crash();
    lone.member.start(lone.now);
    lone.forget();
    lone.receive(3, request_vote(1, at(0, 0)));
    assert_eq!(lone.sent(), [(3, vote(1, false))]);
}

/// §5.2, 11: "If the leader's term is at least as large as the candidate's current term, then the
/// candidate recognizes the leader as legitimate and returns to follower state."
#[test]
fn a_candidate_recognizes_a_leader_of_its_term_or_a_later_one() {
    for leader_term in [1, 2] {
        for message in [heartbeat(leader_term), append(leader_term, at(0, 0), vec![], 0)] {
            let mut lone = Lone::of(3);
            lone.become_candidate();
            lone.receive(3, message);
            let status = lone.status();
            assert_eq!((status.role, status.term, status.leader), (Role::Follower, term(leader_term), Some(node(3))));
        }
    }
}

/// The role, the term and the leader are announced with every change (§5.1).
#[test]
fn every_change_of_role_is_announced() {
    let mut lone = Lone::of(3);
    lone.become_candidate();
    lone.receive(2, vote(1, true));
    lone.receive(3, heartbeat(2));
    let change = |effect| {
        let Effect::RoleChanged { role, term, leader, .. } = effect else { return None };
        Some((role, term.get(), leader.map(|id| id.get())))
    };
    let changes: Vec<_> = lone.effects().into_iter().filter_map(change).collect();
    assert!(changes.contains(&(Role::Candidate, 1, None)), "{changes:?}");
    assert!(changes.contains(&(Role::Leader, 1, Some(1))), "{changes:?}");
    assert_eq!(changes.last(), Some(&(Role::Follower, 2, Some(3))));
}
