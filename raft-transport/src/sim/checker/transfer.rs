//! What must hold when leadership is handed over (dissertation 3.10).

use std::collections::{BTreeMap, BTreeSet};

use raft_actor::consensus::{
    DirectoryId, Input, LogPosition, Message, NodeId, ProposalId, RequestVote, Term, TransferOutcome,
};

use super::Knowledge;
use super::disks::Disks;
use super::member::{Facts, Member, Run};
use super::verdict::{Verdict, ensure};

/// Who was told to campaign, and in which term.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeSet<(Term, NodeId)>);

impl Told {
    pub(super) fn contains(&self, term: Term, member: NodeId) -> bool {
        self.0.contains(&(term, member))
    }

    pub(super) fn anybody_in(&self, term: Term) -> bool {
        self.0.iter().any(|(told_in, _)| *told_in == term)
    }
}

/// What a leader goes by of disks that were emptied or damaged while it led, until it hears of that: what their servers told
/// it before.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    /// Term and last entry, as they were.
    were: BTreeMap<NodeId, (Term, LogPosition)>,
    /// With which disk each server was met last.
    met: BTreeMap<NodeId, DirectoryId>,
}

impl Unheard {
    /// Something is done to a disk with this term and this last entry. If something was done to it before that the leader has
    /// not heard of either, the leader goes by the most that it was told.
    pub(super) fn happens(&mut self, node: NodeId, held: (Term, LogPosition)) {
        let were = self.were.entry(node).or_insert(held);
        *were = held.max(*were);
    }

    /// Another disk is told apart by its directory when its server is let in, a damage by every answer.
    pub(super) fn hears(&mut self, input: &Input) {
        let news = match input {
            Input::Met { peer, directory } => (self.met.insert(*peer, *directory) != Some(*directory)).then_some(peer),
            Input::Received { from, message: Message::AppendEntriesReply(reply) } => reply.damage.map(|_| from),
            Input::Received { .. }
            | Input::Deadline
            | Input::Propose { .. }
            | Input::Read { .. }
            | Input::ReadByLease { .. }
            | Input::ChangeMembership { .. }
            | Input::TransferLeadership { .. }
            | Input::Persisted(_)
            | Input::Applied(_)
            | Input::TakeSnapshot
            | Input::SnapshotLost
            | Input::SnapshotTaken(_)
            | Input::SnapshotFailed
            | Input::SnapshotInstalled(_)
            | Input::Unreachable(_)
            | Input::HungUp(_)
            | Input::HostSilent(_)
            | Input::Stirred
            | Input::SuffrageGranted => None,
        };
        if let Some(peer) = news {
            self.were.remove(peer);
        }
    }

    /// It leads anew, and nobody has told it anything.
    pub(super) fn leads_anew(&mut self) {
        self.were.clear();
    }
}

impl Knowledge {
    /// A member answers a transfer that it was asked for.
    pub(super) fn check_transfer_answer(
        &mut self,
        id: NodeId,
        run: &mut Run,
        transfer: ProposalId,
        outcome: &TransferOutcome,
    ) -> Verdict {
        let is_open = run.handing_over.remove(&transfer);
        ensure!("transfers_are_answered_once", id, is_open, "n{id} answers transfer {} twice", transfer.0);
        match outcome {
            TransferOutcome::Done { leader, term } | TransferOutcome::Superseded { leader, term } => {
                let leads = self.elections.leads(*leader, *term);
                ensure!("election_safety", id, leads, "n{id} says n{leader} leads term {term}: {outcome:?}");
                let is_done = matches!(outcome, TransferOutcome::Done { .. }) && *leader != id;
                self.situations.leadership_handed_over += u64::from(is_done);
            }
            TransferOutcome::TimedOut => self.situations.transfer_timed_out += 1,
            TransferOutcome::Refused(_) => {}
        }
        Ok(())
    }

    /// A leader that hands over its office appends nothing.
    pub(super) fn check_hands_over_only(&self, id: NodeId, run: &Run, before: &Facts, after: &Facts) -> Verdict {
        let leads_on = before.leads() && after.leads() && before.term == after.term;
        let is_quiet = run.handing_over.is_empty() || !leads_on || before.last == after.last;
        let open = &run.handing_over;
        ensure!(
            "who_hands_over_appends_nothing",
            id,
            is_quiet,
            "n{id} appends {} while it hands over: {open:?}",
            after.last
        );
        Ok(())
    }

    /// Only a voter that durably has all of the leader's log is told to campaign, and only if somebody wants that.
    pub(super) fn check_timeout_now(
        &mut self,
        members: &BTreeMap<NodeId, Member>,
        from: NodeId,
        to: NodeId,
        term: Term,
        disks: &dyn Disks,
    ) -> Verdict {
        let leads = self.elections.leads(from, term);
        ensure!("leaders_hand_over", from, leads, "n{from} sends TimeoutNow in term {term}, which it does not lead");
        let run = members.get(&from).and_then(|member| member.run.as_ref());
        let run = run.filter(|run| run.facts.leads() && run.facts.term == term);
        let Some(run) = run else { return Ok(()) };
        let is_wanted = !run.handing_over.is_empty();
        ensure!("leaders_hand_over", from, is_wanted, "n{from}@{term} tells n{to} to campaign; nobody wants that");
        let configuration = self.written.configuration(run.log.configurations().last().copied());
        let is_voter = configuration.voters.contains(&to);
        ensure!(
            "only_voters_are_told_to_campaign",
            from,
            is_voter,
            "n{from}@{term} tells n{to}, no voter, to campaign"
        );
        // One that is down hears nothing; its disk may be another one when it comes back. What was lost without the leader's
        // knowledge counts here as it does there: whoever lacks it campaigns no more than it votes. One that has campaigned
        // by now may have gone on with another leader's log.
        let is_up = members.get(&to).is_some_and(|member| member.run.is_some());
        let there = disks.disk(to).filter(|_| is_up).map(|disk| (disk.hard_state().term, disk.last()));
        if let Some((_, theirs)) = there.filter(|(theirs, _)| *theirs <= term) {
            let ours = run.log.last();
            let is_believed = run.unheard.were.get(&to).is_some_and(|(_, were)| *were == ours);
            ensure!(
                "the_next_leader_has_it_all",
                from,
                theirs == ours || is_believed,
                "n{from}@{term} tells n{to} to campaign, whose disk ends at {theirs}; its own log ends at {ours}"
            );
        }
        self.told.0.insert((term, to));
        self.situations.told_to_campaign += 1;
        Ok(())
    }

    /// Nobody disturbs a living leader but at its own word.
    pub(super) fn check_disturbs(&self, candidate: NodeId, request: &RequestVote) -> Verdict {
        let before = Term::new(request.term.get().saturating_sub(1));
        let may = !request.leadership_transfer || self.told.contains(before, candidate);
        ensure!("nobody_disturbs_a_leader", candidate, may, "n{candidate} asks {request:?}, and was never told to");
        Ok(())
    }
}
