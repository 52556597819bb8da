//! What is remembered of one server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft_actor::consensus::{
    AppendOutcome, DamageId, HardState, Input, LogIndex, LogPosition, Message, NodeId, ProposalId, Raft, ReadId,
    RequestVote, Role, Term, Time, WriteSeq,
};

use super::offices::Office;
use super::shape::LogShape;
use super::tombs::Tomb;
use super::transfer::Unheard;

/// A server, running or not.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// What its disk held when it was last looked at.
    pub(super) durable: Image,
    /// Writes of its latest run that may not be on the disk yet, oldest first.
    pub(super) writes: VecDeque<Write>,
    /// Its latest run, while it lasts.
    pub(super) run: Option<Run>,
    /// How often it was started.
    pub(super) runs: u64,
    /// Something was done to its disk, and it has not been started since.
    pub(super) may_have_lost: bool,
    /// Whether its votes ever counted, on this disk or an earlier one.
    pub(super) had_suffrage: bool,
    /// The last command of the state that its machine has loaded in this run, before its core was there.
    pub(super) loaded: Option<LogIndex>,
    /// The last command of the state that its machine has kept by itself, if it keeps one.
    pub(super) held: Option<LogIndex>,
    /// What its core took for its newest snapshot when its last run ended: the log may have been cut behind that.
    pub(super) covered: LogIndex,
    pub(super) tomb: Tomb,
}

/// What a disk holds.
#[derive(Debug, Default, Clone)]
pub(super) struct Image {
    pub(super) hard_state: HardState,
    pub(super) log: LogShape,
    /// The last entry that its newest snapshot covers.
    pub(super) snapshot: LogPosition,
}

impl Image {
    /// Whether this entry is in the log, or a snapshot covers it.
    pub(super) fn holds(&self, position: LogPosition) -> bool {
        self.log.contains(position) || position.index < self.snapshot.index || position == self.snapshot
    }
}

/// A write that was ordered and not confirmed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    pub(super) seq: WriteSeq,
    /// By the server's own clock.
    pub(super) ordered_at: Time,
    pub(super) hard_state: Option<HardState>,
    /// Where the log ends with it, if it changes the log.
    pub(super) end: Option<LogPosition>,
    /// It removes what is at this index and above, and more than nothing.
    pub(super) removes_from: Option<LogIndex>,
}

/// One run of a server, from its start to its end.
#[derive(Debug)]
pub(super) struct Run {
    /// What it was after its latest step.
    pub(super) facts: Facts,
    /// What it takes in at the moment.
    pub(super) cause: Cause,
    /// Its log, durable or not, by what it ordered to be written.
    pub(super) log: LogShape,
    /// The last entry that it read from its disk when it started.
    pub(super) read_back: LogIndex,
    /// The term in which it is known to lead.
    pub(super) leads_in: Option<Term>,
    /// The last entry before the first of its own as a leader, while that one is not committed.
    pub(super) inherited: Option<LogPosition>,
    /// Its last election: the term, and the end of its log then.
    pub(super) campaign: Option<(Term, LogPosition)>,
    /// What it has on its way to each peer as a leader.
    pub(super) windows: BTreeMap<NodeId, VecDeque<Order>>,
    /// The reads it has not answered, and what was committed when they came.
    pub(super) reads: BTreeMap<ReadId, LogIndex>,
    /// The transfers of leadership that it has not answered.
    pub(super) handing_over: BTreeSet<ProposalId>,
    pub(super) unheard: Unheard,
    pub(super) office: Office,
    /// How far its state machine may go, has gone, and said to have gone.
    pub(super) apply_ordered: LogIndex,
    pub(super) machine_applied: LogIndex,
    pub(super) machine_told: LogIndex,
    /// When everything is to be looked at again, in steps.
    pub(super) steps: u64,
    pub(super) recheck_at: u64,
}

/// Entries on their way to a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) through: LogIndex,
    pub(super) bytes: u64,
}

/// The numbers of a member that can be had at every step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) role: Role,
    pub(super) term: Term,
    pub(super) vote: Option<NodeId>,
    pub(super) damage: Option<DamageId>,
    pub(super) commit: LogIndex,
    pub(super) applied: LogIndex,
    pub(super) durable: LogIndex,
    pub(super) base: LogPosition,
    pub(super) last: LogPosition,
    pub(super) snapshot: LogPosition,
    pub(super) configured_at: LogIndex,
}

impl Facts {
    pub(super) fn of(raft: &Raft) -> Self {
        let log = raft.log();
        Self {
            role: raft.role(),
            term: raft.term(),
            vote: raft.vote(),
            damage: raft.damage(),
            commit: raft.commit(),
            applied: raft.applied(),
            durable: raft.durable(),
            base: log.base(),
            last: log.last(),
            snapshot: raft.snapshot().map_or(LogPosition::ZERO, |snapshot| snapshot.position),
            configured_at: log.configuration_entry().0,
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.role == Role::Leader
    }
}

/// What of an input matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Deadline,
    Proposal {
        commands: usize,
    },
    Read(ReadId),
    ReadByLease(ReadId),
    Transfer(ProposalId),
    Persisted(WriteSeq),
    Applied(LogIndex),
    Matched {
        peer: NodeId,
        durable: LogIndex,
    },
    Refused {
        peer: NodeId,
    },
    Unreachable {
        peer: NodeId,
    },
    /// A snapshot of the leader is durable and loaded.
    Installed(LogPosition),
    VoteAsked {
        candidate: NodeId,
        term: Term,
        last: LogPosition,
        is_handed_over: bool,
    },
    /// Whoever leads `term` was heard, unless that term has passed.
    Heard {
        term: Term,
    },
    PreVoteAsked {
        term: Term,
        last: LogPosition,
    },
    Other,
}

impl Cause {
    pub(super) fn of(input: &Input) -> Self {
        match input {
            Input::Deadline => Self::Deadline,
            Input::Propose { commands, .. } => Self::Proposal { commands: commands.len() },
            Input::Read { id } => Self::Read(*id),
            Input::ReadByLease { id } => Self::ReadByLease(*id),
            Input::TransferLeadership { id, to: _ } => Self::Transfer(*id),
            Input::Persisted(seq) => Self::Persisted(*seq),
            Input::Applied(index) => Self::Applied(*index),
            Input::SnapshotInstalled(position) => Self::Installed(*position),
            Input::Unreachable(peer) | Input::HungUp(peer) => Self::Unreachable { peer: *peer },
            Input::Received { from: peer, message: Message::AppendEntriesReply(reply) } => match reply.outcome {
                AppendOutcome::Matched { durable } => Self::Matched { peer: *peer, durable },
                AppendOutcome::Conflict { .. } => Self::Refused { peer: *peer },
                AppendOutcome::Stale => Self::Other,
            },
            Input::Received { from: candidate, message: Message::RequestVote(request) } => {
                let RequestVote { term, last, leadership_transfer: is_handed_over } = *request;
                Self::VoteAsked { candidate: *candidate, term, last, is_handed_over }
            }
            Input::Received { from: _, message: Message::AppendEntries(request) } => Self::Heard { term: request.term },
            Input::Received { from: _, message: Message::PreVote(request) } => {
                Self::PreVoteAsked { term: request.term, last: request.last }
            }
            Input::Received { .. }
            | Input::ChangeMembership { .. }
            | Input::SuffrageGranted
            | Input::HostSilent(_)
            | Input::Met { .. }
            | Input::Stirred
            | Input::TakeSnapshot
            | Input::SnapshotLost
            | Input::SnapshotTaken(_)
            | Input::SnapshotFailed => Self::Other,
        }
    }
}

impl Run {
    pub(super) fn new(raft: &Raft, log: LogShape) -> Self {
        let facts = Facts::of(raft);
        Self {
            facts,
            cause: Cause::Other,
            read_back: log.last().index,
            log,
            leads_in: None,
            inherited: None,
            campaign: None,
            windows: BTreeMap::new(),
            reads: BTreeMap::new(),
            handing_over: BTreeSet::new(),
            unheard: Unheard::default(),
            office: Office::default(),
            apply_ordered: facts.applied,
            machine_applied: facts.applied,
            machine_told: facts.applied,
            steps: 0,
            recheck_at: 0,
        }
    }
}
