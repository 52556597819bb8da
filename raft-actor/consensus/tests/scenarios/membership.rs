//! Changes of the membership: what must not happen on the way, and what must.

use raft_consensus::{
    AppendEntriesReply, AppendOutcome, Configuration, Entry, Input, InvalidMembership, LogIndex, MembershipRefusal,
    Message, NodeId, Payload, ProposalId, Role, Round,
};

use crate::support::cluster::ReadOutcome;
use crate::support::lone::{matched, request_vote, vote};
use crate::support::{Cluster, Lone, Setup, at, index, node, term, voters};

fn ids(ns: &[u64]) -> Vec<NodeId> {
    ns.iter().map(|n| node(*n)).collect()
}

/// n1 leads n1, n2 and n3; further servers up to `count` wait to be added. Everybody knows what is committed.
fn cluster(count: u64) -> Cluster {
    let mut cluster = (4..=count).fold(Setup::of(3), Setup::joining).start();
    cluster.elect(1);
    cluster.run(200);
    cluster
}

/// The voters that a server counts, and the old ones while they count as well.
fn counted(cluster: &Cluster, n: u64) -> (Vec<NodeId>, Vec<NodeId>) {
    let configuration = cluster.status(n).configuration;
    (configuration.voters.into_iter().collect(), configuration.voters_outgoing.into_iter().collect())
}

fn assert_settled(cluster: &Cluster, on: &[u64], voters: &[u64]) {
    for n in on {
        assert!(cluster.status(*n).configuration.is_settled(), "n{n}");
        assert_eq!(counted(cluster, *n).0, ids(voters), "n{n}");
        assert!(cluster.configured_at(*n) <= cluster.status(*n).commit, "n{n}");
    }
}

/// 3 -> 5 -> 3, and the cluster serves all the time.
#[test]
fn a_cluster_grows_and_shrinks_while_it_serves() {
    let mut cluster = cluster(5);
    cluster.change_membership(1, &[1, 2, 3, 4, 5], &[]);
    cluster.propose(1, "x");
    cluster.run(300);
    assert_settled(&cluster, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]);
    assert_eq!(cluster.applied(5), cluster.applied(1));

    // With five, two may fail; with three of them removed, other two.
    cluster.crash(2);
    cluster.crash(3);
    cluster.propose(1, "y");
    cluster.run(300);
    assert_eq!(cluster.applied(5), cluster.applied(1));
    cluster.change_membership(1, &[1, 4, 5], &[]);
    cluster.run(300);
    cluster.crash(4);
    cluster.propose(1, "z");
    cluster.run(300);
    assert_settled(&cluster, &[1, 5], &[1, 4, 5]);
    assert_eq!(cluster.applied(5).len(), cluster.log(1).len());
    assert_eq!(cluster.term(1), term(1), "and the leader stayed");
}

/// raft-dev, July 2015: no change before an entry of the leader's own term is committed. See also the story.
#[test]
fn a_change_waits_for_an_entry_of_the_leaders_own_term() {
    let mut leader = Lone::leader(&Setup::of(3), 3);
    let change = |leader: &mut Lone| {
        leader.forget();
        let id = raft_consensus::ProposalId(7);
        let membership = crate::support::membership(&[1, 2], &[]);
        leader.input(raft_consensus::Input::ChangeMembership { id, membership });
        leader.effects().into_iter().find_map(|effect| match effect {
            raft_consensus::Effect::MembershipChange { outcome, .. } => Some(outcome),
            _ => None,
        })
    };
    assert_eq!(change(&mut leader), Some(Err(MembershipRefusal::NotReady)));
    leader.receive(2, matched(1, 1, 1));
    assert_eq!(leader.status().commit, index(1));
    assert_eq!(change(&mut leader), Some(Ok(at(2, 1))));
    assert_eq!(change(&mut leader), Some(Err(MembershipRefusal::InProgress)), "one at a time");
}

#[test]
fn a_change_is_refused_with_its_reason() {
    let mut cluster = cluster(4);
    let invalid = MembershipRefusal::Invalid;
    let not_leader = MembershipRefusal::NotLeader { leader: Some(node(1)) };
    assert_eq!(cluster.refuse_membership(2, &[1, 2], &[]), not_leader);
    assert_eq!(cluster.refuse_membership(1, &[], &[]), invalid(InvalidMembership::NoVoters));
    let both = InvalidMembership::VoterAndLearner { id: node(2) };
    assert_eq!(cluster.refuse_membership(1, &[1, 2], &[2]), invalid(both));
    assert_eq!(cluster.refuse_membership(1, &[1, 2, 3], &[]), MembershipRefusal::Unchanged);
    cluster.change_membership(1, &[1, 2, 3], &[4]);
    assert_eq!(cluster.refuse_membership(1, &[1, 2], &[]), MembershipRefusal::InProgress, "not committed");
    cluster.settle();
    cluster.change_membership(1, &[1, 2], &[]);
    assert_eq!(cluster.refuse_membership(1, &[1], &[]), MembershipRefusal::InProgress, "joint");
    cluster.run(200);
    assert_settled(&cluster, &[1, 2], &[1, 2]);
    assert_eq!(cluster.checker.configurations_written(), 3, "what was refused was not written");
}

/// etcd #7625: a configuration counts when it is appended, not when it is applied. So both majorities are
/// needed at once for commits, elections, reads and to stay in office.
#[test]
fn a_configuration_counts_when_it_is_appended() {
    let mut cluster = cluster(5);
    cluster.change_membership(1, &[1, 2, 3], &[4, 5]);
    cluster.run(200);
    cluster.crash(4);
    cluster.crash(5);
    cluster.change_membership(1, &[1, 4, 5], &[]);
    cluster.settle();
    assert_eq!(counted(&cluster, 1), (ids(&[1, 4, 5]), ids(&[1, 2, 3])));
    let before = cluster.status(1).commit;
    cluster.propose(1, "x");
    let read = cluster.read(1);
    cluster.run(50);
    assert_eq!(cluster.status(1).commit, before, "three of the old voters are no majority of the new ones");
    assert_eq!(cluster.reads.get(&read), None);
    cluster.run(3000);
    assert_eq!(cluster.leader(), None, "nor enough to stay in office or to win an election");
    assert_eq!(cluster.reads.get(&read), Some(&ReadOutcome::Refused));
    cluster.restart(4);
    cluster.run(5000);
    let leader = cluster.leader().expect("with n4 both have a majority");
    assert_settled(&cluster, &[leader], &[1, 4, 5]);
}

/// The other way round: the new majority decides nothing without the old one, which may have gone on by itself.
#[test]
fn the_new_majority_alone_decides_nothing_while_joint() {
    let mut cluster = cluster(5);
    cluster.change_membership(1, &[1, 2, 3], &[4, 5]);
    cluster.run(200);
    cluster.partition(&[2, 3]);
    let before = cluster.status(1).commit;
    cluster.change_membership(1, &[1, 4, 5], &[]);
    cluster.propose(1, "lost");
    cluster.run(5000);
    assert_eq!(counted(&cluster, 4), (ids(&[1, 4, 5]), ids(&[1, 2, 3])));
    for n in [1, 4, 5] {
        assert_ne!(cluster.role(n), Role::Leader);
        assert_eq!(cluster.status(n).commit, before);
    }
    let leader = cluster.leader().expect("n2 and n3 are a majority of the only configuration that was committed");
    cluster.propose(leader, "kept");
    cluster.heal();
    cluster.run(5000);
    assert_settled(&cluster, &[1, 2, 3, 4, 5], &[1, 2, 3]);
}

/// A truncated configuration rolls back, at a server that was promoted by it as well, and across a restart.
#[test]
fn a_truncated_configuration_rolls_back_across_a_restart() {
    let mut cluster = cluster(4);
    cluster.change_membership(1, &[1, 2, 3], &[4]);
    cluster.run(200);
    cluster.partition(&[1, 4]);
    cluster.change_membership(1, &[1, 4], &[]);
    cluster.settle();
    assert_eq!(cluster.role(4), Role::Follower, "it counts as a voter");
    cluster.elect(2);
    cluster.heal();
    cluster.run(2000);
    for round in 0..2 {
        for n in 1..=4 {
            assert_eq!(counted(&cluster, n), (ids(&[1, 2, 3]), vec![]), "n{n}, round {round}");
        }
        assert_eq!(cluster.role(4), Role::Learner);
        cluster.crash(4);
        cluster.restart(4);
        cluster.run(200);
    }
}

/// hashicorp #524, dissertation 4.2.3: a removed server does not learn of it and campaigns, and nobody listens.
#[test]
fn a_removed_server_disturbs_nobody() {
    let mut cluster = cluster(3);
    cluster.partition(&[3]);
    cluster.change_membership(1, &[1, 2], &[]);
    cluster.run(3000);
    assert_settled(&cluster, &[1, 2], &[1, 2]);
    cluster.heal();
    cluster.run(30_000);
    assert_eq!(counted(&cluster, 3).0, ids(&[1, 2, 3]), "it does not know, and nobody goes on telling it");
    assert!(cluster.trace.iter().any(|line| line.contains("n3@1 follower => candidate")), "it campaigned");
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, term(1)));
    assert_eq!((cluster.role(2), cluster.term(2)), (Role::Follower, term(1)));

    // Not even with a term of its own that has run ahead, and the RequestVote that pre-vote would spare them.
    cluster.network.in_flight.clear();
    for to in [1, 2] {
        let message = request_vote(99, at(99, 98));
        cluster.hand_over(crate::support::network::Packet { from: node(3), to: node(to), message });
    }
    cluster.run(5000);
    assert_eq!((cluster.leader(), cluster.term(1), cluster.term(2)), (Some(1), term(1), term(1)));
}

/// Nothing relies on it, but whoever can be reached learns that it is out, and leaves the others alone.
#[test]
fn a_removed_server_is_told_so_and_does_not_campaign() {
    let mut cluster = cluster(4);
    cluster.change_membership(1, &[1, 2, 3], &[4]);
    cluster.run(200);
    cluster.change_membership(1, &[1, 2], &[]);
    cluster.run(30_000);
    assert_settled(&cluster, &[1, 2, 3], &[1, 2]);
    for removed in [3, 4] {
        assert!(!cluster.status(removed).configuration.is_member(node(removed)), "n{removed}");
        assert_eq!(cluster.role(removed), Role::Learner);
        let campaigned = format!("n{removed}@1 follower => candidate");
        assert!(!cluster.trace.iter().any(|line| line.contains(&campaigned)), "n{removed}");
    }
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, term(1)));
}

/// What is said once may be lost. It is said again, also when reads leave no time for heartbeats of its own; and no more
/// when it is known.
#[test]
fn a_farewell_that_is_lost_is_said_again_until_it_is_known() {
    let mut cluster = cluster(3);
    cluster.change_membership(1, &[1, 2], &[]);
    cluster.deliver_round();
    cluster.deliver_round();
    assert_eq!(counted(&cluster, 1), (ids(&[1, 2]), vec![]));
    cluster.network.cut(node(1), node(3));
    cluster.settle();
    cluster.run(500);
    assert_eq!(counted(&cluster, 3), (ids(&[1, 2]), ids(&[1, 2, 3])), "all was lost");
    cluster.heal();
    for _ in 0..20 {
        cluster.read(1);
        cluster.run(10);
    }
    assert_settled(&cluster, &[1, 2, 3], &[1, 2]);
    assert_eq!(cluster.role(3), Role::Learner);
    let told = cluster.trace.len();
    cluster.run(1000);
    assert!(!cluster.trace[told..].iter().any(|line| line.contains("n1@1 -> n3")), "it knows");
}

/// It has everything and answers, and no majority has.
#[test]
fn who_is_on_its_way_out_counts_for_nothing() {
    let mut cluster = cluster(3);
    cluster.change_membership(1, &[1, 2], &[]);
    cluster.deliver_round();
    cluster.deliver_round();
    cluster.partition(&[2]);
    let read = cluster.read(1);
    cluster.run(500);
    assert_eq!((counted(&cluster, 1), counted(&cluster, 3).0), ((ids(&[1, 2]), vec![]), ids(&[1, 2])));
    assert_eq!(cluster.role(1), Role::Leader);
    assert!(cluster.status(1).commit < cluster.configured_at(1), "n3 has it, but does not count");
    assert_eq!(cluster.reads.get(&read), None);
    cluster.run(1000);
    assert_ne!(cluster.role(1), Role::Leader, "that n3 follows it does not keep it in office");
    assert_eq!(cluster.reads.get(&read), Some(&ReadOutcome::Refused));
}

/// A leader dies before anybody can know that its change is committed: the next one cannot know who was told.
#[test]
fn the_next_leader_takes_leave_of_those_whom_its_predecessor_did_not_tell() {
    let mut cluster = Setup::of(5).start();
    cluster.elect(1);
    cluster.run(200);
    cluster.change_membership(1, &[1, 2, 3], &[]);
    cluster.deliver_round();
    cluster.deliver_round();
    cluster.deliver(1, 2);
    cluster.network.take_all(|_| true);
    cluster.crash(1);
    assert_eq!(counted(&cluster, 2), (ids(&[1, 2, 3]), vec![]));
    cluster.elect(2);
    cluster.run(500);
    assert_settled(&cluster, &[2, 3, 4, 5], &[1, 2, 3]);
    assert_eq!((cluster.role(4), cluster.role(5)), (Role::Learner, Role::Learner));
}

/// It is heard because of what it acknowledges. Its term is that of a stranger (dissertation 4.2.3).
#[test]
fn the_term_of_who_is_on_its_way_out_does_not_count() {
    let mut cluster = cluster(3);
    cluster.change_membership(1, &[1, 2], &[]);
    cluster.deliver_round();
    cluster.deliver_round();
    cluster.network.cut(node(1), node(3));
    cluster.settle();
    let reply = AppendEntriesReply { term: term(7), round: Round::new(1), outcome: AppendOutcome::Stale, damage: None };
    let message = Message::AppendEntriesReply(reply);
    cluster.hand_over(crate::support::network::Packet { from: node(3), to: node(1), message });
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, term(1)));
}

/// Dissertation 4.2.2: a server whose latest configuration does not include it is still needed until that is
/// committed: it campaigns, without counting its own vote, wins, commits its removal and steps down.
#[test]
fn a_server_whose_removal_is_not_committed_still_campaigns_and_does_not_count_itself() {
    let mut cluster = cluster(3);
    cluster.change_membership(1, &[2, 3], &[]);
    cluster.deliver_round();
    cluster.deliver_round();
    cluster.network.take_all(|_| true);
    cluster.crash(1);
    cluster.restart(1);
    assert_eq!(counted(&cluster, 1), (ids(&[2, 3]), vec![]), "only n1 has the last configuration");
    assert_eq!(counted(&cluster, 3), (ids(&[2, 3]), ids(&[1, 2, 3])));
    cluster.network.cut(node(3), node(1));
    cluster.deadline(1);
    cluster.settle();
    assert_ne!(cluster.role(1), Role::Leader, "its own vote and n2's are only one that counts");
    cluster.heal();
    cluster.deadline(1);
    cluster.settle();
    assert!(cluster.trace.iter().any(|line| line.contains("n1@2 candidate => leader")), "it won with both");
    assert_eq!(cluster.role(1), Role::Learner, "it has finished the change, and with it its office");
    cluster.run(5000);
    assert_settled(&cluster, &[1, 2, 3], &[2, 3]);
}

/// A leader that is not in the new configuration counts for nothing there, and leads until it is committed.
#[test]
fn a_removed_leader_does_not_count_itself_and_leads_until_its_removal_is_committed() {
    let mut cluster = cluster(3);
    cluster.change_membership(1, &[2, 3], &[]);
    cluster.deliver_round();
    cluster.deliver_round();
    assert_eq!(counted(&cluster, 1), (ids(&[2, 3]), vec![]));
    cluster.network.cut(node(1), node(3));
    cluster.propose(1, "x");
    cluster.run(500);
    let last = cluster.configured_at(1);
    assert!(cluster.status(1).commit < last, "n1 and n2 hold it, but only n2 counts");
    assert_eq!(cluster.role(1), Role::Leader);
    cluster.heal();
    cluster.run(300);
    assert!(cluster.status(1).commit >= last);
    assert_eq!(cluster.role(1), Role::Learner);
    cluster.run(5000);
    let leader = cluster.leader().expect("one of the others");
    assert_ne!(leader, 1);
    assert!(cluster.applied(leader).iter().any(|entry| entry.payload == Payload::Command("x".into())));
}

/// A server that was removed, does not know that this is committed, and has the beginning of the next change in its log
/// leads by the votes of others (seed 4903). It counts in neither half of that joint configuration: once it is committed
/// the others go on from there, whether or not it is handing its office over.
#[test]
fn a_leader_outside_of_a_committed_joint_configuration_steps_down_even_while_it_hands_over() {
    let of = |ns: &[u64]| Configuration::of_voters(ns.iter().map(|n| (node(*n), format!("n{n}"))));
    let configured = |index: u64, configuration: Configuration| {
        let payload = Payload::Configuration(Box::new(configuration));
        Entry { position: at(index, 1), payload }
    };
    let joint = Configuration { voters_outgoing: of(&[2, 3, 4]).voters, ..of(&[2, 3, 5]) };
    let log = vec![configured(1, of(&[1, 2, 3, 4])), configured(2, of(&[2, 3, 4])), configured(3, joint)];
    let setup = Setup::of(4).log(1, log);
    let mut removed = Lone::leader(&setup, 5);
    removed.input(Input::TransferLeadership { id: ProposalId(1), to: Some(node(2)) });
    let own = removed.status().term.get();
    removed.receive(2, matched(own, 1, 4));
    assert_eq!(removed.status().role, Role::Leader, "n2 alone is no majority");
    removed.receive(3, matched(own, 1, 4));
    assert_eq!(removed.status().commit, index(4));
    assert_eq!(removed.status().role, Role::Learner);
}

/// Dissertation 4.2.2: a learner that was promoted without knowing it is asked for its vote, and gives it.
#[test]
fn a_promoted_learner_that_does_not_know_it_votes() {
    let mut cluster = cluster(4);
    cluster.change_membership(1, &[1, 2, 3], &[4]);
    cluster.run(200);
    // Joint at n1, n2 and n3, but not at n4.
    cluster.change_membership(1, &[1, 2, 4], &[]);
    cluster.network.take_all(|packet| packet.to == node(4));
    cluster.deliver_round();
    assert_eq!((cluster.role(4), counted(&cluster, 2).0), (Role::Learner, ids(&[1, 2, 4])));
    cluster.network.take_all(|_| true);
    cluster.crash(1);
    cluster.elect(2);
    cluster.run(200);
    assert_settled(&cluster, &[2, 4], &[1, 2, 4]);
}

/// A learner never leads, however long it hears nothing.
#[test]
fn a_learner_is_never_elected() {
    let mut cluster = cluster(4);
    cluster.change_membership(1, &[1, 2, 3], &[4]);
    cluster.run(200);
    for n in 1..=3 {
        cluster.crash(n);
    }
    cluster.run(20_000);
    assert_eq!((cluster.role(4), cluster.term(4)), (Role::Learner, term(1)));
    let learner = cluster.status(4);
    assert_eq!(learner.commit, LogIndex::new(2), "it has got everything");
}

/// A voter that was demoted leads no more, and stays a learner.
#[test]
fn a_leader_that_becomes_a_learner_steps_down_and_follows() {
    let mut cluster = cluster(3);
    cluster.change_membership(1, &[2, 3], &[1]);
    cluster.run(5000);
    let leader = cluster.leader().expect("n2 or n3");
    assert_settled(&cluster, &[1, 2, 3], &[2, 3]);
    cluster.propose(leader, "x");
    cluster.run(200);
    assert_eq!(cluster.role(1), Role::Learner);
    assert_eq!(cluster.applied(1), cluster.applied(leader), "it still receives everything");
}

/// A server that was promised a vote and never answers blocks nothing but its own promotion, and that can be
/// withdrawn (dissertation 4.2.1).
#[test]
fn a_server_that_never_answers_blocks_only_its_own_promotion() {
    let mut cluster = cluster(5);
    cluster.crash(4);
    cluster.crash(5);
    cluster.change_membership(1, &[1, 4, 5], &[]);
    cluster.run(10_000);
    assert_eq!(counted(&cluster, 1), (ids(&[1, 2, 3]), vec![]), "nobody gets a vote who has nothing of the log");
    cluster.propose(1, "x");
    cluster.run(100);
    assert_eq!(cluster.status(1).commit, cluster.status(1).last.index, "and the cluster serves on");
    assert_eq!(cluster.refuse_membership(1, &[1, 4, 5], &[]), MembershipRefusal::Unchanged, "it is under way");
    cluster.change_membership(1, &[1, 2, 3], &[]);
    cluster.run(100);
    assert_settled(&cluster, &[1, 2, 3], &[1, 2, 3]);
    assert!(cluster.status(1).configuration.learners.is_empty());
}

/// A future voter is promoted when it has caught up, not before.
#[test]
fn a_learner_is_promoted_when_it_has_caught_up() {
    let setup = Setup::of(3).joining(4).settings(|settings| {
        settings.append_batch_bytes_max = 100;
        settings.inflight_bytes_max = 100;
    });
    let mut cluster = setup.start();
    cluster.elect(1);
    (0..50).for_each(|_| {
        cluster.propose(1, "x");
    });
    cluster.settle();
    cluster.change_membership(1, &[1, 2, 3, 4], &[]);
    while !cluster.status(1).configuration.is_joint() {
        assert!(cluster.deliver_round() > 0, "it never catches up");
    }
    let behind = cluster.status(1).last.index.since(cluster.status(1).peers[&node(4)].matched);
    assert!(behind <= 6, "promoted {behind} entries behind");
    cluster.settle();
    assert_settled(&cluster, &[1], &[1, 2, 3, 4]);
}

/// What a server said before it was removed and added again is not taken for its word as a new member: it may
/// have come back with another disk.
#[test]
fn an_answer_from_before_the_removal_does_not_count_after_it() {
    let mut cluster = cluster(3);
    cluster.change_membership(1, &[1, 2, 3], &[]);
    cluster.propose(1, "x");
    cluster.deliver_round();
    let late = cluster.network.take_all(|packet| packet.from == node(3));
    assert!(!late.is_empty());
    cluster.change_membership(1, &[1, 2], &[]);
    cluster.run(200);
    cluster.network.cut(node(1), node(3));
    cluster.change_membership(1, &[1, 2], &[3]);
    cluster.run(200);
    assert_eq!(cluster.status(1).peers[&node(3)].matched, LogIndex::ZERO);
    late.into_iter().for_each(|packet| cluster.hand_over(packet));
    assert_eq!(cluster.status(1).peers[&node(3)].matched, LogIndex::ZERO);
    cluster.heal();
    cluster.run(200);
    assert_eq!(cluster.applied(3), cluster.applied(1));
}

/// Votes count in both sets of a joint configuration (§6).
#[test]
fn a_candidate_needs_a_majority_of_both_sets() {
    let mut configuration = voters(5);
    configuration.voters = [node(1), node(2)].into();
    configuration.voters_outgoing = [node(1), node(3), node(4), node(5)].into();
    let mut candidate = Lone::with(&Setup::of(5).configuration(configuration));
    candidate.deadline();
    for voter in [2, 3, 4] {
        assert_eq!(candidate.status().term, term(0), "pre-votes count in both sets as well");
        candidate.receive(voter, crate::support::lone::pre_vote_reply(1, true));
    }
    assert_eq!(candidate.status().term, term(1));
    for voter in [3, 4, 5] {
        candidate.receive(voter, vote(1, true));
        assert_eq!(candidate.status().role, Role::Candidate, "the new set has only one of two");
    }
    candidate.receive(2, vote(1, true));
    assert_eq!(candidate.status().role, Role::Leader);
}
