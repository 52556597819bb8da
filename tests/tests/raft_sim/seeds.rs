//! Seeds that have to hold.

use std::process::ExitCode;

use clap::Parser;
use raft_tests::raft_sim::{self, Machine, Options};
use raft_tests::register::{DiskRegister, Register};
use serde_json::Value;

/// What the program says of these runs, in all of which everything holds.
fn held<S: Machine>(arguments: &[&str]) -> Value {
    let arguments = ["raft-sim", "--json"].iter().chain(arguments);
    let options = Options::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    let mut out = Vec::new();
    let code = raft_sim::main::<S>(&options, &mut out).expect("there is room");
    let text = String::from_utf8(out).expect("it prints text");
    assert_eq!(code, ExitCode::SUCCESS, "{text}");
    serde_json::from_str(text.lines().last().expect("a summary")).expect("an object")
}

#[test]
fn three_hundred_seeds_hold() {
    let summary = held::<Register>(&["--seeds", "0..300", "--virtual-seconds", "20"]);
    assert_eq!(summary["seeds"], 300);
    // A fault that did not happen proves nothing.
    for (kind, count) in summary["faults"].as_object().expect("an object") {
        assert!(count.as_u64() >= Some(5), "{kind} happened {count} times");
    }
    // To be idle is no test.
    assert!(summary["acked_writes_per_virtual_second"].as_f64() >= Some(20.0), "{summary}");
    assert_eq!(summary["histories"]["undecided"], 0, "of {}", summary["histories"]);
}

#[test]
fn seeds_of_machines_on_disk_hold() {
    let summary = held::<DiskRegister>(&["--seeds", "0..100", "--virtual-seconds", "20", "--on-disk"]);
    for kind in ["crash", "power_loss", "sync_failure", "disk_full", "bit_flip", "wiped_disk"] {
        assert!(summary["faults"][kind].as_u64() >= Some(1), "{kind}: {summary}");
    }
    assert!(summary["situations"]["snapshot_installed"].as_u64() >= Some(20), "{summary}");
}

#[test]
fn seeds_of_several_groups_hold() {
    let summary = held::<Register>(&["--seeds", "0..60", "--virtual-seconds", "20", "--groups", "3", "--clients", "3"]);
    let groups = &summary["groups"];
    assert_eq!(groups["runs_with_several"], 60);
    for count in ["begun", "destroyed", "stops"] {
        assert!(groups[count].as_u64() >= Some(5), "{count}: {groups}");
    }
    assert_eq!(summary["histories"]["undecided"], 0, "of {}", summary["histories"]);
}

#[test]
fn seeds_in_which_work_takes_no_time_hold() {
    let summary = held::<Register>(&["--seeds", "0..60", "--virtual-seconds", "20", "--no-time", "true"]);
    for kind in ["crash", "power_loss", "sync_failure", "disk_full"] {
        assert!(summary["faults"][kind].as_u64() >= Some(1), "{kind}: {summary}");
    }
    // What nobody waits for cannot be slow.
    assert_eq!((&summary["faults"]["slow_disk"], &summary["faults"]["sync_stall"]), (&0.into(), &0.into()));
}

#[test]
fn clusters_that_lose_more_than_they_can_bear_come_to_a_standstill_and_say_nothing_wrong() {
    let summary = held::<Register>(&["--seeds", "0..40", "--virtual-seconds", "20", "--faults", "all,lost"]);
    assert!(summary["unbearable_losses"].as_u64() >= Some(20), "{summary}");
    assert!(summary["standstills"].as_u64() >= Some(10), "{summary}");
}
