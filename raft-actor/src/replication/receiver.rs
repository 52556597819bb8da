//! Receives snapshots: collects the chunks in a file, and hands the node what is whole.

use std::collections::VecDeque;

use actix::prelude::*;
use bytes::Bytes;
use raft_consensus::{NodeId, Round, Term};

use super::StreamContext;
use super::disk_work::beside;
use super::sender::Cease;
use crate::envelope::{Body, Envelope, SnapshotChunk, SnapshotOutcome, SnapshotReply};
use crate::node::SnapshotReceived;
use crate::state_machine::snapshots::{PartialSnapshot, ReceivedSnapshot, SnapshotError, SnapshotId, SnapshotStore};
use crate::transport::Credit;

/// A chunk has arrived, of the leader that the node follows.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Arrived {
    from: NodeId,
    chunk: SnapshotChunk,
    /// Given back once the chunk is written.
    credit: Credit,
}

/// What receives the snapshots of a group. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct SnapshotReception(Addr<SnapshotReceiver>);

impl SnapshotReception {
    /// Waits for chunks; tells `node` what is whole.
    pub(crate) fn start(context: StreamContext, node: Recipient<SnapshotReceived>) -> Self {
        Self(SnapshotReceiver { context, node, current: None, serial: 0, complained_of: None }.start())
    }

    /// A chunk has arrived, of the leader that the node follows.
    pub(crate) fn arrived(&self, from: NodeId, chunk: SnapshotChunk, credit: Credit) {
        self.0.do_send(Arrived { from, chunk, credit });
    }
}

impl Drop for SnapshotReception {
    fn drop(&mut self) {
        self.0.do_send(Cease);
    }
}

/// Receives one snapshot at a time.
///
/// The disk is opened, written and read beside the node's thread, one job at a time. What arrives meanwhile waits
/// here: as much as the transport gives credit for, and no honest sender sends more than its window.
struct SnapshotReceiver {
    context: StreamContext,
    node: Recipient<SnapshotReceived>,
    current: Option<Reception>,
    /// Tells the jobs of one reception from those of the one before it.
    serial: u64,
    /// The last snapshot that could not be received: said once.
    complained_of: Option<SnapshotId>,
}

/// One snapshot on its way in.
struct Reception {
    serial: u64,
    id: SnapshotId,
    /// Who sends it, and in which office: the latest who did.
    from: NodeId,
    term: Term,
    round: Round,
    stage: Stage,
    /// On disk from the beginning on.
    written: u64,
    /// That, and what waits.
    accepted: u64,
    waiting: VecDeque<(u64, Bytes, Credit)>,
}

/// Where a [`Reception`] stands.
enum Stage {
    /// How much is there is being found out.
    Opening,
    /// Ready to be written to.
    Ready(PartialSnapshot),
    /// Something is being written.
    Writing,
    /// It is whole, and being checked.
    Checking,
    /// It was handed to the node.
    HandedOver,
}

/// What there is of a snapshot that somebody wants to send.
enum Found {
    /// Nothing is to be received: it is whole already, or a newer one is.
    Enough,
    /// A beginning, maybe an empty one.
    Beginning(PartialSnapshot),
}

fn find(store: &SnapshotStore, id: SnapshotId) -> Result<Found, SnapshotError> {
    // Installed, or about to be: the node says that it is covered when the machine has loaded it.
    if store.newest().is_some_and(|newest| newest.id().position.index >= id.position.index) {
        return Ok(Found::Enough);
    }
    match store.receive(id) {
        Ok(partial) => Ok(Found::Beginning(partial)),
        // It waits for the core's decision, or for its installation.
        Err(SnapshotError::Over { .. }) => Ok(Found::Enough),
        Err(error) => Err(error),
    }
}

impl SnapshotReceiver {
    fn reply(&self, to: NodeId, id: SnapshotId, round: Round, received: u64, outcome: SnapshotOutcome) {
        let body = Body::SnapshotReply(SnapshotReply { id, round, received, outcome });
        self.context.outbound.send(Envelope { from: self.context.node, to, group: self.context.group, body });
    }

    /// Says how far the current one has come.
    fn report(&self, outcome: SnapshotOutcome) {
        let Some(current) = &self.current else { return };
        let received = match outcome {
            SnapshotOutcome::Gap => current.accepted,
            SnapshotOutcome::Whole | SnapshotOutcome::Covered => current.id.size_bytes,
            SnapshotOutcome::Continue | SnapshotOutcome::Failed => current.written,
        };
        self.reply(current.from, current.id, current.round, received, outcome);
    }

    /// Opens the snapshot of this chunk, which takes the place of the current one.
    fn begin(&mut self, from: NodeId, chunk: &SnapshotChunk, ctx: &mut Context<Self>) {
        self.serial += 1;
        let SnapshotChunk { term, round, id, .. } = *chunk;
        self.current = Some(Reception {
            serial: self.serial,
            id,
            from,
            term,
            round,
            stage: Stage::Opening,
            written: 0,
            accepted: 0,
            waiting: VecDeque::new(),
        });
        self.open(ctx);
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        let Some(current) = &mut self.current else { return };
        current.stage = Stage::Opening;
        let (store, id) = (self.context.snapshots.clone(), current.id);
        self.beside(ctx, move || find(&store, id), Self::opened);
    }

    /// Does `work` on the disk, then `then`, unless another snapshot has taken the current one's place.
    fn beside<T: Send + 'static>(
        &self,
        ctx: &mut Context<Self>,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) {
        let serial = self.serial;
        let done = beside(self.context.reader_is_fast, work).into_actor(self);
        ctx.spawn(done.map(move |done, receiver, ctx| {
            if let Some(done) = done
                && receiver.current.as_ref().is_some_and(|current| current.serial == serial)
            {
                then(receiver, done, ctx);
            }
        }));
    }

    fn opened(&mut self, found: Result<Found, SnapshotError>, ctx: &mut Context<Self>) {
        let Some(current) = &mut self.current else { return };
        match found {
            Ok(Found::Beginning(partial)) => {
                (current.written, current.accepted) = (partial.received(), partial.received());
                current.stage = Stage::Ready(partial);
                self.report(SnapshotOutcome::Continue);
                self.go_on(ctx);
            }
            Ok(Found::Enough) => {
                current.stage = Stage::HandedOver;
                self.report(SnapshotOutcome::Whole);
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Writes what waits; checks what is whole.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        let Some(current) = &mut self.current else { return };
        let Stage::Ready(mut partial) = std::mem::replace(&mut current.stage, Stage::Writing) else {
            unreachable!("only what is ready goes on");
        };
        if current.written == current.id.size_bytes {
            current.stage = Stage::Checking;
            self.beside(ctx, move || partial.finish(), Self::checked);
        } else if current.waiting.is_empty() {
            current.stage = Stage::Ready(partial);
        } else {
            let waiting = std::mem::take(&mut current.waiting);
            let write = move || {
                let written = waiting.iter().try_for_each(|(offset, bytes, _)| partial.append(*offset, bytes));
                // With what waited goes its credit.
                written.map(|()| partial)
            };
            self.beside(ctx, write, Self::written);
        }
    }

    fn written(&mut self, partial: Result<PartialSnapshot, SnapshotError>, ctx: &mut Context<Self>) {
        let Some(current) = &mut self.current else { return };
        match partial {
            Ok(partial) => {
                current.written = partial.received();
                current.stage = Stage::Ready(partial);
                self.report(SnapshotOutcome::Continue);
                self.go_on(ctx);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn checked(&mut self, checked: Result<ReceivedSnapshot, SnapshotError>, _: &mut Context<Self>) {
        let Some(current) = &mut self.current else { return };
        match checked {
            Ok(snapshot) => {
                current.stage = Stage::HandedOver;
                tracing::info!(node = %self.context.node, from = %current.from, position = %current.id.position,
                    bytes = current.id.size_bytes, "received a snapshot");
                let (from, term, round) = (current.from, current.term, current.round);
                self.node.do_send(SnapshotReceived { from, term, round, snapshot });
                self.report(SnapshotOutcome::Whole);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &SnapshotError) {
        self.report(SnapshotOutcome::Failed);
        let Some(failed) = self.current.take() else { return };
        if self.complained_of.replace(failed.id) != Some(failed.id) {
            tracing::warn!(node = %self.context.node, from = %failed.from, %error, "cannot receive a snapshot");
        }
    }
}

impl Actor for SnapshotReceiver {
    type Context = Context<Self>;
}

impl Handler<Arrived> for SnapshotReceiver {
    type Result = ();

    fn handle(&mut self, Arrived { from, chunk, credit }: Arrived, ctx: &mut Context<Self>) {
        let Some(end) = chunk.end() else {
            return tracing::debug!(%from, "a chunk reaches beyond its snapshot");
        };
        let Some(current) = self.current.as_mut().filter(|current| current.id == chunk.id) else {
            let ordered = |current: &Reception| (current.term, current.round) < (chunk.term, chunk.round);
            if self.current.as_ref().is_none_or(ordered) {
                self.begin(from, &chunk, ctx);
            }
            return;
        };
        // The same bytes, whoever sends them: another leader, or the same one once more.
        if (current.term, current.round) < (chunk.term, chunk.round) {
            (current.from, current.term, current.round) = (from, chunk.term, chunk.round);
        }
        match &current.stage {
            // What comes meanwhile is sent again: where it has to begin is not known yet.
            Stage::Opening => {}
            // The core may have dropped it since.
            Stage::HandedOver if chunk.is_question() => self.open(ctx),
            Stage::Checking | Stage::HandedOver => self.report(SnapshotOutcome::Whole),
            Stage::Ready(_) | Stage::Writing if chunk.offset > current.accepted => self.report(SnapshotOutcome::Gap),
            Stage::Ready(_) | Stage::Writing if end <= current.accepted => self.report(SnapshotOutcome::Continue),
            Stage::Ready(_) => {
                current.accepted = end;
                current.waiting.push_back((chunk.offset, chunk.bytes, credit));
                self.go_on(ctx);
            }
            Stage::Writing => {
                current.accepted = end;
                current.waiting.push_back((chunk.offset, chunk.bytes, credit));
            }
        }
    }
}

impl Handler<Cease> for SnapshotReceiver {
    type Result = ();

    fn handle(&mut self, _: Cease, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
