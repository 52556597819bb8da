//! What the program prints, and how it ends.

use std::process::{Command, Output};

use serde_json::Value;

fn raft_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raft-sim")).args(arguments).output().expect("it was built")
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).expect("it prints text").lines().map(ToOwned::to_owned).collect()
}

/// The last line, without what depends on the machine.
fn summary(arguments: &[&str]) -> Value {
    let output = raft_sim(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut summary: Value = serde_json::from_str(lines(&output).last().expect("there is one")).expect("it is JSON");
    for key in ["seconds", "cpu_seconds", "events_per_second_and_core", "jobs"] {
        assert!(summary.as_object_mut().expect("an object").remove(key).is_some(), "{key}");
    }
    summary
}

#[test]
fn a_range_ends_with_a_summary_of_what_happened_in_it() {
    let summary = summary(&["--seeds", "0..6", "--virtual-seconds", "5", "--faults", "net,crash", "--json"]);
    assert_eq!(summary["seeds"], 6);
    assert!(summary["virtual_seconds"].as_f64() >= Some(30.0), "{summary}");
    for count in ["events", "steps", "acked_writes", "answered_reads"] {
        assert!(summary[count].as_u64() > Some(100), "{count} of {summary}");
    }
    assert!(summary["faults"]["loss"].as_u64() > Some(0), "{summary}");
    assert!(summary["faults"].get("clock_jump").is_none(), "was not asked for: {summary}");
    assert_eq!(summary["histories"]["undecided"], 0);
    assert_eq!(summary["violations"], Value::Array(Vec::new()));
}

#[test]
fn the_same_seeds_give_the_same_runs_however_many_are_made_at_a_time() {
    let seeds = ["--seeds", "3..9", "--virtual-seconds", "3", "--json", "--jobs"];
    assert_eq!(summary(&[&seeds[..], &["1"]].concat()), summary(&[&seeds[..], &["3"]].concat()));
}

#[test]
fn one_seed_is_shown_to_people() {
    let output = raft_sim(&["--seed", "1", "--virtual-seconds", "2"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines = lines(&output);
    assert!(lines[0].starts_with("1 seed, "), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("everything held"));
}

#[test]
fn a_trace_tells_a_run_event_by_event() {
    let lines = lines(&raft_sim(&["--seed", "1", "--virtual-seconds", "2", "--trace"]));
    assert!(lines.iter().any(|line| line.contains("candidate => leader")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("AppendEntries")), "{lines:?}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_answered_with_what_to_do() {
    for (arguments, advice) in [
        (&["--seeds", "9..3"][..], "say A..B with A below B"),
        (&["--seeds", "7"], "say A..B with A below B"),
        (&["--seed", "1", "--faults", "net,worms"], "say all, none, or some of net, disk"),
        (&["--seed", "1", "--virtual-seconds", "long"], "say seconds from 0 to"),
        (&["--seed", "1", "--only-faults", "3;4"], "say none, or some as in 3,7"),
        (&[], "--seed <N>"),
    ] {
        let output = raft_sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(advice), "{arguments:?}: {errors}");
    }
}

#[test]
fn help_shows_an_example() {
    let output = raft_sim(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(lines(&output).iter().any(|line| line.trim() == "raft-sim --seeds 0..1000"), "{output:?}");
}
