//! Groups in which nothing happens are silent, and wake when something does.

use std::time::Duration;

use crate::testing::*;
use crate::*;

const REST_MAX: Duration = Duration::from_secs(10);

/// Three members that may rest after 50 ms, at rest under server 1.
fn at_rest() -> Cluster {
    at_rest_with(None, 0)
}

/// The same with lease reads, and another chance.
fn at_rest_with(lease_reads: Option<LeaseReads>, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(3);
    for (n, member) in &mut cluster.members {
        let start = start(n.get(), 1..=3, &[]);
        let rest_ms_max = u64::try_from(REST_MAX.as_millis()).expect("small");
        let settings = Settings { rest_after_ms: 50, rest_ms_max, ..start.settings };
        let log = Log::new(LogPosition::ZERO, configuration(1..=3).with_lease_reads(lease_reads));
        member.raft = Raft::new(Start { settings, log, seed: start.seed + seed, ..start });
    }
    // Whoever starts keeps a word that it may have given before.
    cluster.run_for(lease_reads.map_or(Duration::ZERO, |lease_reads| lease_reads.promise() / 2));
    while cluster.leaders() != [id(1)] {
        cluster.time_out(1);
    }
    cluster.propose(1, 3);
    cluster.run_for(Duration::from_millis(90));
    assert!(cluster.members.values().all(|member| member.raft.rests()), "all rest");
    assert_eq!(cluster.leaders(), [id(1)]);
    cluster.delivered.clear();
    cluster
}

fn silent(cluster: &mut Cluster, n: u64, host: u64) {
    cluster.input(id(n), Input::HostSilent(id(host)));
    cluster.settle();
}

#[test]
fn a_group_at_rest_is_silent_and_keeps_its_leader() {
    let mut cluster = at_rest();
    let before = cluster.raft(1).term();
    cluster.run_for(REST_MAX / 2);
    assert_eq!(cluster.delivered, [], "nothing is to be said");
    assert!((1..=3).all(|n| cluster.raft(n).next_deadline() > cluster.now.after(REST_MAX / 4)), "nor looked after");
    cluster.run_for(REST_MAX * 20);
    assert_eq!((cluster.leaders(), cluster.raft(2).term()), (vec![id(1)], before));
    // Once in each rest the leader speaks, and hears that all have understood.
    assert!(cluster.delivered.len() <= 22 * 4, "{} messages", cluster.delivered.len());
}

#[test]
fn a_leader_that_rests_does_not_count_as_silent() {
    let mut cluster = at_rest();
    cluster.run_for(REST_MAX * 3);
    cluster.propose(1, 1);
    cluster.run_for(Duration::from_millis(90));
    cluster.run_for(REST_MAX / 2);
    let longest = cluster.members.values().map(|member| member.raft.longest_silence()).max();
    assert!(longest.is_some_and(|longest| longest < Duration::from_millis(200)), "{longest:?}");
}

#[test]
fn where_resting_is_not_set_nobody_rests() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.run_for(Duration::from_secs(5));
    assert!(cluster.members.values().all(|member| !member.raft.rests()));
    let is_call = |message: &Message| matches!(message, Message::AppendEntries(append) if append.rest);
    assert!(!cluster.delivered.iter().any(|(_, _, message)| is_call(message)));
}

#[test]
fn a_command_wakes_the_group_and_is_committed_as_ever() {
    let mut cluster = at_rest();
    cluster.run_for(Duration::from_secs(3));
    cluster.propose(1, 1);
    assert_eq!(cluster.applied(1), LogIndex::new(5));
    assert!(!cluster.raft(1).rests());
    cluster.run_for(Duration::from_millis(20));
    assert_eq!(cluster.applied(3), LogIndex::new(5));
    cluster.run_for(Duration::from_millis(90));
    assert!(cluster.members.values().all(|member| member.raft.rests()), "and then all rest again");
}

#[test]
fn a_read_at_rest_asks_a_quorum() {
    let mut cluster = at_rest();
    cluster.run_for(Duration::from_secs(3));
    cluster.cut.extend([(id(1), id(2)), (id(1), id(3))]);
    cluster.input(id(1), Input::Read { id: ReadId(7) });
    cluster.settle();
    let is_answered = |cluster: &Cluster| {
        cluster.members[&id(1)].answers.iter().any(|answer| matches!(answer, Effect::ReadReady { .. }))
    };
    assert!(!is_answered(&cluster), "it may have been replaced while it rested");
    cluster.cut.clear();
    cluster.run_for(Duration::from_millis(20));
    assert!(is_answered(&cluster));
}

#[test]
fn who_rests_campaigns_when_the_leaders_host_has_fallen_silent() {
    let mut cluster = at_rest();
    cluster.run_for(Duration::from_secs(3));
    cluster.cut.extend([(id(1), id(2)), (id(1), id(3))]);
    silent(&mut cluster, 2, 1);
    silent(&mut cluster, 3, 1);
    cluster.run_for(Duration::from_millis(300));
    assert!(cluster.leaders().iter().any(|leader| *leader != id(1)), "{:?}", cluster.leaders());
}

#[test]
fn a_leader_at_rest_that_is_cut_off_steps_down_when_other_hosts_have_fallen_silent() {
    let mut cluster = at_rest();
    cluster.cut.extend([(id(1), id(2)), (id(1), id(3))]);
    cluster.run_for(Duration::from_secs(3));
    assert_eq!(cluster.leaders(), [id(1)], "it knows nothing yet");
    silent(&mut cluster, 1, 2);
    cluster.run_for(Duration::from_millis(250));
    assert_eq!(cluster.leaders(), [], "check-quorum (dissertation 6.2)");
}

/// Seed 1856 of the simulated clusters: the leader hears nothing of it, and so would say nothing.
#[test]
fn who_rests_and_cannot_reach_another_follower_rests_on() {
    for input in [Input::Unreachable(id(3)), Input::HungUp(id(3))] {
        let mut cluster = at_rest();
        cluster.input(id(2), input);
        assert!(cluster.raft(2).rests());
        cluster.run_for(REST_MAX / 2);
        assert_eq!(cluster.delivered, [], "nobody asks for votes");
    }
    for input in [Input::Unreachable(id(1)), Input::HungUp(id(1))] {
        let mut cluster = at_rest();
        cluster.input(id(2), input);
        assert!(!cluster.raft(2).rests(), "that it cannot reach its leader is another matter");
    }
    for input in [Input::Unreachable(id(3)), Input::HungUp(id(3))] {
        let mut cluster = at_rest();
        cluster.input(id(1), input);
        assert!(!cluster.raft(1).rests(), "nor does a leader rest that cannot reach a member");
    }
}

/// The word of the silence may never come: the host may be alive and the group on it gone.
#[test]
fn no_rest_lasts_for_ever() {
    let mut cluster = at_rest();
    cluster.cut.extend([(id(1), id(2)), (id(1), id(3))]);
    cluster.run_for(REST_MAX * 2 + Duration::from_millis(500));
    assert!(cluster.leaders().iter().any(|leader| *leader != id(1)), "{:?}", cluster.leaders());
}

#[test]
fn a_false_alarm_costs_no_more_than_an_election() {
    let mut cluster = at_rest();
    silent(&mut cluster, 2, 1);
    silent(&mut cluster, 3, 1);
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(cluster.leaders().len(), 1);
    assert!(cluster.members.values().all(|member| member.raft.rests()));
}

#[test]
fn one_that_comes_back_finds_the_leader_and_deposes_nobody() {
    let mut cluster = at_rest();
    cluster.run_for(Duration::from_secs(3));
    let term = cluster.raft(1).term();
    cluster.restart(3, 9);
    cluster.run_for(Duration::from_millis(400));
    assert_eq!((cluster.leaders(), cluster.raft(3).leader(), cluster.raft(3).term()), (vec![id(1)], Some(id(1)), term));
}

#[test]
fn a_group_with_a_member_that_lags_or_is_away_does_not_rest() {
    let mut cluster = at_rest();
    cluster.cut.extend([(id(1), id(3)), (id(2), id(3))]);
    cluster.propose(1, 1);
    cluster.run_for(Duration::from_secs(1));
    assert!(!cluster.raft(1).rests() && !cluster.raft(2).rests());
    cluster.cut.clear();
    cluster.run_for(Duration::from_secs(2));
    assert!(cluster.members.values().all(|member| member.raft.rests()));
}

/// A lease counts on it (dissertation 6.4.1): what was said of hosts does not make a member forget whom it has heard.
#[test]
fn the_silence_of_a_host_does_not_make_a_member_forget_that_it_heard_the_leader() {
    let mut cluster = at_rest();
    cluster.input(id(1), Input::Stirred);
    cluster.run_for(Duration::from_millis(90));
    assert!(cluster.raft(2).rests());
    let heard = cluster.now;
    silent(&mut cluster, 2, 1);
    let pre_vote = PreVote { term: Term::new(9), last: at(8, 8) };
    cluster.input(id(2), received(3, Message::PreVote(pre_vote)));
    let refused = cluster
        .messages
        .iter()
        .any(|(from, _, message)| *from == id(2) && matches!(message, Message::PreVoteReply(reply) if !reply.granted));
    assert!(refused && cluster.now == heard, "within the minimum election timeout");
}

#[test]
fn one_that_decides_alone_rests_too() {
    let mut cluster = Cluster::of(1);
    let start = start(1, [1], &[]);
    let settings = Settings { rest_after_ms: 50, ..start.settings };
    cluster.member(1).raft = Raft::new(Start { settings, ..start });
    cluster.run_for(Duration::from_millis(200));
    assert!(cluster.raft(1).rests());
    cluster.propose(1, 1);
    assert_eq!(cluster.applied(1), LogIndex::new(2));
}

fn reads_by_lease(cluster: &mut Cluster) -> bool {
    let before = cluster.members[&id(1)].answers.len();
    cluster.input(id(1), Input::ReadByLease { id: ReadId(7) });
    let is_ready = |answer: &Effect| matches!(answer, Effect::ReadReady { .. });
    cluster.members[&id(1)].answers[before..].iter().any(is_ready)
}

/// A leader that rests hears nothing of its quorum, whatever is said of hosts (dissertation 6.4.1).
#[test]
fn a_lease_runs_out_at_rest_and_the_next_read_wakes_the_group() {
    let lease_reads = LeaseReads { election_timeout_ms_min: 150, drift_percent_max: 10 };
    let mut cluster = at_rest_with(Some(lease_reads), 0);
    cluster.run_for(lease_reads.promise());
    assert!(cluster.raft(1).rests());
    assert!(!reads_by_lease(&mut cluster), "it may have been replaced while it rested");
    cluster.run_for(Duration::from_millis(20));
    assert!(!cluster.raft(1).rests());
    assert!(reads_by_lease(&mut cluster), "it has asked a quorum");
    let answered = cluster.members[&id(1)].answers.iter().filter(|answer| matches!(answer, Effect::ReadReady { .. }));
    assert_eq!(answered.count(), 2, "and the first read is answered as well");
}

/// The configuration binds members for longer than their own timeouts.
#[test]
fn nobody_else_is_elected_while_a_leader_that_rested_may_answer_by_its_lease() {
    let lease_reads = LeaseReads { election_timeout_ms_min: 150, drift_percent_max: 0 };
    for seed in 0..50 {
        let mut cluster = at_rest_with(Some(lease_reads), seed);
        cluster.cut.extend([(id(1), id(2)), (id(1), id(3))]);
        let mut has_answered = false;
        for _ in 0..500 {
            silent(&mut cluster, 2, 1);
            silent(&mut cluster, 3, 1);
            let is_replaced = cluster.leaders().iter().any(|leader| *leader != id(1));
            let is_answered = cluster.leaders().contains(&id(1)) && reads_by_lease(&mut cluster);
            assert!(!(is_replaced && is_answered), "{seed}");
            has_answered |= is_answered;
            cluster.run_for(Duration::from_millis(1));
        }
        assert!(has_answered && cluster.leaders().iter().any(|leader| *leader != id(1)), "{seed}: nothing was tried");
    }
}

/// Its host may be started anew in no time, and then nobody was silent for long.
#[test]
fn who_has_just_heard_the_leader_waits_as_long_as_ever_before_it_campaigns() {
    for seed in 0..50 {
        let mut cluster = at_rest_with(None, seed);
        cluster.input(id(1), Input::Stirred);
        cluster.run_for(Duration::from_millis(1));
        assert!(!cluster.raft(2).rests(), "it has heard that something happens");
        while !cluster.raft(2).rests() {
            cluster.run_for(Duration::from_millis(1));
        }
        let heard = cluster.now;
        silent(&mut cluster, 2, 1);
        assert!(cluster.raft(2).next_deadline() >= heard.after(Duration::from_millis(99)), "{seed}");
    }
}
