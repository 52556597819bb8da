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

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use raft_consensus::{AppendEntries, Entries, GroupId, Message as RaftMessage, NodeId, ReplicationOrder};

use crate::clock::Clock;
use crate::envelope::{Body, Envelope};
use crate::log_storage::{LogCache, LogReader};
use crate::state_machine::snapshots::SnapshotStore;
use crate::transport::{Inbound, Outbound};

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
    pub(crate) inbound: Arc<dyn Inbound>,
    /// The snapshots of the group.
    pub(crate) snapshots: SnapshotStore,
    /// How they are sent.
    pub(crate) pace: SnapshotPace,
    pub(crate) clock: Clock,
}

/// Sends one peer what the core orders, in order.
///
/// Nearly all orders are served from the cache at once. One that needs the disk
/// is read on another thread; those behind it wait, as many as the core's window allows.
pub(crate) struct ReplicationStream {
    context: StreamContext,
    peer: NodeId,
    /// Orders behind a read from disk that is under way (the first one).
    waiting: VecDeque<ReplicationOrder>,
}

impl ReplicationStream {
    pub(crate) fn new(context: StreamContext, peer: NodeId) -> Self {
        Self { context, peer, waiting: VecDeque::new() }
    }

    fn carry_out(&mut self, order: ReplicationOrder, ctx: &mut Context<Self>) {
        let cached = self.context.cache.borrow().read_exactly(order.prev, order.through);
        if let Some(entries) = cached {
            self.send(order, entries);
        } else if self.context.reader_is_fast {
            let read =
                self.context.reader.read(self.context.group, order.prev.index.next(), order.through.index, u64::MAX);
            self.read_done(order, read.map_err(|error| error.to_string()));
        } else {
            self.read_from_disk(order, ctx);
        }
    }

    fn read_from_disk(&mut self, order: ReplicationOrder, ctx: &mut Context<Self>) {
        self.waiting.push_front(order);
        let reader = Arc::clone(&self.context.reader);
        let group = self.context.group;
        let read = tokio::task::spawn_blocking(move || {
            reader.read(group, order.prev.index.next(), order.through.index, u64::MAX)
        });
        let done = read.into_actor(self).map(move |result, stream, ctx| {
            let read = match result {
                Ok(read) => read.map_err(|error| error.to_string()),
                Err(stopped) => Err(stopped.to_string()),
            };
            stream.waiting.pop_front();
            stream.read_done(order, read);
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

    fn read_done(&mut self, order: ReplicationOrder, read: Result<Entries, String>) {
        match read {
            // §5.3: what ends elsewhere was overwritten since it was ordered. A later order covers it.
            Ok(entries) if entries.last_position() != Some(order.through) => {
                tracing::debug!(peer = %self.peer, through = %order.through, "the log changed since; order dropped");
                self.context.inbound.unreachable(self.peer);
            }
            Ok(entries) => self.send(order, entries),
            Err(reason) => {
                tracing::warn!(peer = %self.peer, reason, "cannot read the log for a peer");
                self.context.inbound.unreachable(self.peer);
            }
        }
    }

    fn send(&self, order: ReplicationOrder, entries: Entries) {
        let ReplicationOrder { peer, term, prev, through: _, commit, round } = order;
        let message = AppendEntries { term, prev, entries, commit, round, rest: false, repair: None };
        self.context.outbound.send(Envelope {
            from: self.context.node,
            to: peer,
            group: self.context.group,
            body: Body::Raft(RaftMessage::AppendEntries(message)),
        });
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
