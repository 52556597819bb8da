//! Groups on the same hosts: what happens in one is no other's business, and what has ended does not begin again.

use std::cell::Cell;
use std::rc::Rc;

use raft_actor::consensus::{GroupId, NodeId};
use raft_transport::sim::{SimCluster, Transit};

use super::support::*;

const FIRST: GroupId = GroupId::new(1);
const SECOND: GroupId = GroupId::new(2);

/// Three hosts of two groups, which rest soon, and cut their logs short.
fn play_groups(script: impl FnOnce(&mut Script) -> Played + Send) {
    let settings = raft_actor::Settings {
        rest_after_ms: 100,
        snapshot_entries: 5,
        log_tail_entries: 0,
        log_tail_bytes_max: 0,
        ..settings()
    };
    play_on(&SimCluster::of(3).groups(2).settings(settings), script);
}

/// A leader of the group that is spoken of, and another member.
fn leader_and_other(sim: &mut Script) -> Result<(u64, NodeId), raft_transport::sim::Violation> {
    let leader = sim.await_leader()?;
    let other = sim.ids().into_iter().find(|id| *id != leader).expect("there are three");
    sim.expect("both run", |sim| sim.seen(other).is_some())?;
    Ok((leader.get(), other))
}

/// A group that gave up sending a snapshot told all groups of its host that the peer could not be reached (seed 861).
#[test]
fn what_one_group_cannot_send_wakes_no_other() {
    play_groups(|sim| {
        sim.speak_of(SECOND);
        let (leader, other) = leader_and_other(sim)?;
        sim.intercept(
            move |envelope| {
                if envelope.group == SECOND && envelope.to == other { Transit::Lost } else { Transit::Arrives }
            },
        );
        for line in 1..=20 {
            write(sim, leader, &line.to_string())?;
        }
        let spoken = Rc::new(Cell::new((0, 0)));
        let seen = Rc::clone(&spoken);
        sim.speak_of(FIRST);
        all_agree(sim)?;
        sim.intercept(move |envelope| {
            let (first, second) = seen.get();
            let is_to_other = envelope.group == SECOND && envelope.to == other;
            seen.set((first + u32::from(envelope.group == FIRST), second + u32::from(is_to_other)));
            // It hears of its leader, and gets nothing of what it needs.
            let has_nothing = append(envelope).is_some_and(|append| append.entries.is_empty());
            if is_to_other && !has_nothing { Transit::Lost } else { Transit::Arrives }
        });
        sim.run_for(ms(2_000))?;
        spoken.set((0, 0));
        sim.run_for(ms(10_000))?;
        let (first, second) = spoken.get();
        sim.require(second > 10, "the second group speaks to the one that lags")?;
        sim.require(first == 0, "the first one goes on resting")
    });
}

#[test]
fn a_destroyed_group_is_revived_neither_by_late_messages_nor_by_a_restart() {
    play_groups(|sim| {
        sim.speak_of(SECOND);
        let (leader, other) = leader_and_other(sim)?;
        sim.intercept(|envelope| if envelope.group == SECOND { Transit::Copied } else { Transit::Arrives });
        write(sim, leader, "before")?;
        sim.intercept_nothing();
        sim.destroy_group(other);
        sim.expect("it is destroyed", |sim| sim.is_destroyed(other))?;
        sim.let_go();
        sim.run_for(ms(1_000))?;
        sim.crash(other);
        sim.start(other);
        sim.run_for(ms(5_000))?;
        sim.require(sim.seen(other).is_none(), "nobody runs it there")?;
        write(sim, leader, "after")?;
        sim.speak_of(FIRST);
        sim.require(sim.seen(other).is_some(), "the other group runs there")
    });
}

#[test]
fn a_group_that_begins_while_the_hosts_run_serves_and_changes_no_other() {
    play_groups(|sim| {
        let leader = sim.await_leader()?.get();
        write(sim, leader, "before")?;
        let before = sim.seen(leader).map(|seen| seen.last);
        let new = sim.create_group(sim.ids());
        sim.speak_of(new);
        let its_leader = sim.await_leader()?.get();
        write(sim, its_leader, "in the new one")?;
        sim.speak_of(FIRST);
        sim.require(sim.seen(leader).map(|seen| seen.last) == before, "the first group has no more in its log")
    });
}

#[test]
fn a_group_at_rest_whose_leader_stops_on_a_host_that_lives_has_another() {
    play_groups(|sim| {
        let leader = sim.await_leader()?;
        sim.run_for(ms(3_000))?;
        sim.stop_group(leader);
        let is_replaced = sim.run_until(ms(5_000), |sim| sim.leader().is_some_and(|new| new != leader))?;
        sim.require(is_replaced, "another one leads, long before a rest ends by itself")?;
        sim.open_group(leader);
        sim.expect("it follows", |sim| sim.seen(leader).is_some())
    });
}
