//! Snapshots on their way.

use std::cell::Cell;
use std::rc::Rc;

use raft_actor::consensus::Settings;
use raft_actor::envelope::{Body, Envelope};
use raft_transport::sim::{SimCluster, Transit};

use crate::support::{Journal, Played, Script, all_agree, elect, ms, play_on, read, settings, settle_under, write};

/// A snapshot every few entries, and no tail behind it: whoever was away needs one.
fn purging() -> SimCluster<Journal> {
    let settings = Settings { snapshot_entries: 20, log_tail_entries: 0, ..settings() };
    SimCluster::of(3).settings(settings)
}

/// A line of many bytes, so that a snapshot of some of them takes several chunks.
fn line(number: usize) -> String {
    format!("{number} {}", "x".repeat(20_000))
}

/// S1 leads, and has purged what S3 needs, which is cut off. Returns how many lines there are.
fn leave_behind(sim: &mut Script) -> Result<usize, raft_transport::sim::Violation> {
    settle_under(sim, 1)?;
    sim.isolate(3);
    // Long enough for the leader to stop waiting for it.
    sim.run_for(ms(1_000))?;
    let lines = 60;
    for number in 0..lines {
        write(sim, 1, &line(number))?;
    }
    sim.expect("the leader has purged", |sim| sim.status(1).is_some_and(|status| status.first_log_index.get() > 20))?;
    Ok(lines)
}

fn chunk_bytes(sent: &Envelope) -> usize {
    match &sent.body {
        Body::SnapshotChunk(chunk) => chunk.bytes.len(),
        Body::Raft(_) | Body::Forward(_) | Body::ForwardReply(_) | Body::SnapshotReply(_) | Body::Pulse(_) => 0,
    }
}

fn is_of_snapshots(sent: &Envelope) -> bool {
    matches!(sent.body, Body::SnapshotChunk(_) | Body::SnapshotReply(_))
}

/// S3 has everything: in its log, or by the snapshot.
fn has_all(sim: &mut Script, lines: usize) -> Played {
    sim.mend_network();
    all_agree(sim)?;
    let read = read(sim, 3)?;
    sim.require(
        read.len() == lines && read.iter().enumerate().all(|(at, found)| *found == line(at)),
        "S3 has all lines",
    )
}

#[test]
fn a_follower_behind_the_purge_gets_a_snapshot_however_badly_it_travels() {
    play_on(&purging(), |sim| {
        let lines = leave_behind(sim)?;
        let mut turn = 0;
        sim.intercept(move |sent| {
            if !is_of_snapshots(sent) {
                return Transit::Arrives;
            }
            turn += 1;
            match turn % 5 {
                0 => Transit::Lost,
                1 => Transit::Copied,
                2 => Transit::Held,
                _ => Transit::Arrives,
            }
        });
        sim.mend_network();
        for _ in 0..20 {
            sim.run_for(ms(50))?;
            sim.let_go_if(is_of_snapshots);
        }
        sim.intercept_nothing();
        has_all(sim, lines)
    });
}

#[test]
fn a_follower_that_crashes_while_it_receives_a_snapshot_goes_on_with_it() {
    play_on(&purging(), |sim| {
        let lines = leave_behind(sim)?;
        let sent = Rc::new(Cell::new(0));
        let counted = Rc::clone(&sent);
        sim.intercept(move |envelope| {
            counted.set(counted.get() + chunk_bytes(envelope));
            Transit::Arrives
        });
        sim.mend_network();
        sim.expect("half of it was sent", |_| sent.get() > 500_000)?;
        sim.crash(3);
        sim.run_for(ms(500))?;
        sim.start(3);
        has_all(sim, lines)
    });
}

#[test]
fn a_new_leader_goes_on_with_the_snapshot_that_the_old_one_began_to_send() {
    play_on(&purging(), |sim| {
        let lines = leave_behind(sim)?;
        let sent = Rc::new(Cell::new(0));
        let counted = Rc::clone(&sent);
        sim.intercept(move |envelope| {
            counted.set(counted.get() + chunk_bytes(envelope));
            Transit::Arrives
        });
        sim.mend_network();
        sim.expect("half of it was sent", |_| sent.get() > 500_000)?;
        sim.crash(1);
        elect(sim, 2)?;
        sim.start(1);
        has_all(sim, lines)
    });
}
