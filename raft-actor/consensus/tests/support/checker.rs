//! The second opinion: the properties of Raft (Figure 3) and what must hold
//! for durability, judged from outside, sharing no code with the core.

use std::collections::{BTreeMap, BTreeSet};

use raft_consensus::notation::Moment;
use raft_consensus::{
    AppendOutcome, Effect, Entry, LogIndex, LogPosition, LogWrite, Message, NodeId, Payload, ReadId, Role, Status, Term,
};

use super::member::Member;
use super::snapshots::Snapshot;

/// All members by id.
pub type Members = BTreeMap<NodeId, Member>;

/// `Err` with the sentence that was found broken.
pub type Verdict = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

mod leases;
pub(super) mod membership;
mod snapshots;
mod transfer;

#[derive(Debug, Clone, Copy)]
struct Committed {
    position: LogPosition,
    /// The term in which it was committed, which can be later than its own.
    in_term: Term,
}

/// What has been seen of a cluster so far.
#[derive(Debug, Default)]
pub struct Checker {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(Term, NodeId), NodeId>,
    /// Every entry ever written, with the one before it.
    written: BTreeMap<LogPosition, (Payload, LogPosition)>,
    committed: Vec<Committed>,
    applied: Vec<Entry>,
    /// Where the log of each running member ends.
    ends: BTreeMap<NodeId, LogPosition>,
    reads: BTreeMap<ReadId, LogIndex>,
    running: BTreeMap<NodeId, Status>,
    /// Every snapshot that any machine has ever made.
    snapshots: BTreeMap<LogPosition, Snapshot>,
    /// The last snapshot that was sent, by whom to whom.
    sent_snapshots: BTreeMap<(NodeId, NodeId), LogPosition>,
    transfers: transfer::Transfers,
    leases: leases::Leases,
}

impl Checker {
    /// How much of the log is committed, as far as any member has ever known.
    pub fn committed(&self) -> LogIndex {
        self.committed.last().map_or(LogIndex::ZERO, |committed| committed.position.index)
    }

    fn committed_at(&self, index: LogIndex) -> Option<Committed> {
        usize::try_from(index.prev().get()).ok().and_then(|place| self.committed.get(place)).copied()
    }

    /// Everything any state machine has ever applied.
    pub fn applied(&self) -> &[Entry] {
        &self.applied
    }

    /// Every term that has had a leader.
    pub fn leaders(&self) -> &BTreeMap<Term, NodeId> {
        &self.leaders
    }

    /// A member starts, with what is on its disk.
    pub fn started(&mut self, member: &Member) -> Verdict {
        let status = member.status();
        let durable = member.durable();
        ensure!(status.role != Role::Leader, "n{} leads from its start on (§5.2)", status.id);
        ensure!(status.term == member.disk.durable().hard_state.term, "n{} forgot its term", status.id);
        ensure!(status.last == durable.last(), "n{} forgot entries: it starts at {}", status.id, status.last);
        ensure!(status.applied == member.machine.applied(), "n{} starts with a wrong applied index", status.id);
        let all: Vec<Entry> = durable.iter().cloned().collect();
        self.remember_entries(&all, LogPosition::ZERO)?;
        self.ends.insert(status.id, durable.last());
        self.running.insert(status.id, status);
        Ok(())
    }

    /// A member died.
    pub fn crashed(&mut self, id: NodeId) {
        self.running.remove(&id);
        self.forget_transfers(id);
    }

    /// A read begins: what is committed now it must see.
    pub fn read_begins(&mut self, id: ReadId) {
        self.reads.insert(id, self.committed());
    }

    /// What a running member was after its last step.
    pub fn before(&self, id: NodeId) -> Moment {
        Moment::from(&self.running[&id])
    }

    /// A member took one step.
    pub fn stepped(&mut self, members: &Members, after: &Status, effects: &[Effect]) -> Verdict {
        let before = self.running.insert(after.id, after.clone()).ok_or("a dead member took a step")?;
        let by_lease = self.leases.take();
        self.check_progress(&members[&after.id], &before, after)?;
        if after.role == Role::Leader {
            self.check_leader(members, &before, after)?;
        }
        for effect in effects {
            self.check_effect(members, &before, after, effect)?;
            if matches!(effect, Effect::ReadReady { id, .. } if Some(*id) == by_lease) {
                self.served_at_once(after)?;
            }
        }
        self.check_commit(members, &before, after)
    }

    /// What never goes back, and what never overtakes what.
    fn check_progress(&self, member: &Member, before: &Status, after: &Status) -> Verdict {
        let id = after.id;
        ensure!(after.term >= before.term, "the term of n{id} falls from {} to {}", before.term, after.term);
        ensure!(after.commit >= before.commit, "the commit index of n{id} falls below {}", before.commit);
        ensure!(after.applied >= before.applied, "the applied index of n{id} falls below {}", before.applied);
        ensure!(after.applied <= after.commit, "n{id} applied {} beyond commit {}", after.applied, after.commit);
        ensure!(after.commit <= after.last.index, "n{id} commits {} beyond its log {}", after.commit, after.last);
        let durable = member.history().position_at(after.durable);
        // A snapshot that is stored and not installed yet may already have done away with what is not committed.
        let is_on_disk = |position| member.durable().contains(position) || member.disk.durable().contains(position);
        let holds = durable.is_some_and(is_on_disk);
        ensure!(holds, "n{id} believes that its log is durable up to {}: it is not", after.durable);
        self.check_snapshot(member, before, after)
    }

    fn check_effect(&mut self, members: &Members, before: &Status, after: &Status, effect: &Effect) -> Verdict {
        let id = after.id;
        match effect {
            Effect::Persist { log: Some(write), .. } => {
                self.check_change(members, before, after, write)?;
                self.check_write(members, before, after, write)
            }
            Effect::Persist { log: None, .. } => Ok(()),
            Effect::Send { to, message } => self.message_leaves(members, id, *to, message),
            Effect::Replicate(order) => {
                let log = members[&id].history();
                ensure!(order.through.index > order.prev.index, "n{id} orders the empty range after {}", order.prev);
                ensure!(log.contains(order.prev), "n{id} orders a send behind {}, which it lacks", order.prev);
                ensure!(log.contains(order.through), "n{id} orders a send of {}, which it lacks", order.through);
                ensure!(order.term == after.term, "n{id} orders a send in term {}", order.term);
                ensure!(order.commit <= after.commit, "n{id} announces commit {}", order.commit);
                Ok(())
            }
            Effect::Apply { through } => {
                ensure!(*through <= after.commit, "n{id} applies {through} beyond commit {}", after.commit);
                ensure!(
                    *through <= members[&id].durable().last().index,
                    "n{id} applies {through}, which is not durable there"
                );
                Ok(())
            }
            Effect::ReadReady { id: read, index } => {
                let least = self.reads.remove(read).ok_or("a read was answered twice")?;
                ensure!(*index >= least, "read {} is served at {index}, {least} was committed before", read.0);
                Ok(())
            }
            Effect::ReadRefused { id: read, .. } => {
                self.reads.remove(read).ok_or("a read was answered twice")?;
                Ok(())
            }
            Effect::Transfer { id: transfer, .. } => self.transfer_ends(*transfer),
            Effect::SendSnapshot(order) => self.check_snapshot_order(members, before, after, order),
            Effect::InstallSnapshot(snapshot) => self.check_installation(members, after, snapshot),
            Effect::TakeSnapshot
            | Effect::DropSnapshot { .. }
            | Effect::Proposed { .. }
            | Effect::MembershipChange { .. }
            | Effect::RoleChanged { .. }
            | Effect::Halt { .. } => Ok(()),
        }
    }

    /// Leader Append-Only, Log Matching, and that nothing committed is taken away.
    fn check_write(&mut self, members: &Members, before: &Status, after: &Status, write: &LogWrite) -> Verdict {
        let leads_on = before.role == Role::Leader && after.role == Role::Leader && before.term == after.term;
        let entries = match write {
            LogWrite::Append(entries) => {
                if leads_on {
                    self.check_appends_nothing(after.id, after.term)?;
                }
                entries
            }
            LogWrite::Replace(entries) => {
                ensure!(!leads_on, "leader n{} replaces entries of its own log", after.id);
                entries
            }
            LogWrite::Reset { to } => return self.check_reset(members, after, *to),
            LogWrite::Purge { through } => return self.check_purge(members, after, *through),
        };
        let first = entries.first().ok_or("an empty write")?.position.index;
        let mut prev = self.ends[&after.id];
        while prev.index >= first {
            // A leader older than the one that committed it may still undo a copy that never counted.
            let counts = |committed: Committed| committed.position == prev && after.term >= committed.in_term;
            let removed = self.committed_at(prev.index).is_some_and(counts);
            let kept = entries.iter().any(|entry| entry.position == prev);
            ensure!(!removed || kept, "n{}@{} removes the committed {prev}", after.id, after.term);
            prev = self.written.get(&prev).ok_or("a log holds an entry nobody wrote")?.1;
        }
        ensure!(prev.index.next() == first, "n{} writes {first} behind {prev}", after.id);
        let all: Vec<Entry> = entries.iter().cloned().collect();
        self.ends.insert(after.id, entries.last_position().unwrap_or(prev));
        self.remember_entries(&all, prev)
    }

    /// Log Matching (§5.3): term and index name one entry and, through the one before it, the whole log up to it.
    fn remember_entries(&mut self, entries: &[Entry], mut prev: LogPosition) -> Verdict {
        for Entry { position, payload } in entries {
            let known = self.written.entry(*position).or_insert_with(|| (payload.clone(), prev));
            ensure!(known.0 == *payload, "two different entries at {position}: {:?} and {payload:?}", known.0);
            ensure!(known.1 == prev, "{position} follows {} in one log and {prev} in another", known.1);
            prev = *position;
        }
        Ok(())
    }

    /// Persist before reply, one vote in a term, and that a claimed match is one.
    pub fn message_leaves(&mut self, members: &Members, from: NodeId, to: NodeId, message: &Message) -> Verdict {
        let sender = &members[&from];
        let durable = sender.disk.durable();
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
        let is_marked = durable.hard_state.damage.is_some();
        ensure!(durable.hard_state.term >= spoken, "n{from} says {message:?}, and term {term} is not durable");
        match message {
            Message::RequestVote(request) => {
                self.check_campaign(from, request)?;
                self.vote(sender, term, from)
            }
            Message::TimeoutNow(_) => self.check_timeout_now(members, from, to, term),
            Message::RequestVoteReply(reply) if reply.granted => self.vote(sender, term, to),
            Message::AppendEntriesReply(reply) if is_marked && reply.damage.is_none() => {
                Err(format!("n{from} has lost something of its log and acknowledges: {reply:?}"))
            }
            Message::PreVoteReply(reply) if is_marked && reply.granted => {
                Err(format!("n{from} has lost something of its log and grants a pre-vote"))
            }
            Message::PreVote(_) if is_marked => Err(format!("n{from} has lost something of its log and campaigns")),
            Message::AppendEntriesReply(reply) => match reply.outcome {
                AppendOutcome::Matched { durable: claimed } => self.check_match(members, from, term, claimed),
                AppendOutcome::Conflict { .. } | AppendOutcome::Stale => Ok(()),
            },
            Message::AppendEntries(_) => {
                ensure!(self.leaders.get(&term) == Some(&from), "n{from} sends AppendEntries in term {term}");
                Ok(())
            }
            Message::InstallSnapshot(_) => Err(format!("n{from} sends InstallSnapshot, which no core does")),
            Message::PreVote(_) | Message::PreVoteReply(_) | Message::RequestVoteReply(_) => Ok(()),
        }
    }

    fn vote(&mut self, voter: &Member, term: Term, candidate: NodeId) -> Verdict {
        let first = *self.votes.entry((term, voter.id)).or_insert(candidate);
        ensure!(first == candidate, "n{} votes for n{first} and for n{candidate} in term {term}", voter.id);
        let durable = voter.disk.durable().hard_state;
        ensure!(durable.damage.is_none(), "n{} has lost something of its log and votes for n{candidate}", voter.id);
        let holds = durable.term > term || durable.vote == Some(candidate);
        ensure!(holds, "the vote of n{} for n{candidate} in term {term} left before it was durable", voter.id);
        Ok(())
    }

    /// A follower's claim: its durable log equals the leader's up to there.
    fn check_match(&self, members: &Members, from: NodeId, term: Term, claimed: LogIndex) -> Verdict {
        let here = members[&from].durable().position_at(claimed);
        ensure!(here.is_some(), "n{from} claims {claimed} durable, its disk does not hold it");
        let leader = self.leaders.get(&term).and_then(|id| members.get(id));
        if let Some(leader) = leader.filter(|leader| leader.is_up())
            && let Some(status) = self.running.get(&leader.id)
            && status.role == Role::Leader
            && status.term == term
        {
            let there = leader.history().position_at(claimed);
            ensure!(here == there, "n{from} claims a match at {claimed}: {here:?}, the leader has {there:?}");
        }
        Ok(())
    }

    /// Election Safety and Leader Completeness (§5.2, §5.4).
    fn check_leader(&mut self, members: &Members, before: &Status, after: &Status) -> Verdict {
        let (id, term) = (after.id, after.term);
        let first = *self.leaders.entry(term).or_insert(id);
        ensure!(first == id, "n{first} and n{id} both lead term {term}");
        self.check_leads_on(members, after)?;
        if before.role == Role::Leader && before.term == term {
            return Ok(());
        }
        self.check_elected(members, after)?;
        let log = members[&id].history();
        for committed in self.committed.iter().filter(|committed| committed.in_term < term) {
            ensure!(log.contains(committed.position), "leader n{id}@{term} lacks the committed {}", committed.position);
        }
        Ok(())
    }

    /// What is committed is the same everywhere, for ever, and durable on a majority when it becomes so.
    fn check_commit(&mut self, members: &Members, before: &Status, after: &Status) -> Verdict {
        if after.commit == before.commit {
            return Ok(());
        }
        let log = members[&after.id].history();
        let known = self.committed();
        for entry in log.range(before.commit, after.commit.min(known)) {
            let known = self.committed_at(entry.position.index).map(|committed| committed.position);
            ensure!(known == Some(entry.position), "n{} commits {} where {known:?} is", after.id, entry.position);
        }
        if after.commit <= known {
            return Ok(());
        }
        // A leader that was removed steps down with the very step that commits its removal.
        let led = before.role == Role::Leader && before.term == after.term;
        let leads = after.role == Role::Leader || led;
        ensure!(leads, "n{} is the first to commit {}, but no leader", after.id, after.commit);
        let newest = log.position_at(after.commit).ok_or("a commit beyond the log")?;
        ensure!(newest.term == after.term, "n{}@{} commits {newest} by counting (§5.4.2)", after.id, after.term);
        // A step that commits may also append the next configuration, which then counts for what follows.
        let configuration = if led { &before.configuration } else { &after.configuration };
        for set in configuration.voter_sets() {
            // A copy on a disk that has lost something does not count, whatever is there again.
            let counts = |m: &Member| m.durable().contains(newest) && m.disk.durable().hard_state.damage.is_none();
            let holders: BTreeSet<_> = set.iter().filter(|id| members.get(id).is_some_and(counts)).collect();
            let majority = holders.len() * 2 > set.len();
            ensure!(majority, "n{} commits {newest}, durable only on {holders:?} of {set:?}", after.id);
        }
        for entry in log.range(known, after.commit) {
            self.committed.push(Committed { position: entry.position, in_term: after.term });
        }
        Ok(())
    }

    /// State Machine Safety (§5.4.3): nobody applies another entry at an index.
    pub fn machine_applied(&mut self, id: NodeId, entries: &[Entry]) -> Verdict {
        for entry in entries {
            let place = usize::try_from(entry.position.index.prev().get()).map_err(|error| error.to_string())?;
            if place == self.applied.len() {
                self.applied.push(entry.clone());
            }
            let first = self.applied.get(place).ok_or("an entry was applied out of order")?;
            ensure!(first == entry, "n{id} applies {entry:?}, another member has applied {first:?}");
        }
        Ok(())
    }
}
