//! The groups of the simulated hosts: how they begin and end while everything else goes on.
//!
//! Whoever runs a host of several groups has to know which ones it is to serve. Here that is the simulation, which tells
//! each process as soon as it is started, and whenever a group begins or ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_actor::consensus::{GroupId, NodeId};
use raft_actor::log_storage::LogError;
use raft_actor::state_machine::SnapshotError;
use raft_actor::{GroupError, GroupOptions, StartError, StateMachine, StopReason};

use super::checker::Violation;
use super::machine::Watched;
use super::process::{Order, Process};
use super::replay::Replay;
use super::world::Sim;

/// No more groups are ever begun.
const GROUPS_MAX: usize = 6;
/// A group has at least so many founders: one of them may lose its disk.
const FOUNDERS_MIN: usize = 3;
/// How likely the clients of a group that is not the first fall asleep after an answer, in parts of a million, and for how
/// long, in microseconds: long enough for the group to rest.
const SLEEP_PARTS: u32 = 10_000;
const SLEEP_US: std::ops::RangeInclusive<u64> = 300_000..=6_000_000;

/// A group, as its clients know it.
pub(super) struct Group<S: StateMachine> {
    pub(super) id: GroupId,
    pub(super) founders: BTreeSet<NodeId>,
    /// Knows what the machines should say.
    pub(super) replay: Replay<S>,
    /// The servers through which a write was acknowledged.
    pub(super) acked_at: BTreeSet<NodeId>,
    /// No client begins another request.
    pub(super) is_quiet: bool,
    /// Nor does any before this time.
    pub(super) sleeps_until_us: u64,
    /// Where it is to be destroyed, or was.
    pub(super) ends: BTreeMap<NodeId, End>,
    /// Where it was stopped, to be opened again later.
    pub(super) stopped_on: Option<NodeId>,
    /// It is to be destroyed everywhere.
    pub(super) is_over: bool,
}

/// How far the end of a group is on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The server is told so whenever it starts.
    Wanted,
    /// The server has said that it is done, and must remember it.
    Done,
    /// There is nothing that could remember it: the server never had the group, or its disk was wiped.
    Forgotten,
}

impl<S: StateMachine> Group<S> {
    /// Its name in sentences, where that matters.
    pub(super) fn named(&self) -> String {
        if self.id.get() == 1 { String::new() } else { format!(" in group {}", self.id) }
    }
}

impl<S: StateMachine> Sim<S> {
    /// What is said and done from now on is about this group, and not about the first: `leader`, `write`, `seen` and all
    /// the others that are about a group.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn speak_of(&mut self, group: impl Into<GroupId>) {
        let group = group.into();
        let place = self.groups.iter().position(|known| known.id == group);
        self.focus = place.unwrap_or_else(|| panic!("there is no group {group}"));
    }

    pub(super) fn group(&self) -> &Group<S> {
        &self.groups[self.focus]
    }

    pub(super) fn group_mut(&mut self) -> &mut Group<S> {
        &mut self.groups[self.focus]
    }

    /// Does something that is about this group.
    pub(super) fn within<R>(&mut self, group: usize, act: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.focus, group);
        let result = act(self);
        self.focus = before;
        result
    }

    /// Another group begins. Servers that run are not told yet.
    pub(super) fn begin_group(&mut self, founders: BTreeSet<NodeId>) -> GroupId {
        let id = GroupId::new(self.groups.len() as u64 + 1);
        self.judge.begins(id);
        self.groups.push(Group {
            id,
            founders,
            replay: Replay::made_by(self.setup.machine),
            acked_at: BTreeSet::new(),
            is_quiet: false,
            sleeps_until_us: 0,
            ends: BTreeMap::new(),
            stopped_on: None,
            is_over: false,
        });
        id
    }

    /// Begins another group on these servers, while the hosts run. Those that are no founders wait to be added. Returns
    /// its number.
    ///
    /// The cluster has to have several [groups](super::SimCluster::groups).
    pub fn create_group(&mut self, founders: impl IntoIterator<Item = NodeId>) -> GroupId {
        let id = self.begin_group(founders.into_iter().collect());
        self.within(self.groups.len() - 1, |sim| {
            for node in sim.ids() {
                sim.tell_to_serve(node);
            }
        });
        id
    }

    /// Destroys the group on this server, as soon as it runs. That cannot be taken back.
    pub fn destroy_group(&mut self, node: impl Into<NodeId>) {
        let node = node.into();
        if self.group().ends.contains_key(&node) {
            return;
        }
        self.group_mut().ends.insert(node, End::Wanted);
        let id = self.group().id;
        self.judge.destroys(id, node);
        self.tell(node, |_, id, _| Order::Destroy(id));
    }

    /// The group stops on this server at once, whose process goes on, until it is [opened](Self::open_group) again. The cluster
    /// has to have several [groups](super::SimCluster::groups).
    pub fn stop_group(&mut self, node: impl Into<NodeId>) {
        let (node, id) = (node.into(), self.group().id);
        self.group_mut().stopped_on = Some(node);
        if let Some(process) = &mut self.node_mut(node).process {
            process.handles.remove(&id);
        }
    }

    /// See [`stop_group`](Self::stop_group).
    pub fn open_group(&mut self, node: impl Into<NodeId>) {
        let node = node.into();
        if self.group_mut().stopped_on.take_if(|stopped| *stopped == node).is_some() {
            self.tell_to_serve(node);
        }
    }

    /// Whether this server has said that the group is destroyed there.
    pub fn is_destroyed(&self, node: impl Into<NodeId>) -> bool {
        self.group().ends.get(&node.into()) == Some(&End::Done)
    }

    /// A host that does not run is told when it starts.
    fn tell(&self, node: NodeId, order: impl FnOnce(&Self, GroupId, &Process<S>) -> Order<S>) {
        if let Some(process) = &self.node(node).process {
            process.tell(order(self, self.group().id, process));
        }
    }

    fn tell_to_serve(&self, node: NodeId) {
        self.tell(node, |sim, id, process| Order::Serve(id, sim.machine_of(node, process), sim.group_options(node)));
    }

    fn machine_of(&self, node: NodeId, process: &Process<S>) -> Box<Watched<S>> {
        let machine = self.setup.machine.open(process.disk());
        Box::new(Watched::new(machine, (self.group().id, node), self.judge.clone(), self.setup.saves_alike))
    }

    /// One that lost its disk does not found what it founded before.
    fn group_options(&self, node: NodeId) -> GroupOptions {
        let Group { founders, .. } = self.group();
        let options = GroupOptions::default()
            .members(founders.iter().map(|id| (*id, format!("sim:{id}"))))
            .session_lifetime(self.setup.session_lifetime)
            .rest_after(self.setup.settings.rest_after().unwrap_or(Duration::ZERO));
        if founders.contains(&node) && !self.node(node).is_wiped { options } else { options.join() }
    }

    /// A host of several groups was started: it is told what to do.
    pub(super) fn tell_all(&mut self, node: NodeId) {
        for group in 0..self.groups.len() {
            self.within(group, |sim| match sim.group().ends.get(&node) {
                None => sim.tell_to_serve(node),
                Some(End::Wanted) => sim.tell(node, |_, id, _| Order::Destroy(id)),
                Some(End::Done) => sim.tell(node, |sim, id, process| {
                    Order::Revive(id, sim.machine_of(node, process), sim.group_options(node))
                }),
                Some(End::Forgotten) => {}
            });
        }
    }

    /// A host has started and knows of these groups.
    pub(super) fn has_groups(&self, node: NodeId, groups: &[GroupId]) {
        for group in &self.groups {
            if group.ends.get(&node) == Some(&End::Done) && groups.contains(&group.id) {
                let what = format!("n{node} had destroyed group {}, and has it when it starts", group.id);
                self.judge.found("destroyed_for_good", Some(node), what);
            }
        }
    }

    /// A group stopped while its host goes on. If nobody wanted that it is run again.
    pub(super) fn group_stopped(&mut self, node: NodeId, group: GroupId, reason: &StopReason) {
        self.judge.stops(group, node);
        self.tally.group_stops += 1;
        let place = super::judge::place(group);
        let is_held = self.groups[place].stopped_on == Some(node);
        let may_be = match reason {
            StopReason::Log(error) => self.node(node).may_stop_for_log(error),
            StopReason::Snapshot(error) => self.node(node).may_say_of_snapshot(error),
            StopReason::Machine(_) => self.node(node).disk_has_failed(),
            StopReason::ShutDown => true,
            StopReason::Dropped => is_held,
            _ => false,
        };
        if !may_be {
            self.judge.found("stop", Some(node), format!("group {group} of n{node} stopped: {reason}"));
        }
        if !self.node(node).is_leaving && !is_held && !self.groups[place].ends.contains_key(&node) {
            self.within(place, |sim| sim.tell_to_serve(node));
        }
    }

    /// A group does not start. Returns whether that is a reason to start the whole server anew.
    pub(super) fn group_fails(&mut self, node: NodeId, group: GroupId, error: &GroupError) -> bool {
        let damaged = self.node(node).disk_is_damaged;
        let may_be = match error {
            // Whoever waits for it to end is told so.
            GroupError::HostStopped => return false,
            GroupError::Start(StartError::Log(LogError::Damaged { .. }) | StartError::NobodyToRepair { .. }) => damaged,
            GroupError::Start(StartError::Snapshot(error)) => self.node(node).may_say_of_snapshot(error),
            GroupError::Start(StartError::Log(_) | StartError::Machine(_)) => self.node(node).disk_has_failed(),
            _ => false,
        };
        if !may_be {
            self.judge.found("start", Some(node), format!("group {group} of n{node} does not start: {error}"));
        }
        let is_refused = matches!(
            error,
            GroupError::Start(
                StartError::Log(LogError::Damaged { .. })
                    | StartError::Snapshot(SnapshotError::Damaged { .. })
                    | StartError::NobodyToRepair { .. }
            )
        );
        self.node_mut(node).is_lost |= is_refused && may_be;
        true
    }

    /// What became of the order to destroy a group. Returns whether it is a reason to start the whole server anew.
    pub(super) fn group_destroyed(&mut self, node: NodeId, group: GroupId, result: Result<(), GroupError>) -> bool {
        let end = match result {
            // It may be done before a crash, and known only after it.
            Ok(()) | Err(GroupError::Destroyed { .. }) => {
                self.judge.has_destroyed(group, node);
                self.tally.groups_destroyed += 1;
                End::Done
            }
            // A host that never had it.
            Err(GroupError::Unknown { .. }) => End::Forgotten,
            Err(error) => return self.group_fails(node, group, &error),
        };
        self.groups[super::judge::place(group)].ends.insert(node, end);
        false
    }

    /// Somebody tried to have a group again that was destroyed.
    pub(super) fn group_revived(&self, node: NodeId, group: GroupId, result: Result<(), GroupError>) {
        let what = match result {
            Err(GroupError::Destroyed { .. } | GroupError::HostStopped) => return,
            Err(error) => error.to_string(),
            Ok(()) => "it begins again".to_owned(),
        };
        let what = format!("n{node} had destroyed group {group}, and is asked to begin it: {what}");
        self.judge.found("destroyed_for_good", Some(node), what);
    }

    /// The disk of a server was emptied: it does not remember what was destroyed there either.
    pub(super) fn forget_tombs(&mut self, node: NodeId) {
        self.groups.iter_mut().filter_map(|group| group.ends.get_mut(&node)).for_each(|end| *end = End::Forgotten);
    }

    /// A group begins or ends, somewhere or everywhere.
    pub(super) fn change_groups(&mut self, victim: NodeId, how: u64) {
        let founders: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|node| node.id.get() <= self.setup.founders && node.is_sound())
            .map(|node| node.id)
            .collect();
        let alive = self.groups.iter().filter(|group| !group.is_over).count();
        match how % 4 {
            0 | 1 if self.groups.len() < GROUPS_MAX && founders.len() >= FOUNDERS_MIN => {
                self.create_group(founders);
                self.tally.groups_begun += 1;
                self.within(self.groups.len() - 1, |sim| sim.add_clients(sim.setup.clients));
            }
            2 if alive > 2 && self.focus > 0 && !self.group().is_over => {
                self.group_mut().is_over = true;
                self.ids().into_iter().for_each(|node| self.destroy_group(node));
            }
            _ if self.focus > 0 && self.can_bear_to_lose(victim) => self.destroy_group(victim),
            _ => {}
        }
    }

    /// The clients of a group that is not the first ask for nothing now and then, all of them.
    pub(super) fn may_fall_asleep(&mut self) {
        if self.focus > 0 && self.chance.happens(SLEEP_PARTS) {
            let until_us = self.now_us() + self.chance.between(SLEEP_US);
            self.group_mut().sleeps_until_us = until_us;
        }
    }

    /// After the faults all that was to be destroyed is, and nobody runs it.
    pub(super) fn check_tombs(&mut self, limit: Duration) -> Result<(), Violation> {
        for place in 0..self.groups.len() {
            self.within(place, |sim| {
                sim.check(limit, "a group is destroyed after the faults", |sim| {
                    sim.group().ends.iter().all(|(node, end)| *end != End::Wanted || sim.node(*node).is_lost)
                })?;
                let gone = sim.running().into_iter().find(|seen| sim.group().ends.contains_key(&seen.node));
                match gone {
                    None => Ok(()),
                    Some(seen) => {
                        let what = format!("group {} runs where it was destroyed: {seen}", sim.group().id);
                        Err(Violation { invariant: "destroyed_for_good", node: Some(seen.node), what })
                    }
                }
            })?;
        }
        Ok(())
    }
}
