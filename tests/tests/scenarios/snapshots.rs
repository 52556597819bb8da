//! Snapshots: installed, torn, and for whoever was away or is new.

use raft_actor::Membership;
use raft_actor::consensus::{LogIndex, Settings};
use raft_actor::envelope::{Body, Envelope};
use raft_transport::sim::{FaultKind, SimCluster, Transit};

use crate::support::{
    Journal, Played, Script, begin_write, elect, is_applied, ms, play_on, read, settings, settle_under, write,
};

/// Servers that take a snapshot every few entries and keep nothing behind it.
fn cluster(founders: u64, joiners: u64) -> SimCluster<Journal> {
    let settings = Settings { snapshot_entries: 10, log_tail_entries: 0, log_tail_bytes_max: 0, ..settings() };
    SimCluster::of(founders).joiners(joiners).settings(settings)
}

fn is_piece(sent: &Envelope) -> bool {
    matches!(&sent.body, Body::SnapshotChunk(chunk) if !chunk.is_question())
}

fn write_many(sim: &mut Script, node: u64, count: u64) -> Played {
    (0..count).try_for_each(|number| write(sim, node, &format!("line {number}")))
}

fn applied(sim: &Script, node: u64) -> LogIndex {
    sim.seen(node).map(|seen| seen.applied).unwrap_or_default()
}

fn catches_up(sim: &mut Script, node: u64, with: u64) -> Played {
    sim.expect(&format!("n{node} catches up"), |sim| {
        let goal = applied(sim, with);
        goal > LogIndex::ZERO && applied(sim, node) == goal
    })
}

/// What a follower has behind the snapshot's end is of another history (hashicorp/raft #697; Figure 13, rule 7).
#[test]
fn a_snapshot_leaves_nothing_of_a_conflicting_log_that_is_longer() {
    let report = play_on(&cluster(3, 0), |sim| {
        settle_under(sim, 1)?;
        write_many(sim, 1, 3)?;
        sim.isolate(1);
        // Far more than the others will have written when they take a snapshot.
        let lost: Vec<_> = (0..80).map(|number| begin_write(sim, 1, &format!("lost {number}"))).collect();
        sim.run_for(ms(100))?;
        elect(sim, 2)?;
        write_many(sim, 2, 25)?;
        let end = sim.seen(1).expect("it runs").last;
        sim.require(end > sim.seen(2).expect("it runs").last, "the log that will go is the longer one")?;
        sim.mend_network();
        catches_up(sim, 1, 2)?;
        sim.require(!lost.iter().any(|ticket| is_applied(sim, *ticket)), "nothing of it was acknowledged")?;
        let lines = read(sim, 1)?;
        sim.require(!lines.iter().any(|line| line.starts_with("lost")), "nothing of it is left")
    });
    assert!(report.situations.snapshot_over_conflict >= 1, "{:?}", report.situations);
}

/// Killed in every change that taking a snapshot makes to the disk, by process and by power (redisraft #654).
#[test]
fn whoever_dies_in_the_middle_of_a_snapshot_comes_back_with_a_whole_one() {
    for changes in 0..40 {
        play_on(&cluster(1, 0), |sim| {
            sim.await_leader()?;
            write_many(sim, 1, 8)?;
            sim.kill_after(1, changes);
            for number in 0..12 {
                if sim.is_up(1) {
                    sim.write(1, format!("more {number}"));
                }
                sim.run_for(ms(20))?;
            }
            if changes % 2 == 1 {
                sim.crash_machine(1);
            }
            sim.expect("it starts again", |sim| {
                sim.start(1);
                sim.leader() == Some(1.into())
            })?;
            let lines = read(sim, 1)?;
            sim.require(lines.len() >= 8 && lines[7] == "line 7", "what was acknowledged is there")
        });
    }
}

#[test]
fn a_joiner_catches_up_by_snapshot() {
    let report = play_on(&cluster(3, 1), |sim| {
        settle_under(sim, 1)?;
        write_many(sim, 1, 35)?;
        let members = (1..=4_u64)
            .fold(Membership::of_voters([1, 2, 3, 4]), |members, id| members.address(id, format!("sim:{id}")));
        sim.change_membership(1, members);
        sim.expect("4 is a voter", |sim| sim.status(4).is_some_and(|status| status.voters.len() == 4))?;
        catches_up(sim, 4, 1)?;
        let lines = read(sim, 4)?;
        sim.require(lines.len() == 35, "it has everything")
    });
    assert!(report.situations.snapshot_installed >= 1, "{:?}", report.situations);
}

/// Removed first, so that nobody counts what it has forgotten; then added like a new one.
#[test]
fn a_wiped_server_comes_back_by_snapshot() {
    let report = play_on(&cluster(4, 0), |sim| {
        let of = |voters: &[u64]| {
            let members = Membership::of_voters(voters.iter().copied());
            (1..=4_u64).fold(members, |members, id| members.address(id, format!("sim:{id}")))
        };
        settle_under(sim, 1)?;
        write_many(sim, 1, 5)?;
        sim.crash(4);
        sim.change_membership(1, of(&[1, 2, 3]));
        sim.expect("4 is removed", |sim| sim.status(1).is_some_and(|status| status.voters.len() == 3))?;
        write_many(sim, 1, 30)?;
        sim.wipe(4);
        sim.start(4);
        sim.change_membership(1, of(&[1, 2, 3, 4]));
        sim.expect("4 is back", |sim| sim.status(4).is_some_and(|status| status.voters.len() == 4))?;
        catches_up(sim, 4, 1)
    });
    assert!(report.situations.snapshot_installed >= 1, "{:?}", report.situations);
}

/// Pieces are lost; what arrived is not sent again.
#[test]
fn a_transfer_goes_on_while_pieces_are_lost() {
    let report = play_on(&cluster(3, 0), |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        write_many(sim, 1, 30)?;
        let mut count = 0;
        sim.intercept(move |sent| {
            count += u64::from(is_piece(sent));
            if is_piece(sent) && count < 6 { Transit::Lost } else { Transit::Arrives }
        });
        sim.mend_network();
        catches_up(sim, 3, 1)?;
        write(sim, 3, "and serves")
    });
    assert!(report.situations.snapshot_installed >= 1, "{:?}", report.situations);
}

/// Killed in every change that receiving a snapshot, installing it and resetting the log behind it make to the disk, by
/// process and by power.
#[test]
fn whoever_dies_while_it_receives_or_installs_a_snapshot_comes_back_and_gets_it_whole() {
    let mut deaths = 0;
    for changes in 0..24 {
        let report = play_on(&cluster(3, 0), |sim| {
            settle_under(sim, 1)?;
            sim.isolate(3);
            write_many(sim, 1, 30)?;
            // Nothing else is done to its disk meanwhile.
            sim.run_for(ms(2_000))?;
            sim.kill_after(3, changes);
            sim.mend_network();
            sim.run_until(ms(2_000), |sim| !sim.is_up(3))?;
            if changes % 2 == 1 {
                sim.crash_machine(3);
            }
            sim.mend_disk(3);
            sim.start(3);
            catches_up(sim, 3, 1)?;
            let lines = read(sim, 3)?;
            sim.require(lines.len() == 30 && lines[29] == "line 29", "it has all lines")
        });
        deaths += report.tally.of(FaultKind::Crash);
        assert!(report.situations.snapshot_installed >= 1, "{:?}", report.situations);
    }
    assert!(deaths >= 12, "{deaths} deaths");
}

/// Pieces go nowhere for so long that the leader gives up and begins again, more than once (canonical/raft #174).
#[test]
fn a_transfer_that_comes_to_nothing_costs_neither_an_election_nor_a_write() {
    play_on(&cluster(3, 0), |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        write_many(sim, 1, 30)?;
        sim.intercept(|sent| if is_piece(sent) { Transit::Lost } else { Transit::Arrives });
        sim.mend_network();
        sim.run_for(ms(1_000))?;
        let term = sim.seen(1).expect("it runs").term;
        for number in 0..40 {
            write(sim, 1, &format!("meanwhile {number}"))?;
            sim.run_for(ms(500))?;
        }
        let is_quiet = sim.running().len() == 3 && sim.running().iter().all(|seen| seen.term == term);
        sim.require(is_quiet && sim.leader() == Some(1.into()), "there was no election")?;
        sim.require(applied(sim, 3) < applied(sim, 1), "3 has not got it yet")?;
        sim.intercept(|_| Transit::Arrives);
        catches_up(sim, 3, 1)
    });
}
