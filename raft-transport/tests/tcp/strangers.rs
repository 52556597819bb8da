//! Who knocks at an open port.

use raft_actor::transport::Refusal;
use raft_transport::{Count, TcpOptions};

use crate::support::*;

#[test]
fn silent_connections_by_the_hundred_do_not_keep_a_peer_out() {
    let options = TcpOptions { handshakes_max: 8, handshake_timeout: 100 * PATIENCE, ..options() };
    let pair = Pair::start(options);
    let mut silent: Vec<Raw> = (0..300).map(|_| Raw::connect(&pair.target)).collect();
    // Comes last in the queue of connections and still gets in: the oldest silent ones make room.
    Raw::admitted(9, &pair.target);
    assert_eq!(pair.target.count(Count::Accepted), 302);
    assert!(pair.target.count(Count::HandshakeCrowdedOut) >= 293 - 1);
    for raw in &mut silent[..292] {
        raw.wait_closed();
    }
    pair.still_serves_only_friends();
}

#[test]
fn other_protocols_are_turned_away() {
    let pair = Pair::start(options());
    let mut noise = Vec::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..4096 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.push((state >> 32).to_le_bytes()[0]);
    }
    let strange: [(&str, &[u8]); 6] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03and so on"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("newlines", b"\n\n\n\n\n\n\n\n"),
        ("zeros", &[0; 64]),
        ("noise", &noise),
    ];
    for (sent, (what, bytes)) in (1..).zip(strange) {
        let mut raw = Raw::connect(&pair.target);
        raw.try_write(bytes);
        raw.wait_closed();
        assert_eq!(pair.target.count(Count::NotAHandshake), sent, "{what}");
    }
    pair.still_serves_only_friends();
}

#[test]
fn a_handshake_of_any_impossible_length_is_turned_away() {
    let pair = Pair::start(options());
    for (sent, length) in (1..).zip([0_u32, 1, 9, 4097, 1 << 30, u32::MAX]) {
        let mut raw = Raw::connect(&pair.target);
        raw.write(&length.to_be_bytes());
        raw.try_write(&[0; 16]);
        raw.wait_closed();
        assert_eq!(pair.target.count(Count::NotAHandshake), sent, "length {length}");
    }
    pair.still_serves_only_friends();
}

#[test]
fn a_handshake_cut_at_any_byte_or_changed_in_any_byte_lets_nobody_in() {
    let pair = Pair::start(options());
    let whole = handshake_frame(GREETING, &greeting(9, pair.target.id));
    for end in 0..whole.len() {
        let mut raw = Raw::connect(&pair.target);
        raw.write(&whole[..end]);
        raw.finish();
    }
    assert_eq!(pair.target.count(Count::HandshakeCutOff), whole.len() as u64);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let mut raw = Raw::connect(&pair.target);
        raw.try_write(&changed);
        raw.finish();
    }
    assert_eq!(pair.target.count(Count::Admitted), 1, "the friend alone");
    pair.still_serves_only_friends();
}

#[test]
fn a_handshake_with_another_magic_kind_or_lane_is_turned_away() {
    let pair = Pair::start(options());
    let greeting = greeting(9, pair.target.id);
    let cases = [
        (GREETING, Greeting { magic: "raft-other".to_owned(), ..greeting.clone() }),
        (WELCOME, greeting.clone()),
        (200, greeting.clone()),
        (GREETING, Greeting { lane: "Express".to_owned(), ..greeting.clone() }),
    ];
    for (sent, (kind, greeting)) in (1..).zip(cases) {
        let mut raw = Raw::connect(&pair.target);
        raw.write(&handshake_frame(kind, &greeting));
        raw.wait_closed();
        assert_eq!(pair.target.count(Count::NotAHandshake), sent, "{kind} {greeting:?}");
    }
    pair.still_serves_only_friends();
}

#[test]
fn messages_before_the_handshake_are_not_heard() {
    let pair = Pair::start(options());
    let mut raw = Raw::connect(&pair.target);
    raw.try_write(&frame(&message(node(9), pair.target.id, 1)));
    raw.wait_closed();
    pair.still_serves_only_friends();
}

#[test]
fn peers_beyond_the_limit_are_closed_until_there_is_room() {
    let pair = Pair::start(TcpOptions { connections_max: 3, ..options() });
    let first = Raw::admitted(11, &pair.target);
    let _second = Raw::admitted(12, &pair.target);
    let mut third = Raw::connect(&pair.target);
    third.write(&handshake_frame(GREETING, &greeting(13, pair.target.id)));
    third.wait_closed();
    assert_eq!(pair.target.count(Count::ClosedTooMany), 1);
    // A refusal has nothing to do with room, nor has a peer that comes again.
    assert!(matches!(Raw::refused(&greeting(14, node(5)), &pair.target), Refusal::Target { .. }));
    Raw::admitted(12, &pair.target);
    first.finish();
    Raw::admitted(13, &pair.target);
    pair.still_serves_only_friends();
}
