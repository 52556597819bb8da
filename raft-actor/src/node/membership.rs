//! The node's side of a change of the membership: ask the core or the leader for it, and tell who asked what came of it.
//!
//! A change is in exactly one place: parked (nobody leads, or not quite yet), forwarded (another node leads), or begun
//! (its first configuration stands in the log, at a position that names it). What has become of one that was begun, the
//! core says; the node asks it after every step.

use std::collections::BTreeMap;

use actix::prelude::*;
use raft_consensus::{
    ChangeState, Configuration, Input, LogPosition, Membership, MembershipRefusal, NodeId, ProposalId, Role, Time,
};

use super::RaftNode;
use crate::envelope::{Body, Forward, ForwardError, ForwardKind, ForwardReply};
use crate::handle::{
    Asker, ChangeMembership, MembershipError, StopReason, change_from_wire, decode_wanted, encode_wanted,
};

/// Most changes of which a node takes care at a time. More than one can be begun only if one withdraws the other.
const CHANGES_MAX: usize = 64;

/// Somebody wants this membership.
struct Change {
    wanted: Membership,
    deadline: Time,
    asker: Asker<Result<LogPosition, MembershipError>>,
}

impl Change {
    fn answer(self, outcome: Result<LogPosition, MembershipError>) {
        self.asker.answer(outcome);
    }
}

/// All changes that were asked for here and not answered.
#[derive(Default)]
pub(super) struct Changes {
    parked: Vec<Change>,
    /// The one that the core decides on, within one step.
    asking: Option<Change>,
    /// By the id of the Forward: to whom, and what.
    forwarded: BTreeMap<u64, (NodeId, Change)>,
    /// Forwarded to a leader that has been replaced since. Whether it began them is in the log of the next one.
    in_doubt: Vec<Change>,
    /// By the position of the first configuration.
    begun: Vec<(LogPosition, Change)>,
    /// The configuration on account of which this leader has handed over, or tried to.
    handed_over_for: LogPosition,
}

impl Changes {
    fn len(&self) -> usize {
        self.parked.len() + self.forwarded.len() + self.in_doubt.len() + self.begun.len()
    }

    /// When the first of those who asked gives up.
    pub(super) fn earliest_deadline(&self) -> Time {
        let forwarded = self.forwarded.values().map(|(_, change)| change);
        let begun = self.begun.iter().map(|(_, change)| change);
        let all = self.parked.iter().chain(&self.in_doubt).chain(forwarded).chain(begun);
        all.map(|change| change.deadline).min().unwrap_or(Time::NEVER)
    }

    /// Fails all whose deadline has come. `latest` is the configuration as this node knows it.
    pub(super) fn expire(&mut self, now: Time, leader: Option<NodeId>, latest: &Configuration) {
        if now < self.earliest_deadline() {
            return;
        }
        let is_due = |change: &Change| change.deadline <= now;
        for change in self.parked.extract_if(.., |change| is_due(change)) {
            change.answer(Err(MembershipError::NoLeader { leader }));
        }
        let forwarded = self.forwarded.extract_if(.., |_, (_, change)| is_due(change)).map(|(_, (_, change))| change);
        let begun = self.begun.extract_if(.., |(_, change)| is_due(change)).map(|(_, change)| change);
        let in_doubt = self.in_doubt.extract_if(.., |change| is_due(change));
        for change in forwarded.chain(in_doubt).chain(begun) {
            let outcome = Err(not_in_time(&change.wanted, latest));
            change.answer(outcome);
        }
    }

    /// The known leader is another one now: the answers of others will not come.
    pub(super) fn lose_forwarded(&mut self, leader: NodeId) {
        let lost = self.forwarded.extract_if(.., |_, (to, _)| *to != leader);
        self.in_doubt.extend(lost.map(|(_, (_, change))| change));
    }

    /// The node stops: everybody is answered.
    pub(super) fn fail_all(&mut self, reason: &StopReason) {
        let fail = |change: Change, maybe_applied| {
            change.answer(Err(MembershipError::NodeStopped { reason: reason.clone(), maybe_applied }));
        };
        self.parked.drain(..).for_each(|change| fail(change, false));
        self.asking.take().into_iter().for_each(|change| fail(change, true));
        std::mem::take(&mut self.forwarded).into_values().for_each(|(_, change)| fail(change, true));
        self.in_doubt.drain(..).for_each(|change| fail(change, true));
        self.begun.drain(..).for_each(|(_, change)| fail(change, true));
    }
}

/// What is said at the deadline to whoever wanted a change that may have been begun.
fn not_in_time(wanted: &Membership, latest: &Configuration) -> MembershipError {
    match &latest.wish {
        Some(wish) if latest.leads_to(wanted) => {
            let waiting_for = wish.voters.difference(&latest.voters).copied().collect();
            MembershipError::NotCaughtUp { waiting_for }
        }
        Some(_) | None => MembershipError::TimedOut { maybe_applied: true },
    }
}

impl RaftNode {
    /// Brings a change to where it can be begun now.
    fn dispatch_change(&mut self, change: Change, ctx: &mut Context<Self>) {
        self.stir(ctx);
        match (self.raft.role(), self.raft.leader()) {
            (Role::Leader, _) => self.begin_change(change, ctx),
            (Role::Follower | Role::Candidate | Role::Learner, leader) if change.asker.is_remote() => {
                change.answer(Err(MembershipError::NoLeader { leader }));
            }
            (Role::Follower | Role::Candidate | Role::Learner, Some(leader)) => self.forward_change(leader, change),
            (Role::Follower | Role::Candidate | Role::Learner, None) => self.changes.parked.push(change),
        }
    }

    /// This node leads.
    fn begin_change(&mut self, change: Change, ctx: &mut Context<Self>) {
        let membership = change.wanted.clone();
        self.changes.asking = Some(change);
        self.step(Input::ChangeMembership { id: ProposalId(0), membership }, ctx);
        // The core answers in the same step, unless it stopped in it or before.
        if let Some(change) = self.changes.asking.take() {
            let reason = self.stopped.clone().unwrap_or(StopReason::Lost { part: "RaftNode" });
            change.answer(Err(MembershipError::NodeStopped { reason, maybe_applied: true }));
        }
    }

    /// The core has answered the change of this step.
    pub(super) fn change_answered(&mut self, outcome: Result<LogPosition, MembershipRefusal>) {
        let Some(change) = self.changes.asking.take() else { return };
        match outcome {
            Ok(first) => self.changes.begun.push((first, change)),
            // Until its no-op is committed, or it is known who leads; soon.
            Err(MembershipRefusal::NotReady | MembershipRefusal::HandingOver) => self.park_change(change),
            Err(MembershipRefusal::Invalid(invalid)) => change.answer(Err(invalid.into())),
            Err(MembershipRefusal::NotLeader { leader }) => change.answer(Err(MembershipError::NoLeader { leader })),
            // Whoever asks for what is so already, or becoming so, waits for that: asking twice does no harm.
            Err(MembershipRefusal::Unchanged | MembershipRefusal::InProgress)
                if self.raft.log().configuration().leads_to(&change.wanted) =>
            {
                self.changes.begun.push((self.raft.log().configured_at(), change));
            }
            Err(MembershipRefusal::Unchanged | MembershipRefusal::InProgress) => {
                change.answer(Err(MembershipError::InProgress {}));
            }
            // The core of a later version has more reasons; none of them means that it was begun.
            Err(_) => change.answer(Err(MembershipError::InProgress {})),
        }
    }

    /// To be called after every step: answers those whose change has come to its end.
    pub(super) fn look_at_changes(&mut self) {
        self.look_at_what_is_in_doubt();
        if self.changes.begun.is_empty() {
            return;
        }
        let mut over = Vec::new();
        for (first, change) in std::mem::take(&mut self.changes.begun) {
            let outcome = match self.raft.change_state(first, &change.wanted) {
                ChangeState::UnderWay => {
                    self.changes.begun.push((first, change));
                    continue;
                }
                ChangeState::Done(at) => Ok(at),
                ChangeState::Superseded => Err(MembershipError::Superseded {}),
                ChangeState::Lost => Err(MembershipError::NoLeader { leader: self.raft.leader() }),
                ChangeState::Forgotten => Err(MembershipError::Unknown {}),
            };
            over.push((change, outcome));
        }
        if !over.is_empty() {
            // Whoever asked here finds it in the status.
            self.publish_status_now();
        }
        over.into_iter().for_each(|(change, outcome)| change.answer(outcome));
    }

    /// As soon as the log of the next leader is known through an entry of its own: what its predecessor had begun is in
    /// there, or will never be.
    fn look_at_what_is_in_doubt(&mut self) {
        let (log, commit) = (self.raft.log(), self.raft.commit());
        if self.changes.in_doubt.is_empty() || log.term_at(commit) != Some(self.raft.term()) {
            return;
        }
        let (configured_at, configuration) = (log.configured_at(), log.configuration());
        for change in std::mem::take(&mut self.changes.in_doubt) {
            if configuration.leads_to(&change.wanted) {
                self.changes.begun.push((configured_at, change));
            } else {
                // Not asked for again: if it has happened and been undone since, it would happen twice.
                change.answer(Err(MembershipError::Unknown {}));
            }
        }
    }

    /// A leader that is to be removed makes room while it still belongs to the cluster (dissertation 3.10): so nobody
    /// has to notice its absence first, and it hears what became of what it was asked for. If that fails it finishes
    /// the change by itself.
    pub(super) fn hand_over_on_the_way_out(&mut self, ctx: &mut Context<Self>) {
        if !self.raft.is_on_its_way_out() {
            return;
        }
        let at = self.raft.log().configured_at();
        if std::mem::replace(&mut self.changes.handed_over_for, at) != at {
            let id = ProposalId(self.requests.next_id());
            self.step(Input::TransferLeadership { id, to: None }, ctx);
        }
    }

    fn forward_change(&mut self, leader: NodeId, change: Change) {
        let remaining = change.deadline.since(self.clock.now());
        // Rounded up: whoever asked is told by its own node first, which has nothing to guess.
        let timeout_ms = u32::try_from(remaining.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        let id = self.requests.next_id();
        let requests = vec![encode_wanted(&change.wanted)];
        self.changes.forwarded.insert(id, (leader, change));
        let forward = Forward { id, timeout_ms, kind: ForwardKind::Membership, term: None, requests };
        if !self.send(leader, Body::Forward(forward))
            && let Some((_, change)) = self.changes.forwarded.remove(&id)
        {
            // It certainly did not arrive: no harm in trying again.
            self.park_change(change);
        }
    }

    /// Another node passes a change on to us. It is never passed on again.
    pub(super) fn change_forwarded_to_us(&mut self, origin: NodeId, forward: Forward, ctx: &mut Context<Self>) {
        let Some(wanted) = decode_wanted(&forward.requests) else {
            return self.refuse_forward(origin, &forward, ForwardError::BadRequest);
        };
        let timeout = std::time::Duration::from_millis(u64::from(forward.timeout_ms));
        let asker = Asker::remote(forward.id, self.outlet(origin));
        self.take_change(ChangeMembership { wanted, timeout, asker }, ctx);
    }

    /// The leader has answered a change that we forwarded. Whether it was one.
    pub(super) fn change_answered_by(&mut self, from: NodeId, reply: &mut ForwardReply) -> bool {
        let Some((to, _)) = self.changes.forwarded.get(&reply.id) else { return false };
        if *to != from {
            tracing::debug!(%from, "an answer from a node that was not asked");
            return true;
        }
        let Some((_, change)) = self.changes.forwarded.remove(&reply.id) else { return true };
        match reply.outcomes.pop().map_or(Some(Err(MembershipError::Unknown {})), change_from_wire) {
            Some(outcome) => change.answer(outcome),
            None => self.park_change(change),
        }
        true
    }

    fn park_change(&mut self, change: Change) {
        self.changes.parked.push(change);
        self.retry_soon();
    }

    /// Tries again what waits for a leader.
    pub(super) fn retry_changes(&mut self, ctx: &mut Context<Self>) {
        for change in std::mem::take(&mut self.changes.parked) {
            self.dispatch_change(change, ctx);
        }
    }

    fn take_change(&mut self, asked: ChangeMembership, ctx: &mut Context<Self>) {
        let ChangeMembership { wanted, timeout, asker } = asked;
        if self.changes.len() >= CHANGES_MAX {
            return asker.answer(Err(MembershipError::InProgress {}));
        }
        let deadline = self.clock.now().after(timeout);
        self.dispatch_change(Change { wanted, deadline, asker }, ctx);
    }
}

impl Handler<ChangeMembership> for RaftNode {
    type Result = ();

    fn handle(&mut self, asked: ChangeMembership, ctx: &mut Context<Self>) {
        self.take_change(asked, ctx);
        self.status_is_stale = true;
        self.settle(ctx);
    }
}
