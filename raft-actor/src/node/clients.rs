//! The node's side of what clients ask: propose it, forward it, or keep it until somebody leads.

use std::sync::Arc;
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;
use bytes::Bytes;
use raft_consensus::{Input, LogIndex, NodeId, ProposalId, ProposalOutcome, ReadId, Role, Time};

use super::requests::{Forwarded, Request};
use super::{NextBatch, RaftNode, SendOut};
use crate::callers::{Failure, Outlet, Waiting};
use crate::envelope::{Body, Envelope, Forward, ForwardError, ForwardKind, ForwardReply};
use crate::handle::{ClientBatch, Leadership, StopReason, WriteBatch};
use crate::log_storage::LogError;
use crate::node::apply::APPLY_BATCH_BYTES_MAX;
use crate::state_machine::{Apply, Query};

/// How long requests wait that another node sent back, before they are tried again.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Most bytes of requests in one Forward, well below what a transport takes as one message.
const FORWARD_BYTES_MAX: usize = 8 << 20;

/// Most requests in one Forward.
const FORWARD_REQUESTS_MAX: usize = 16_384;

impl StreamHandler<ClientBatch> for RaftNode {
    fn handle(&mut self, batch: ClientBatch, ctx: &mut Context<Self>) {
        let ClientBatch { writes, reads, lease_reads, local_reads } = batch;
        if let Some(waiting) = local_reads {
            self.query(vec![waiting]);
        }
        if let Some(writes) = writes {
            self.dispatch(Request::Write { commands: writes.commands, waiting: writes.waiting }, ctx);
        }
        self.dispatch_reads(reads, lease_reads, ctx);
        self.status_is_stale = true;
        self.settle(ctx);
    }

    /// The queue was closed: the last handle is gone, unless the node has closed it itself.
    fn finished(&mut self, ctx: &mut Context<Self>) {
        if self.leaving.is_none() {
            self.stop(StopReason::Dropped, ctx);
        }
    }
}

impl RaftNode {
    fn dispatch_reads(&mut self, reads: Option<Waiting>, lease_reads: Option<Waiting>, ctx: &mut Context<Self>) {
        for (waiting, by_lease) in [(reads, false), (lease_reads, true)] {
            if let Some(waiting) = waiting {
                self.dispatch(Request::Read { waiting, by_lease }, ctx);
            }
        }
    }

    /// Brings a request to where it can be served now.
    fn dispatch(&mut self, mut request: Request, ctx: &mut Context<Self>) {
        self.stir(ctx);
        match (self.raft.role(), self.raft.leader()) {
            (Role::Leader, _) if request.kind() == ForwardKind::Write && self.raft.hands_over_to().is_some() => {
                // Held until it is known who leads (dissertation 3.10), for a minimum election timeout at most.
                self.requests.park(request);
            }
            (Role::Leader, _) => self.serve(request, ctx),
            // Never forwarded twice: their own node tries again.
            (Role::Follower | Role::Candidate | Role::Learner, leader) if request.waiting().is_remote() => {
                request.into_waiting().fail(Failure::NoLeader { leader });
            }
            (Role::Follower | Role::Candidate | Role::Learner, Some(leader))
                if !self.requests.is_forgotten(self.raft.term()) =>
            {
                self.forward(leader, request);
            }
            (Role::Follower | Role::Candidate | Role::Learner, _) => self.requests.park(request),
        }
    }

    /// This node leads.
    fn serve(&mut self, request: Request, ctx: &mut Context<Self>) {
        match request {
            Request::Write { mut commands, waiting } => {
                self.log_time.stamp(&mut commands, self.clock.now());
                self.proposing = Some(waiting);
                self.step(Input::Propose { id: ProposalId(0), commands }, ctx);
                // The core answers a proposal in the same step, unless it stopped in it or before.
                if let Some(waiting) = self.proposing.take() {
                    waiting.fail(self.stop_failure());
                }
            }
            Request::Read { waiting, by_lease } => {
                let id = self.requests.ask(waiting);
                // The step reads the clock now, with the requests in hand: a lease that holds then holds for them.
                self.step(if by_lease { Input::ReadByLease { id } } else { Input::Read { id } }, ctx);
            }
        }
    }

    /// The core has answered the proposal of this step.
    pub(super) fn proposed(&mut self, outcome: ProposalOutcome) {
        let Some(waiting) = self.proposing.take() else { return };
        match outcome {
            ProposalOutcome::Appended { first } => self.requests.propose(first, waiting),
            // Writes are held back before they come this far; nothing was appended.
            ProposalOutcome::HandingOver => waiting.fail(Failure::NoLeader { leader: None }),
            ProposalOutcome::NotLeader { leader } => waiting.fail(Failure::NoLeader { leader }),
            ProposalOutcome::Overloaded => waiting.fail(Failure::Overloaded),
        }
    }

    /// The core cannot confirm these reads, for leadership was lost: try again where it is now.
    pub(super) fn read_refused(&mut self, id: ReadId) {
        if let Some(waiting) = self.requests.refuse(id) {
            // Never forwarded twice: their own node tries again.
            if waiting.is_remote() {
                return waiting.fail(Failure::NoLeader { leader: self.raft.leader() });
            }
            // Whoever leads now has hardly a lease yet.
            self.park_for_retry(Request::Read { waiting, by_lease: false });
        }
    }

    /// Sends requests to the leader, in messages that a transport takes.
    fn forward(&mut self, leader: NodeId, mut request: Request) {
        let mut encoded = match &request {
            Request::Write { commands, .. } => commands.clone(),
            Request::Read { waiting, .. } => waiting.encoded_requests(),
        };
        loop {
            let later = encoded.split_off(fitting(&encoded));
            if later.is_empty() {
                return self.forward_together(leader, request, encoded);
            }
            let first = request.split_to(encoded.len());
            self.forward_together(leader, first, std::mem::replace(&mut encoded, later));
        }
    }

    fn forward_together(&mut self, leader: NodeId, mut request: Request, requests: Vec<Bytes>) {
        let remaining = request.waiting().latest_deadline().since(self.clock.now());
        let timeout_ms = u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX);
        let kind = request.kind();
        let term = self.raft.term();
        let id = self.requests.forward(leader, term, request);
        if !self.send(leader, Body::Forward(Forward { id, timeout_ms, kind, term: Some(term), requests }))
            && let Some(Forwarded { request, .. }) = self.requests.take_forwarded(id)
        {
            // It certainly did not arrive: no harm in trying again.
            self.park_for_retry(request);
        }
    }

    /// Another node passes requests on to us. They are never passed on again.
    pub(super) fn forwarded_to_us(&mut self, origin: NodeId, forward: Forward, ctx: &mut Context<Self>) {
        if !self.seen.first_time(origin, forward.id) {
            // A transport may repeat a message. Whatever became of the first one was answered, or will be; to
            // take it in again would apply its commands twice.
            tracing::debug!(%origin, id = forward.id, "a Forward came again");
            return;
        }
        if forward.kind == ForwardKind::Write && forward.term.is_some_and(|term| !self.raft.remembers_leading(term)) {
            // It was meant for the leader that this node was before it was started anew. That one may have taken it in:
            // to do so again would apply its commands twice, to send it back as not appended would have that done.
            return self.refuse_forward(origin, &forward, ForwardError::Forgotten);
        }
        if self.raft.role() != Role::Leader {
            let error = ForwardError::NotLeader { leader: self.raft.leader() };
            return self.refuse_forward(origin, &forward, error);
        }
        match forward.kind {
            ForwardKind::Membership => return self.change_forwarded_to_us(origin, forward, ctx),
            ForwardKind::Transfer => return self.transfer_forwarded_to_us(origin, forward, ctx),
            ForwardKind::Write | ForwardKind::Read | ForwardKind::LeaseRead | ForwardKind::ReadLocal => {}
        }
        let outlet = self.outlet(origin);
        self.take_in(forward, outlet, ctx);
    }

    pub(super) fn refuse_forward(&mut self, origin: NodeId, forward: &Forward, error: ForwardError) {
        let outcomes = forward.requests.iter().map(|_| Err(error)).collect();
        self.send(origin, Body::ForwardReply(ForwardReply { id: forward.id, first: 0, outcomes }));
    }

    /// Serves requests whose callers are elsewhere.
    pub(super) fn take_in(&mut self, forward: Forward, outlet: Outlet, ctx: &mut Context<Self>) {
        let batch = self.front.accept_forward(forward, self.clock.now(), outlet);
        if let Some(waiting) = batch.local_reads {
            self.query(vec![waiting]);
        }
        if let Some(WriteBatch { commands, waiting }) = batch.writes {
            self.dispatch(Request::Write { commands, waiting }, ctx);
        }
        self.dispatch_reads(batch.reads, batch.lease_reads, ctx);
    }

    /// Carries answers to callers at `origin` from whichever thread has them to this node's transport.
    pub(super) fn outlet(&self, origin: NodeId) -> Outlet {
        let (from, group) = (self.context.node, self.group);
        let addr = self.address.clone();
        Arc::new(move |reply| {
            let envelope = Envelope { from, to: origin, group, body: Body::ForwardReply(reply) };
            if let Some(addr) = addr.as_ref().and_then(WeakAddr::upgrade) {
                addr.do_send(SendOut(envelope));
            }
        })
    }

    /// The leader has answered requests that we forwarded.
    pub(super) fn forward_answered(&mut self, from: NodeId, mut reply: ForwardReply) {
        if self.change_answered_by(from, &mut reply) || self.transfer_answered_by(from, &mut reply) {
            return;
        }
        let ForwardReply { id, first, outcomes } = reply;
        let Some(mut forwarded) = self.requests.take_forwarded(id) else { return };
        if forwarded.to != from {
            tracing::debug!(%from, "an answer from a node that was not asked");
            self.requests.keep_forwarded(id, forwarded);
            return;
        }
        if outcomes.contains(&Err(ForwardError::Forgotten)) {
            self.requests.forgotten(forwarded.term);
        }
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let answered = forwarded.request.waiting().answer_encoded(first, outcomes);
        for (place, waiting) in answered.retry {
            let request = forwarded.part(place, waiting);
            self.park_for_retry(request);
        }
        if !forwarded.request.waiting().is_empty() {
            self.requests.keep_forwarded(id, forwarded);
        }
    }

    fn park_for_retry(&mut self, request: Request) {
        self.requests.park(request);
        self.retry_soon();
    }

    /// What was parked because something went wrong is tried again after a moment, whether or not the leader changes.
    pub(super) fn retry_soon(&mut self) {
        let at = self.clock.now().after(RETRY_AFTER);
        self.retry_at = Some(self.retry_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Tries again what waits for a leader.
    pub(super) fn retry_parked(&mut self, ctx: &mut Context<Self>) {
        self.retry_at = None;
        if self.raft.leader().is_none() {
            return;
        }
        for request in self.requests.unpark() {
            self.dispatch(request, ctx);
        }
        self.retry_changes(ctx);
        self.retry_transfers(ctx);
    }

    /// The known leader is another one now, or none.
    pub(super) fn leader_changed(&mut self, leader: Option<NodeId>) {
        let Some(leader) = leader else { return };
        // Reads change nothing: the new leader is asked at once.
        let is_read = |forwarded: &Forwarded| forwarded.to != leader && forwarded.request.is_read();
        for request in self.requests.lose_forwarded(is_read) {
            self.requests.park(request);
        }
        // A leader that has handed over still answers what is in its log, or sends back what is not. One that was
        // replaced for its silence does not, and is not waited for for long.
        let patience = self.raft.settings().election_timeout_min();
        self.requests.doubt_forwarded(leader, self.clock.now().after(patience));
        self.changes.lose_forwarded(leader);
        self.transfers.leader_changed(Leadership { leader, term: self.raft.term() });
        // Not within this step: the core is in the middle of its effects.
        self.retry_at = Some(Time::ZERO);
    }

    /// Messages to `peer` got lost. Reads change nothing, so those that it was asked are asked again;
    /// writes may have arrived and wait on.
    pub(super) fn peer_unreachable(&mut self, peer: NodeId) {
        let is_lost = |forwarded: &Forwarded| forwarded.to == peer && forwarded.request.is_read();
        for request in self.requests.lose_forwarded(is_lost) {
            self.park_for_retry(request);
        }
        self.requests.forwarded_is_cut(peer);
    }

    /// Hands the state machine what it may apply and has room for.
    pub(super) fn feed_machine(&mut self, ctx: &mut Context<Self>) {
        while let Some(next) = self.feed.next() {
            let cached = self.cache.borrow().read(next.from, next.through, APPLY_BATCH_BYTES_MAX);
            match cached {
                Some(entries) => self.hand_over(entries),
                None if self.context.reader_is_fast => {
                    let read = self.context.reader.read(self.group, next.from, next.through, APPLY_BATCH_BYTES_MAX);
                    if !self.read_to_apply(next, read, ctx) {
                        return;
                    }
                }
                None => self.read_to_apply_from_disk(next, ctx),
            }
        }
        self.serve_reads();
    }

    fn read_to_apply_from_disk(&mut self, next: NextBatch, ctx: &mut Context<Self>) {
        self.feed.reading();
        let reader = Arc::clone(&self.context.reader);
        let group = self.group;
        let read =
            tokio::task::spawn_blocking(move || reader.read(group, next.from, next.through, APPLY_BATCH_BYTES_MAX));
        let done = read.into_actor(self).map(move |result, node, ctx| {
            node.feed.read_done();
            if !node.feed.expects(next) {
                // A snapshot took its place.
                node.feed_machine(ctx);
                return node.settle(ctx);
            }
            let read = result.unwrap_or(Err(LogError::Stopped));
            if node.read_to_apply(next, read, ctx) {
                node.feed_machine(ctx);
            }
            node.settle(ctx);
        });
        ctx.spawn(done);
    }

    /// Returns whether to go on.
    fn read_to_apply(
        &mut self,
        next: NextBatch,
        read: Result<raft_consensus::Entries, LogError>,
        ctx: &mut Context<Self>,
    ) -> bool {
        match read {
            Ok(entries) if entries.first_index() == Some(next.from) => {
                self.hand_over(entries);
                true
            }
            // Committed and durable here, and yet not there: something is very wrong.
            Ok(_) => {
                let violation = format!("the log does not hold committed entry {}", next.from);
                self.stop(StopReason::Broken { violation: violation.into() }, ctx);
                false
            }
            Err(error) => {
                self.stop(StopReason::Log(Arc::new(error)), ctx);
                false
            }
        }
    }

    fn hand_over(&mut self, entries: raft_consensus::Entries) {
        // A backlog goes through the mailbox, so that others on the thread have their turns between its pieces.
        let is_last_word = entries.last_position().is_some_and(|last| self.feed.is_last_word(last.index));
        self.feed.handed_over(&entries);
        let apply = Apply { answers: self.requests.apply(&entries), entries };
        match &self.machine.here {
            Some(machine) if is_last_word => self.done.applied = machine.apply_now(apply).or(self.done.applied),
            Some(_) | None => self.machine.apply.do_send(apply),
        }
        if self.feed.is_halted() {
            // It will tell the callers so, and never say that it has applied anything.
            self.requests.applied(self.feed.sent());
        }
    }

    /// The machine applies nothing any more: what it is handed only has its callers told so.
    pub(super) fn machine_halted(&mut self, ctx: &mut Context<Self>) {
        self.feed.halt();
        self.requests.applied(self.feed.sent());
        self.feed_machine(ctx);
    }

    /// Sends confirmed reads behind the entries that they must see.
    pub(super) fn serve_reads(&mut self) {
        let sent: LogIndex = self.feed.sent();
        let readable = self.requests.take_readable(sent);
        if !readable.is_empty() {
            self.query(readable);
        }
    }

    fn query(&mut self, reads: Vec<Waiting>) {
        let answers = reads.into_iter().map(|waiting| self.requests.query(waiting)).collect();
        self.machine.query.do_send(Query { answers });
    }
}

/// How many requests travel in one Forward; one that is too large for it travels alone.
fn fitting(encoded: &[Bytes]) -> usize {
    let mut bytes = 0;
    let fit = encoded.iter().take(FORWARD_REQUESTS_MAX).take_while(|request| {
        bytes += request.len();
        bytes <= FORWARD_BYTES_MAX
    });
    fit.count().clamp(1, encoded.len().max(1)).min(encoded.len())
}

impl Forwarded {
    /// A part of the request, for callers that were taken out of it at `place`.
    fn part(&self, place: usize, waiting: Waiting) -> Request {
        match &self.request {
            Request::Write { commands, .. } => {
                let commands = commands[place..place + waiting.len()].to_vec();
                Request::Write { commands, waiting }
            }
            Request::Read { by_lease, .. } => Request::Read { waiting, by_lease: *by_lease },
        }
    }
}
