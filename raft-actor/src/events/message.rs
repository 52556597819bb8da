//! What a message between nodes says, without what it carries.

use raft_consensus::{AppendOutcome, LogIndex, LogPosition, Message, ReplicationOrder, Round, Term};
use serde::Serialize;

/// What a message says; its entries are not copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageSummary {
    /// Would you vote for me?
    #[non_exhaustive]
    PreVote {
        /// The term it would campaign in.
        term: Term,
        /// Its last entry.
        last: LogPosition,
    },
    /// The answer to that.
    #[non_exhaustive]
    PreVoteReply {
        /// The term that was asked about, or the replier's own.
        term: Term,
        /// Whether it would.
        granted: bool,
    },
    /// Vote for me.
    #[non_exhaustive]
    RequestVote {
        /// The candidate's term.
        term: Term,
        /// Its last entry.
        last: LogPosition,
        /// Whether the leader itself wanted it to campaign.
        leadership_transfer: bool,
    },
    /// The answer to that.
    #[non_exhaustive]
    RequestVoteReply {
        /// The replier's term.
        term: Term,
        /// Whether it has voted for the candidate.
        granted: bool,
    },
    /// Entries, or none: the heartbeat.
    #[non_exhaustive]
    AppendEntries {
        /// The leader's term.
        term: Term,
        /// The entry before the first one.
        prev: LogPosition,
        /// The last entry; `prev`, if there is none.
        last: LogPosition,
        /// How many entries.
        entries: u64,
        /// The leader's commit index.
        commit_index: LogIndex,
        /// Its number; the reply has the same.
        round: Round,
    },
    /// The answer to that, or to a snapshot.
    #[non_exhaustive]
    AppendEntriesReply {
        /// The replier's term.
        term: Term,
        /// Which one it answers.
        round: Round,
        /// Whether the logs agree: `true` through `index`; `false`: they do not at `index`, or the term is over.
        success: bool,
        /// The last entry known to match and durable there, or the one that was refused; 0 if the term is over.
        index: LogIndex,
    },
    /// A snapshot has arrived.
    #[non_exhaustive]
    InstallSnapshot {
        /// The leader's term.
        term: Term,
        /// The last entry that it covers.
        through: LogPosition,
        /// Its number; the reply has the same.
        round: Round,
    },
    /// Campaign at once.
    #[non_exhaustive]
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
}

impl From<&Message> for MessageSummary {
    fn from(message: &Message) -> Self {
        match message {
            Message::PreVote(m) => Self::PreVote { term: m.term, last: m.last },
            Message::PreVoteReply(m) => Self::PreVoteReply { term: m.term, granted: m.granted },
            Message::RequestVote(m) => {
                Self::RequestVote { term: m.term, last: m.last, leadership_transfer: m.leadership_transfer }
            }
            Message::RequestVoteReply(m) => Self::RequestVoteReply { term: m.term, granted: m.granted },
            Message::AppendEntries(m) => Self::AppendEntries {
                term: m.term,
                prev: m.prev,
                last: m.entries.last_position().unwrap_or(m.prev),
                entries: m.entries.len() as u64,
                commit_index: m.commit,
                round: m.round,
            },
            Message::AppendEntriesReply(m) => {
                let (success, index) = match m.outcome {
                    AppendOutcome::Matched { durable } => (true, durable),
                    AppendOutcome::Conflict { refused, hint: _ } => (false, refused),
                    AppendOutcome::Stale => (false, LogIndex::ZERO),
                };
                Self::AppendEntriesReply { term: m.term, round: m.round, success, index }
            }
            Message::InstallSnapshot(m) => {
                Self::InstallSnapshot { term: m.term, through: m.snapshot.position, round: m.round }
            }
            Message::TimeoutNow(m) => Self::TimeoutNow { term: m.term },
        }
    }
}

/// As the message that the replication stream makes of it.
impl From<&ReplicationOrder> for MessageSummary {
    fn from(order: &ReplicationOrder) -> Self {
        let ReplicationOrder { peer: _, term, prev, through, commit, round } = *order;
        let entries = through.index.get().saturating_sub(prev.index.get());
        Self::AppendEntries { term, prev, last: through, entries, commit_index: commit, round }
    }
}
