//! What a node tells about itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use raft_consensus::{Configuration, LogIndex, NodeId, PeerState, Raft, Role, Term, Time};
use serde::{Serialize, Serializer};

/// A member of a group as it sees itself, all from one moment.
///
/// Serialized, it is the JSON of `GET /raft/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// This node.
    pub node_id: NodeId,
    /// The name of its cluster.
    #[serde(serialize_with = "text")]
    pub cluster: Arc<str>,
    /// What it is at the moment.
    #[serde(serialize_with = "role")]
    pub role: Role,
    /// Its current term.
    pub term: Term,
    /// The leader of that term, if known.
    pub leader_id: Option<NodeId>,
    /// Whether it does without heartbeats, because nothing happens in the group; see
    /// [`GroupOptions::rest_after`](crate::GroupOptions::rest_after).
    pub rests: bool,
    /// Whether its log was damaged and its peers have not given everything back yet. Until then it has no vote, and what it
    /// holds counts for nothing; see docs/REPAIR.md.
    pub damaged: bool,
    /// Highest index known to be committed.
    pub commit_index: LogIndex,
    /// Highest index that its state machine has applied.
    pub last_applied: LogIndex,
    /// Index of the last entry of its log.
    pub last_log_index: LogIndex,
    /// Highest index of its log that is durable.
    pub durable_index: LogIndex,
    /// Last index that its snapshot covers; zero without one.
    pub snapshot_index: LogIndex,
    /// Index of the first entry still in its log (of the next one, if the log is empty).
    pub first_log_index: LogIndex,
    /// Whose votes count, by the latest configuration in its log.
    pub voters: Vec<NodeId>,
    /// Who gets the log without a vote.
    pub learners: Vec<NodeId>,
    /// Where each member is, by the same configuration.
    pub addresses: BTreeMap<NodeId, String>,
    /// What the membership is on its way to become; `None` if no change is under way.
    pub changing_to: Option<MembershipStatus>,
    /// A leader's view of the others; empty otherwise.
    pub peers: BTreeMap<NodeId, PeerStatus>,
    /// The longest that it has waited for the next word of a leader whom it follows, since it was started: about the time
    /// between two heartbeats at most, if all is well. While the group rests it waits for none.
    #[serde(rename = "longest_silence_ms", serialize_with = "whole_milliseconds")]
    pub longest_silence: Duration,
}

/// A membership that is being changed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MembershipStatus {
    /// Whose votes will count.
    pub voters: Vec<NodeId>,
    /// Who will get the log without a vote.
    pub learners: Vec<NodeId>,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Highest index known to be durable there.
    pub match_index: LogIndex,
    /// How it is being replicated to.
    #[serde(serialize_with = "peer_state")]
    pub state: PeerState,
    /// How long ago it last answered; `None` if it never did.
    #[serde(rename = "last_contact_ms", serialize_with = "milliseconds")]
    pub last_contact: Option<Duration>,
}

impl Status {
    /// What the core says at `now`, with what it does not know.
    pub(crate) fn new(cluster: Arc<str>, core: &raft_consensus::Status, now: Time) -> Self {
        let configuration = &core.configuration;
        let voters = configuration.members().into_iter().filter(|id| configuration.is_voter(*id));
        let peers = core.peers.iter().map(|(id, peer)| (*id, PeerStatus::new(peer, now)));
        Self {
            node_id: core.id,
            cluster,
            role: core.role,
            term: core.term,
            leader_id: core.leader,
            rests: core.rests,
            damaged: core.damaged,
            commit_index: core.commit,
            last_applied: core.applied,
            last_log_index: core.last.index,
            durable_index: core.durable,
            snapshot_index: core.snapshot.index,
            first_log_index: core.base.index.next(),
            voters: voters.collect(),
            learners: configuration.learners.iter().copied().collect(),
            addresses: configuration.addresses.clone(),
            changing_to: changing_to(configuration),
            peers: peers.collect(),
            longest_silence: core.longest_silence,
        }
    }

    /// Says the same as a new one, provided that the configuration is the same one as before.
    pub(crate) fn refresh(&mut self, raft: &Raft, now: Time) {
        self.role = raft.role();
        self.term = raft.term();
        self.leader_id = raft.leader();
        self.rests = raft.rests();
        self.damaged = raft.damage().is_some();
        self.commit_index = raft.commit();
        self.last_applied = raft.applied();
        self.last_log_index = raft.log().last().index;
        self.durable_index = raft.durable();
        self.snapshot_index = raft.snapshot().map_or(LogIndex::ZERO, |snapshot| snapshot.position.index);
        self.first_log_index = raft.log().base().index.next();
        if self.peers.keys().copied().eq(raft.peers().map(|(id, _)| id)) {
            let places = self.peers.values_mut().zip(raft.peers());
            places.for_each(|(place, (_, peer))| *place = PeerStatus::new(&peer, now));
        } else {
            self.peers = raft.peers().map(|(id, peer)| (id, PeerStatus::new(&peer, now))).collect();
        }
        self.longest_silence = raft.longest_silence();
    }
}

impl PeerStatus {
    fn new(core: &raft_consensus::PeerStatus, now: Time) -> Self {
        let last_contact = core.last_contact.map(|at| now.since(at));
        Self { match_index: core.matched, state: core.state, last_contact }
    }
}

/// Where the change leads that is under way: future voters catch up first, then both majorities count (§6).
fn changing_to(configuration: &Configuration) -> Option<MembershipStatus> {
    let (voters, learners) = match &configuration.wish {
        Some(wish) => (&wish.voters, &wish.learners),
        None if configuration.is_joint() => (&configuration.voters, &configuration.learners),
        None => return None,
    };
    Some(MembershipStatus { voters: voters.iter().copied().collect(), learners: learners.iter().copied().collect() })
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn role<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match role {
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
        Role::Learner => "learner",
    })
}

fn peer_state<S: Serializer>(state: &PeerState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match state {
        PeerState::Probe => "probe",
        PeerState::Replicate => "replicate",
        PeerState::Snapshot => "snapshot",
    })
}

fn milliseconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => whole_milliseconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}

fn whole_milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
