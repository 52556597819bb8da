//! A state machine with a bug: it is found, shown, and reduced to what it takes.

use raft_actor::{ApplyContext, StateMachine, Term};
use raft_tests::raft_sim::{self, Options};
use raft_tests::register::{Command, Get, Register, Response, Value};
use serde::{Deserialize, Serialize};

/// Forgets all keys each time another leader has been elected, once there have been a few.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Forgetful {
    register: Register,
    term: Option<Term>,
}

impl StateMachine for Forgetful {
    type Command = Command;
    type Response = Response;
    type Query = Get;
    type Answer = Option<Value>;

    fn apply(&mut self, ctx: &mut ApplyContext<'_>, command: Command) -> Response {
        if self.term.replace(ctx.term()).is_some_and(|before| before != ctx.term()) {
            self.register = Register::default();
        }
        self.register.apply(ctx, command)
    }

    fn query(&self, query: Get) -> Option<Value> {
        self.register.query(query)
    }
}

/// What the program prints, and whether it ended well.
fn program(arguments: &[&str]) -> (String, bool) {
    let arguments = ["raft-sim"].iter().chain(arguments);
    let options = <Options as clap::Parser>::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    let mut out = Vec::new();
    let code = raft_sim::main::<Forgetful>(&options, &mut out).expect("there is room");
    (String::from_utf8(out).expect("it prints text"), code == std::process::ExitCode::SUCCESS)
}

#[test]
fn a_machine_that_forgets_is_caught_and_its_run_is_shrunk_and_replayed() {
    let (text, is_well) = program(&["--seeds", "1..21", "--virtual-seconds", "20", "--faults", "crash,net"]);
    assert!(!is_well, "{text}");
    assert!(text.contains(" fails: workload at ") && text.contains("is not linearizable"), "{text}");
    let smallest = text.split("the smallest run of ").nth(1).expect("it was looked for");
    let size = smallest.lines().next().expect("a line");
    // Which of them can be left out depends on the seed.
    let is_small = [" 3 servers", " 1 servers", " 1 clients"].iter().any(|part| size.contains(part));
    assert!(is_small, "{text}");
    assert!(size.ends_with(" 0 faults") || size.ends_with(" 1 faults"), "{size}");

    let replay = smallest.split("replay it with: raft-sim ").nth(1).expect("it says how");
    let replay: Vec<&str> =
        replay.lines().next().expect("a line").split(' ').filter(|word| *word != "--trace").collect();
    let (again, is_well) = program(&replay);
    assert!(!is_well, "{again}");
    let claim = smallest.lines().find(|line| line.contains("workload at ")).expect("what does not hold");
    assert!(again.contains(claim), "the same at the same time: {claim}\n{again}");
}

#[test]
fn failures_are_objects_for_programs() {
    let arguments = ["--seeds", "1..21", "--virtual-seconds", "20", "--faults", "crash,net", "--json"];
    let (text, is_well) = program(&[&arguments[..], &["--failures-max", "1", "--no-shrink", "--jobs", "1"]].concat());
    assert!(!is_well, "{text}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an object in each line")).collect();
    let (summary, failures) = lines.split_last().expect("a summary");
    let failure = failures.first().expect("a failure");
    let summed_up: Vec<_> = summary["violations"].as_array().into_iter().flatten().collect();
    assert_eq!(summed_up, failures.iter().map(|failure| &failure["violation"]).collect::<Vec<_>>());
    assert_eq!(failure["violation"]["invariant"], "workload");
    for key in ["seed", "virtual_seconds", "what", "replay"] {
        assert!(!failure["violation"][key].is_null(), "{key} of {failure}");
    }
    let events = failure["violation"]["last_events"].as_array().expect("what came before it");
    assert!(events.len() > 10 && events.iter().all(serde_json::Value::is_string), "{failure}");
    assert!(summary["seeds"].as_u64() < Some(20), "no others were begun: {summary}");
}

#[test]
fn a_fault_that_is_not_planned_cannot_be_chosen() {
    let (text, is_well) = program(&["--seed", "1", "--only-faults", "0,99999"]);
    assert!(!is_well && text.starts_with("there is no fault 99999: "), "{text}");
}
