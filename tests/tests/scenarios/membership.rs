//! Who belongs to the cluster, while that changes.

use std::time::Duration;

use raft_actor::Membership;
use raft_actor::consensus::{NodeId, Role};
use raft_transport::sim::{SimCluster, Transit};

use crate::support::{
    Script, TIMEOUT, all_agree, append, begin_write, elect, is_applied, is_on, ms, play_on, read, settings,
    settle_under, vote, write,
};

/// `founders` servers that lead a cluster, and as many as `joiners` that wait to be added.
fn cluster(founders: u64, joiners: u64) -> SimCluster<crate::support::Journal> {
    SimCluster::of(founders).joiners(joiners).settings(settings())
}

/// These voters, with the addresses of everybody.
fn of_voters(voters: &[u64]) -> Membership {
    let membership = Membership::of_voters(voters.iter().copied());
    (1..=5_u64).fold(membership, |membership, id| membership.address(id, format!("sim:{id}")))
}

fn voters_at(sim: &Script, node: u64) -> Vec<u64> {
    sim.status(node).map(|status| status.voters.iter().map(|id| id.get()).collect()).unwrap_or_default()
}

/// The two disjoint majorities of 2015 come from a leader that changes the membership before it knows which one counts.
#[test]
fn a_new_leader_changes_no_membership_before_an_entry_of_its_own_term_is_committed() {
    play_on(&cluster(4, 1), |sim| {
        settle_under(sim, 1)?;
        // The first leader adds 5, and nobody else hears of it.
        [2, 3, 4].into_iter().for_each(|other| sim.cut(1, other));
        sim.change_membership(1, of_voters(&[1, 2, 3, 4, 5]));
        let first_term = sim.seen(1).expect("it runs").term;
        sim.run_for(ms(50))?;
        sim.crash(1);
        sim.mend_network();
        // The second removes 1. Nothing of its term is committed.
        sim.intercept(move |sent| match append(sent) {
            Some(message) if message.entries.iter().any(|entry| entry.position.term > first_term) => Transit::Held,
            _ => Transit::Arrives,
        });
        elect(sim, 2)?;
        let log = sim.seen(2).expect("it runs").last;
        sim.change_membership(2, of_voters(&[2, 3, 4]));
        sim.run_for(TIMEOUT)?;
        sim.require(sim.leader() == Some(2.into()), "2 leads and is in contact")?;
        sim.require(sim.seen(2).expect("it runs").last == log, "nothing is appended")?;
        sim.require(voters_at(sim, 2) == [1, 2, 3, 4], "the former membership counts")?;
        sim.intercept_nothing();
        sim.let_go();
        sim.expect("as soon as its no-op is committed the change goes on", |sim| voters_at(sim, 2) == [2, 3, 4])?;
        write(sim, 3, "in the new membership")
    });
}

/// A configuration counts from when it is in the log (etcd #7625): the one alone does not decide any more.
#[test]
fn a_configuration_counts_from_when_it_is_appended() {
    play_on(&cluster(1, 1), |sim| {
        sim.await_leader()?;
        all_agree(sim)?;
        // 2 catches up as a learner, and hears nothing of the configuration that makes it a voter.
        sim.change_membership(1, of_voters(&[1]).learners([2]));
        sim.expect("2 learns", |sim| {
            sim.seen(2).is_some_and(|seen| seen.applied == sim.seen(1).expect("it runs").applied)
        })?;
        let joint = sim.seen(1).expect("it runs").last.next();
        sim.intercept(move |sent| match append(sent) {
            Some(message) if message.entries.iter().any(|entry| entry.position.index > joint) => Transit::Lost,
            _ => Transit::Arrives,
        });
        sim.change_membership(1, of_voters(&[1, 2]));
        sim.expect("1 has it in its log", |sim| voters_at(sim, 1) == [1, 2])?;
        let ticket = begin_write(sim, 1, "by both or not at all");
        sim.run_for(ms(200))?;
        sim.require(sim.seen(1).expect("it runs").role == Role::Leader, "1 leads")?;
        sim.require(!is_applied(sim, ticket), "it does not decide alone any more")?;
        sim.intercept_nothing();
        sim.expect("with 2 it does", |sim| is_applied(sim, ticket))
    });
}

/// A configuration that is truncated is gone: for now, and after every restart.
#[test]
fn a_configuration_that_was_overwritten_does_not_come_back_with_a_restart() {
    play_on(&cluster(3, 2), |sim| {
        settle_under(sim, 1)?;
        sim.isolate(1);
        sim.change_membership(1, of_voters(&[1, 2, 3]).learners([4]));
        sim.expect("it counts at once", |sim| sim.status(1).is_some_and(|status| !status.learners.is_empty()))?;
        sim.run_for(ms(20))?;
        sim.crash(1);
        sim.start(1);
        sim.expect("it counts after a restart", |sim| {
            sim.status(1).is_some_and(|status| status.learners == [NodeId::from(4)])
        })?;
        elect(sim, 2)?;
        write(sim, 2, "that takes its place")?;
        sim.mend_network();
        sim.expect("it does not count any more", |sim| {
            sim.status(1).is_some_and(|status| status.learners.is_empty() && voters_at(sim, 1) == [1, 2, 3])
        })?;
        all_agree_of(sim, &[1, 2, 3])?;
        sim.crash_machine(1);
        sim.start(1);
        sim.expect("1 is back", |sim| sim.status(1).is_some_and(|status| !status.voters.is_empty()))?;
        let status = sim.status(1).expect("it runs");
        sim.require(status.learners.is_empty() && voters_at(sim, 1) == [1, 2, 3], "it does not count after a restart")
    });
}

/// Whoever was removed and does not know campaigns for ever (hashicorp/raft #524).
#[test]
fn a_server_that_was_removed_without_hearing_so_costs_no_term() {
    play_on(&cluster(4, 0), |sim| {
        settle_under(sim, 1)?;
        sim.isolate(4);
        sim.change_membership(1, of_voters(&[1, 2, 3]));
        sim.expect("4 is removed", |sim| [1, 2, 3].into_iter().all(|id| voters_at(sim, id) == [1, 2, 3]))?;
        write(sim, 1, "without 4")?;
        let term = sim.seen(1).expect("it runs").term;
        sim.mend_network();
        for number in 0..20 {
            sim.jump_clock(4, TIMEOUT * 2);
            sim.run_for(ms(500))?;
            write(sim, 2, &format!("line {number}"))?;
            sim.require(sim.leader() == Some(1.into()), "1 leads on")?;
        }
        sim.require(
            [1, 2, 3].into_iter().all(|id| sim.seen(id).is_some_and(|seen| seen.term == term)),
            "the term stays the same",
        )
    });
}

/// A learner that was made a voter and does not know yet is needed for a majority, and must not refuse.
#[test]
fn a_server_that_takes_itself_for_a_learner_votes_when_it_is_asked() {
    play_on(&cluster(3, 1), |sim| {
        settle_under(sim, 1)?;
        sim.change_membership(1, of_voters(&[1, 2, 3]).learners([4]));
        sim.expect("4 learns", |sim| {
            sim.seen(4).is_some_and(|seen| seen.role == Role::Learner && seen.last.get() >= 3)
        })?;
        all_agree(sim)?;
        let learned = sim.seen(4).expect("it runs").last;
        sim.intercept(move |sent| match append(sent) {
            Some(message) if sent.to == 4.into() => {
                let is_news = message.entries.iter().any(|entry| entry.position.index > learned);
                if is_news { Transit::Lost } else { Transit::Arrives }
            }
            _ => Transit::Arrives,
        });
        sim.change_membership(1, of_voters(&[1, 2, 3, 4]));
        sim.expect("it is a voter", |sim| [1, 2, 3].into_iter().all(|id| voters_at(sim, id) == [1, 2, 3, 4]))?;
        all_agree_of(sim, &[1, 2, 3])?;
        sim.require(sim.seen(4).expect("it runs").role == Role::Learner, "4 does not know")?;

        // Three of four are needed.
        sim.crash(1);
        sim.intercept(move |sent| match append(sent) {
            Some(message) if sent.to == 4.into() && !message.entries.is_empty() => Transit::Held,
            _ if vote(sent).is_some() && sent.from == 4.into() => Transit::Copied,
            _ => Transit::Arrives,
        });
        let leader = sim.await_leader()?;
        sim.require(sim.held().any(|sent| vote(sent).is_some() && sent.to == leader), "it voted for whoever leads")?;
        sim.require(sim.seen(4).expect("it runs").role == Role::Learner, "4 takes itself for a learner")?;
        sim.intercept_nothing();
        write(sim, 2, "with the vote of 4")
    });
}

/// A server that has nothing of the log yet must not be needed for a majority.
#[test]
fn a_server_that_has_not_caught_up_is_needed_by_nobody() {
    play_on(&cluster(3, 1), |sim| {
        settle_under(sim, 1)?;
        write(sim, 1, "before")?;
        sim.cut(1, 4);
        sim.change_membership(1, of_voters(&[1, 2, 3, 4]));
        sim.run_for(ms(500))?;
        sim.require(voters_at(sim, 1) == [1, 2, 3], "4 has no vote yet")?;
        // With four voters, two of them were not enough.
        sim.isolate(3);
        write(sim, 1, "by 1 and 2")?;
        sim.mend_network();
        sim.expect("4 gets its vote when it has caught up", |sim| voters_at(sim, 1) == [1, 2, 3, 4])?;
        sim.require(
            sim.seen(4).is_some_and(|seen| seen.last >= sim.seen(2).expect("it runs").commit.prev()),
            "it has",
        )?;
        let lines = read(sim, 4)?;
        sim.require(lines == ["before", "by 1 and 2"], "4 serves")
    });
}

/// Two leaders of different terms each change the membership; what the first began is gone, and only one membership
/// comes of it.
#[test]
fn of_two_memberships_that_two_leaders_began_one_comes_to_be_everywhere() {
    play_on(&cluster(3, 2), |sim| {
        settle_under(sim, 1)?;
        sim.cut(1, 2);
        sim.cut(1, 3);
        sim.change_membership(1, of_voters(&[1, 2, 3]).learners([4]));
        sim.expect("4 belongs to it, for 1", |sim| sim.status(1).is_some_and(|s| s.learners == [NodeId::from(4)]))?;
        sim.isolate(1);
        elect(sim, 2)?;
        sim.change_membership(2, of_voters(&[2, 3, 5]));
        sim.expect("the second one is in force", |sim| {
            voters_at(sim, 2) == [2, 3, 5] && voters_at(sim, 5) == [2, 3, 5]
        })?;
        write(sim, 5, "in the second membership")?;
        sim.mend_network();
        sim.run_for(TIMEOUT * 10)?;
        sim.require([2, 3, 5].into_iter().all(|id| voters_at(sim, id) == [2, 3, 5]), "it stays in force")?;
        sim.require(sim.leader().is_some_and(|leader| [2, 3, 5].contains(&leader.get())), "one of its voters leads")?;
        let from_first = |sent: &raft_actor::envelope::Envelope| is_on(sent, 1, 4) && append(sent).is_some();
        sim.intercept(move |sent| if from_first(sent) { Transit::Copied } else { Transit::Arrives });
        sim.run_for(TIMEOUT * 10)?;
        sim.require(sim.held().next().is_none(), "1 leads nobody any more")?;
        write(sim, 3, "still in the second")
    });
}

fn all_agree_of(sim: &mut Script, ids: &[u64]) -> crate::support::Played {
    sim.expect("they know all that there is", |sim| {
        let seen: Vec<_> = ids.iter().filter_map(|id| sim.seen(*id)).collect();
        seen.len() == ids.len()
            && seen
                .iter()
                .all(|one| (one.last, one.applied) == (one.commit, one.commit) && one.commit == seen[0].commit)
    })
}

/// A server that is removed and added again has to introduce itself anew, or nobody records which disk it has
/// (seed 906): then it could come back with another one and vote.
#[test]
fn a_server_that_was_added_again_is_known_by_its_disk() {
    play_on(&cluster(4, 0), |sim| {
        settle_under(sim, 1)?;
        sim.change_membership(1, of_voters(&[1, 2, 3]));
        sim.expect("4 is removed", |sim| (1..=3).all(|id| voters_at(sim, id) == [1, 2, 3]))?;
        sim.run_for(Duration::from_secs(2))?;
        sim.change_membership(1, of_voters(&[1, 2, 3, 4]));
        sim.expect("4 is back", |sim| (1..=4).all(|id| voters_at(sim, id) == [1, 2, 3, 4]))?;
        write(sim, 4, "through 4")?;
        all_agree(sim)?;
        sim.wipe(4);
        sim.start(4);
        sim.run_for(Duration::from_secs(2))?;
        let why = sim.refusal(4, 1).map(|why| why.to_string()).unwrap_or_default();
        sim.require(why.contains("wiped"), &format!("the leader does not let it in: {why:?}"))?;
        write(sim, 2, "without 4")
    });
}

/// A process that dies while it records whom it meets is dead (seed 2692), though it may need nothing else of its disk
/// for a long time.
#[test]
fn a_server_that_dies_while_it_records_a_peer_is_dead_and_comes_back() {
    play_on(&cluster(3, 1), |sim| {
        // 3 gets to know that 4 is a member, and does not meet it. With which disk it is one is not said of a learner.
        sim.cut(4, 3);
        settle_under(sim, 1)?;
        sim.change_membership(1, of_voters(&[1, 2, 3]).learners([4]));
        sim.expect("3 knows that 4 belongs to it", |sim| {
            sim.status(3).is_some_and(|status| status.learners.contains(&4.into()))
        })?;
        sim.run_for(Duration::from_secs(1))?;
        sim.kill_after(3, 0);
        sim.run_for(Duration::from_secs(1))?;
        sim.require(sim.is_up(3), "nothing else is written")?;
        sim.mend_network();
        sim.expect("it dies of the first thing that it writes", |sim| !sim.is_up(3))?;
        sim.expect("it is started again", |sim| sim.is_up(3))?;
        all_agree(sim)
    });
}

/// A newcomer whose disk is emptied before it belongs to the cluster has said nothing that anybody counted (seed 1951):
/// with its second disk it is a member like any other, and the recovery may not ask for another leader.
#[test]
fn a_newcomer_whose_disk_was_emptied_before_it_was_added_may_lead() {
    play_on(&cluster(3, 1), |sim| {
        sim.wipe(4);
        sim.start(4);
        settle_under(sim, 1)?;
        sim.change_membership(1, of_voters(&[1, 2, 3, 4]));
        sim.expect("4 is a voter", |sim| voters_at(sim, 1) == [1, 2, 3, 4] && voters_at(sim, 4) == [1, 2, 3, 4])?;
        all_agree(sim)?;
        sim.transfer_leadership(1, Some(4.into()));
        sim.expect("4 leads", |sim| sim.leader() == Some(4.into()))?;
        sim.quiet_clients();
        sim.recover(Duration::from_secs(30))
    });
}
