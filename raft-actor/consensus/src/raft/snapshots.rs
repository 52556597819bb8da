//! Snapshots in a member of any role (§7): taken here, or installed from the leader (Figure 13).

use super::Raft;
use crate::installation::Installation;
use crate::role::RoleState;
use crate::{Effect, Effects, LogPosition, SnapshotMeta, compaction};

impl Raft {
    /// Orders a snapshot if enough was applied since the last one.
    pub(super) fn take_snapshot_if_due(&mut self, effects: &mut Effects) {
        let shared = &self.shared;
        if shared.compaction.is_due(&shared.settings, shared.log(), shared.applied) {
            self.take_snapshot(effects);
        }
    }

    /// Orders a snapshot, if it would be a new one.
    pub(super) fn take_snapshot(&mut self, effects: &mut Effects) {
        let shared = &mut self.shared;
        // What is being installed is newer than anything that could be taken.
        if shared.installation.is_none() && shared.compaction.may_take(shared.applied) {
            shared.compaction.ordered();
            effects.push(Effect::TakeSnapshot);
        }
    }

    /// Orders a snapshot in place of one that cannot be read any more: what it covered is applied here all the same, and
    /// gone from the log.
    pub(super) fn replace_snapshot(&mut self, effects: &mut Effects) {
        let shared = &mut self.shared;
        if shared.installation.is_none() && shared.compaction.may_replace(shared.applied) {
            shared.compaction.ordered();
            effects.push(Effect::TakeSnapshot);
        }
    }

    /// A snapshot of our own state machine is durable. An error is a violation by our own node.
    pub(super) fn snapshot_taken(&mut self, snapshot: SnapshotMeta, effects: &mut Effects) -> Result<(), String> {
        let shared = &mut self.shared;
        shared.compaction.ended();
        if snapshot.position.index <= shared.compaction.covered().index {
            // A newer one was installed meanwhile, and the log may be gone that this one belongs to; or it takes the place
            // of one that could not be read.
            return Ok(());
        }
        let SnapshotMeta { position, configuration, .. } = &snapshot;
        if position.index > shared.apply_ordered || !shared.log().contains(*position) {
            return Err(format!("a snapshot was taken through {position}, ordered was {}", shared.apply_ordered));
        }
        if shared.log().configuration_through(position.index) != Some(configuration) {
            // The members that it makes known would be others than those who have committed it.
            return Err(format!("the snapshot through {position} has another configuration: {configuration:?}"));
        }
        // It is in the snapshot, so it was applied.
        shared.applied = shared.applied.max(position.index);
        shared.compaction.learn(snapshot);
        self.compact(effects);
        Ok(())
    }

    /// Lets an installation begin that waited for the durability of the term in which its snapshot came.
    pub(super) fn begin_installation(&mut self, effects: &mut Effects) {
        let is_hard_state_durable = self.shared.outbox.is_hard_state_durable();
        if let Some(installation) = &mut self.shared.installation
            && !installation.is_ordered
            && is_hard_state_durable
        {
            installation.is_ordered = true;
            effects.push(Effect::InstallSnapshot(installation.snapshot.clone()));
        }
    }

    /// A snapshot of the leader is durable and loaded. An error is a violation by our own node.
    pub(super) fn snapshot_installed(&mut self, position: LogPosition, effects: &mut Effects) -> Result<(), String> {
        let shared = &mut self.shared;
        let is_ordered =
            |installation: &mut Installation| installation.is_ordered && installation.snapshot.position == position;
        let Some(Installation { snapshot, leader, term, round, .. }) = shared.installation.take_if(is_ordered) else {
            return Err(format!("a snapshot through {position} was installed, which was not ordered"));
        };
        if matches!(self.role, RoleState::Leader(_)) && !shared.log().contains(position) {
            // It has been elected meanwhile, and so has all that was committed (Leader Completeness, §5.4).
            return Err(format!("a leader lacks {position}, which another has committed"));
        }
        shared.install(snapshot, effects);
        if term == shared.term() {
            shared.outbox.acknowledge(leader, round, position.index, effects);
        }
        self.compact(effects);
        Ok(())
    }

    /// Purges the log behind the snapshot, but for what is worth keeping.
    fn compact(&mut self, effects: &mut Effects) {
        let shared = &mut self.shared;
        let needed_after = match &self.role {
            RoleState::Leader(leader) => leader.needed_after(shared),
            RoleState::Follower(_) | RoleState::Candidate(_) => None,
        };
        let covered = shared.compaction.covered().index;
        let through = compaction::purge_through(shared.log(), &shared.settings, covered, needed_after);
        shared.purge(through, effects);
    }

    /// The newest durable snapshot of this member.
    pub fn snapshot(&self) -> Option<&SnapshotMeta> {
        self.shared.compaction.snapshot()
    }

    /// Whether a snapshot was ordered ([`Effect::TakeSnapshot`]) and is not taken yet.
    pub fn is_taking_snapshot(&self) -> bool {
        self.shared.compaction.is_taking()
    }

    /// What is covered by the snapshot of the leader that is being installed, if one is.
    pub fn installing(&self) -> Option<LogPosition> {
        self.shared.installation.as_ref().map(|installation| installation.snapshot.position)
    }
}
