//! A small cluster of cores with model disks, every event of which goes to a checker.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use raft_actor::consensus::{
    AppendEntries, Configuration, Effect, Effects, Entries, Entry, GroupId, HardState, Input, LeaseReads, Log,
    LogIndex, LogPosition, LogWrite, Membership, Message, NodeId, Payload, ProposalId, Raft, ReadId, ReplicationOrder,
    Role, Settings, SnapshotMeta, Start, Term, Time, WriteSeq,
};
use raft_actor::envelope::{Body, Envelope};

use super::{at, node};
use crate::sim::checker::{Checker, Durable, Stored, Verdict};
use crate::sim::durable::payload_hash;

/// What a disk holds.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelDisk {
    pub(super) hard_state: HardState,
    pub(super) snapshot: Option<SnapshotMeta>,
    /// What the entries follow.
    base: LogPosition,
    pub(super) entries: Vec<Entry>,
    pub(super) snapshot_has_rotted: bool,
}

impl ModelDisk {
    pub(super) fn apply(&mut self, hard_state: Option<HardState>, log: Option<&LogWrite>) {
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        match log {
            None => {}
            Some(LogWrite::Append(entries)) => self.entries.extend(entries.iter().cloned()),
            Some(LogWrite::Replace(entries)) => {
                self.truncate(entries.first_index().expect("never empty").prev());
                self.entries.extend(entries.iter().cloned());
            }
            Some(LogWrite::Reset { to }) => {
                self.base = *to;
                self.entries.clear();
            }
            Some(LogWrite::Purge { through }) => {
                self.base = self.position_at(*through).expect("only what is there is purged");
                self.entries.retain(|entry| entry.position.index > *through);
            }
        }
    }

    pub(super) fn truncate(&mut self, through: LogIndex) {
        self.entries.retain(|entry| entry.position.index <= through);
    }

    fn get(&self, index: LogIndex) -> Option<&Entry> {
        let place = index.since(self.base.index).checked_sub(1)?;
        usize::try_from(place).ok().and_then(|place| self.entries.get(place))
    }

    fn range(&self, after: LogIndex, through: LogIndex) -> impl Iterator<Item = &Entry> {
        (after.next().get()..=through.get()).filter_map(|index| self.get(LogIndex::new(index)))
    }
}

impl Durable for ModelDisk {
    fn hard_state(&self) -> HardState {
        self.hard_state
    }
    fn snapshot(&self) -> LogPosition {
        self.snapshot.as_ref().map_or(LogPosition::ZERO, |snapshot| snapshot.position)
    }
    fn snapshot_is_sound(&self) -> bool {
        !self.snapshot_has_rotted
    }
    fn base(&self) -> LogPosition {
        self.base
    }
    fn last(&self) -> LogPosition {
        self.entries.last().map_or(self.base, |entry| entry.position)
    }
    fn position_at(&self, index: LogIndex) -> Option<LogPosition> {
        if index == self.base.index { Some(self.base) } else { self.get(index).map(|entry| entry.position) }
    }
    fn entry(&self, index: LogIndex) -> Option<Stored<'_>> {
        self.get(index).map(|entry| Stored::of(entry.position, &entry.payload))
    }
}

/// A server.
#[derive(Default)]
pub(super) struct Server {
    pub(super) raft: Option<Raft>,
    /// Written, durable or not.
    pub(super) written: ModelDisk,
    pub(super) pending: VecDeque<(WriteSeq, Option<HardState>, Option<LogWrite>)>,
    orders: VecDeque<ReplicationOrder>,
    pub(super) apply: LogIndex,
    pub(super) applied: LogIndex,
    pub(super) wants_snapshot: bool,
    pub(super) to_install: Option<SnapshotMeta>,
}

/// All of them.
pub(super) struct World {
    pub(super) checker: Checker,
    pub(super) servers: BTreeMap<NodeId, Server>,
    pub(super) disks: BTreeMap<NodeId, ModelDisk>,
    pub(super) network: VecDeque<Envelope>,
    pub(super) now: Time,
    pub(super) settings: Settings,
    /// Servers whose disks do nothing.
    pub(super) held: Vec<NodeId>,
    /// Servers whose messages get nowhere.
    pub(super) cut: Vec<NodeId>,
    pub(super) steps: u64,
    founding: Entry,
    next_id: u64,
}

pub(super) fn envelope(from: u64, to: u64, message: Message) -> Envelope {
    Envelope { from: node(from), to: node(to), group: GroupId::new(1), body: Body::Raft(message) }
}

pub(super) fn command(index: u64, term: u64, text: &str) -> Entry {
    Entry { position: at(index, term), payload: Payload::Command(Bytes::copy_from_slice(text.as_bytes())) }
}

impl World {
    /// Servers 1 to `count`, founded together and started.
    pub(super) fn of(count: u64) -> Self {
        Self::with(count, count, Settings::default())
    }

    /// Servers 1 to `founders`, and more with empty disks up to `count`.
    pub(super) fn with(founders: u64, count: u64, settings: Settings) -> Self {
        let configuration = Configuration::of_voters((1..=founders).map(|n| (node(n), format!("n{n}"))));
        Self::founded(configuration, founders, count, settings)
    }

    /// A cluster that is founded with lease reads.
    pub(super) fn with_leases(founders: u64, count: u64, settings: Settings) -> Self {
        let election_timeout_ms_min = settings.election_timeout_ms_min;
        let lease_reads = LeaseReads { election_timeout_ms_min, drift_percent_max: 10 };
        let configuration = Configuration::of_voters((1..=founders).map(|n| (node(n), format!("n{n}"))));
        Self::founded(configuration.with_lease_reads(lease_reads), founders, count, settings)
    }

    fn founded(configuration: Configuration, founders: u64, count: u64, settings: Settings) -> Self {
        let payload = Payload::Configuration(Box::new(configuration));
        let mut world = Self {
            checker: Checker::new(),
            servers: BTreeMap::new(),
            disks: BTreeMap::new(),
            network: VecDeque::new(),
            now: Time::ZERO,
            settings,
            held: Vec::new(),
            cut: Vec::new(),
            steps: 0,
            founding: Entry { position: at(1, 1), payload },
            next_id: 1,
        };
        for n in 1..=count {
            let mut disk = ModelDisk::default();
            if n <= founders {
                disk.hard_state.term = Term::new(1);
                disk.entries.push(world.founding.clone());
            }
            world.disks.insert(node(n), disk);
            world.servers.insert(node(n), Server::default());
            world.start(n).expect("a sound start");
        }
        world
    }

    pub(super) fn raft(&self, n: u64) -> &Raft {
        self.servers[&node(n)].raft.as_ref().expect("it runs")
    }

    pub(super) fn server(&mut self, n: u64) -> &mut Server {
        self.servers.get_mut(&node(n)).expect("it is one of them")
    }

    pub(super) fn disk(&mut self, n: u64) -> &mut ModelDisk {
        self.disks.get_mut(&node(n)).expect("it is one of them")
    }

    pub(super) fn ids_up(&self) -> Vec<u64> {
        self.servers.iter().filter(|(_, server)| server.raft.is_some()).map(|(id, _)| id.get()).collect()
    }

    pub(super) fn leader(&self) -> Option<u64> {
        let leads = |n: &u64| self.raft(*n).role() == Role::Leader;
        self.ids_up().into_iter().filter(leads).max_by_key(|n| self.raft(*n).term())
    }

    /// A core made from what the disk holds, which the checker has not seen.
    pub(super) fn core(&self, n: u64) -> Raft {
        let disk = &self.disks[&node(n)];
        let mut log = match &disk.snapshot {
            Some(snapshot) => Log::new(disk.base, snapshot.configuration.clone()),
            None => Log::new(LogPosition::ZERO, Configuration::default()),
        };
        disk.entries.iter().for_each(|entry| log.push(entry));
        Raft::new(Start {
            id: node(n),
            settings: self.settings.clone(),
            hard_state: disk.hard_state,
            log,
            snapshot: disk.snapshot.clone(),
            applied: disk.snapshot().index,
            suffrage: true,
            directory: None,
            seed: n * 1000 + self.steps,
            now: self.now,
        })
    }

    pub(super) fn start(&mut self, n: u64) -> Verdict {
        let raft = self.core(n);
        let disk = self.disks[&node(n)].clone();
        self.checker.started(node(n), &raft, &disk)?;
        let server = self.server(n);
        let applied = disk.snapshot().index;
        *server = Server { raft: Some(raft), written: disk, apply: applied, applied, ..Server::default() };
        Ok(())
    }

    /// The process ends; of what it wrote `whole` writes become durable, and of the next one `some` entries.
    pub(super) fn crash(&mut self, n: u64, whole: usize, some: usize) -> Verdict {
        self.sync_quietly(n, whole);
        let server = self.server(n);
        let torn = server.pending.pop_front();
        *server = Server::default();
        if let Some((_, hard_state, log)) = torn {
            let cut = |entries: Entries| entries.iter().take(some).cloned().collect::<Entries>();
            let log = match log {
                Some(LogWrite::Append(entries)) => Some(LogWrite::Append(cut(entries))),
                Some(LogWrite::Replace(entries)) if some > 0 => Some(LogWrite::Replace(cut(entries))),
                _ => None,
            };
            self.disk(n).apply(hard_state, log.as_ref());
        }
        self.checker.crashed(node(n));
        self.checker.durable_changed(node(n), &self.disks[&node(n)])
    }

    /// One step of the core, and what its effects lead to at once.
    pub(super) fn step(&mut self, n: u64, input: Input) -> Verdict {
        self.steps += 1;
        let id = node(n);
        self.checker.at(self.now);
        self.checker.before(id, &input, self.now);
        let mut effects = Effects::new();
        let now = self.now;
        let server = self.servers.get_mut(&id).expect("it is one of them");
        let raft = server.raft.as_mut().expect("it runs");
        raft.step(now, input, &mut effects);
        self.checker.after(id, raft, effects.as_slice(), &self.disks)?;
        for effect in effects.drain() {
            let server = self.server(n);
            match effect {
                Effect::Persist { seq, hard_state, log } => {
                    server.written.apply(hard_state, log.as_ref());
                    server.pending.push_back((seq, hard_state, log));
                }
                Effect::Send { to, message } => {
                    self.send(Envelope { from: id, to, group: GroupId::new(1), body: Body::Raft(message) })?;
                }
                Effect::Replicate(order) => server.orders.push_back(order),
                Effect::Apply { through } => server.apply = through,
                Effect::TakeSnapshot => server.wants_snapshot = true,
                Effect::SendSnapshot(order) => self.send_snapshot(n, &order)?,
                Effect::InstallSnapshot(meta) => server.to_install = Some(meta),
                Effect::DropSnapshot { .. }
                | Effect::Proposed { .. }
                | Effect::MembershipChange { .. }
                | Effect::Transfer { .. }
                | Effect::ReadReady { .. }
                | Effect::ReadRefused { .. }
                | Effect::RoleChanged { .. }
                | Effect::Halt { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) fn send(&mut self, envelope: Envelope) -> Verdict {
        self.checker.leaves(&envelope, &self.disks)?;
        if !self.cut.contains(&envelope.from) && !self.cut.contains(&envelope.to) {
            self.network.push_back(envelope);
        }
        Ok(())
    }

    /// What a server does by itself: its streams, its disk unless held, its machine.
    pub(super) fn work(&mut self, n: u64) -> Verdict {
        while let Some(order) = self.server(n).orders.pop_front() {
            self.replicate(n, &order)?;
        }
        if !self.held.contains(&node(n)) {
            self.sync(n, usize::MAX)?;
        }
        self.run_machine(n)?;
        self.work_on_snapshots(n)
    }

    fn replicate(&mut self, n: u64, order: &ReplicationOrder) -> Verdict {
        let log = &self.servers[&node(n)].written;
        let holds = |at: LogPosition| log.position_at(at.index) == Some(at);
        if !holds(order.prev) || !holds(order.through) {
            return Ok(());
        }
        let entries: Entries = log.range(order.prev.index, order.through.index).cloned().collect::<Vec<_>>().into();
        let ReplicationOrder { peer, term, prev, commit, round, .. } = *order;
        let message =
            Message::AppendEntries(AppendEntries { term, prev, entries, commit, round, rest: false, repair: None });
        self.send(Envelope { from: node(n), to: peer, group: GroupId::new(1), body: Body::Raft(message) })
    }

    fn sync_quietly(&mut self, n: u64, count: usize) -> Option<WriteSeq> {
        let mut last = None;
        for _ in 0..count {
            let Some((seq, hard_state, log)) = self.server(n).pending.pop_front() else { break };
            self.disk(n).apply(hard_state, log.as_ref());
            last = Some(seq);
        }
        last
    }

    pub(super) fn sync(&mut self, n: u64, count: usize) -> Verdict {
        let Some(seq) = self.sync_quietly(n, count) else { return Ok(()) };
        self.checker.durable_changed(node(n), &self.disks[&node(n)])?;
        self.step(n, Input::Persisted(seq))
    }

    fn run_machine(&mut self, n: u64) -> Verdict {
        let server = &self.servers[&node(n)];
        let (applied, through) = (server.applied, server.apply);
        if server.raft.is_none() || through <= applied {
            return Ok(());
        }
        let entries: Vec<Entry> = server.written.range(applied, through).cloned().collect();
        for Entry { position, payload } in entries {
            if let Payload::Command(command) = payload {
                self.checker.applied(node(n), position, payload_hash(&command), position.index.get())?;
            }
        }
        self.server(n).applied = through;
        self.step(n, Input::Applied(through))
    }

    pub(super) fn deliver(&mut self, envelope: Envelope) -> Verdict {
        let Body::Raft(message) = envelope.body else { return Ok(()) };
        if self.servers[&envelope.to].raft.is_none() {
            return Ok(());
        }
        self.step(envelope.to.get(), Input::Received { from: envelope.from, message })?;
        self.work(envelope.to.get())
    }

    /// Delivers everything in order until nothing is under way.
    pub(super) fn settle(&mut self) -> Verdict {
        while let Some(envelope) = self.network.pop_front() {
            self.deliver(envelope)?;
        }
        Ok(())
    }

    /// Lets time pass to the deadline of a server.
    pub(super) fn deadline(&mut self, n: u64) -> Verdict {
        self.now = self.now.max(self.raft(n).next_deadline());
        self.step(n, Input::Deadline)?;
        self.work(n)
    }

    pub(super) fn pass(&mut self, micros: u64) {
        self.now = self.now.after(Duration::from_micros(micros));
    }

    /// Makes a server the leader, everybody hearing everybody.
    pub(super) fn elect(&mut self, n: u64) {
        while self.raft(n).role() != Role::Leader {
            self.deadline(n).expect("a sound step");
            self.settle().expect("a sound step");
        }
    }

    /// The last write that this server ordered.
    pub(super) fn last_ordered(&self, n: u64) -> WriteSeq {
        self.servers[&node(n)].pending.back().expect("something is pending").0
    }

    pub(super) fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn propose(&mut self, n: u64, commands: &[&str]) -> Verdict {
        let id = ProposalId(self.fresh());
        let commands = commands.iter().map(|command| Bytes::copy_from_slice(command.as_bytes())).collect();
        self.step(n, Input::Propose { id, commands })?;
        self.work(n)
    }

    pub(super) fn read(&mut self, n: u64) -> Verdict {
        let id = ReadId(self.fresh());
        self.step(n, Input::Read { id })?;
        self.work(n)
    }

    pub(super) fn read_by_lease(&mut self, n: u64) -> Verdict {
        let id = ReadId(self.fresh());
        self.step(n, Input::ReadByLease { id })?;
        self.work(n)
    }

    pub(super) fn change(&mut self, n: u64, voters: &[u64], learners: &[u64]) -> Verdict {
        let membership = Membership {
            voters: voters.iter().copied().map(node).collect(),
            learners: learners.iter().copied().map(node).collect(),
            addresses: voters.iter().chain(learners).map(|n| (node(*n), format!("n{n}"))).collect(),
            ..Membership::default()
        };
        let id = ProposalId(self.fresh());
        self.step(n, Input::ChangeMembership { id, membership })?;
        self.work(n)
    }

    pub(super) fn transfer(&mut self, n: u64, to: u64) -> Verdict {
        let id = ProposalId(self.fresh());
        self.step(n, Input::TransferLeadership { id, to: Some(node(to)) })?;
        self.work(n)
    }
}
