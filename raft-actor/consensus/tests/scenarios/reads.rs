//! Linearizable reads (§8, dissertation 6.4).

use raft_consensus::{Effect, Input, ReadId, Role};

use crate::support::cluster::ReadOutcome;
use crate::support::{Cluster, Lone, Setup, index, log_of_terms, node};

/// tikv #9239: a new leader does not know yet what is committed; it serves no read before its own no-op is.
#[test]
fn no_read_is_served_before_the_leaders_own_no_op_is_committed() {
    let mut cluster = Setup::of(3).log(1, log_of_terms(&[1, 1])).log(2, log_of_terms(&[1, 1])).start();
    cluster.deadline(1);
    for _ in 0..4 {
        cluster.deliver_round();
    }
    assert_eq!(cluster.role(1), Role::Leader);
    let read = cluster.read(1);
    // The followers confirm the round, but refuse or have not stored the no-op yet.
    cluster.member_mut(2).disk.held = true;
    cluster.member_mut(3).disk.held = true;
    cluster.settle();
    assert_eq!(cluster.reads.get(&read), None);
    cluster.sync(node(2), usize::MAX);
    cluster.settle();
    assert_eq!(cluster.reads.get(&read), Some(&ReadOutcome::Ready(index(3))), "all of the former leader's is seen");
}

/// A confirmation that was sent before the read arrived proves nothing about it.
#[test]
fn an_echo_of_an_earlier_round_does_not_confirm_a_read() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.deadline(1);
    cluster.deliver(1, 2);
    // The echo of the heartbeat is on its way; then the read arrives, and n1 is cut off.
    let read = cluster.read(1);
    cluster.network.take_all(|packet| packet.from == node(1));
    assert!(cluster.deliver(2, 1) > 0);
    assert_eq!(cluster.reads.get(&read), None);
    cluster.deadline(1);
    cluster.settle();
    assert_eq!(cluster.reads.get(&read), Some(&ReadOutcome::Ready(index(1))));
}

/// A leader that was overruled without knowing it serves no stale read.
#[test]
fn a_leader_that_was_overruled_refuses_its_reads() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.partition(&[1]);
    let stale = cluster.read(1);
    cluster.deadline(2);
    cluster.settle();
    assert_eq!(cluster.role(2), Role::Leader);
    cluster.propose(2, "x");
    cluster.settle();
    assert_eq!(cluster.role(1), Role::Leader, "it does not know yet");
    let late = cluster.read(1);
    cluster.heal();
    cluster.run(2000);
    assert_eq!(cluster.reads.get(&stale), Some(&ReadOutcome::Refused));
    assert_eq!(cluster.reads.get(&late), Some(&ReadOutcome::Refused));
    let fresh = cluster.read(2);
    cluster.settle();
    assert_eq!(cluster.reads.get(&fresh), Some(&ReadOutcome::Ready(index(3))));
}

/// Many reads that wait together cost one round.
#[test]
fn reads_that_wait_together_share_a_round() {
    let mut leader = Lone::leader(&Setup::of(3), 3);
    for read in 0..100 {
        leader.input(Input::Read { id: ReadId(read) });
    }
    let sent = leader.sent_appends().len();
    assert!(sent <= 6, "100 reads caused {sent} messages");
    let answered = leader.effects().iter().filter(|effect| matches!(effect, Effect::ReadReady { .. })).count();
    assert_eq!(answered, 0);
}
