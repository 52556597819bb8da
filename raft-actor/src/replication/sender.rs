//! Sends one peer a snapshot: the file as it is, in chunks, from where the peer stopped the last time.

use actix::prelude::*;
use bytes::Bytes;
use raft_consensus::{NodeId, SnapshotOrder, Time};

use super::StreamContext;
use super::disk_work::beside;
use super::window::Window;
use crate::envelope::{Body, Envelope, SnapshotChunk, SnapshotOutcome, SnapshotReply};
use crate::node::Unreadable;
use crate::state_machine::snapshots::{SnapshotError, SnapshotFile};

/// The peer has answered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Answered(pub(super) SnapshotReply);

/// Stop, whatever there is left to do.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Cease;

/// A sending under way. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct SnapshotSending(Addr<SnapshotSender>);

impl SnapshotSending {
    /// Begins to send `file` as ordered.
    pub(crate) fn start(context: StreamContext, order: SnapshotOrder, file: SnapshotFile) -> Self {
        Self(SnapshotSender::new(context, order, file).start())
    }

    /// The peer has answered.
    pub(crate) fn answered(&self, reply: SnapshotReply) {
        self.0.do_send(Answered(reply));
    }
}

impl Drop for SnapshotSending {
    fn drop(&mut self) {
        // Its timer would keep the transport alive when the host goes down.
        self.0.do_send(Cease);
    }
}

/// Sends until the peer needs no more, or says nothing for too long.
///
/// It holds the file, so that it stays even if a newer snapshot is taken. Memory: one window, read ahead, and what of
/// it waits in the transport.
struct SnapshotSender {
    context: StreamContext,
    order: SnapshotOrder,
    file: SnapshotFile,
    window: Window,
    /// The peer's last sign of life.
    heard_at: Time,
    /// The file is being looked through, or a piece of it read.
    is_reading: bool,
    /// It was looked through, and is what was written.
    is_sound: bool,
    /// The peer has all of it; it remains to be seen that it has installed it.
    is_whole: bool,
    /// The peer cannot take it, or it cannot be read here.
    is_in_vain: bool,
}

impl SnapshotSender {
    fn new(context: StreamContext, order: SnapshotOrder, file: SnapshotFile) -> Self {
        let window = Window::new(file.id().size_bytes, context.pace);
        let heard_at = context.clock.now();
        Self {
            context,
            order,
            file,
            window,
            heard_at,
            is_reading: false,
            is_sound: false,
            is_whole: false,
            is_in_vain: false,
        }
    }

    fn send(&self, offset: u64, bytes: Bytes) -> bool {
        let SnapshotOrder { peer, term, round, position: _ } = self.order;
        let chunk = SnapshotChunk { term, round, id: self.file.id(), offset, bytes };
        let (from, group) = (self.context.node, self.context.group);
        self.context.outbound.send(Envelope { from, to: peer, group, body: Body::SnapshotChunk(chunk) })
    }

    /// Asks how much is there. With the offset up to which all was sent, so that the answer says if something got lost.
    fn ask(&mut self) {
        self.window.asked();
        self.send(self.window.next(), Bytes::new());
    }

    /// Looks through the whole file. It was sound when it was opened or written, which may be long ago, and nobody may be
    /// sent anything else.
    fn look_through(&mut self, ctx: &mut Context<Self>) {
        self.is_reading = true;
        let file = self.file.clone();
        let looked = beside(self.context.reader_is_fast, move || file.verify());
        ctx.spawn(looked.into_actor(self).map(|looked, sender, ctx| {
            sender.is_reading = false;
            match looked {
                Some(Ok(())) => {
                    sender.is_sound = true;
                    sender.go_on(ctx);
                }
                Some(Err(error)) => sender.cannot_read(error),
                None => ctx.stop(),
            }
        }));
    }

    /// The node has another one taken. That will not be there at once: the peer is given up when it is time to ask.
    fn cannot_read(&mut self, error: SnapshotError) {
        self.is_in_vain = true;
        self.context.cannot_read(Unreadable::Snapshot { id: self.file.id(), error });
    }

    /// Reads what fits into the window and sends it, once it is known to be sound.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        let room = self.window.room();
        if self.is_reading || self.is_whole || self.is_in_vain || room.is_empty() {
            return;
        }
        if !self.is_sound {
            return self.look_through(ctx);
        }
        self.is_reading = true;
        let (file, offset) = (self.file.clone(), room.start);
        let length = usize::try_from(room.end - room.start).unwrap_or(usize::MAX);
        let read = beside(self.context.reader_is_fast, move || file.read_at(offset, length));
        ctx.spawn(read.into_actor(self).map(move |read, sender, ctx| sender.read_done(offset, read, ctx)));
    }

    fn read_done(&mut self, offset: u64, read: Option<Result<Bytes, SnapshotError>>, ctx: &mut Context<Self>) {
        self.is_reading = false;
        let bytes = match read {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => return self.cannot_read(error),
            None => return ctx.stop(),
        };
        // Otherwise the peer has said meanwhile that it needs something else.
        if offset == self.window.next() && self.send_all(offset, bytes) {
            self.go_on(ctx);
        }
    }

    /// Returns whether all of it is on its way. What is not is tried again when it is time to ask.
    fn send_all(&mut self, mut offset: u64, mut bytes: Bytes) -> bool {
        let chunk_bytes = usize::try_from(self.context.pace.chunk_bytes).unwrap_or(usize::MAX);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(chunk_bytes));
            let end = offset + chunk.len() as u64;
            if !self.send(offset, chunk) {
                return false;
            }
            offset = end;
            self.window.sent(end);
        }
        true
    }

    fn wake_later(&self, ctx: &mut Context<Self>) {
        let (clock, pause) = (self.context.clock.clone(), self.context.pace.ask_after);
        let slept = async move { clock.sleep(pause).await };
        ctx.spawn(slept.into_actor(self).map(|(), sender, ctx| sender.woken(ctx)));
    }

    fn woken(&mut self, ctx: &mut Context<Self>) {
        let silence = self.context.clock.now().since(self.heard_at);
        if self.is_in_vain || silence >= self.context.pace.give_up_after {
            return self.give_up(ctx);
        }
        if self.is_whole || silence >= self.context.pace.ask_after {
            self.ask();
        }
        self.go_on(ctx);
        self.wake_later(ctx);
    }

    /// The core finds out what the peer needs by then, once it can be reached.
    fn give_up(&mut self, ctx: &mut Context<Self>) {
        tracing::debug!(peer = %self.peer(), snapshot = %self.file.id().position, "gave up sending a snapshot");
        self.context.cannot_send_to(self.peer());
        ctx.stop();
    }

    fn peer(&self) -> NodeId {
        self.order.peer
    }
}

impl Actor for SnapshotSender {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.ask();
        self.wake_later(ctx);
    }
}

impl Handler<Answered> for SnapshotSender {
    type Result = ();

    fn handle(&mut self, Answered(reply): Answered, ctx: &mut Context<Self>) {
        let SnapshotReply { id, round, received, outcome } = reply;
        if (id, round) != (self.file.id(), self.order.round) || received > id.size_bytes {
            return tracing::debug!(peer = %self.peer(), ?reply, "answers another sending");
        }
        self.heard_at = self.context.clock.now();
        self.is_whole = outcome == SnapshotOutcome::Whole;
        match outcome {
            SnapshotOutcome::Continue => self.window.reached(received),
            SnapshotOutcome::Gap => self.window.lost_behind(received),
            SnapshotOutcome::Whole => {}
            SnapshotOutcome::Covered => return ctx.stop(),
            // Not at once: whatever is wrong there will be so a moment later.
            SnapshotOutcome::Failed => self.is_in_vain = true,
        }
        self.go_on(ctx);
    }
}

impl Handler<Cease> for SnapshotSender {
    type Result = ();

    fn handle(&mut self, _: Cease, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
