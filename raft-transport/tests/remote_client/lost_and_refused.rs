//! Before nodes that lose answers, refuse, hang and lie.

use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use raft_actor::NodeId;
use raft_actor::envelope::{ForwardError, ForwardKind};
use raft_transport::RemoteClient;
use raft_transport::client::{AttemptError, ClientOptions, RemoteError, Trouble};

use super::fake::{FakeNode, session_of};
use super::machine::Sum;

fn options() -> ClientOptions {
    ClientOptions { timeout: Duration::from_secs(20), patience: Duration::from_secs(20), ..ClientOptions::default() }
}

async fn connect(addresses: impl IntoIterator<Item = String>, options: ClientOptions) -> RemoteClient<Sum> {
    RemoteClient::connect_with("sum", addresses, options).await.unwrap()
}

/// Plays a node on a thread of its own.
fn play<T: Send + 'static>(script: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(script)
}

#[tokio::test]
async fn a_command_whose_answer_was_lost_is_asked_again_under_the_same_number() {
    let node = FakeNode::new(1);
    let address = node.address();
    let node = play(move || {
        let mut line = node.admit();
        let first = line.asked();
        drop(line);
        let mut line = node.admit();
        let again = line.asked();
        line.answer(&again, Ok(7));
        (first.requests, again.requests, line)
    });
    let client = connect([address], options()).await;
    assert_eq!(client.write(7).await.unwrap(), 7);
    let (first, again, _line) = node.join().unwrap();
    assert_eq!(first, again);
    let (flags, sequence, acknowledged, name) = session_of(&first[0]);
    assert_eq!((flags, sequence, acknowledged, name.len()), (1, 1, 0, 32));
}

#[tokio::test]
async fn without_a_session_a_lost_answer_is_an_unknown_outcome_and_nothing_is_sent_again() {
    let node = FakeNode::new(1);
    let address = node.address();
    let node = play(move || {
        let mut line = node.admit();
        let lost = line.asked();
        assert_eq!(lost.requests[0][0], 0, "a plain command");
        drop(line);
        let mut line = node.admit();
        let read = line.asked();
        assert_eq!(read.kind, ForwardKind::Read);
        line.answer(&read, Ok(3));
        line
    });
    let client = connect([address], options()).await.without_session();
    let lost = client.write(7).await.unwrap_err();
    assert!(matches!(lost, RemoteError::Unknown { maybe_applied: true, .. }) && lost.maybe_applied(), "{lost}");
    assert_eq!(client.read(()).await.unwrap(), 3);
    node.join().unwrap();
}

#[tokio::test]
async fn a_client_goes_where_the_leader_is_said_to_be() {
    let (follower, leader) = (FakeNode::new(1), FakeNode::new(2));
    let address = follower.address();
    let nodes = play(move || {
        let mut line = follower.admit_telling(&[&leader]);
        let asked = line.asked();
        line.answer(&asked, Err(ForwardError::NotLeader { leader: Some(NodeId::from(2)) }));
        line.left();
        let mut line = leader.admit();
        let again = line.asked();
        line.answer(&again, Ok(5));
        (asked.requests, again.requests, line)
    });
    let client = connect([address], options()).await;
    assert_eq!(client.write(5).await.unwrap(), 5);
    assert_eq!(client.connected_to(), Some(NodeId::from(2)));
    let (asked, again, _line) = nodes.join().unwrap();
    assert_eq!(asked, again);
}

#[tokio::test]
async fn a_leader_that_hangs_with_its_connections_open_is_left_for_another_node() {
    let (hanging, other) = (FakeNode::new(1), FakeNode::new(2));
    let addresses = [hanging.address(), other.address()];
    let nodes = play(move || {
        let mut line = hanging.admit();
        let first = line.asked();
        let mut line_to_other = other.admit();
        let again = line_to_other.asked();
        line_to_other.answer(&again, Ok(5));
        assert_eq!(first.requests, again.requests);
        (line, line_to_other)
    });
    let client = connect(addresses, ClientOptions { patience: Duration::from_millis(50), ..options() }).await;
    assert_eq!(client.write(5).await.unwrap(), 5);
    nodes.join().unwrap();
}

#[tokio::test]
async fn nodes_that_point_at_each_other_are_not_asked_without_a_pause() {
    let (a, b) = (FakeNode::new(1), FakeNode::new(2));
    let addresses = [a.address(), b.address()];
    let nodes = play(move || {
        let nodes = [(&a, &b, 2), (&b, &a, 1)];
        // After a few rounds the client stays where it is, waits, and asks again.
        for (node, other, leader) in nodes.into_iter().cycle().take(3) {
            let mut line = node.admit_telling(&[other]);
            let asked = line.asked();
            line.answer(&asked, Err(ForwardError::NotLeader { leader: Some(NodeId::from(leader)) }));
            line.left();
        }
        let mut line = b.admit_telling(&[&a]);
        let asked = line.asked();
        line.answer(&asked, Err(ForwardError::NotLeader { leader: Some(NodeId::from(1)) }));
        line
    });
    let delay = Duration::from_secs(3_600);
    let options = ClientOptions { retry_delay_min: delay, retry_delay_max: delay, ..options() };
    let client = connect(addresses, options).await;
    let error = client.with_timeout(Duration::from_secs(2)).write(5).await.unwrap_err();
    let no_leader = matches!(error, RemoteError::TimedOut { trouble: Trouble::NoLeader, maybe_applied: false, .. });
    assert!(no_leader, "{error}");
    nodes.join().unwrap();
}

#[tokio::test]
async fn an_expired_session_is_an_error_and_the_next_command_begins_another_one() {
    let node = FakeNode::new(1);
    let address = node.address();
    let node = play(move || {
        let mut line = node.admit();
        let known = line.asked();
        line.answer(&known, Ok(1));
        let forgotten = line.asked();
        line.answer(&forgotten, Err(ForwardError::SessionExpired));
        let new = line.asked();
        line.answer(&new, Ok(3));
        [known, forgotten, new].map(|forward| session_of(&forward.requests[0]))
    });
    let client = connect([address], options()).await;
    assert_eq!(client.write(1).await.unwrap(), 1);
    let expired = client.write(1).await.unwrap_err();
    assert!(matches!(expired, RemoteError::SessionExpired { maybe_applied: false, .. }), "it was sent once: {expired}");
    assert_eq!(client.write(1).await.unwrap(), 3);
    let [known, forgotten, new] = node.join().unwrap();
    assert_eq!(known.3, forgotten.3);
    assert_eq!((forgotten.0, forgotten.1, forgotten.2), (0, 2, 1), "it cannot open the session again");
    assert_ne!(known.3, new.3);
    assert_eq!((new.0, new.1, new.2), (1, 1, 0));
}

#[tokio::test]
async fn an_idle_session_gives_a_sign_of_life() {
    let node = FakeNode::new(1);
    let address = node.address();
    let node = play(move || {
        let mut line = node.admit();
        let write = line.asked();
        line.answer(&write, Ok(1));
        let sign = line.asked();
        let lifetime_ms: u32 = 300;
        line.answer_with(&sign, vec![Ok(raft_actor::remote::encode(&lifetime_ms).unwrap())]);
        let next = line.asked();
        [write, sign, next].map(|forward| session_of(&forward.requests[0]))
    });
    let client = connect([address], options()).await;
    assert_eq!(client.write(1).await.unwrap(), 1);
    let [write, sign, next] = tokio::task::spawn_blocking(|| node.join().unwrap()).await.unwrap();
    assert_eq!((sign.0, sign.2, &sign.3), (2, 1, &write.3), "of the same session, with all answers here");
    assert_eq!(sign, next, "as often as the lifetime wants");
}

#[tokio::test]
async fn what_is_not_answered_in_time_may_have_been_applied() {
    let node = FakeNode::new(1);
    let address = node.address();
    let node = play(move || {
        let mut line = node.admit();
        line.asked();
        line.left();
    });
    let client = connect([address], options()).await;
    let error = client.with_timeout(Duration::from_millis(50)).write(1).await.unwrap_err();
    let unanswered = matches!(error, RemoteError::TimedOut { trouble: Trouble::Unanswered, maybe_applied: true, .. });
    assert!(unanswered, "{error}");
    drop(client);
    node.join().unwrap();
}

#[tokio::test]
async fn a_node_that_never_answers_the_introduction_does_not_keep_a_client_from_the_others() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = FakeNode::new(1);
    let silent_address = silent.local_addr().unwrap().to_string();
    let options = ClientOptions { handshake_timeout: Duration::from_millis(50), ..options() };
    let addresses = [silent_address.clone(), node.address()];
    let node = play(move || node.admit());
    let client = connect(addresses, options.clone()).await;
    assert_eq!(client.connected_to(), Some(NodeId::from(1)));
    node.join().unwrap();

    let options = ClientOptions { timeout: Duration::from_millis(200), ..options };
    let nobody = RemoteClient::<Sum>::connect_with("sum", [silent_address], options).await.unwrap_err();
    assert!(matches!(nobody.attempts(), [(_, AttemptError::Unanswered(_))]), "{nobody}");
}

#[tokio::test]
async fn a_client_takes_no_more_than_it_may_hold() {
    let node = FakeNode::new(1);
    let address = node.address();
    let node = play(move || {
        let mut line = node.admit();
        let first = line.asked();
        let second = line.asked();
        line.answer(&first, Ok(1));
        line.answer(&second, Ok(2));
        line
    });
    let client = connect([address], ClientOptions { requests_max: 2, ..options() }).await;
    let (first, second) = (client.write(1), client.write(1));
    let too_many = client.write(1).await.unwrap_err();
    assert!(matches!(too_many, RemoteError::Overloaded { .. }), "{too_many}");
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 2));
    node.join().unwrap();
}

#[test]
fn a_client_whose_runtime_is_gone_says_so_and_leaves_nobody_waiting() {
    let node = FakeNode::new(1);
    let address = node.address();
    let node = play(move || {
        let mut line = node.admit();
        line.asked();
        line.left();
    });
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let client = first.block_on(connect([address], options()));
    let waiting = client.write(1);
    drop(first);
    let other = runtime();
    let lost = other.block_on(waiting).unwrap_err();
    assert!(matches!(lost, RemoteError::Closed { maybe_applied: true, .. }), "{lost}");
    let late = other.block_on(client.write(1)).unwrap_err();
    assert!(matches!(late, RemoteError::Closed { maybe_applied: false, .. }), "{late}");
    node.join().unwrap();
}
