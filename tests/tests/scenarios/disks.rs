//! Disks that hang, are full, are damaged or empty.

use std::time::Duration;

use raft_actor::consensus::{NodeId, Role};
use raft_transport::sim::{Keep, Outcome, Violation};

use crate::support::{Script, all_agree, begin_write, is_applied, ms, play, read, settle_under, write};

/// A leader whose disk hangs still sends heartbeats, if nobody stops it: then nothing is written any more
/// (etcd #13527, hashicorp/raft #503).
#[test]
fn a_leader_whose_disk_does_not_answer_makes_room_for_another_one() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.slow_disk(1, Duration::from_secs(3_600));
        begin_write(sim, 1, "which finds out");
        sim.expect("another one leads", |sim| sim.leader().is_some_and(|leader| leader != 1.into()))?;
        write(sim, 2, "without 1")?;
        write(sim, 3, "without 1 either")?;
        sim.run_for(Duration::from_secs(60))?;
        let role = sim.seen(1).expect("it runs").role;
        sim.require(role == Role::Follower, "1 does not even ask for votes while its disk hangs")
    });
}

/// The reverse: slow disks of followers must not make a healthy leader lose its office.
#[test]
fn followers_with_slow_disks_keep_their_leader() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        let term = sim.seen(1).expect("it runs").term;
        sim.slow_disk(2, ms(900));
        sim.slow_disk(3, ms(900));
        for number in 0..5 {
            write(sim, 1, &format!("line {number}"))?;
        }
        sim.require(sim.running().iter().all(|seen| seen.term == term), "there was no election")
    });
}

/// A sync that stalls when everything is mended goes on stalling (seed 1268): with one more server gone, the only
/// majority there is has to wait for it, and nobody may be blamed for that.
#[test]
fn the_recovery_waits_for_a_sync_that_stalled_when_the_faults_ended() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.slow_disk(3, Duration::from_secs(20));
        begin_write(sim, 1, "which 3 is busy with");
        sim.run_for(ms(50))?;
        sim.quiet_clients();
        sim.recover(Duration::from_secs(30))
    });
}

/// A server that shuts down when everything is mended is not gone yet (seed 533): when it goes it disturbs the peace
/// between the others, and nobody may be blamed for that.
#[test]
fn the_recovery_waits_for_a_server_that_shuts_down_when_the_faults_end() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.slow_disk(2, ms(150));
        begin_write(sim, 1, "which 2 is busy with");
        sim.run_for(ms(20))?;
        sim.shut_down(2);
        sim.quiet_clients();
        sim.recover(Duration::from_secs(30))
    });
}

/// The disk is full in the middle of a record (etcd #2819): nothing of it counts, and nothing before it is lost.
#[test]
fn a_disk_that_is_full_in_the_middle_of_a_record_loses_that_record_only() {
    play(1, |sim| {
        sim.await_leader()?;
        all_agree(sim)?;
        write(sim, 1, "before")?;
        let on_disk = sim.durable(1).expect("the log is whole").state(1.into()).last();
        sim.fill_disk(1, 700);
        let ticket = begin_write(sim, 1, &"too much".repeat(200));
        sim.expect("it comes back", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Unknown), "it is not acknowledged")?;
        sim.require(sim.happened_to_disk(1).full_writes == 1, "its record was cut short")?;
        let words = sim.last_words(1).unwrap_or_default().to_owned();
        sim.require(
            words.contains("no storage space") || words.contains("full"),
            &format!("the server says why: {words}"),
        )?;

        sim.mend_disk(1);
        sim.expect("it is back", |sim| sim.leader().is_some())?;
        let lines = read(sim, 1)?;
        sim.require(lines == ["before"], "what was before is there, and nothing of the record")?;
        write(sim, 1, "after")?;
        let log = sim.durable(1).expect("the log is whole").state(1.into()).last();
        sim.require(log > on_disk, "the log goes on")
    });
}

/// A tail that the power tore off was never acknowledged: the log begins again behind what is whole.
#[test]
fn a_tail_that_a_power_loss_tore_is_cut_and_the_server_goes_on() {
    play(1, |sim| {
        sim.await_leader()?;
        all_agree(sim)?;
        write(sim, 1, "before")?;
        for (round, bits) in [0b1011, 0b1110, 0b0001, 0b0101_0101].into_iter().enumerate() {
            sim.slow_disk(1, ms(100));
            begin_write(sim, 1, &"torn ".repeat(500));
            sim.run_for(ms(50))?;
            sim.crash_machine_keeping(1, Keep::Bits(bits));
            sim.mend_disk(1);
            sim.start(1);
            sim.expect("it is back", |sim| sim.leader().is_some())?;
            let lines = read(sim, 1)?;
            sim.require(lines.len() == 1 + round, "what was acknowledged is there, and nothing of the torn record")?;
            write(sim, 1, &format!("after {round}"))?;
        }
        sim.require(sim.happened_to_disk(1).lost_sectors > 0, "sectors were lost")
    });
}

/// Damage before the end is another matter: what was acknowledged is not there any more. Where no record behind it tells
/// whom the server voted for, its peers cannot help. It refuses, says where, and the others go on.
#[test]
fn a_server_whose_vote_may_be_lost_refuses_to_start_and_says_where() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        for number in 0..3 {
            write(sim, 1, &format!("line {number}"))?;
        }
        sim.run_for(ms(500))?;
        let is_damaged = sim.damage_disk(3);
        sim.require(is_damaged, "a bit flips")?;
        sim.expect("it refuses", |sim| sim.is_lost(3))?;
        let words = sim.last_words(3).unwrap_or_default().to_owned();
        sim.require(words.contains("/data/wal/") && words.contains("at byte"), &format!("it says where: {words}"))?;
        sim.require(words.contains("whom it voted for"), &format!("it says why: {words}"))?;
        sim.start(3);
        sim.run_for(Duration::from_secs(5))?;
        sim.require(!sim.is_up(3), "it does not come back by itself")?;
        write(sim, 1, "without 3")?;
        let lines = read(sim, 2)?;
        sim.require(lines.len() == 4, "the others have everything")
    });
}

/// Writes so much that what stands behind the first records tells everybody's term and vote.
fn write_much(sim: &mut Script) -> Result<(), Violation> {
    for number in 0..20 {
        write(sim, 1, &format!("line {number} {}", "long ".repeat(200)))?;
    }
    sim.run_for(ms(500))
}

/// What a damaged follower lacks its leader gives it, and nobody has to do anything for it.
#[test]
fn a_follower_whose_log_is_damaged_comes_back_by_itself() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        write_much(sim)?;
        let is_damaged = sim.damage_disk(3);
        sim.require(is_damaged, "a bit flips")?;
        write(sim, 1, "without 3")?;
        sim.expect("it has everything back", |sim| sim.situations().damage_repaired == 1)?;
        // Its copy counts again, and so does its vote.
        sim.crash(2);
        write(sim, 1, "with 3")?;
        sim.start(2);
        sim.crash(1);
        sim.await_leader()?;
        let lines = read(sim, 3)?;
        sim.require(lines.len() == 22 && lines[21] == "with 3", "it has all lines")
    });
}

/// A leader that finds a part of its log gone has lost its office with the restart. Its successor repairs it.
#[test]
fn a_leader_whose_log_is_damaged_is_repaired_by_its_successor() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        write_much(sim)?;
        let is_damaged = sim.damage_disk(1);
        sim.require(is_damaged, "a bit flips")?;
        let leader = sim.await_leader()?;
        sim.require(leader != NodeId::from(1), "another one leads")?;
        sim.expect("it has everything back", |sim| sim.situations().damage_repaired == 1)?;
        let lines = read(sim, 1)?;
        sim.require(lines.len() == 20, "it has all lines")
    });
}

/// Only the damaged one and one that is down had a line. With its vote the third one could lead without that line.
#[test]
fn a_damaged_server_elects_nobody_until_it_is_whole() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        write_much(sim)?;
        sim.isolate(2);
        write(sim, 1, "on 1 and 3")?;
        let is_damaged = sim.damage_disk(3);
        sim.require(is_damaged, "a bit flips")?;
        sim.crash(1);
        sim.mend_network();
        sim.expect("3 has started", |sim| sim.status(3).is_some())?;
        for _ in 0..20 {
            sim.jump_clock(2, ms(600));
            sim.jump_clock(3, ms(600));
            sim.run_for(ms(500))?;
            sim.require(sim.leader().is_none(), "nobody is elected with the vote of 3")?;
            sim.crash(3);
            sim.start(3);
        }
        sim.start(1);
        sim.await_leader()?;
        sim.expect("it has everything back", |sim| sim.situations().damage_repaired == 1)?;
        let lines = read(sim, 2)?;
        sim.require(lines.last().is_some_and(|last| last == "on 1 and 3"), "what was acknowledged is there")
    });
}

/// The same id comes back with an empty disk (etcd #3504): it has forgotten what it voted for and what it has
/// acknowledged, so its vote must not count.
#[test]
fn a_server_that_comes_back_with_an_empty_disk_gets_no_vote() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(2);
        write(sim, 1, "on 1 and 3")?;
        sim.wipe(3);
        sim.start(3);
        sim.crash(1);
        sim.mend_network();
        // With the vote of 3, 2 could lead without the line.
        sim.expect("3 has started", |sim| sim.status(3).is_some())?;
        for _ in 0..20 {
            sim.jump_clock(2, ms(600));
            sim.jump_clock(3, ms(600));
            sim.run_for(ms(500))?;
            sim.require(sim.leader().is_none(), "nobody is elected with the vote of 3")?;
        }
        sim.require(sim.refusal(3, 2).is_some_and(|why| why.to_string().contains("wiped")), "2 tells 3 why")?;
        sim.start(1);
        sim.await_leader()?;
        let lines = read(sim, 2)?;
        sim.require(lines == ["on 1 and 3"], "what was acknowledged is there")
    });
}

/// A server acknowledges an entry, loses its disk, and only then the leader, whose own disk was slower, counts what it
/// said (seed 2441): sound, for
/// whoever comes back with an empty disk has no vote, and all others who can be elected hold the entry.
#[test]
fn what_a_server_acknowledged_before_its_disk_was_wiped_counts() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.cut(1, 2);
        // The disk of the leader is the last to answer.
        sim.slow_disk(1, ms(200));
        let ticket = begin_write(sim, 1, "on 1, and for a moment on 3");
        let position = |sim: &Script| sim.durable(3).expect("the log is whole").state(1.into()).last();
        let before = position(sim);
        sim.expect("it is on the disk of 3", |sim| position(sim) != before)?;
        sim.run_for(ms(5))?;
        sim.wipe(3);
        sim.require(!is_applied(sim, ticket), "it is not counted yet")?;
        sim.expect("it is counted", |sim| is_applied(sim, ticket))?;
        sim.mend_disk(1);
        sim.mend_network();
        sim.start(3);
        sim.crash(1);
        sim.run_for(Duration::from_secs(5))?;
        sim.require(sim.leader().is_none(), "2 alone decides nothing")?;
        sim.start(1);
        let lines = read(sim, 2)?;
        sim.require(lines == ["on 1, and for a moment on 3"], "what was acknowledged is there")
    });
}
