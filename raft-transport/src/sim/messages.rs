//! What scripts do to single messages.

use raft_actor::StateMachine;
use raft_actor::consensus::NodeId;
use raft_actor::envelope::Envelope;

use super::faults::FaultKind;
use super::world::{Event, Sim};

/// What becomes of a message that is sent; see [`Sim::intercept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transit {
    /// It arrives, as ever.
    Arrives,
    /// It is lost, and nobody is told.
    Lost,
    /// It is held back until the script [lets it go](Sim::let_go).
    Held,
    /// It arrives, and a copy is held back: to look at it, or to let it arrive once more, late.
    Copied,
}

type Rule = Box<dyn FnMut(&Envelope) -> Transit>;

/// Whoever decides about messages on behalf of a script, and what they hold back.
#[derive(Default)]
pub(super) struct Interception {
    rule: Option<Rule>,
    /// In the order in which it was sent.
    held: Vec<Envelope>,
}

impl<S: StateMachine> Sim<S> {
    /// From now on `rule` decides what becomes of each message as it is sent, unless a [cut](Self::cut) link swallows
    /// it. It takes the place of the rule before.
    pub fn intercept(&mut self, rule: impl FnMut(&Envelope) -> Transit + 'static) {
        self.interception.rule = Some(Box::new(rule));
    }

    /// From now on all messages arrive, as ever. What is held stays held.
    pub fn intercept_nothing(&mut self) {
        self.interception.rule = None;
    }

    /// What is held back, in the order in which it was sent.
    pub fn held(&self) -> impl Iterator<Item = &Envelope> {
        self.interception.held.iter()
    }

    /// Puts what is held on the wire, where it takes as long as any message.
    pub fn let_go(&mut self) {
        self.let_go_if(|_| true);
    }

    /// Puts those of what is held on the wire that are `wanted`.
    pub fn let_go_if(&mut self, mut wanted: impl FnMut(&Envelope) -> bool) {
        let released: Vec<Envelope> = self.interception.held.extract_if(.., |envelope| wanted(envelope)).collect();
        for envelope in released {
            self.put_on_the_wire(Box::new(envelope));
        }
    }

    /// Puts the newest of what is held on the wire.
    pub fn let_newest_go(&mut self) {
        if let Some(envelope) = self.interception.held.pop() {
            self.put_on_the_wire(Box::new(envelope));
        }
    }

    /// What is held never arrives.
    pub fn forget_held(&mut self) {
        self.interception.held.clear();
    }

    /// Gives the message back if it is to arrive.
    pub(super) fn pass_interception(&mut self, envelope: Box<Envelope>) -> Option<Box<Envelope>> {
        let Some(rule) = &mut self.interception.rule else { return Some(envelope) };
        match rule(&envelope) {
            Transit::Arrives => Some(envelope),
            Transit::Lost => {
                self.tally.count(FaultKind::Loss);
                self.judge.is_lost(&envelope);
                None
            }
            Transit::Held => {
                self.tally.count(FaultKind::Delay);
                self.interception.held.push(*envelope);
                None
            }
            Transit::Copied => {
                self.interception.held.push((*envelope).clone());
                Some(envelope)
            }
        }
    }

    /// With the connections of a server goes what was on them.
    pub(super) fn drop_messages_of(&mut self, id: NodeId) {
        let is_of = |envelope: &Envelope| envelope.from == id || envelope.to == id;
        self.interception.held.retain(|envelope| !is_of(envelope));
        self.schedule.retain(|event| !matches!(event, Event::Deliver { envelope, .. } if is_of(envelope)));
    }
}
