//! Nothing is said before it is durable.

use raft_consensus::{AppendOutcome, HardState, Input, Message, ProposalId, Role};

use crate::support::lone::{append, heartbeat, pre_vote, request_vote, vote};
use crate::support::{Cluster, Lone, Setup, at, entry, index, log_of_terms, node, term};

fn matches(lone: &mut Lone) -> Vec<u64> {
    let matched = |(_, message): (u64, Message)| {
        let Message::AppendEntriesReply(reply) = message else { return None };
        let AppendOutcome::Matched { durable } = reply.outcome else { return None };
        Some(durable.get())
    };
    lone.sent().into_iter().filter_map(matched).collect()
}

/// etcd #14370: a single server commits and applies only what its own disk holds.
#[test]
fn a_single_server_acknowledges_nothing_before_it_is_durable() {
    let mut cluster = Cluster::of(1);
    cluster.elect(1);
    cluster.member_mut(1).disk.held = true;
    cluster.propose(1, "x");
    assert_eq!(cluster.status(1).commit, index(1), "the no-op only");
    cluster.crash(1);
    cluster.restart(1);
    cluster.member_mut(1).disk.held = false;
    cluster.elect(1);
    assert_eq!(cluster.log(1).len(), 2, "the command is gone, and nobody was told otherwise");
}

/// etcd #14370: nor does it lead before its vote for itself is durable, or a crash would let it lead the term twice.
#[test]
fn a_single_server_does_not_lead_before_its_own_vote_is_durable() {
    let mut lone = Lone::of(1);
    lone.member.disk.held = true;
    lone.deadline();
    assert_eq!(lone.status().role, Role::Candidate);
    lone.persist();
    assert_eq!(lone.status().role, Role::Leader);
}

/// tikv #994: a follower acknowledges entries only when they are durable.
#[test]
fn a_follower_acknowledges_nothing_before_it_is_durable() {
    let mut follower = Lone::of(3);
    follower.receive(2, heartbeat(1));
    follower.forget();
    follower.member.disk.held = true;
    follower.receive(2, append(1, at(0, 0), vec![entry(1, 1)], 0));
    assert_eq!(follower.status().last, at(1, 1));
    assert_eq!(matches(&mut follower), [0; 0]);
    // A heartbeat is answered at once, so that a slow disk deposes nobody, but claims no more than is durable.
    follower.receive(2, append(1, at(1, 1), vec![], 0));
    assert_eq!(matches(&mut follower), [0]);
    follower.persist();
    assert_eq!(matches(&mut follower), [1]);
}

/// §5.2, Figure 2: a vote is durable before the candidate hears of it.
#[test]
fn a_vote_is_durable_before_it_is_sent() {
    let mut voter = Lone::of(3);
    voter.member.disk.held = true;
    voter.receive(2, request_vote(1, at(0, 0)));
    assert_eq!(voter.sent(), []);
    voter.persist();
    assert_eq!(voter.sent(), [(2, vote(1, true))]);
    let expected = HardState { term: term(1), vote: Some(node(2)), damage: None };
    assert_eq!(voter.member.disk.durable().hard_state, expected);
}

/// A candidate asks for votes only when its own vote is durable: its request *is* a vote for itself.
#[test]
fn a_candidate_asks_for_votes_only_when_its_own_is_durable() {
    let mut lone = Lone::of(3);
    lone.member.disk.held = true;
    lone.become_candidate();
    let requests = |lone: &mut Lone| lone.sent().iter().filter(|(_, m)| matches!(m, Message::RequestVote(_))).count();
    assert_eq!(requests(&mut lone), 0);
    lone.persist();
    assert_eq!(requests(&mut lone), 2);
}

/// canonical/raft #196: answering a PreVote changes neither the term nor the vote.
#[test]
fn a_pre_vote_does_not_clear_the_vote() {
    let mut voter = Lone::of(3);
    voter.receive(2, request_vote(1, at(0, 0)));
    voter.receive(3, pre_vote(2, at(0, 0)));
    voter.forget();
    voter.receive(3, request_vote(1, at(0, 0)));
    assert_eq!(voter.sent(), [(3, vote(1, false))]);
    voter.member.crash();
    voter.member.start(voter.now);
    voter.receive(3, request_vote(1, at(0, 0)));
    assert_eq!(voter.sent(), [(3, vote(1, false))], "across a restart too");
}

/// etcd-io/raft #8: the confirmation of a write that was replaced since does not count for what replaced it.
#[test]
fn a_stale_persisted_does_not_count_for_what_replaced_the_write() {
    let mut follower = Lone::of(3);
    follower.receive(2, heartbeat(1));
    follower.forget();
    follower.member.disk.held = true;
    follower.receive(2, append(1, at(0, 0), vec![entry(1, 1), entry(2, 1), entry(3, 1)], 0));
    follower.receive(3, append(2, at(1, 1), vec![entry(2, 2), entry(3, 2)], 0));
    assert_eq!(follower.log(), [at(1, 1), at(2, 2), at(3, 2)]);
    let first = follower.member.disk.sync(1).expect("the first append");
    follower.input(Input::Persisted(first));
    assert_eq!(follower.status().durable, index(1), "2 and 3 are of another term by now");
    assert_eq!(matches(&mut follower), [0; 0]);
    follower.persist();
    assert_eq!(follower.status().durable, index(3));
    assert_eq!(matches(&mut follower), [3]);
}

/// The same race with the same entries: they come back, but the disk has them only when the last write says so.
#[test]
fn entries_that_were_replaced_and_came_back_are_durable_only_with_the_last_write() {
    let mut follower = Lone::with(&Setup::of(3).log(1, log_of_terms(&[1])));
    follower.member.disk.held = true;
    follower.receive(2, append(2, at(1, 1), vec![entry(2, 2)], 0));
    follower.receive(3, append(3, at(1, 1), vec![entry(2, 3)], 0));
    follower.receive(2, append(4, at(1, 1), vec![entry(2, 2)], 0));
    for durable in [1, 1] {
        let seq = follower.member.disk.sync(1).expect("one of three writes");
        follower.input(Input::Persisted(seq));
        assert_eq!(follower.status().durable, index(durable));
    }
    follower.persist();
    assert_eq!(follower.status().durable, index(2));
}

/// A leader counts its own copy only when its own disk has confirmed it.
#[test]
fn a_leader_counts_itself_only_when_its_own_disk_has_confirmed() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.partition(&[3]);
    cluster.member_mut(1).disk.held = true;
    cluster.propose(1, "x");
    cluster.settle();
    assert_eq!(cluster.status(1).commit, index(1), "one follower alone is no majority");
    cluster.sync(node(1), 1);
    assert_eq!(cluster.status(1).commit, index(2));
}

/// hashicorp #503, etcd #13527: a leader with a hung disk gives up its office, and the others go on.
#[test]
fn a_leader_whose_disk_hangs_is_replaced() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.member_mut(1).disk.held = true;
    let id = cluster.propose(1, "x");
    cluster.run(10_000);
    assert!(cluster.proposals.contains_key(&id));
    let leader = cluster.leader().expect("another leader");
    assert_ne!(leader, 1);
    assert_eq!(cluster.role(1), Role::Follower);
    cluster.propose(leader, "y");
    cluster.run(200);
    assert_eq!(cluster.status(leader).commit, cluster.status(leader).last.index);

    // The disk comes back, and so does the server.
    cluster.member_mut(1).disk.held = false;
    cluster.work(node(1));
    cluster.run(500);
    assert_eq!(cluster.applied(1), cluster.applied(leader));
}

/// async-raft #76: a slow disk is not a hung one. A follower whose disk takes long deposes nobody.
#[test]
fn a_followers_slow_disk_does_not_depose_the_leader() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.member_mut(2).disk.held = true;
    cluster.member_mut(3).disk.held = true;
    for _ in 0..20 {
        cluster.propose(1, "x");
        cluster.run(900);
        for n in [2, 3] {
            cluster.sync(node(n), usize::MAX);
            cluster.work(node(n));
        }
    }
    cluster.settle();
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, term(1)));
    assert_eq!(cluster.status(1).commit, index(21));
}

/// A proposal is answered with its place, which says nothing yet of its being committed.
#[test]
fn a_proposal_is_answered_at_once_with_its_position() {
    let mut leader = Lone::leader(&Setup::of(3), 3);
    leader.member.disk.held = true;
    leader.input(Input::Propose { id: ProposalId(7), commands: vec!["x".into()] });
    let outcome = raft_consensus::ProposalOutcome::Appended { first: at(2, 1) };
    assert!(leader.effects().contains(&raft_consensus::Effect::Proposed { id: ProposalId(7), outcome }));
    assert_eq!(leader.status().commit, index(0));
}
