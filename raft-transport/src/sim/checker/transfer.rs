//! What must hold when leadership is handed over (dissertation 3.10).

use std::collections::{BTreeMap, BTreeSet};

use raft_actor::consensus::{NodeId, ProposalId, RequestVote, Term, TransferOutcome};

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
        // One that is down hears nothing; its disk may be another one when it comes back. One that has campaigned by
        // now may have gone on with another leader's log.
        let is_up = members.get(&to).is_some_and(|member| member.run.is_some());
        if let Some(disk) = disks.disk(to).filter(|disk| is_up && disk.hard_state().term == term) {
            let (theirs, ours) = (disk.last(), run.log.last());
            ensure!(
                "the_next_leader_has_it_all",
                from,
                theirs == ours,
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
