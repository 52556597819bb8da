//! What servers say to each other (Figures 2 and 13; pre-vote from dissertation 9.6, TimeoutNow from 3.10).

use serde::{Deserialize, Serialize};

use crate::{DamageId, Entries, LogIndex, LogPosition, Round, SnapshotMeta, Term};

/// A message between two members of a group. Who sent it travels beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Would you vote for me? Changes nothing at the receiver.
    PreVote(PreVote),
    /// Answer to [`PreVote`].
    PreVoteReply(PreVoteReply),
    /// Vote for me.
    RequestVote(RequestVote),
    /// Answer to [`RequestVote`].
    RequestVoteReply(RequestVoteReply),
    /// New entries, or none: the heartbeat.
    AppendEntries(AppendEntries),
    /// Answer to [`AppendEntries`] and to [`InstallSnapshot`].
    AppendEntriesReply(AppendEntriesReply),
    /// A snapshot of the leader, for a member that needs what the leader has purged.
    InstallSnapshot(InstallSnapshot),
    /// Campaign at once: the leader wants you to lead.
    TimeoutNow(TimeoutNow),
}

/// Asks whether an election could be won, before anybody's term is disturbed (dissertation 9.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreVote {
    /// The term the sender would campaign in: its own plus one.
    pub term: Term,
    /// The sender's last entry (§5.4.1).
    pub last: LogPosition,
}

/// Answers a [`PreVote`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreVoteReply {
    /// Granted: the term that was asked about. Denied: the replier's own term.
    pub term: Term,
    /// Whether the replier would vote for the sender now.
    pub granted: bool,
}

/// A candidate asks for a vote (§5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVote {
    /// The candidate's term.
    pub term: Term,
    /// The candidate's last entry (§5.4.1).
    pub last: LogPosition,
    /// Whether the leader itself told the candidate to campaign (TimeoutNow,
    /// dissertation 3.10): only then may it disturb a leader that is alive.
    #[serde(default)]
    pub leadership_transfer: bool,
}

/// Answers a [`RequestVote`]. A granted vote was durable before this was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVoteReply {
    /// The replier's term.
    pub term: Term,
    /// Whether the replier voted for the candidate in that term.
    pub granted: bool,
}

/// A leader replicates entries; without any it is the heartbeat (§5.2, §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// The entry just before the first of `entries`.
    pub prev: LogPosition,
    /// Entries that follow `prev` without a gap.
    pub entries: Entries,
    /// The leader's commit index (may lie beyond what the receiver holds).
    pub commit: LogIndex,
    /// Number of this sending; the reply echoes it.
    pub round: Round,
    /// Only in a heartbeat: nothing happens in the group. A receiver whose log is durable and committed through `prev`
    /// rests: it does without further heartbeats until it is [told](crate::Input::HostSilent) that the leader's host
    /// has fallen silent.
    #[serde(default)]
    pub rest: bool,
    /// Only in a heartbeat to a receiver that has told of its damage: what makes it whole.
    #[serde(default)]
    pub repair: Option<RepairTarget>,
}

/// The leader's answer to a member that has told of its damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairTarget {
    /// The damage that it told of.
    pub damage: DamageId,
    /// The leader's last entry when it first heard of that damage: who durably holds the leader's log through here has
    /// back whatever it may have lost.
    pub through: LogIndex,
}

/// The leader's snapshot has arrived (Figure 13, §7).
///
/// The chunks of the paper are carried beside the core: no core sends this message. The receiver's node hands it to
/// its own core once the whole snapshot is on its disk and its checksum is right, with the term and the round of the
/// [`SnapshotOrder`](crate::SnapshotOrder) by which the leader sent it. The answer is an [`AppendEntriesReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshot {
    /// The leader's term.
    pub term: Term,
    /// Number of the sending; the reply echoes it.
    pub round: Round,
    /// What it covers.
    pub snapshot: SnapshotMeta,
}

/// Answers an [`AppendEntries`] or an [`InstallSnapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesReply {
    /// The replier's term.
    pub term: Term,
    /// The round of what this answers.
    pub round: Round,
    /// What came of it.
    pub outcome: AppendOutcome,
    /// The replier's log was damaged and is not whole again. What it says it holds tells the leader what to send next;
    /// it is no acknowledgement, and nothing of it counts towards a majority.
    #[serde(default)]
    pub damage: Option<DamageId>,
}

/// The leader tells a voter to campaign at once, without waiting for an election timeout (dissertation 3.10).
///
/// There is no answer: what comes back is the term of the candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: Term,
}

/// What came of an AppendEntries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// The replier's log equals the leader's up to this index, durably.
    Matched {
        /// Highest index known to match *and* to be durable at the replier.
        durable: LogIndex,
    },
    /// The replier has no entry `prev` of that term (§5.3).
    Conflict {
        /// The index of the refused `prev`.
        refused: LogIndex,
        /// The replier's hint: its log may match up to here and certainly not
        /// above. Its term lets the leader skip a whole term in one round trip.
        hint: LogPosition,
    },
    /// The term was stale; the reply's term says by how much.
    Stale,
}

impl Message {
    /// The term the message was sent in (for a PreVote, the prospective one).
    pub fn term(&self) -> Term {
        match self {
            Self::PreVote(m) => m.term,
            Self::PreVoteReply(m) => m.term,
            Self::RequestVote(m) => m.term,
            Self::RequestVoteReply(m) => m.term,
            Self::AppendEntries(m) => m.term,
            Self::AppendEntriesReply(m) => m.term,
            Self::InstallSnapshot(m) => m.term,
            Self::TimeoutNow(m) => m.term,
        }
    }

    /// The message's name in the paper.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PreVote(_) => "PreVote",
            Self::PreVoteReply(_) => "PreVoteReply",
            Self::RequestVote(_) => "RequestVote",
            Self::RequestVoteReply(_) => "RequestVoteReply",
            Self::AppendEntries(_) => "AppendEntries",
            Self::AppendEntriesReply(_) => "AppendEntriesReply",
            Self::InstallSnapshot(_) => "InstallSnapshot",
            Self::TimeoutNow(_) => "TimeoutNow",
        }
    }
}
