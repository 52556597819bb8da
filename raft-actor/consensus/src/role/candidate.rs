//! Candidates want to lead: first they ask whether they could win (pre-vote,
//! dissertation 9.6), then they campaign in a new term (§5.2).

use std::collections::BTreeMap;

use super::{Handle, Transition, answer_pre_vote, answer_request_vote};
use crate::quorum::VoteResult;
use crate::shared::Shared;
use crate::{
    AppendEntries, AppendEntriesReply, Effects, Ignored, InstallSnapshot, Message, NodeId, PreVote, PreVoteReply,
    RequestVote, RequestVoteReply, TimeoutNow,
};

/// A candidate.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    phase: Phase,
    /// Who granted and who denied in this phase.
    votes: BTreeMap<NodeId, bool>,
}

/// How far a candidate has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Asks whether it could win, without disturbing anybody's term.
    PreVote,
    /// Asks for votes in a term of its own.
    Election,
}

/// Why a candidate campaigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It heard from no leader (§5.2), and a quorum did not either.
    Timeout,
    /// The leader told it to (dissertation 3.10).
    TimeoutNow,
}

/// What a candidate can become.
#[derive(Debug)]
pub(crate) enum Next {
    Stay,
    /// The vote is lost, or given to another.
    BecomeFollower,
    /// A leader of our term speaks: follow it.
    Follow(NodeId, Box<Message>),
    /// Try again, from the pre-vote on.
    BecomeCandidate,
    BecomeLeader,
}

impl From<Next> for Transition {
    fn from(next: Next) -> Self {
        match next {
            Next::Stay => Self::Stay,
            Next::BecomeFollower => Self::BecomeFollower,
            Next::Follow(leader, message) => Self::Follow(leader, message),
            Next::BecomeCandidate => Self::BecomeCandidate,
            Next::BecomeLeader => Self::BecomeLeader,
        }
    }
}

impl Candidate {
    /// Asks all voters whether they would vote for us in the next term.
    pub(crate) fn start(shared: &mut Shared, effects: &mut Effects) -> Self {
        shared.election_timer.redraw();
        shared.election_timer.restart(shared.now);
        let request = PreVote { term: shared.term().next(), last: shared.log().last() };
        ask_voters(shared, &Message::PreVote(request), effects);
        let mut candidate = Self { phase: Phase::PreVote, votes: BTreeMap::from([(shared.id, true)]) };
        if candidate.result(shared) == VoteResult::Won {
            candidate.begin_election(Cause::Timeout, shared, effects);
        }
        candidate
    }

    /// Campaigns at the leader's word: without a pre-vote, which would be refused for the leader's sake (dissertation 3.10).
    pub(crate) fn take_over(shared: &mut Shared, effects: &mut Effects) -> Self {
        let mut candidate = Self { phase: Phase::Election, votes: BTreeMap::new() };
        candidate.begin_election(Cause::TimeoutNow, shared, effects);
        candidate
    }

    /// Begins an election: a new term, a vote for itself, RequestVote to all others (§5.2).
    fn begin_election(&mut self, cause: Cause, shared: &mut Shared, effects: &mut Effects) {
        self.phase = Phase::Election;
        // Its own vote counts once it is durable: see `on_persisted`.
        self.votes.clear();
        shared.enter_term(shared.term().next());
        shared.vote_for(shared.id);
        shared.election_timer.restart(shared.now);
        let leadership_transfer = cause == Cause::TimeoutNow;
        let request = RequestVote { term: shared.term(), last: shared.log().last(), leadership_transfer };
        ask_voters(shared, &Message::RequestVote(request), effects);
    }

    /// The election timeout has passed without a winner (§5.2).
    pub(crate) fn on_deadline(&mut self, shared: &mut Shared) -> Next {
        if !shared.election_timer.has_expired(shared.now) {
            Next::Stay
        } else if shared.may_campaign_now() {
            Next::BecomeCandidate
        } else {
            shared.election_timer.restart(shared.now);
            Next::BecomeFollower
        }
    }

    /// The storage confirmed something; if our vote for ourselves is among it, it counts from now on.
    pub(crate) fn on_persisted(&mut self, shared: &mut Shared) -> Next {
        match self.phase {
            Phase::Election if shared.outbox.is_hard_state_durable() => {
                self.votes.insert(shared.id, true);
                self.after_election_vote(shared)
            }
            Phase::Election | Phase::PreVote => Next::Stay,
        }
    }

    fn result(&self, shared: &Shared) -> VoteResult {
        shared.quorum.vote_result(|voter| self.votes.get(&voter).copied())
    }

    fn after_election_vote(&self, shared: &Shared) -> Next {
        match self.result(shared) {
            // Others can make a quorum without us, but our own term and vote must be durable before we act by them.
            VoteResult::Won if shared.outbox.is_hard_state_durable() => Next::BecomeLeader,
            VoteResult::Won | VoteResult::Pending => Next::Stay,
            VoteResult::Lost => Next::BecomeFollower,
        }
    }
}

fn ask_voters(shared: &mut Shared, message: &Message, effects: &mut Effects) {
    let others: Vec<NodeId> = shared.quorum.voters().filter(|voter| *voter != shared.id).collect();
    for voter in others {
        shared.send(voter, message.clone(), effects);
    }
}

impl Handle<PreVote> for Candidate {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: PreVote, effects: &mut Effects) -> Next {
        answer_pre_vote(shared, from, &message, shared.heard_leader_lately(), effects);
        Next::Stay
    }
}

impl Handle<PreVoteReply> for Candidate {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: PreVoteReply, effects: &mut Effects) -> Next {
        let is_answer = !message.granted || message.term == shared.term().next();
        if self.phase != Phase::PreVote || !is_answer {
            shared.ignore(Ignored::UnexpectedReply);
            return Next::Stay;
        }
        // A voter answers once; whatever comes twice changes nothing.
        self.votes.entry(from).or_insert(message.granted);
        match self.result(shared) {
            VoteResult::Won if shared.may_campaign_now() => self.begin_election(Cause::Timeout, shared, effects),
            VoteResult::Pending => {}
            // What allowed it to ask may have ended since: its disk has stopped answering.
            VoteResult::Won | VoteResult::Lost => return Next::BecomeFollower,
        }
        Next::Stay
    }
}

impl Handle<RequestVote> for Candidate {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: RequestVote, effects: &mut Effects) -> Next {
        // In an election our vote is our own; in the pre-vote phase it may still be free.
        if answer_request_vote(shared, from, &message, effects) { Next::BecomeFollower } else { Next::Stay }
    }
}

impl Handle<RequestVoteReply> for Candidate {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: RequestVoteReply, _: &mut Effects) -> Next {
        if self.phase != Phase::Election {
            shared.ignore(Ignored::UnexpectedReply);
            return Next::Stay;
        }
        // A voter answers once; whatever comes twice changes nothing.
        self.votes.entry(from).or_insert(message.granted);
        self.after_election_vote(shared)
    }
}

impl Handle<AppendEntries> for Candidate {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: AppendEntries, _: &mut Effects) -> Next {
        if shared.leader_of_term().is_some_and(|leader| leader != from) {
            shared.ignore(Ignored::SecondLeader);
            return Next::Stay;
        }
        // Another server established itself as leader of this term (§5.2).
        Next::Follow(from, Box::new(Message::AppendEntries(message)))
    }
}

impl Handle<InstallSnapshot> for Candidate {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: InstallSnapshot, _: &mut Effects) -> Next {
        if shared.leader_of_term().is_some_and(|leader| leader != from) {
            shared.ignore(Ignored::SecondLeader);
            return Next::Stay;
        }
        // As with AppendEntries: only a leader of this term says so (§5.2).
        Next::Follow(from, Box::new(Message::InstallSnapshot(message)))
    }
}

impl Handle<AppendEntriesReply> for Candidate {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: AppendEntriesReply, _: &mut Effects) -> Next {
        // In the pre-vote phase: from when we led this term, before we lost our quorum.
        shared.ignore(Ignored::UnexpectedReply);
        Next::Stay
    }
}

impl Handle<TimeoutNow> for Candidate {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: TimeoutNow, _: &mut Effects) -> Next {
        // It has given up on that leader already.
        shared.ignore(Ignored::UntimelyTimeoutNow);
        Next::Stay
    }
}
