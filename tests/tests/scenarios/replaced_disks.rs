//! Who counts as a member that comes back with an empty disk: all agree on that, whomever they have met.

use raft_actor::Membership;
use raft_actor::consensus::{Role, Settings};
use raft_transport::sim::SimCluster;

use crate::support::{
    Journal, Script, all_agree, begin_write, elect, is_applied, ms, play_on, read, settings, settle_under, write,
};

/// These voters, with the addresses of everybody.
fn of_voters(voters: &[u64]) -> Membership {
    let membership = Membership::of_voters(voters.iter().copied());
    (1..=4_u64).fold(membership, |membership, id| membership.address(id, format!("sim:{id}")))
}

fn voters_at(sim: &Script, node: u64) -> Vec<u64> {
    sim.status(node).map(|status| status.voters.iter().map(|id| id.get()).collect()).unwrap_or_default()
}

fn cut_both(sim: &mut Script, a: u64, b: u64) {
    sim.cut(a, b);
    sim.cut(b, a);
}

fn is_wiped(sim: &Script, from: u64, to: u64) -> bool {
    sim.refusal(from, to).is_some_and(|why| why.to_string().contains("wiped"))
}

/// 3 joins, and 2 never meets it. 3 votes for 1 in a term of which 2, in office in an earlier one, does not hear, and comes
/// back with an empty disk, which 2 meets as the first one. If 2 counted it, the two would commit what the leader of the
/// later term lacks.
#[test]
fn a_leader_that_never_met_the_old_disk_does_not_count_the_new_one() {
    // So that 2 stays in office for long enough, whatever happens to the clocks of the others.
    let patient = Settings { election_timeout_ms_min: 3000, ..settings() };
    let cluster: SimCluster<Journal> = SimCluster::of(2).joiners(1).settings(patient);
    play_on(&cluster, |sim| {
        cut_both(sim, 2, 3);
        settle_under(sim, 1)?;
        sim.change_membership(1, of_voters(&[1, 2, 3]));
        sim.expect("3 has a vote", |sim| (1..=3).all(|id| voters_at(sim, id) == [1, 2, 3]))?;
        sim.transfer_leadership(1, Some(2.into()));
        sim.expect("2 leads", |sim| sim.leader() == Some(2.into()))?;
        write(sim, 2, "under 2")?;

        cut_both(sim, 1, 2);
        sim.jump_clock(3, ms(4000));
        sim.jump_clock(1, ms(4000));
        elect(sim, 1)?;
        sim.wipe(3);
        cut_both(sim, 1, 3);
        sim.mend(2, 3);
        sim.mend(3, 2);
        sim.start(3);
        sim.require(sim.seen(2).is_some_and(|seen| seen.role == Role::Leader), "2 has not noticed")?;
        let ticket = begin_write(sim, 2, "on 2 and the empty disk");
        sim.expect("2 does not let 3 in", |sim| is_wiped(sim, 3, 2))?;
        sim.expect("2 is alone", |sim| sim.seen(2).is_some_and(|seen| seen.role != Role::Leader))?;
        sim.require(!is_applied(sim, ticket), "nothing was acknowledged")?;

        sim.mend_network();
        elect(sim, 1)?;
        write(sim, 1, "under 1")?;
        let lines = read(sim, 2)?;
        sim.require(lines == ["under 2", "under 1"], &format!("nothing else is there: {lines:?}"))?;
        // There is one way back.
        sim.change_membership(1, of_voters(&[1, 2]));
        sim.expect("3 is removed", |sim| [1, 2].iter().all(|id| voters_at(sim, *id) == [1, 2]))?;
        sim.run_for(ms(7000))?;
        let leader = sim.await_leader()?.get();
        sim.change_membership(leader, of_voters(&[1, 2, 3]));
        sim.expect("3 is back", |sim| (1..=3).all(|id| voters_at(sim, id) == [1, 2, 3]))?;
        all_agree(sim)
    });
}

/// The leader knows the disk that was wiped, and goes on without it; its successor has never met that, and begins with the
/// new one. From then on that is the one that counts for all.
#[test]
fn a_joiner_that_is_wiped_before_it_counts_gets_its_vote_with_the_disk_that_caught_up() {
    let cluster: SimCluster<Journal> = SimCluster::of(3).joiners(1).settings(settings());
    play_on(&cluster, |sim| {
        cut_both(sim, 2, 4);
        settle_under(sim, 1)?;
        write(sim, 1, "for all")?;
        sim.slow_disk(4, ms(200));
        sim.change_membership(1, of_voters(&[1, 2, 3, 4]));
        sim.expect("4 has begun to catch up", |sim| {
            sim.durable(4).is_ok_and(|log| log.state(1.into()).last().index.get() > 0)
        })?;
        sim.require(voters_at(sim, 1) == [1, 2, 3], "and does not count yet")?;
        sim.wipe(4);
        sim.mend_disk(4);
        sim.start(4);
        sim.expect("the leader says why it does not get in", |sim| is_wiped(sim, 4, 1))?;
        sim.run_for(ms(2000))?;
        sim.require((1..=3).all(|id| voters_at(sim, id) == [1, 2, 3]), "what the old disk held counts for nothing")?;

        sim.mend_network();
        sim.expect("2 leads", |sim| {
            if let Some(leader) = sim.leader().filter(|leader| *leader != 2.into()) {
                sim.transfer_leadership(leader, Some(2.into()));
            }
            sim.leader() == Some(2.into())
        })?;
        sim.expect("4 gets its vote", |sim| (1..=4).all(|id| voters_at(sim, id) == [1, 2, 3, 4]))?;
        all_agree(sim)?;
        sim.crash_in_silence(1);
        write(sim, 3, "with 4, or there is no majority")?;
        sim.start(1);
        all_agree(sim)?;
        // What 1 and 3 remember of the first disk is of no meaning any more.
        sim.crash_in_silence(2);
        elect(sim, 4)?;
        write(sim, 1, "under 4")?;
        sim.wipe(4);
        sim.start(4);
        sim.start(2);
        sim.await_leader()?;
        sim.expect("all know the disk that counts", |sim| (1..=3).all(|id| is_wiped(sim, 4, id)))
    });
}

/// The leader counts on what the old disk has told it, for the new one is not let in, and so it tells 3 to campaign. Nothing comes
/// of that (seed 1617).
#[test]
fn a_leader_that_is_to_hand_over_to_a_server_with_an_empty_disk_leads_on() {
    play_on(&SimCluster::of(3).settings(settings()), |sim| {
        settle_under(sim, 1)?;
        write(sim, 1, "which 3 has on its disk")?;
        all_agree(sim)?;
        let term = sim.seen(1).expect("it runs").term;
        sim.wipe(3);
        sim.start(3);
        sim.expect("3 hears the leader", |sim| {
            sim.durable(3).is_ok_and(|log| log.state(1.into()).hard_state().term == term)
        })?;
        sim.expect("the leader does not hear 3", |sim| is_wiped(sim, 3, 1))?;
        assert!(sim.transfer_leadership(1, Some(3.into())), "1 runs");
        sim.expect("the transfer is over", |sim| sim.situations().transfer_timed_out == 1)?;
        sim.require(sim.situations().told_to_campaign > 0, "3 was told")?;
        sim.require(sim.seen(1).map(|seen| (seen.role, seen.term)) == Some((Role::Leader, term)), "1 leads on")?;
        write(sim, 1, "under 1")?;
        sim.require(sim.seen(3).is_some_and(|seen| seen.applied.get() == 0), "3 is given nothing")
    });
}
