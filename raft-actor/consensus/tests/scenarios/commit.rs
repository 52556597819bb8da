//! What is committed, and when.

use raft_consensus::{Input, Message, Role};

use crate::support::{Cluster, Lone, Setup, at, index, log_of_terms, node, term};

/// Figure 8 (e); logcabin #44: once an entry of the leader's own term is on a majority, all before it are
/// committed, and the server with the conflicting entry of term 3 can never be elected again.
#[test]
fn an_old_entry_is_committed_only_together_with_one_of_the_leaders_term() {
    // Figure 8 (c): n1 led term 2 and n5 term 3; n1 leads again and has replicated 2@2 to n3.
    let mut cluster = Setup::of(5)
        .settings(|settings| {
            settings.append_batch_bytes_max = 1;
            settings.inflight_appends_max = 1;
        })
        .log(1, log_of_terms(&[1, 2]))
        .log(2, log_of_terms(&[1, 2]))
        .log(3, log_of_terms(&[1]))
        .log(4, log_of_terms(&[1]))
        .log(5, log_of_terms(&[1, 3]))
        .term(1, 3)
        .term(3, 3)
        .start();
    cluster.crash(5);
    cluster.deadline(1);
    for _ in 0..4 {
        cluster.deliver_round();
    }
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, term(4)));
    cluster.partition(&[4, 5]);
    let has_old_entry = |cluster: &Cluster, n| cluster.member(n).disk.durable().contains(at(2, 2));
    while !has_old_entry(&cluster, 3) {
        assert!(cluster.deliver(1, 3) > 0, "n1 goes on with n3");
        cluster.deliver(3, 1);
    }
    assert!((1..=3).all(|n| has_old_entry(&cluster, n)), "2@2 is on a majority");
    assert_eq!(cluster.status(1).commit, index(0), "and yet not committed");

    cluster.settle();
    assert_eq!(cluster.status(1).commit, index(3), "with 3@4 on a majority both are");
    cluster.crash(1);
    cluster.heal();
    cluster.restart(5);
    for _ in 0..20 {
        cluster.deadline(5);
        cluster.settle();
        assert_ne!(cluster.role(5), Role::Leader, "n5 lacks a committed entry");
    }
}

/// openraft #1802: acknowledgements that arrive out of order move the commit index forwards only.
#[test]
fn acknowledgements_out_of_order_never_move_the_commit_index_back() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.partition(&[3]);
    // Two messages under way; their replies are delivered last first, and then once more.
    for command in ["x", "y"] {
        cluster.propose(1, command);
    }
    assert_eq!(cluster.deliver(1, 2), 2);
    let replies = cluster.network.take_all(|packet| packet.to == node(1));
    assert_eq!(replies.len(), 2);
    let mut commits = Vec::new();
    for packet in replies.iter().rev().chain(&replies) {
        cluster.hand_over(packet.clone());
        commits.push(cluster.status(1).commit.get());
    }
    assert_eq!(commits, [3, 3, 3, 3]);
    let names: Vec<_> = cluster.applied(1).iter().map(|entry| entry.position).collect();
    assert_eq!(names, [at(1, 1), at(2, 1), at(3, 1)], "applied once, in order");
}

/// etcd #7625's cousin: a follower's commit index that lies beyond its log does not make it apply what it lacks.
#[test]
fn a_commit_index_beyond_the_log_waits_for_the_entries() {
    let mut lone = Lone::of(3);
    lone.receive(2, crate::support::lone::append(1, at(0, 0), log_of_terms(&[1]), u64::MAX));
    assert_eq!(lone.status().commit, index(1));
    lone.receive(2, crate::support::lone::append(1, at(1, 1), vec![crate::support::entry(2, 1)], 2));
    assert_eq!(lone.applied(), [at(1, 1), at(2, 1)]);
}

/// CCF #5674: a leader that steps down keeps what it appended. A follower may have it, a majority may
/// hold it, the next leader may commit it: rolling it back on stepping down would lose committed entries.
#[test]
fn a_leader_that_steps_down_keeps_its_uncommitted_entries() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.propose(1, "x");
    // Both followers have it, but the leader never learns of it.
    cluster.deliver(1, 2);
    cluster.deliver(1, 3);
    cluster.network.take_all(|_| true);
    cluster.partition(&[1]);
    cluster.pass(1500, false);
    assert_eq!(cluster.role(1), Role::Follower, "stepped down by check-quorum");
    assert_eq!(cluster.status(1).last, at(2, 1));
    cluster.network.take_all(|_| true);

    // Its log counts when it votes, and the next leader commits the entry.
    cluster.heal();
    cluster.run(4000);
    for n in 1..=3 {
        let commands: Vec<_> = cluster.log(n).iter().map(|entry| entry.position).take(2).collect();
        assert_eq!(commands, [at(1, 1), at(2, 1)]);
        assert!(cluster.status(n).applied >= index(2), "n{n} has applied it");
    }
}

/// Figure 2: a leader that hears of a later term in the middle of its work stops at once; what it proposed
/// is neither reported as committed nor removed until the new leader says so.
#[test]
fn a_leader_that_is_overruled_commits_nothing_more() {
    let mut leader = Lone::leader(&Setup::of(3), 3);
    leader.input(Input::Propose { id: raft_consensus::ProposalId(1), commands: vec!["x".into()] });
    let appends = leader.sent_appends();
    leader.receive(3, crate::support::lone::vote(2, false));
    assert_eq!(leader.status().role, Role::Follower);
    // The acknowledgements of its term come too late.
    for (from, append) in appends {
        leader.acknowledge(from, &append);
    }
    leader.receive(2, crate::support::lone::matched(1, 1, 2));
    assert_eq!(leader.status().commit, index(0));
    assert_eq!(leader.status().last, at(2, 1));
    let late: Vec<(u64, Message)> = leader.sent();
    assert!(late.iter().all(|(_, message)| !matches!(message, Message::AppendEntries(_))), "{late:?}");
}
