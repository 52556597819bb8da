use super::*;

const LIFETIME_MS: u32 = 1_000;

fn at(time_ms: u64) -> Stamp {
    Stamp { time_ms, lifetime_ms: LIFETIME_MS }
}

/// As a session sends it: the client has all answers below `first_outstanding`.
fn ask(sessions: &mut Sessions, client: &str, sequence: u64, first_outstanding: u64, time_ms: u64) -> Seen {
    let acknowledged = first_outstanding - 1;
    let once = Once { client, sequence, acknowledged, may_open: acknowledged == 0 };
    sessions.look_up(&once, at(time_ms))
}

/// A new command, applied and remembered.
fn apply(sessions: &mut Sessions, client: &str, sequence: u64, first_outstanding: u64, time_ms: u64) {
    assert_eq!(ask(sessions, client, sequence, first_outstanding, time_ms), Seen::New);
    sessions.remember(client, sequence, answer(sequence));
}

fn answer(sequence: u64) -> Bytes {
    Bytes::from(format!("answer {sequence}"))
}

#[test]
fn what_comes_again_gets_the_first_answer() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, "a", 1, 1, 0);
    assert_eq!(ask(&mut sessions, "a", 1, 1, 10), Seen::Answered(answer(1)));
    assert_eq!(ask(&mut sessions, "b", 1, 1, 10), Seen::New, "of another client");
}

#[test]
fn pipelined_commands_are_each_remembered_in_whichever_order_they_come() {
    let mut sessions = Sessions::default();
    for sequence in [3, 1, 4, 2] {
        apply(&mut sessions, "a", sequence, 1, 0);
    }
    for sequence in 1..=4 {
        assert_eq!(ask(&mut sessions, "a", sequence, 1, 0), Seen::Answered(answer(sequence)));
    }
}

#[test]
fn what_the_client_has_is_forgotten_and_not_applied_again() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, "a", 1, 1, 0);
    apply(&mut sessions, "a", 2, 1, 0);
    apply(&mut sessions, "a", 3, 3, 0);
    assert_eq!(ask(&mut sessions, "a", 2, 1, 0), Seen::Forgotten, "a copy that was late");
    assert_eq!(ask(&mut sessions, "a", 3, 3, 0), Seen::Answered(answer(3)));
    assert_eq!(sessions.bytes, size(&answer(3)));
}

#[test]
fn a_client_is_forgotten_when_its_lifetime_of_log_time_is_over_and_told_so() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, "a", 1, 1, 0);
    apply(&mut sessions, "b", 1, 1, u64::from(LIFETIME_MS));
    assert_eq!(ask(&mut sessions, "a", 2, 2, u64::from(LIFETIME_MS)), Seen::New, "in the last moment");
    apply(&mut sessions, "c", 1, 1, 5 * u64::from(LIFETIME_MS));
    assert_eq!(sessions.len(), 1);
    assert_eq!(ask(&mut sessions, "a", 3, 3, 0), Seen::Forgotten);
    assert_eq!(ask(&mut sessions, "b", 1, 1, 0), Seen::New, "it has no answer yet, so it may begin anew");
}

#[test]
fn a_sign_of_life_keeps_a_client_and_its_answers_for_another_lifetime() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, "a", 1, 1, 0);
    apply(&mut sessions, "a", 2, 1, 0);
    let sign = |acknowledged| Once { client: "a", sequence: 0, acknowledged, may_open: false };
    let lifetime_ms = u64::from(LIFETIME_MS);
    assert!(sessions.keep_alive(&sign(1), at(lifetime_ms)));
    assert_eq!(ask(&mut sessions, "a", 2, 2, 2 * lifetime_ms), Seen::Answered(answer(2)));
    assert_eq!(sessions.bytes, size(&answer(2)), "what it has is forgotten");
    assert!(!sessions.keep_alive(&sign(2), at(3 * lifetime_ms + 1)), "too late");
    assert!(sessions.clients.is_empty() && sessions.ends.is_empty(), "nobody is remembered for a sign of life");
}

#[test]
fn log_time_never_falls() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, "a", 1, 1, 5_000);
    apply(&mut sessions, "a", 2, 1, 3_000);
    assert_eq!(sessions.time_ms(), 5_000);
    assert_eq!(sessions.clients["a"].ends_ms, 5_000 + u64::from(LIFETIME_MS));
}

#[test]
fn what_is_remembered_of_a_client_is_bounded() {
    let mut sessions = Sessions::default();
    let count = ANSWERS_MAX as u64 + 10;
    for sequence in 1..=count {
        apply(&mut sessions, "a", sequence, 1, 0);
    }
    assert_eq!(sessions.clients["a"].answers.len(), ANSWERS_MAX);
    assert_eq!(ask(&mut sessions, "a", 10, 1, 0), Seen::Forgotten);
    assert_eq!(ask(&mut sessions, "a", 11, 1, 0), Seen::Answered(answer(11)));
}

#[test]
fn the_number_of_clients_is_bounded_and_the_most_idle_one_makes_room() {
    let mut sessions = Sessions::default();
    let mut begin = |client: &str, time_ms| {
        let once = Once { client, sequence: 1, acknowledged: 0, may_open: true };
        sessions.look_up(&once, Stamp { time_ms, lifetime_ms: u32::MAX })
    };
    let count = CLIENTS_MAX as u64;
    (0..count).for_each(|number| assert_eq!(begin(&format!("c{number}"), number), Seen::New));
    begin("c0", count);
    begin("one more", count);
    assert_eq!(sessions.len(), CLIENTS_MAX);
    assert!(sessions.clients.contains_key("c0") && !sessions.clients.contains_key("c1"));
}

#[test]
fn the_bytes_of_all_answers_are_bounded() {
    let mut sessions = Sessions::default();
    for number in 0..10_u64 {
        let client = format!("c{number}");
        assert_eq!(ask(&mut sessions, &client, 1, 1, number), Seen::New);
        sessions.remember(&client, 1, Bytes::from(vec![0; 10 << 20]));
        assert!(sessions.bytes <= BYTES_MAX);
    }
    assert!(sessions.clients.contains_key("c9") && !sessions.clients.contains_key("c0"));
}

#[test]
fn a_snapshot_carries_all_of_it() {
    let mut sessions = Sessions::default();
    apply(&mut sessions, "a", 1, 1, 7);
    apply(&mut sessions, "a", 2, 2, 8);
    apply(&mut sessions, "b", 1, 1, 9);
    let mut saved = Vec::new();
    sessions.save(&mut saved).unwrap();
    saved.extend_from_slice(b"the state");
    let mut input = saved.as_slice();
    assert_eq!(Sessions::load(&mut input).unwrap(), sessions);
    assert_eq!(input, b"the state");
    for length in 0..saved.len() - b"the state".len() {
        assert!(Sessions::load(&mut &saved[..length]).is_err(), "cut after {length} bytes");
    }
}
