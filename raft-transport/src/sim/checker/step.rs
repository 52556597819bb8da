//! What must hold of every step of a member.

use raft_actor::consensus::{Effect, LogIndex, LogPosition, NodeId, Raft, ReplicationOrder, Role};

use super::Knowledge;
use super::disks::Disks;
use super::member::{Cause, Facts, Member, Run};
use super::snapshots::check_snapshot_order;
use super::verdict::{Verdict, ensure};

impl Knowledge {
    /// A member took one step, from `before` to what `raft` is now.
    pub(super) fn check_step(
        &mut self,
        id: NodeId,
        member: &mut Member,
        raft: &Raft,
        effects: &[Effect],
        disks: &dyn Disks,
    ) -> Verdict {
        let Some(run) = &member.run else {
            ensure!("starts_with_what_is_durable", id, false, "n{id} takes a step and was not started");
            return Ok(());
        };
        let (before, cause, owes) = (run.facts, run.cause, !member.writes.is_empty());
        let after = Facts::of(raft);
        if let Cause::Persisted(seq) = cause {
            self.check_persisted(id, member, seq, disks)?;
        }
        self.take_writes(id, member, &before, &after, effects, disks)?;
        let Some(run) = &mut member.run else { return Ok(()) };
        check_progress(id, run, &before, &after)?;
        let is_installed = matches!(cause, Cause::Installed(_));
        self.check_snapshot(id, &before, &after, is_installed, disks)?;
        check_durable(id, run, &before, &after, disks)?;
        self.check_vote(id, run, &before, &after)?;
        self.check_word(id, run, &before, &after, cause, effects)?;
        Self::check_vote_is_given(id, &before, &after, cause, owes, raft, effects)?;
        self.check_cause(id, run, &before, &after, cause)?;
        if after.leads() {
            self.check_leader(id, run, &before, &after, raft, disks)?;
            self.meet_newcomers(run, &before, &after);
        }
        let waits_since = member.writes.front().map(|write| write.ordered_at);
        self.check_office(id, run, &before, &after, waits_since, raft, effects)?;
        for effect in effects {
            self.check_effect(id, run, &before, &after, effect, disks)?;
        }
        self.check_hands_over_only(id, run, &before, &after)?;
        self.check_configuration(id, run, &before, &after, raft)?;
        self.check_commit(id, run, &before, &after, disks)?;
        self.situations.step(run, &member.writes, &before, &after, cause, raft);
        if !after.leads() {
            run.windows.clear();
            run.inherited = None;
        }
        run.facts = after;
        run.cause = Cause::Other;
        Ok(())
    }

    fn check_effect(
        &mut self,
        id: NodeId,
        run: &mut Run,
        before: &Facts,
        after: &Facts,
        effect: &Effect,
        disks: &dyn Disks,
    ) -> Verdict {
        match effect {
            Effect::Halt { violation } => {
                ensure!("halted", id, false, "n{id} found itself broken: {violation}");
                Ok(())
            }
            Effect::Replicate(order) => {
                check_order(id, run, before, after, order)?;
                self.check_window(id, run, order)
            }
            Effect::Apply { through } => {
                ensure!(
                    "order_of_indexes",
                    id,
                    *through <= after.commit,
                    "n{id} applies {through} beyond {}",
                    after.commit
                );
                let on_disk = disks.disk(id).and_then(|disk| disk.position_at(*through));
                let is_durable = on_disk.is_some() && on_disk == run.log.position_at(*through);
                ensure!("applied_is_durable", id, is_durable, "n{id} applies {through}, its disk holds {on_disk:?}");
                run.apply_ordered = *through;
                Ok(())
            }
            Effect::ReadReady { id: read, index } => {
                let Some(least) = run.reads.remove(read) else {
                    ensure!("reads_are_answered_once", id, false, "n{id} answers read {} twice", read.0);
                    return Ok(());
                };
                ensure!(
                    "reads_see_what_was_committed",
                    id,
                    *index >= least,
                    "n{id} serves read {} at {index}, {least} was committed before it came",
                    read.0
                );
                // Answered in the step that took it in: nobody was asked.
                if run.cause == Cause::ReadByLease(*read) {
                    self.check_served_by_lease(id, run, after, disks)?;
                }
                Ok(())
            }
            Effect::ReadRefused { id: read, .. } => {
                let is_open = run.reads.remove(read).is_some();
                ensure!("reads_are_answered_once", id, is_open, "n{id} answers read {} twice", read.0);
                let is_deposed = before.leads() && !after.leads();
                self.situations.read_over_leader_change += u64::from(is_deposed);
                Ok(())
            }
            Effect::RoleChanged { role, term, leader, noop: _ } => {
                let is_so = *role == after.role && *term == after.term;
                ensure!("announced_as_it_is", id, is_so, "n{id} announces {role:?} in {term}, it is {after:?}");
                let is_known = leader.is_none_or(|leader| self.elections.leads(leader, *term));
                ensure!("election_safety", id, is_known, "n{id} follows {leader:?}, which does not lead term {term}");
                Ok(())
            }
            Effect::Transfer { id: transfer, outcome } => self.check_transfer_answer(id, run, *transfer, outcome),
            Effect::InstallSnapshot(snapshot) => self.check_installation(id, run, after, snapshot, disks),
            Effect::SendSnapshot(order) => check_snapshot_order(id, before, after, order),
            // Seen where they are taken in, or where they leave.
            Effect::Persist { .. }
            | Effect::Send { .. }
            | Effect::TakeSnapshot
            | Effect::DropSnapshot { .. }
            | Effect::Proposed { .. }
            | Effect::MembershipChange { .. } => Ok(()),
        }
    }

    /// What has to follow from what was taken in.
    fn check_cause(&mut self, id: NodeId, run: &mut Run, before: &Facts, after: &Facts, cause: Cause) -> Verdict {
        match cause {
            Cause::Read(read) | Cause::ReadByLease(read) => {
                run.reads.insert(read, self.commits.last().index);
                Ok(())
            }
            Cause::Transfer(transfer) => {
                run.handing_over.insert(transfer);
                Ok(())
            }
            Cause::Applied(index) => self.check_applied_report(id, run, index),
            Cause::Proposal { commands } => self.check_proposal(id, run, before, after, commands),
            Cause::Matched { peer, durable } => {
                run.acknowledged(peer, durable);
                Ok(())
            }
            Cause::Refused { peer } | Cause::Unreachable { peer } => {
                run.windows.remove(&peer);
                Ok(())
            }
            Cause::Installed(position) => self.check_installed(id, run, position),
            Cause::Heard { term } => {
                if after.term == term {
                    self.gives_word(id);
                }
                Ok(())
            }
            Cause::Deadline
            | Cause::Persisted(_)
            | Cause::VoteAsked { .. }
            | Cause::PreVoteAsked { .. }
            | Cause::Other => Ok(()),
        }
    }
}

/// What never goes back, and what never overtakes what.
fn check_progress(id: NodeId, run: &Run, before: &Facts, after: &Facts) -> Verdict {
    ensure!("term_never_falls", id, after.term >= before.term, "the term of n{id} falls: {before:?} to {after:?}");
    let is_same_term = after.term == before.term;
    let is_vote_kept = !is_same_term || before.vote.is_none() || before.vote == after.vote;
    ensure!("one_vote_a_term", id, is_vote_kept, "the vote of n{id} changes: {before:?} to {after:?}");
    let commit_grows = after.commit >= before.commit;
    ensure!("commit_never_falls", id, commit_grows, "the commit index of n{id} falls: {before:?} to {after:?}");
    let applied_grows = after.applied >= before.applied;
    ensure!("applied_never_falls", id, applied_grows, "the applied index of n{id} falls: {before:?} to {after:?}");
    let is_ordered = after.base.index <= after.snapshot.index && after.snapshot.index <= after.applied;
    let is_ordered = is_ordered && after.applied <= after.commit && after.commit <= after.last.index;
    ensure!(
        "order_of_indexes",
        id,
        is_ordered,
        "n{id}: base <= snapshot <= applied <= commit <= last does not hold of {after:?}"
    );
    let is_as_written = after.last == run.log.last() && after.base == run.log.base();
    ensure!(
        "log_as_written",
        id,
        is_as_written,
        "n{id} believes that its log goes from {} to {}, it ordered {} to {}",
        after.base,
        after.last,
        run.log.base(),
        run.log.last()
    );
    let is_own_term = after.last.term <= after.term;
    ensure!("log_matching", id, is_own_term, "n{id}@{} has {} in its log", after.term, after.last);
    let was_candidate = before.leads() || before.role == Role::Candidate;
    ensure!("election_safety", id, !after.leads() || was_candidate, "n{id} leads and was no candidate: {before:?}");
    Ok(())
}

/// What a member believes durable is on its disk.
fn check_durable(id: NodeId, run: &Run, before: &Facts, after: &Facts, disks: &dyn Disks) -> Verdict {
    // When a snapshot takes the place of the log nothing of the new one is durable yet.
    if after.durable == before.durable || after.durable < after.base.index {
        return Ok(());
    }
    let written = run.log.position_at(after.durable);
    let on_disk = disks.disk(id).map_or(Some(LogPosition::ZERO), |disk| disk.position_at(after.durable));
    let is_so = written.is_some() && written == on_disk;
    ensure!(
        "persisted_is_durable",
        id,
        is_so,
        "n{id} believes its log durable through {}: it wrote {written:?}, the disk holds {on_disk:?}",
        after.durable
    );
    Ok(())
}

/// A stream is only told to send what is there.
fn check_order(id: NodeId, run: &Run, before: &Facts, after: &Facts, order: &ReplicationOrder) -> Verdict {
    let is_there = run.log.contains(order.prev) && run.log.contains(order.through);
    let is_some = order.prev.index < order.through.index;
    ensure!(
        "orders_are_in_the_log",
        id,
        is_there && is_some,
        "n{id} orders {order:?}, its log ends at {}",
        run.log.last()
    );
    // A leader that was removed sends its last words with the step in which it steps down.
    let leads = after.leads() || (before.leads() && before.term == after.term);
    let is_own = order.term == after.term && order.commit <= after.commit && leads;
    ensure!("orders_are_in_the_log", id, is_own, "n{id} orders {order:?}, it is {after:?}");
    Ok(())
}

/// How far everybody has to look again: every so many steps, and less often in a long log.
pub(super) fn next_recheck(steps: u64, log: LogIndex) -> u64 {
    const STEPS_MIN: u64 = 4096;
    steps + log.get().max(STEPS_MIN)
}
