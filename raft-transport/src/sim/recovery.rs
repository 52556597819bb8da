//! After the faults: liveness is checked, not hoped for.

use std::time::Duration;

use raft_actor::StateMachine;
use raft_actor::consensus::NodeId;

use super::checker::Violation;
use super::cluster::Report;
use super::groups::Group;
use super::world::{Node, Sim};

/// After this long everybody who can be elected has been, and everybody who cannot be reached was given up.
const SETTLES_AFTER: Duration = Duration::from_secs(10);

impl<S: StateMachine> Sim<S> {
    /// Everything is mended; then of each group a leader has to emerge, every server that can has to serve a fresh write,
    /// the leader has to stay in office, and to be replaced when it dies, the clients' last requests have to come back, and
    /// all servers have to agree.
    ///
    /// # Errors
    /// If that does not happen within `limit` of virtual time, or anything else does not hold.
    pub fn recover(&mut self, limit: Duration) -> Result<(), Violation> {
        self.mend_all();
        if self.setup.majority_may_be_lost {
            return self.see_whether_it_stands_still();
        }
        for group in 0..self.groups.len() {
            if !self.groups[group].is_over {
                self.within(group, |sim| sim.recover_group(limit))?;
            }
        }
        self.check_tombs(limit)
    }

    fn recover_group(&mut self, limit: Duration) -> Result<(), Violation> {
        if self.sound().len() * 2 <= self.nodes.len() {
            // Too much was lost for anybody to lead. That nobody said anything wrong is all there is to check.
            return Ok(());
        }
        self.let_syncs_end()?;
        self.finds_what_has_rotted(limit)?;
        self.check(limit, "a server leads after the faults", |sim| {
            sim.leader().is_some_and(|leader| sim.may_lead(leader))
        })?;
        self.check(limit, "damaged logs of voters are repaired after the faults", |sim| {
            let voters = sim.voters();
            // Where the group was destroyed there is nothing to be repaired, though others may still count on it (seed 7206).
            let is_there = |node: &Node<S>| !sim.group().ends.contains_key(&node.id);
            let is_damaged = |node: &Node<S>| is_there(node) && node.may_be_repaired() && !sim.is_sound(node);
            !sim.nodes.iter().any(|node| voters.contains(&node.id) && is_damaged(node))
        })?;
        let sound = self.sound();
        self.unite(limit)?;
        self.group_mut().acked_at.clear();
        self.check(limit, "every server serves fresh writes after the faults", |sim| {
            sim.nobody_asks() || sound.iter().all(|id| sim.group().acked_at.contains(id))
        })?;
        self.leads_in_peace(limit)?;
        self.replaces_a_dead_leader(Self::crash)?;
        // The last command that anybody applies shows the whole state of everybody.
        self.judge.look_at_every_state(self.group().id);
        self.group_mut().acked_at.clear();
        self.check(limit, "a last write is applied after the faults", |sim| {
            sim.nobody_asks() || !sim.group().acked_at.is_empty()
        })?;
        self.quiet_clients();
        self.check(limit, "every request comes back after the faults", |sim| {
            let mut clients = sim.clients.of(sim.focus);
            clients.all(|client| sim.clients.is_idle(client) && !sim.sessions.has_to_try(client))
        })?;
        self.replaces_a_leader_that_rests(limit)?;
        self.check(limit, "all servers agree after the faults", |sim| {
            let seen: Vec<_> = sim.running().into_iter().filter(|seen| sound.contains(&seen.node)).collect();
            seen.len() == sound.len()
                && seen.iter().all(|seen| (seen.last, seen.commit) == (seen.applied, seen.applied))
                && seen.windows(2).all(|pair| pair[0].applied == pair[1].applied)
        })?;
        self.judge.nothing_is_lost(self.group().id, &sound)
    }

    fn nobody_asks(&self) -> bool {
        self.group().is_quiet || self.clients.of(self.focus).next().is_none()
    }

    /// A sync that stalls goes on stalling when its disk is mended. Until it ends the server is no use to anybody,
    /// and too few others may be left.
    fn let_syncs_end(&mut self) -> Result<(), Violation> {
        let longest = self.nodes.iter().map(|node| node.clock.syncs_for()).max();
        self.run_for(longest.unwrap_or_default())
    }

    /// Nobody can demand that it goes on after such losses; but what it answers has to be right.
    fn see_whether_it_stands_still(&mut self) -> Result<(), Violation> {
        self.run_for(SETTLES_AFTER)?;
        let before = self.acked_writes;
        self.run_for(SETTLES_AFTER)?;
        self.tally.standstills += u64::from(self.acked_writes == before);
        Ok(())
    }

    pub(super) fn check(
        &mut self,
        limit: Duration,
        claim: &str,
        wanted: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), Violation> {
        if self.run_until(limit, wanted)? {
            return Ok(());
        }
        let state: Vec<String> = self.running().iter().map(ToString::to_string).collect();
        let whose = self.group().named();
        let what = format!("it does not hold within {}s that {claim}{whose}: {}", limit.as_secs(), state.join("; "));
        Err(Violation { invariant: "liveness", node: None, what })
    }

    /// The servers whose disks have forgotten nothing of the group, and on which it was not destroyed.
    pub(super) fn sound(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|node| self.is_sound(node)).map(|node| node.id).collect()
    }

    fn is_sound(&self, node: &Node<S>) -> bool {
        // What else a damage has taken from it is for the other groups to say.
        let is_whole = || node.may_be_repaired() && self.judge.is_whole_in(self.group().id, node.id);
        !self.group().ends.contains_key(&node.id) && (node.is_sound() || is_whole())
    }

    /// Whether a server may be elected when all faults are over. A newcomer whose disk was emptied before it had a vote
    /// had said nothing that anybody counted (seed 1951).
    fn may_lead(&self, node: NodeId) -> bool {
        let node = self.node(node);
        self.is_sound(node) || (node.is_wiped && !node.has_lost_its_vote && !node.is_lost)
    }

    /// Everything that can only be looked at when a run is over.
    pub(super) fn finish(&mut self) -> Result<(), Violation> {
        for Group { id, replay, .. } in &mut self.groups {
            self.judge.with_log(*id, |log, words| replay.follow(log, words));
            self.judge.with_states(*id, |log, states| replay.finish(log, states));
        }
        self.judge.finish()?;
        let finished = self.workload.finished();
        finished.map_err(|what| Violation { invariant: "workload", node: None, what })
    }

    pub(super) fn report(&self) -> Report {
        let mut tally = self.tally.clone();
        self.count_disk_faults(&mut tally);
        Report {
            seed: self.setup.seed,
            lasted: self.now(),
            events: self.events,
            acked_writes: self.acked_writes,
            answered_reads: self.answered_reads,
            tally,
            steps: self.judge.steps(),
            situations: self.judge.situations(),
            hash: self.judge.hash(),
        }
    }
}
