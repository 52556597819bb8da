//! Reads by lease (dissertation 6.4.1).

use raft_consensus::{Effect, Input, LeaseReads, ReadId, Role};

use crate::support::cluster::ReadOutcome;
use crate::support::{Lone, Setup, index, node, voters};

/// What the configuration says counts for all, however they were started: also for who would be quicker by itself.
#[test]
fn a_member_whose_own_timeouts_are_shorter_keeps_its_word() {
    let lease_reads = LeaseReads { election_timeout_ms_min: 5000, drift_percent_max: 10 };
    let mut cluster = Setup::of(3).configuration(voters(3).with_lease_reads(lease_reads)).start();
    cluster.run(20_000);
    let leader = cluster.leader().expect("there is one after the first five seconds");
    cluster.crash(leader);
    cluster.run(3_900);
    let others: Vec<u64> = (1..=3).filter(|n| *n != leader).collect();
    let roles = others.iter().map(|n| cluster.role(*n));
    assert!(roles.into_iter().all(|role| role == Role::Follower), "their own timeouts are at most two seconds");
    cluster.run(10_000);
    assert!(cluster.leader().is_some());
}

/// The leader's own settings count for nothing either: its lease is that of the configuration.
#[test]
fn a_lease_is_as_long_as_the_configuration_says() {
    let lease_reads = LeaseReads { election_timeout_ms_min: 500, drift_percent_max: 20 };
    let mut cluster = Setup::of(3).configuration(voters(3).with_lease_reads(lease_reads)).start();
    cluster.elect(1);
    cluster.settle();
    cluster.partition(&[1]);
    cluster.pass(299, false);
    let within = cluster.read_by_lease(1);
    cluster.pass(1, false);
    let beyond = cluster.read_by_lease(1);
    assert_eq!(cluster.reads.get(&within), Some(&ReadOutcome::Ready(index(1))));
    assert_eq!(cluster.reads.get(&beyond), None, "nobody confirms it");
}

/// Where nothing is said of leases, a read by lease is like any other.
#[test]
fn without_lease_reads_a_majority_is_asked() {
    let mut leader = Lone::leader(&Setup::of(3), 3);
    leader.input(Input::ReadByLease { id: ReadId(1) });
    assert!(!leader.sent_appends().is_empty(), "it asks");
    let is_answered = leader.effects().iter().any(|effect| matches!(effect, Effect::ReadReady { .. }));
    assert!(!is_answered);
}

/// A member that was restarted may have forgotten whom it heard, and a whole cluster that was does elect a leader.
#[test]
fn a_cluster_that_was_restarted_elects_a_leader_after_the_leases_that_may_have_been() {
    let mut cluster = Setup::of(3).lease_reads(10).start();
    cluster.elect(1);
    cluster.settle();
    for n in 1..=3 {
        cluster.crash(n);
        cluster.restart(n);
    }
    cluster.run(990);
    assert_eq!(cluster.leader(), None);
    cluster.run(5_000);
    let leader = cluster.leader().expect("nobody is bound any more");
    let read = cluster.read_by_lease(leader);
    assert!(matches!(cluster.reads.get(&read), Some(ReadOutcome::Ready(_))), "n{leader} has a lease");
    assert!(cluster.checker.leaders().values().any(|id| *id == node(leader)));
}

/// A majority that echoes and does not durably have the leader's first entry cannot be counted on.
#[test]
fn an_echo_without_the_leaders_first_entry_gives_no_lease() {
    let mut cluster = Setup::of(3).lease_reads(10).start();
    cluster.elect(1);
    cluster.settle();
    cluster.crash(3);
    cluster.transfer(1, Some(2));
    cluster.settle();
    assert_eq!(cluster.role(2), Role::Leader);
    cluster.restart(3);
    // n1 committed the entry of n2 with it, and is gone; n3 hears n2, and is sent no entries.
    cluster.crash(1);
    cluster.member_mut(2).streams_held = true;
    cluster.run(1000);
    cluster.settle();
    let read = cluster.read_by_lease(2);
    assert_eq!(cluster.reads.get(&read), None, "it has to ask: after a restart n3 would know nothing");
}
