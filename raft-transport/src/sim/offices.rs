//! After the recovery: a leader that nothing disturbs stays in office, and one that dies is soon replaced.

use std::time::Duration;

use raft_actor::StateMachine;
use raft_actor::consensus::{NodeId, Role, Term};

use super::checker::Violation;
use super::world::Sim;

/// So many of the longest election timeouts have to pass in peace.
const TIMEOUTS_IN_PEACE: u32 = 3;
/// So many of the longest election timeouts may pass without a leader. Of as many elections some may be split,
/// but not one after the other: that is what the timeouts are random for (§5.2).
const TIMEOUTS_TO_ELECT: u32 = 6;

const CALM: &str = "everybody follows one leader after the faults";

impl<S: StateMachine> Sim<S> {
    /// Heartbeats keep a leader in office: nobody campaigns against one that is heard (§5.2).
    pub(super) fn leads_in_peace(&mut self, limit: Duration) -> Result<(), Violation> {
        let timeout = self.election_timeout_max();
        let follow = |sim: &mut Self| sim.check(limit, CALM, |sim| sim.office().is_some());
        follow(self)?;
        // By then a leader has found out whom it did not hear before, though they are back (seed 533).
        self.run_for(timeout)?;
        follow(self)?;
        let office = self.office();
        let peace = timeout * TIMEOUTS_IN_PEACE;
        if self.run_until(peace, |sim| sim.office() != office)? {
            let state: Vec<String> = self.running().iter().map(ToString::to_string).collect();
            let what = format!("{office:?} is disturbed although nothing is broken: {}", state.join("; "));
            return Err(Violation { invariant: "leads_in_peace", node: None, what });
        }
        Ok(())
    }

    /// Where groups rest they do so when nobody asks for anything, and find out all the same that their leader is gone:
    /// its machine dies, and says so to nobody.
    pub(super) fn replaces_a_leader_that_rests(&mut self, limit: Duration) -> Result<(), Violation> {
        // Somebody who is lost and still a member would keep a group awake.
        if self.setup.settings.rest_after().is_none() || self.sound().len() < self.nodes.len() {
            return Ok(());
        }
        self.comes_to_rest(limit)?;
        self.replaces_a_dead_leader(Self::crash_machine)?;
        if self.setup.groups == 1 {
            return Ok(());
        }
        // Its host lives, and all that could tell the others is what that says of its groups.
        self.comes_to_rest(limit)?;
        self.replaces_a_dead_leader(Self::stop_group)
    }

    fn comes_to_rest(&mut self, limit: Duration) -> Result<(), Violation> {
        self.check(limit, "a group in which nothing happens rests after the faults", |sim| {
            sim.leader().is_some_and(|leader| sim.judge.rests(sim.group().id, leader))
        })
    }

    /// A leader that dies is replaced before long. It comes back then.
    pub(super) fn replaces_a_dead_leader(&mut self, dies: impl FnOnce(&mut Self, NodeId)) -> Result<(), Violation> {
        let Some(leader) = self.leader() else { return Ok(()) };
        let voters = self.voters();
        let others = self.sound().iter().filter(|id| **id != leader && voters.contains(*id)).count();
        if others * 2 <= voters.len() {
            return Ok(());
        }
        dies(self, leader);
        self.settle()?;
        let limit = self.election_timeout_max() * TIMEOUTS_TO_ELECT;
        let is_replaced = self.run_until(limit, |sim| sim.leader().is_some())?;
        if !is_replaced {
            let state: Vec<String> = self.running().iter().map(ToString::to_string).collect();
            let what = format!("nobody leads {}s after n{leader} died: {}", limit.as_secs_f64(), state.join("; "));
            return Err(Violation { invariant: "replaces_a_dead_leader", node: None, what });
        }
        if self.is_up(leader) {
            self.open_group(leader);
        }
        self.start(leader);
        Ok(())
    }

    /// Who leads in which term, if all who can are in that term, nobody campaigns and nobody is about to go.
    fn office(&self) -> Option<(Term, NodeId)> {
        let sound = self.sound();
        let leader = self.leader()?;
        let seen: Vec<_> = self.running().into_iter().filter(|seen| sound.contains(&seen.node)).collect();
        let term = seen.iter().find(|seen| seen.node == leader)?.term;
        let follows = |role: Role| matches!(role, Role::Follower | Role::Learner);
        let is_whole = seen.len() == sound.len();
        let is_whole = is_whole && self.nodes.iter().all(|node| !node.is_leaving);
        let is_calm = seen.iter().all(|seen| seen.term == term && (seen.node == leader || follows(seen.role)));
        (is_whole && is_calm).then_some((term, leader))
    }

    fn election_timeout_max(&self) -> Duration {
        self.setup.settings.election_timeout_min() * 2
    }
}
