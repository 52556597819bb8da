//! The rules of Raft, and nothing else.
//!
//! [`Raft`] is one member of one group as a pure state machine: events go in
//! through [`Raft::step`], [`Effect`]s come out, and nothing else happens. There
//! is no clock, file, socket, thread, lock or `await` in this crate, and its
//! dependency list is short so that there cannot be; time and randomness are
//! handed in. The same inputs and the same seed give the same effects.
//!
//! The words are those of the extended Raft paper ("In Search of an
//! Understandable Consensus Algorithm", §) and of Ongaro's dissertation.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod append;
mod check_quorum;
mod commit;
mod configuration;
mod effect;
mod election;
mod entries;
mod entry;
mod ids;
mod ignored;
mod input;
mod invariants;
mod log;
mod message;
mod outbox;
mod progress;
mod quorum;
mod raft;
mod read_index;
mod role;
mod settings;
mod shared;
mod status;
#[cfg(test)]
mod testing;

pub use configuration::Configuration;
pub use effect::{Effect, Effects, LogWrite, ProposalOutcome, ReplicationOrder};
pub use entries::Entries;
pub use entry::{Entry, HardState, Payload};
pub use ids::{GroupId, LogIndex, LogPosition, NodeId, ProposalId, ReadId, Round, Term, Time, WriteSeq};
pub use ignored::{Ignored, IgnoredCounts};
pub use input::Input;
pub use log::Log;
pub use message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Message, PreVote, PreVoteReply, RequestVote, RequestVoteReply,
};
pub use raft::{Raft, Start, TERM_JUMP_MAX};
pub use settings::Settings;
pub use status::{PeerState, PeerStatus, Role, Status};
