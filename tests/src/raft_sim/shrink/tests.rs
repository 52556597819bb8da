use std::sync::Mutex;
use std::time::Duration;

use raft_transport::sim::Faults;

use super::{Budget, Shrunk, cost, shrink};
use crate::raft_sim::{Failed, Run};

fn big() -> Run {
    Run { nodes: 7, clients: 8, faults: Faults::all(), ..Run::of(1) }
}

fn failed(at: Duration) -> Box<Failed> {
    Box::new(Failed { invariant: "it".to_owned(), what: String::new(), at, trace: Vec::new() })
}

fn has(run: &Run, number: usize) -> bool {
    run.planned().iter().any(|fault| fault.number == number)
}

/// When a fault of the run happens.
fn time_of(run: &Run, number: usize) -> Duration {
    let planned = run.planned();
    let fault = planned.iter().find(|fault| fault.number == number).expect("it is planned");
    Duration::from_micros(fault.at_us)
}

fn shrunk(runs: u32, attempt: impl Fn(&Run) -> Option<Box<Failed>> + Sync) -> Shrunk {
    let whole = attempt(&big()).expect("the whole run fails");
    shrink(big(), whole, Budget { runs, jobs: 2 }, attempt)
}

#[test]
fn two_faults_that_only_fail_together_are_found_among_many() {
    let found = shrunk(300, |run| (has(run, 3) && has(run, 17)).then(|| failed(time_of(run, 17))));
    assert_eq!(found.run.only_faults, Some(vec![3, 17]));
    assert_eq!((found.run.clients, found.run.nodes), (0, 1));
    assert_eq!(found.run.lasting, time_of(&big(), 17) + Duration::from_micros(1), "it ends where it fails");
}

#[test]
fn what_fails_without_faults_is_shown_without_faults() {
    let found = shrunk(300, |run| (run.clients >= 2 && run.nodes >= 3).then(|| failed(Duration::from_secs(2))));
    assert_eq!((found.run.clients, found.run.nodes), (2, 3));
    assert_eq!(found.run.planned(), []);
}

#[test]
fn a_failure_after_the_faults_leads_to_a_shorter_time_of_faults() {
    let found = shrunk(300, |run| has(run, 5).then(|| failed(run.lasting + Duration::from_secs(60))));
    assert_eq!(found.run.only_faults, Some(vec![5]));
    assert!(found.run.lasting < time_of(&big(), 5) * 2, "{:?}", found.run);
}

#[test]
fn another_failure_does_not_count() {
    let found = shrunk(300, |run| {
        let invariant = if has(run, 3) { "it" } else { "another" }.to_owned();
        Some(Box::new(Failed { invariant, ..*failed(Duration::from_secs(50)) }))
    });
    assert_eq!((found.run.only_faults, found.failed.invariant.as_str()), (Some(vec![3]), "it"));
}

#[test]
fn a_coincidence_is_looked_for_in_short_runs_of_other_seeds() {
    // Nothing can be left out, and few seeds fail.
    let found = shrunk(300, |run| {
        let at = Duration::from_secs(if run.seed == 1 { 40 } else { 3 });
        let is_whole = run.only_faults.is_none() && run.nodes == 7 && run.clients == 8;
        (is_whole && run.seed % 37 == 1 && run.lasting > at).then(|| failed(at))
    });
    assert_eq!((found.run.seed, found.run.lasting), (38, Duration::from_micros(3_000_001)));
}

#[test]
fn what_it_costs_is_bounded() {
    let spent = Mutex::new(Duration::ZERO);
    let found = shrunk(10, |run| {
        *spent.lock().unwrap() += cost(run);
        (has(run, 3) && has(run, 17)).then(|| failed(time_of(run, 17)))
    });
    // The first run was made to see whether it fails, and whoever is the last may end too late.
    assert!(*spent.lock().unwrap() <= cost(&big()) * (10 + 1 + 2), "{spent:?}");
    assert!(has(&found.run, 3) && has(&found.run, 17), "it is one that fails");
}
