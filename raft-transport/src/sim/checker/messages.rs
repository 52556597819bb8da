//! What must hold of a message when it leaves (Figure 2: stable storage before responding).

use std::collections::BTreeMap;

use raft_actor::consensus::{AppendEntries, AppendOutcome, HardState, LogIndex, Message, NodeId, RequestVote, Term};

use super::Knowledge;
use super::disks::Disks;
use super::member::Member;
use super::verdict::{Verdict, ensure};

impl Knowledge {
    /// Persist before reply, one vote in a term, and that a claimed match is one.
    pub(super) fn check_leaving(
        &mut self,
        members: &BTreeMap<NodeId, Member>,
        from: NodeId,
        to: NodeId,
        message: &Message,
        disks: &dyn Disks,
    ) -> Verdict {
        let durable = disks.disk(from).map_or_else(HardState::default, |disk| disk.hard_state());
        let term = message.term();
        let spoken = match message {
            // These two speak of a term that nobody is in yet.
            Message::PreVote(_) => Term::ZERO,
            Message::PreVoteReply(reply) if reply.granted => Term::ZERO,
            Message::PreVoteReply(_)
            | Message::RequestVote(_)
            | Message::RequestVoteReply(_)
            | Message::AppendEntries(_)
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshot(_)
            | Message::TimeoutNow(_) => term,
        };
        ensure!(
            "term_is_durable",
            from,
            durable.term >= spoken,
            "n{from} says {message:?}, its disk holds {durable:?}"
        );
        let promises = match message {
            Message::PreVoteReply(reply) => reply.granted,
            Message::RequestVoteReply(reply) => reply.granted,
            Message::AppendEntriesReply(reply) => reply.damage.is_none(),
            Message::PreVote(_) | Message::RequestVote(_) | Message::AppendEntries(_) | Message::TimeoutNow(_) => true,
            Message::InstallSnapshot(_) => false,
        };
        ensure!(
            "the_damaged_promise_nothing",
            from,
            !promises || durable.damage.is_none(),
            "n{from} says {message:?}, its log has lost something and is not whole"
        );
        if let Message::RequestVoteReply(_) | Message::AppendEntriesReply(_) = message {
            let own = members.get(&from).and_then(|member| member.run.as_ref()).map(|run| run.facts.term);
            let is_passed = own.is_some_and(|own| own > term);
            ensure!("promises_end_with_their_term", from, !is_passed, "n{from} says {message:?}, its term is {own:?}");
        }
        match message {
            Message::RequestVote(request) => {
                self.check_disturbs(from, request)?;
                self.check_request(members, from, request, durable)
            }
            Message::TimeoutNow(_) => self.check_timeout_now(members, from, to, term, disks),
            Message::RequestVoteReply(reply) if reply.granted => self.check_told_vote(from, term, to, durable),
            Message::AppendEntries(append) => self.check_append(members, from, append),
            Message::AppendEntriesReply(reply) => match reply.outcome {
                AppendOutcome::Matched { durable } => self.check_match(members, from, term, durable, disks),
                AppendOutcome::Conflict { .. } | AppendOutcome::Stale => Ok(()),
            },
            Message::PreVote(request) => {
                self.situations.pre_vote(members, from, request.term);
                Ok(())
            }
            // It leaves nobody: a snapshot travels in chunks, and the receiver makes this of them.
            Message::InstallSnapshot(_) => Ok(()),
            Message::PreVoteReply(_) | Message::RequestVoteReply(_) => Ok(()),
        }
    }

    fn check_request(
        &mut self,
        members: &BTreeMap<NodeId, Member>,
        from: NodeId,
        request: &RequestVote,
        durable: HardState,
    ) -> Verdict {
        let term = request.term;
        let campaign = members.get(&from).and_then(|member| member.run.as_ref()).and_then(|run| run.campaign);
        let is_own = campaign == Some((term, request.last));
        ensure!("own_log_is_told", from, is_own, "n{from} asks {request:?}, it campaigned with {campaign:?}");
        if let Some(candidates) = self.elections.asks(from, term, request.last) {
            self.situations.contested_election += u64::from(candidates == 2);
        }
        self.check_told_vote(from, term, from, durable)
    }

    fn check_told_vote(&mut self, voter: NodeId, term: Term, candidate: NodeId, durable: HardState) -> Verdict {
        self.elections.voted(voter, term, candidate)?;
        let is_durable = durable.term > term || (durable.term == term && durable.vote == Some(candidate));
        ensure!(
            "vote_is_durable",
            voter,
            is_durable,
            "the vote of n{voter} for n{candidate} in term {term} leaves, its disk holds {durable:?}"
        );
        Ok(())
    }

    fn check_append(&self, members: &BTreeMap<NodeId, Member>, from: NodeId, append: &AppendEntries) -> Verdict {
        let AppendEntries { term, prev, entries, commit, round: _, rest, repair: _ } = append;
        let is_leader = self.elections.leads(from, *term);
        ensure!(
            "leaders_replicate",
            from,
            is_leader,
            "n{from} sends AppendEntries in term {term}, which it does not lead"
        );
        let is_committed = *commit <= self.commits.last().index;
        ensure!("commit_is_durable", from, is_committed, "n{from} announces commit {commit}, nobody has seen that");
        let is_level = !rest || (entries.is_empty() && *commit == prev.index);
        ensure!("only_the_level_rest", from, is_level, "n{from} calls to rest behind {prev}, committed is {commit}");
        let is_known = prev.index == LogIndex::ZERO || self.written.get(*prev).is_some();
        ensure!("log_matching", from, is_known, "n{from} sends entries behind {prev}, which nobody wrote");
        let mut last = *prev;
        for entry in entries.iter() {
            let follows = self.written.get(entry.position).is_some_and(|known| known.prev == last);
            ensure!("log_matching", from, follows, "n{from} sends {} behind {last}", entry.position);
            last = entry.position;
        }
        let run = members.get(&from).and_then(|member| member.run.as_ref());
        let run = run.filter(|run| run.facts.leads() && run.facts.term == *term);
        let is_own = run.is_none_or(|run| run.log.contains(last) || last.index < run.log.base().index);
        ensure!(
            "log_matching",
            from,
            is_own && last.term <= *term,
            "n{from}@{term} sends {last}, which is not in its log"
        );
        Ok(())
    }

    /// A follower's claim: its durable log equals the leader's up to there.
    fn check_match(
        &self,
        members: &BTreeMap<NodeId, Member>,
        from: NodeId,
        term: Term,
        claimed: LogIndex,
        disks: &dyn Disks,
    ) -> Verdict {
        let Some(disk) = disks.disk(from) else {
            ensure!("match_is_durable", from, claimed == LogIndex::ZERO, "n{from} claims {claimed}, it has no disk");
            return Ok(());
        };
        let here = disk.position_at(claimed);
        let is_durable = here.is_some() || claimed < disk.base().index;
        ensure!(
            "match_is_durable",
            from,
            is_durable,
            "n{from} claims {claimed} durable, its disk ends at {}",
            disk.last()
        );
        let is_older = here.is_none_or(|here| here.term <= term);
        ensure!("match_is_the_leaders", from, is_older, "n{from} claims in term {term} to match at {here:?}");
        let leader = self.elections.leader_of(term);
        let run = leader.and_then(|id| members.get(&id)).and_then(|member| member.run.as_ref());
        if let (Some(run), Some(here)) = (run.filter(|run| run.facts.leads() && run.facts.term == term), here) {
            let there = run.log.position_at(claimed);
            let is_same = there == Some(here) || claimed < run.log.base().index;
            ensure!(
                "match_is_the_leaders",
                from,
                is_same,
                "n{from} claims to match at {here}, the leader has {there:?}"
            );
        }
        Ok(())
    }
}
