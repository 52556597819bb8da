//! A server that comes back under its old id with an empty disk has forgotten what it promised. The configuration says
//! with which disk each voter became one, so all agree on who counts, whomever they have met.

use raft_consensus::{DirectoryId, LogIndex, NodeId, Role};

use crate::support::{Cluster, Setup, node, term};

/// n1 leads n1 and n2; n3 (and others up to `count`) wait to be added. All keep track of disks.
fn cluster(count: u64) -> Cluster {
    let mut cluster = (3..=count).fold(Setup::of(2), Setup::joining).disks().start();
    cluster.elect(1);
    cluster.run(200);
    cluster
}

fn disks(cluster: &Cluster, n: u64) -> Vec<(u64, u64)> {
    cluster.status(n).configuration.directories.iter().map(|(id, directory)| (id.get(), directory.0)).collect()
}

fn voters(cluster: &Cluster, n: u64) -> Vec<NodeId> {
    cluster.status(n).configuration.voters.iter().copied().collect()
}

fn cut_both(cluster: &mut Cluster, a: u64, b: u64) {
    cluster.network.cut(node(a), node(b));
    cluster.network.cut(node(b), node(a));
}

#[test]
fn whoever_gets_a_vote_gets_it_with_its_disk_and_all_know_those_of_all_voters() {
    let mut cluster = cluster(4);
    assert_eq!(disks(&cluster, 1), [], "founders know each other by other means");
    cluster.change_membership(1, &[1, 2, 3], &[4]);
    cluster.run(300);
    for n in 1..=4 {
        assert_eq!(disks(&cluster, n), [(1, 10), (2, 20), (3, 30)], "n{n}");
    }
    cluster.change_membership(1, &[1, 3, 4], &[2]);
    cluster.run(300);
    assert_eq!(disks(&cluster, 4), [(1, 10), (2, 20), (3, 30), (4, 40)], "who has no vote any more keeps its record");
    cluster.change_membership(1, &[1, 3], &[]);
    cluster.run(300);
    assert_eq!(disks(&cluster, 1), [(1, 10), (3, 30)], "who has left has none");
}

/// n2 never heard n3 before n3 lost its disk. n3 had voted in a term of which n2, in office in an earlier one, knows
/// nothing: if n2 counted what the empty disk holds, the winner of that later term would lack it.
#[test]
fn a_leader_that_never_met_the_old_disk_does_not_count_the_new_one() {
    let mut cluster = cluster(3);
    cluster.network.cut(node(3), node(2));
    cluster.change_membership(1, &[1, 2, 3], &[]);
    cluster.run(300);
    cluster.transfer(1, Some(2));
    cluster.settle();
    cluster.run(100);
    assert_eq!(cluster.leader(), Some(2));
    let office = cluster.term(2);

    // n1 is elected by n3; n2 does not hear of it.
    cut_both(&mut cluster, 1, 2);
    cluster.network.cut(node(2), node(3));
    let settings = cluster.member(3).settings.clone();
    cluster.now = cluster.now.after(settings.election_timeout_min() * 3);
    cluster.deadline(1);
    cluster.settle();
    assert_eq!(cluster.role(1), Role::Leader);
    assert!(cluster.term(1) > office);
    // n2 has not looked at its clock since.
    assert_eq!((cluster.role(2), cluster.term(2)), (Role::Leader, office));

    cluster.wipe(3);
    cluster.restart(3);
    cut_both(&mut cluster, 1, 3);
    cluster.network.mend(node(2), node(3));
    cluster.network.mend(node(3), node(2));
    let before = cluster.status(2).commit;
    cluster.propose(2, "lost");
    for _ in 0..3 {
        // It asks everybody whether it still leads.
        cluster.read(2);
        cluster.settle();
    }
    assert_eq!(cluster.term(3), office, "it follows the first who leads it");
    assert_eq!(cluster.status(2).commit, before, "the empty disk counts for nothing");
    cluster.deadline(2);
    assert_ne!(cluster.role(2), Role::Leader, "nor does it keep n2 in office");

    cluster.heal();
    cluster.run(1000);
    assert!(cluster.leader().is_some_and(|leader| leader != 3));
    assert!(cluster.applied(1).iter().all(|entry| entry.payload != raft_consensus::Payload::Command("lost".into())));
}

/// It would have the votes of n3, whose empty disk grants them to anybody; but n3 itself finds in the configuration that
/// it is not who it was.
#[test]
fn a_server_that_finds_another_disk_under_its_id_neither_votes_nor_campaigns() {
    let mut cluster = cluster(3);
    cluster.change_membership(1, &[1, 2, 3], &[]);
    cluster.run(300);
    cluster.propose(1, "x");
    cluster.run(100);
    // As if somebody had copied the log onto a new disk.
    cluster.crash(3);
    cluster.member_mut(3).directory = Some(DirectoryId(31));
    cluster.restart(3);
    cluster.crash(1);
    let office = cluster.term(3);
    cluster.run(10_000);
    assert_eq!(cluster.leader(), None, "n2 has only its own vote");
    assert_eq!((cluster.term(2), cluster.term(3)), (office, office));
    assert_eq!(cluster.role(3), Role::Follower);

    cluster.crash(3);
    cluster.member_mut(3).directory = Some(DirectoryId(30));
    cluster.restart(3);
    cluster.run(2000);
    assert!(cluster.leader().is_some(), "with its own disk it counts");
}

#[test]
fn removed_and_added_again_it_is_a_voter_with_its_new_disk() {
    let mut cluster = cluster(4);
    cluster.change_membership(1, &[1, 2, 3, 4], &[]);
    cluster.run(300);
    cluster.wipe(4);
    cluster.restart(4);
    cluster.run(300);
    assert_eq!(disks(&cluster, 4).last(), Some(&(4, 40)), "it is told that it is not who it was");
    assert_eq!(cluster.status(1).peers[&node(4)].matched, LogIndex::ZERO, "and not heard");
    cluster.change_membership(1, &[1, 2, 3], &[]);
    cluster.run(2000);
    cluster.change_membership(1, &[1, 2, 3, 4], &[]);
    cluster.run(1000);
    assert_eq!(disks(&cluster, 4), [(1, 10), (2, 20), (3, 30), (4, 41)]);
    cluster.crash(3);
    cluster.crash(2);
    cluster.wipe(2);
    cluster.restart(3);
    cluster.propose(1, "with n3 and n4");
    cluster.run(300);
    assert_eq!(cluster.applied(4).len(), cluster.log(1).len());
}

/// What it acknowledged before is gone, so it is promoted only when the new disk has it all.
#[test]
fn a_joiner_that_is_wiped_while_it_catches_up_begins_from_the_start() {
    let mut cluster = cluster(3);
    cluster.propose_all(1, &["a", "b", "c"]);
    cluster.run(100);
    // It has all there is, and the configuration that says so is not committed.
    cluster.network.cut(node(2), node(1));
    cluster.change_membership(1, &[1, 2, 3], &[]);
    cluster.settle();
    let matched = |cluster: &Cluster| cluster.status(1).peers[&node(3)].matched;
    assert_eq!(matched(&cluster), cluster.status(1).last.index);

    cluster.wipe(3);
    cluster.restart(3);
    cluster.deadline(1);
    let packets = cluster.network.take_all(|packet| packet.to == node(3));
    packets.into_iter().for_each(|packet| cluster.hand_over(packet));
    cluster.member_mut(3).disk.held = true;
    cluster.network.mend(node(2), node(1));
    cluster.deadline(1);
    cluster.settle();
    assert_eq!(matched(&cluster), LogIndex::ZERO);
    assert!(cluster.status(1).commit >= cluster.configured_at(1));
    assert_eq!(voters(&cluster, 1), [node(1), node(2)], "it does not count with what the old disk had");

    cluster.member_mut(3).disk.held = false;
    cluster.work(node(3));
    cluster.run(500);
    assert_eq!(voters(&cluster, 3), [node(1), node(2), node(3)]);
    assert_eq!(disks(&cluster, 3), [(1, 10), (2, 20), (3, 31)]);
    assert_eq!(cluster.log(3).len(), cluster.log(1).len());
}

/// The leader that promoted the first disk could not commit that; its successor promotes the second one.
#[test]
fn what_is_recorded_is_rolled_back_with_the_configuration_that_says_it() {
    let mut cluster = Setup::of(3).joining(4).disks().start();
    cluster.elect(1);
    cluster.run(200);
    cluster.change_membership(1, &[1, 2, 3, 4], &[]);
    cluster.deliver_round();
    // The wish is committed; nobody gets the joint configuration but n4.
    while !cluster.status(1).configuration.is_joint() {
        cluster.deliver_round();
    }
    cluster.network.in_flight.retain(|packet| packet.to == node(4));
    cluster.partition(&[1, 4]);
    cluster.settle();
    assert!(cluster.status(4).configuration.is_joint());
    assert_eq!(disks(&cluster, 4).last(), Some(&(4, 40)));
    let mut office = cluster.term(1);
    cluster.run(2000);
    cluster.crash(1);
    assert!(cluster.leader().is_some_and(|leader| leader == 2 || leader == 3));

    cluster.wipe(4);
    cluster.restart(4);
    cluster.heal();
    cluster.run(2000);
    office = office.next();
    assert!(cluster.term(4) >= office && office > term(1));
    assert_eq!(voters(&cluster, 4), [1, 2, 3, 4].map(node));
    assert_eq!(disks(&cluster, 4), [(1, 10), (2, 20), (3, 30), (4, 41)]);
    cluster.restart(1);
    cluster.run(1000);
    assert_eq!(disks(&cluster, 1), disks(&cluster, 4));
}

/// It is not enough to have met those who are needed now: all voters have to be told apart by everybody later.
#[test]
fn nobody_gets_a_vote_before_the_leader_has_met_all_who_have_one() {
    let mut cluster = Setup::of(3).joining(4).disks().start();
    cluster.crash(3);
    cluster.elect(1);
    cluster.run(200);
    cluster.change_membership(1, &[1, 2, 3, 4], &[]);
    cluster.run(1000);
    assert_eq!(voters(&cluster, 1), [1, 2, 3].map(node), "n4 has caught up, and nobody knows the disk of n3");
    assert_eq!(cluster.log(4).len(), cluster.log(1).len());
    cluster.restart(3);
    cluster.run(1000);
    assert_eq!(disks(&cluster, 4), [(1, 10), (2, 20), (3, 30), (4, 40)]);
    // To remove somebody does not need that.
    cluster.change_membership(1, &[1, 2, 4], &[]);
    cluster.run(500);
    assert_eq!(voters(&cluster, 4), [1, 2, 4].map(node));
}

#[test]
fn the_disks_come_with_a_snapshot() {
    let mut cluster =
        Setup::of(3).settings(|settings| (settings.snapshot_entries, settings.log_tail_entries) = (5, 0)).joining(4);
    cluster = cluster.disks();
    let mut cluster = cluster.start();
    cluster.elect(1);
    cluster.run(200);
    cluster.crash(3);
    cluster.restart(3);
    cluster.run(200);
    cluster.partition(&[3]);
    cluster.change_membership(1, &[1, 2, 3, 4], &[]);
    cluster.run(300);
    for at in 0..20 {
        cluster.propose(1, &format!("x{at}"));
        cluster.run(20);
    }
    cluster.heal();
    cluster.run(1000);
    assert!(cluster.status(3).base.index > LogIndex::ZERO);
    assert_eq!(disks(&cluster, 3), [(1, 10), (2, 20), (3, 30), (4, 40)]);
    // Also after a restart, when the log says nothing of it.
    cluster.crash(3);
    cluster.member_mut(3).directory = Some(DirectoryId(31));
    cluster.restart(3);
    assert_eq!(disks(&cluster, 3), [(1, 10), (2, 20), (3, 30), (4, 40)]);
    cluster.crash(1);
    cluster.crash(2);
    cluster.run(5000);
    assert_eq!(cluster.role(3), Role::Follower, "it knows that it is not who it was");
}
