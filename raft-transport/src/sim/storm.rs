//! Carries out the faults of a plan, and mends what they broke.

use raft_actor::StateMachine;
use raft_actor::consensus::{NodeId, Role};

use super::chance::Chance;
use super::faults::{DELAY_US, Fault, FaultKind, Noise};
use super::groups::Group;
use super::in_force::{Broken, InForce};
use super::network::Link;
use super::process::Process;
use super::time::Pace;
use super::world::{Event, Node, Sim};

/// What has to be done to mend a fault.
pub(super) enum Repair {
    Links(Cut),
    Noise,
    Resume(NodeId, u64),
    Sync(Slow),
    Apply(Slow),
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

/// Links that are cut.
pub(super) struct Cut {
    links: Vec<Link>,
    /// What it counts as when it meets its first message.
    kind: Option<FaultKind>,
}

/// A server that takes its time.
pub(super) struct Slow {
    node: NodeId,
    /// How much it had begun before.
    begun: u64,
    /// What it counts as if it begins anything meanwhile.
    kind: Option<FaultKind>,
}

/// Each fault has chances of its own; this is the purpose of the first.
const FAULTS_FROM: u64 = 1 << 32;
/// Some time in which a slow disk is in the middle of a sync.
const POWER_GOES_AFTER_US: u64 = 60_000;
/// Clients hurry for a short time: each of them asks as much as dozens.
const HURRY_US_MAX: u64 = 600_000;
/// Bits flip as often in so many of the latest entries as in all of them.
const LATEST: usize = 16;
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

    /// A message was cut off on this link. What to count, if that is the first that this fault met.
    fn meets(&mut self, link: Link) -> Option<FaultKind> {
        match self {
            Self::Links(cut) if cut.links.contains(&link) => cut.kind.take(),
            Self::Both(both) => both.0.meets(link).or_else(|| both.1.meets(link)),
            _ => None,
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
            self.repair(fault.number, repair);
        }
    }

    /// A message was cut off on this link.
    pub(super) fn meets_a_cut(&mut self, link: Link) {
        for repair in self.repairs.values_mut() {
            if let Some(kind) = repair.meets(link) {
                self.tally.count(kind);
            }
        }
    }

    fn make_noise(&mut self, fault: &Fault, noise: Noise) -> Option<Repair> {
        self.noises.begins(fault.number, noise);
        self.keep_noise();
        Some(Repair::Noise)
    }

    fn slow_syncs(&mut self, fault: &Fault, id: NodeId, pace: Pace, kind: Option<FaultKind>) -> Repair {
        let node = self.node_mut(id);
        node.broken.sync.begins(fault.number, pace);
        node.keep_pace();
        Repair::Sync(Slow { node: id, begun: node.clock.syncs(), kind })
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
                self.make_noise(fault, Noise { loss: 10_000 + (how % 290_000) as u32, ..Noise::default() })
            }
            FaultKind::Repetition => {
                self.make_noise(fault, Noise { repetition: 10_000 + (how % 190_000) as u32, ..Noise::default() })
            }
            FaultKind::Delay => self.make_noise(
                fault,
                Noise {
                    lateness: 1_000 + (how % 50_000) as u32,
                    lateness_in_elections: 100_000 + (how / 50_000 % 400_000) as u32,
                    holding: (how / 20_000_000_000 % 400_000) as u32,
                    late_us_max: 10_000 + more % 2_000_000,
                    ..Noise::default()
                },
            ),
            FaultKind::Reordering => {
                let delay_us = *DELAY_US.start()..=1_000 + how % 50_000;
                self.make_noise(fault, Noise { delay_us, ..Noise::default() })
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
                self.drift(fault.number, victim, how);
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
                Some(Repair::Links(Cut { links: vec![(from, to)], kind: None }))
            }
            FaultKind::CleanShutdown => {
                self.shut_down(victim);
                None
            }
            FaultKind::MembershipChange if self.setup.groups > 1 && more & 4 == 4 => {
                self.change_groups(victim, how);
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
        links.iter().for_each(|link| self.network.cut(*link));
        if how >> 20 & 3 == 0 {
            // As something on the way does that closes connections instead of forgetting what is sent on them.
            links.iter().for_each(|link| self.network.reset(*link));
        }
        let repair = Repair::Links(Cut { links, kind: Some(fault.kind) });
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
        let slow = self.slow_syncs(fault, leader, Pace { min_us: max_us / 2, max_us }, None);
        Repair::Both(Box::new((repair, slow)))
    }

    fn strike_process(&mut self, fault: &Fault, victim: NodeId) -> Option<Repair> {
        let [_, how, _] = fault.dice;
        match fault.kind {
            FaultKind::Crash | FaultKind::PowerLoss if !self.is_up(victim) => None,
            FaultKind::Crash if how.is_multiple_of(2) => {
                // In the middle of what it does with its disk; its end is noticed when it comes.
                self.node(victim).disk.kill_process_after((how / 2 % 12) as u32);
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
                let pace = Pace { min_us: POWER_GOES_AFTER_US / 2, max_us: POWER_GOES_AFTER_US };
                self.slow_syncs(fault, victim, pace, None);
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
                self.pause(victim);
                Some(Repair::Resume(victim, self.node(victim).run))
            }
            FaultKind::SlowMachine => {
                let max_us = 500 + how % 20_000;
                let node = self.node_mut(victim);
                node.broken.apply.begins(fault.number, Pace { min_us: max_us / 4, max_us });
                node.keep_pace();
                let (begun, kind) = (node.clock.applies(), Some(fault.kind));
                Some(Repair::Apply(Slow { node: victim, begun, kind }))
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
                self.node(victim).disk.fail_next_sync();
                None
            }
            FaultKind::FailedRead => {
                self.node(victim).disk.fail_next_read();
                None
            }
            FaultKind::StalledSync => {
                let min_us = 1_000_000 + how % 4_000_000;
                Some(self.slow_syncs(fault, victim, Pace { min_us, max_us: min_us }, Some(fault.kind)))
            }
            FaultKind::SlowDisk => {
                let max_us = 2_000 + how % 100_000;
                Some(self.slow_syncs(fault, victim, Pace { min_us: max_us / 10, max_us }, Some(fault.kind)))
            }
            FaultKind::FullDisk => {
                let node = self.node_mut(victim);
                node.broken.room.begins(fault.number, ());
                node.disk.set_room(Some(how % 3_000));
                Some(Repair::Room(victim))
            }
            FaultKind::BitFlip if self.may_lose_a_server(victim) => {
                let is_unbearable = !self.can_bear_to_lose(victim);
                // Mostly nobody notices at once.
                let is_flipped = match how % 4 {
                    0 => self.flip_a_bit(victim, how / 4, more),
                    1 if self.flip_in_a_snapshot(victim, more) => true,
                    // What was written last is what others most likely need yet.
                    2 => self.flip_under_a_process(victim, LATEST, how / 4, more),
                    _ => self.flip_under_a_process(victim, usize::MAX, how / 4, more),
                };
                if is_flipped {
                    self.tally.unbearable_losses += u64::from(is_unbearable);
                }
                None
            }
            FaultKind::WipedDisk if self.may_lose_a_server(victim) => {
                self.tally.unbearable_losses += u64::from(!self.can_bear_to_lose(victim));
                self.wipe(victim);
                self.plan_start(victim);
                None
            }
            _ => None,
        }
    }

    fn repair(&mut self, fault: usize, repair: Repair) {
        match repair {
            Repair::Links(cut) => cut.links.into_iter().for_each(|link| self.network.mend(link)),
            Repair::Noise => {
                self.noises.ends(fault);
                self.keep_noise();
            }
            Repair::Resume(id, run) => {
                if self.node(id).run == run {
                    // Something has waited for it.
                    let is_missed = self.node(id).process.as_ref().is_some_and(Process::wants_turn);
                    self.tally.add(FaultKind::Pause, u64::from(is_missed));
                    self.resume(id);
                }
            }
            Repair::Both(both) => {
                self.repair(fault, both.0);
                self.repair(fault, both.1);
            }
            Repair::Sync(slow) => {
                let node = self.node_mut(slow.node);
                node.broken.sync.ends(fault);
                node.keep_pace();
                let begun = node.clock.syncs();
                self.count_slow(&slow, begun);
            }
            Repair::Apply(slow) => {
                let node = self.node_mut(slow.node);
                node.broken.apply.ends(fault);
                node.keep_pace();
                let begun = node.clock.applies();
                self.count_slow(&slow, begun);
            }
            Repair::Room(id) => {
                let node = self.node_mut(id);
                node.broken.room.ends(fault);
                if node.broken.room.is_empty() {
                    node.disk.set_room(None);
                }
            }
            Repair::Rate(id) => {
                self.node_mut(id).broken.rate.ends(fault);
                self.keep_time(id);
            }
            Repair::Hurry => self.hurries = self.hurries.saturating_sub(1),
            Repair::Power(id) => {
                let node = self.node_mut(id);
                node.broken.sync.ends(fault);
                node.keep_pace();
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

    /// Slowness that nothing met is none.
    fn count_slow(&mut self, slow: &Slow, begun: u64) {
        if let Some(kind) = slow.kind.filter(|_| begun > slow.begun) {
            self.tally.count(kind);
        }
    }

    /// Everything that broke is mended, and every server that can run does.
    pub fn mend_all(&mut self) {
        self.schedule.retain(|event| !matches!(event, Event::Break(_) | Event::Mend(_)));
        for (fault, repair) in std::mem::take(&mut self.repairs) {
            if !matches!(repair, Repair::Restarts | Repair::Power(_)) {
                self.repair(fault, repair);
            }
        }
        self.network.mend_all();
        self.noises = InForce::default();
        self.keep_noise();
        self.drop_held();
        self.hurries = 0;
        self.crowd = None;
        for id in self.ids() {
            let node = self.node_mut(id);
            node.pauses = 0;
            node.disk.clear_orders();
            node.disk.set_room(None);
            node.broken = Broken::default();
            node.keep_pace();
            self.start(id);
            self.keep_time(id);
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
    pub(super) fn can_bear_to_lose(&self, victim: NodeId) -> bool {
        // Where the membership changes, three of the servers may be all the voters there are.
        let voters = if self.setup.members_change { 3 } else { self.nodes.len() };
        let bears = |group: &Group<S>| {
            let is_lost = |node: &&Node<S>| !node.is_sound() || group.ends.contains_key(&node.id);
            let lost = self.nodes.iter().filter(|node| node.id != victim).filter(is_lost).count();
            (lost + 1) * 2 < voters
        };
        self.node(victim).is_sound() && self.groups.iter().filter(|group| !group.is_over).all(bears)
    }

    /// The server that leads the latest term, as far as anybody can tell.
    pub fn leader(&self) -> Option<NodeId> {
        let leading = self.running().into_iter().filter(|seen| seen.role == Role::Leader);
        leading.max_by_key(|seen| seen.term).map(|seen| seen.node)
    }
}
