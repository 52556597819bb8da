//! The rules of Raft, and nothing else.
//!
//! [`Raft`] is one member of one group as a pure state machine. Events go in
//! through [`Raft::step`], [`Effect`]s come out, and nothing else happens:
//! there is no clock, file, socket, thread, lock or `await` in this crate, and
//! its dependency list is short so that there cannot be. Time and randomness
//! are handed in. The same inputs with the same seed give the same effects.
//!
//! The words are those of the extended Raft paper ("In Search of an
//! Understandable Consensus Algorithm", §) and of Ongaro's dissertation; where
//! a rule stands in the code, its section stands beside it.
//!
//! # How a member is driven
//!
//! Whoever owns a [`Raft`] (the node) loops: take an [`Input`], read the clock,
//! call `step`, carry out the effects in their order. It owes the core three
//! things. Writes ordered by [`Effect::Persist`] are carried out in order, and
//! confirmed with [`Input::Persisted`] once they are on stable storage, not
//! before. At [`Raft::next_deadline`] it sends [`Input::Deadline`]; the core
//! looks at no deadline otherwise, so that a backlog of messages is heard
//! before anybody is declared dead. And messages may be lost, delayed, doubled
//! and reordered as they please, but not altered.
//!
//! Nothing is told that is not durable: what has to wait for the storage waits
//! inside the core, so an [`Effect::Send`] can leave at once. Only
//! [`Effect::Replicate`] does not wait: the leader's disk works in parallel
//! with those of its followers, and the leader counts itself when its own is
//! done.
//!
//! # How to read this crate
//!
//! Rules are plain functions from plain values to plain values, one file each;
//! roles decide when to apply them; `Raft` keeps what is the same in all roles.
//!
//! | to see | read |
//! |---|---|
//! | the order of everything, and whose term counts | `raft` |
//! | what each role does with each message | `role/follower`, `role/candidate`, `role/leader` |
//! | who gets a vote, and when to ask for one | `election` |
//! | whether entries fit a follower's log | `append` |
//! | what a leader knows of a peer and lets go to it | `progress` |
//! | when an entry is committed | `commit`, over the majorities of `quorum` |
//! | reads without a log entry | `read_index` |
//! | reads without asking anybody | `lease`, `role/leader/lease` |
//! | whether a leader still has its quorum | `check_quorum` |
//! | how a leader hands its office to another voter | `transfer`, `role/leader/transfer` |
//! | when a snapshot is taken and the log purged behind it | `compaction` |
//! | what becomes of a snapshot that arrives | `installation`, carried out in `raft/snapshots` |
//! | who belongs to the cluster, and how that changes | `configuration`, `membership`, `role/leader/membership` |
//! | what a member with a damaged log may not do, and when it is whole | `repair`, `role/leader/repair` |
//! | persist before reply | `outbox` |
//! | the state that outlives a role | `shared`, with the [`Log`]'s terms, sizes and configurations |
//! | what must hold whatever happens | `invariants` |
//! | how events are written down for people | [`notation`] |
//!
//! # Which role answers what
//!
//! A message of an older term is answered with ours (requests) or counted and
//! dropped (replies), one of a later term first makes a follower of anybody
//! (§5.1), both before any role sees it; the exceptions stand in `raft`. Of the
//! current term, then:
//!
//! | | follower, learner | candidate | leader |
//! |---|---|---|---|
//! | [`PreVote`] | would I vote for you? unless a leader was heard lately | the same | the same, unless in contact with its quorum |
//! | [`RequestVote`] | one vote a term, to a log as up-to-date | the same; following if the vote was still free | refuses: it voted for itself |
//! | [`AppendEntries`] | checks, appends, acknowledges what is durable | follows the sender, and answers as its follower | drops: a term has one leader |
//! | [`TimeoutNow`] | campaigns at once, if the leader it follows says so | drops: it campaigns already | drops: it leads |
//! | [`PreVoteReply`] | drops: too late | counts; with a quorum, campaigns | drops: the election is over |
//! | [`RequestVoteReply`] | drops: too late | counts; with a quorum, leads | drops: the election is over |
//! | [`InstallSnapshot`] | installs what its log does not say | follows the sender, as its follower | drops: a term has one leader |
//! | [`AppendEntriesReply`] | drops: it leads no more | drops: it leads no more | match, hint, round; commits, answers reads, sends more |
//!
//! Who belongs to the cluster stands in the log, and counts as soon as it is
//! there. A change goes through up to three configurations, each appended by
//! whoever leads when the one before is committed: future voters catch up as
//! learners, then both majorities count (joint), then the new one alone.
//!
//! A learner is a follower that may not campaign. It does answer RequestVote:
//! it may not have heard yet that it was promoted.
//!
//! # What can go wrong
//!
//! Remote input is never trusted to be sound: what contradicts itself, our
//! committed log or the history of terms is counted by reason ([`Ignored`]) and
//! dropped. Our own state is: every step is checked by a second opinion, and a
//! member that finds itself broken says so with the values ([`Effect::Halt`])
//! and does nothing any more. Raft survives members that stop, not members
//! that lie.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod append;
mod check_quorum;
mod commit;
mod compaction;
mod configuration;
mod disks;
mod effect;
mod election;
mod entries;
mod entry;
mod ids;
mod ignored;
mod input;
mod installation;
mod invariants;
mod lease;
mod log;
mod membership;
mod message;
pub mod notation;
mod outbox;
mod progress;
mod quorum;
mod raft;
mod read_index;
mod repair;
mod role;
mod settings;
mod shared;
mod snapshot;
mod status;
#[cfg(test)]
mod testing;
mod transfer;

pub use configuration::{Configuration, Wish};
pub use effect::{Effect, Effects, LogWrite, ProposalOutcome, ReplicationOrder, SnapshotOrder};
pub use entries::Entries;
pub use entry::{Entry, HardState, Payload};
pub use ids::{
    DamageId, DirectoryId, GroupId, LogIndex, LogPosition, NodeId, ProposalId, ReadId, Round, Term, Time, WriteSeq,
};
pub use ignored::{Ignored, IgnoredCounts};
pub use input::Input;
pub use lease::{LEASE_DRIFT_PERCENT_MAX, LEASE_TIMEOUT_MS_MAX, LeaseChange, LeaseReads};
pub use log::Log;
pub use membership::{ChangeState, InvalidMembership, Membership, MembershipRefusal};
pub use message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, Message, PreVote, PreVoteReply, RepairTarget,
    RequestVote, RequestVoteReply, TimeoutNow,
};
pub use raft::{Raft, Start, TERM_JUMP_MAX};
pub use settings::{ELECTION_PRIORITY_MAX, Settings};
pub use snapshot::{LogAtStart, SnapshotMeta};
pub use status::{PeerState, PeerStatus, Role, Status};
pub use transfer::{TransferOutcome, TransferRefusal};
