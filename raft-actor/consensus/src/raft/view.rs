//! What a member shows of itself.

use std::time::Duration;

use super::Raft;
use crate::role::RoleState;
use crate::{LogPosition, NodeId, PeerStatus, Status};

impl Raft {
    /// The longest that this member has waited for the next word of a leader whom it follows, since it was started. While
    /// it rests it waits for none.
    pub fn longest_silence(&self) -> Duration {
        self.shared.longest_silence()
    }

    /// A leader's view of the others, by ascending id; nothing of the other roles.
    pub fn peers(&self) -> impl Iterator<Item = (NodeId, PeerStatus)> {
        let leader = match &self.role {
            RoleState::Leader(leader) => Some(leader),
            RoleState::Follower(_) | RoleState::Candidate(_) => None,
        };
        leader.into_iter().flat_map(|leader| leader.peers()).map(|(id, progress)| (id, progress.status()))
    }

    /// Everything about this member from one moment. It copies the configuration: not for every step.
    pub fn status(&self) -> Status {
        Status {
            id: self.id(),
            role: self.role(),
            term: self.term(),
            leader: self.leader(),
            rests: self.rests(),
            damaged: self.damage().is_some(),
            commit: self.commit(),
            applied: self.applied(),
            last: self.log().last(),
            durable: self.durable(),
            base: self.log().base(),
            snapshot: self.snapshot().map_or(LogPosition::ZERO, |snapshot| snapshot.position),
            configuration: self.log().configuration().clone(),
            peers: self.peers().collect(),
            longest_silence: self.longest_silence(),
        }
    }
}
