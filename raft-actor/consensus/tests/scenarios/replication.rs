//! Messages that come late, twice, or from a log that is gone.

use raft_consensus::{Input, Message};

use crate::support::lone::append;
use crate::support::{Cluster, Lone, Setup, at, entry, index, log_of_terms, node};

/// §5.3, "if an existing entry conflicts": a late and repeated AppendEntries that says less than the log
/// holds must not truncate what came after it, least of all what is committed.
#[test]
fn a_late_duplicate_does_not_truncate_what_is_committed() {
    let mut follower = Lone::of(3);
    follower.receive(2, append(1, at(0, 0), log_of_terms(&[1, 1, 1]), 3));
    follower.forget();
    for late in
        [append(1, at(0, 0), log_of_terms(&[1]), 0), append(1, at(1, 1), vec![], 0), append(1, at(0, 0), vec![], 0)]
    {
        follower.receive(2, late);
        assert_eq!(follower.log(), [at(1, 1), at(2, 1), at(3, 1)]);
        assert_eq!(follower.status().commit, index(3));
    }
    assert_eq!(follower.log_writes(), []);
}

/// Leader Completeness (§5.4): no true leader contradicts what is committed, so whoever does is not obeyed.
#[test]
fn a_message_that_contradicts_what_is_committed_changes_nothing() {
    let mut follower = Lone::of(3);
    follower.receive(2, append(1, at(0, 0), log_of_terms(&[1, 1, 1]), 3));
    follower.forget();
    follower.receive(3, append(2, at(1, 1), vec![entry(2, 2)], 3));
    assert_eq!(follower.log(), [at(1, 1), at(2, 1), at(3, 1)]);
    assert_eq!(follower.log_writes(), []);
}

/// A stream that reads the log only after its node stepped down and was overwritten finds that its order
/// is void: it names the last entry with its term.
#[test]
fn an_order_carried_out_after_the_log_was_overwritten_is_void() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    cluster.member_mut(1).streams_held = true;
    cluster.propose(1, "lost");
    assert_eq!(cluster.member(1).orders.len(), 2);
    cluster.partition(&[1]);
    cluster.deadline(2);
    cluster.settle();
    cluster.propose(2, "kept");
    cluster.settle();
    cluster.heal();
    cluster.run(500);
    assert_eq!(cluster.log(1), cluster.log(2), "n1's entry was overwritten");
    // Now the streams wake up.
    cluster.member_mut(1).streams_held = false;
    cluster.work(node(1));
    assert!(cluster.network.in_flight.is_empty(), "nothing of the old term leaves");
    assert_eq!(cluster.trace.iter().filter(|line| line.ends_with(": overwritten")).count(), 2);
}

/// With nothing answering, a leader sends what its window holds and no more, however much is proposed.
#[test]
fn the_window_bounds_what_is_under_way() {
    let setup = Setup::of(3).settings(|settings| settings.inflight_appends_max = 3);
    let mut cluster = setup.start();
    cluster.elect(1);
    cluster.settle();
    for n in 0..100 {
        cluster.propose(1, &format!("{n}"));
    }
    for to in [2, 3] {
        let under_way = cluster.network.in_flight.iter().filter(|packet| packet.to == node(to)).count();
        assert!(under_way <= 3, "{under_way} messages to n{to}");
    }
    cluster.settle();
    cluster.run(200);
    assert_eq!(cluster.applied(2).len(), 101);
    assert_eq!(cluster.applied(2), cluster.applied(3));
}

/// What was lost under way is sent again after the peer is heard from, without a new election.
#[test]
fn lost_messages_are_sent_again() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.settle();
    for n in 0..10 {
        cluster.propose(1, &format!("{n}"));
        cluster.network.take_all(|_| true);
    }
    cluster.run(1000);
    assert_eq!(cluster.status(1).commit, index(11));
    assert_eq!(cluster.applied(2), cluster.applied(1));
    assert_eq!(cluster.applied(3), cluster.applied(1));
    assert_eq!(cluster.status(1).term.get(), 1);
}

/// How many entries were sent to a server since the trace had this length.
fn entries_sent(cluster: &mut Cluster, to: u64, millis: u64) -> usize {
    let mut sent = 0;
    let end = cluster.now.after(std::time::Duration::from_millis(millis));
    while cluster.now < end {
        cluster.pass(10, false);
        while !cluster.network.in_flight.is_empty() {
            let packets = cluster.network.in_flight.iter().filter(|packet| packet.to == node(to));
            let entries =
                packets.map(|packet| if let Message::AppendEntries(m) = &packet.message { m.entries.len() } else { 0 });
            sent += entries.sum::<usize>();
            cluster.deliver_round();
        }
    }
    sent
}

/// A server that was down when the leader was elected is asked where its log ends; it is not sent all of it,
/// even if its connection was reported broken meanwhile.
#[test]
fn a_server_that_was_unreachable_is_not_sent_what_it_has() {
    for reported in [false, true] {
        let mut cluster = Setup::of(3)
            .log(1, log_of_terms(&[1; 1000]))
            .log(2, log_of_terms(&[1; 1000]))
            .log(3, log_of_terms(&[1; 990]))
            .start();
        cluster.crash(3);
        cluster.elect(1);
        if reported {
            cluster.input(node(1), Input::Unreachable(node(3)));
        }
        cluster.run(500);
        if reported {
            cluster.input(node(1), Input::Unreachable(node(3)));
        }
        cluster.restart(3);
        let sent = entries_sent(&mut cluster, 3, 1000);
        assert_eq!(cluster.log(3), cluster.log(1));
        assert!(sent < 30, "{sent} entries were sent for the 11 that it lacked (reported broken: {reported})");
    }
}
