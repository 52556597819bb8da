//! Messages of elections that are held back until what they were about is over.
//!
//! A message that is merely late arrives at a moment that nobody chose, and a campaign lasts for a few milliseconds of
//! a minute. Here the network is malicious: it brings a late answer exactly when it could be taken for another one.

use raft_actor::NodeId;
use raft_actor::StateMachine;
use raft_actor::consensus::{Message, Term};
use raft_actor::envelope::{Body, Envelope};

use super::world::{Event, Sim, Why};

/// No more are held back at a time; the others arrive as usual.
const HELD_MAX: usize = 32;

/// Messages on their way that wait for something to happen.
#[derive(Default)]
pub(super) struct Held {
    messages: Vec<HeldMessage>,
}

struct HeldMessage {
    envelope: Box<Envelope>,
    number: u64,
    until: Until,
}

/// What its receiver has to send before a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// It campaigns in a later term.
    Campaigns(Term),
    /// It follows a leader.
    Follows,
}

impl Until {
    fn is_reached_by(self, message: &Message) -> bool {
        match (self, message) {
            (Self::Campaigns(term), Message::RequestVote(_)) => message.term() > term,
            (Self::Follows, Message::AppendEntriesReply(_)) => true,
            (Self::Campaigns(_) | Self::Follows, _) => false,
        }
    }
}

impl Held {
    /// Takes out what waited for `node` to send this.
    fn take(&mut self, node: NodeId, message: &Message) -> Vec<HeldMessage> {
        let is_due = |held: &mut HeldMessage| held.envelope.to == node && held.until.is_reached_by(message);
        self.messages.extract_if(.., is_due).collect()
    }
}

impl<S: StateMachine> Sim<S> {
    /// Keeps a message back, by chance. Gives back what is to travel as usual.
    pub(super) fn hold_back(&mut self, envelope: Box<Envelope>, number: u64) -> Option<Box<Envelope>> {
        let until = match &envelope.body {
            Body::Raft(message @ (Message::RequestVoteReply(_) | Message::TimeoutNow(_))) => {
                Until::Campaigns(message.term())
            }
            Body::Raft(Message::PreVoteReply(_)) => Until::Follows,
            _ => return Some(envelope),
        };
        if !self.chance.happens(self.noise.holding) || self.held.messages.len() == HELD_MAX {
            return Some(envelope);
        }
        self.held.messages.push(HeldMessage { envelope, number, until });
        None
    }

    /// Lets go of what waited until this is sent.
    pub(super) fn release_held(&mut self, sent: &Envelope) {
        let Body::Raft(message) = &sent.body else { return };
        for HeldMessage { envelope, number, until: _ } in self.held.take(sent.from, message) {
            let (delay, _) = self.delay(false);
            self.plan(delay, Event::Deliver { envelope, number, why: Why { is_late: true, is_again: false } });
        }
    }

    /// The network is well again: what it held back is lost.
    pub(super) fn drop_held(&mut self) {
        for held in std::mem::take(&mut self.held).messages {
            self.judge.is_lost(&held.envelope);
        }
    }
}
