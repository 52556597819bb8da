//! Starting, stopping, crashing and pausing servers.

use std::sync::Arc;

use raft_actor::clock::Clock;
use raft_actor::consensus::NodeId;
use raft_actor::log_storage::LogError;
use raft_actor::state_machine::SnapshotError;
use raft_actor::{Placement, RaftHost, StartError, StateMachine, StopReason};

use super::disks::GROUP;
use super::faults::{FaultKind, Tally};
use super::machine::Watched;
use super::process::{Handle, News, Process};
use super::world::{Event, Node, Sim, place};

/// Where a server keeps its log on its disk.
pub(super) const DATA_DIRECTORY: &str = "/data";
/// Small segments, so that a short run sees many of them.
const SEGMENT_BYTES: u64 = 64 << 10;
/// How long whoever watches over a process takes to start it again, in microseconds.
const START_AGAIN_US: std::ops::RangeInclusive<u64> = 5_000..=400_000;

impl<S: StateMachine> Node<S> {
    pub(super) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether its disk has forgotten nothing.
    pub(super) fn is_sound(&self) -> bool {
        !self.is_lost && !self.is_wiped && !self.disk_is_damaged && !self.rot.is_in_snapshot()
    }

    /// Whether it has lost something that its peers are to give back.
    pub(super) fn may_be_repaired(&self) -> bool {
        self.disk_is_damaged && !self.is_lost && !self.is_wiped
    }

    pub(super) fn wants_turn(&self) -> bool {
        self.pauses == 0 && self.process.as_ref().is_some_and(Process::wants_turn)
    }
}

impl<S: StateMachine> Sim<S> {
    /// The servers' ids, running or not.
    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Whether a process runs on this server.
    pub fn is_up(&self, node: impl Into<NodeId>) -> bool {
        self.node(node.into()).is_up()
    }

    /// Whether this server refuses to start, since its disk is damaged and its peers cannot repair it: only an operator
    /// could help.
    pub fn is_lost(&self, node: impl Into<NodeId>) -> bool {
        self.node(node.into()).is_lost
    }

    /// Why this server's process last ended by itself, or refused to start.
    pub fn last_words(&self, node: impl Into<NodeId>) -> Option<&str> {
        self.node(node.into()).last_words.as_deref()
    }

    /// Starts a server's process. Nothing happens if it runs already.
    pub fn start(&mut self, node: impl Into<NodeId>) {
        self.start_in(node, "simulated");
    }

    /// Starts a server's process as one of another cluster, with the addresses of this one: somebody has mixed them up.
    pub fn start_in(&mut self, node: impl Into<NodeId>, cluster: &str) {
        let id = node.into();
        if self.node(id).is_up() || self.node(id).is_lost {
            return;
        }
        let seed = self.chance.number();
        let founders = 1..=self.setup.founders;
        let peers: Vec<_> = founders.clone().map(|peer| (peer, format!("sim:{peer}"))).collect();
        let joins = !founders.contains(&id.get());
        let node = &mut self.nodes[place(id)];
        node.run += 1;
        node.failures_before = node.disk_failures();
        node.rot.process_starts();
        let (run, disk) = (node.run, node.disk.process());
        self.judge.starts(id, run);
        let maker = self.setup.machine;
        let machine = |disk| Watched::new(maker.open(disk), (GROUP, id), self.judge.clone(), self.setup.saves_alike);
        let machine = (self.setup.groups == 1).then(|| machine(&disk));
        let builder = RaftHost::builder()
            .node(id)
            .cluster(cluster)
            .transport(self.network.transport(id, node.run, self.setup.piece_bytes_max))
            .peers(peers)
            .disk(Arc::clone(&disk))
            .data_dir(DATA_DIRECTORY)
            .log_segment_bytes(SEGMENT_BYTES)
            .log_cache_bytes(self.setup.log_cache_bytes)
            .clock(Clock::of(Arc::clone(&node.clock) as _))
            .observer(self.judge.observer(id, Arc::clone(&node.clock)))
            .settings(self.setup.settings.clone())
            .lease_reads(self.setup.lease_drift_percent_max)
            .session_lifetime(self.setup.session_lifetime)
            .placement(Placement::current_thread())
            .seed(seed);
        let builder = if joins { builder.join() } else { builder };
        node.process = Some(match machine {
            Some(machine) => Process::new(builder, disk, machine),
            None => Process::of_groups(builder, disk),
        });
        if self.setup.groups > 1 {
            self.tell_all(id);
        }
        // Everybody who is there, on both sides: connections of an earlier run are gone.
        for other in self.ids() {
            if other != id {
                self.network.wants((id, other));
                self.network.wants((other, id));
            }
        }
    }

    /// The process dies, as by SIGKILL: what the page cache holds stays.
    pub fn crash(&mut self, node: impl Into<NodeId>) {
        let id = node.into();
        if self.node(id).is_up() {
            self.node(id).disk.kill_process();
            self.end_process(id, true);
        }
    }

    /// See [`crash`](Self::crash), and nobody hears of it, as when the way to it is gone as well.
    pub fn crash_in_silence(&mut self, node: impl Into<NodeId>) {
        let id = node.into();
        if self.node(id).is_up() {
            self.node(id).disk.kill_process();
            self.end_process(id, false);
        }
    }

    /// The process is asked to stop, as by SIGTERM; whoever watches over it starts it again. Returns whether one runs.
    pub fn shut_down(&mut self, node: impl Into<NodeId>) -> bool {
        let id = node.into();
        let Some(process) = self.node(id).process.as_ref().filter(|process| process.has_started()) else {
            return false;
        };
        process.shut_down();
        self.node_mut(id).is_leaving = true;
        true
    }

    /// The machine dies: of what was written and not synced any part may be lost.
    pub fn crash_machine(&mut self, node: impl Into<NodeId>) {
        let id = node.into();
        self.node(id).disk.crash_machine();
        self.judge.note(Some(id), "loses its power", 0);
        self.end_process(id, false);
    }

    /// The server comes back with an empty disk, when it is started again.
    pub fn wipe(&mut self, node: impl Into<NodeId>) {
        let id = node.into();
        let had_vote = id.get() <= self.setup.founders || self.judge.is_voter(id);
        let node = self.node_mut(id);
        node.is_wiped = true;
        node.has_lost_its_vote |= had_vote;
        self.end_process(id, true);
        self.node(id).disk.wipe();
        self.judge.wiped(id);
        self.forget_tombs(id);
        self.drop_messages_of(id);
    }

    /// Of the group on this server.
    pub(super) fn handle(&self, id: NodeId) -> Option<Handle<S>> {
        self.node(id).process.as_ref()?.handles.get(&self.group().id).cloned()
    }

    /// What really happened to disks is known to the disks.
    pub(super) fn count_disk_faults(&self, tally: &mut Tally) {
        for node in &self.nodes {
            let happened = node.disk.happened();
            tally.add(FaultKind::FailedSync, happened.failed_syncs);
            tally.add(FaultKind::FailedRead, happened.failed_reads);
            tally.add(FaultKind::FullDisk, happened.full_writes);
            tally.add(FaultKind::BitFlip, happened.flipped_bits);
            tally.add(FaultKind::WipedDisk, happened.wipes);
            tally.lost_sectors += happened.lost_sectors;
        }
    }

    /// Its disk and its network are gone from it already, or are about to be: nothing it still does gets out.
    pub(super) fn end_process(&mut self, id: NodeId, peers_are_told: bool) {
        self.network.leave(id, peers_are_told);
        self.judge.crashes(id);
        let node = &mut self.nodes[place(id)];
        let process = node.process.take();
        drop(process);
        node.is_leaving = false;
        node.clock.forget_sleepers();
        node.pauses = 0;
    }

    /// The process gets no turn until it is [resumed](Self::resume) as often, as with SIGSTOP. Time goes on.
    pub fn pause(&mut self, node: impl Into<NodeId>) {
        self.node_mut(node.into()).pauses += 1;
    }

    /// See [`pause`](Self::pause).
    pub fn resume(&mut self, node: impl Into<NodeId>) {
        let node = self.node_mut(node.into());
        node.pauses = node.pauses.saturating_sub(1);
    }

    /// Starts the server again, some time from now.
    pub(super) fn plan_start(&mut self, id: NodeId) {
        if self.node(id).start_is_planned || self.node(id).is_lost {
            return;
        }
        self.node_mut(id).start_is_planned = true;
        let delay = self.chance.between(START_AGAIN_US);
        self.plan(delay, Event::Start { node: id });
    }

    /// After a turn of a node: has its start ended, has it stopped?
    pub(super) fn look_after(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let id = node.id;
        if node.process.is_some() && node.disk.has_died_of_order() {
            node.last_words = Some("it died in the middle of what it did to its disk".to_owned());
            self.tally.count(FaultKind::Crash);
            return self.start_anew(id);
        }
        // Once its peers have given it back what it had lost, it is as good as any.
        node.disk_is_damaged = node.disk_is_damaged && (node.rot.is_in_log() || !self.judge.is_whole(id));
        self.look_at_snapshot(id);
        while let Some(news) = self.nodes[at].process.as_mut().and_then(Process::take_news) {
            self.hear(id, news);
        }
    }

    /// The process is no use any more.
    fn start_anew(&mut self, id: NodeId) {
        self.end_process(id, true);
        self.plan_start(id);
    }

    fn hear(&mut self, id: NodeId, news: News<S>) {
        match news {
            News::Started(groups) => self.has_groups(id, &groups),
            News::Fails(error) => {
                self.does_not_start(id, &error);
                self.start_anew(id);
            }
            News::Stopped(reason) => self.has_stopped(id, &reason),
            News::Runs(group, handle) => {
                if let Some(process) = &mut self.node_mut(id).process {
                    process.handles.insert(group, handle);
                }
            }
            News::GroupStopped(group, reason) => {
                if let Some(process) = &mut self.node_mut(id).process {
                    process.handles.remove(&group);
                }
                self.group_stopped(id, group, &reason);
            }
            News::GroupFails(group, error) => {
                if self.group_fails(id, group, &error) {
                    self.node_mut(id).last_words = Some(error.to_string());
                    self.node(id).disk.kill_process();
                    self.start_anew(id);
                }
            }
            News::Destroyed(group, result) => {
                if self.group_destroyed(id, group, result) {
                    self.node(id).disk.kill_process();
                    self.start_anew(id);
                }
            }
            News::Revived(group, result) => self.group_revived(id, group, result),
        }
    }

    fn does_not_start(&mut self, id: NodeId, error: &StartError) {
        let node = &mut self.nodes[place(id)];
        let is_refused = matches!(
            &error,
            StartError::Log(LogError::Damaged { .. })
                | StartError::Snapshot(SnapshotError::Damaged { .. })
                | StartError::NobodyToRepair { .. }
        );
        let may_be = match &error {
            StartError::Log(LogError::Damaged { .. }) | StartError::NobodyToRepair { .. } => node.disk_is_damaged,
            StartError::Snapshot(error) => node.may_say_of_snapshot(error),
            StartError::Log(_) | StartError::Machine(_) => node.disk_has_failed(),
            _ => false,
        };
        if !may_be {
            self.judge.found("start", Some(id), format!("n{id} does not start: {error}"));
        }
        node.is_lost |= is_refused && may_be;
        node.last_words = Some(error.to_string());
    }

    fn has_stopped(&mut self, id: NodeId, reason: &StopReason) {
        let node = &mut self.nodes[place(id)];
        let may_be = match &reason {
            StopReason::Log(error) => node.may_stop_for_log(error),
            StopReason::Snapshot(error) => node.may_say_of_snapshot(error),
            StopReason::Machine(_) => node.disk_has_failed(),
            StopReason::ShutDown => true,
            _ => false,
        };
        let is_for_rot = matches!(&reason, StopReason::Log(error) if matches!(**error, LogError::Damaged { .. }));
        self.tally.stops_for_rot += u64::from(is_for_rot);
        if !may_be {
            self.judge.found("stop", Some(id), format!("n{id} stopped: {reason}"));
        }
        self.tally.stops += 1;
        self.tally.add(FaultKind::CleanShutdown, u64::from(matches!(reason, StopReason::ShutDown)));
        node.last_words = Some(reason.to_string());
        node.disk.kill_process();
        self.start_anew(id);
    }
}
