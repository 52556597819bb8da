//! Followers answer candidates and the leader (§5.2). A learner is a follower that may not campaign.

use super::{Handle, Transition, answer_pre_vote, answer_request_vote};
use crate::append::{self, Change, Fit};
use crate::installation::{self, Need};
use crate::shared::Shared;
use crate::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Effects, Ignored, InstallSnapshot, NodeId, PreVote, PreVoteReply,
    RequestVote, RequestVoteReply, TimeoutNow, commit,
};

/// A follower, of a leader or (so far) of nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Follower {
    /// Whom it follows; nobody until it hears from a leader.
    leader: Option<NodeId>,
    /// Whether it does without heartbeats; see [`AppendEntries::rest`].
    rests: bool,
}

/// What a follower can become.
#[derive(Debug)]
pub(crate) enum Next {
    Stay,
    BecomeCandidate,
    /// The leader wants this server to lead.
    TakeOver,
}

impl From<Next> for Transition {
    fn from(next: Next) -> Self {
        match next {
            Next::Stay => Self::Stay,
            Next::BecomeCandidate => Self::BecomeCandidate,
            Next::TakeOver => Self::TakeOver,
        }
    }
}

impl Follower {
    /// The leader it hears from.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    fn hear(&mut self, leader: NodeId, shared: &mut Shared) {
        shared.hear_leader(leader);
        self.leader = Some(leader);
        self.rests = false;
    }

    pub(crate) fn rests(&self) -> bool {
        self.rests
    }

    /// Something happens in the group: watches the leader again. So far its host was good for it, so it counts as
    /// heard until now, and whoever asks for a vote meanwhile asks in vain: as with heartbeats, nobody disturbs a leader
    /// that lives (dissertation 4.2.3). If it is gone, that only costs a timeout.
    pub(crate) fn stir(&mut self, shared: &mut Shared) {
        if let Some(leader) = self.leader.filter(|_| self.rests) {
            self.hear(leader, shared);
        }
    }

    /// Nobody is good for the leader any more.
    pub(crate) fn host_silent(&mut self, host: NodeId, shared: &mut Shared) {
        if self.rests && self.leader == Some(host) {
            self.rests = false;
            shared.lose_leader();
        }
    }

    /// The leader's process is gone, or the way to it (then the others, who hear it, do not help: dissertation 4.2.3).
    pub(crate) fn hung_up(&mut self, host: NodeId, shared: &mut Shared) {
        if self.leader == Some(host) {
            self.rests = false;
            shared.miss_leader();
        }
    }

    /// The election timeout has passed without a sign of a leader (§5.2).
    pub(crate) fn on_deadline(&mut self, shared: &mut Shared) -> Next {
        if !shared.election_timer.has_expired(shared.now) {
            return Next::Stay;
        }
        if shared.may_campaign_now() {
            return Next::BecomeCandidate;
        }
        // A learner, a member without suffrage, with a stuck storage or bound by a lease waits on.
        shared.election_timer.restart(shared.now);
        Next::Stay
    }
}

impl Handle<PreVote> for Follower {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: PreVote, effects: &mut Effects) -> Next {
        answer_pre_vote(shared, from, &message, shared.heard_leader_lately(), effects);
        Next::Stay
    }
}

impl Handle<RequestVote> for Follower {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: RequestVote, effects: &mut Effects) -> Next {
        answer_request_vote(shared, from, &message, effects);
        Next::Stay
    }
}

impl Handle<AppendEntries> for Follower {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: AppendEntries, effects: &mut Effects) -> Next {
        let AppendEntries { term: _, prev, entries, commit: leader_commit, round, rest, repair } = message;
        if shared.leader_of_term().is_some_and(|leader| leader != from) {
            shared.ignore(Ignored::SecondLeader);
            return Next::Stay;
        }
        let is_heartbeat = entries.is_empty();
        let fit = append::fit(shared.log(), shared.commit(), prev, entries);
        if fit.first_replaced().is_some_and(|first| first <= shared.verified()) {
            // We may have acknowledged that entry to this very leader, and the word may wait for our disk.
            shared.ignore(Ignored::RewritesOwnTerm);
            return Next::Stay;
        }
        match fit {
            Fit::ConflictsWithCommitted => shared.ignore(Ignored::ConflictsWithCommitted),
            Fit::Refused { hint } => {
                self.hear(from, shared);
                shared.reply_append(from, round, AppendOutcome::Conflict { refused: prev.index, hint }, effects);
            }
            Fit::Accepted { change, verified } => {
                self.hear(from, shared);
                repair.into_iter().for_each(|target| shared.aim_at(target));
                match change {
                    Change::Nothing => {}
                    Change::Append(entries) => shared.append(entries, effects),
                    Change::Replace(entries) => shared.replace(entries, effects),
                }
                shared.verify_through(verified);
                shared.commit_through(commit::by_leader(shared.commit(), leader_commit, verified));
                if is_heartbeat {
                    // It asks for a sign of life, not for the disk: tell what is durable already. What is committed
                    // here is in this leader's log (Leader Completeness, §5.4), even if it was another's snapshot.
                    let durable = shared.verified().max(shared.commit()).min(shared.outbox.durable());
                    // The leader knows by the match that we rest. Where groups never rest nobody watches hosts.
                    if rest && durable >= prev.index && shared.settings.rest_after().is_some() {
                        self.rests = true;
                        shared.wait_from(None);
                        shared.election_timer.postpone(shared.now, 2 * shared.settings.rest_max());
                    }
                    shared.reply_append(from, round, AppendOutcome::Matched { durable }, effects);
                } else {
                    shared.outbox.acknowledge(from, round, verified, effects);
                }
            }
        }
        Next::Stay
    }
}

impl Handle<InstallSnapshot> for Follower {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: InstallSnapshot, effects: &mut Effects) -> Next {
        let InstallSnapshot { term: _, round, snapshot } = message;
        if shared.leader_of_term().is_some_and(|leader| leader != from) {
            shared.ignore(Ignored::SecondLeader);
            return Next::Stay;
        }
        let covered = snapshot.position.index;
        match installation::need(shared.log(), shared.commit(), snapshot.position) {
            Need::ConflictsWithCommitted => shared.ignore(Ignored::ConflictsWithCommitted),
            // Our log was equal to this leader's beyond there, and a leader only appends.
            Need::Needed if covered <= shared.verified() => shared.ignore(Ignored::RewritesOwnTerm),
            Need::Needed => {
                self.hear(from, shared);
                shared.want_installed(snapshot, from, round);
            }
            Need::Covered | Need::Contained => {
                self.hear(from, shared);
                shared.verify_through(covered);
                shared.commit_through(covered);
                shared.outbox.acknowledge(from, round, covered, effects);
            }
        }
        Next::Stay
    }
}

impl Handle<PreVoteReply> for Follower {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: PreVoteReply, _: &mut Effects) -> Next {
        // Comes after we gave up or found a leader.
        shared.ignore(Ignored::UnexpectedReply);
        Next::Stay
    }
}

impl Handle<RequestVoteReply> for Follower {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: RequestVoteReply, _: &mut Effects) -> Next {
        // Comes after another won our term, or brought the term that made us follow.
        shared.ignore(Ignored::UnexpectedReply);
        Next::Stay
    }
}

impl Handle<AppendEntriesReply> for Follower {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: AppendEntriesReply, _: &mut Effects) -> Next {
        // Comes after we stepped down, or brought the term that made us do so.
        shared.ignore(Ignored::UnexpectedReply);
        Next::Stay
    }
}

impl Handle<TimeoutNow> for Follower {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, _: TimeoutNow, _: &mut Effects) -> Next {
        // Only from the leader whom it follows, and only as a voter: anybody else's word is no reason to disturb that
        // leader, and what its storage cannot make durable is no candidacy (dissertation 3.10).
        if self.leader == Some(from) && shared.may_campaign() && shared.quorum.contains(shared.id) {
            return Next::TakeOver;
        }
        shared.ignore(Ignored::UntimelyTimeoutNow);
        Next::Stay
    }
}
