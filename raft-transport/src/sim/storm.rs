//! Carries out the faults of a plan, and mends what they broke.

use raft_actor::StateMachine;
use raft_actor::consensus::{NodeId, Role};

use super::chance::Chance;
use super::faults::{DELAY_US, Fault, FaultKind};
use super::network::Link;
use super::time::Pace;
use super::world::{Event, Node, SYNC, Sim, place};

/// What has to be done to mend a fault.
pub(super) enum Repair {
    Links(Vec<Link>),
    Noise,
    Resume(NodeId, u64),
    Sync(NodeId),
    Apply(NodeId),
    Room(NodeId),
    Rate(NodeId),
    Hurry,
    /// First the one, then the other.
    Both(Box<(Self, Self)>),
    /// The power goes.
    Power(NodeId),
    /// The storm goes on: another fault of the kind follows until its time is over.
    Restarts,
}

/// Each fault has chances of its own; this is the purpose of the first.
const FAULTS_FROM: u64 = 1 << 32;
/// Some time in which a slow disk is in the middle of a sync.
const POWER_GOES_AFTER_US: u64 = 60_000;
/// Clients hurry for a short time: each of them asks as much as dozens.
const HURRY_US_MAX: u64 = 600_000;
/// So many requests go to a leader that was cut off.
const CROWD: u32 = 80;

impl Repair {
    /// How long it takes until it comes, for a fault that is to last this long.
    fn lasts_us(&self, duration_us: u64) -> u64 {
        match self {
            Self::Power(_) => duration_us % POWER_GOES_AFTER_US,
            Self::Hurry => duration_us.min(HURRY_US_MAX),
            _ => duration_us,
        }
    }
}

impl<S: StateMachine> Sim<S> {
    /// Plans these faults.
    pub(super) fn plan_faults(&mut self, faults: &[Fault]) {
        for fault in faults {
            // Not from the chances of the network: a fault more or less is to change nothing before it happens.
            let mut chance = Chance::of(self.setup.seed, FAULTS_FROM + fault.number as u64);
            self.schedule.add(fault.at_us, Event::Break(fault.clone()), chance.rng());
        }
    }

    /// Something breaks. If it lasts, its end is planned.
    pub(super) fn break_by(&mut self, fault: Fault) {
        if let Some(repair) = self.strike(&fault) {
            let lasts_us = repair.lasts_us(fault.duration_us);
            self.repairs.insert(fault.number, repair);
            self.plan(lasts_us, Event::Mend(fault));
        }
    }

    pub(super) fn mend_from(&mut self, fault: Fault) {
        if let Some(repair) = self.repairs.remove(&fault.number) {
            self.repair(repair);
        }
    }

    /// The server that a die chooses: as often as not the leader, since nothing hurts more.
    fn victim(&self, die: u64) -> NodeId {
        let any = NodeId::from(die / 2 % self.nodes.len() as u64 + 1);
        if die.is_multiple_of(2) { self.leader().unwrap_or(any) } else { any }
    }

    fn strike(&mut self, fault: &Fault) -> Option<Repair> {
        let [who, how, more] = fault.dice;
        let victim = self.victim(who);
        match fault.kind {
            FaultKind::Loss => {
                self.noise.loss = 10_000 + (how % 290_000) as u32;
                Some(Repair::Noise)
            }
            FaultKind::Repetition => {
                self.noise.repetition = 10_000 + (how % 190_000) as u32;
                Some(Repair::Noise)
            }
            FaultKind::Delay => {
                self.noise.lateness = 1_000 + (how % 50_000) as u32;
                self.noise.lateness_in_elections = 100_000 + (how / 50_000 % 400_000) as u32;
                self.noise.holding = (how / 20_000_000_000 % 400_000) as u32;
                self.noise.late_us_max = 10_000 + more % 2_000_000;
                Some(Repair::Noise)
            }
            FaultKind::Reordering => {
                self.noise.delay_us = *DELAY_US.start()..=1_000 + how % 50_000;
                Some(Repair::Noise)
            }
            FaultKind::Partition | FaultKind::OneWayPartition | FaultKind::Bridge | FaultKind::LeaderIsolation => {
                self.cut_some(fault, victim)
            }
            FaultKind::Crash
            | FaultKind::PowerLoss
            | FaultKind::RestartStorm
            | FaultKind::Pause
            | FaultKind::SlowMachine
            | FaultKind::RetryStorm => self.strike_process(fault, victim),
            FaultKind::FailedSync
            | FaultKind::StalledSync
            | FaultKind::FailedRead
            | FaultKind::SlowDisk
            | FaultKind::FullDisk
            | FaultKind::BitFlip
            | FaultKind::WipedDisk => self.strike_disk(fault, victim),
            FaultKind::ClockJump => {
                self.leap(victim, how);
                None
            }
            FaultKind::ClockDrift => {
                self.drift(victim, how);
                Some(Repair::Rate(victim))
            }
            FaultKind::LeadershipTransfer => {
                let any = NodeId::from(more % self.nodes.len() as u64 + 1);
                if self.setup.members_change && more & 2 == 2 {
                    // It is under way when the leader stops to append anything.
                    self.change_by_chance(victim, how >> 8);
                }
                let to = (!how.is_multiple_of(4)).then(|| NodeId::from(how / 4 % self.nodes.len() as u64 + 1));
                self.transfer_leadership(if more.is_multiple_of(2) { victim } else { any }, to);
                // Whoever is to campaign may not hear so, and the leader stays.
                let (from, to) = (self.leader()?, to.filter(|_| more & 4 == 4)?);
                self.network.cut((from, to));
                Some(Repair::Links(vec![(from, to)]))
            }
            FaultKind::CleanShutdown => {
                self.shut_down(victim);
                None
            }
            FaultKind::MembershipChange => {
                let any = NodeId::from(more % self.nodes.len() as u64 + 1);
                self.change_by_chance(if more.is_multiple_of(2) { victim } else { any }, how);
                None
            }
        }
    }

    fn cut_some(&mut self, fault: &Fault, victim: NodeId) -> Option<Repair> {
        let [_, how, _] = fault.dice;
        let ids = self.ids();
        // Bit by bit who belongs to which side.
        let side = |id: NodeId| how >> (id.get() % 64) & 1 == 1;
        let is_cut = |(from, to): Link| match fault.kind {
            FaultKind::OneWayPartition => from == victim && (how.is_multiple_of(2) || side(to)),
            FaultKind::Bridge => from != victim && to != victim && side(from) != side(to),
            FaultKind::LeaderIsolation => from == victim || to == victim,
            _ => side(from) != side(to),
        };
        if fault.kind == FaultKind::LeaderIsolation && self.leader() != Some(victim) {
            return None;
        }
        let links: Vec<Link> = ids
            .iter()
            .flat_map(|from| ids.iter().map(move |to| (*from, *to)))
            .filter(|link| link.0 != link.1 && is_cut(*link))
            .collect();
        if links.is_empty() {
            return None;
        }
        self.tally.count(fault.kind);
        links.iter().for_each(|link| self.network.cut(*link));
        let repair = Repair::Links(links);
        if fault.kind != FaultKind::LeaderIsolation {
            return Some(repair);
        }
        Some(self.hurt_further(fault, victim, repair))
    }

    /// What a leader begins while it is cut off will have to be undone: a change of the membership; more writes than
    /// the others will do before they take a snapshot; writes that its disk is still busy with when others lead already.
    fn hurt_further(&mut self, fault: &Fault, leader: NodeId, repair: Repair) -> Repair {
        let [_, how, more] = fault.dice;
        if self.setup.members_change && how & 1 == 1 {
            self.change_by_chance(leader, more);
        }
        if how & 4 == 4 {
            self.crowd = Some((leader, CROWD));
        }
        if how & 2 == 2 {
            return repair;
        }
        let max_us = 200_000 + more % 1_500_000;
        self.node(leader).clock.set_sync(Pace { min_us: max_us / 2, max_us });
        Repair::Both(Box::new((repair, Repair::Sync(leader))))
    }

    fn strike_process(&mut self, fault: &Fault, victim: NodeId) -> Option<Repair> {
        let [_, how, _] = fault.dice;
        match fault.kind {
            FaultKind::Crash | FaultKind::PowerLoss if !self.is_up(victim) => None,
            FaultKind::Crash if how.is_multiple_of(2) => {
                // In the middle of what it does with its disk; its end is noticed when it comes.
                self.node_mut(victim).disk_may_fail = true;
                self.node(victim).disk.kill_process_after((how / 2 % 12) as u32);
                self.tally.count(fault.kind);
                None
            }
            FaultKind::Crash => {
                self.tally.count(fault.kind);
                self.crash(victim);
                self.plan_start(victim);
                None
            }
            FaultKind::PowerLoss => {
                // A disk that is slow now makes it likely that the power goes in the middle of a sync.
                self.node(victim).clock.set_sync(Pace { min_us: POWER_GOES_AFTER_US / 2, max_us: POWER_GOES_AFTER_US });
                Some(Repair::Power(victim))
            }
            FaultKind::RestartStorm => {
                for id in self.ids() {
                    if self.is_up(id) && how >> (id.get() % 64) & 3 != 0 {
                        self.tally.count(fault.kind);
                        self.crash(id);
                        self.plan_start(id);
                    }
                }
                (fault.duration_us > 400_000).then_some(Repair::Restarts)
            }
            FaultKind::Pause if self.is_up(victim) => {
                self.tally.count(fault.kind);
                self.pause(victim);
                Some(Repair::Resume(victim, self.node(victim).run))
            }
            FaultKind::SlowMachine => {
                self.tally.count(fault.kind);
                let max_us = 500 + how % 20_000;
                self.node(victim).clock.set_apply(Pace { min_us: max_us / 4, max_us });
                Some(Repair::Apply(victim))
            }
            FaultKind::RetryStorm => {
                self.hurries += 1;
                Some(Repair::Hurry)
            }
            _ => None,
        }
    }

    fn strike_disk(&mut self, fault: &Fault, victim: NodeId) -> Option<Repair> {
        let [_, how, more] = fault.dice;
        match fault.kind {
            FaultKind::FailedSync => {
                self.node_mut(victim).disk_may_fail = true;
                self.node(victim).disk.fail_next_sync();
                None
            }
            FaultKind::FailedRead => {
                self.node_mut(victim).disk_may_fail = true;
                self.node(victim).disk.fail_next_read();
                None
            }
            FaultKind::StalledSync => {
                self.tally.count(fault.kind);
                let min_us = 1_000_000 + how % 4_000_000;
                self.node(victim).clock.set_sync(Pace { min_us, max_us: min_us });
                Some(Repair::Sync(victim))
            }
            FaultKind::SlowDisk => {
                self.tally.count(fault.kind);
                let max_us = 2_000 + how % 100_000;
                self.node(victim).clock.set_sync(Pace { min_us: max_us / 10, max_us });
                Some(Repair::Sync(victim))
            }
            FaultKind::FullDisk => {
                let node = self.node_mut(victim);
                node.disk_may_fail = true;
                node.disk.set_room(Some(how % 3_000));
                Some(Repair::Room(victim))
            }
            FaultKind::BitFlip if self.may_lose_a_server(victim) => {
                let is_unbearable = !self.can_bear_to_lose(victim);
                if self.flip_a_bit(victim, how, more) {
                    self.tally.count(fault.kind);
                    self.tally.unbearable_losses += u64::from(is_unbearable);
                }
                None
            }
            FaultKind::WipedDisk if self.may_lose_a_server(victim) => {
                self.tally.count(fault.kind);
                self.tally.unbearable_losses += u64::from(!self.can_bear_to_lose(victim));
                self.wipe(victim);
                self.plan_start(victim);
                None
            }
            _ => None,
        }
    }

    fn repair(&mut self, repair: Repair) {
        match repair {
            Repair::Links(links) => links.into_iter().for_each(|link| self.network.mend(link)),
            Repair::Noise => self.noise = Default::default(),
            Repair::Resume(id, run) => {
                if self.node(id).run == run {
                    self.resume(id);
                }
            }
            Repair::Both(both) => {
                self.repair(both.0);
                self.repair(both.1);
            }
            Repair::Sync(id) => self.node(id).clock.set_sync(SYNC),
            Repair::Apply(id) => self.node(id).clock.set_apply(Pace::INSTANT),
            Repair::Room(id) => self.node(id).disk.set_room(None),
            Repair::Rate(id) => {
                self.node(id).clock.set_right();
                self.arm(place(id));
            }
            Repair::Hurry => self.hurries = self.hurries.saturating_sub(1),
            Repair::Power(id) => {
                self.node(id).clock.set_sync(SYNC);
                if self.is_up(id) {
                    self.tally.count(FaultKind::PowerLoss);
                    self.crash_machine(id);
                    self.plan_start(id);
                }
            }
            Repair::Restarts => {
                for id in self.ids() {
                    if self.is_up(id) {
                        self.tally.count(FaultKind::RestartStorm);
                        self.crash(id);
                        self.plan_start(id);
                    }
                }
            }
        }
    }

    /// Everything that broke is mended, and every server that can run does.
    pub fn mend_all(&mut self) {
        self.schedule.retain(|event| !matches!(event, Event::Break(_) | Event::Mend(_)));
        for (_, repair) in std::mem::take(&mut self.repairs) {
            if !matches!(repair, Repair::Restarts | Repair::Power(_)) {
                self.repair(repair);
            }
        }
        self.network.mend_all();
        self.noise = Default::default();
        self.drop_held();
        self.hurries = 0;
        self.crowd = None;
        for id in self.ids() {
            let node = self.node_mut(id);
            node.pauses = 0;
            node.disk.clear_orders();
            node.disk.set_room(None);
            node.clock.set_right();
            node.clock.set_sync(SYNC);
            node.clock.set_apply(Pace::INSTANT);
            self.start(id);
            self.arm(place(id));
        }
    }

    fn may_lose_a_server(&self, victim: NodeId) -> bool {
        if !self.setup.majority_may_be_lost {
            return self.can_bear_to_lose(victim);
        }
        // Where nobody is left who knows that there was a cluster, the next start is a first start.
        let knows = |node: &Node<S>| node.id.get() <= self.setup.founders && node.id != victim && node.is_sound();
        self.node(victim).is_sound() && self.nodes.iter().any(knows)
    }

    /// Whether the others could go on without this server.
    fn can_bear_to_lose(&self, victim: NodeId) -> bool {
        let lost = self.nodes.iter().filter(|node| node.id != victim && !node.is_sound()).count();
        // Where the membership changes, three of the servers may be all the voters there are.
        let voters = if self.setup.members_change { 3 } else { self.nodes.len() };
        (lost + 1) * 2 < voters && self.node(victim).is_sound()
    }

    /// The server that leads the latest term, as far as anybody can tell.
    pub fn leader(&self) -> Option<NodeId> {
        let leading = self.judge.running().into_iter().filter(|seen| seen.role == Role::Leader);
        leading.max_by_key(|seen| seen.term).map(|seen| seen.node)
    }
}
