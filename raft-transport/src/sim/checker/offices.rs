//! Who may hold an office or give one: not who waits for its disk, has lost its quorum, or has forgotten what it voted.
//!
//! What depends on time is judged by the server's own clock. A server looks at what is due when it is told that something
//! is, so whoever was paused, or whose clock has leapt, still leads until then.

use std::collections::BTreeMap;

use raft_actor::consensus::{Effect, Input, Message, NodeId, Raft, Role, Term, Time};

use super::Knowledge;
use super::member::{Cause, Facts, Run};
use super::verdict::{Verdict, ensure};

/// What is remembered of a server for its office, in times of its own clock.
#[derive(Debug, Default)]
pub(super) struct Office {
    /// Of the present step.
    pub(super) now: Time,
    /// Whose answer it takes in, and of which term that is.
    answer: Option<(NodeId, Term)>,
    /// When each of the others last followed it, in this term.
    heard: BTreeMap<NodeId, Time>,
    /// Since when it has to hear from a quorum: it was elected, did without heartbeats, or has another quorum since.
    counts_from: Time,
    /// When its log last grew, by true time.
    grew_at: Time,
    /// Whether it was at rest after its latest step.
    pub(super) rests: bool,
}

impl Office {
    /// A step begins.
    pub(super) fn takes_in(&mut self, input: &Input, now: Time) {
        self.now = now;
        self.answer = answer(input);
    }

    fn heard_at(&self, member: NodeId) -> Time {
        self.heard.get(&member).copied().unwrap_or_default()
    }
}

/// When each member was last at rest, by true time, and in which term.
pub(super) type Rests = BTreeMap<NodeId, (Term, Time)>;

impl Knowledge {
    /// A server whose disk was wiped knows its votes and entries no more, if there was ever a configuration in which they
    /// counted. What a learner forgets nobody has counted (seed 3061).
    pub(super) fn forgets(&mut self, id: NodeId, had_suffrage: bool) {
        let mut all = self.written.configurations().rev();
        if let Some(at) = all.find(|at| had_suffrage && self.written.configuration(Some(*at)).is_voter(id)) {
            self.forgetful.insert(id, at);
        }
    }

    /// A server took a step; `waits_since` is when it ordered the oldest write that its disk has not confirmed.
    #[expect(clippy::too_many_arguments, reason = "it looks at everything")]
    pub(super) fn check_office(
        &mut self,
        id: NodeId,
        run: &mut Run,
        before: &Facts,
        after: &Facts,
        waits_since: Option<Time>,
        raft: &Raft,
        effects: &[Effect],
    ) -> Verdict {
        let elects = elects(run.cause, before, after, effects);
        self.check_disk_answers(id, run, after, waits_since, elects)?;
        ensure!(
            "the_wiped_do_not_vote",
            id,
            !elects || self.remembers(id),
            "n{id}@{} has an empty disk, was not added again, and votes for {:?} as a {:?}; it takes in {:?}",
            after.term,
            after.vote,
            after.role,
            run.cause
        );
        self.check_stranger(id, run, before, after)?;
        self.check_rest(id, run, before, after, raft)?;
        self.check_contact(id, run, before, after, raft)
    }

    /// A disk that takes too long is no disk to rely on: its server leads no more, and helps nobody to lead.
    fn check_disk_answers(
        &self,
        id: NodeId,
        run: &Run,
        after: &Facts,
        waits_since: Option<Time>,
        elects: bool,
    ) -> Verdict {
        let waits = waits_since.map(|since| run.office.now.since(since)).unwrap_or_default();
        if waits < self.limits.storage_stall_max() {
            return Ok(());
        }
        ensure!(
            "who_waits_for_its_disk_elects_nobody",
            id,
            !elects,
            "n{id} has waited for its disk for {waits:?}, and takes in {:?}: {after:?}",
            run.cause
        );
        ensure!(
            "who_waits_for_its_disk_leads_no_more",
            id,
            !after.leads() || run.cause != Cause::Deadline,
            "n{id}@{} leads on, and has waited for its disk for {waits:?}",
            after.term
        );
        Ok(())
    }

    /// Whether what this server promised and acknowledged is still on its disk, or counts no more: it has lost its vote
    /// since it was forgotten, and whoever is given one again gets all anew.
    fn remembers(&self, id: NodeId) -> bool {
        let Some(counted_at) = self.forgetful.get(&id) else { return true };
        let later = self.written.configurations().rev().take_while(|at| at > counted_at);
        later.filter(|at| self.commits.contains(*at)).any(|at| !self.written.configuration(Some(at)).is_voter(id))
    }

    /// What somebody answers who is not in the latest configuration counts for nothing, its term least of all
    /// (dissertation 4.2.3).
    fn check_stranger(&self, id: NodeId, run: &Run, before: &Facts, after: &Facts) -> Verdict {
        let Some((from, term)) = run.office.answer.filter(|_| after.term != before.term) else { return Ok(()) };
        let all = run.log.configurations().iter().rev();
        let in_force = all.copied().find(|at| at.index == before.configured_at);
        let is_known = self.written.configuration(in_force).is_member(from);
        ensure!(
            "strangers_end_no_term",
            id,
            is_known,
            "n{id} goes from term {} to {}, because n{from} answers in {term}, no member of {in_force:?}",
            before.term,
            after.term
        );
        Ok(())
    }

    /// A leader rests only when all others do: whoever does not waits for its heartbeats.
    fn check_rest(&mut self, id: NodeId, run: &mut Run, before: &Facts, after: &Facts, raft: &Raft) -> Verdict {
        if !leads_on(before, after) || before.last != after.last {
            run.office.grew_at = self.now;
        }
        if raft.rests() {
            self.rests.insert(id, (after.term, self.now));
        }
        if !raft.rests() || !after.leads() {
            return Ok(());
        }
        let configuration = self.written.configuration(run.log.configurations().last().copied());
        let rests = |other: &NodeId| {
            let rest = self.rests.get(other);
            *other == id || rest.is_some_and(|(term, at)| *term == after.term && *at >= run.office.grew_at)
        };
        let awake: Vec<NodeId> = configuration.members().into_iter().filter(|other| !rests(other)).collect();
        ensure!(
            "leaders_rest_last",
            id,
            awake.is_empty(),
            "n{id}@{} rests, and {awake:?} never did since its log ends at {}",
            after.term,
            after.last
        );
        Ok(())
    }

    /// Who has not heard from a quorum for a minimum election timeout may have been replaced (dissertation 6.2).
    fn check_contact(&self, id: NodeId, run: &mut Run, before: &Facts, after: &Facts, raft: &Raft) -> Verdict {
        let now = run.office.now;
        let did_without = std::mem::replace(&mut run.office.rests, raft.rests());
        if !leads_on(before, after) {
            run.office.heard.clear();
        }
        if !leads_on(before, after) || did_without || raft.rests() || before.configured_at != after.configured_at {
            run.office.counts_from = now;
        }
        if let (Some((from, term)), Cause::Matched { .. } | Cause::Refused { .. }) = (run.office.answer, run.cause)
            && term == after.term
        {
            run.office.heard.insert(from, now);
        }
        if !after.leads() || run.cause != Cause::Deadline {
            return Ok(());
        }
        let heard_at = |voter: &NodeId| if *voter == id { now } else { run.office.heard_at(*voter) };
        let configuration = self.written.configuration(run.log.configurations().last().copied());
        for set in configuration.voter_sets().filter(|set| !set.is_empty()) {
            let mut times: Vec<Time> = set.iter().map(heard_at).collect();
            times.sort_unstable();
            // That late a majority was still heard.
            let silence = now.since(times[(set.len() - 1) / 2].max(run.office.counts_from));
            ensure!(
                "who_lost_its_quorum_leads_no_more",
                id,
                silence < self.limits.election_timeout_min(),
                "n{id}@{} leads on, and has not heard from a majority of {set:?} for {silence:?}",
                after.term
            );
        }
        Ok(())
    }
}

fn leads_on(before: &Facts, after: &Facts) -> bool {
    before.leads() && after.leads() && before.term == after.term
}

/// Who answers, and in which term.
fn answer(input: &Input) -> Option<(NodeId, Term)> {
    let Input::Received { from, message } = input else { return None };
    match message {
        Message::PreVoteReply(_) | Message::RequestVoteReply(_) | Message::AppendEntriesReply(_) => {
            Some((*from, message.term()))
        }
        Message::PreVote(_)
        | Message::RequestVote(_)
        | Message::AppendEntries(_)
        | Message::InstallSnapshot(_)
        | Message::TimeoutNow(_) => None,
    }
}

/// Whether a step helps to elect anybody: by a vote, a pre-vote or a candidacy.
pub(super) fn elects(cause: Cause, before: &Facts, after: &Facts, effects: &[Effect]) -> bool {
    let votes = after.vote.is_some() && (after.vote != before.vote || after.term != before.term);
    let campaigns = after.role == Role::Candidate && (before.role != Role::Candidate || after.term > before.term);
    let is_granted =
        |effect: &Effect| matches!(effect, Effect::Send { message: Message::PreVoteReply(reply), .. } if reply.granted);
    votes || campaigns || (matches!(cause, Cause::PreVoteAsked { .. }) && effects.iter().any(is_granted))
}
