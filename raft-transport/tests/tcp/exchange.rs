//! Hosts that behave.

use std::net::TcpListener;

use raft_actor::transport::Refusal;
use raft_transport::{Count, Tcp, TcpOptions};

use crate::support::*;

#[test]
fn two_hosts_exchange_messages_in_order() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.connect(&b);
    b.connect(&a);
    for mark in 0..100 {
        a.send(message(a.id, b.id, mark));
        b.send(bulky(b.id, a.id, mark, 10_000));
    }
    for mark in 0..100 {
        assert_eq!(b.delivered(), message(a.id, b.id, mark));
        assert_eq!(a.delivered(), bulky(b.id, a.id, mark, 10_000));
    }
    assert_eq!(a.count(Count::MessagesOut), 100);
    assert_eq!(a.count(Count::MessagesIn), 100);
    assert!(a.count(Count::BytesIn) > 1_000_000);
}

#[test]
fn a_host_answers_one_that_it_was_not_told_about() {
    let (leader, joining) = (Node::start(1), Node::start(2));
    leader.connect(&joining);
    leader.send(message(leader.id, joining.id, 1));
    joining.delivered();
    // Nobody told it where the leader is, but the leader did when it connected. The first answer finds no
    // connection and opens one.
    joining.send(message(joining.id, leader.id, 2));
    joining.confirmed_by(leader.id);
    joining.send(message(joining.id, leader.id, 3));
    assert_eq!(mark(&leader.delivered()), 3);
}

#[test]
fn a_message_without_a_way_is_dropped_and_reported() {
    let a = Node::start(1);
    a.send(message(a.id, node(2), 1));
    a.lost(node(2));
    assert_eq!(a.count(Count::DroppedUnconnected), 1);
}

#[test]
fn a_broken_connection_is_reported_without_a_message_to_notice_it() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.connect(&b);
    drop(b);
    a.lost(node(2));
    assert_eq!(a.count(Count::Disconnected), 1);
}

#[test]
fn a_peer_that_restarts_on_its_port_is_found_again() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.connect(&b);
    let address = b.address.clone();
    drop(b);
    a.lost(node(2));
    let b = Node::start_on(Tcp::bind(&address).unwrap().options(options()), hello(2));
    a.confirmed_by(b.id);
    a.send(message(a.id, b.id, 5));
    assert_eq!(mark(&b.delivered()), 5);
    assert_eq!(a.count(Count::Connected), 2);
}

#[test]
fn a_peer_that_connects_is_connected_to_without_waiting_for_the_next_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = Node::start_with(hello(1), TcpOptions { reconnect_delay_max: 100 * PATIENCE, ..options() });
    a.set_address(node(7), &listener.local_addr().unwrap().to_string());
    let mut first = Raw::over(listener.accept().unwrap().0);
    first.read_frame();
    let refusal = Refusal::Incarnation;
    first.write(&handshake_frame(REFUSED, &Refused { text: refusal.to_string(), refusal: refusal.clone() }));
    // After a refusal the wait is the longest there is; only the peer itself can cut it short.
    assert_eq!(a.refused_by(node(7)), refusal);
    Raw::admitted(7, &a);
    let mut second = Raw::over(listener.accept().unwrap().0);
    let (kind, _): (u8, Greeting) = second.read_header();
    assert_eq!(kind, GREETING);
}

#[test]
fn a_peer_that_moves_and_says_so_itself_is_followed() {
    let (a, old, new) =
        (Node::start(1), TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    for listener in [&old, &new] {
        let mut raw = Raw::connect(&a);
        let mut greeting = greeting(7, a.id);
        greeting.hello.address = listener.local_addr().unwrap().to_string();
        raw.write(&handshake_frame(GREETING, &greeting));
        raw.read_frame();
        // Sending is what opens the connection.
        a.send(message(a.id, node(7), 1));
        a.lost(node(7));
        let mut accepted = Raw::over(listener.accept().unwrap().0);
        accepted.read_frame();
        accepted.write(&handshake_frame(WELCOME, &Welcome { version: 1, hello: hello(7) }));
        a.confirmed_by(node(7));
    }
    // The connection to the old address was lost with it: twice unsent, once moved.
    assert_eq!(a.count(Count::DroppedUnconnected), 2);
}

#[test]
fn a_peer_that_moves_is_followed() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.connect(&b);
    let moved = Node::start(2);
    a.connect(&moved);
    a.send(message(a.id, moved.id, 9));
    assert_eq!(mark(&moved.delivered()), 9);
    assert!(b.delivered_so_far().is_empty());
}

#[test]
fn a_forgotten_peer_is_disconnected_both_ways() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.connect(&b);
    b.connect(&a);
    a.forget(b.id);
    b.lost(a.id);
    a.send(message(a.id, b.id, 1));
    a.lost(b.id);
}

#[test]
fn a_newer_connection_of_a_peer_replaces_the_older() {
    let a = Node::start(1);
    let mut first = Raw::admitted(9, &a);
    let mut second = Raw::admitted(9, &a);
    first.wait_closed();
    second.write(&frame(&message(node(9), a.id, 1)));
    assert_eq!(mark(&a.delivered()), 1);
    assert_eq!(a.count(Count::ClosedReplaced), 1);
}

#[test]
fn the_lanes_of_a_peer_live_side_by_side() {
    let a = Node::start(1);
    let mut raft = Raw::admitted(9, &a);
    let mut bulk = Raw::connect(&a);
    let lane = "Bulk".to_owned();
    bulk.write(&handshake_frame(GREETING, &Greeting { lane, ..greeting(9, a.id) }));
    bulk.read_frame();
    for (mark_sent, lane) in [(1, &mut raft), (2, &mut bulk)] {
        lane.write(&frame(&message(node(9), a.id, mark_sent)));
        assert_eq!(mark(&a.delivered()), mark_sent);
    }
}

#[test]
fn dropping_the_transport_frees_its_port_and_closes_its_connections() {
    let (a, b) = (Node::start(1), Node::start(2));
    a.connect(&b);
    b.connect(&a);
    let mut silent = Raw::connect(&a);
    let mut admitted = Raw::admitted(9, &a);
    a.stop_transport();
    TcpListener::bind(&a.address).unwrap();
    silent.wait_closed();
    admitted.wait_closed();
    b.hung_up(a.id);
}

#[test]
fn connections_made_before_the_start_are_served() {
    let tcp = Tcp::bind("127.0.0.1:0").unwrap().options(options());
    let early = std::net::TcpStream::connect(tcp.local_addr()).unwrap();
    let a = Node::start_on(tcp, hello(1));
    let mut early = Raw::over(early);
    early.write(&handshake_frame(GREETING, &greeting(9, a.id)));
    early.read_frame();
}

#[test]
fn an_advertised_address_is_the_one_that_others_hear() {
    let tcp = Tcp::bind("127.0.0.1:0").unwrap().advertise("raft.example:7101");
    assert_eq!(raft_actor::transport::Transport::address(&tcp), "raft.example:7101");
}
