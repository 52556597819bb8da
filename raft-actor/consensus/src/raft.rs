//! The one door: [`Raft::step`].

use crate::append::is_well_formed;
use crate::invariants::{self, Facts};
use crate::role::{Candidate, Follower, Leader, RoleState, Transition};
use crate::shared::Shared;
use crate::{
    AppendOutcome, ChangeState, DamageId, DirectoryId, Effect, Effects, HardState, Ignored, IgnoredCounts, Input, Log,
    LogIndex, LogPosition, Membership, MembershipRefusal, Message, NodeId, ProposalOutcome, RequestVoteReply, Role,
    Settings, SnapshotMeta, Term, Time, TransferOutcome, TransferRefusal, membership,
};

mod snapshots;
mod view;

/// How much later than ours a term may be. A message with a term further ahead
/// is dropped: terms grow by one an election, so no cluster comes near this in
/// a thousand years, and adopting the last of all terms from a broken or
/// hostile sender would leave no term to elect a leader in.
///
/// This keeps one bad message from wedging a cluster. It is no defence against
/// a member that lies for long: Raft assumes members that fail by stopping.
pub const TERM_JUMP_MAX: u64 = 1 << 40;

/// One member of one group.
#[derive(Debug, Clone)]
pub struct Raft {
    pub(crate) shared: Shared,
    pub(crate) role: RoleState,
    /// What was last told by [`Effect::RoleChanged`] (or was so at the start).
    announced: Office,
    /// The first term in which it led since it was started.
    first_led: Option<Term>,
    /// It found its own state broken and does nothing any more.
    is_halted: bool,
    /// What the last step left behind, if it need not be looked at again.
    facts: Option<Facts>,
}

/// What a member starts from. All of it is durable: reading it at start made it so.
#[derive(Debug, Clone)]
pub struct Start {
    /// This member.
    pub id: NodeId,
    /// Times and limits.
    pub settings: Settings,
    /// Term and vote as they were last persisted.
    pub hard_state: HardState,
    /// The shape of the log as it was read.
    pub log: Log,
    /// The newest durable snapshot. The log continues it ([`LogAtStart`](crate::LogAtStart)).
    pub snapshot: Option<SnapshotMeta>,
    /// What the snapshot or the state machine itself durably covers, the larger of the two; the commit index begins here.
    pub applied: LogIndex,
    /// Whether this member may vote and campaign. If not, it waits for [`Input::SuffrageGranted`].
    pub suffrage: bool,
    /// The disk that all this was read from. `None`: nobody keeps track of disks here, and none is recorded.
    pub directory: Option<DirectoryId>,
    /// Seeds the randomised timeouts; different for each member, the same for the same run.
    pub seed: u64,
    /// The present time.
    pub now: Time,
}

/// The part of the state that is announced when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Office {
    role: Role,
    term: Term,
    leader: Option<NodeId>,
    noop: Option<LogIndex>,
}

impl Raft {
    /// A member as it starts or comes back: always as a follower (§5.2).
    pub fn new(start: Start) -> Self {
        let shared = Shared::new(start);
        let office = Office { role: Role::Follower, term: shared.term(), leader: None, noop: None };
        let role = RoleState::Follower(Follower::default());
        let mut raft = Self { shared, role, announced: office, first_led: None, is_halted: false, facts: None };
        raft.announced = raft.office();
        raft
    }

    /// The only way state changes. Total: it never fails and never blocks, and
    /// the same inputs with the same seed give the same effects.
    ///
    /// `now` is read after the input was taken from its queue, never before; a
    /// clock that runs backwards is taken to stand still. Deadlines are looked
    /// at only when [`Input::Deadline`] says so: see [`Raft::next_deadline`].
    ///
    /// If this member finds its own state broken, the only effect is
    /// [`Effect::Halt`], and from then on it does nothing.
    pub fn step(&mut self, now: Time, input: Input, effects: &mut Effects) {
        if self.is_halted {
            return;
        }
        let before = self.facts.take().unwrap_or_else(|| Facts::of(self));
        let first_effect = effects.len();
        self.shared.now = self.shared.now.max(now);
        let violation = self.take(input, effects).err();
        self.finish(effects);
        let checked = match violation {
            None => invariants::check(&before, self, &effects.as_slice()[first_effect..]),
            Some(violation) => Err(violation),
        };
        // Where it matters more that nothing was changed behind our back than what that costs, they are looked at anew.
        self.facts = checked.as_ref().ok().copied().filter(|_| cfg!(not(debug_assertions)));
        if let Err(violation) = checked {
            // What a broken state wants done must not be done.
            self.is_halted = true;
            effects.truncate(first_effect);
            effects.push(Effect::Halt { violation });
        }
    }

    /// When to call `step` with [`Input::Deadline`] if nothing else happens.
    /// Each step can move it, in both directions; to come early is harmless.
    pub fn next_deadline(&self) -> Time {
        let transfer_until = self.shared.transfer.as_ref().map_or(Time::NEVER, |transfer| transfer.until);
        match &self.role {
            _ if self.is_halted => Time::NEVER,
            RoleState::Follower(_) | RoleState::Candidate(_) => {
                self.shared.election_timer.deadline().min(transfer_until)
            }
            RoleState::Leader(leader) => leader.deadline(&self.shared).min(transfer_until),
        }
    }

    /// Takes in one input. An error is a violation by our own node.
    fn take(&mut self, input: Input, effects: &mut Effects) -> Result<(), String> {
        if stirs(&input, self.id(), self.leader()) {
            self.role.stir(&mut self.shared);
        }
        let shared = &mut self.shared;
        match input {
            Input::Deadline => {
                shared.expire_transfer(effects);
                let transition = match &mut self.role {
                    RoleState::Follower(follower) => follower.on_deadline(shared).into(),
                    RoleState::Candidate(candidate) => candidate.on_deadline(shared).into(),
                    RoleState::Leader(leader) => leader.on_deadline(shared, effects).into(),
                };
                self.change_role(transition, effects);
            }
            Input::Received { from, message } => self.receive(from, message, effects),
            Input::Propose { id, commands } => match &mut self.role {
                RoleState::Leader(leader) => leader.propose(shared, id, commands, effects),
                RoleState::Follower(_) | RoleState::Candidate(_) => {
                    let outcome = ProposalOutcome::NotLeader { leader: self.leader() };
                    effects.push(Effect::Proposed { id, outcome });
                }
            },
            Input::ChangeMembership { id, membership } => match &mut self.role {
                RoleState::Leader(leader) => leader.change_membership(shared, id, membership, effects),
                RoleState::Follower(_) | RoleState::Candidate(_) => {
                    let refusal = MembershipRefusal::NotLeader { leader: self.leader() };
                    effects.push(Effect::MembershipChange { id, outcome: Err(refusal) });
                }
            },
            Input::TransferLeadership { id, to } => match &mut self.role {
                RoleState::Leader(leader) => leader.transfer_leadership(shared, id, to, effects),
                RoleState::Follower(_) | RoleState::Candidate(_) => {
                    let refusal = TransferRefusal::NotLeader { leader: self.leader() };
                    effects.push(Effect::Transfer { id, outcome: TransferOutcome::Refused(refusal) });
                }
            },
            Input::Read { id } => match &mut self.role {
                RoleState::Leader(leader) => leader.read(shared, id),
                RoleState::Follower(_) | RoleState::Candidate(_) => {
                    effects.push(Effect::ReadRefused { id, leader: self.leader() });
                }
            },
            Input::ReadByLease { id } => match &mut self.role {
                RoleState::Leader(leader) => leader.read_by_lease(shared, id, effects),
                RoleState::Follower(_) | RoleState::Candidate(_) => {
                    effects.push(Effect::ReadRefused { id, leader: self.leader() });
                }
            },
            Input::Persisted(seq) => {
                let confirmed = shared.outbox.confirm(seq, effects);
                confirmed.map_err(|never| format!("storage confirmed {seq}, ordered was {}", never.ordered))?;
                if let RoleState::Candidate(candidate) = &mut self.role {
                    let transition = candidate.on_persisted(shared).into();
                    self.change_role(transition, effects);
                }
            }
            Input::Applied(index) => {
                if index > shared.apply_ordered {
                    return Err(format!("state machine applied {index}, ordered was {}", shared.apply_ordered));
                }
                shared.applied = shared.applied.max(index);
                self.take_snapshot_if_due(effects);
            }
            Input::TakeSnapshot => self.take_snapshot(effects),
            Input::SnapshotLost => self.replace_snapshot(effects),
            Input::SnapshotTaken(snapshot) => self.snapshot_taken(snapshot, effects)?,
            Input::SnapshotFailed => shared.compaction.failed(shared.applied),
            Input::SnapshotInstalled(position) => self.snapshot_installed(position, effects)?,
            Input::Unreachable(peer) => match &mut self.role {
                RoleState::Leader(leader) => leader.unreachable(peer),
                // Left over from an office that has ended.
                RoleState::Follower(_) | RoleState::Candidate(_) => {}
            },
            Input::HungUp(host) => match &mut self.role {
                RoleState::Follower(follower) => follower.hung_up(host, shared),
                RoleState::Leader(leader) => leader.unreachable(host),
                // It looks for votes already.
                RoleState::Candidate(_) => {}
            },
            Input::HostSilent(host) => match &mut self.role {
                RoleState::Follower(follower) => follower.host_silent(host, shared),
                RoleState::Leader(leader) => leader.host_silent(host, shared),
                // It never rests.
                RoleState::Candidate(_) => {}
            },
            // That it happened is all there is to it.
            Input::Stirred => {}
            Input::Met { peer, directory } => {
                if peer != shared.id && shared.disks.meet(peer, directory) {
                    match &mut self.role {
                        RoleState::Leader(leader) => leader.met_with_another_disk(peer),
                        // What it once voted it voted as the member that it was.
                        RoleState::Follower(_) | RoleState::Candidate(_) => {}
                    }
                }
            }
            Input::SuffrageGranted => {
                if !shared.suffrage {
                    shared.suffrage = true;
                    shared.election_timer.restart(shared.now);
                    shared.wait_less_if_alone();
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, from: NodeId, message: Message, effects: &mut Effects) {
        let offered = match &message {
            Message::InstallSnapshot(install) => Some(install.snapshot.position),
            Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::RequestVote(_)
            | Message::RequestVoteReply(_)
            | Message::AppendEntries(_)
            | Message::AppendEntriesReply(_)
            | Message::TimeoutNow(_) => None,
        };
        self.receive_message(from, message, effects);
        if let Some(position) = offered
            && self.installing() != Some(position)
        {
            // Whatever the reason: it lies on the disk for nothing.
            effects.push(Effect::DropSnapshot { position });
        }
    }

    /// The rules that come before any role: what is dropped unread, and whose term counts (§5.1).
    fn receive_message(&mut self, from: NodeId, message: Message, effects: &mut Effects) {
        if let Err(reason) = self.accept(from, &message) {
            self.shared.ignore(reason);
            return;
        }
        let (theirs, ours) = (message.term(), self.shared.term());
        if theirs > ours {
            match &message {
                // A PreVote, and a granted one's echo, talk of a term that nobody is in yet (dissertation 9.6).
                Message::PreVote(_) => {}
                Message::PreVoteReply(reply) if reply.granted => {}
                // Any other message from a later term makes a follower of anybody (§5.1).
                Message::PreVoteReply(_)
                | Message::RequestVote(_)
                | Message::RequestVoteReply(_)
                | Message::AppendEntries(_)
                | Message::AppendEntriesReply(_)
                | Message::InstallSnapshot(_)
                | Message::TimeoutNow(_) => {
                    self.change_role(Transition::BecomeFollowerIn(theirs), effects);
                }
            }
        } else if theirs < ours {
            match &message {
                // These answer for themselves; a refusal carries our term.
                Message::PreVote(_) | Message::PreVoteReply(_) => {}
                // Answer with our term, so that a stale leader or candidate learns of it (§5.1).
                Message::RequestVote(_) => {
                    let reply = RequestVoteReply { term: ours, granted: false };
                    return self.shared.send(from, Message::RequestVoteReply(reply), effects);
                }
                Message::AppendEntries(append) => {
                    return self.shared.reply_append(from, append.round, AppendOutcome::Stale, effects);
                }
                Message::InstallSnapshot(install) => {
                    return self.shared.reply_append(from, install.round, AppendOutcome::Stale, effects);
                }
                Message::RequestVoteReply(_) | Message::AppendEntriesReply(_) => {
                    return self.shared.ignore(Ignored::StaleReply);
                }
                // Its sender has been replaced, perhaps by this very word.
                Message::TimeoutNow(_) => return self.shared.ignore(Ignored::UntimelyTimeoutNow),
            }
        }
        let transition = self.role.dispatch(&mut self.shared, from, message, effects);
        self.change_role(transition, effects);
    }

    /// Whether a message may have any effect at all, its term included.
    fn accept(&self, from: NodeId, message: &Message) -> Result<(), Ignored> {
        let shared = &self.shared;
        if from == shared.id {
            return Err(Ignored::FromSelf);
        }
        if message.term().get() > shared.term().get().saturating_add(TERM_JUMP_MAX) {
            return Err(Ignored::ImplausibleTerm);
        }
        let (is_sound, is_reply) = match message {
            // A candidate has no entries of the term it wants to win.
            Message::PreVote(m) => (m.last.term < m.term, false),
            Message::RequestVote(m) => (m.last.term < m.term, false),
            Message::AppendEntries(m) => (is_well_formed(m), false),
            Message::InstallSnapshot(m) => (m.snapshot.is_sound() && m.snapshot.position.term <= m.term, false),
            Message::TimeoutNow(_) => (true, false),
            Message::PreVoteReply(_) | Message::RequestVoteReply(_) | Message::AppendEntriesReply(_) => (true, true),
        };
        if !is_sound {
            return Err(Ignored::Malformed);
        }
        // Requests are taken from anybody: it may be we whose configuration lags (dissertation 4.1).
        // Replies come only from those who were asked: members, and whoever is on its way out, whose term does not count.
        let was_asked = shared.log().configuration().is_member(from)
            || (message.term() == shared.term() && self.role.takes_leave_of(from));
        if is_reply && !was_asked {
            return Err(Ignored::UnknownSender);
        }
        if is_reply && shared.is_on_another_disk(from) {
            return Err(Ignored::OtherDirectory);
        }
        match message {
            // While a leader is alive, nobody else may disturb it, except at its own word
            // (dissertation 4.2.3): not even the term counts.
            Message::RequestVote(m)
                if m.term >= shared.term() && !m.leadership_transfer && self.role.leader_alive(shared) =>
            {
                Err(Ignored::LeaderAlive)
            }
            Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::RequestVote(_)
            | Message::RequestVoteReply(_)
            | Message::AppendEntries(_)
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshot(_)
            | Message::TimeoutNow(_) => Ok(()),
        }
    }

    fn change_role(&mut self, transition: Transition, effects: &mut Effects) {
        let shared = &mut self.shared;
        match transition {
            Transition::Stay => {}
            Transition::BecomeFollower => self.become_follower(effects),
            Transition::BecomeFollowerIn(term) => {
                shared.enter_term(term);
                self.become_follower(effects);
            }
            Transition::Follow(leader, message) => {
                self.become_follower(effects);
                let next = self.role.dispatch(&mut self.shared, leader, *message, effects);
                debug_assert!(matches!(next, Transition::Stay), "a follower stays one on what a leader says");
            }
            Transition::BecomeCandidate => self.role = RoleState::Candidate(Candidate::start(shared, effects)),
            Transition::TakeOver => self.role = RoleState::Candidate(Candidate::take_over(shared, effects)),
            Transition::BecomeLeader => {
                // A transfer that an earlier office of ours has left over is decided: we lead again.
                shared.settle_transfer(Some(shared.id), effects);
                self.first_led.get_or_insert(shared.term());
                self.role = RoleState::Leader(Box::new(Leader::elected(shared, effects)));
            }
        }
    }

    fn become_follower(&mut self, effects: &mut Effects) {
        if let RoleState::Leader(leader) = &mut self.role {
            leader.step_down(effects);
            self.shared.election_timer.redraw();
            self.shared.election_timer.restart(self.shared.now);
        }
        self.role = RoleState::Follower(Follower::default());
    }

    /// What follows from any input, in the order in which it has to happen.
    fn finish(&mut self, effects: &mut Effects) {
        self.shared.end_repair();
        self.shared.outbox.flush(self.shared.now, effects);
        self.begin_installation(effects);
        if let RoleState::Leader(leader) = &mut self.role {
            let transition = leader.finish(&mut self.shared, effects).into();
            self.change_role(transition, effects);
        }
        let leader = self.leader();
        self.shared.settle_transfer(leader, effects);
        if let Some(through) = self.shared.take_applicable() {
            effects.push(Effect::Apply { through });
        }
        let office = self.office();
        if office != self.announced {
            self.announced = office;
            let Office { role, term, leader, noop } = office;
            effects.push(Effect::RoleChanged { role, term, leader, noop });
        }
    }

    fn office(&self) -> Office {
        let noop = match &self.role {
            RoleState::Leader(leader) => Some(leader.noop()),
            RoleState::Follower(_) | RoleState::Candidate(_) => None,
        };
        Office { role: self.role(), term: self.term(), leader: self.leader(), noop }
    }

    /// This member.
    pub fn id(&self) -> NodeId {
        self.shared.id
    }

    /// The current term.
    pub fn term(&self) -> Term {
        self.shared.term()
    }

    /// Whom this member voted for in the current term.
    pub fn vote(&self) -> Option<NodeId> {
        self.shared.vote()
    }

    /// The damage to its log that is not repaired yet; until then it neither votes nor campaigns nor acknowledges.
    pub fn damage(&self) -> Option<DamageId> {
        self.shared.damage()
    }

    /// Whether its votes may count: see [`Start::suffrage`] and [`Configuration::directories`](crate::Configuration).
    pub fn has_suffrage(&self) -> bool {
        self.shared.has_suffrage()
    }

    /// The role; a follower without a vote in the latest configuration is a learner.
    pub fn role(&self) -> Role {
        match &self.role {
            RoleState::Follower(_) if !self.shared.quorum.contains(self.id()) => Role::Learner,
            RoleState::Follower(_) => Role::Follower,
            RoleState::Candidate(_) => Role::Candidate,
            RoleState::Leader(_) => Role::Leader,
        }
    }

    /// The leader of the current term, if it is heard from.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            RoleState::Leader(_) => Some(self.id()),
            RoleState::Follower(follower) => follower.leader(),
            RoleState::Candidate(_) => None,
        }
    }

    /// Whether this member, if it ever led in `term`, still knows what it was asked in that office: it has not been
    /// started anew since. Whoever does not know can neither say that it did something nor that it did not.
    pub fn remembers_leading(&self, term: Term) -> bool {
        self.first_led.is_some_and(|first| first <= term)
    }

    /// To whom this leader is handing over its office (dissertation 3.10); it appends nothing while it does.
    pub fn hands_over_to(&self) -> Option<NodeId> {
        let transfer = self.shared.transfer.as_ref();
        transfer.filter(|_| matches!(self.role, RoleState::Leader(_))).map(|transfer| transfer.target)
    }

    /// Whether this member does without heartbeats because nothing happens in the group, as a leader or a follower; see
    /// [`Settings::rest_after_ms`](crate::Settings::rest_after_ms).
    pub fn rests(&self) -> bool {
        match &self.role {
            RoleState::Follower(follower) => follower.rests(),
            RoleState::Candidate(_) => false,
            RoleState::Leader(leader) => leader.rests(),
        }
    }

    /// Whether this leader will have no vote any more when the joint configuration is left in which it leads. It can
    /// leave it by itself and step down (dissertation 4.2.2), or have its office transferred to one that stays.
    pub fn is_on_its_way_out(&self) -> bool {
        let configuration = self.log().configuration();
        let leads = matches!(self.role, RoleState::Leader(_));
        leads && configuration.is_joint() && !configuration.voters.contains(&self.id())
    }

    /// Highest index known to be committed.
    pub fn commit(&self) -> LogIndex {
        self.shared.commit()
    }

    /// Highest index that the state machine has applied.
    pub fn applied(&self) -> LogIndex {
        self.shared.applied
    }

    /// Highest index of the log that is durable here.
    pub fn durable(&self) -> LogIndex {
        self.shared.outbox.durable()
    }

    /// The shape of the log, durable or not.
    pub fn log(&self) -> &Log {
        self.shared.log()
    }

    /// What has become of the change to `wanted` that began at `first`, as
    /// [`Effect::MembershipChange`] said, here or at another member.
    pub fn change_state(&self, first: LogPosition, wanted: &Membership) -> ChangeState {
        membership::state(self.log(), self.commit(), first, wanted)
    }

    /// The settings it was started with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// How many messages were dropped, and why.
    pub fn ignored(&self) -> &IgnoredCounts {
        &self.shared.ignored
    }

    /// Whether it stopped itself with [`Effect::Halt`].
    pub fn is_halted(&self) -> bool {
        self.is_halted
    }
}

/// Whether an input ends the rest of a group. What a leader says is judged by its followers, what they answer by it, and
/// who of the others is out of reach concerns it alone.
fn stirs(input: &Input, id: NodeId, leader: Option<NodeId>) -> bool {
    match input {
        Input::Received { message, .. } => match message {
            Message::AppendEntries(_) | Message::InstallSnapshot(_) | Message::AppendEntriesReply(_) => false,
            Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::RequestVote(_)
            | Message::RequestVoteReply(_)
            | Message::TimeoutNow(_) => true,
        },
        Input::Propose { .. }
        | Input::Read { .. }
        | Input::ReadByLease { .. }
        | Input::ChangeMembership { .. }
        | Input::TransferLeadership { .. }
        | Input::Stirred => true,
        Input::Unreachable(peer) | Input::HungUp(peer) => leader.is_some_and(|leader| leader == id || leader == *peer),
        Input::Deadline
        | Input::Persisted(_)
        | Input::Applied(_)
        | Input::TakeSnapshot
        | Input::SnapshotLost
        | Input::SnapshotTaken(_)
        | Input::SnapshotFailed
        | Input::SnapshotInstalled(_)
        | Input::Met { .. }
        | Input::HostSilent(_)
        | Input::SuffrageGranted => false,
    }
}

#[cfg(test)]
mod tests;
