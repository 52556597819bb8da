//! Random schedules with every fault the model knows, checked after each step;
//! then the faults end, and the cluster has to recover and to serve.
//!
//! `RAFT_SEEDS=0..100000 cargo test -p raft-consensus --test random` runs more
//! seeds than the normal test run; a failure names its seed.
mod support;

#[path = "random/chaos.rs"]
mod chaos;
#[path = "random/tally.rs"]
mod tally;

use std::ops::Range;

use chaos::Chaos;
use tally::Tally;

/// The seeds of the normal run; more through the environment.
fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(range) = std::env::var("RAFT_SEEDS") else { return default };
    let bounds = range.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    let (from, to): (u64, u64) = bounds.unwrap_or_else(|| panic!("RAFT_SEEDS={range} is no range, 0..1000 is"));
    from..to
}

fn survive(members: u64, default: Range<u64>) {
    let mut tally = Tally::default();
    let seeds = seeds(default);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let mut chaos = Chaos::new(members, seed);
        chaos.rage();
        chaos.recover();
        tally.add(chaos.tally());
    }
    println!("{count} seeds of {members} members: {tally:?}");
    // A run in which the faults did not happen proves nothing.
    if count >= 50 {
        tally.assert_complete(count);
    }
}

#[test]
fn three_members_survive_random_faults() {
    survive(3, 0..200);
}

#[test]
fn four_members_survive_random_faults() {
    survive(4, 0..60);
}

#[test]
fn five_members_survive_random_faults() {
    survive(5, 0..100);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = || {
        let mut chaos = Chaos::new(3, 42);
        chaos.rage();
        chaos.recover();
        chaos.cluster.trace
    };
    assert_eq!(trace(), trace());
}
