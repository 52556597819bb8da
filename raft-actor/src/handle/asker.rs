//! Whoever waits for what a node does to its group: here, or at another node that passed the wish on.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::callers::Outlet;
use crate::envelope::{ForwardError, ForwardReply};

/// What can become of a wish, in words that another node understands.
pub(crate) trait Outcome: Send + Sized + 'static {
    /// The same for the node that passed the wish on.
    fn to_wire(self) -> Result<Bytes, ForwardError>;
}

/// Who waits for an outcome. Whoever is dropped without an answer learns that nobody knows.
pub(crate) struct Asker<O: Outcome>(Option<Place<O>>);

enum Place<O> {
    /// A future of a handle.
    Here(oneshot::Sender<O>),
    /// Another node, by the id of its Forward.
    Remote { id: u64, outlet: Outlet },
}

impl<O: Outcome> Asker<O> {
    /// A caller at this node, and what it waits for.
    pub(crate) fn here() -> (Self, oneshot::Receiver<O>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(Place::Here(sender))), receiver)
    }

    /// A caller at another node, which forwarded the request under this id.
    pub(crate) fn remote(id: u64, outlet: Outlet) -> Self {
        Self(Some(Place::Remote { id, outlet }))
    }

    /// Whether the request was forwarded to us: it is never forwarded again.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.0, Some(Place::Remote { .. }))
    }

    /// Tells the outcome.
    pub(crate) fn answer(mut self, outcome: O) {
        match self.0.take() {
            // A caller that does not wait any more gets nothing; that is its right.
            Some(Place::Here(sender)) => drop(sender.send(outcome)),
            Some(Place::Remote { id, outlet }) => outlet(reply(id, outcome.to_wire())),
            None => {}
        }
    }
}

impl<O: Outcome> Drop for Asker<O> {
    fn drop(&mut self) {
        // One here learns it from its channel, and looks up why the node stopped.
        if let Some(Place::Remote { id, outlet }) = self.0.take() {
            outlet(reply(id, Err(ForwardError::Unknown)));
        }
    }
}

fn reply(id: u64, outcome: Result<Bytes, ForwardError>) -> ForwardReply {
    ForwardReply { id, first: 0, outcomes: vec![outcome] }
}
