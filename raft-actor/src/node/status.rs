//! What a node says of itself: its role to subscribers, its status to whoever looks at it.

use std::time::Duration;

use raft_consensus::{LogIndex, NodeId, Role, Term, Time};

use super::RaftNode;
use crate::handle::{BecameCandidate, BecameFollower, BecameLeader};

/// How often a node that is busy tells of its progress.
const STATUS_EVERY: Duration = Duration::from_millis(10);

impl RaftNode {
    pub(super) fn role_changed(&mut self, role: Role, term: Term, leader: Option<NodeId>, noop: Option<LogIndex>) {
        tracing::info!(node = %self.context.node, group = %self.group, %term, ?role, leader = ?leader.map(NodeId::get), "role");
        self.taking_office = noop.map(|index| (term, index));
        self.status_is_stale = true;
        self.status_published_at = Time::ZERO;
        match role {
            // Announced when its no-op is applied: from then on it knows and serves everything.
            Role::Leader => self.log_time.takes_office(self.clock.now()),
            Role::Follower | Role::Learner => self.front.follows(&BecameFollower { term, leader }),
            Role::Candidate => self.front.campaigns(&BecameCandidate { term }),
        }
        self.stop_sending_snapshots(role);
        self.leader_changed(leader);
    }

    /// Tells the subscribers that this node leads, once its no-op is applied here (§8).
    pub(super) fn announce_office(&mut self, applied: LogIndex) {
        if let Some((term, _)) = self.taking_office.take_if(|(_, noop)| *noop <= applied) {
            self.front.leads(&BecameLeader { term });
        }
    }

    pub(super) fn publish_status(&mut self, now: Time) {
        if now >= self.status_due() {
            self.publish_status_now();
        }
    }

    pub(super) fn publish_status_now(&mut self) {
        let now = self.clock.now();
        self.status_is_stale = false;
        self.status_published_at = now;
        self.front.publish_status(&self.raft, now);
    }

    pub(super) fn status_due(&self) -> Time {
        if !self.status_is_stale {
            return Time::NEVER;
        }
        self.status_published_at.after(STATUS_EVERY)
    }
}
