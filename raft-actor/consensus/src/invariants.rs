//! A second opinion on every step.
//!
//! What must hold of a member whatever happened, stated again from scratch:
//! nothing here calls the code that it checks, it only looks at values before
//! and after a step and at the effects between. The cheap checks are always
//! on; those that recount are on in debug builds, and so in all tests.
//!
//! A violation means that this member's own state is broken, by a bug or by
//! its storage. It stops at once with the values ([`Effect::Halt`]): a server
//! that is down does no harm, one that goes on with a broken state does.

use std::collections::BTreeSet;

use crate::role::RoleState;
use crate::{
    AppendOutcome, Configuration, Effect, HardState, Log, LogIndex, LogPosition, LogWrite, Message, NodeId, Raft, Role,
    WriteSeq,
};

/// The values of a member that the rules are about, copied out at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    id: NodeId,
    role: Role,
    hard_state: HardState,
    hard_state_durable: HardState,
    /// Last write ordered and last one confirmed.
    ordered: WriteSeq,
    persisted: WriteSeq,
    base: LogPosition,
    /// What the newest snapshot covers.
    snapshot: LogPosition,
    /// Whether the log has exactly that entry (or begins there).
    has_snapshot: bool,
    /// Whether a snapshot is being installed, or about to be.
    is_installing: bool,
    applied: LogIndex,
    apply_ordered: LogIndex,
    /// With the term of the committed entry, to see that it never changes.
    commit: LogPosition,
    durable: LogIndex,
    last: LogPosition,
    /// The entry of the latest configuration.
    configuration: LogPosition,
    /// Whether this member has a vote in it.
    is_voter: bool,
    /// To whom a leader hands over its office, if it does.
    hands_over_to: Option<NodeId>,
    /// Whether it does without heartbeats.
    rests: bool,
}

impl Facts {
    pub(crate) fn of(raft: &Raft) -> Self {
        let (shared, log) = (&raft.shared, raft.shared.log());
        let commit_term = log.term_at(shared.commit()).unwrap_or_default();
        let snapshot = shared.compaction.covered();
        Self {
            id: shared.id,
            role: raft.role(),
            hard_state: shared.outbox.hard_state(),
            hard_state_durable: shared.outbox.hard_state_durable(),
            ordered: shared.outbox.ordered(),
            persisted: shared.outbox.persisted_through(),
            base: log.base(),
            snapshot,
            has_snapshot: log.term_at(snapshot.index) == Some(snapshot.term),
            is_installing: shared.installation.is_some(),
            applied: shared.applied,
            apply_ordered: shared.apply_ordered,
            commit: LogPosition::new(commit_term, shared.commit()),
            durable: shared.outbox.durable(),
            last: log.last(),
            configuration: log.configured_at(),
            is_voter: log.configuration().is_voter(shared.id),
            hands_over_to: raft.hands_over_to(),
            rests: raft.rests(),
        }
    }
}

/// Fails with the condition and the values that broke it.
macro_rules! ensure {
    ($condition:expr, $($values:expr),+ $(,)?) => {
        if !$condition {
            let mut violation = String::from(stringify!($condition));
            $(violation.push_str(&format!("; {} = {:?}", stringify!($values), $values));)+
            return Err(violation);
        }
    };
}

/// Checks what a step made of `before`. Returns what is so now.
pub(crate) fn check(before: &Facts, raft: &Raft, effects: &[Effect]) -> Result<Facts, String> {
    let after = Facts::of(raft);
    check_state(&after)?;
    check_step(before, &after, raft)?;
    check_effects(&after, effects)?;
    check_handover(&after, raft, effects)?;
    if cfg!(debug_assertions) {
        check_again_from_scratch(before, &after, raft)?;
    }
    Ok(after)
}

/// What holds of a member at any moment.
fn check_state(now: &Facts) -> Result<(), String> {
    // purged <= snapshot <= applied <= ordered to apply <= committed <= last, and nothing applied that is not durable
    // here, in the log or in the snapshot.
    ensure!(now.base.index <= now.snapshot.index, now);
    ensure!(now.snapshot.index <= now.applied, now);
    // The snapshot and the log are of one history: one goes on where the other ends.
    ensure!(now.has_snapshot, now);
    ensure!(now.applied <= now.apply_ordered, now);
    ensure!(now.apply_ordered <= now.commit.index, now);
    ensure!(now.commit.index <= now.last.index, now);
    ensure!(now.apply_ordered <= now.durable.max(now.snapshot.index), now);
    ensure!(now.durable <= now.last.index, now);
    ensure!(now.persisted <= now.ordered, now);
    ensure!(now.last.term <= now.hard_state.term, now);
    ensure!(now.hard_state_durable.term <= now.hard_state.term, now);
    let is_same_term = now.hard_state_durable.term == now.hard_state.term;
    let is_vote_kept = now.hard_state_durable.vote.is_none() || now.hard_state_durable.vote == now.hard_state.vote;
    ensure!(!is_same_term || is_vote_kept, now);
    // Who has lost something of its log neither leads nor campaigns.
    ensure!(now.hard_state.damage.is_none() || matches!(now.role, Role::Follower | Role::Learner), now);
    if now.role == Role::Leader {
        // It acts by a vote for itself that is durable, and its log ends in its own term.
        ensure!(now.hard_state.vote == Some(now.id), now);
        ensure!(now.hard_state_durable == now.hard_state, now);
        ensure!(now.last.term == now.hard_state.term, now);
        // Who rests has nothing to tell anybody.
        ensure!(!now.rests || now.commit.index == now.last.index, now);
        // Whom the cluster has removed leads no longer than that needs to be committed (dissertation 4.2.2).
        ensure!(now.is_voter || now.configuration.index > now.commit.index, now);
    }
    Ok(())
}

/// What a step never does.
fn check_step(before: &Facts, after: &Facts, raft: &Raft) -> Result<(), String> {
    // Term, commit, applied never fall, and neither do the durable term and the count of writes.
    ensure!(before.hard_state.term <= after.hard_state.term, before, after);
    ensure!(before.hard_state_durable.term <= after.hard_state_durable.term, before, after);
    ensure!(before.commit.index <= after.commit.index, before, after);
    ensure!(before.applied <= after.applied, before, after);
    ensure!(before.apply_ordered <= after.apply_ordered, before, after);
    ensure!(before.snapshot.index <= after.snapshot.index && before.base.index <= after.base.index, before, after);
    // While the state machine loads a snapshot it is given nothing to apply.
    ensure!(!after.is_installing || before.apply_ordered == after.apply_ordered, before, after);
    ensure!(before.persisted <= after.persisted && before.ordered <= after.ordered, before, after);
    let is_same_term = before.hard_state.term == after.hard_state.term;
    let is_vote_kept = before.hard_state.vote.is_none() || before.hard_state.vote == after.hard_state.vote;
    ensure!(!is_same_term || is_vote_kept, before, after);
    // Damage is found by the storage at the start, and forgotten only by a follower that durably holds what it has.
    let is_forgotten = before.hard_state.damage != after.hard_state.damage;
    let has_leader = raft.leader().is_some();
    ensure!(!is_forgotten || (after.hard_state.damage.is_none() && has_leader), before, after);
    // Committed is committed: the entry is the same as before.
    let log = raft.log();
    let still_committed = log.term_at(before.commit.index);
    ensure!(still_committed == Some(before.commit.term) || before.commit.index < after.base.index, before, after);
    if before.role == Role::Leader && is_same_term {
        // Leader Append-Only (Figure 3).
        ensure!(log.term_at(before.last.index) == Some(before.last.term), before, after);
        // A leader that hands over its office appends nothing more (dissertation 3.10).
        let hands_over = before.hands_over_to.is_some() && after.hands_over_to.is_some();
        ensure!(!hands_over || after.last == before.last, before, after);
        // Only entries of its own term commit by counting (§5.4.2).
        let is_own = after.commit.term == after.hard_state.term;
        ensure!(after.commit.index == before.commit.index || is_own, before, after);
        if before.configuration != after.configuration {
            check_change(before, after, log)?;
        }
    }
    // A leader is elected from among the candidates.
    ensure!(after.role != Role::Leader || matches!(before.role, Role::Leader | Role::Candidate), before, after);
    Ok(())
}

/// What a leader never does to the membership (§6, dissertation chapter 4).
fn check_change(before: &Facts, after: &Facts, log: &Log) -> Result<(), String> {
    // One change at a time, and none before an entry of the leader's own term is committed.
    ensure!(before.configuration.index <= after.commit.index, before, after);
    ensure!(after.commit.term == after.hard_state.term, before, after);
    let (old, new) = (log.configuration_through(before.configuration.index), log.configuration());
    let Some(old) = old else { return Err(format!("the log has no configuration at {}", before.configuration)) };
    ensure!(!new.voters.is_empty() && new.voters.is_disjoint(&new.learners), new);
    let is_member = |of: &Configuration, id| of.voters.contains(&id) || of.learners.contains(&id);
    let is_next = match (old.voters_outgoing.is_empty(), new.voters_outgoing.is_empty()) {
        (true, true) => new.voters == old.voters,
        // New voters were learners before, and so have a configuration themselves (dissertation 4.2.1).
        (true, false) => new.voters_outgoing == old.voters && new.voters.iter().all(|id| is_member(old, *id)),
        (false, true) => new.voters == old.voters && new.learners == old.learners,
        // From one joint configuration to another no majorities need to overlap.
        (false, false) => false,
    };
    ensure!(is_next, old, new);
    Ok(())
}

/// What never leaves a member.
fn check_effects(now: &Facts, effects: &[Effect]) -> Result<(), String> {
    let durable = now.hard_state_durable;
    for effect in effects {
        match effect {
            Effect::Send { to, message } => {
                ensure!(*to != now.id, effect, now);
                check_message(now, *to, message)?;
            }
            Effect::Replicate(order) => {
                ensure!(order.term == durable.term && order.peer != now.id, order, now);
                ensure!(order.prev.index < order.through.index && order.through.index <= now.last.index, order, now);
                ensure!(order.commit <= now.commit.index, order, now);
            }
            Effect::Apply { through } => {
                ensure!(*through <= now.commit.index && *through <= now.durable, effect, now);
            }
            Effect::Persist { log: Some(LogWrite::Purge { through }), .. } => {
                // Nothing goes that is in no snapshot.
                ensure!(*through <= now.snapshot.index && *through == now.base.index, effect, now);
            }
            Effect::Persist { log: Some(LogWrite::Reset { to }), .. } => {
                ensure!(*to == now.snapshot && *to == now.base, effect, now);
            }
            Effect::TakeSnapshot => {
                // Of the same entries once more, if the newest one cannot be read.
                let is_of_use = now.applied >= now.snapshot.index && now.applied > LogIndex::ZERO;
                ensure!(is_of_use && !now.is_installing, effect, now);
            }
            Effect::SendSnapshot(order) => {
                ensure!(order.term == durable.term && order.peer != now.id, order, now);
                ensure!(order.position == now.snapshot && now.snapshot != LogPosition::ZERO, order, now);
            }
            Effect::InstallSnapshot(snapshot) => {
                // What comes with a term that is not durable must not outlive it.
                ensure!(snapshot.position.index > now.applied && snapshot.position.term <= durable.term, effect, now);
            }
            Effect::Persist { log: Some(LogWrite::Append(_) | LogWrite::Replace(_)) | None, .. }
            | Effect::DropSnapshot { .. }
            | Effect::Proposed { .. }
            | Effect::MembershipChange { .. }
            | Effect::Transfer { .. }
            | Effect::ReadReady { .. }
            | Effect::ReadRefused { .. }
            | Effect::RoleChanged { .. }
            | Effect::Halt { .. } => {}
        }
    }
    Ok(())
}

/// Nothing is said that is not durable (Figure 2: stable storage before responding).
fn check_message(now: &Facts, to: NodeId, message: &Message) -> Result<(), String> {
    let durable = now.hard_state_durable;
    match message {
        Message::PreVote(m) => ensure!(m.term == durable.term.next(), message, now),
        Message::PreVoteReply(m) => {
            ensure!(m.granted || m.term == durable.term, message, now);
            ensure!(!m.granted || durable.damage.is_none(), message, now);
        }
        Message::RequestVote(m) => ensure!(m.term == durable.term && durable.vote == Some(now.id), message, now),
        Message::RequestVoteReply(m) => {
            ensure!(m.term == durable.term && (!m.granted || durable.vote == Some(to)), message, now);
            ensure!(!m.granted || durable.damage.is_none(), message, now);
        }
        Message::AppendEntries(m) => ensure!(m.term == durable.term && m.commit <= now.commit.index, message, now),
        // Only snapshots travel from leader to follower, the message about them is made at the receiver.
        Message::InstallSnapshot(_) => ensure!(false, message, now),
        Message::AppendEntriesReply(m) => {
            ensure!(m.term == durable.term, message, now);
            // A damaged member acknowledges nothing.
            ensure!(durable.damage.is_none() || m.damage == durable.damage, message, now);
            match m.outcome {
                AppendOutcome::Matched { durable: matched } => ensure!(matched <= now.durable, message, now),
                AppendOutcome::Conflict { refused, hint } => ensure!(hint.index < refused, message, now),
                AppendOutcome::Stale => {}
            }
        }
        Message::TimeoutNow(m) => {
            ensure!(m.term == durable.term && now.hands_over_to == Some(to), message, now);
        }
    }
    Ok(())
}

/// Only a voter whose durable log equals the leader's is told to campaign (dissertation 3.10).
fn check_handover(now: &Facts, raft: &Raft, effects: &[Effect]) -> Result<(), String> {
    for effect in effects {
        let Effect::Send { to, message: Message::TimeoutNow(_) } = effect else { continue };
        let RoleState::Leader(leader) = &raft.role else { return Err(format!("{effect:?} by {now:?}")) };
        let matched = leader.peers().find(|(peer, _)| peer == to).map(|(_, progress)| progress.matched());
        ensure!(matched == Some(now.last.index), effect, matched, now);
        ensure!(raft.log().configuration().voters.contains(to), effect, raft.log().configuration());
    }
    Ok(())
}

/// What costs too much to do again after every step in production.
fn check_again_from_scratch(before: &Facts, now: &Facts, raft: &Raft) -> Result<(), String> {
    let configuration = raft.log().configuration();
    // A server always uses the latest configuration in its log (§6).
    let counted: BTreeSet<NodeId> = raft.shared.quorum.voters().collect();
    let voters: BTreeSet<NodeId> = configuration.voters.union(&configuration.voters_outgoing).copied().collect();
    ensure!(counted == voters, counted, configuration);
    if let RoleState::Leader(leader) = &raft.role {
        let served: BTreeSet<NodeId> = leader.peers().map(|(peer, _)| peer).collect();
        let others: BTreeSet<NodeId> =
            voters.union(&configuration.learners).copied().filter(|id| *id != now.id).collect();
        ensure!(served == others, served, configuration);
        for (peer, progress) in leader.peers() {
            if let Some(violation) = progress.violation(now.last.index) {
                return Err(format!("peer {peer}: {violation}"));
            }
        }
        let matched_of = |id: NodeId| match leader.peers().find(|(peer, _)| *peer == id) {
            Some((_, progress)) => progress.matched(),
            None if id == now.id => now.durable,
            None => LogIndex::ZERO,
        };
        if now.commit.index > before.commit.index && before.role == Role::Leader {
            // The one that counted: only after counting a step appends what the newly committed leads to.
            let counted = raft.log().configuration_through(before.last.index).unwrap_or(configuration);
            // Of whom that has removed, nothing is known any more: their set cannot be counted again.
            let knows = |set: &BTreeSet<NodeId>| set.iter().all(|id| *id == now.id || served.contains(id));
            let is_held = is_held_by_majorities(counted, knows, |id| matched_of(id) >= now.commit.index);
            ensure!(is_held, now, counted);
        }
    }
    Ok(())
}

fn is_held_by_majorities(
    configuration: &Configuration,
    knows: impl Fn(&BTreeSet<NodeId>) -> bool,
    holds: impl Fn(NodeId) -> bool,
) -> bool {
    let sets = [&configuration.voters, &configuration.voters_outgoing];
    let mut counted = sets.into_iter().filter(|set| !set.is_empty() && knows(set));
    counted.all(|set| set.iter().filter(|id| holds(**id)).count() * 2 > set.len())
}

#[cfg(test)]
mod tests;
