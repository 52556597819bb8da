use clap::Parser;

use super::super::row::row_for_tests;
use super::*;

fn rows(ops_per_s: &[f64]) -> Vec<Row> {
    ops_per_s.iter().copied().map(row_for_tests).collect()
}

#[test]
fn each_run_is_compared_with_the_run_of_the_same_turn() {
    let ratio = RatioRow::of("raft-actor/openraft", &rows(&[100.0, 400.0, 900.0]), &rows(&[50.0, 400.0, 300.0]));
    assert_eq!((ratio.min, ratio.median, ratio.max), (1.0, 2.0, 3.0));
    assert_eq!(ratio.cpu_median, 1.0);
}

#[test]
fn a_ratio_is_a_row_with_min_median_and_max() {
    let ratio = RatioRow::of("raft-actor/openraft", &rows(&[300.0]), &rows(&[200.0]));
    let json = serde_json::to_value(ratio).expect("a row is numbers and names");
    assert_eq!(json["system"], "ratio");
    for field in ["min", "median", "max"] {
        assert_eq!(json[field], 1.5, "{field}");
    }
}

#[test]
fn the_best_of_the_other_systems_placements_counts_and_the_median_says_which_that_is() {
    let lucky_once = rows(&[10.0, 10.0, 1000.0]);
    let good = rows(&[90.0, 100.0, 110.0]);
    let (chosen, tried) = best(vec![lucky_once, good, rows(&[50.0, 50.0, 50.0])]);
    assert_eq!(chosen.iter().map(|row| row.ops_per_s).collect::<Vec<_>>(), [90.0, 100.0, 110.0]);
    assert_eq!(tried.iter().map(|tried| tried.ops_per_s).collect::<Vec<_>>(), [10.0, 100.0, 50.0]);
}

#[test]
fn the_other_system_may_live_with_its_clients_where_this_one_does() {
    assert!(Placement::all(Threads::One).contains(&Placement::WithClients));
    assert!(!Placement::all(Threads::Nodes).contains(&Placement::WithClients));
    for threads in [Threads::One, Threads::Nodes, Threads::Separate] {
        for workers in [1, 2, 16] {
            assert!(Placement::all(threads).contains(&Placement::Workers(workers)), "{threads:?}, {workers}");
        }
    }
}

fn options(arguments: &[&str]) -> RaftBench {
    RaftBench::try_parse_from([&["raft-bench", "--peer", "openraft"], arguments].concat()).expect("valid")
}

#[cfg(not(feature = "openraft"))]
#[tokio::test]
async fn a_build_without_the_other_system_says_how_to_get_one_with_it() {
    let compared = compare(&options(&[]), Peer::Openraft, &mut Report::new(true)).await;
    let refused = compared.expect_err("it is not built in").to_string();
    assert!(refused.contains("cargo build --release -p raft-examples --features openraft"), "{refused}");
}

#[cfg(feature = "openraft")]
#[tokio::test]
async fn what_both_systems_cannot_do_is_refused() {
    for arguments in [["--store", "wal"], ["--transport", "tcp"]] {
        let refused =
            compare(&options(&arguments), Peer::Openraft, &mut Report::new(true)).await.expect_err("openraft has none");
        assert!(matches!(refused, BenchError::PeerInMemoryOnly), "{refused}");
    }
}
