//! Find a bug in a state machine: whole clusters in a simulation, one seed after the other.
//!
//! Run it with: cargo run -p raft-examples --example simulate

use std::collections::HashSet;
use std::time::Duration;

use raft_actor::{ApplyContext, StateMachine};
use raft_transport::sim::{Chance, Failure, Faults, Report, Request, SimCluster};
use serde::{Deserialize, Serialize};

/// Jobs that wait for somebody to take them. With `BY_ORDER`, the smallest is taken; without, any: the bug.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Jobs<const BY_ORDER: bool> {
    waiting: HashSet<u32>,
}

#[derive(Serialize, Deserialize)]
enum Command {
    Add { job: u32 },
    Take,
}

impl<const BY_ORDER: bool> StateMachine for Jobs<BY_ORDER> {
    type Command = Command;
    type Response = Option<u32>; // the job that was taken
    type Query = ();
    type Answer = usize; // how many wait

    fn apply(&mut self, _: &mut ApplyContext<'_>, command: Command) -> Option<u32> {
        match command {
            Command::Add { job } => {
                self.waiting.insert(job);
                None
            }
            Command::Take => {
                // Each HashSet has an order of its own, so "the first" is another one on every server.
                let jobs = self.waiting.iter().copied();
                let taken = if BY_ORDER { jobs.min() } else { jobs.into_iter().next() };
                self.waiting.remove(&taken?);
                taken
            }
        }
    }

    fn query(&self, (): ()) -> usize {
        self.waiting.len()
    }
}

/// Five seconds of three servers, six clients, and everything that goes wrong.
fn simulate<const BY_ORDER: bool>(seed: u64) -> Result<Report, Box<Failure>> {
    let ask = |_client: usize, chance: &mut Chance| match chance.between(0..=5) {
        0 => Request::Read(()),
        1 | 2 => Request::Write(Command::Take),
        _ => Request::Write(Command::Add { job: chance.between(0..=9_999) as u32 }),
    };
    let cluster = SimCluster::<Jobs<BY_ORDER>>::of(3).faults(Faults::all()).lasting(Duration::from_secs(5));
    // A HashSet is saved in any order, so equal states need not be equal bytes.
    cluster.compare_states(false).run(seed, ask)
}

fn main() {
    println!("Jobs are taken in the order of a HashSet:");
    let failure = (0..100).find_map(|seed| simulate::<false>(seed).err()).expect("a bug that shows within seconds");
    println!("seed {} after {:?} of virtual time:\n  {}", failure.seed, failure.at, failure.violation);
    println!("the last events before it:\n  {}", failure.trace[failure.trace.len().saturating_sub(5)..].join("\n  "));

    println!("\nThe smallest job is taken first:");
    let runs: Vec<Report> =
        (0..20).map(|seed| simulate::<true>(seed).unwrap_or_else(|failure| panic!("{failure}"))).collect();
    let writes: u64 = runs.iter().map(|run| run.acked_writes).sum();
    let faults: u64 = runs.iter().flat_map(|run| run.tally.faults()).map(|(_, count)| count).sum();
    println!("20 seeds, {writes} writes answered, {faults} faults: nothing found");
}
