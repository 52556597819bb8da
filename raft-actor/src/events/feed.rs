//! The node's side: where events go, if anybody listens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_consensus::{GroupId, NodeId, Term, Time};
use tokio::sync::broadcast;

use super::{Event, EventKind, Events};

/// Events that a listener may be behind; a power of two, as the channel wants it.
const BEHIND_MAX: usize = 4096;

/// Where a node tells what happens. Shared with its handles.
#[derive(Clone)]
pub(crate) struct EventFeed {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) group: GroupId,
    /// Whether the channel is open: looked at in every step, so it is beside the mutex.
    is_heard: AtomicBool,
    channel: Mutex<Channel>,
}

/// The buffer exists only while somebody listens.
enum Channel {
    Idle,
    Open(broadcast::Sender<Arc<Event>>),
    /// The node stopped.
    Closed,
}

impl EventFeed {
    pub(crate) fn new(node: NodeId, group: GroupId) -> Self {
        let channel = Mutex::new(Channel::Idle);
        Self { shared: Arc::new(Shared { node, group, is_heard: AtomicBool::new(false), channel }) }
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.shared.is_heard.load(Ordering::Relaxed)
    }

    /// Everything from now on.
    pub(crate) fn listen(&self) -> Events {
        Events::new(Arc::clone(&self.shared), self.shared.open())
    }

    /// Tells these, in this order.
    pub(super) fn tell(&self, term: Term, at: Time, kinds: Vec<EventKind>) {
        let Shared { node, group, .. } = *self.shared;
        if let Channel::Open(sender) = &*self.shared.channel() {
            for kind in kinds {
                // Without a listener nobody misses it.
                let _ = sender.send(Arc::new(Event { node, group, term, at, kind }));
            }
        }
    }

    /// The last event: the node stopped. Later listeners hear nothing.
    pub(crate) fn close(&self, term: Term, at: Time, reason: String) {
        self.tell(term, at, vec![EventKind::Stopped { reason }]);
        self.shared.is_heard.store(false, Ordering::Relaxed);
        *self.shared.channel() = Channel::Closed;
    }
}

impl Shared {
    /// `None`: the node stopped.
    fn open(&self) -> Option<broadcast::Receiver<Arc<Event>>> {
        let mut channel = self.channel();
        let receiver = match &*channel {
            Channel::Closed => return None,
            Channel::Open(sender) => sender.subscribe(),
            Channel::Idle => {
                let (sender, receiver) = broadcast::channel(BEHIND_MAX);
                *channel = Channel::Open(sender);
                receiver
            }
        };
        self.is_heard.store(true, Ordering::Relaxed);
        Some(receiver)
    }

    /// A listener has gone.
    pub(super) fn leave(&self) {
        let mut channel = self.channel();
        if matches!(&*channel, Channel::Open(sender) if sender.receiver_count() == 0) {
            self.is_heard.store(false, Ordering::Relaxed);
            *channel = Channel::Idle;
        }
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
