//! What the paper says of Figure 16 (§9.3), with few trials of one seed. No real time passes.

use std::time::Duration;

use clap::Parser;

use super::{Line, Network, Options, Summary, Variant, main, measure};

const BROADCAST: Duration = Duration::from_millis(15);

fn measured(timeouts_ms: (u64, u64), variant: Variant) -> Summary {
    measure(&Line { timeouts_ms, variant }, &Network::new(BROADCAST, 20), 1, 50)
}

fn ms(value: Option<Duration>) -> u128 {
    value.expect("somebody was elected").as_millis()
}

/// "... leader election consistently took longer than 10 seconds in our tests due to many split votes."
#[test]
fn without_randomness_votes_are_split_for_more_than_ten_seconds() {
    assert_eq!(measured((150, 150), Variant::Paper).elected_within(Duration::from_secs(10)), 0);
}

/// "Adding just 5ms of randomness helps significantly, resulting in a median downtime of 287ms."
#[test]
fn five_milliseconds_of_randomness_are_enough_to_elect() {
    let summary = measured((150, 155), Variant::Paper);
    assert!((200..400).contains(&ms(summary.percentile(50))), "median {} ms", ms(summary.percentile(50)));
    assert_eq!(summary.elected(), summary.trials());
}

/// "... with 50ms of randomness the worst-case completion time (over 1000 trials) was 513ms."
#[test]
fn fifty_milliseconds_of_randomness_bound_the_worst_case() {
    assert!(ms(measured((150, 200), Variant::Paper).percentile(100)) < 600);
}

/// "With an election timeout of 12-24ms, it takes only 35ms on average to elect a leader (the longest trial took 152ms)."
#[test]
fn short_timeouts_replace_a_leader_soon() {
    let summary = measured((12, 24), Variant::Paper);
    assert!(ms(summary.mean()) < 50, "mean {} ms", ms(summary.mean()));
    assert!(ms(summary.percentile(100)) < 200, "max {} ms", ms(summary.percentile(100)));
}

/// Whoever cannot be elected is told so before it votes for itself, and its vote is free for those who can.
#[test]
fn with_pre_vote_even_equal_timeouts_elect() {
    let summary = measured((150, 150), Variant::PreVote);
    assert!(ms(summary.percentile(50)) < 200 && ms(summary.percentile(100)) < 1000);
}

#[test]
fn a_leader_that_is_known_to_have_hung_up_is_replaced_long_before_any_timeout() {
    assert!(ms(measured((150, 300), Variant::HungUp).percentile(50)) < 50);
    assert!(ms(measured((150, 300), Variant::PreVote).percentile(50)) > 150);
}

fn printed(arguments: &[&str]) -> String {
    let mut out = Vec::new();
    let options = Options::parse_from([&["raft-elections", "--trials", "3"], arguments].concat());
    main(&options, &mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn the_same_seed_prints_the_same_and_another_one_does_not() {
    assert_eq!(printed(&["--seed", "5"]), printed(&["--seed", "5"]));
    assert_ne!(printed(&["--seed", "5"]), printed(&["--seed", "6"]));
}

#[test]
fn json_is_a_line_for_each_range_by_each_rules() {
    let rows: Vec<serde_json::Value> =
        printed(&["--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 10 * Variant::ALL.len());
    let first = &rows[0];
    assert_eq!((&first["timeout_ms_max"], &first["rules"]), (&150.into(), &"paper".into()));
    assert!(first["elected"] == 0 && first["max_ms"].is_null(), "{first}");
}

#[cfg(feature = "plot")]
#[test]
fn the_pictures_name_what_they_show() {
    let directory = tempfile::tempdir().expect("a directory");
    printed(&["--plot", directory.path().to_str().expect("text")]);
    for (name, label) in [("randomness", "150-155 ms"), ("timeouts", "12-24 ms"), ("rules", "hung-up")] {
        let svg = std::fs::read_to_string(directory.path().join(format!("elections-{name}.svg"))).expect("written");
        assert!(svg.starts_with("<svg") && svg.contains(label), "{name}");
    }
}
