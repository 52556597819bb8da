//! What must hold when leadership is handed over (dissertation 3.10), judged from outside.

use std::collections::{BTreeMap, BTreeSet};

use raft_consensus::{NodeId, ProposalId, RequestVote, Term};

use super::{Checker, Members, Verdict};

/// The transfers that were asked for and what was said for their sake.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    /// Those that are not answered: by whom, and in which term it was asked.
    open: BTreeMap<ProposalId, (NodeId, Term)>,
    /// Who was told to campaign, and the term in which it was said.
    told: BTreeSet<(Term, NodeId)>,
}

impl Checker {
    /// A member is asked to hand over its leadership.
    pub fn transfer_begins(&mut self, id: ProposalId, member: NodeId) {
        let term = self.running[&member].term;
        self.transfers.open.insert(id, (member, term));
    }

    /// How often somebody was told to campaign, and by how many leaders.
    pub fn told_to_campaign(&self) -> usize {
        self.transfers.told.len()
    }

    pub(super) fn transfer_ends(&mut self, id: ProposalId) -> Verdict {
        ensure!(self.transfers.open.remove(&id).is_some(), "transfer {} is answered, and nobody waits for it", id.0);
        Ok(())
    }

    /// Whoever died answers nobody.
    pub(super) fn forget_transfers(&mut self, member: NodeId) {
        self.transfers.open.retain(|_, (asked, _)| *asked != member);
    }

    /// A leader that hands over its office appends nothing.
    pub(super) fn check_appends_nothing(&self, leader: NodeId, term: Term) -> Verdict {
        let open = self.transfers.open.iter().find(|(_, asked)| **asked == (leader, term));
        ensure!(open.is_none(), "n{leader}@{term} appends while it hands over its office: {open:?}");
        Ok(())
    }

    /// Only a voter that durably has the leader's whole log is told to campaign, and only for somebody who asked.
    pub(super) fn check_timeout_now(&mut self, members: &Members, from: NodeId, to: NodeId, term: Term) -> Verdict {
        ensure!(self.leaders.get(&term) == Some(&from), "n{from} sends TimeoutNow in term {term}");
        let is_asked = self.transfers.open.values().any(|asked| *asked == (from, term));
        ensure!(is_asked, "n{from}@{term} tells n{to} to campaign, and nobody wanted that");
        let leader = &self.running[&from];
        ensure!(leader.configuration.voters.contains(&to), "n{from}@{term} tells n{to} to campaign, which is no voter");
        let target = members[&to].disk.durable();
        // One that has campaigned by now may have gone on with another leader's log.
        let has_all = target.hard_state.term != term || target.last() == leader.last;
        ensure!(has_all, "n{to} is to campaign with {}, leader n{from}@{term} has {}", target.last(), leader.last);
        self.transfers.told.insert((term, to));
        Ok(())
    }

    /// Nobody disturbs a living leader but at its own word.
    pub(super) fn check_campaign(&self, candidate: NodeId, request: &RequestVote) -> Verdict {
        let before = Term::new(request.term.get().saturating_sub(1));
        let is_told = self.transfers.told.contains(&(before, candidate));
        ensure!(
            !request.leadership_transfer || is_told,
            "n{candidate} campaigns in term {} as if told to",
            request.term
        );
        Ok(())
    }
}
