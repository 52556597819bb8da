//! Servers that were removed: they count for nothing from then on, and are told so.

use std::cell::Cell;

use raft_actor::Membership;
use raft_actor::consensus::{LogIndex, Role};
use raft_transport::sim::{SimCluster, Transit};

use crate::support::{
    Played, Script, TIMEOUT, all_agree, append, append_reply, elect, is_on, ms, play_on, settings, settle_under,
};

fn cluster(founders: u64, joiners: u64) -> SimCluster<crate::support::Journal> {
    SimCluster::of(founders).joiners(joiners).settings(settings())
}

/// These voters, with the addresses of everybody.
fn of_voters(voters: &[u64]) -> Membership {
    let membership = Membership::of_voters(voters.iter().copied());
    (1..=5_u64).fold(membership, |membership, id| membership.address(id, format!("sim:{id}")))
}

fn last(sim: &Script, node: u64) -> LogIndex {
    sim.seen(node).map(|seen| seen.last).unwrap_or_default()
}

fn commit(sim: &Script, node: u64) -> LogIndex {
    sim.seen(node).map(|seen| seen.commit).unwrap_or_default()
}

/// 1 leads the voters 1 to 3, and reaches nobody any more but 4, who learnt and is removed.
fn remove_the_only_follower(sim: &mut Script) -> Played {
    settle_under(sim, 1)?;
    sim.change_membership(1, of_voters(&[1, 2, 3]).learners([4]));
    sim.expect("4 learns", |sim| sim.status(1).is_some_and(|status| status.learners.len() == 1))?;
    all_agree(sim)?;
    for other in [2, 3] {
        sim.cut(1, other);
        sim.cut(other, 1);
    }
    let before = last(sim, 1);
    sim.change_membership(1, of_voters(&[1, 2, 3]));
    sim.expect("4 has the configuration without it", |sim| last(sim, 4) > before)?;
    sim.require(sim.status(1).is_some_and(|status| status.learners.is_empty()), "1 has removed it")?;
    sim.require(commit(sim, 1) == before, "which is not committed")
}

/// It follows as long as it is spoken to, and that is no quorum (dissertation 6.2).
#[test]
fn who_was_removed_keeps_no_leader_in_office() {
    play_on(&cluster(3, 1), |sim| {
        remove_the_only_follower(sim)?;
        for other in [2, 3] {
            sim.cut(other, 4);
        }
        let is_over = sim.run_until(TIMEOUT * 2, |sim| sim.seen(1).is_some_and(|seen| seen.role != Role::Leader))?;
        sim.require(is_over, "1 leads no more")
    });
}

/// It has heard of a later leader, and its answers say so: its word ends nobody's office (dissertation 4.2.3).
#[test]
fn the_term_of_who_was_removed_ends_no_office() {
    play_on(&cluster(3, 1), |sim| {
        remove_the_only_follower(sim)?;
        let term = sim.seen(1).expect("it runs").term;
        sim.intercept(move |sent| match append_reply(sent) {
            Some(reply) if is_on(sent, 4, 1) && reply.term > term => Transit::Copied,
            _ => Transit::Arrives,
        });
        sim.jump_clock(3, TIMEOUT);
        elect(sim, 2)?;
        sim.expect("4 answers 1 in a later term", |sim| sim.held().count() > 0)?;
        sim.run_for(ms(10))?;
        let seen = sim.seen(1).expect("it runs");
        sim.require((seen.role, seen.term) == (Role::Leader, term), "1 leads on until it looks for its quorum")
    });
}

/// What is said once may be lost.
#[test]
fn a_farewell_that_is_lost_is_said_again() {
    play_on(&cluster(4, 0), |sim| {
        settle_under(sim, 1)?;
        // The joint configuration is the next entry, that without 4 the one behind it.
        let removed_by = last(sim, 1).plus(2);
        let is_lost = Cell::new(false);
        sim.intercept(move |sent| match append(sent) {
            Some(farewell) if is_on(sent, 1, 4) && farewell.commit >= removed_by && !is_lost.replace(true) => {
                Transit::Lost
            }
            _ => Transit::Arrives,
        });
        sim.change_membership(1, of_voters(&[1, 2, 3]));
        sim.expect("4 knows that it is out", |sim| commit(sim, 4) >= removed_by)?;
        sim.require(sim.seen(4).is_some_and(|seen| seen.role == Role::Learner), "it has no vote any more")
    });
}

/// A leader dies before it can tell whom it has removed.
#[test]
fn the_next_leader_takes_leave_of_who_was_removed() {
    play_on(&cluster(5, 0), |sim| {
        settle_under(sim, 1)?;
        let removed_by = last(sim, 1).plus(2);
        sim.intercept(move |sent| match append(sent) {
            Some(message)
                if !is_on(sent, 1, 2) && message.entries.last_position().is_some_and(|at| at.index >= removed_by) =>
            {
                Transit::Lost
            }
            _ => Transit::Arrives,
        });
        sim.change_membership(1, of_voters(&[1, 2, 3]));
        sim.expect("2 has the configuration without 4 and 5", |sim| last(sim, 2) >= removed_by)?;
        sim.crash(1);
        sim.intercept_nothing();
        sim.require([4, 5].into_iter().all(|id| last(sim, id) < removed_by), "they do not have it")?;
        elect(sim, 2)?;
        sim.expect("4 and 5 know that they are out", |sim| [4, 5].into_iter().all(|id| commit(sim, id) >= removed_by))
    });
}
