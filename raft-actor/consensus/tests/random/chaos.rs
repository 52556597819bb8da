//! One random run: a mix of faults drawn from the seed, then recovery.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use raft_consensus::{
    Configuration, Entry, Input, LogPosition, NodeId, Payload, ProposalId, ReadId, Role, Time, TransferOutcome,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::cluster::ReadOutcome;
use crate::support::network::Packet;
use crate::support::{Cluster, Setup, at, membership, node, voters};

use crate::tally::Tally;

mod leases;
mod recovery;
pub(crate) mod snapshots;

use leases::Leases;
use snapshots::Pace;

/// How likely each fault is in this run, per mille of the steps. Drawn anew for each seed, often
/// zero: a run with few kinds of faults gets further than one with all of them.
#[derive(Debug)]
struct Mix {
    drop: u32,
    duplicate: u32,
    reorder: u32,
    partition: u32,
    heal: u32,
    /// A member stands still: it hears and does nothing for a while, and does not know it.
    pause: u32,
    crash: u32,
    restart: u32,
    unreachable: u32,
    propose: u32,
    read: u32,
    /// A change of the membership is asked for.
    change: u32,
    /// The leader dies while one is under way.
    crash_in_change: u32,
    /// Leadership is to be handed over.
    transfer: u32,
    /// How many of 100 turns a disk, a machine or a stream works.
    disk: u32,
    machine: u32,
    streams: u32,
    snapshots: Pace,
    /// Longest pause between two steps.
    pause_us: u64,
    steps: u32,
}

impl Mix {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let mut sometimes = |max: u32| if rng.random_bool(0.6) { rng.random_range(0..=max) } else { 0 };
        Self {
            drop: sometimes(150),
            duplicate: sometimes(100),
            reorder: sometimes(900),
            partition: sometimes(20),
            heal: 5 + sometimes(15),
            pause: sometimes(10),
            crash: sometimes(15),
            restart: 10 + sometimes(30),
            unreachable: sometimes(20),
            propose: 50 + sometimes(200),
            read: 5 + sometimes(60),
            change: sometimes(40),
            crash_in_change: sometimes(100),
            transfer: sometimes(30),
            disk: 10 + sometimes(90),
            machine: 10 + sometimes(90),
            streams: 2 + sometimes(98),
            snapshots: Pace::draw(&mut sometimes),
            pause_us: 1000 + u64::from(sometimes(8_000)),
            steps: 1200,
        }
    }
}

/// Mostly voters only; sometimes with a learner, sometimes in the middle of a change (joint, §6).
fn configuration(count: u64, rng: &mut ChaCha8Rng) -> Configuration {
    let mut configuration = voters(count);
    match rng.random_range(0..4) {
        0 if count > 3 => {
            configuration.voters.remove(&node(count));
            configuration.learners.insert(node(count));
        }
        1 if count > 3 => {
            configuration.voters_outgoing = (1..=3).map(node).collect();
            configuration.voters.remove(&node(1));
        }
        _ => {}
    }
    configuration
}

/// The first entry of all founders: whoever joins learns from the log, or from a snapshot, who they are.
fn founding(configuration: Configuration) -> Entry {
    Entry { position: at(1, 1), payload: Payload::Configuration(Box::new(configuration)) }
}

/// A cluster under random faults.
pub(crate) struct Chaos {
    pub(crate) cluster: Cluster,
    rng: ChaCha8Rng,
    mix: Mix,
    count: u64,
    tally: Tally,
    proposed: BTreeMap<ProposalId, Vec<Bytes>>,
    /// Reads whose member has run ever since.
    asked: BTreeMap<ReadId, NodeId>,
    /// Transfers of leadership whose member has run ever since.
    handing_over: BTreeMap<ProposalId, NodeId>,
    /// Until when members stand still.
    paused: BTreeMap<u64, Time>,
    commands: u64,
    leases: Leases,
}

impl Chaos {
    pub(crate) fn new(count: u64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mix = Mix::draw(&mut rng);
        let spares = rng.random_range(0..=2);
        let mut leases = Leases::draw(seed);
        let founding = founding(configuration(count, &mut rng).with_lease_reads(leases.founding()));
        let setup = (1..=count).fold(Setup::of(count), |setup, n| setup.log(n, vec![founding.clone()]));
        let setup = setup.seed(seed).configuration(Configuration::default()).settings(|settings| {
            settings.election_timeout_ms_min = 100;
            settings.heartbeat_ms = 20;
            settings.append_batch_bytes_max = [1, 100, 1000, 1 << 20][rng.random_range(0..4)];
            settings.inflight_appends_max = [1, 2, 8][rng.random_range(0..3)];
            settings.inflight_bytes_max = [100, 1000, 1 << 20][rng.random_range(0..3)];
            settings.storage_stall_ms_max = [None, Some(150)][rng.random_range(0..2)];
            snapshots::draw_settings(settings, &mut rng);
        });
        let setup = (count + 1..=count + spares).fold(setup, |setup, n| setup.joining(n));
        let mut cluster = setup.start();
        cluster.label = format!("RAFT_SEEDS={seed}..{} with {count} members, {spares} spares; {mix:?}", seed + 1);
        let count = count + spares;
        for n in 1..=count {
            let member = cluster.member_mut(n);
            (member.disk.held, member.machine.held, member.streams_held) = (true, true, true);
            member.snapshots.held = true;
            member.machine.on_disk = rng.random_bool(0.3);
            let clock_per_mille = if rng.random_bool(0.5) { 1000 } else { rng.random_range(700..1400) };
            member.clock_per_mille = leases.clock_per_mille().unwrap_or(clock_per_mille);
        }
        let (tally, proposed, asked, handing_over, paused) = Default::default();
        Self { cluster, rng, mix, count, tally, proposed, asked, handing_over, paused, commands: 0, leases }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    fn happens(&mut self, per_mille: u32) -> bool {
        self.rng.random_range(0..1000) < per_mille
    }

    fn any_member(&mut self) -> u64 {
        self.rng.random_range(1..=self.count)
    }

    /// Any member, but rather often the leader: most of what matters happens there.
    fn leader_or_any(&mut self) -> u64 {
        let leader = self.cluster.leader().filter(|_| self.rng.random_bool(0.5));
        leader.unwrap_or_else(|| self.any_member())
    }

    fn is_up(&self, n: u64) -> bool {
        self.cluster.member(n).is_up()
    }

    /// Whether anything can happen at this member now.
    fn is_awake(&self, n: u64) -> bool {
        self.is_up(n) && self.paused.get(&n).is_none_or(|until| *until <= self.cluster.now)
    }

    /// The faults.
    pub(crate) fn rage(&mut self) {
        for _ in 0..self.mix.steps {
            let pause = self.rng.random_range(0..=self.mix.pause_us);
            self.cluster.now = self.cluster.now.after(Duration::from_micros(pause));
            self.wake();
            self.deadlines();
            for n in 1..=self.count {
                self.let_work(n);
            }
            self.messages();
            self.clients();
            self.accidents();
        }
        self.cluster.trace.push("-- the faults end --".to_owned());
    }

    /// Members that stood still go on, and may see a client before they see how late it is: one that led may
    /// have been replaced meanwhile.
    fn wake(&mut self) {
        for n in 1..=self.count {
            if self.paused.contains_key(&n) && self.is_awake(n) {
                self.paused.remove(&n);
                if self.rng.random_bool(0.7) {
                    self.read(n);
                }
            }
        }
    }

    /// Deadlines that have come, most of them in time.
    fn deadlines(&mut self) {
        for n in 1..=self.count {
            if self.is_awake(n) && self.cluster.member(n).next_deadline() <= self.cluster.now {
                if self.rng.random_range(0..100) < 80 {
                    self.cluster.step(node(n), Input::Deadline);
                } else {
                    self.tally.late_deadlines += 1;
                }
            }
        }
    }

    /// The disk, the machine and the streams of a member, each at the pace of this run.
    fn let_work(&mut self, n: u64) {
        if !self.is_awake(n) {
            return;
        }
        if self.rng.random_range(0..100) < self.mix.streams && !self.cluster.member(n).orders.is_empty() {
            let before = self.cluster.trace.len();
            self.cluster.run_order(node(n));
            let void = self.cluster.trace[before..].iter().any(|line| line.ends_with(": overwritten"));
            self.tally.void_orders += usize::from(void);
        }
        let pending = self.cluster.member(n).disk.pending();
        if self.rng.random_range(0..100) < self.mix.disk && pending > 0 {
            let count = self.rng.random_range(1..=pending);
            self.cluster.sync(node(n), count);
        }
        if self.rng.random_range(0..100) < self.mix.machine && self.cluster.member(n).machine.has_work() {
            self.cluster.run_machine(node(n));
        }
        self.let_snapshots_work(n);
    }

    /// One or a few messages arrive, or do not.
    fn messages(&mut self) {
        let backlog = self.cluster.network.in_flight.len();
        for _ in 0..1 + backlog / 8 {
            let waiting = self.cluster.network.in_flight.len();
            if waiting == 0 {
                return;
            }
            let reorder = self.happens(self.mix.reorder);
            let place = if reorder { self.rng.random_range(0..waiting) } else { 0 };
            self.tally.reordered += usize::from(place > 0);
            let Packet { from, to, message } = self.cluster.network.in_flight[place].clone();
            if self.is_up(to.get()) && !self.is_awake(to.get()) {
                continue;
            }
            if self.happens(self.mix.duplicate) {
                self.tally.duplicated += 1;
            } else {
                self.cluster.network.in_flight.remove(place);
            }
            if self.happens(self.mix.drop) || !self.is_up(to.get()) {
                // A snapshot of which a chunk is lost: the stream notices in the end.
                self.tally.dropped += 1;
            } else {
                self.cluster.step(to, Input::Received { from, message });
            }
        }
    }

    fn clients(&mut self) {
        if self.happens(self.mix.propose) {
            let n = self.leader_or_any();
            self.propose(n);
        }
        if self.happens(self.mix.read) {
            let n = self.leader_or_any();
            if self.is_awake(n) {
                self.read(n);
            }
        }
        if self.happens(self.mix.transfer) {
            let n = self.leader_or_any();
            if self.is_awake(n) {
                self.transfer(n);
            }
        }
        if self.happens(self.mix.change) {
            let n = self.leader_or_any();
            if self.is_awake(n) {
                self.change_membership(n);
            }
        }
    }

    /// Asks a member to hand over its leadership: to any other, also to one that cannot take it.
    fn transfer(&mut self, n: u64) {
        let to = if self.rng.random_bool(0.3) { None } else { Some(self.any_member()) };
        let id = self.cluster.fresh_transfer(n);
        self.handing_over.insert(id, node(n));
        self.cluster.step(node(n), Input::TransferLeadership { id, to: to.map(node) });
    }

    /// Asks for any membership: a few more or less, all replaced, voters as learners and the reverse.
    fn change_membership(&mut self, n: u64) {
        let (mut voters, mut learners) = (Vec::new(), Vec::new());
        for member in 1..=self.count {
            match self.rng.random_range(0..100) {
                0..55 => voters.push(member),
                55..70 => learners.push(member),
                _ => {}
            }
        }
        let id = self.cluster.fresh_proposal();
        let membership = membership(&voters, &learners).lease_reads(self.leases.change());
        self.cluster.step(node(n), Input::ChangeMembership { id, membership });
        assert!(self.cluster.changes.contains_key(&id), "a change is answered at once");
    }

    fn read(&mut self, n: u64) {
        let input = if self.leases.wants_lease() {
            Input::ReadByLease { id: self.cluster.fresh_lease_read() }
        } else {
            Input::Read { id: self.cluster.fresh_read() }
        };
        if let Input::Read { id } | Input::ReadByLease { id } = input {
            self.asked.insert(id, node(n));
        }
        self.cluster.step(node(n), input);
    }

    fn propose(&mut self, n: u64) {
        if !self.is_awake(n) {
            return;
        }
        let batch = self.rng.random_range(1..=4_u64);
        let commands: Vec<Bytes> = (0..batch).map(|i| Bytes::from(format!("c{}", self.commands + i))).collect();
        self.commands += batch;
        let id = self.cluster.fresh_proposal();
        self.proposed.insert(id, commands.clone());
        self.cluster.step(node(n), Input::Propose { id, commands });
        assert!(self.cluster.proposals.contains_key(&id), "a proposal is answered at once");
    }

    fn accidents(&mut self) {
        if self.happens(self.mix.partition) {
            self.tally.partitions += 1;
            let n = self.leader_or_any();
            match self.rng.random_range(0..3) {
                0 => {
                    let to = self.any_member();
                    self.cluster.network.cut(node(n), node(to));
                }
                1 => self.cluster.partition(&[n]),
                _ => {
                    let group: Vec<u64> = (1..=self.count).filter(|_| self.rng.random_bool(0.5)).collect();
                    self.cluster.partition(&group);
                }
            }
        }
        if self.happens(self.mix.heal) {
            self.cluster.heal();
        }
        let (n, peer) = (self.leader_or_any(), self.any_member());
        if self.happens(self.mix.unreachable) && self.is_up(n) && n != peer {
            let is_closed = self.happens(500);
            self.cluster
                .step(node(n), if is_closed { Input::HungUp(node(peer)) } else { Input::Unreachable(node(peer)) });
        }
        if self.happens(self.mix.pause) && self.is_awake(n) {
            self.tally.pauses += 1;
            let pause = Duration::from_millis(self.rng.random_range(20..800));
            self.paused.insert(n, self.cluster.now.after(pause));
        }
        if self.happens(self.mix.crash) && self.is_up(n) {
            self.crash(n);
        }
        if self.happens(self.mix.crash_in_change) && self.leads_a_change(n) {
            self.tally.crashes_in_a_change += 1;
            self.crash(n);
        }
        if self.happens(self.mix.restart) && !self.is_up(peer) {
            self.cluster.restart(peer);
        }
    }

    /// Whether `n` leads, and its latest configuration is not settled or not committed.
    fn leads_a_change(&self, n: u64) -> bool {
        self.is_up(n) && self.cluster.role(n) == Role::Leader && {
            let status = self.cluster.status(n);
            !status.configuration.is_settled() || self.cluster.configured_at(n) > status.commit
        }
    }

    pub(super) fn crash(&mut self, n: u64) {
        self.tally.crashes += 1;
        let pending = self.cluster.member(n).disk.pending();
        if pending > 0 && self.rng.random_bool(0.5) {
            self.tally.torn_writes += 1;
            let (writes, entries) = (self.rng.random_range(0..=pending), self.rng.random_range(0..4));
            self.cluster.disk(node(n)).tear(writes, entries);
        }
        self.cluster.crash(n);
        self.asked.retain(|_, member| *member != node(n));
        self.handing_over.retain(|_, member| *member != node(n));
    }

    fn count_events(&mut self) {
        self.tally.leaders = self.cluster.checker.leaders().len();
        self.tally.committed = self.cluster.checker.committed().get();
        let served = self.cluster.reads.values().filter(|outcome| matches!(outcome, ReadOutcome::Ready(_))).count();
        self.tally.reads_served = served;
        self.tally.reads_served_by_lease = self.cluster.checker.served_by_lease();
        self.tally.reads_refused = self.cluster.reads.len() - served;
        self.count_changes();
        self.count_transfers();
        self.count_snapshots();
        self.tally.truncations = self.cluster.trace.iter().filter(|line| line.contains(" replace ")).count();
    }

    fn count_transfers(&mut self) {
        self.tally.told_to_campaign = self.cluster.checker.told_to_campaign();
        for outcome in self.cluster.transfers.values() {
            match outcome {
                TransferOutcome::Done { .. } => self.tally.transfers += 1,
                TransferOutcome::TimedOut => self.tally.transfers_timed_out += 1,
                TransferOutcome::Superseded { .. } => self.tally.transfers_superseded += 1,
                TransferOutcome::Refused(_) => self.tally.transfers_refused += 1,
            }
        }
    }

    fn count_changes(&mut self) {
        let applied = self.cluster.checker.applied();
        let configurations = applied.iter().filter_map(|entry| match &entry.payload {
            Payload::Configuration(configuration) => Some((entry.position, configuration.is_joint())),
            Payload::Noop | Payload::Command(_) => None,
        });
        let configurations: Vec<(LogPosition, bool)> = configurations.collect();
        let pairs = configurations.windows(2).filter(|pair| pair[0].1);
        self.tally.taken_over = pairs.filter(|pair| pair[0].0.term < pair[1].0.term).count();
        self.tally.changes = configurations.iter().filter(|(_, is_joint)| *is_joint).count();
        self.tally.rolled_back = self.cluster.checker.configurations_written() - configurations.len();
        self.tally.changes_refused = self.cluster.changes.values().filter(|outcome| outcome.is_err()).count();
        let is_removal = |line: &&String| line.contains(" leader => learner");
        self.tally.leaders_removed = self.cluster.trace.iter().filter(is_removal).count();
    }
}
