//! Clients that run no node: who is let in, what they may say, and what they cost.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use raft_actor::NodeId;
use raft_actor::consensus::GroupId;
use raft_actor::envelope::{Body, Envelope, Forward, ForwardKind, codec};
use raft_actor::transport::{Hello, Refusal};
use raft_transport::{Count, TcpOptions};
use serde::{Deserialize, Serialize};

use crate::support::{Node, Pair, Raw, WELCOME, frame, handshake_frame, hello, message, node, options};

const CLIENT_GREETING: u8 = 4;
const NOBODY: NodeId = NodeId::new(0);

#[derive(Debug, Clone, Serialize)]
struct ClientGreeting {
    magic: String,
    version_min: u8,
    version_max: u8,
    cluster: String,
}

#[derive(Debug, Deserialize)]
struct ClientWelcome {
    version: u8,
    hello: Hello,
    members: BTreeMap<NodeId, String>,
}

fn greeting() -> ClientGreeting {
    ClientGreeting { magic: "raft-actor".to_owned(), version_min: 1, version_max: 1, cluster: "test".to_owned() }
}

fn admitted(to: &Node) -> (Raw, ClientWelcome) {
    let mut raw = Raw::connect(to);
    raw.write(&handshake_frame(CLIENT_GREETING, &greeting()));
    let (kind, welcome) = raw.read_header();
    assert_eq!(kind, WELCOME);
    (raw, welcome)
}

fn refused(greeting: &ClientGreeting, to: &Node) -> Refusal {
    Raw::refused_saying(CLIENT_GREETING, greeting, to)
}

/// Asks for an answer of so many bytes; see `Host::asked`.
fn ask(id: u64, bytes: usize) -> Vec<u8> {
    let requests = vec![Bytes::from(bytes.to_string())];
    let forward = Forward { id, timeout_ms: 1_000, kind: ForwardKind::Read, term: None, requests };
    frame(&Envelope { from: NOBODY, to: node(1), group: GroupId::from(1), body: Body::Forward(forward) })
}

fn answered(raw: &mut Raw) -> (u64, usize) {
    match codec::decode(&raw.read_frame()).unwrap().body {
        Body::ForwardReply(reply) => (reply.id, reply.outcomes[0].as_ref().unwrap().len()),
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn a_client_is_let_in_told_where_the_members_are_and_answered_on_its_own_connection() {
    let (host, peer) = (Node::start(1), Node::start(2));
    host.connect(&peer);
    let (mut client, welcome) = admitted(&host);
    assert_eq!((welcome.version, welcome.hello.node), (1, host.id));
    assert_eq!(welcome.members, [(peer.id, peer.address.clone())].into());
    client.write(&[ask(1, 10), ask(2, 100_000)].concat());
    assert_eq!(answered(&mut client), (1, 10));
    assert_eq!(answered(&mut client), (2, 100_000));
    assert_eq!(host.count(Count::ClientsAdmitted), 1);
    client.finish();
    host.eventually("the client is gone", |host| host.count(Count::ClosedByPeer) == 1);
}

#[test]
fn a_client_of_another_cluster_is_refused_with_the_name_of_ours() {
    let host = Node::start(1);
    let other = ClientGreeting { cluster: "other".to_owned(), ..greeting() };
    assert_eq!(refused(&other, &host), Refusal::Cluster { ours: "test".to_owned() });
    let newer = ClientGreeting { version_min: 9, version_max: 9, ..greeting() };
    assert!(matches!(refused(&newer, &host), Refusal::Version { .. }));
}

#[test]
fn no_more_clients_are_let_in_than_may_be_and_others_take_the_place_of_those_who_leave() {
    let host = Node::start_with(hello(1), TcpOptions { client_connections_max: 2, ..options() });
    let (first, _) = admitted(&host);
    let (_second, _) = admitted(&host);
    assert_eq!(refused(&greeting(), &host), Refusal::Crowded);
    assert_eq!(host.count(Count::RefusedCrowded), 1);
    first.finish();
    host.eventually("the first is gone", |host| host.count(Count::ClosedByPeer) == 1);
    admitted(&host);
}

#[test]
fn a_client_cannot_say_what_only_hosts_say() {
    let pair = Pair::start(options());
    for from in [NOBODY, pair.friend.id] {
        let (mut client, _) = admitted(&pair.target);
        client.write(&frame(&message(from, pair.target.id, 5)));
        client.wait_closed();
    }
    assert_eq!(pair.target.count(Count::ClosedPresumptuous), 2);
    pair.still_serves_only_friends();
}

/// What it asks for is bounded, however much that is, and it is given up.
#[test]
fn a_client_that_reads_no_answers_is_hung_up_on_and_hurts_nobody() {
    let slow = TcpOptions { client_queue_bytes_max: 1 << 20, stall_timeout: Duration::from_millis(500), ..options() };
    let pair = Pair::start(slow);
    let (mut client, _) = admitted(&pair.target);
    for id in 0..1_000 {
        client.try_write(&ask(id, 100_000));
    }
    let (mut other, _) = admitted(&pair.target);
    other.write(&ask(1, 10));
    assert_eq!(answered(&mut other), (1, 10));
    pair.still_serves_only_friends();
    pair.target.eventually("it is hung up on", |host| host.count(Count::ClosedSlowClient) == 1);
    let asked = pair.target.count(Count::MessagesIn);
    assert!(asked < 500, "{asked} of 1000 requests were taken in, with answers of 100 kB, by a client that reads none");
}
