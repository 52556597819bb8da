//! The leader takes commands, replicates them and decides what is committed (§5.3, §5.4).

use bytes::Bytes;

use super::{Handle, Transition, answer_pre_vote, answer_request_vote};
use crate::check_quorum::Rounds;
use crate::progress::{Batch, Progress, Refusal};
use crate::read_index::ReadIndex;
use crate::shared::Shared;
use crate::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Effect, Effects, Entries, Entry, Ignored, InstallSnapshot,
    LogIndex, LogPosition, Message, NodeId, Payload, PreVote, PreVoteReply, ProposalId, ProposalOutcome, ReadId,
    RepairTarget, ReplicationOrder, RequestVote, RequestVoteReply, Round, Time, TimeoutNow, commit,
};

mod farewell;
mod lease;
mod membership;
mod repair;
mod rest;
mod snapshot;
mod transfer;

use farewell::Leaving;
use rest::Rest;

/// A leader.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    /// Its first entry. Until that is committed it does not know what is (§8).
    noop: LogIndex,
    /// Everybody else in the configuration, by ascending id.
    peers: Vec<Peer>,
    /// Who was removed and may not know it yet.
    leaving: Vec<Leaving>,
    /// Whether the latest configuration waits for future voters to catch up.
    has_wish: bool,
    rounds: Rounds,
    heartbeat_at: Time,
    /// When to look next whether a quorum is still in contact.
    quorum_check_at: Time,
    reads: ReadIndex,
    /// Whether it has told anybody to campaign: that may lead to an election at any time of its office.
    has_called_election: bool,
    rest: Rest,
    /// When it last stirred from a rest, if ever.
    stirred_at: Option<Time>,
    /// Its own durable index when entries were last counted.
    counted_durable: LogIndex,
    /// Whether a peer's match has moved since entries were last counted.
    has_match_moved: bool,
}

/// Another member of the cluster.
#[derive(Debug, Clone)]
struct Peer {
    id: NodeId,
    progress: Progress,
}

/// What a leader can become.
#[derive(Debug)]
pub(crate) enum Next {
    Stay,
    /// It lost contact with its quorum, its storage is stuck, or the cluster has removed it.
    BecomeFollower,
}

impl From<Next> for Transition {
    fn from(next: Next) -> Self {
        match next {
            Next::Stay => Self::Stay,
            Next::BecomeFollower => Self::BecomeFollower,
        }
    }
}

impl Leader {
    /// Takes office in the current term with an empty entry of that term (§8).
    pub(crate) fn elected(shared: &mut Shared, effects: &mut Effects) -> Self {
        let last = shared.log().last().index;
        let peers = membership::peers(shared, Vec::new(), last, Round::ZERO);
        let leaving = farewell::inherited(shared, last);
        shared.hear_leader(shared.id);
        let position = LogPosition::new(shared.term(), last.next());
        shared.append(Entries::from_iter([Entry { position, payload: Payload::Noop }]), effects);
        Self {
            noop: position.index,
            peers,
            leaving,
            has_wish: shared.log().configuration().wish.is_some(),
            rounds: Rounds::new(&shared.settings, shared.now),
            heartbeat_at: shared.now.after(shared.settings.heartbeat()),
            quorum_check_at: shared.now.after(shared.settings.election_timeout_min()),
            reads: ReadIndex::default(),
            has_called_election: false,
            rest: Rest::Busy { since: shared.now },
            stirred_at: None,
            counted_durable: LogIndex::ZERO,
            has_match_moved: false,
        }
    }

    pub(crate) fn noop(&self) -> LogIndex {
        self.noop
    }

    /// All other members and what is known of them.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (NodeId, &Progress)> {
        self.peers.iter().map(|peer| (peer.id, &peer.progress))
    }

    fn progress(&self, id: NodeId) -> Option<&Progress> {
        self.peers.binary_search_by_key(&id, |peer| peer.id).ok().map(|at| &self.peers[at].progress)
    }

    /// What is known of anybody to whom this leader speaks: a peer, or somebody who was removed.
    fn addressee_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        match self.peers.binary_search_by_key(&id, |peer| peer.id) {
            Ok(at) => Some(&mut self.peers[at].progress),
            Err(_) => self.leaving_progress_mut(id),
        }
    }

    /// When something falls due.
    pub(crate) fn deadline(&self, shared: &Shared) -> Time {
        let stuck_at = shared.outbox.oldest_unconfirmed().map(|at| at.after(shared.settings.storage_stall_max()));
        self.heartbeat_at.min(self.quorum_check_at).min(stuck_at.unwrap_or(Time::NEVER))
    }

    pub(crate) fn on_deadline(&mut self, shared: &mut Shared, effects: &mut Effects) -> Next {
        if shared.is_storage_stuck() {
            // Its followers could commit without it, but nobody would serve or read here.
            return Next::BecomeFollower;
        }
        if shared.now >= self.quorum_check_at {
            if !self.is_in_contact(shared) {
                // It may be cut off and replaced already: stop taking commands and reads (dissertation 6.2).
                return Next::BecomeFollower;
            }
            self.quorum_check_at = self.quorum_contact(shared).after(shared.settings.election_timeout_min());
        }
        if shared.now >= self.heartbeat_at {
            self.heartbeat_at = self.heard_until(shared);
        }
        if shared.now >= self.heartbeat_at {
            self.send_heartbeats(shared, effects);
            self.tell_target(shared, effects);
            self.rest_if_all_do(shared);
        }
        Next::Stay
    }

    /// When somebody will have heard nothing of this leader for the time between two heartbeats; at once, if there is
    /// something to say that only heartbeats say. Entries are heartbeats, too (§5.2): who has echoed a round has heard it
    /// when it was sent or later, and a leader whose disk or whose followers are slow has no such echo and speaks.
    fn heard_until(&self, shared: &Shared) -> Time {
        let is_plain = self.leaving.is_empty()
            && self.reads.is_empty()
            && shared.transfer.is_none()
            && matches!(self.rest, Rest::Busy { .. })
            && self.peers.iter().all(|peer| peer.progress.repair().is_none());
        let heard_at = self.peers.iter().map(|peer| peer.progress.contact()).min().filter(|_| is_plain);
        heard_at.map_or(shared.now, |at| at.after(shared.settings.heartbeat()))
    }

    /// The latest moment by which a quorum still followed this leader.
    fn quorum_contact(&self, shared: &Shared) -> Time {
        let contact_of = |id| match self.progress(id) {
            Some(progress) => progress.contact(),
            None if id == shared.id => shared.now,
            None => Time::ZERO,
        };
        shared.quorum.reached(contact_of).unwrap_or(Time::ZERO)
    }

    /// Whether a quorum followed this leader within the minimum election timeout.
    pub(crate) fn is_in_contact(&self, shared: &Shared) -> bool {
        shared.now.since(self.quorum_contact(shared)) < shared.settings.election_timeout_min()
    }

    /// Appends commands; peers are served at the end of the step.
    pub(crate) fn propose(&mut self, shared: &mut Shared, id: ProposalId, commands: Vec<Bytes>, effects: &mut Effects) {
        if shared.transfer.is_some() {
            // The target is being brought level (dissertation 3.10).
            effects.push(Effect::Proposed { id, outcome: ProposalOutcome::HandingOver });
            return;
        }
        let last = shared.log().last().index;
        let uncommitted_bytes = shared.log().bytes_between(shared.commit(), last);
        if uncommitted_bytes > shared.settings.uncommitted_bytes_max {
            // Without a quorum nothing commits, and the log must not grow without bound.
            effects.push(Effect::Proposed { id, outcome: ProposalOutcome::Overloaded });
            return;
        }
        let first = LogPosition::new(shared.term(), last.next());
        if !commands.is_empty() {
            let position_of = |offset: u64| LogPosition::new(first.term, last.plus(offset));
            let entry = |(offset, command)| Entry { position: position_of(offset), payload: Payload::Command(command) };
            let entries = (1_u64..).zip(commands).map(entry).collect();
            shared.append(entries, effects);
        }
        effects.push(Effect::Proposed { id, outcome: ProposalOutcome::Appended { first } });
    }

    /// Takes in a read; it is answered at the end of a step.
    pub(crate) fn read(&mut self, shared: &Shared, id: ReadId) {
        // What former leaders committed lies before our no-op, whether we know of it or not.
        let index = shared.commit().max(self.noop);
        self.reads.arrived(id, index, self.rounds.last());
    }

    pub(crate) fn unreachable(&mut self, peer: NodeId) {
        let last_round = self.rounds.last();
        if let Some(progress) = self.addressee_mut(peer) {
            progress.unreachable(last_round);
        }
    }

    /// Leaves office: nothing that waits for a quorum can be answered here any more.
    pub(crate) fn step_down(&mut self, effects: &mut Effects) {
        self.reads.refuse_all().for_each(|id| effects.push(Effect::ReadRefused { id, leader: None }));
    }

    /// What follows from anything that may have happened in a step.
    pub(crate) fn finish(&mut self, shared: &mut Shared, effects: &mut Effects) -> Next {
        self.advance_commit(shared);
        self.answer_reads(shared, effects);
        self.tell_committed(shared, effects);
        let next = self.continue_change(shared, effects);
        self.replicate(shared, effects);
        if matches!(next, Next::Stay) {
            // Who has been removed hands over nothing: the others elect one of themselves.
            self.continue_transfer(shared, effects);
        }
        next
    }

    /// Counts which entries a quorum holds durably, this server's own disk included (§5.3, §5.4.2).
    fn advance_commit(&mut self, shared: &mut Shared) {
        let durable = shared.outbox.durable();
        if !self.has_match_moved && durable == self.counted_durable {
            return;
        }
        self.has_match_moved = false;
        self.counted_durable = durable;
        let matched_of = |id| match self.progress(id) {
            Some(progress) => progress.matched(),
            None if id == shared.id => durable,
            None => LogIndex::ZERO,
        };
        let replicated = shared.quorum.reached(matched_of).unwrap_or(LogIndex::ZERO);
        shared.commit_through(commit::by_counting(shared.log(), shared.term(), replicated, shared.commit()));
    }

    fn answer_reads(&mut self, shared: &mut Shared, effects: &mut Effects) {
        if self.reads.is_empty() {
            return;
        }
        let echoed_of = |id| match self.progress(id) {
            Some(progress) => progress.echoed(),
            None if id == shared.id => Round::new(u64::MAX),
            None => Round::ZERO,
        };
        let confirmed = shared.quorum.reached(echoed_of).unwrap_or(Round::ZERO);
        if shared.commit() >= self.noop {
            while let Some((id, index)) = self.reads.take_confirmed(confirmed) {
                effects.push(Effect::ReadReady { id, index });
            }
        }
        if self.reads.wants_round(confirmed) {
            self.send_heartbeats(shared, effects);
        }
    }

    /// Orders whatever fits into each peer's window, or a snapshot for who needs what is purged.
    fn replicate(&mut self, shared: &mut Shared, effects: &mut Effects) {
        let mut peers = std::mem::take(&mut self.peers);
        for Peer { id, progress } in &mut peers {
            while let Some(batch) = progress.next_batch(shared.log(), &shared.settings, shared.now) {
                let order = self.order(shared, *id, &batch);
                progress.sent(&batch, order.round, shared.now);
                effects.push(Effect::Replicate(order));
            }
            self.send_snapshot_if_wanted(shared, *id, progress, effects);
        }
        self.peers = peers;
        self.replicate_to_leaving(shared, effects);
    }

    fn order(&mut self, shared: &Shared, peer: NodeId, batch: &Batch) -> ReplicationOrder {
        ReplicationOrder {
            peer,
            term: shared.term(),
            prev: batch.prev,
            through: batch.through,
            commit: shared.commit(),
            round: self.rounds.issue(shared.now),
        }
    }

    /// Speaks to everybody, without entries (§5.2).
    fn send_heartbeats(&mut self, shared: &mut Shared, effects: &mut Effects) {
        self.heartbeat_at = shared.now.after(shared.settings.heartbeat());
        self.reads.asked(self.rounds.last().next());
        let rest = self.calls_to_rest(shared);
        for Peer { id, progress } in &mut self.peers {
            // At or below what is known to match, so that it never fails the log check: it may
            // overtake entries that are under way.
            let matched = progress.matched();
            let prev = shared.log().term_at(matched).map_or(LogPosition::ZERO, |term| LogPosition::new(term, matched));
            let about = About { rest, repair: progress.repair() };
            send_empty(&mut self.rounds, shared, *id, (prev, matched), about, effects);
        }
        self.send_farewells(shared, effects);
    }

    /// Asks a peer that answers whether what is under way to it for so long has arrived.
    fn ask_if_overdue(&mut self, shared: &mut Shared, peer: NodeId, effects: &mut Effects) {
        let now = shared.now;
        let Ok(at) = self.peers.binary_search_by_key(&peer, |peer| peer.id) else { return };
        let progress = &mut self.peers[at].progress;
        let sent_through = progress.next().prev();
        if let Some(term) = shared.log().term_at(sent_through)
            && progress.wants_to_ask(&shared.settings, now)
        {
            let prev = LogPosition::new(term, sent_through);
            progress.asked(self.rounds.last().next(), now);
            send_empty(&mut self.rounds, shared, peer, (prev, sent_through), About::default(), effects);
        }
    }
}

/// What a message without entries says beside what every AppendEntries says.
#[derive(Debug, Clone, Copy, Default)]
struct About {
    rest: bool,
    repair: Option<RepairTarget>,
}

/// Sends an AppendEntries without entries, with the commit index as far as `commit_max`.
fn send_empty(
    rounds: &mut Rounds,
    shared: &mut Shared,
    to: NodeId,
    (prev, commit_max): (LogPosition, LogIndex),
    About { rest, repair }: About,
    effects: &mut Effects,
) {
    let message = AppendEntries {
        term: shared.term(),
        prev,
        entries: Entries::new(),
        commit: shared.commit().min(commit_max),
        round: rounds.issue(shared.now),
        rest,
        repair,
    };
    shared.send(to, Message::AppendEntries(message), effects);
}

impl Handle<AppendEntriesReply> for Leader {
    type Next = Next;

    fn handle(
        &mut self,
        shared: &mut Shared,
        from: NodeId,
        message: AppendEntriesReply,
        effects: &mut Effects,
    ) -> Next {
        let AppendEntriesReply { term: _, round, outcome, damage } = message;
        let (now, last_round, last) = (shared.now, self.rounds.last(), shared.log().last().index);
        let sent_at = self.rounds.sent_at(round);
        let Some(progress) = self.addressee_mut(from) else {
            shared.ignore(Ignored::UnknownSender);
            return Next::Stay;
        };
        let is_beyond = match outcome {
            AppendOutcome::Matched { durable } => durable > last,
            AppendOutcome::Conflict { refused, .. } => refused > last,
            AppendOutcome::Stale => false,
        };
        if is_beyond || round > last_round || round == Round::ZERO {
            shared.ignore(Ignored::BeyondSent);
            return Next::Stay;
        }
        if !progress.was_asked(round) {
            // From before it was removed and added again, perhaps with another disk.
            shared.ignore(Ignored::UnexpectedReply);
            return Next::Stay;
        }
        self.hear_of_damage(from, damage, outcome, shared);
        let Some(progress) = self.addressee_mut(from) else { return Next::Stay };
        match outcome {
            AppendOutcome::Matched { durable } => {
                progress.heard(round, sent_at, now);
                let has_moved = progress.acknowledged(durable, round, last_round, shared.log(), now);
                self.has_match_moved |= has_moved;
                self.let_go(from, durable, round);
            }
            AppendOutcome::Conflict { refused, hint } if hint.index < refused => {
                progress.heard(round, sent_at, now);
                if progress.refused(refused, hint, round, last_round, shared.log()) == Refusal::Late {
                    shared.ignore(Ignored::UnexpectedReply);
                }
            }
            // Nobody can find our term stale and be in it.
            AppendOutcome::Conflict { .. } | AppendOutcome::Stale => shared.ignore(Ignored::Malformed),
        }
        self.ask_if_overdue(shared, from, effects);
        self.rest_if_all_do(shared);
        Next::Stay
    }
}

impl Handle<PreVote> for Leader {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: PreVote, effects: &mut Effects) -> Next {
        answer_pre_vote(shared, from, &message, self.is_alive(shared), effects);
        Next::Stay
    }
}

impl Handle<RequestVote> for Leader {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, from: NodeId, message: RequestVote, effects: &mut Effects) -> Next {
        // Of our own term, in which we voted for ourselves: refused.
        answer_request_vote(shared, from, &message, effects);
        Next::Stay
    }
}

impl Handle<AppendEntries> for Leader {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: AppendEntries, _: &mut Effects) -> Next {
        // A term has one leader (Election Safety, §5.2), and this is it.
        shared.ignore(Ignored::SecondLeader);
        Next::Stay
    }
}

impl Handle<InstallSnapshot> for Leader {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: InstallSnapshot, _: &mut Effects) -> Next {
        // A term has one leader (Election Safety, §5.2), and this is it.
        shared.ignore(Ignored::SecondLeader);
        Next::Stay
    }
}

impl Handle<PreVoteReply> for Leader {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: PreVoteReply, _: &mut Effects) -> Next {
        // The election is over.
        shared.ignore(Ignored::UnexpectedReply);
        Next::Stay
    }
}

impl Handle<RequestVoteReply> for Leader {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: RequestVoteReply, _: &mut Effects) -> Next {
        // The election is over: a majority sufficed.
        shared.ignore(Ignored::UnexpectedReply);
        Next::Stay
    }
}

impl Handle<TimeoutNow> for Leader {
    type Next = Next;

    fn handle(&mut self, shared: &mut Shared, _: NodeId, _: TimeoutNow, _: &mut Effects) -> Next {
        // A term has one leader, and this is it: nobody else can have told it.
        shared.ignore(Ignored::UntimelyTimeoutNow);
        Next::Stay
    }
}
