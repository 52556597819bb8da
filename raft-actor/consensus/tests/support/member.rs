//! One member: the core under test with a model of everything around it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft_consensus::{
    AppendEntries, Configuration, DirectoryId, Effect, Effects, Entries, Input, InstallSnapshot, LogPosition, Message,
    NodeId, Raft, ReplicationOrder, Role, Settings, SnapshotOrder, Start, Status, Term, Time,
};

use super::disk::{Disk, Image};
use super::machine::{Done, Machine};
use super::snapshots::{History, Snapshot, Snapshots};

/// A member of a test cluster.
pub struct Member {
    /// Who it is.
    pub id: NodeId,
    /// What it starts with, each time.
    pub settings: Settings,
    /// The configuration before the first entry.
    pub first_configuration: Configuration,
    /// Whether it may vote and campaign when it starts.
    pub suffrage: bool,
    /// Which disk it has, where that is kept track of.
    pub directory: Option<DirectoryId>,
    /// Whom it has met since it started, and with which disk.
    pub met: BTreeMap<NodeId, DirectoryId>,
    /// Seed of its randomness; each start draws a new one from it.
    pub seed: u64,
    /// Its storage.
    pub disk: Disk,
    /// Its state machine.
    pub machine: Machine,
    /// Its snapshots.
    pub snapshots: Snapshots,
    /// Orders its replication streams have not carried out yet.
    pub orders: VecDeque<ReplicationOrder>,
    /// The same for snapshots.
    pub snapshot_orders: VecDeque<SnapshotOrder>,
    /// To whom a stream sends a snapshot; it learns of nothing but failures.
    pub sending: BTreeSet<NodeId>,
    /// To whom it has failed, and the core does not know yet.
    pub failed: BTreeSet<NodeId>,
    /// Snapshots that have arrived and were neither installed nor dropped.
    pub received: BTreeSet<LogPosition>,
    /// While set, orders wait until the test runs them.
    pub streams_held: bool,
    /// How fast its clock runs: 1000 is right, 1100 gains a tenth.
    pub clock_per_mille: u64,
    core: Option<Raft>,
}

impl Member {
    /// A member that has not started.
    pub fn new(id: NodeId, settings: Settings, first_configuration: Configuration, image: Image, seed: u64) -> Self {
        Self {
            id,
            settings,
            first_configuration,
            suffrage: true,
            directory: None,
            met: BTreeMap::new(),
            seed,
            disk: Disk::with(image),
            machine: Machine::default(),
            snapshots: Snapshots::default(),
            snapshot_orders: VecDeque::new(),
            sending: BTreeSet::new(),
            failed: BTreeSet::new(),
            received: BTreeSet::new(),
            orders: VecDeque::new(),
            streams_held: false,
            clock_per_mille: 1000,
            core: None,
        }
    }

    /// Starts from what is durable. Where its log had to be reset to, if the last run died in between.
    pub fn start(&mut self, now: Time) -> Option<LogPosition> {
        assert!(self.core.is_none(), "n{} runs already", self.id);
        let reset = self.snapshots.reset_needed(&self.disk.log(&self.first_configuration));
        reset.into_iter().for_each(|to| self.disk.reset(to));
        self.machine.start(self.snapshots.newest.as_ref());
        self.core = Some(Raft::new(Start {
            id: self.id,
            settings: self.settings.clone(),
            hard_state: self.disk.durable().hard_state,
            log: self.disk.log(&self.first_configuration),
            snapshot: self.snapshots.newest.as_ref().map(|snapshot| snapshot.meta.clone()),
            applied: self.machine.applied(),
            suffrage: self.suffrage,
            directory: self.directory,
            seed: self.seed,
            now: self.by_its_clock(now),
        }));
        self.seed = self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(self.id.get());
        reset
    }

    /// Dies at once: what is not durable is gone.
    pub fn crash(&mut self) {
        assert!(self.core.take().is_some(), "n{} does not run", self.id);
        self.orders.clear();
        self.snapshot_orders.clear();
        self.sending.clear();
        self.failed.clear();
        self.received.clear();
        self.met.clear();
        self.snapshots.crash();
        self.disk.crash();
        self.machine.crash();
    }

    /// A dead one gets another disk, an empty one, on which it waits to be added.
    pub fn wipe(&mut self) {
        assert!(!self.is_up(), "n{} runs", self.id);
        let next = self.directory.map(|directory| DirectoryId(directory.0 + 1));
        *self = Self {
            directory: next,
            ..Self::new(self.id, self.settings.clone(), Configuration::default(), Image::default(), self.seed)
        };
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.core.is_some()
    }

    fn core(&self) -> &Raft {
        self.core.as_ref().unwrap_or_else(|| panic!("n{} does not run", self.id))
    }

    /// What it says about itself.
    pub fn status(&self) -> Status {
        self.core().status()
    }

    /// Its role.
    pub fn role(&self) -> Role {
        self.core().role()
    }

    /// Its term.
    pub fn term(&self) -> Term {
        self.core().term()
    }

    /// When it wants to be woken, by the test's clock.
    pub fn next_deadline(&self) -> Time {
        match self.core().next_deadline() {
            Time::NEVER => Time::NEVER,
            deadline => Time::from_micros((deadline.as_micros() * 1000).div_ceil(self.clock_per_mille)),
        }
    }

    fn by_its_clock(&self, now: Time) -> Time {
        Time::from_micros(now.as_micros() * self.clock_per_mille / 1000)
    }

    /// Feeds one input to the core, gives the disk, the machine and the streams
    /// their part of the effects, and returns all of them in order.
    pub fn step(&mut self, now: Time, input: Input) -> Vec<Effect> {
        let now = self.by_its_clock(now);
        let core = self.core.as_mut().unwrap_or_else(|| panic!("n{} does not run", self.id));
        let mut effects = Effects::new();
        if let Input::Received { message: Message::InstallSnapshot(install), .. } = &input {
            self.received.insert(install.snapshot.position);
        }
        core.step(now, input, &mut effects);
        let effects: Vec<Effect> = effects.drain().collect();
        for effect in &effects {
            match effect {
                Effect::Persist { seq, hard_state, log } => self.disk.write(*seq, *hard_state, log.clone()),
                Effect::Apply { through } => self.machine.order(*through),
                Effect::Replicate(order) => self.orders.push_back(*order),
                Effect::TakeSnapshot => self.machine.freeze(),
                Effect::SendSnapshot(order) => {
                    self.sending.insert(order.peer);
                    self.snapshot_orders.push_back(*order);
                }
                // What it says comes from the cluster, which knows all snapshots.
                Effect::InstallSnapshot(snapshot) => {
                    let position = snapshot.position;
                    assert!(self.received.contains(&position), "n{} installs {position}, which it dropped", self.id);
                }
                Effect::DropSnapshot { position } => {
                    self.received.remove(position);
                }
                Effect::Halt { violation } => panic!("n{} halts: {violation}", self.id),
                Effect::Send { .. }
                | Effect::Proposed { .. }
                | Effect::MembershipChange { .. }
                | Effect::Transfer { .. }
                | Effect::ReadReady { .. }
                | Effect::ReadRefused { .. }
                | Effect::RoleChanged { .. } => {}
            }
        }
        effects
    }

    /// Carries out the oldest replication order: reads the log as it is *now*.
    /// `Some(Err)` if the log has been overwritten since, so that the order is void.
    pub fn run_order(&mut self) -> Option<Result<(NodeId, Message), ReplicationOrder>> {
        let order = self.orders.pop_front()?;
        let log = self.disk.written();
        if !log.contains(order.through) || !log.contains(order.prev) {
            return Some(Err(order));
        }
        let entries: Entries = log.range(order.prev.index, order.through.index).into_iter().collect();
        let message = Message::AppendEntries(AppendEntries {
            term: order.term,
            prev: order.prev,
            entries,
            commit: order.commit,
            round: order.round,
            rest: false,
            repair: None,
        });
        Some(Ok((order.peer, message)))
    }

    /// Carries out the oldest order for a snapshot: sends the newest, with what it says.
    pub fn run_snapshot_order(&mut self) -> Option<(NodeId, Message)> {
        let SnapshotOrder { peer, term, round, position } = self.snapshot_orders.pop_front()?;
        let snapshot = self.snapshots.newest.as_ref().map(|snapshot| snapshot.meta.clone());
        let snapshot = snapshot.expect("who orders a snapshot to be sent has one");
        assert!(snapshot.position.index >= position.index, "n{} has lost its snapshot of {position}", self.id);
        Some((peer, Message::InstallSnapshot(InstallSnapshot { term, round, snapshot })))
    }

    /// Lets the machine carry out its oldest order.
    pub fn run_machine(&mut self) -> Option<Done> {
        self.machine.run(&self.disk, &self.first_configuration)
    }

    /// What its log says from the first entry on, durable or not.
    pub fn history(&self) -> History<'_> {
        let written = self.disk.written();
        // A snapshot that was stored and is not loaded yet says more than the log.
        let snapshot = self.snapshots.newest.as_ref();
        let prefix = |snapshot: &&Snapshot| snapshot.meta.position.index >= written.base.index;
        History::over(written, snapshot.filter(prefix))
    }

    /// What a restart would find of it, from the first entry on.
    pub fn durable(&self) -> History<'_> {
        History::of(self.disk.durable(), self.snapshots.newest.as_ref())
    }
}
