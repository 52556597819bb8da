//! What a member can tell about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Configuration, LogIndex, LogPosition, NodeId, Term, Time};

/// What a member is at the moment (§5.1). A learner is a follower that may not campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers candidates and the leader.
    Follower,
    /// Wants to lead; asking for pre-votes is part of it.
    Candidate,
    /// Takes commands and replicates them.
    Leader,
    /// A follower without a vote.
    Learner,
}

/// What a member knows about itself, all from one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// Its current term.
    pub term: Term,
    /// The leader of that term, if known.
    pub leader: Option<NodeId>,
    /// Whether it does without heartbeats.
    pub rests: bool,
    /// Whether something of its log was lost and is not known to be back: until then it has no vote. See the rule in
    /// `repair`.
    pub damaged: bool,
    /// Highest index known to be committed.
    pub commit: LogIndex,
    /// Highest index the state machine has applied.
    pub applied: LogIndex,
    /// Last entry of the log, durable or not.
    pub last: LogPosition,
    /// Highest index of the log that is durable here.
    pub durable: LogIndex,
    /// Last entry that was purged from the log, which begins after it; at or below `snapshot`.
    pub base: LogPosition,
    /// Last entry that the newest durable snapshot covers; [`LogPosition::ZERO`] without one.
    pub snapshot: LogPosition,
    /// The latest configuration in the log.
    pub configuration: Configuration,
    /// A leader's view of the others; empty otherwise.
    pub peers: BTreeMap<NodeId, PeerStatus>,
    /// The longest that it has waited for the next word of a leader whom it follows, since it was started.
    pub longest_silence: Duration,
}

/// What a leader knows about another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerStatus {
    /// Highest index known to be durable there and to match.
    pub matched: LogIndex,
    /// How it is being replicated to.
    pub state: PeerState,
    /// When it last answered, by this member's clock.
    pub last_contact: Option<Time>,
}

/// How a leader replicates to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// Looking for the point where the logs agree, one message at a time.
    Probe,
    /// Streaming, several messages on their way.
    Replicate,
    /// Waiting for a snapshot to arrive.
    Snapshot,
}
