//! What an application's actors can hear of: changes of leadership, and the end.

use std::sync::{Arc, Mutex, PoisonError};

use actix::WeakRecipient;
use actix::prelude::{Message, Recipient};
use raft_consensus::{NodeId, Term};

use super::StopReason;

/// This node leads, and has applied everything that earlier leaders committed.
///
/// The term is a fencing token: a predecessor that was cut off may believe for a
/// moment that it still leads, but its term is lower.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct BecameLeader {
    /// The term it leads in.
    pub term: Term,
}

/// This node follows.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct BecameFollower {
    /// The term.
    pub term: Term,
    /// The leader of that term, once known.
    pub leader: Option<NodeId>,
}

/// This node wants to lead.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct BecameCandidate {
    /// The term it is in; its election may be about the next one.
    pub term: Term,
}

/// This node does not run any more.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct NodeStopped {
    /// Why.
    pub reason: StopReason,
}

/// Something to [`subscribe`](super::RaftHandle::subscribe) to: [`BecameLeader`],
/// [`BecameFollower`], [`BecameCandidate`], [`NodeStopped`]. Cannot be implemented outside this crate.
pub trait RaftEvent: Message<Result = ()> + Clone + Send + sealed::Event {}

impl RaftEvent for BecameLeader {}
impl RaftEvent for BecameFollower {}
impl RaftEvent for BecameCandidate {}
impl RaftEvent for NodeStopped {}

/// Who wants to hear of what. Shared by the handles, who subscribe, and the node, which publishes.
#[derive(Clone, Default)]
pub(crate) struct Subscriptions {
    shared: Arc<Mutex<Subscribers>>,
}

/// Held weakly: a subscription does not keep an actor alive.
#[derive(Default)]
pub struct Subscribers {
    now: Now,
    leader: Vec<WeakRecipient<BecameLeader>>,
    follower: Vec<WeakRecipient<BecameFollower>>,
    candidate: Vec<WeakRecipient<BecameCandidate>>,
    stopped: Vec<WeakRecipient<NodeStopped>>,
}

/// The latest event: what a late subscriber is told at once.
#[derive(Debug, Clone, Default)]
enum Now {
    #[default]
    Starting,
    Leader(BecameLeader),
    Follower(BecameFollower),
    Candidate(BecameCandidate),
    Stopped(NodeStopped),
}

impl Subscriptions {
    /// From now on `subscriber` gets every `E`; at once, if that is how things stand.
    pub(crate) fn subscribe<E: RaftEvent>(&self, subscriber: Recipient<E>) {
        let mut subscribers = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = E::current(&subscribers) {
            subscriber.do_send(event);
        }
        E::list(&mut subscribers).push(subscriber.downgrade());
    }

    /// How many subscribers of `E` there are.
    #[cfg(test)]
    pub(crate) fn count<E: RaftEvent>(&self) -> usize {
        E::list(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner)).len()
    }

    /// Tells everybody who wants to know, in the order of the calls, and forgets those who are gone.
    pub(crate) fn publish<E: RaftEvent>(&self, event: &E) {
        let mut subscribers = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        event.note(&mut subscribers);
        E::list(&mut subscribers).retain(|subscriber| match subscriber.upgrade() {
            // Under the lock, so that nobody gets two events in the wrong order; `do_send` only puts it into a queue.
            Some(subscriber) if subscriber.connected() => {
                subscriber.do_send(event.clone());
                true
            }
            Some(_) | None => false,
        });
    }
}

mod sealed {
    use super::{
        BecameCandidate, BecameFollower, BecameLeader, NodeStopped, Now, RaftEvent, Subscribers, WeakRecipient,
    };

    pub trait Event: Sized {
        fn list(subscribers: &mut Subscribers) -> &mut Vec<WeakRecipient<Self>>
        where
            Self: RaftEvent;
        fn current(subscribers: &Subscribers) -> Option<Self>;
        fn note(&self, subscribers: &mut Subscribers);
    }

    macro_rules! event {
        ($event:ident, $list:ident, $now:ident) => {
            impl Event for $event {
                fn list(subscribers: &mut Subscribers) -> &mut Vec<WeakRecipient<Self>> {
                    &mut subscribers.$list
                }

                fn current(subscribers: &Subscribers) -> Option<Self> {
                    if let Now::$now(event) = &subscribers.now { Some(event.clone()) } else { None }
                }

                fn note(&self, subscribers: &mut Subscribers) {
                    subscribers.now = Now::$now(self.clone());
                }
            }
        };
    }

    event!(BecameLeader, leader, Leader);
    event!(BecameFollower, follower, Follower);
    event!(BecameCandidate, candidate, Candidate);
    event!(NodeStopped, stopped, Stopped);
}
