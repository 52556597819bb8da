//! Bits that flip while servers run, in logs and in snapshots: found when somebody needs what stood there.

use std::time::Duration;

use raft_actor::Membership;
use raft_actor::consensus::{NodeId, Settings};
use raft_transport::sim::SimCluster;

use crate::support::{
    Journal, Played, Script, all_agree, begin_write, elect, is_applied, ms, play_on, read, settings, settle_under,
    write,
};

/// So little is kept in memory that the rest has to be read.
fn cluster(founders: u64) -> SimCluster<Journal> {
    SimCluster::of(founders).settings(Settings { log_tail_bytes_max: 0, ..settings() })
}

/// The same, with snapshots, and nothing of the log behind them.
fn with_snapshots(founders: u64) -> SimCluster<Journal> {
    let settings = Settings { snapshot_entries: 10, log_tail_entries: 0, log_tail_bytes_max: 0, ..settings() };
    SimCluster::of(founders).settings(settings)
}

/// Writes so much that what stands behind the first records tells everybody's term and vote.
fn write_much(sim: &mut Script) -> Played {
    for number in 0..20 {
        write(sim, 1, &format!("line {number} {}", "long ".repeat(200)))?;
    }
    sim.run_for(ms(500))
}

fn has_all_of(sim: &Script, node: u64, other: u64) -> bool {
    sim.seen(node).map(|seen| seen.applied) >= sim.seen(other).map(|seen| seen.applied)
}

/// Nothing reads there, so that the server goes on; its next process finds it.
#[test]
fn a_record_that_rots_under_a_server_is_found_when_it_starts_again_and_given_back() {
    play_on(&cluster(3), |sim| {
        settle_under(sim, 1)?;
        write_much(sim)?;
        let rots = sim.rot_disk(3, 15);
        sim.require(rots, "a bit flips")?;
        write(sim, 1, "with 3")?;
        all_agree(sim)?;
        sim.require(sim.is_up(3) && sim.situations().damage_repaired == 0, "it has not noticed")?;
        sim.crash(3);
        sim.start(3);
        sim.expect("it has everything back", |sim| sim.situations().damage_repaired == 1)?;
        let lines = read(sim, 3)?;
        sim.require(lines.len() == 21, "it has all lines")
    });
}

/// Whoever judged the new group read the log from its beginning, and blamed the server for what had rotted (seeds 1110, 1718
/// and 2100).
#[test]
fn a_group_that_begins_where_a_log_has_rotted_is_judged_by_what_stood_there() {
    play_on(&cluster(3).groups(2), |sim| {
        settle_under(sim, 1)?;
        write_much(sim)?;
        let rots = sim.rot_disk(1, 15);
        sim.require(rots, "a bit flips")?;
        let group = sim.create_group(sim.ids());
        sim.speak_of(group);
        sim.await_leader()?;
        write(sim, 1, "in the new group")?;
        all_agree(sim)?;
        sim.crash(1);
        sim.start(1);
        sim.expect("it has everything back", |sim| sim.situations().damage_repaired == 2)?;
        write(sim, 1, "in a group that needed no repair")?;
        let lines = read(sim, 1)?;
        sim.require(lines.len() == 2, "it has all lines of the group")
    });
}

/// Whoever lags is sent what stands on the leader's disk. A leader that cannot read that says where, what and what to do,
/// makes room for one who can, and is repaired by it when it is started again.
#[test]
fn a_leader_that_cannot_read_what_it_has_to_send_makes_room_for_another_one() {
    play_on(&cluster(3), |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        write_much(sim)?;
        sim.crash(1);
        sim.start(1);
        elect(sim, 1)?;
        let term = sim.seen(1).expect("it runs").term;
        let rots = sim.rot_disk(1, 15);
        sim.require(rots, "a bit flips")?;
        sim.mend_network();
        sim.expect("it stops", |sim| !sim.is_up(1))?;
        let words = sim.last_words(1).unwrap_or_default().to_owned();
        sim.require(words.contains("/data/wal/segment-"), &format!("it says where: {words}"))?;
        sim.require(words.contains("is damaged at byte"), &format!("and what: {words}"))?;
        sim.require(words.contains("Start the node again: it gets back"), &format!("and what to do: {words}"))?;
        sim.expect("another one leads", |sim| {
            sim.leader()
                .is_some_and(|leader| leader != 1.into() && sim.seen(leader).is_some_and(|seen| seen.term > term))
        })?;
        sim.expect("3 has all", |sim| has_all_of(sim, 3, 2))?;
        sim.expect("1 has everything back", |sim| sim.situations().damage_repaired == 1)?;
        all_agree(sim)?;
        for node in [1, 3] {
            let lines = read(sim, node)?;
            sim.require(lines.len() == 20, &format!("{node} has all lines"))?;
        }
        Ok(())
    });
}

/// Who leads alone has nobody to get it back from, and nobody to make room for: it must not say otherwise.
#[test]
fn a_leader_without_other_voters_that_meets_damage_says_that_only_a_backup_helps() {
    play_on(&cluster(1).joiners(1), |sim| {
        sim.await_leader()?;
        write_much(sim)?;
        sim.crash(1);
        sim.start(1);
        sim.await_leader()?;
        all_agree(sim)?;
        let rots = sim.rot_disk(1, 15);
        sim.require(rots, "a bit flips")?;
        write(sim, 1, "which nobody has to read")?;
        sim.change_membership(1, Membership::of_voters([1]).learners([2]).address(2, "sim:2"));
        sim.expect("it stops", |sim| sim.last_words(1).is_some())?;
        let words = sim.last_words(1).unwrap_or_default().to_owned();
        sim.require(words.contains("is damaged at byte"), &format!("it says what: {words}"))?;
        sim.require(words.contains("no other voter") && words.contains("backup"), &format!("and what to do: {words}"))?;
        sim.expect("it refuses to start with that", |sim| sim.is_lost(1))?;
        let words = sim.last_words(1).unwrap_or_default().to_owned();
        sim.require(words.contains("no other voter") && words.contains("backup"), &format!("and says so: {words}"))
    });
}

/// The leader's state is sound and the log before it gone: another snapshot takes the place of the one that has rotted,
/// of the same entries if no more came.
#[test]
fn a_leader_whose_snapshot_has_rotted_sends_it_to_nobody_and_takes_another_one() {
    for writes_more in [false, true] {
        let report = play_on(&with_snapshots(3), |sim| {
            settle_under(sim, 1)?;
            sim.isolate(3);
            for number in 0..35 {
                write(sim, 1, &format!("line {number}"))?;
            }
            sim.run_for(ms(500))?;
            let rots = sim.rot_snapshot(1);
            sim.require(rots, "a bit flips")?;
            if writes_more {
                write(sim, 1, "one more")?;
            }
            sim.mend_network();
            sim.expect("3 has all", |sim| has_all_of(sim, 3, 1))?;
            sim.require(sim.leader() == Some(1.into()), "the leader stays in office")?;
            let lines = read(sim, 3)?;
            sim.require(lines.len() == 35 + usize::from(writes_more), "3 has all lines")?;
            // What is on its disk now, its next process can start with.
            sim.crash(1);
            sim.start(1);
            sim.expect("it is back", |sim| sim.seen(1).is_some() && sim.leader().is_some())?;
            all_agree(sim)
        });
        assert_eq!((report.tally.rotten_snapshots, report.tally.snapshots_replaced), (1, 1));
        assert!(report.situations.snapshot_installed >= 1, "{:?}", report.situations);
    }
}

/// What could not be written it tries again; meanwhile it serves, and the one that lags waits.
#[test]
fn a_leader_whose_snapshot_has_rotted_and_whose_disk_is_full_sends_one_when_there_is_room() {
    play_on(&with_snapshots(3), |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        for number in 0..35 {
            write(sim, 1, &format!("line {number}"))?;
        }
        sim.run_for(ms(500))?;
        let rots = sim.rot_snapshot(1);
        sim.require(rots, "a bit flips")?;
        sim.fill_disk(1, 100);
        sim.mend_network();
        sim.run_for(Duration::from_secs(3))?;
        sim.require(sim.is_up(1) && !has_all_of(sim, 3, 1), "there is no room for another one")?;
        sim.mend_disk(1);
        sim.expect("3 has all", |sim| has_all_of(sim, 3, 1))?;
        all_agree(sim)
    });
}

/// A server whose snapshot has rotted while nobody looked: it does not load it, says where and what to do, and does not
/// come back by itself. The others go on.
#[test]
fn a_snapshot_that_has_rotted_is_refused_at_the_start_with_what_to_do() {
    play_on(&with_snapshots(3), |sim| {
        settle_under(sim, 1)?;
        for number in 0..15 {
            write(sim, 1, &format!("line {number}"))?;
        }
        all_agree(sim)?;
        sim.run_for(ms(500))?;
        let rots = sim.rot_snapshot(3);
        sim.require(rots, "a bit flips")?;
        write(sim, 1, "with 3")?;
        sim.crash(3);
        sim.start(3);
        sim.expect("it refuses", |sim| sim.is_lost(3))?;
        let words = sim.last_words(3).unwrap_or_default().to_owned();
        sim.require(
            words.contains("/data/snapshots/") && words.contains("at byte"),
            &format!("it says where: {words}"),
        )?;
        sim.require(words.contains("remove this node from the cluster"), &format!("and what to do: {words}"))?;
        sim.start(3);
        sim.run_for(Duration::from_secs(5))?;
        sim.require(!sim.is_up(3), "it does not come back by itself")?;
        let ticket = begin_write(sim, 1, "without 3");
        sim.expect("the others go on", |sim| is_applied(sim, ticket))?;
        let leader = sim.await_leader()?;
        sim.require(leader != NodeId::from(3), "another one leads")?;
        let lines = read(sim, 2)?;
        sim.require(lines.len() == 17, "the others have everything")
    });
}
