//! Whole clusters under a simulated network, disk and clock.

use std::time::Duration;

use raft_actor::{ApplyContext, StateMachine};
use raft_transport::sim::{Chance, Faults, Report, Request, SimCluster};
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Counter(u64);

impl StateMachine for Counter {
    type Command = u64;
    type Response = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
        self.0 += add;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

fn ask(_: usize, chance: &mut Chance) -> Request<u64, ()> {
    match chance.between(0..=3) {
        0 => Request::Read(()),
        add => Request::Write(add),
    }
}

fn run(seed: u64) -> Report {
    let cluster = SimCluster::<Counter>::of(3).faults(Faults::all()).lasting(Duration::from_secs(5));
    cluster.run(seed, ask).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let reports: Vec<Report> = (0..100).map(run).collect();
    for report in &reports {
        assert_eq!(*report, run(report.seed));
    }
    let hashes: std::collections::BTreeSet<u64> = reports.iter().map(|report| report.hash).collect();
    assert_eq!(hashes.len(), reports.len(), "and another seed another one");
}
