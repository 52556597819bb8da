//! The listener's side.

use std::fmt;
use std::sync::Arc;

use raft_consensus::{Term, Time};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

use super::feed::Shared;
use super::{Event, EventKind};

/// What happens in a node, from when [`RaftAdmin::events`](crate::RaftAdmin::events) was called. Does not keep the node
/// running.
///
/// ```
/// use raft_actor::events::EventKind;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// # #[actix_rt::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = LocalCluster::<Counter>::start(3).await?;
/// let node = cluster.leader().await;
/// let mut events = node.events();
/// node.write(5).await?;
/// while let Some(event) = events.next().await {
///     if let EventKind::Committed { index, .. } = event.kind {
///         println!("node {} has committed everything through {index}", event.node);
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Events {
    feed: Arc<Shared>,
    /// `None`: the node has stopped, and all was heard.
    receiver: Option<broadcast::Receiver<Arc<Event>>>,
    /// Of the last event.
    heard_last: (Term, Time),
}

impl Events {
    pub(super) fn new(feed: Arc<Shared>, receiver: Option<broadcast::Receiver<Arc<Event>>>) -> Self {
        Self { feed, receiver, heard_last: (Term::ZERO, Time::ZERO) }
    }

    /// Waits for the next event; `None` when the node has stopped. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        let next = match self.receiver.as_mut()?.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(count)) => self.lost(count),
            Err(RecvError::Closed) => return self.end(),
        };
        Some(self.hear(next))
    }

    /// The next event, if there is one at the moment.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        let next = match self.receiver.as_mut()?.try_recv() {
            Ok(event) => event,
            Err(TryRecvError::Lagged(count)) => self.lost(count),
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Closed) => return self.end(),
        };
        Some(self.hear(next))
    }

    fn hear(&mut self, event: Arc<Event>) -> Arc<Event> {
        self.heard_last = (event.term, event.at);
        event
    }

    fn lost(&self, count: u64) -> Arc<Event> {
        let (term, at) = self.heard_last;
        let Shared { node, group, .. } = *self.feed;
        Arc::new(Event { node, group, term, at, kind: EventKind::Lost { count } })
    }

    fn end(&mut self) -> Option<Arc<Event>> {
        self.receiver = None;
        None
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.receiver = None;
        self.feed.leave();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("node", &self.feed.node).field("ended", &self.receiver.is_none()).finish()
    }
}
