//! The node's side of handing over leadership: ask the core or the leader for it, and tell who asked what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use raft_consensus::{Input, NodeId, ProposalId, Role, Time, TransferOutcome, TransferRefusal};

use super::RaftNode;
use crate::envelope::{Body, Forward, ForwardError, ForwardKind, ForwardReply};
use crate::handle::{
    Asker, Leadership, StopReason, TransferError, TransferLeadership, decode_transfer, encode_transfer,
    transfer_from_wire,
};

/// Most wishes of which a node takes care at a time.
const WISHES_MAX: usize = 64;

/// Somebody wants another leader.
struct Wish {
    /// This one, or any other.
    to: Option<NodeId>,
    deadline: Time,
    asker: Asker<Result<Leadership, TransferError>>,
}

/// All wishes that were made here and not answered; each is in one place.
#[derive(Default)]
pub(super) struct Transfers {
    /// Nobody leads.
    parked: Vec<Wish>,
    /// By the id of the Forward: to whom, and what.
    forwarded: BTreeMap<u64, (NodeId, Wish)>,
    /// The core takes care of these.
    asked: BTreeMap<ProposalId, Wish>,
}

impl Transfers {
    fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.parked.iter().chain(self.forwarded.values().map(|(_, wish)| wish)).chain(self.asked.values())
    }

    /// When the first of those who asked gives up.
    pub(super) fn earliest_deadline(&self) -> Time {
        self.wishes().map(|wish| wish.deadline).min().unwrap_or(Time::NEVER)
    }

    /// Fails all whose deadline has come.
    pub(super) fn expire(&mut self, now: Time, leader: Option<NodeId>) {
        if now < self.earliest_deadline() {
            return;
        }
        let is_due = |wish: &Wish| wish.deadline <= now;
        for wish in self.parked.extract_if(.., |wish| is_due(wish)) {
            wish.asker.answer(Err(TransferError::NoLeader { leader }));
        }
        let forwarded = self.forwarded.extract_if(.., |_, (_, wish)| is_due(wish)).map(|(_, (_, wish))| wish);
        let asked = self.asked.extract_if(.., |_, wish| is_due(wish)).map(|(_, wish)| wish);
        forwarded.chain(asked).for_each(|wish| wish.asker.answer(Err(TransferError::TimedOut {})));
    }

    /// Another node than the one that was asked leads now: that is the answer.
    pub(super) fn leader_changed(&mut self, now: Leadership) {
        let Leadership { leader, term } = now;
        for (_, (_, wish)) in self.forwarded.extract_if(.., |_, (to, _)| *to != leader) {
            let is_wanted = wish.to.is_none_or(|to| to == leader);
            wish.asker.answer(if is_wanted { Ok(now) } else { Err(TransferError::Superseded { leader, term }) });
        }
    }

    /// The node stops: everybody is answered.
    pub(super) fn fail_all(&mut self, reason: &StopReason) {
        let forwarded = std::mem::take(&mut self.forwarded).into_values().map(|(_, wish)| wish);
        let asked = std::mem::take(&mut self.asked).into_values();
        for wish in self.parked.drain(..).chain(forwarded).chain(asked) {
            wish.asker.answer(Err(TransferError::NodeStopped { reason: reason.clone() }));
        }
    }
}

impl RaftNode {
    /// Brings a wish to where it can be fulfilled now.
    fn dispatch_transfer(&mut self, wish: Wish, ctx: &mut Context<Self>) {
        self.stir(ctx);
        match (self.raft.role(), self.raft.leader()) {
            (Role::Leader, _) => {
                let (id, to) = (ProposalId(self.requests.next_id()), wish.to);
                self.transfers.asked.insert(id, wish);
                self.step(Input::TransferLeadership { id, to }, ctx);
            }
            (Role::Follower | Role::Candidate | Role::Learner, leader) if wish.asker.is_remote() => {
                wish.asker.answer(Err(TransferError::NoLeader { leader }));
            }
            (Role::Follower | Role::Candidate | Role::Learner, Some(leader)) => self.forward_transfer(leader, wish),
            (Role::Follower | Role::Candidate | Role::Learner, None) => self.transfers.parked.push(wish),
        }
    }

    /// The core has answered a transfer, in this step or long after it was asked for.
    pub(super) fn transfer_answered(&mut self, id: ProposalId, outcome: TransferOutcome) {
        // What was held meanwhile can go on, here or elsewhere; not within this step.
        self.retry_at = Some(Time::ZERO);
        self.left_office(id);
        let Some(wish) = self.transfers.asked.remove(&id) else { return };
        wish.asker.answer(match outcome {
            TransferOutcome::Done { leader, term } => Ok(Leadership { leader, term }),
            TransferOutcome::Superseded { leader, term } => Err(TransferError::Superseded { leader, term }),
            TransferOutcome::TimedOut => Err(TransferError::TimedOut {}),
            TransferOutcome::Refused(refusal) => Err(match refusal {
                TransferRefusal::NotLeader { leader } => TransferError::NoLeader { leader },
                TransferRefusal::NotVoter { to } => TransferError::NotVoter { to },
                TransferRefusal::NobodyElse => TransferError::NobodyElse {},
                TransferRefusal::InProgress { to } => TransferError::InProgress { to },
                // The core of a later version has more reasons; none of them means that it was begun.
                _ => TransferError::TimedOut {},
            }),
        });
    }

    fn forward_transfer(&mut self, leader: NodeId, wish: Wish) {
        let remaining = wish.deadline.since(self.clock.now());
        let timeout_ms = u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX);
        let id = self.requests.next_id();
        let requests = vec![encode_transfer(wish.to)];
        self.transfers.forwarded.insert(id, (leader, wish));
        let forward = Forward { id, timeout_ms, kind: ForwardKind::Transfer, term: None, requests };
        if !self.send(leader, Body::Forward(forward))
            && let Some((_, wish)) = self.transfers.forwarded.remove(&id)
        {
            // It certainly did not arrive: no harm in trying again.
            self.park_transfer(wish);
        }
    }

    /// Another node passes a wish on to us. It is never passed on again.
    pub(super) fn transfer_forwarded_to_us(&mut self, origin: NodeId, forward: Forward, ctx: &mut Context<Self>) {
        let Some(to) = decode_transfer(&forward.requests) else {
            return self.refuse_forward(origin, &forward, ForwardError::BadRequest);
        };
        let timeout = Duration::from_millis(u64::from(forward.timeout_ms));
        let asker = Asker::remote(forward.id, self.outlet(origin));
        self.take_transfer(TransferLeadership { to, timeout, asker }, ctx);
    }

    /// The leader has answered a wish that we forwarded. Whether it was one.
    pub(super) fn transfer_answered_by(&mut self, from: NodeId, reply: &mut ForwardReply) -> bool {
        let Some((to, _)) = self.transfers.forwarded.get(&reply.id) else { return false };
        if *to != from {
            tracing::debug!(%from, "an answer from a node that was not asked");
            return true;
        }
        let Some((_, wish)) = self.transfers.forwarded.remove(&reply.id) else { return true };
        match reply.outcomes.pop().map_or(Some(Err(TransferError::TimedOut {})), transfer_from_wire) {
            Some(outcome) => wish.asker.answer(outcome),
            None => self.park_transfer(wish),
        }
        true
    }

    fn park_transfer(&mut self, wish: Wish) {
        self.transfers.parked.push(wish);
        self.retry_soon();
    }

    /// Tries again what waits for a leader.
    pub(super) fn retry_transfers(&mut self, ctx: &mut Context<Self>) {
        for wish in std::mem::take(&mut self.transfers.parked) {
            self.dispatch_transfer(wish, ctx);
        }
    }

    fn take_transfer(&mut self, asked: TransferLeadership, ctx: &mut Context<Self>) {
        let TransferLeadership { to, timeout, asker } = asked;
        if self.transfers.wishes().count() >= WISHES_MAX {
            return asker.answer(Err(TransferError::NoLeader { leader: self.raft.leader() }));
        }
        let deadline = self.clock.now().after(timeout);
        self.dispatch_transfer(Wish { to, deadline, asker }, ctx);
    }
}

impl Handler<TransferLeadership> for RaftNode {
    type Result = ();

    fn handle(&mut self, asked: TransferLeadership, ctx: &mut Context<Self>) {
        self.take_transfer(asked, ctx);
        self.status_is_stale = true;
        self.settle(ctx);
    }
}
