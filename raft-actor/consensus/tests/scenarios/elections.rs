//! Elections that must not happen, and elections that must.

use std::time::Duration;

use raft_consensus::{Role, Term, Time};

use crate::support::lone::{append, heartbeat, pre_vote, pre_vote_reply, request_vote};
use crate::support::{Cluster, Lone, Setup, at, log_of_terms, node, term};

/// etcd #8243: with pre-vote, a server with the better log but a lower term and one with the higher term
/// but a worse log must not block each other for ever. The refusal carries the higher term.
#[test]
fn a_server_with_a_lower_term_and_the_better_log_can_still_be_elected() {
    let setup = Setup::of(3).log(1, log_of_terms(&[1, 1, 1])).log(2, log_of_terms(&[1])).term(2, 8);
    let mut cluster = setup.start();
    cluster.crash(3);
    cluster.run(10_000);
    assert_eq!(cluster.role(1), Role::Leader, "only n1's log is up-to-date");
    assert!(cluster.term(1) > term(8));
    assert_eq!(cluster.applied(1), cluster.applied(2));
}

/// Dissertation 9.6: a server that was cut off for long comes back without growing anybody's term.
#[test]
fn a_server_that_comes_back_disturbs_nobody() {
    for members in [3, 5] {
        let mut cluster = Cluster::of(members);
        cluster.elect(1);
        cluster.partition(&[members]);
        cluster.run(20_000);
        cluster.propose(1, "x");
        cluster.run(500);
        cluster.heal();
        cluster.run(5_000);
        for n in 1..=members {
            assert_eq!(cluster.term(n), term(1), "n{n}");
            assert_eq!(cluster.applied(n), cluster.applied(1), "n{n}");
        }
        assert_eq!(cluster.role(1), Role::Leader);
    }
}

/// Whoever looks whether heartbeats come in time sees the longest time between two, and no time in which none was due.
#[test]
fn a_follower_remembers_how_long_its_leader_was_silent() {
    let ms = Duration::from_millis;
    let mut follower = Lone::of(3);
    follower.now = Time::from_millis(400);
    follower.receive(2, heartbeat(1));
    assert_eq!(follower.status().longest_silence, ms(0), "before there was a leader nobody was silent");
    for (at, longest) in [(500, 100), (530, 100), (780, 250), (900, 250)] {
        follower.now = Time::from_millis(at);
        follower.receive(2, heartbeat(1));
        assert_eq!(follower.status().longest_silence, ms(longest), "at {at}");
    }
    follower.now = Time::from_millis(1300);
    follower.receive(3, append(2, at(0, 0), vec![], 0));
    assert_eq!(follower.status().longest_silence, ms(400), "the old leader said nothing until another one did");
}

/// Dissertation 4.2.3, hashicorp #524: who hears from a leader ignores a RequestVote, its term included.
#[test]
fn a_request_for_votes_is_ignored_while_a_leader_is_heard() {
    let mut follower = Lone::of(3);
    follower.receive(2, append(1, at(0, 0), vec![], 0));
    follower.forget();
    follower.receive(3, request_vote(9, at(9, 8)));
    assert_eq!(follower.sent(), []);
    assert_eq!(follower.status().term, term(1));
    follower.receive(3, pre_vote(9, at(9, 8)));
    assert_eq!(follower.sent(), [(3, pre_vote_reply(1, false))]);

    // After the minimum election timeout without the leader, both count again.
    follower.now = follower.now.after(follower.member.settings.election_timeout_min());
    follower.receive(3, pre_vote(9, at(9, 8)));
    follower.receive(3, request_vote(9, at(9, 8)));
    assert_eq!(follower.status().term, term(9));
}

/// Cloudflare, November 2020: n1 leads, n1 and n3 cannot reach each other, both reach n2. Nothing happens:
/// n2 hears its leader and does not listen to n3.
#[test]
fn a_bridge_between_the_leader_and_a_cut_off_server_keeps_the_leader() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.network.cut(node(1), node(3));
    cluster.network.cut(node(3), node(1));
    for _ in 0..30 {
        cluster.propose(1, "x");
        cluster.run(1000);
    }
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, term(1)));
    assert_eq!(cluster.status(1).commit, cluster.status(1).last.index);
    assert_eq!(cluster.term(3), term(1), "pre-vote keeps n3's term down");
}

/// The same outage with five servers: only n3 reaches everybody, the leader n1 reaches only n3. The leader
/// has lost its quorum and must notice, so that the one server that can win is elected, and stays.
#[test]
fn the_only_server_that_reaches_a_majority_becomes_the_leader() {
    let mut cluster = Cluster::of(5);
    cluster.elect(1);
    cluster.settle();
    for a in 1..=5 {
        for b in 1..=5 {
            if a != b && a != 3 && b != 3 {
                cluster.network.cut(node(a), node(b));
            }
        }
    }
    cluster.run(30_000);
    assert_eq!(cluster.leader(), Some(3));
    let in_office = cluster.term(3);
    assert!(in_office <= term(10), "few terms were needed: {in_office}");
    cluster.propose(3, "x");
    cluster.run(30_000);
    assert_eq!((cluster.role(3), cluster.term(3)), (Role::Leader, in_office), "and it stays");
    for n in 1..=5 {
        assert_eq!(cluster.applied(n), cluster.applied(3), "n{n}");
    }
}

/// One direction of a link fails: the leader's messages arrive, its follower's answers do not.
#[test]
fn a_follower_that_cannot_answer_does_not_disturb() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.network.cut(node(3), node(1));
    cluster.run(20_000);
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, term(1)));
    cluster.network.cut(node(1), node(3));
    cluster.network.mend(node(3), node(1));
    cluster.run(20_000);
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, term(1)), "nor one that cannot hear");
}

/// A leader that cannot be heard by a majority, although it hears them, gives way.
#[test]
fn a_leader_that_nobody_hears_gives_way() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.network.cut(node(1), node(2));
    cluster.network.cut(node(1), node(3));
    cluster.run(10_000);
    let leader = cluster.leader().expect("a leader that is heard");
    assert_ne!(leader, 1);
    assert_eq!(cluster.role(1), Role::Follower);
}

/// Contact counts from the sending of what is answered: an answer that was under way for long proves
/// nothing about the present, and must not keep a leader in office that the others have replaced.
#[test]
fn an_answer_that_was_under_way_for_long_does_not_prolong_the_office() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.deadline(1);
    let sent_at = cluster.now;
    cluster.deliver(1, 2);
    let answers = cluster.network.take_all(|packet| packet.to == node(1));
    assert_eq!(answers.len(), 1);
    cluster.partition(&[1]);
    cluster.pass(850, false);
    assert_eq!(cluster.role(1), Role::Leader);
    answers.into_iter().for_each(|packet| cluster.hand_over(packet));
    let election_timeout = cluster.member(1).settings.election_timeout_min();
    let left = sent_at.after(election_timeout).since(cluster.now).as_millis();
    cluster.pass(u64::try_from(left).expect("a short time") + 20, false);
    assert_eq!(cluster.role(1), Role::Follower, "the others may have another leader by now");
}

/// A late RequestVoteReply of an election that is over elects nobody.
#[test]
fn votes_of_an_earlier_term_do_not_count() {
    let mut lone = Lone::of(5);
    lone.become_candidate();
    lone.receive(2, crate::support::lone::vote(1, true));
    lone.become_candidate();
    assert_eq!(lone.status().term, Term::new(2));
    lone.receive(3, crate::support::lone::vote(1, true));
    lone.receive(4, crate::support::lone::vote(1, true));
    assert_eq!(lone.status().role, Role::Candidate);
}

/// Dissertation 4.2.2: a learner that is asked for its vote gives it. It may not know yet that it is a voter,
/// and its vote may be needed.
#[test]
fn a_learner_that_is_asked_to_vote_votes() {
    let mut configuration = crate::support::voters(3);
    configuration.voters.remove(&node(1));
    configuration.learners.insert(node(1));
    let mut learner = Lone::with(&Setup::of(3).configuration(configuration));
    assert_eq!(learner.status().role, Role::Learner);
    learner.deadline();
    assert_eq!((learner.status().role, learner.status().term), (Role::Learner, term(0)), "it does not campaign");
    learner.receive(2, request_vote(1, at(0, 0)));
    assert_eq!(learner.sent(), [(2, crate::support::lone::vote(1, true))]);
}

/// A server without suffrage neither votes nor campaigns, but replicates.
#[test]
fn a_server_without_suffrage_neither_votes_nor_campaigns_but_replicates() {
    let mut cluster = Setup::of(3).without_suffrage(3).start();
    cluster.pass(10_000, false);
    assert_eq!((cluster.role(3), cluster.term(3)), (Role::Follower, term(0)));
    cluster.network.take_all(|_| true);
    cluster.run(10_000);
    let leader = cluster.leader().expect("n1 and n2 suffice");
    assert!(cluster.trace.iter().all(|line| !line.starts_with("n3") || !line.contains(" granted")));
    assert_eq!(cluster.applied(3), cluster.applied(leader));
}

/// The pre-vote is won just when the disk has stopped answering: to go on would be to campaign for an office that cannot
/// be held.
#[test]
fn a_pre_vote_that_is_won_when_the_disk_is_stuck_begins_no_election() {
    let campaign = |waits_too_long: bool| {
        let mut lone = Lone::with(&Setup::of(3).settings(|settings| settings.storage_stall_ms_max = Some(60_000)));
        lone.member.disk.held = true;
        lone.receive(2, append(1, at(0, 0), log_of_terms(&[1]), 0));
        lone.deadline();
        assert_eq!((lone.status().role, lone.status().term), (Role::Candidate, term(1)), "it asks for pre-votes");
        if waits_too_long {
            lone.now = lone.now.after(Duration::from_secs(60));
        }
        lone.receive(3, pre_vote_reply(2, true));
        (lone.status().role, lone.status().term)
    };
    assert_eq!(campaign(false), (Role::Candidate, term(2)));
    assert_eq!(campaign(true), (Role::Follower, term(1)));
}
