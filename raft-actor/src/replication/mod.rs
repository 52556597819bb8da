//! One actor per peer: turns the core's orders into AppendEntries. Beside it, for a peer that needs one, the sending of
//! a snapshot, and at the other end its reception.
//!
//! The core decides what is sent and when; these only read the log and the snapshot and
//! speak to their peer. They have no state that matters: they may be restarted.
//!
//! | file | what it is about |
//! |---|---|
//! | `mod` | [`ReplicationStream`]: entries |
//! | `sender` | sends one peer a snapshot |
//! | `window` | what of it to send next |
//! | `receiver` | collects one, and hands the node what is whole |
//! | `disk_work` | keeps the disk from holding up the node's thread |

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::WeakRecipient;
use actix::prelude::*;
use raft_consensus::{AppendEntries, Entries, GroupId, Message as RaftMessage, NodeId, ReplicationOrder};

use crate::clock::Clock;
use crate::envelope::{Body, Envelope};
use crate::log_storage::{LogCache, LogError, LogReader};
use crate::node::{PeerUnreachable, Unreadable};
use crate::state_machine::snapshots::SnapshotStore;
use crate::transport::Outbound;

mod disk_work;
mod receiver;
mod sender;
mod window;

pub(crate) use receiver::SnapshotReception;
pub(crate) use sender::SnapshotSending;
pub(crate) use window::SnapshotPace;

/// Carry out this order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Replicate(pub(crate) ReplicationOrder);

/// What a stream needs to know of its surroundings; the same for all streams of a group.
#[derive(Clone)]
pub(crate) struct StreamContext {
    pub(crate) node: NodeId,
    pub(crate) group: GroupId,
    pub(crate) cache: Rc<RefCell<LogCache>>,
    pub(crate) reader: Arc<dyn LogReader>,
    /// Whether the reader answers without touching a disk.
    pub(crate) reader_is_fast: bool,
    pub(crate) outbound: Rc<dyn Outbound>,
    /// The node, which has to know what cannot be read here any more.
    pub(crate) unreadable: WeakRecipient<Unreadable>,
    /// The same: it is told when what was ordered cannot be sent. No other group is to hear of that.
    pub(crate) unreachable: WeakRecipient<PeerUnreachable>,
    /// The snapshots of the group.
    pub(crate) snapshots: SnapshotStore,
    /// How they are sent.
    pub(crate) pace: SnapshotPace,
    pub(crate) clock: Clock,
}

/// The way of entries to one peer, as the node holds it.
///
/// Nearly all orders are served from the cache, with a call. Only for one that needs the disk there is a
/// [`ReplicationStream`]; from then on all go through it, in order, until it has nothing left to do.
#[derive(Default)]
pub(crate) struct PeerStream {
    actor: Option<Addr<ReplicationStream>>,
    /// Orders that are with the actor.
    handed_over: Rc<Cell<usize>>,
}

impl PeerStream {
    /// Sends what was ordered, or has it sent.
    pub(crate) fn carry_out(&mut self, context: &StreamContext, order: ReplicationOrder) {
        if let Some(actor) = &self.actor {
            if actor.connected() && self.handed_over.get() > 0 {
                self.handed_over.update(|orders| orders + 1);
                return actor.do_send(Replicate(order));
            }
            self.actor = None;
        }
        if context.send_now(&order) {
            return;
        }
        self.handed_over = Rc::new(Cell::new(1));
        let mut stream = ReplicationStream::new(context.clone());
        stream.left = Rc::clone(&self.handed_over);
        let actor = stream.start();
        actor.do_send(Replicate(order));
        self.actor = Some(actor);
    }
}

/// Sends one peer what the core orders, in order.
///
/// An order that needs the disk is read on another thread; those behind it wait, as many as the core's window allows.
pub(crate) struct ReplicationStream {
    context: StreamContext,
    /// Orders behind a read from disk that is under way (the first one).
    waiting: VecDeque<ReplicationOrder>,
    /// Orders that are not carried out yet.
    left: Rc<Cell<usize>>,
}

impl StreamContext {
    /// Carries an order out if it needs no disk. Returns whether it did.
    fn send_now(&self, order: &ReplicationOrder) -> bool {
        let cached = self.cache.borrow().read_exactly(order.prev, order.through);
        if let Some(entries) = cached {
            self.send(order, entries);
        } else if self.reader_is_fast {
            let read = self.reader.read(self.group, order.prev.index.next(), order.through.index, u64::MAX);
            self.read_done(order, read);
        } else {
            return false;
        }
        true
    }

    /// The core finds out what the peer needs by now.
    pub(crate) fn cannot_send_to(&self, peer: NodeId) {
        if let Some(node) = self.unreachable.upgrade() {
            node.do_send(PeerUnreachable(peer));
        }
    }

    fn read_done(&self, order: &ReplicationOrder, read: Result<Entries, LogError>) {
        match read {
            // §5.3: what ends elsewhere was overwritten since it was ordered. A later order covers it.
            Ok(entries) if entries.last_position() != Some(order.through) => {
                tracing::debug!(peer = %order.peer, through = %order.through, "the log changed since; order dropped");
                self.cannot_send_to(order.peer);
            }
            Ok(entries) => self.send(order, entries),
            // The node knows by itself, or the runtime ends.
            Err(LogError::Stopped) => self.cannot_send_to(order.peer),
            // To read again gives the same, and meanwhile the peer would wait for a leader who has what it lacks.
            Err(error) => self.cannot_read(Unreadable::Log(error)),
        }
    }

    fn cannot_read(&self, what: Unreadable) {
        if let Some(node) = self.unreadable.upgrade() {
            node.do_send(what);
        }
    }

    fn send(&self, order: &ReplicationOrder, entries: Entries) {
        let ReplicationOrder { peer, term, prev, through: _, commit, round } = *order;
        let message = AppendEntries { term, prev, entries, commit, round, rest: false, repair: None };
        self.outbound.send(Envelope {
            from: self.node,
            to: peer,
            group: self.group,
            body: Body::Raft(RaftMessage::AppendEntries(message)),
        });
    }
}

impl ReplicationStream {
    pub(crate) fn new(context: StreamContext) -> Self {
        Self { context, waiting: VecDeque::new(), left: Rc::default() }
    }

    fn carry_out(&mut self, order: ReplicationOrder, ctx: &mut Context<Self>) {
        if self.context.send_now(&order) {
            self.carried_out();
        } else {
            self.read_from_disk(order, ctx);
        }
    }

    fn carried_out(&self) {
        self.left.update(|orders| orders.saturating_sub(1));
    }

    fn read_from_disk(&mut self, order: ReplicationOrder, ctx: &mut Context<Self>) {
        self.waiting.push_front(order);
        let reader = Arc::clone(&self.context.reader);
        let group = self.context.group;
        let read = tokio::task::spawn_blocking(move || {
            reader.read(group, order.prev.index.next(), order.through.index, u64::MAX)
        });
        let done = read.into_actor(self).map(move |result, stream, ctx| {
            let read = result.unwrap_or(Err(LogError::Stopped));
            stream.waiting.pop_front();
            stream.context.read_done(&order, read);
            stream.carried_out();
            while let Some(next) = stream.waiting.pop_front() {
                let behind = stream.waiting.len();
                stream.carry_out(next, ctx);
                // It went back to the front: it needs the disk too.
                if stream.waiting.len() > behind {
                    break;
                }
            }
        });
        ctx.spawn(done);
    }
}

impl Actor for ReplicationStream {
    type Context = Context<Self>;
}

impl Handler<Replicate> for ReplicationStream {
    type Result = ();

    fn handle(&mut self, Replicate(order): Replicate, ctx: &mut Context<Self>) {
        if self.waiting.is_empty() {
            self.carry_out(order, ctx);
        } else {
            self.waiting.push_back(order);
        }
    }
}

#[cfg(test)]
mod tests;
