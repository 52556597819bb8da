//! The roles (§5.1), each a handler of every protocol message.
//!
//! A role implements [`Handle`] for each message; the table of role and message
//! is the code, and a missing cell does not compile ([`dispatch`] asks for all
//! of them). A handler says what comes next with its own role's `Next`, which
//! has only that role's legal moves:
//!
//! | from | to | why |
//! |---|---|---|
//! | follower | candidate | election timeout; its leader tells it to (dissertation 3.10) |
//! | candidate | candidate | election timeout again |
//! | candidate | follower | a leader of its term speaks; the vote is lost, or given to another; storage stuck |
//! | candidate | leader | a quorum voted for it |
//! | leader | follower | no contact with a quorum; storage stuck; removed from the cluster, and that is committed |
//!
//! One move is not theirs: a higher term makes a follower of anybody, in [`Raft::step`](crate::Raft::step).

use crate::{
    AppendEntries, AppendEntriesReply, Effects, InstallSnapshot, Message, NodeId, PreVote, PreVoteReply, RequestVote,
    RequestVoteReply, Term, TimeoutNow, election, shared::Shared,
};

mod candidate;
mod follower;
mod leader;

pub(crate) use candidate::Candidate;
pub(crate) use follower::Follower;
pub(crate) use leader::Leader;

/// Answers one kind of message.
pub(crate) trait Handle<M> {
    /// The moves that this role can make.
    type Next: Into<Transition>;

    /// Answers `message`, whose term is the current one (or which knows no term: see `Raft::receive`).
    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: M, effects: &mut Effects) -> Self::Next;
}

/// What a member is.
#[derive(Debug, Clone)]
pub(crate) enum RoleState {
    Follower(Follower),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

/// Any role's next move.
#[derive(Debug)]
pub(crate) enum Transition {
    Stay,
    BecomeFollower,
    /// A later term was seen; no role's own move, see `Raft::receive`.
    BecomeFollowerIn(Term),
    /// Become a follower of the sender and answer its message as such (§5.2).
    Follow(NodeId, Box<Message>),
    BecomeCandidate,
    /// Become a candidate at the leader's word: without asking first whether that could succeed (dissertation 3.10).
    TakeOver,
    BecomeLeader,
}

/// Hands a message to the role's handler for it.
pub(crate) fn dispatch<R>(
    role: &mut R,
    shared: &mut Shared,
    from: NodeId,
    message: Message,
    effects: &mut Effects,
) -> Transition
where
    R: Handle<PreVote>
        + Handle<PreVoteReply>
        + Handle<RequestVote>
        + Handle<RequestVoteReply>
        + Handle<AppendEntries>
        + Handle<AppendEntriesReply>
        + Handle<InstallSnapshot>
        + Handle<TimeoutNow>,
{
    match message {
        Message::PreVote(m) => role.handle(shared, from, m, effects).into(),
        Message::PreVoteReply(m) => role.handle(shared, from, m, effects).into(),
        Message::RequestVote(m) => role.handle(shared, from, m, effects).into(),
        Message::RequestVoteReply(m) => role.handle(shared, from, m, effects).into(),
        Message::AppendEntries(m) => role.handle(shared, from, m, effects).into(),
        Message::AppendEntriesReply(m) => role.handle(shared, from, m, effects).into(),
        Message::InstallSnapshot(m) => role.handle(shared, from, m, effects).into(),
        Message::TimeoutNow(m) => role.handle(shared, from, m, effects).into(),
    }
}

impl RoleState {
    pub(crate) fn dispatch(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        message: Message,
        effects: &mut Effects,
    ) -> Transition {
        match self {
            Self::Follower(role) => dispatch(role, shared, from, message, effects),
            Self::Candidate(role) => dispatch(role, shared, from, message, effects),
            Self::Leader(role) => dispatch(role.as_mut(), shared, from, message, effects),
        }
    }

    /// Whether this is a leader that still takes leave of somebody whom it has removed.
    pub(crate) fn takes_leave_of(&self, id: NodeId) -> bool {
        match self {
            Self::Leader(leader) => leader.takes_leave_of(id),
            Self::Follower(_) | Self::Candidate(_) => false,
        }
    }

    /// Whether a leader is known to be alive: one heard lately, or this one in contact with its quorum.
    pub(crate) fn leader_alive(&self, shared: &Shared) -> bool {
        match self {
            Self::Follower(_) | Self::Candidate(_) => shared.heard_leader_lately(),
            Self::Leader(leader) => leader.is_alive(shared),
        }
    }

    /// Something happens in the group: whoever rests does so no longer.
    pub(crate) fn stir(&mut self, shared: &mut Shared) {
        match self {
            Self::Follower(follower) => follower.stir(shared),
            // It never rests.
            Self::Candidate(_) => {}
            Self::Leader(leader) => leader.stir(shared),
        }
    }
}

/// Answers a PreVote; the same in every role. Changes nothing here (dissertation 9.6).
fn answer_pre_vote(shared: &mut Shared, from: NodeId, request: &PreVote, leader_alive: bool, effects: &mut Effects) {
    let granted = election::grants_pre_vote(&shared.voter(leader_alive), request);
    // A refusal carries our own term: a sender that lags adopts it and can win the next time.
    let term = if granted { request.term } else { shared.term() };
    shared.send(from, Message::PreVoteReply(PreVoteReply { term, granted }), effects);
}

/// Answers a RequestVote of the current term; the same in every role. Whether the vote was granted.
fn answer_request_vote(shared: &mut Shared, from: NodeId, request: &RequestVote, effects: &mut Effects) -> bool {
    // Whether a leader is alive was decided before the term was adopted; see `Raft::receive`.
    let granted = election::grants_vote(&shared.voter(false), from, request);
    if granted {
        shared.vote_for(from);
        // A server that grants its vote gives the candidate time to win (§5.2).
        shared.election_timer.restart(shared.now);
    }
    let reply = RequestVoteReply { term: shared.term(), granted };
    shared.send(from, Message::RequestVoteReply(reply), effects);
    granted
}
