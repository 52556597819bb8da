//! Who is let in, and who is told why not.

use std::net::TcpListener;
use std::time::Duration;

use raft_actor::transport::{Incarnation, Refusal};
use raft_transport::{Count, TcpOptions};
use serde::Serialize;

use crate::support::*;

/// Scenario: a message of another cluster, or of an old life of an address, must not be taken for one of ours.
#[test]
fn hosts_of_another_cluster_or_of_an_old_incarnation_are_refused() {
    let a = Node::start(1);
    let mut other = hello(2);
    other.cluster = "other".to_owned();
    let other = Node::start_with(other, options());
    other.set_address(a.id, &a.address);
    assert_eq!(other.refused_by(a.id), Refusal::Cluster { ours: "test".to_owned() });
    other.send(message(other.id, a.id, 1));
    other.lost(a.id);

    let mut old = hello(3);
    old.incarnation = Incarnation(6);
    let old = Node::start_with(old, options());
    old.set_address(a.id, &a.address);
    assert_eq!(old.refused_by(a.id), Refusal::Incarnation);

    assert!(a.delivered_so_far().is_empty());
    assert!(a.count(Count::RefusedCluster) >= 1);
    assert!(a.count(Count::RefusedIncarnation) >= 1);
    assert_eq!(a.count(Count::Admitted), 0);
}

#[test]
fn whoever_looks_for_another_node_is_told_whom_it_found() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.set_address(node(3), &b.address);
    assert_eq!(a.refused_by(node(3)), Refusal::Target { ours: b.id });
    // Its own address under another's name.
    a.set_address(node(4), &a.address);
    assert_eq!(a.refused_by(node(4)), Refusal::Target { ours: a.id });
    assert!(a.count(Count::ConnectRefused) >= 2);
}

#[test]
fn nobody_else_can_be_us() {
    let a = Node::start(1);
    assert_eq!(Raw::refused(&greeting(1, a.id), &a), Refusal::Identity { node: a.id });
    assert_eq!(a.count(Count::RefusedIdentity), 1);
}

#[test]
fn builds_without_a_common_version_say_so_even_if_they_do_not_understand_the_rest() {
    #[derive(Serialize)]
    struct FromTheFuture {
        magic: &'static str,
        version_min: u8,
        version_max: u8,
        everything_else: [u64; 3],
    }
    let a = Node::start(1);
    let future = FromTheFuture { magic: "raft-actor", version_min: 8, version_max: 9, everything_else: [1, 2, 3] };
    assert_eq!(Raw::refused(&future, &a), Refusal::Version { ours: 1 });
    let past = Greeting { version_min: 0, version_max: 0, ..greeting(9, a.id) };
    assert_eq!(Raw::refused(&past, &a), Refusal::Version { ours: 1 });
    assert_eq!(a.count(Count::RefusedVersion), 2);
    // One that speaks our version among others is let in, and is told to speak ours.
    let mut newer = Raw::connect(&a);
    newer.write(&handshake_frame(GREETING, &Greeting { version_max: 9, ..greeting(9, a.id) }));
    let (kind, welcome): (u8, Welcome) = newer.read_header();
    assert_eq!((kind, welcome.version), (WELCOME, 1));
}

/// Answers of a listener to somebody who connects: none of them may be taken for a welcome.
#[test]
fn a_host_that_answers_nonsense_is_no_peer_and_is_tried_again() {
    let (a, friend) = (Node::start_with(hello(1), impatient()), Node::start(2));
    a.connect(&friend);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    a.set_address(node(7), &listener.local_addr().unwrap().to_string());
    let welcome = |id, version| handshake_frame(WELCOME, &Welcome { version, hello: hello(id) });
    #[derive(Serialize)]
    struct RefusedForALaterReason {
        refusal: &'static str,
        text: &'static str,
    }
    let later = RefusedForALaterReason { refusal: "TooOld", text: "this node is too old" };
    let mut damaged = welcome(7, 1);
    *damaged.last_mut().unwrap() ^= 1;
    let answers: [(&str, Vec<u8>); 9] = [
        ("nothing at all", vec![]),
        ("web server", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("endless", u32::MAX.to_be_bytes().to_vec()),
        ("empty frame", vec![0; 4]),
        ("damaged", damaged),
        ("another node", welcome(8, 1)),
        ("another version", welcome(7, 2)),
        ("our own words", handshake_frame(GREETING, &greeting(7, a.id))),
        ("a reason of a later build", handshake_frame(REFUSED, &later)),
    ];
    for (what, answer) in answers {
        let mut raw = Raw::over(listener.accept().unwrap().0);
        let (kind, heard): (u8, Greeting) = raw.read_header();
        assert_eq!((kind, heard.to, heard.hello.node), (GREETING, 7, a.id), "{what}");
        raw.write(&answer);
        raw.finish();
    }
    // And one that is silent until we lose patience.
    let mut silent = Raw::over(listener.accept().unwrap().0);
    silent.read_frame();
    silent.wait_closed();
    // At last it behaves.
    let mut raw = Raw::over(listener.accept().unwrap().0);
    raw.read_frame();
    assert_eq!(a.count(Count::ConnectFailed), 10);
    raw.write(&welcome(7, 1));
    a.confirmed_by(node(7));
    // Except that it must not speak.
    raw.write(b"x");
    a.lost(node(7));
    a.send(message(a.id, friend.id, 1));
    assert_eq!(mark(&friend.delivered()), 1);
}

#[test]
fn the_time_for_a_handshake_is_not_extended_by_single_bytes() {
    let pair = Pair::start(impatient());
    let mut slow = Raw::connect(&pair.target);
    // Far more bytes than there is time for at this speed; they would be a correct handshake.
    slow.0.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut greeting = greeting(9, pair.target.id);
    greeting.hello.cluster = "x".repeat(3000);
    let mut closed = false;
    for byte in handshake_frame(GREETING, &greeting) {
        use std::io::{Read, Write};
        let written = slow.0.write(&[byte]).map_err(|error| assert!(is_closed(&error), "{error}"));
        match slow.0.read(&mut [0; 1]) {
            Ok(count) => closed = count == 0,
            Err(error) => closed = is_closed(&error),
        }
        if closed || written.is_err() {
            closed = true;
            break;
        }
    }
    assert!(closed, "a byte from time to time keeps a connection open");
    assert_eq!(pair.target.count(Count::HandshakeTimedOut), 1);
    pair.still_serves_only_friends();
}

fn impatient() -> TcpOptions {
    TcpOptions { handshake_timeout: Duration::from_millis(500), ..options() }
}
