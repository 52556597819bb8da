//! Subscriptions.

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use raft_consensus::Term;

use crate::handle::{BecameCandidate, BecameFollower, BecameLeader, NodeStopped, StopReason, Subscriptions};

type Heard = Arc<Mutex<Vec<String>>>;

/// Writes down what it hears.
struct Listener(Heard);

impl Actor for Listener {
    type Context = Context<Self>;
}

macro_rules! hears {
    ($event:ident) => {
        impl Handler<$event> for Listener {
            type Result = ();
            fn handle(&mut self, event: $event, _: &mut Self::Context) {
                self.0.lock().expect("no panic").push(format!("{event:?}"));
            }
        }
    };
}

hears!(BecameLeader);
hears!(BecameFollower);
hears!(BecameCandidate);
hears!(NodeStopped);

/// Answered when all earlier messages were handled.
#[derive(Message)]
#[rtype(result = "usize")]
struct Count;

impl Handler<Count> for Listener {
    type Result = usize;
    fn handle(&mut self, _: Count, _: &mut Self::Context) -> usize {
        self.0.lock().expect("no panic").len()
    }
}

fn leader(term: u64) -> BecameLeader {
    BecameLeader { term: Term::new(term) }
}

fn candidate(term: u64) -> BecameCandidate {
    BecameCandidate { term: Term::new(term) }
}

fn follower(term: u64) -> BecameFollower {
    BecameFollower { term: Term::new(term), leader: None }
}

#[actix_rt::test]
async fn a_subscriber_hears_what_it_asked_for_in_order_and_nothing_else() {
    let (subscriptions, heard) = (Subscriptions::default(), Heard::default());
    let listener = Listener(heard.clone()).start();
    subscriptions.subscribe::<BecameLeader>(listener.clone().into());
    subscriptions.subscribe::<NodeStopped>(listener.clone().into());
    subscriptions.publish(&follower(1));
    subscriptions.publish(&candidate(1));
    subscriptions.publish(&leader(2));
    subscriptions.publish(&follower(3));
    subscriptions.publish(&leader(4));
    subscriptions.publish(&NodeStopped { reason: StopReason::ShutDown });
    assert_eq!(listener.send(Count).await.expect("it listens"), 3);
    let heard = heard.lock().expect("no panic");
    assert_eq!(heard[..2], ["BecameLeader { term: Term(2) }", "BecameLeader { term: Term(4) }"]);
    assert!(heard[2].starts_with("NodeStopped"));
}

#[actix_rt::test]
async fn a_late_subscriber_hears_at_once_how_things_stand() {
    let subscriptions = Subscriptions::default();
    let listener = Listener(Heard::default()).start();
    subscriptions.subscribe::<BecameLeader>(listener.clone().into());
    assert_eq!(listener.send(Count).await.expect("it listens"), 0, "nothing is known yet");
    subscriptions.publish(&leader(2));
    let late = Listener(Heard::default()).start();
    subscriptions.subscribe::<BecameFollower>(late.clone().into());
    assert_eq!(late.send(Count).await.expect("it listens"), 0, "it is not a follower");
    subscriptions.subscribe::<BecameLeader>(late.clone().into());
    assert_eq!(late.send(Count).await.expect("it listens"), 1);
}

#[actix_rt::test]
async fn a_subscription_does_not_keep_an_actor_alive_and_goes_with_it() {
    let (subscriptions, heard) = (Subscriptions::default(), Heard::default());
    let listener = Listener(heard.clone()).start();
    let weak = listener.downgrade();
    subscriptions.subscribe::<BecameLeader>(listener.clone().into());
    assert_eq!(listener.send(Count).await.expect("it listens"), 0);
    drop(listener);
    while weak.upgrade().is_some() || Arc::strong_count(&heard) > 1 {
        tokio::task::yield_now().await;
    }
    subscriptions.publish(&leader(2));
    assert_eq!(subscriptions.count::<BecameLeader>(), 0, "forgotten");
    assert!(heard.lock().expect("no panic").is_empty());
}
