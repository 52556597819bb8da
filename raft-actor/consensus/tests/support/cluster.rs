//! Several members, the network between them, and one clock.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use raft_consensus::notation::{self, Moment};
use raft_consensus::{
    Effect, Entry, Input, LogIndex, LogPosition, Membership, MembershipRefusal, Message, NodeId, PeerState, ProposalId,
    ProposalOutcome, ReadId, Role, Status, Term, Time, TransferOutcome,
};

use super::checker::membership::configurations;
use super::checker::{Checker, Members, Verdict};
use super::disk::Disk;
use super::machine::Done;
use super::member::Member;
use super::network::{Network, Packet};
use super::{membership, node};

mod snapshots;

/// More steps than any story needs: beyond it the cluster is running in circles.
const STEPS_MAX: usize = 20_000;

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// It may be served once this index is applied.
    Ready(LogIndex),
    /// It was refused.
    Refused,
}

/// A whole cluster. Every step of a member is checked and traced.
pub struct Cluster {
    /// The time at every member.
    pub now: Time,
    /// What is on its way.
    pub network: Network,
    /// What has been seen so far.
    pub checker: Checker,
    /// One line per event, oldest first.
    pub trace: Vec<String>,
    /// The answers to proposals.
    pub proposals: BTreeMap<ProposalId, ProposalOutcome>,
    /// The answers to changes of the membership.
    pub changes: BTreeMap<ProposalId, Result<LogPosition, MembershipRefusal>>,
    /// The answers to transfers of leadership.
    pub transfers: BTreeMap<ProposalId, TransferOutcome>,
    /// The answers to reads.
    pub reads: BTreeMap<ReadId, ReadOutcome>,
    /// Printed when a check fails.
    pub label: String,
    members: Members,
    next_id: u64,
}

impl Cluster {
    /// Servers 1 to `count`, just started, with empty logs.
    pub fn of(count: u64) -> Self {
        super::Setup::of(count).start()
    }

    /// Starts these members.
    pub fn start(members: Members) -> Self {
        let mut cluster = Self {
            now: Time::ZERO,
            network: Network::default(),
            checker: Checker::default(),
            trace: Vec::new(),
            proposals: BTreeMap::new(),
            changes: BTreeMap::new(),
            transfers: BTreeMap::new(),
            reads: BTreeMap::new(),
            label: String::new(),
            members,
            next_id: 1,
        };
        for id in cluster.ids() {
            cluster.start_member(id);
        }
        cluster
    }

    // ---- looking ----

    /// All members, up or not.
    pub fn ids(&self) -> Vec<NodeId> {
        self.members.keys().copied().collect()
    }

    /// The members that run.
    pub fn ids_up(&self) -> Vec<NodeId> {
        self.members.values().filter(|member| member.is_up()).map(|member| member.id).collect()
    }

    /// A member and its surroundings.
    pub fn member(&self, n: u64) -> &Member {
        &self.members[&node(n)]
    }

    /// The same, to change what surrounds it.
    pub fn member_mut(&mut self, n: u64) -> &mut Member {
        self.members.get_mut(&node(n)).expect("a member of this cluster")
    }

    /// What a member says about itself.
    pub fn status(&self, n: u64) -> Status {
        self.member(n).status()
    }

    /// The role of a member.
    pub fn role(&self, n: u64) -> Role {
        self.member(n).role()
    }

    /// The term of a member.
    pub fn term(&self, n: u64) -> Term {
        self.member(n).term()
    }

    /// What the log of a member says from the first entry on, durable or not; what is purged as its snapshot has it.
    pub fn log(&self, n: u64) -> Vec<Entry> {
        self.member(n).history().iter().cloned().collect()
    }

    /// What the state machine of a member was given.
    pub fn applied(&self, n: u64) -> &[Entry] {
        self.member(n).machine.entries()
    }

    /// Where the latest configuration in a member's log stands.
    pub fn configured_at(&self, n: u64) -> LogIndex {
        configurations(self.member(n)).last().map_or(LogIndex::ZERO, |(index, _)| *index)
    }

    /// The running leader of the latest term, if any.
    pub fn leader(&self) -> Option<u64> {
        let leads = |member: &&Member| member.is_up() && member.role() == Role::Leader;
        self.members.values().filter(leads).max_by_key(|member| member.term()).map(|member| member.id.get())
    }

    // ---- events at one member ----

    /// Feeds one input; nothing else happens.
    pub fn step(&mut self, id: NodeId, input: Input) {
        let member = self.members.get_mut(&id).expect("a member of this cluster");
        let effects = member.step(self.now, input);
        let after = member.status();
        let waits = |peer: &NodeId| after.peers.get(peer).is_some_and(|peer| peer.state == PeerState::Snapshot);
        member.sending.retain(waits);
        if let Some(snapshot) = effects.iter().find_map(|effect| match effect {
            Effect::InstallSnapshot(snapshot) => Some(snapshot),
            _ => None,
        }) {
            member.snapshots.adopting = Some(self.checker.snapshot(snapshot));
        }
        let before = self.checker.before(id);
        let verdict = self.checker.stepped(&self.members, &after, &effects);
        self.record(&before, &Moment::from(&after), &effects);
        self.judge(verdict);
        for effect in effects {
            match effect {
                Effect::Send { to, message } => self.put_on_its_way(id, to, message),
                Effect::Proposed { id, outcome } => assert!(self.proposals.insert(id, outcome).is_none()),
                Effect::MembershipChange { id, outcome } => {
                    assert!(self.changes.insert(id, outcome).is_none(), "two answers");
                }
                Effect::Transfer { id, outcome } => {
                    assert!(self.transfers.insert(id, outcome).is_none(), "two answers");
                }
                Effect::ReadReady { id, index } => {
                    assert!(self.reads.insert(id, ReadOutcome::Ready(index)).is_none(), "two answers");
                }
                Effect::ReadRefused { id, .. } => {
                    assert!(self.reads.insert(id, ReadOutcome::Refused).is_none(), "two answers");
                }
                Effect::Persist { .. }
                | Effect::TakeSnapshot
                | Effect::SendSnapshot(_)
                | Effect::InstallSnapshot(_)
                | Effect::DropSnapshot { .. }
                | Effect::Replicate(_)
                | Effect::Apply { .. }
                | Effect::RoleChanged { .. }
                | Effect::Halt { .. } => {}
            }
        }
    }

    fn record(&mut self, before: &Moment, after: &Moment, effects: &[Effect]) {
        let mut commit = (after.commit != before.commit).then(|| notation::commit(after, before.commit));
        for effect in effects {
            if matches!(effect, Effect::Apply { .. }) {
                self.trace.extend(commit.take());
            }
            let mut line = notation::effect(before, after, effect);
            if let (Some(line), Effect::Send { to, .. }) = (&mut line, effect)
                && !self.network.connects(after.id, *to)
            {
                *line = line.replacen(" -> ", " -x ", 1);
            }
            self.trace.extend(line);
        }
        self.trace.extend(commit);
    }

    fn put_on_its_way(&mut self, from: NodeId, to: NodeId, message: Message) {
        assert_ne!(from, to, "a member sends a message to itself");
        self.network.send(Packet { from, to, message });
    }

    /// Steps a member and then lets its disk, machine and streams do what they are not held from doing.
    pub fn input(&mut self, id: NodeId, input: Input) {
        self.step(id, input);
        self.work(id);
    }

    /// Lets the disk, the machine and the streams of a member work until they rest or are held.
    pub fn work(&mut self, id: NodeId) {
        for _ in 0..STEPS_MAX {
            let member = &self.members[&id];
            if !member.is_up() {
                return;
            }
            if !member.orders.is_empty() && !member.streams_held {
                self.run_order(id);
            } else if !member.snapshot_orders.is_empty() && !member.streams_held {
                self.run_snapshot_order(id);
            } else if !member.failed.is_empty() {
                self.report_failure(id);
            } else if member.snapshots.saving.is_some() && !member.snapshots.held {
                self.store_snapshot(id);
            } else if member.snapshots.adopting.is_some() && !member.snapshots.held {
                self.adopt_snapshot(id);
            } else if member.disk.pending() > 0 && !member.disk.held {
                self.sync(id, usize::MAX);
            } else if member.machine.has_work() && !member.machine.held {
                self.run_machine(id);
            } else {
                return;
            }
        }
        self.judge(Err(format!("n{id} never comes to rest")));
    }

    /// Carries out the oldest replication order.
    pub fn run_order(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member of this cluster");
        match member.run_order() {
            None => {}
            Some(Err(order)) => self.trace.push(notation::void_order(id, &order)),
            Some(Ok((to, message))) => {
                let verdict = self.checker.message_leaves(&self.members, id, to, &message);
                self.judge(verdict);
                let term = self.members[&id].term();
                let arrow = if self.network.connects(id, to) { "->" } else { "-x" };
                let what = notation::message(message.term(), &message);
                self.trace.push(format!("n{id}@{term} {arrow} n{to} {what}"));
                self.put_on_its_way(id, to, message);
            }
        }
    }

    /// Makes the oldest `count` writes durable and says so.
    pub fn sync(&mut self, id: NodeId, count: usize) {
        if let Some(seq) = self.disk(id).sync(count) {
            if self.members[&id].disk.held {
                self.trace.push(format!("n{id} has durable {seq}"));
            }
            self.step(id, Input::Persisted(seq));
        }
    }

    /// Lets the state machine carry out its oldest order.
    pub fn run_machine(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member of this cluster");
        match member.run_machine() {
            None => {}
            Some(Done::Applied(entries)) => {
                let last = entries.last().expect("an order applies something").position.index;
                self.trace.push(notation::applied(id, &entries));
                let verdict = self.checker.machine_applied(id, &entries);
                self.judge(verdict);
                self.step(id, Input::Applied(last));
            }
            Some(Done::Frozen(snapshot)) => {
                member.snapshots.saving = Some(snapshot.clone());
                let verdict = self.checker.machine_frozen(id, &snapshot);
                self.judge(verdict);
            }
            Some(Done::Loaded(snapshot)) => {
                let position = snapshot.meta.position;
                self.trace.push(format!("n{id} loads the snapshot through {position}"));
                let verdict = self.checker.machine_loaded(id, &snapshot);
                self.judge(verdict);
                self.step(id, Input::SnapshotInstalled(position));
            }
        }
    }

    /// The disk of a member.
    pub fn disk(&mut self, id: NodeId) -> &mut Disk {
        &mut self.members.get_mut(&id).expect("a member of this cluster").disk
    }

    /// Proposes commands.
    pub fn propose_all(&mut self, n: u64, commands: &[&str]) -> ProposalId {
        let id = self.fresh_proposal();
        let commands = commands.iter().map(|command| Bytes::copy_from_slice(command.as_bytes())).collect();
        self.input(node(n), Input::Propose { id, commands });
        id
    }

    /// Proposes one command.
    pub fn propose(&mut self, n: u64, command: &str) -> ProposalId {
        self.propose_all(n, &[command])
    }

    /// Asks a member to change the membership to these voters and learners; their addresses are their names.
    pub fn change_membership(&mut self, n: u64, voters: &[u64], learners: &[u64]) -> ProposalId {
        let id = self.fresh_proposal();
        self.input(node(n), Input::ChangeMembership { id, membership: membership(voters, learners) });
        id
    }

    /// The same, when it is expected to be refused: why it is.
    pub fn refuse_membership(&mut self, n: u64, voters: &[u64], learners: &[u64]) -> MembershipRefusal {
        let id = self.change_membership(n, voters, learners);
        self.changes[&id].expect_err("the change was expected to be refused")
    }

    /// Asks a member to hand over its leadership.
    pub fn transfer(&mut self, n: u64, to: Option<u64>) -> ProposalId {
        let id = self.fresh_transfer(n);
        self.input(node(n), Input::TransferLeadership { id, to: to.map(node) });
        id
    }

    /// An id for a transfer that `n` is about to be asked for.
    pub fn fresh_transfer(&mut self, n: u64) -> ProposalId {
        let id = self.fresh_proposal();
        self.checker.transfer_begins(id, node(n));
        id
    }

    /// Asks for a linearizable read.
    pub fn read(&mut self, n: u64) -> ReadId {
        let id = self.fresh_read();
        self.input(node(n), Input::Read { id });
        id
    }

    /// Asks for a linearizable read, by lease if there is one.
    pub fn read_by_lease(&mut self, n: u64) -> ReadId {
        let id = self.fresh_lease_read();
        self.input(node(n), Input::ReadByLease { id });
        id
    }

    /// An id for a proposal that is about to be made.
    pub fn fresh_proposal(&mut self) -> ProposalId {
        ProposalId(self.fresh_id())
    }

    /// An id for a read that is about to begin: it must see everything that is committed now.
    pub fn fresh_read(&mut self) -> ReadId {
        let id = ReadId(self.fresh_id());
        self.checker.read_begins(id);
        id
    }

    /// The same, of a read that the next step takes in, and that asks for the lease.
    pub fn fresh_lease_read(&mut self) -> ReadId {
        let id = ReadId(self.fresh_id());
        self.checker.lease_read_begins(id);
        id
    }

    fn fresh_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Kills a member: what is not durable is lost, and what it was about to send.
    pub fn crash(&mut self, n: u64) {
        self.member_mut(n).crash();
        self.checker.crashed(node(n));
        // The connections break, and with them what was being sent.
        for id in self.ids() {
            self.snapshot_lost(id, node(n));
        }
    }

    /// The disk of a dead member loses what its log holds behind `through`, though it was durable.
    pub fn damage(&mut self, n: u64, through: u64) {
        assert!(!self.member(n).is_up(), "n{n} reads its disk only when it starts");
        self.disk(node(n)).damage(LogIndex::new(through));
    }

    /// A member loses its disk, and what it has said and not been heard of is lost as well. It is down, then.
    pub fn wipe(&mut self, n: u64) {
        if self.member(n).is_up() {
            self.crash(n);
        }
        self.network.take_all(|packet| packet.from == node(n) || packet.to == node(n));
        self.member_mut(n).wipe();
    }

    /// Whether the mark of a damage is on the disk of a member.
    pub fn is_damaged(&self, n: u64) -> bool {
        self.member(n).disk.durable().hard_state.damage.is_some()
    }

    /// Starts a dead member from its disk.
    pub fn restart(&mut self, n: u64) {
        self.start_member(node(n));
        self.work(node(n));
    }

    fn start_member(&mut self, id: NodeId) {
        let now = self.now;
        let reset = self.members.get_mut(&id).expect("a member of this cluster").start(now);
        self.trace.extend(reset.map(|to| format!("n{id} resets its log to {to} before it starts")));
        let verdict = self.checker.started(&self.members[&id]);
        self.judge(verdict);
    }

    // ---- messages ----

    /// Delivers a packet, if its receiver is up.
    pub fn hand_over(&mut self, packet: Packet) {
        let Packet { from, to, message } = packet;
        if self.members.get(&to).is_some_and(Member::is_up) {
            self.introduce(from, to);
            self.input(to, Input::Received { from, message });
        } else if let Message::InstallSnapshot(_) = message {
            self.snapshot_lost(from, to);
        }
    }

    /// Whoever hears from another one has met it, and with which disk.
    fn introduce(&mut self, from: NodeId, to: NodeId) {
        let directory = self.members.get(&from).and_then(|member| member.directory);
        if let Some(directory) = directory
            && self.member_mut(to.get()).met.insert(from, directory) != Some(directory)
        {
            self.step(to, Input::Met { peer: from, directory });
        }
    }

    /// Delivers the messages that are on their way now, but not what they cause. Returns how many.
    pub fn deliver_round(&mut self) -> usize {
        let packets = self.network.take_all(|_| true);
        let count = packets.len();
        packets.into_iter().for_each(|packet| self.hand_over(packet));
        count
    }

    /// Delivers the messages on their way from one member to another. Returns how many.
    pub fn deliver(&mut self, from: u64, to: u64) -> usize {
        let packets = self.network.take_all(|packet| packet.from == node(from) && packet.to == node(to));
        let count = packets.len();
        packets.into_iter().for_each(|packet| self.hand_over(packet));
        count
    }

    /// Delivers in the order of sending until nothing is on its way.
    pub fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            match self.network.in_flight.pop_front() {
                Some(packet) => self.hand_over(packet),
                None => return,
            }
        }
        self.judge(Err("the cluster never comes to rest".to_owned()));
    }

    /// Cuts a group off from all others.
    pub fn partition(&mut self, group: &[u64]) {
        for a in self.ids() {
            for b in self.ids() {
                if group.contains(&a.get()) != group.contains(&b.get()) {
                    self.network.cut(a, b);
                }
            }
        }
    }

    /// Mends all links.
    pub fn heal(&mut self) {
        self.network.heal();
    }

    // ---- time ----

    /// Lets the clock reach the deadline of a member and tells that member only.
    pub fn deadline(&mut self, n: u64) {
        let deadline = self.member(n).next_deadline();
        assert_ne!(deadline, Time::NEVER, "n{n} waits for nothing");
        self.now = self.now.max(deadline);
        self.input(node(n), Input::Deadline);
        let next = self.member(n).next_deadline();
        assert!(next > self.now, "n{n} had its deadline and has it again at once");
    }

    /// The member with the earliest deadline, and when it is.
    pub fn earliest_deadline(&self) -> Option<(u64, Time)> {
        let up = self.members.values().filter(|member| member.is_up());
        up.map(|member| (member.id.get(), member.next_deadline())).min_by_key(|(_, deadline)| *deadline)
    }

    /// Lets time pass. Deadlines come in order; messages travel in no time, or not at all.
    pub fn pass(&mut self, millis: u64, deliver: bool) {
        let end = self.now.after(Duration::from_millis(millis));
        if deliver {
            self.settle();
        }
        while let Some((n, deadline)) = self.earliest_deadline().filter(|(_, deadline)| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.deadline(n);
            if deliver {
                self.settle();
            }
        }
        self.now = end;
    }

    /// Lets time pass, and messages travel.
    pub fn run(&mut self, millis: u64) {
        self.pass(millis, true);
    }

    /// Makes `n` the leader by letting its deadline come, everybody's messages arriving.
    pub fn elect(&mut self, n: u64) {
        self.deadline(n);
        self.settle();
        assert_eq!(self.role(n), Role::Leader, "n{n} was expected to win its election:\n{}", self.trace.join("\n"));
    }

    // ---- judging ----

    /// Panics with the last events if a check failed.
    pub fn judge(&self, verdict: Verdict) {
        if let Err(broken) = verdict {
            let from = self.trace.len().saturating_sub(60);
            panic!("{broken}\n{}\nthe last events:\n{}", self.label, self.trace[from..].join("\n"));
        }
    }
}
