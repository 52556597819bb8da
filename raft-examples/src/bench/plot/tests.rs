use super::super::row::row_for_tests;
use super::*;

/// A row as `--json` prints it, with some fields changed.
fn line(changes: &serde_json::Value) -> String {
    let mut row = serde_json::to_value(row_for_tests(1000.0)).expect("a row is numbers and names");
    for (field, value) in changes.as_object().expect("fields") {
        row[field] = value.clone();
    }
    row.to_string()
}

fn comparison() -> String {
    let rows = [
        serde_json::json!({"clients": 64, "threads": "nodes", "ops_per_s": 640.0}),
        serde_json::json!({"clients": 64, "system": "openraft", "threads": "nodes", "workers": 16}),
        serde_json::json!({"clients": 1, "threads": "nodes", "ops_per_s": 10.0}),
        serde_json::json!({"clients": 1, "system": "openraft", "threads": "one", "workers": 1}),
    ];
    let mut text = rows.iter().map(line).collect::<Vec<_>>();
    text.insert(2, r#"{"system":"ratio","clients":64,"min":1.0,"median":1.5,"max":2.0}"#.to_owned());
    text.join("\n")
}

#[test]
fn a_comparison_is_a_series_for_each_system_wherever_the_other_one_was_placed() {
    let chart = Chart::of(&comparison(), Axis::Clients).expect("rows of throughput");
    assert_eq!(chart.series.iter().map(|series| series.label.as_str()).collect::<Vec<_>>(), ["raft-actor", "openraft"]);
    assert_eq!(chart.conditions, "in memory, local, 3 nodes, 16 bytes, threads: nodes");
    let points = chart.series[0].rows.values().map(|row| (row.clients, row.ops_per_s)).collect::<Vec<_>>();
    assert_eq!(points, [(1, 10.0), (64, 640.0)]);
}

#[test]
fn what_differs_between_rows_tells_series_apart() {
    let rows = [serde_json::json!({"threads": "one"}), serde_json::json!({"threads": "nodes", "batch": 4})];
    let chart =
        Chart::of(&rows.iter().map(line).collect::<Vec<_>>().join("\n"), Axis::Clients).expect("rows of throughput");
    let labels = chart.series.iter().map(|series| series.label.as_str()).collect::<Vec<_>>();
    assert_eq!(labels, ["raft-actor, threads: one", "raft-actor, batches of 4, threads: nodes"]);
    assert_eq!(chart.conditions, "in memory, local, 3 nodes, 16 bytes");
}

#[test]
fn what_rows_are_drawn_against_tells_no_series_apart_and_all_else_does() {
    let rows = [(1, 64), (3, 64), (1, 256), (3, 256)];
    let rows = rows.map(|(nodes, clients)| line(&serde_json::json!({"nodes": nodes, "clients": clients})));
    let part = line(&serde_json::json!({"nodes": 1, "until_s": 1.0}));
    let chart = Chart::of(&[rows.join("\n"), part].join("\n"), Axis::Nodes).expect("rows of throughput");
    let labels = chart.series.iter().map(|series| series.label.as_str()).collect::<Vec<_>>();
    assert_eq!(labels, ["raft-actor, 64 clients", "raft-actor, 256 clients"]);
    assert_eq!(chart.conditions, "in memory, local, 16 bytes, threads: one");
    assert_eq!(chart.series[0].rows.keys().copied().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn no_reads_at_all_have_a_place_on_the_axis_of_reads() {
    let rows = [0, 50, 100].map(|reads| line(&serde_json::json!({"reads": reads})));
    let chart = Chart::of(&rows.join("\n"), Axis::Reads).expect("rows of throughput");
    assert!(picture::throughput(&chart).expect("it can be drawn").contains("\n50\n"));
}

#[test]
fn what_is_no_row_is_refused_with_its_line() {
    let refused =
        Chart::of(&format!("{}\nno json", line(&serde_json::json!({}))), Axis::Clients).expect_err("the second line");
    assert!(refused.contains("line 2"), "{refused}");
    assert!(Chart::of("", Axis::Clients).is_err());
    assert!(Chart::of(r#"{"system":"ratio"}"#, Axis::Clients).is_err());
}

#[test]
fn each_file_becomes_a_picture_of_throughput_and_one_of_latencies() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("rows.jsonl");
    fs::write(&file, comparison()).expect("the directory takes files");
    let pictures = draw(&[file], directory.path(), Axis::Clients).expect("it can be drawn");
    let names = pictures.iter().map(|path| path.file_name().expect("it has one").to_string_lossy()).collect::<Vec<_>>();
    assert_eq!(names, ["rows-throughput.svg", "rows-latency.svg"]);
    let pictures = pictures.iter().map(|path| fs::read_to_string(path).expect("it was written")).collect::<Vec<_>>();
    for label in ["raft-actor", "openraft", "operations per second", "64"] {
        assert!(pictures[0].contains(&format!("\n{label}\n")), "{label} in {}", pictures[0]);
    }
    for label in ["raft-actor: p50", "raft-actor: p99", "openraft: p50", "openraft: p99"] {
        assert!(pictures[1].contains(&format!("\n{label}\n")), "{label} in {}", pictures[1]);
    }
}
