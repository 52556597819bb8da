//! One member of a group as an actor: turns messages into inputs of the core, and its effects into messages.
//!
//! No rule of Raft stands here. The node does not compare terms, count votes or
//! compute an index; it reads the clock, calls [`Raft::step`], and does what the
//! effects say, in their order. Every input ends in [`RaftNode::step`], every
//! effect begins in [`RaftNode::carry_out`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;
use raft_consensus::{Effect, Effects, GroupId, Input, LogIndex, NodeId, Raft, ReplicationOrder, Term, Time};

use crate::busy_poll;
use crate::callers::{Failure, Waiting};
use crate::clock::Clock;
use crate::envelope::{Body, Envelope};
use crate::handle::StopReason;
use crate::log_storage::{LogCache, LogOrders, Persist, Persisted, StorageFailed};
use crate::observer::Observer;
use crate::replication::{PeerStream, StreamContext};
use crate::state_machine::{Applied, Apply, ApplyHere, Query, Restore, StateMachineStopped, TakeSnapshot};

mod apply;
mod asked;
mod clients;
mod front;
mod leaving;
mod log_time;
mod membership;
mod messages;
mod peers;
mod requests;
mod seen;
mod snapshots;
mod status;
mod streaming;
mod timer;
mod transfer;
mod turns;

use apply::{ApplyFeed, NextBatch};
pub(crate) use front::Front;
use leaving::Leaving;
use log_time::LogTime;
use membership::Changes;
use messages::SendOut;
pub(crate) use messages::SnapshotReceived;
pub(crate) use messages::{
    Asked, GroupStopped, HostSilent, MembersChanged, PeerHungUp, PeerMet, PeerUnreachable, Received, StopNode,
    SuffrageGranted, Unreadable,
};
pub(crate) use peers::Peers;
use requests::Requests;
use seen::SeenForwards;
use snapshots::Snapshots;
use streaming::Streaming;
pub(crate) use timer::{Alarm, Timer, Wake};
use transfer::Transfers;
pub(crate) use turns::Turns;

/// A member of a Raft group.
pub(crate) struct RaftNode {
    group: GroupId,
    clock: Clock,
    raft: Raft,
    effects: Effects,
    observer: Option<Arc<dyn Observer>>,
    context: StreamContext,
    cache: Rc<RefCell<LogCache>>,
    storage: LogOrders,
    machine: Machine,
    done: Done,
    streams: BTreeMap<NodeId, PeerStream>,
    front: Front,
    requests: Requests,
    changes: Changes,
    snapshots: Snapshots,
    streaming: Streaming,
    log_time: LogTime,
    transfers: Transfers,
    /// It stops as soon as it can without harm.
    leaving: Option<Leaving>,
    seen: SeenForwards,
    peers: Peers,
    /// Who waits for the proposal that the core is deciding on, within one step.
    proposing: Option<Waiting>,
    feed: ApplyFeed,
    alarm: Option<Alarm>,
    timer: Timer,
    turns: Turns,
    /// When requests that found no leader are tried again; `None` if there are none.
    retry_at: Option<Time>,
    /// The term this node leads in and its no-op, until that is applied here.
    taking_office: Option<(Term, LogIndex)>,
    status_published_at: Time,
    status_is_stale: bool,
    host: Recipient<GroupStopped>,
    members: Recipient<MembersChanged>,
    address: Option<WeakAddr<Self>>,
    stopped: Option<StopReason>,
}

/// The state machine's actor, whatever its type.
#[derive(Clone)]
pub(crate) struct Machine {
    /// If it is on the same thread and quick.
    pub(crate) here: Option<Rc<dyn ApplyHere>>,
    pub(crate) apply: Recipient<Apply>,
    pub(crate) query: Recipient<Query>,
    pub(crate) take_snapshot: Recipient<TakeSnapshot>,
    pub(crate) restore: Recipient<Restore>,
}

/// What effects came to that were carried out with a call: inputs of the core, once all effects before are carried out.
#[derive(Default)]
struct Done {
    persisted: Option<Persisted>,
    applied: Option<Applied>,
    /// It is being gone through.
    is_in_hand: bool,
}

/// What a node is made of.
pub(crate) struct NodeParts {
    pub(crate) raft: Raft,
    pub(crate) clock: Clock,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) context: StreamContext,
    pub(crate) storage: LogOrders,
    pub(crate) machine: Machine,
    pub(crate) front: Front,
    pub(crate) timer: Timer,
    pub(crate) turns: Turns,
    pub(crate) host: Recipient<GroupStopped>,
    /// The host, too.
    pub(crate) members: Recipient<MembersChanged>,
    pub(crate) peers: Peers,
    /// How long sessions are remembered.
    pub(crate) session_lifetime: Duration,
    /// Tells this run of the node from all earlier ones.
    pub(crate) run: u64,
}

impl RaftNode {
    pub(crate) fn new(parts: NodeParts) -> Self {
        let log_time = LogTime::new(parts.session_lifetime, parts.clock.now());
        let NodeParts { raft, clock, observer, context, storage, machine, front, timer, turns, .. } = parts;
        let NodeParts { host, members, peers, .. } = parts;
        Self {
            group: context.group,
            clock,
            feed: ApplyFeed::new(raft.status().applied),
            raft,
            effects: Effects::new(),
            observer,
            cache: Rc::clone(&context.cache),
            context,
            storage,
            machine,
            done: Done::default(),
            streams: BTreeMap::new(),
            front,
            requests: Requests::new(parts.run),
            changes: Changes::default(),
            snapshots: Snapshots::default(),
            streaming: Streaming::default(),
            log_time,
            transfers: Transfers::default(),
            leaving: None,
            seen: SeenForwards::default(),
            peers,
            proposing: None,
            alarm: None,
            timer,
            turns,
            retry_at: None,
            taking_office: None,
            status_published_at: Time::ZERO,
            status_is_stale: true,
            host,
            members,
            address: None,
            stopped: None,
        }
    }

    /// Feeds the core one input and does what it wants done.
    fn step(&mut self, input: Input, ctx: &mut Context<Self>) {
        if self.stopped.is_some() {
            return;
        }
        let mut effects = std::mem::take(&mut self.effects);
        if let Some(observer) = &self.observer {
            observer.before(self.group, &self.raft, &input);
        }
        let heard = self.front.events.before(&self.raft, &input);
        let now = self.clock.now();
        self.raft.step(now, input, &mut effects);
        if let Some(observer) = &self.observer {
            observer.after(self.group, &self.raft, effects.as_slice());
        }
        if let Some(before) = heard {
            self.front.events.after(before, now, &self.raft, effects.as_slice());
        }
        self.follow_members(now);
        for effect in effects.drain() {
            self.carry_out(effect, ctx);
        }
        self.effects = effects;
        self.go_on_with_done(ctx);
        self.look_at_changes();
        self.hand_over_on_the_way_out(ctx);
    }

    /// Tells the core what is done already.
    fn go_on_with_done(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.done.is_in_hand, true) {
            return;
        }
        while self.stopped.is_none() {
            if let Some(persisted) = self.done.persisted.take() {
                self.persisted(persisted, ctx);
            } else if let Some(applied) = self.done.applied.take() {
                self.applied(applied, ctx);
            } else {
                break;
            }
        }
        self.done.is_in_hand = false;
    }

    fn persisted(&mut self, Persisted { seq }: Persisted, ctx: &mut Context<Self>) {
        self.step(Input::Persisted(seq), ctx);
        self.cache.borrow_mut().shrink(self.raft.durable());
    }

    fn applied(&mut self, applied: Applied, ctx: &mut Context<Self>) {
        self.feed.applied(applied.through);
        self.log_time.applied(applied.time_ms, self.clock.now());
        self.requests.applied(applied.through);
        self.step(Input::Applied(applied.through), ctx);
        self.order_snapshot(ctx);
        self.announce_office(applied.through);
        self.feed_machine(ctx);
        self.status_is_stale = true;
    }

    /// Somebody here wants something of the group: a follower that rests sees to it that somebody leads.
    pub(super) fn stir(&mut self, ctx: &mut Context<Self>) {
        if self.raft.rests() {
            self.step(Input::Stirred, ctx);
        }
    }

    fn follow_members(&mut self, now: Time) {
        if let Some(changed) = self.peers.follow(self.group, &self.raft, now, &*self.context.outbound) {
            self.streams.retain(|peer, _| !changed.left.contains(peer));
            self.streaming.forget(&changed.left);
            // Whoever is answered after this may rely on the status for who belongs to the cluster.
            self.status_is_stale = true;
            self.status_published_at = Time::ZERO;
            self.members.do_send(changed);
        }
    }

    /// To be called at the end of every handler: deadlines that have come, then the time of the next.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        busy_poll::stir();
        self.go_on_with_done(ctx);
        if self.stopped.is_some() {
            return;
        }
        let now = self.clock.now();
        if now >= self.raft.next_deadline() {
            self.step(Input::Deadline, ctx);
        }
        self.requests.expire(now, self.raft.leader());
        self.changes.expire(now, self.raft.leader(), self.raft.log().configuration());
        self.snapshots.expire(now);
        self.transfers.expire(now, self.raft.leader());
        self.peers.hang_up(now, &*self.context.outbound);
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_parked(ctx);
        }
        let leave_at = self.go_or_wait(now, ctx);
        self.publish_status(now);
        let next = self
            .raft
            .next_deadline()
            .min(self.requests.earliest_deadline())
            .min(self.changes.earliest_deadline())
            .min(self.snapshots.earliest_deadline())
            .min(self.transfers.earliest_deadline())
            .min(leave_at)
            .min(self.peers.earliest_deadline())
            .min(self.retry_at.unwrap_or(Time::NEVER))
            .min(self.status_due());
        if let Some(alarm) = &self.alarm {
            alarm.set(next);
        }
    }

    fn carry_out(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Persist { seq, hard_state, log } => {
                if let Some(write) = &log {
                    self.cache.borrow_mut().write(write);
                }
                let persisted = self.storage.order(Persist { group: self.group, seq, hard_state, log });
                self.done.persisted = persisted.or(self.done.persisted);
            }
            Effect::Send { to, message } => {
                // The core repeats what gets lost.
                self.send(to, Body::Raft(message));
            }
            Effect::Replicate(order) => self.replicate(order),
            Effect::Apply { through } => {
                self.feed.allow(through);
                self.feed_machine(ctx);
            }
            Effect::TakeSnapshot => self.take_snapshot(),
            Effect::SendSnapshot(order) => self.send_snapshot(order),
            Effect::InstallSnapshot(meta) => self.install_snapshot(meta.position, ctx),
            Effect::DropSnapshot { position } => self.drop_snapshot(position),
            Effect::Proposed { id: _, outcome } => self.proposed(outcome),
            Effect::MembershipChange { id: _, outcome } => self.change_answered(outcome),
            Effect::Transfer { id, outcome } => self.transfer_answered(id, outcome),
            Effect::ReadReady { id, index } => {
                self.requests.confirm(id, index);
                self.serve_reads();
            }
            Effect::ReadRefused { id, leader: _ } => self.read_refused(id),
            Effect::RoleChanged { role, term, leader, noop } => self.role_changed(role, term, leader, noop),
            Effect::Halt { violation } => self.stop(StopReason::Broken { violation: violation.into() }, ctx),
        }
    }

    /// Returns whether it may arrive.
    fn send(&self, to: NodeId, body: Body) -> bool {
        self.context.outbound.send(Envelope { from: self.context.node, to, group: self.group, body })
    }

    fn replicate(&mut self, order: ReplicationOrder) {
        self.streams.entry(order.peer).or_default().carry_out(&self.context, order);
    }

    /// What is said to those whose requests were under way when it stopped.
    fn stop_failure(&self) -> Failure {
        let reason = self.stopped.clone().unwrap_or(StopReason::Lost { part: "RaftNode" });
        Failure::NodeStopped { reason, maybe_applied: true }
    }

    /// Stops this member for good. Whoever waits is answered by what is dropped.
    fn stop(&mut self, reason: StopReason, ctx: &mut Context<Self>) {
        if self.stopped.is_some() {
            return;
        }
        match &reason {
            StopReason::ShutDown | StopReason::Dropped => {
                tracing::info!(node = %self.context.node, group = %self.group, %reason, "node stops");
            }
            StopReason::ApplyPanicked { .. }
            | StopReason::Log(_)
            | StopReason::Snapshot(_)
            | StopReason::Machine(_)
            | StopReason::Broken { .. }
            | StopReason::Lost { .. } => {
                tracing::error!(node = %self.context.node, group = %self.group, %reason, "node stops")
            }
        }
        self.requests.fail_all(&reason);
        self.changes.fail_all(&reason);
        self.snapshots.fail_all(&reason);
        self.streaming = Streaming::default();
        self.transfers.fail_all(&reason);
        self.front.stopped(&reason, self.raft.term(), self.clock.now());
        self.host.do_send(GroupStopped { group: self.group, reason: reason.clone() });
        self.stopped = Some(reason);
        ctx.stop();
    }
}

impl Actor for RaftNode {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.address = Some(ctx.address().downgrade());
        self.follow_members(self.clock.now());
        self.alarm = Some(self.timer.alarm(ctx.address().recipient()));
        Self::add_stream(self.front.requests(self.turns.turn()), ctx);
        self.settle(ctx);
    }
}

/// Runs when the actor ends for a reason of which nobody knows, too: callers must not hang.
impl Drop for RaftNode {
    fn drop(&mut self) {
        if self.stopped.is_none() {
            let reason = StopReason::Lost { part: "RaftNode" };
            self.requests.fail_all(&reason);
            self.changes.fail_all(&reason);
            self.snapshots.fail_all(&reason);
            self.transfers.fail_all(&reason);
            self.front.stopped(&reason, self.raft.term(), self.clock.now());
            self.host.do_send(GroupStopped { group: self.group, reason });
        }
    }
}

impl Handler<Received> for RaftNode {
    type Result = ();

    fn handle(&mut self, Received { envelope, credit }: Received, ctx: &mut Context<Self>) {
        let Envelope { from, body, .. } = envelope;
        match body {
            Body::Raft(message) => self.step(Input::Received { from, message }, ctx),
            Body::Forward(forward) => self.forwarded_to_us(from, forward, ctx),
            Body::ForwardReply(reply) => self.forward_answered(from, reply),
            Body::SnapshotReply(reply) => self.snapshot_answered(from, reply),
            // For the host, which does not pass it on.
            Body::Pulse(_) => {}
            Body::SnapshotChunk(chunk) => {
                // The credit comes back when it is written.
                self.snapshot_chunk(from, chunk, credit, ctx);
                return self.settle(ctx);
            }
        }
        drop(credit);
        self.status_is_stale = true;
        self.settle(ctx);
    }
}

impl Handler<Persisted> for RaftNode {
    type Result = ();

    fn handle(&mut self, persisted: Persisted, ctx: &mut Context<Self>) {
        self.persisted(persisted, ctx);
        self.settle(ctx);
    }
}

impl Handler<Applied> for RaftNode {
    type Result = ();

    fn handle(&mut self, applied: Applied, ctx: &mut Context<Self>) {
        self.applied(applied, ctx);
        self.settle(ctx);
    }
}

impl Handler<SendOut> for RaftNode {
    type Result = ();

    fn handle(&mut self, SendOut(envelope): SendOut, _: &mut Context<Self>) {
        self.context.outbound.send(envelope);
    }
}

impl Handler<Wake> for RaftNode {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.front.queue.expire(self.clock.now());
        self.settle(ctx);
    }
}

impl Handler<PeerUnreachable> for RaftNode {
    type Result = ();

    fn handle(&mut self, PeerUnreachable(peer): PeerUnreachable, ctx: &mut Context<Self>) {
        self.step(Input::Unreachable(peer), ctx);
        self.peer_unreachable(peer);
        self.settle(ctx);
    }
}

impl Handler<PeerHungUp> for RaftNode {
    type Result = ();

    fn handle(&mut self, PeerHungUp(peer): PeerHungUp, ctx: &mut Context<Self>) {
        self.step(Input::HungUp(peer), ctx);
        self.peer_unreachable(peer);
        self.settle(ctx);
    }
}

impl Handler<HostSilent> for RaftNode {
    type Result = ();

    fn handle(&mut self, HostSilent(host): HostSilent, ctx: &mut Context<Self>) {
        // Said again and again while it is so: to those who do not rest it is no news.
        if self.raft.rests() {
            self.step(Input::HostSilent(host), ctx);
            self.settle(ctx);
        }
    }
}

impl Handler<PeerMet> for RaftNode {
    type Result = ();

    fn handle(&mut self, PeerMet { peer, directory }: PeerMet, ctx: &mut Context<Self>) {
        self.step(Input::Met { peer, directory }, ctx);
        self.settle(ctx);
    }
}

impl Handler<SuffrageGranted> for RaftNode {
    type Result = ();

    fn handle(&mut self, _: SuffrageGranted, ctx: &mut Context<Self>) {
        self.step(Input::SuffrageGranted, ctx);
        self.settle(ctx);
    }
}

impl Handler<StorageFailed> for RaftNode {
    type Result = ();

    fn handle(&mut self, failed: StorageFailed, ctx: &mut Context<Self>) {
        let reason = failed.error.map_or(StopReason::Lost { part: "LogStorage" }, StopReason::Log);
        self.stop(reason, ctx);
    }
}

/// It will not get better by itself, and whoever needs it waits for it.
impl Handler<Unreadable> for RaftNode {
    type Result = ();

    fn handle(&mut self, unreadable: Unreadable, ctx: &mut Context<Self>) {
        match unreadable {
            // Another one has to lead; opening the log again gets back what is lost.
            Unreadable::Log(error) => self.stop(StopReason::Log(Arc::new(error)), ctx),
            Unreadable::Snapshot { id, error } => self.snapshot_lost(id, &error, ctx),
        }
    }
}

impl Handler<StateMachineStopped> for RaftNode {
    type Result = ();

    fn handle(&mut self, stopped: StateMachineStopped, ctx: &mut Context<Self>) {
        match stopped {
            StateMachineStopped::Failed(reason) => self.stop(reason, ctx),
            // It applies and reads nothing any more, but its log and its vote are as good as any.
            StateMachineStopped::Poisoned { index, error } => {
                tracing::error!(node = %self.context.node, %index, %error, "this build cannot apply a committed command");
                self.machine_halted(ctx);
                self.settle(ctx);
            }
        }
    }
}

impl Handler<StopNode> for RaftNode {
    type Result = ();

    fn handle(&mut self, StopNode { reason }: StopNode, ctx: &mut Context<Self>) {
        match reason {
            StopReason::ShutDown => self.leave(ctx),
            // Nobody is left who could want it to hurry.
            StopReason::Dropped if self.leaving.is_some() => {}
            StopReason::Dropped
            | StopReason::ApplyPanicked { .. }
            | StopReason::Log(_)
            | StopReason::Snapshot(_)
            | StopReason::Machine(_)
            | StopReason::Broken { .. }
            | StopReason::Lost { .. } => self.stop(reason, ctx),
        }
    }
}
