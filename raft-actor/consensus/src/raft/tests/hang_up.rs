//! A leader whose process ends hangs up, and nobody waits for an election timeout.

use std::time::Duration;

use crate::testing::*;
use crate::*;

/// Three members, server 1 leads; the minimum election timeout is 100 ms.
fn led_by_1(settings: impl Fn(u64, Settings) -> Settings, lease_reads: Option<LeaseReads>) -> Cluster {
    let mut cluster = Cluster::of(3);
    for (n, member) in &mut cluster.members {
        let start = start(n.get(), 1..=3, &[]);
        let log = Log::new(LogPosition::ZERO, configuration(1..=3).with_lease_reads(lease_reads));
        member.raft = Raft::new(Start { settings: settings(n.get(), start.settings), log, ..start });
    }
    cluster.run_for(lease_reads.map_or(Duration::ZERO, |lease_reads| lease_reads.promise()));
    while cluster.leaders() != [id(1)] {
        cluster.time_out(1);
    }
    cluster.run_for(Duration::from_millis(30));
    assert_eq!(cluster.leaders(), [id(1)]);
    cluster
}

/// Its process is gone: nothing comes from it, and those who were connected know.
fn end(cluster: &mut Cluster, n: u64) {
    for other in (1..=3).filter(|other| *other != n) {
        cluster.cut.extend([(id(n), id(other)), (id(other), id(n))]);
    }
    (1..=3).filter(|other| *other != n).for_each(|other| hang_up(cluster, other, n));
}

fn hang_up(cluster: &mut Cluster, n: u64, by: u64) {
    cluster.input(id(n), Input::HungUp(id(by)));
    cluster.settle();
}

fn leads(cluster: &Cluster, n: u64) -> bool {
    cluster.leaders().contains(&id(n))
}

#[test]
fn a_leader_whose_process_ends_is_replaced_within_a_tenth_of_the_timeout() {
    let mut cluster = led_by_1(|_, settings| settings, None);
    end(&mut cluster, 1);
    cluster.run_for(Duration::from_millis(10));
    assert!(leads(&cluster, 2) || leads(&cluster, 3), "{:?}", cluster.leaders());
}

/// Whoever campaigns first has won before the next would begin: votes are not split, though all miss the leader at once.
#[test]
fn who_misses_a_leader_has_a_turn_of_its_own() {
    for dead in 1..=3 {
        let mut cluster = led_by_1(|_, settings| settings, None);
        while cluster.leaders() != [id(dead)] {
            cluster.run_for(Duration::from_millis(150));
            cluster.time_out(dead);
        }
        cluster.run_for(Duration::from_millis(30));
        cluster.delivered.clear();
        end(&mut cluster, dead);
        cluster.run_for(Duration::from_millis(20));
        let asked = cluster.delivered.iter().filter(|(_, _, message)| matches!(message, Message::RequestVote(_)));
        let candidates: std::collections::BTreeSet<_> = asked.map(|(from, ..)| *from).collect();
        assert_eq!(candidates.len(), 1, "after {dead}: {candidates:?}");
        assert!(leads(&cluster, candidates.first().expect("one").get()));
    }
}

/// Dissertation 4.2.3.
#[test]
fn who_alone_lost_the_way_to_a_leader_disturbs_nobody() {
    let mut cluster = led_by_1(|_, settings| settings, None);
    let term = cluster.raft(1).term();
    for _ in 0..20 {
        hang_up(&mut cluster, 2, 1);
        cluster.run_for(Duration::from_millis(40));
    }
    assert_eq!((cluster.leaders(), cluster.raft(1).term()), (vec![id(1)], term));
    assert_eq!(cluster.raft(2).leader(), Some(id(1)), "it follows as before");
}

#[test]
fn that_somebody_else_hangs_up_is_no_reason_to_campaign() {
    let mut cluster = led_by_1(|_, settings| settings, None);
    cluster.delivered.clear();
    hang_up(&mut cluster, 2, 3);
    hang_up(&mut cluster, 3, 2);
    cluster.run_for(Duration::from_millis(90));
    assert!(!cluster.delivered.iter().any(|(_, _, message)| matches!(message, Message::PreVote(_))));
}

/// Dissertation 6.4.1: it may be the connection that is gone, and the leader answers reads by what we promised.
#[test]
fn a_word_on_which_a_lease_may_rest_outlives_the_connection() {
    let lease_reads = LeaseReads { election_timeout_ms_min: 100, drift_percent_max: 10 };
    let mut cluster = led_by_1(|_, settings| settings, Some(lease_reads));
    let heard = cluster.now;
    end(&mut cluster, 1);
    while cluster.now < heard.after(lease_reads.promise() - Duration::from_millis(15)) {
        assert!(!leads(&cluster, 2) && !leads(&cluster, 3), "elected after {:?}", cluster.now.since(heard));
        cluster.run_for(Duration::from_millis(1));
    }
    cluster.run_for(Duration::from_secs(1));
    assert!(leads(&cluster, 2) || leads(&cluster, 3), "{:?}", cluster.leaders());
}

#[test]
fn who_is_of_a_lower_priority_waits_its_time_nevertheless() {
    let settings = |n, settings| Settings { election_priority: if n == 3 { 1 } else { 3 }, ..settings };
    let mut cluster = led_by_1(settings, None);
    end(&mut cluster, 1);
    cluster.run_for(Duration::from_millis(10));
    assert!(leads(&cluster, 2), "{:?}", cluster.leaders());
}
