//! What all roles of a member share. Only here do term, vote, log and commit index change.

use std::time::Duration;

use crate::compaction::Compaction;
use crate::disks::Disks;
use crate::election::{ElectionTimer, Voter};
use crate::installation::Installation;
use crate::outbox::Outbox;
use crate::quorum::Quorum;
use crate::transfer::Transfer;
use crate::{
    AppendEntriesReply, AppendOutcome, Configuration, DamageId, Effects, Entries, HardState, Ignored, IgnoredCounts,
    Log, LogIndex, LogWrite, Message, NodeId, RepairTarget, Round, Settings, SnapshotMeta, Start, Term, Time,
    TransferOutcome, commit, repair,
};

/// The state of a member that outlives its roles.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) id: NodeId,
    pub(crate) settings: Settings,
    /// The time of this step; never falls.
    pub(crate) now: Time,
    /// Whether this member may vote and campaign at all.
    pub(crate) suffrage: bool,
    /// With which disks the others were met, and which one this member has.
    pub(crate) disks: Disks,
    /// The voters of the latest configuration in the log.
    pub(crate) quorum: Quorum,
    pub(crate) election_timer: ElectionTimer,
    pub(crate) ignored: IgnoredCounts,
    /// Term and vote, what of them and of the log is durable, and what waits for it.
    pub(crate) outbox: Outbox,
    /// Highest index that the state machine was told to apply.
    pub(crate) apply_ordered: LogIndex,
    /// Highest index that the state machine has applied.
    pub(crate) applied: LogIndex,
    /// The leadership that is being handed over, or was and is not known to have arrived.
    pub(crate) transfer: Option<Transfer>,
    /// The snapshots of this member, and when the next one is due.
    pub(crate) compaction: Compaction,
    /// The snapshot of a leader that is being installed. Nothing is applied meanwhile.
    pub(crate) installation: Option<Installation>,
    log: Log,
    commit: LogIndex,
    /// Who leads the current term as far as this member saw; kept also while it
    /// campaigns, so that a second leader of one term is noticed.
    leader_of_term: Option<NodeId>,
    /// The log is known to equal the log of this term's leader through here. A leader only appends
    /// (Figure 3), so while the term lasts this only grows, and what lies at or below it stays.
    verified: LogIndex,
    /// What makes a damaged member whole again, by this term's leader; see `repair`.
    repair_target: Option<LogIndex>,
    /// When it last heard from that leader.
    leader_heard: Option<Time>,
    /// Since when it waits for the next word of a leader whom it follows; `None` if it waits for none.
    waits_since: Option<Time>,
    /// The longest that it has waited so, since it was started.
    longest_silence: Duration,
    /// When it last heard from a leader of whatever term, or started: a lease may count from then (dissertation 6.4.1).
    promised_at: Time,
}

impl Shared {
    pub(crate) fn new(mut start: Start) -> Self {
        if let Some(snapshot) = &start.snapshot {
            start.log.learn_configuration(snapshot);
        }
        let compaction = Compaction::new(start.snapshot);
        let quorum = Quorum::of(start.log.configuration());
        let election_timer = ElectionTimer::new(start.seed, &start.settings, start.now);
        // What a snapshot covers was committed.
        let commit = start.applied.max(start.log.base().index).max(compaction.covered().index);
        let mut shared = Self {
            id: start.id,
            settings: start.settings,
            now: start.now,
            suffrage: start.suffrage,
            disks: Disks::new(start.id, start.directory),
            quorum,
            election_timer,
            ignored: IgnoredCounts::default(),
            outbox: Outbox::new(start.hard_state, start.log.last().index),
            apply_ordered: commit,
            applied: commit,
            transfer: None,
            compaction,
            installation: None,
            log: start.log,
            commit,
            leader_of_term: None,
            verified: LogIndex::ZERO,
            repair_target: None,
            leader_heard: None,
            waits_since: None,
            longest_silence: Duration::ZERO,
            // Whom it heard before it started it does not know.
            promised_at: start.now,
        };
        shared.wait_less_if_alone();
        shared
    }

    /// A member that decides alone has nobody to wait for.
    pub(crate) fn wait_less_if_alone(&mut self) {
        if self.has_suffrage() && self.quorum.is_only(self.id) {
            self.election_timer.expire(self.now);
        }
    }

    /// Whether its votes may count: it was granted the right to, and has not lost the disk that it had it with.
    pub(crate) fn has_suffrage(&self) -> bool {
        self.suffrage && !self.is_on_another_disk(self.id)
    }

    /// Whether a server has another disk than the latest configuration says.
    pub(crate) fn is_on_another_disk(&self, id: NodeId) -> bool {
        self.disks.is_other(id, self.log.configuration())
    }

    pub(crate) fn term(&self) -> Term {
        self.outbox.hard_state().term
    }

    pub(crate) fn vote(&self) -> Option<NodeId> {
        self.outbox.hard_state().vote
    }

    /// What was lost of the log and is not known to be back.
    pub(crate) fn damage(&self) -> Option<DamageId> {
        self.outbox.hard_state().damage
    }

    /// The leader of this term says what makes this member whole.
    pub(crate) fn aim_at(&mut self, target: RepairTarget) {
        // Not of an earlier damage: what was acknowledged since may be lost as well.
        if self.damage() == Some(target.damage) {
            self.repair_target = Some(target.through);
        }
    }

    /// Takes the mark of the damage away once this member is whole, durably, before anything else that it says.
    pub(crate) fn end_repair(&mut self) {
        if self.damage().is_some() && repair::is_whole(self.repair_target, self.verified, self.outbox.durable()) {
            self.outbox.set_hard_state(HardState { damage: None, ..self.outbox.hard_state() });
            self.repair_target = None;
            self.election_timer.restart(self.now);
        }
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn commit(&self) -> LogIndex {
        self.commit
    }

    pub(crate) fn leader_of_term(&self) -> Option<NodeId> {
        self.leader_of_term
    }

    pub(crate) fn verified(&self) -> LogIndex {
        self.verified
    }

    /// Notes that the log equals that of this term's leader through `index`.
    pub(crate) fn verify_through(&mut self, index: LogIndex) {
        self.verified = self.verified.max(index);
    }

    /// Enters a later term, in which it has not voted yet (§5.1).
    pub(crate) fn enter_term(&mut self, term: Term) {
        assert!(term > self.term(), "a term never falls: {term} after {}", self.term());
        // What was lost stays lost in every term.
        self.outbox.set_hard_state(HardState { term, vote: None, damage: self.damage() });
        self.leader_of_term = None;
        self.verified = LogIndex::ZERO;
        // It was said of another leader's log, from which ours may yet be cut.
        self.repair_target = None;
        self.leader_heard = None;
        self.wait_from(None);
        self.election_timer.redraw();
    }

    /// Votes in the current term, for one candidate only (§5.2).
    pub(crate) fn vote_for(&mut self, candidate: NodeId) {
        let HardState { term, vote, damage } = self.outbox.hard_state();
        match vote {
            Some(vote) => assert_eq!(vote, candidate, "one vote in term {term}"),
            None => self.outbox.set_hard_state(HardState { term, vote: Some(candidate), damage }),
        }
    }

    /// Notes a sign of life from the leader of the current term (possibly this member itself).
    pub(crate) fn hear_leader(&mut self, leader: NodeId) {
        assert!(self.leader_of_term.is_none_or(|known| known == leader), "a term has one leader");
        self.leader_of_term = Some(leader);
        self.leader_heard = Some(self.now);
        self.promised_at = self.now;
        self.wait_from((leader != self.id).then_some(self.now));
        self.election_timer.restart(self.now);
    }

    /// A wait for the leader's word is over; notes how long it was, and from when on the next one is awaited.
    pub(crate) fn wait_from(&mut self, time: Option<Time>) {
        if let Some(since) = std::mem::replace(&mut self.waits_since, time) {
            self.longest_silence = self.longest_silence.max(self.now.since(since));
        }
    }

    pub(crate) fn longest_silence(&self) -> Duration {
        self.longest_silence
    }

    /// The leader is silent, and so is its host. When this member itself has heard it last still counts: its word not to
    /// help anybody else, on which a lease may rest, holds as long as ever (dissertation 6.4.1), and so long it does not
    /// campaign either.
    pub(crate) fn lose_leader(&mut self) {
        self.election_timer.restart_late(self.now, self.leader_heard.unwrap_or(Time::ZERO));
    }

    /// The leader has hung up: it does not count as heard any more, and this member campaigns soon, unless another is
    /// quicker. Where a lease may rest on its word, that holds as long as ever (dissertation 6.4.1).
    pub(crate) fn miss_leader(&mut self) {
        if self.log.configuration().lease_reads.is_some() {
            return self.lose_leader();
        }
        let Configuration { voters, voters_outgoing, .. } = self.log.configuration();
        let is_earlier = |voter: &&NodeId| **voter < self.id && Some(**voter) != self.leader_of_term;
        let turn = voters.union(voters_outgoing).filter(is_earlier).count();
        self.leader_heard = None;
        self.election_timer.expire_soon(self.now, u32::try_from(turn).unwrap_or(u32::MAX));
    }

    /// Whether the leader was heard within the minimum election timeout (dissertation 4.2.3), or one may have a lease.
    pub(crate) fn heard_leader_lately(&self) -> bool {
        let is_recent = |heard| self.now.since(heard) < self.settings.election_timeout_min();
        self.leader_heard.is_some_and(is_recent) || self.withholds_vote()
    }

    /// Whether a leader may count on this member not to help elect another one (dissertation 6.4.1). Not even itself,
    /// and whatever terms it has entered since: the leader need not have heard of them.
    pub(crate) fn withholds_vote(&self) -> bool {
        let lease_reads = self.log.configuration().lease_reads;
        lease_reads.is_some_and(|lease_reads| self.now.since(self.promised_at) < lease_reads.promise())
    }

    /// How old the oldest unconfirmed write is.
    fn storage_delay(&self) -> Duration {
        self.outbox.oldest_unconfirmed().map_or(Duration::ZERO, |ordered_at| self.now.since(ordered_at))
    }

    /// Whether the storage has kept us waiting for too long to be trusted with an office.
    pub(crate) fn is_storage_stuck(&self) -> bool {
        self.storage_delay() >= self.settings.storage_stall_max()
    }

    /// What decides how this member votes; its role knows whether a leader is alive.
    pub(crate) fn voter(&self, leader_alive: bool) -> Voter {
        Voter {
            term: self.term(),
            vote: self.vote(),
            last: self.log.last(),
            // A learner does vote: it may not know yet that it was promoted. A server without any
            // configuration does not: it knows nothing of the cluster.
            may_vote: self.has_suffrage()
                && !self.quorum.is_empty()
                && !self.is_storage_stuck()
                && repair::may_vote(self.damage()),
            leader_alive,
        }
    }

    /// Whether this member may start an election.
    pub(crate) fn may_campaign(&self) -> bool {
        self.has_suffrage()
            && !self.quorum.is_empty()
            && !self.is_storage_stuck()
            && repair::may_vote(self.damage())
            && self.log.may_be_voter(self.id, self.commit)
            // The last of all terms has no successor to campaign in.
            && self.term().next() > self.term()
    }

    /// Whether this member may start an election now, unless its leader tells it to.
    pub(crate) fn may_campaign_now(&self) -> bool {
        self.may_campaign() && !self.withholds_vote()
    }

    /// Adds entries of this member's own making behind the last one.
    pub(crate) fn append(&mut self, entries: Entries, effects: &mut Effects) {
        self.log.append(&entries);
        self.outbox.write_log(self.now, LogWrite::Append(entries), effects);
        self.follow_configuration();
    }

    /// Removes everything from the first of `entries` on, then adds them (§5.3).
    pub(crate) fn replace(&mut self, entries: Entries, effects: &mut Effects) {
        let first = entries.first_index().expect("a replacement is never empty");
        assert!(first > self.commit, "entry {first} is committed (through {})", self.commit);
        self.log.truncate_after(first.prev());
        self.log.append(&entries);
        self.outbox.write_log(self.now, LogWrite::Replace(entries), effects);
        self.follow_configuration();
    }

    /// Purges the log through `through`, if it begins before.
    pub(crate) fn purge(&mut self, through: LogIndex, effects: &mut Effects) {
        let covered = self.compaction.covered().index;
        assert!(through <= covered, "cannot purge {through}: the snapshot ends at {covered}");
        if through > self.log.base().index {
            self.log.purge(through);
            self.outbox.write_log(self.now, LogWrite::Purge { through }, effects);
        }
    }

    /// A snapshot of the leader of this term arrived, which says what our log does not: it will be installed.
    pub(crate) fn want_installed(&mut self, snapshot: SnapshotMeta, leader: NodeId, round: Round) {
        let term = self.term();
        match &mut self.installation {
            Some(under_way) if under_way.snapshot.position == snapshot.position => {
                (under_way.leader, under_way.term, under_way.round) = (leader, term, round);
            }
            // One at a time: the leader learns from the next reply how far we have come, and sends on from there.
            Some(_) => {}
            None => self.installation = Some(Installation { snapshot, leader, term, round, is_ordered: false }),
        }
    }

    /// The state machine now is what `snapshot` says, which is durable (Figure 13).
    pub(crate) fn install(&mut self, snapshot: SnapshotMeta, effects: &mut Effects) {
        let position = snapshot.position;
        if !self.log.contains(position) {
            // "Discard the entire log" (Figure 13, InstallSnapshot rule 7): what we have there and behind it is another
            // history (Log Matching, §5.3), or there is a gap. If our log has got so far meanwhile, it is kept (rule 6).
            self.log = Log::after(&snapshot);
            self.outbox.write_log(self.now, LogWrite::Reset { to: position }, effects);
            // "... and load snapshot's cluster configuration" (rule 8).
            self.follow_configuration();
        }
        // What a snapshot covers was committed, and is at every leader of this or a later term (Leader Completeness).
        self.commit_through(position.index);
        self.verify_through(position.index);
        self.applied = self.applied.max(position.index);
        self.apply_ordered = self.apply_ordered.max(position.index);
        self.compaction.learn(snapshot);
    }

    /// A server always uses the latest configuration in its log, committed or not (§6).
    fn follow_configuration(&mut self) {
        let configuration = self.log.configuration();
        if !self.quorum.is_of(configuration) {
            self.quorum = Quorum::of(configuration);
        }
    }

    /// Moves the commit index up to `index`, or leaves it.
    pub(crate) fn commit_through(&mut self, index: LogIndex) {
        self.commit = self.commit.max(index);
    }

    /// How far the state machine may apply now, if that is further than it was told.
    pub(crate) fn take_applicable(&mut self) -> Option<LogIndex> {
        let through = commit::applicable(self.commit, self.outbox.durable());
        (through > self.apply_ordered && self.installation.is_none()).then(|| {
            self.apply_ordered = through;
            through
        })
    }

    /// Answers a transfer of leadership that has led to another term, or that failed to: `leader` leads now.
    pub(crate) fn settle_transfer(&mut self, leader: Option<NodeId>, effects: &mut Effects) {
        let term = self.term();
        if let Some(leader) = leader
            && let Some(transfer) = self.transfer.take_if(|transfer| transfer.term < term)
        {
            let outcome = transfer.outcome_under(leader, term);
            transfer.end(outcome, effects);
        }
    }

    /// Gives up a transfer of leadership whose time is over (dissertation 3.10).
    pub(crate) fn expire_transfer(&mut self, effects: &mut Effects) {
        let now = self.now;
        if let Some(transfer) = self.transfer.take_if(|transfer| now >= transfer.until) {
            transfer.end(TransferOutcome::TimedOut, effects);
        }
    }

    pub(crate) fn send(&mut self, to: NodeId, message: Message, effects: &mut Effects) {
        self.outbox.send(to, message, effects);
    }

    pub(crate) fn reply_append(&mut self, to: NodeId, round: Round, outcome: AppendOutcome, effects: &mut Effects) {
        let reply = AppendEntriesReply { term: self.term(), round, outcome, damage: self.damage() };
        self.send(to, Message::AppendEntriesReply(reply), effects);
    }

    pub(crate) fn ignore(&mut self, reason: Ignored) {
        self.ignored.add(reason);
    }
}
