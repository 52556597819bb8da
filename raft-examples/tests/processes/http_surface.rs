//! The answers of a single node, one request at a time.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, Asked, Client};
use crate::cluster::Ports;
use crate::dev;

fn ask(node: &Client, method: &str, path: &str, body: &str) -> Answer {
    node.send(method, path, body.as_bytes()).expect("an answer")
}

#[test]
fn the_http_surface_is_as_documented() {
    let (dir, ports) = (TempDir::new().expect("a temporary directory"), Ports::reserve());
    let (_process, nodes) = dev::start(&dir, &ports, 1);
    let node = &nodes[0];
    writes_and_reads(node);
    swaps(node);
    bad_input(node);
    a_write_that_comes_again(node);
    a_body_that_never_comes(node);
    status(node);
    snapshot(node);
    membership(node);
    metrics_and_events(node);
    let leads = ask(node, "POST", "/raft/transfer", r#"{"to":1}"#);
    assert_eq!((leads.status, &leads.json()["leader_id"]), (200, &json!(1)), "it leads already");
}

fn snapshot(node: &Client) {
    let taken = ask(node, "POST", "/raft/snapshot", "");
    let through = taken.json()["index"].as_u64();
    assert!(taken.status == 200 && through > Some(1), "{}", taken.text);
    assert_eq!(ask(node, "GET", "/raft/status", "").json()["snapshot_index"].as_u64(), through);
    assert_eq!(ask(node, "GET", "/raft/snapshot", "").status, 405);
}

fn membership(node: &Client) {
    let change = |body: Value| ask(node, "POST", "/raft/membership?timeout_ms=300", &body.to_string());
    let unchanged = change(json!({ "voters": [1] }));
    assert_eq!((unchanged.status, &unchanged.json()["voters"]), (200, &json!([1])), "{unchanged:?}");
    let with_learner = change(json!({ "voters": [1], "learners": [2], "peers": { "2": "127.0.0.1:9" } }));
    assert_eq!((with_learner.status, &with_learner.json()["learners"]), (200, &json!([2])), "{with_learner:?}");
    let status = ask(node, "GET", "/raft/status?consistency=linearizable", "").json();
    assert_eq!((&status["learners"], &status["addresses"]["2"]), (&json!([2]), &json!("127.0.0.1:9")), "{status}");
    // It does not run, so it cannot catch up, and changes nothing.
    let too_slow = change(json!({ "voters": [1, 2] }));
    assert_eq!((too_slow.status, &too_slow.json()["error"]), (503, &json!("timeout")), "{too_slow:?}");
    assert!(too_slow.maybe_applied(), "it becomes a voter yet, if it runs one day");
    let status = ask(node, "GET", "/raft/status", "").json();
    assert_eq!((&status["voters"], &status["changing_to"]["voters"]), (&json!([1]), &json!([1, 2])), "{status}");
    assert_eq!(change(json!({ "voters": [1] })).status, 200, "it can be called off");
    assert_eq!(ask(node, "GET", "/raft/status", "").json()["changing_to"], Value::Null);
}

fn metrics_and_events(node: &Client) {
    let metrics = ask(node, "GET", "/raft/metrics", "");
    assert_eq!(metrics.status, 200);
    for line in [
        "# TYPE raft_commit_index gauge",
        r#"raft_role{cluster="dev",node="1",role="leader"} 1"#,
        r#"raft_role{cluster="dev",node="1",role="follower"} 0"#,
        r#"raft_leader_id{cluster="dev",node="1"} 1"#,
        "# TYPE raft_log_syncs_total counter",
        "# TYPE raft_log_entries_total counter",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line}: {}", metrics.text);
    }
    for line in metrics.text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once("} ").expect("labels, then a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }

    let mut events = Asked::get(node, "/raft/events");
    // Whoever has heard how things are is listening.
    let begin = events.hear(r#""event":"status""#);
    assert_eq!(ask(node, "PUT", "/kv/heard", "x").status, 200);
    let heard = begin + &events.hear(r#"data: {"event":"applied","#);
    assert!(heard.starts_with("HTTP/1.1 200") && heard.contains("text/event-stream"), "{heard}");
    let (_, first) = heard.split_once("data: ").expect("an event");
    assert!(first.starts_with(r#"{"event":"status","node_id":1,"#), "{heard}");
    for event in ["appended", "durable", "committed"] {
        assert!(heard.contains(&format!(r#"data: {{"event":"{event}","node":1,"#)), "{event}: {heard}");
    }
}

fn writes_and_reads(node: &Client) {
    let first = ask(node, "PUT", "/kv/x", "a");
    assert_eq!((first.status, first.json()["previous"].clone()), (200, Value::Null));
    let second = ask(node, "PUT", "/kv/x", "b");
    assert_eq!(second.json()["previous"], "a");
    assert!(second.json()["index"].as_u64() > first.json()["index"].as_u64());
    assert_eq!(ask(node, "GET", "/kv/x", "").text, "b");
    assert_eq!(ask(node, "GET", "/kv/x?consistency=stale", "").text, "b");
    assert_eq!(ask(node, "DELETE", "/kv/x", "").json()["previous"], "b");
    assert_eq!(ask(node, "DELETE", "/kv/x", "").json()["previous"], Value::Null);
    assert_eq!(ask(node, "GET", "/kv/x", "").status, 404);
    assert_eq!(ask(node, "PUT", "/kv/empty", "").status, 200);
    assert_eq!(
        (ask(node, "GET", "/kv/empty", "").status, ask(node, "GET", "/kv/empty", "").text),
        (200, String::new())
    );
    let head = Asked::send(node, "HEAD /kv/empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").answer();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // Keys that a path cannot hold as they are.
    assert_eq!(ask(node, "PUT", "/kv/a%2Fb%20%C3%A4", "slash").status, 200);
    assert_eq!(ask(node, "GET", "/kv/a%2fb%20%c3%a4", "").text, "slash");
}

fn swaps(node: &Client) {
    assert_eq!(ask(node, "POST", "/kv/c/cas", r#"{"expect":"a","value":"b"}"#).status, 409);
    let founded = ask(node, "POST", "/kv/c/cas", r#"{"expect":null,"value":"a"}"#);
    assert_eq!(founded.status, 200);
    assert_eq!(founded.json().as_object().map(|body| body.keys().cloned().collect()), Some(vec!["index".to_owned()]));
    let again = ask(node, "POST", "/kv/c/cas", r#"{"expect":null,"value":"a"}"#);
    assert_eq!((again.status, again.json()), (409, json!({ "current": "a" })));
}

fn bad_input(node: &Client) {
    let long_key = format!("/kv/{}", "k".repeat(1025));
    let long_value = "v".repeat((1 << 20) + 1);
    for (method, path, body, status, error) in [
        ("GET", "/kv/x?consistency=eventual", "", 400, "bad_parameter"),
        ("GET", "/kv/x?consistency=soon", "", 400, "bad_parameter"),
        ("GET", "/kv/x?timeout_ms=soon", "", 400, "bad_parameter"),
        ("GET", "/kv/x?timeout_ms=0", "", 400, "bad_parameter"),
        ("GET", "/kv/x?timeout_ms=18446744073709551615", "", 400, "bad_parameter"),
        ("GET", "/kv/x?timeout_ms=1&timeout_ms=2", "", 400, "bad_parameter"),
        ("GET", "/kv/%ff", "", 400, "bad_key"),
        ("PUT", "/kv/%zz", "x", 400, "bad_key"),
        ("PUT", &long_key, "x", 413, "key_too_long"),
        ("PUT", "/kv/x", &long_value, 413, "value_too_long"),
        ("POST", "/kv/x/cas", "no json", 400, "bad_json"),
        ("POST", "/kv/x/cas", r#"{"value":"b"}"#, 400, "bad_json"),
        ("POST", "/kv/x/cas", r#"{"expect":1,"value":"b"}"#, 400, "bad_json"),
        ("POST", "/kv/x", "x", 405, "wrong_method"),
        ("PUT", "/raft/status", "x", 405, "wrong_method"),
        ("GET", "/raft/transfer", "", 405, "wrong_method"),
        ("POST", "/raft/transfer", "", 400, "bad_json"),
        ("POST", "/raft/transfer?timeout_ms=0", "{}", 400, "bad_parameter"),
        ("GET", "/raft/membership", "", 405, "wrong_method"),
        ("POST", "/raft/events", "", 405, "wrong_method"),
        ("POST", "/raft/metrics", "", 405, "wrong_method"),
        ("GET", "/raft/status?consistency=soon", "", 400, "bad_parameter"),
        ("POST", "/raft/membership", "", 400, "bad_membership"),
        ("POST", "/raft/membership", "{}", 400, "bad_membership"),
        ("POST", "/raft/membership", r#"{"voters":[]}"#, 400, "bad_membership"),
        ("POST", "/raft/membership", r#"{"voters":[1,1]}"#, 400, "bad_membership"),
        ("POST", "/raft/membership", r#"{"voters":[1],"learners":[1]}"#, 400, "bad_membership"),
        ("POST", "/raft/membership", r#"{"voters":[1,2]}"#, 400, "bad_membership"),
        ("POST", "/raft/membership", r#"{"voters":[1,2],"peers":{"2":"nowhere"}}"#, 400, "bad_membership"),
        ("POST", "/raft/membership", r#"{"voters":[1],"peers":{"2":"a:1"}}"#, 400, "bad_membership"),
        ("POST", "/raft/membership", r#"{"voters":["one"]}"#, 400, "bad_membership"),
        ("POST", "/raft/membership?timeout_ms=soon", r#"{"voters":[1]}"#, 400, "bad_parameter"),
        ("POST", "/raft/transfer", r#"{"to":"two"}"#, 400, "bad_json"),
        ("POST", "/raft/transfer", r#"{"to":9}"#, 400, "not_voter"),
        ("POST", "/raft/transfer", "{}", 409, "nobody_else"),
        ("GET", "/kv/", "", 404, "no_such_route"),
        ("PUT", "/kv/a/b", "x", 404, "no_such_route"),
        ("POST", "/kv//cas", r#"{"expect":null,"value":"b"}"#, 404, "no_such_route"),
        ("GET", "/nowhere", "", 404, "no_such_route"),
        ("GET", "/kv/absent", "", 404, "no_such_key"),
    ] {
        let answer = ask(node, method, path, body);
        let path = &path[..path.len().min(40)];
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{method} {path}: {answer:?}");
        assert!(answer.json()["detail"].is_string(), "{method} {path}: {answer:?}");
    }
    let not_text = node.send("PUT", "/kv/x", &[0xff, 0xfe]).expect("an answer");
    assert_eq!((not_text.status, &not_text.json()["error"]), (400, &json!("bad_value")));
    let session = node.send_with("PUT", "/kv/x", b"x", &[("Raft-Client-Id", "7")]).expect("an answer");
    assert_eq!((session.status, &session.json()["error"]), (400, &json!("bad_session")));
    let largest = "v".repeat(1 << 20);
    assert_eq!(ask(node, "PUT", "/kv/large", &largest).status, 200);
    assert_eq!(ask(node, "GET", "/kv/large", "").text, largest);
}

fn a_write_that_comes_again(node: &Client) {
    let put = |sequence: &str, value: &[u8]| {
        let headers = [("Raft-Client-Id", "till-7"), ("Raft-Sequence", sequence)];
        node.send_with("PUT", "/kv/till", value, &headers).expect("an answer")
    };
    let first = put("1", b"10");
    assert_eq!((first.status, &first.json()["previous"]), (200, &json!(null)));
    assert_eq!(put("2", b"20").json()["previous"], json!("10"));
    let again = put("1", b"10");
    assert_eq!((again.status, &again.text), (200, &first.text), "the first answer, to the letter");
    assert_eq!(ask(node, "GET", "/kv/till", "").text, "20", "not applied again");

    let swap = |sequence: &str| {
        let headers = [("Raft-Client-Id", "till-8"), ("Raft-Sequence", sequence)];
        node.send_with("POST", "/kv/till/cas", br#"{"expect":"10","value":"30"}"#, &headers).expect("an answer")
    };
    let refused = swap("1");
    assert_eq!((refused.status, &refused.json()["current"]), (409, &json!("20")));
    ask(node, "PUT", "/kv/till", "10");
    assert_eq!((swap("1").status, swap("2").status), (409, 200), "an answer is an answer, also if it is a refusal");

    let stranger = [("Raft-Client-Id", "till-9"), ("Raft-Sequence", "2")];
    let forgotten = node.send_with("PUT", "/kv/till", b"40", &stranger).expect("an answer");
    assert_eq!(forgotten.status, 409, "{forgotten:?}");
    assert_eq!(forgotten.json()["error"], json!("session_expired"));
    assert_eq!(forgotten.json()["maybe_applied"], json!(true));
    for sequence in ["0", "-1", "one", "", "18446744073709551616"] {
        assert_eq!(put(sequence, b"50").json()["error"], json!("bad_session"), "{sequence:?}");
    }
    let long = "n".repeat(129);
    let headers = [("Raft-Client-Id", &*long), ("Raft-Sequence", "1")];
    assert_eq!(node.send_with("PUT", "/kv/till", b"50", &headers).expect("an answer").status, 400);
    assert_eq!(ask(node, "GET", "/kv/till", "").text, "30");
}

fn a_body_that_never_comes(node: &Client) {
    let head = "PUT /kv/slow?timeout_ms=200 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx";
    let answer = Asked::send(node, head).answer();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_too_slow"), "{answer}");
    let head = "PUT /kv/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n";
    let answer = Asked::send(node, head).answer();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("value_too_long"), "{answer}");
    assert_eq!(ask(node, "GET", "/kv/slow", "").status, 404);
}

fn status(node: &Client) {
    let status = node.status().expect("an answer");
    for (field, value) in
        [("node_id", json!(1)), ("role", json!("leader")), ("leader_id", json!(1)), ("voters", json!([1]))]
    {
        assert_eq!(status[field], value, "{field} in {status}");
    }
    for field in ["term", "commit_index", "last_applied", "last_log_index", "snapshot_index", "first_log_index"] {
        assert!(status[field].is_u64(), "{field} in {status}");
    }
    assert!(status["cluster"].is_string() && status["learners"].is_array() && status["peers"].is_object(), "{status}");
}
