//! Who voted for whom, and who led (§5.2, §5.4.1).

use std::collections::{BTreeMap, BTreeSet};

use raft_actor::consensus::{Effect, LogPosition, Message, NodeId, Raft, Role, Term};

use super::Knowledge;
use super::disks::Disks;
use super::member::{Cause, Facts, Run};
use super::verdict::{Verdict, ensure};

/// All elections so far.
#[derive(Debug, Default)]
pub(super) struct Elections {
    leaders: BTreeMap<Term, NodeId>,
    /// Every vote that was ever told to anybody or found on a disk.
    votes: BTreeMap<(Term, NodeId), NodeId>,
    /// The end of its log, as each candidate told it.
    claims: BTreeMap<(Term, NodeId), LogPosition>,
}

impl Elections {
    /// Whether this server was seen leading this term.
    pub(super) fn leads(&self, id: NodeId, term: Term) -> bool {
        self.leaders.get(&term) == Some(&id)
    }

    pub(super) fn leader_of(&self, term: Term) -> Option<NodeId> {
        self.leaders.get(&term).copied()
    }

    /// The latest term that has had a leader, and that leader.
    pub(super) fn latest(&self) -> Option<(Term, NodeId)> {
        self.leaders.last_key_value().map(|(term, leader)| (*term, *leader))
    }

    /// A server has voted, in any run of its.
    pub(super) fn voted(&mut self, voter: NodeId, term: Term, candidate: NodeId) -> Verdict {
        let first = *self.votes.entry((term, voter)).or_insert(candidate);
        let is_same = first == candidate;
        ensure!("one_vote_a_term", voter, is_same, "n{voter} votes for n{first} and for n{candidate} in term {term}");
        Ok(())
    }

    /// A candidate asks for votes; returns how many candidates of this term are known now, if this one is new.
    pub(super) fn asks(&mut self, candidate: NodeId, term: Term, last: LogPosition) -> Option<usize> {
        let is_new = self.claims.insert((term, candidate), last).is_none();
        let of_term = (term, NodeId::from(0))..=(term, NodeId::from(u64::MAX));
        is_new.then(|| self.claims.range(of_term).count())
    }

    /// What this server promised does not count any more.
    pub(super) fn forget(&mut self, voter: NodeId) {
        self.votes.retain(|(_, of), _| *of != voter);
    }
}

impl Knowledge {
    /// A vote goes to who has asked for it, and only to a log that is at least as up-to-date (§5.4.1).
    pub(super) fn check_vote(&mut self, id: NodeId, run: &mut Run, before: &Facts, after: &Facts) -> Verdict {
        if after.role == Role::Candidate && after.vote == Some(id) && after.term > before.term {
            run.campaign = Some((after.term, after.last));
        }
        let has_voted = after.vote != before.vote || after.term != before.term;
        let Some(candidate) = after.vote.filter(|vote| has_voted && *vote != id) else { return Ok(()) };
        let claim = self.elections.claims.get(&(after.term, candidate)).copied();
        let is_up_to_date = claim.is_some_and(|claim| claim >= before.last);
        ensure!(
            "votes_go_to_up_to_date_logs",
            id,
            is_up_to_date,
            "n{id} with {} votes for n{candidate} with {claim:?} in term {} (§5.4.1)",
            before.last,
            after.term
        );
        Ok(())
    }

    /// A vote that nothing speaks against is given, and so is a pre-vote (§5.4.1; dissertation 9.6). To refuse one
    /// harms nobody's log, but can keep a cluster from electing anybody.
    ///
    /// `owes` says whether the disk had confirmed everything before this step: one that hangs takes the vote away.
    pub(super) fn check_vote_is_given(
        id: NodeId,
        before: &Facts,
        after: &Facts,
        cause: Cause,
        owes: bool,
        raft: &Raft,
        effects: &[Effect],
    ) -> Verdict {
        if owes || !raft.has_suffrage() || raft.log().configuration().voter_sets().all(BTreeSet::is_empty) {
            return Ok(());
        }
        // Whoever has lost something does not know whom it would elect.
        if before.damage.is_some() {
            return Ok(());
        }
        match cause {
            // It enters the term with this request, so it has not voted in it.
            Cause::VoteAsked { candidate, term, last, is_handed_over: _ }
                if before.term < term && after.term == term && last >= before.last =>
            {
                let is_given = after.vote == Some(candidate);
                ensure!(
                    "votes_are_given",
                    id,
                    is_given,
                    "n{id} with {} refuses n{candidate} with {last} its vote in term {term} (§5.4.1)",
                    before.last
                );
            }
            // One that asks for pre-votes itself has not heard a leader for a while.
            Cause::PreVoteAsked { term, last }
                if before.role == Role::Candidate
                    && before.vote != Some(id)
                    && term > before.term
                    && last >= before.last =>
            {
                let is_refused = effects.iter().any(|effect| {
                    matches!(effect, Effect::Send { message: Message::PreVoteReply(reply), .. } if !reply.granted)
                });
                ensure!(
                    "votes_are_given",
                    id,
                    !is_refused,
                    "n{id} with {} refuses a pre-vote for term {term} with {last} (§5.4.1)",
                    before.last
                );
            }
            Cause::VoteAsked { .. }
            | Cause::PreVoteAsked { .. }
            | Cause::Heard { .. }
            | Cause::Deadline
            | Cause::Proposal { .. }
            | Cause::Read(_)
            | Cause::ReadByLease(_)
            | Cause::Transfer(_)
            | Cause::Persisted(_)
            | Cause::Applied(_)
            | Cause::Matched { .. }
            | Cause::Refused { .. }
            | Cause::Unreachable { .. }
            | Cause::Installed(_)
            | Cause::Other => {}
        }
        Ok(())
    }

    /// Election Safety and Leader Completeness (§5.2, §5.4).
    pub(super) fn check_leader(
        &mut self,
        id: NodeId,
        run: &mut Run,
        before: &Facts,
        after: &Facts,
        raft: &Raft,
        disks: &dyn Disks,
    ) -> Verdict {
        let term = after.term;
        if run.leads_in == Some(term) {
            return Ok(());
        }
        run.leads_in = Some(term);
        run.unheard.leads_anew();
        let first = *self.elections.leaders.entry(term).or_insert(id);
        ensure!("election_safety", id, first == id, "n{first} and n{id} both lead term {term}");
        self.check_elected(id, run, after, disks)?;
        self.check_peers(id, run, raft)?;
        let committed = self.commits.last_before(term);
        let has_all = committed.index < run.log.base().index || run.log.contains(committed);
        ensure!("leader_completeness", id, has_all, "leader n{id}@{term} lacks the committed {committed} (§5.4.3)");
        let begins = run.log.last().term == term && run.log.last().index > before.last.index;
        ensure!("leaders_begin_with_an_entry", id, begins, "leader n{id}@{term} has no entry of its own (§8)");
        let inherited = before.last;
        // What the founders wrote was on everybody's disk from the beginning.
        let is_open = inherited.index > self.commits.last().index && self.elections.leader_of(inherited.term).is_some();
        run.inherited = is_open.then_some(inherited);
        Ok(())
    }

    /// A leader was elected by majorities of votes that are durable.
    fn check_elected(&self, id: NodeId, run: &Run, after: &Facts, disks: &dyn Disks) -> Verdict {
        let term = after.term;
        let own = disks.disk(id).is_some_and(|disk| {
            let held = disk.hard_state();
            held.term == term && held.vote == Some(id)
        });
        ensure!("vote_is_durable", id, own, "n{id} leads term {term}, and its vote for itself is not durable");
        let voted = |voter: NodeId| voter == id || self.elections.votes.get(&(term, voter)) == Some(&id);
        // With its first entry a leader may have appended a configuration: who elected it is in those before.
        let in_force = run.log.configurations().iter().rev().find(|at| at.term < term).copied();
        for set in self.written.configuration(in_force).voter_sets() {
            let granted = set.iter().filter(|voter| voted(**voter)).count();
            let is_majority = granted * 2 > set.len();
            ensure!(
                "elected_by_a_majority",
                id,
                is_majority,
                "n{id} leads term {term} with {granted} votes of {set:?}"
            );
        }
        let may_lead = self.in_force(run, after.commit).any(|configuration| configuration.is_voter(id));
        ensure!("elected_by_a_majority", id, may_lead, "n{id} leads term {term} and is a voter of no configuration");
        Ok(())
    }
}
