//! One line per event, for people: `n2@3 candidate => leader`, `n1@3 -> n2 AppendEntries prev=4@2 [5@3] commit=3 r7`.
//!
//! Tests compare such lines and simulations print them; nothing here is used unless somebody asks for a line.
//! `n2@3` is server 2 in term 3, `4@2` the entry with index 4 and term 2, `w7` a write to the storage, `r7` a round.

use std::collections::BTreeSet;

use crate::{
    AppendOutcome, Configuration, Effect, Entries, Entry, HardState, LogIndex, LogWrite, MembershipRefusal, Message,
    NodeId, Payload, ProposalOutcome, Raft, ReplicationOrder, Role, SnapshotMeta, Status, Term, TransferOutcome,
    TransferRefusal,
};

/// What lines tell of a member before or after a step; cheap to take, unlike a [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The member.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Its commit index.
    pub commit: LogIndex,
}

impl From<&Raft> for Moment {
    fn from(raft: &Raft) -> Self {
        Self { id: raft.id(), role: raft.role(), term: raft.term(), commit: raft.commit() }
    }
}

impl From<&Status> for Moment {
    fn from(status: &Status) -> Self {
        Self { id: status.id, role: status.role, term: status.term, commit: status.commit }
    }
}

/// A role as traces name it.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
        Role::Learner => "learner",
    }
}

fn leader(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "leader unknown".to_owned(), |id| format!("leader n{id}"))
}

/// A run of entries by their positions: `[5@3 6@3]`, a long one of one term as `[5@3..9@3]`.
fn positions(entries: &Entries) -> String {
    let all: Vec<_> = entries.iter().map(|entry| entry.position).collect();
    match all.as_slice() {
        [first, .., last] if all.len() > 3 && first.term == last.term => format!("[{first}..{last}]"),
        _ => format!("[{}]", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
    }
}

/// What a message says, without who says it to whom; `own` is the sender's term.
pub fn message(own: Term, message: &Message) -> String {
    let term = message.term();
    let other_term = if term == own { String::new() } else { format!(" term={term}") };
    let details = match message {
        Message::PreVote(m) => format!(" last={}", m.last),
        Message::PreVoteReply(m) => format!(" {}", if m.granted { "granted" } else { "denied" }),
        Message::RequestVote(m) => {
            format!(" last={}{}", m.last, if m.leadership_transfer { " leadership transfer" } else { "" })
        }
        Message::RequestVoteReply(m) => format!(" {}", if m.granted { "granted" } else { "denied" }),
        Message::AppendEntries(m) => {
            let rest = if m.rest { " rest" } else { "" };
            let whole = m.repair.map(|target| format!(" whole at {}", target.through)).unwrap_or_default();
            format!(" prev={} {} commit={} {}{rest}{whole}", m.prev, positions(&m.entries), m.commit, m.round)
        }
        Message::AppendEntriesReply(m) => {
            let damaged = if m.damage.is_some() { " damaged" } else { "" };
            match m.outcome {
                AppendOutcome::Matched { durable } => format!(" matched={durable} {}{damaged}", m.round),
                AppendOutcome::Conflict { refused, hint } => {
                    format!(" conflict at={refused} hint={hint} {}{damaged}", m.round)
                }
                AppendOutcome::Stale => format!(" stale {}{damaged}", m.round),
            }
        }
        Message::InstallSnapshot(m) => format!(" through={} {} {}", m.snapshot.position, members(&m.snapshot), m.round),
        Message::TimeoutNow(_) => String::new(),
    };
    format!("{}{other_term}{details}", message.name())
}

fn write(hard_state: Option<HardState>, log: Option<&LogWrite>) -> String {
    let mut words = Vec::new();
    if let Some(HardState { term, vote, damage }) = hard_state {
        words.push(format!("term={term}"));
        words.extend(vote.map(|id| format!("vote=n{id}")));
        words.extend(damage.map(|_| "damaged".to_owned()));
    }
    match log {
        None => {}
        Some(LogWrite::Append(entries)) => words.push(format!("append {}", positions(entries))),
        Some(LogWrite::Replace(entries)) => words.push(format!("replace {}", positions(entries))),
        Some(LogWrite::Reset { to }) => words.push(format!("reset to {to}")),
        Some(LogWrite::Purge { through }) => words.push(format!("purge through {through}")),
    }
    words.join(" ")
}

/// The line of an effect, if it has one of its own; `before` and `after` are the states around the step.
pub fn effect(before: &Moment, after: &Moment, effect: &Effect) -> Option<String> {
    let who = format!("n{}@{}", after.id, after.term);
    match effect {
        Effect::Persist { seq, hard_state, log } => {
            Some(format!("{who} writes {seq} {}", write(*hard_state, log.as_ref())))
        }
        Effect::Send { to, message: what } => Some(format!("{who} -> n{to} {}", message(after.term, what))),
        Effect::Proposed { id, outcome } => Some(match outcome {
            ProposalOutcome::Appended { first } => format!("{who} proposal {} appended at {first}", id.0),
            ProposalOutcome::NotLeader { leader: known } => {
                format!("{who} proposal {} refused, {}", id.0, leader(*known))
            }
            ProposalOutcome::Overloaded => format!("{who} proposal {} refused, overloaded", id.0),
            ProposalOutcome::HandingOver => format!("{who} proposal {} refused, handing over", id.0),
        }),
        Effect::MembershipChange { id, outcome } => Some(match outcome {
            Ok(at) => format!("{who} change {} appended at {at}", id.0),
            Err(MembershipRefusal::NotLeader { leader: known }) => {
                format!("{who} change {} refused, {}", id.0, leader(*known))
            }
            Err(refusal) => format!("{who} change {} refused, {refusal}", id.0),
        }),
        Effect::Transfer { id, outcome } => Some(match outcome {
            TransferOutcome::Done { leader, term } => {
                format!("{who} transfer {} done, n{leader} leads term {term}", id.0)
            }
            TransferOutcome::Superseded { leader, term } => {
                format!("{who} transfer {} superseded, n{leader} leads term {term}", id.0)
            }
            TransferOutcome::TimedOut => format!("{who} transfer {} timed out", id.0),
            TransferOutcome::Refused(TransferRefusal::NotLeader { leader: known }) => {
                format!("{who} transfer {} refused, {}", id.0, leader(*known))
            }
            TransferOutcome::Refused(refusal) => format!("{who} transfer {} refused, {refusal}", id.0),
        }),
        Effect::ReadReady { id, index } => Some(format!("{who} read {} may be served at {index}", id.0)),
        Effect::ReadRefused { id, leader: known } => Some(format!("{who} read {} refused, {}", id.0, leader(*known))),
        Effect::RoleChanged { role: new, term, leader: known, noop } => {
            let known = match (new, known) {
                (Role::Follower | Role::Learner, Some(id)) => format!(" of n{id}"),
                (Role::Follower | Role::Learner | Role::Candidate | Role::Leader, _) => String::new(),
            };
            let noop = noop.map(|index| format!(", noop at {index}")).unwrap_or_default();
            let from = if *term == before.term { String::new() } else { format!(" (from term {})", before.term) };
            Some(format!("n{}@{term} {} => {}{known}{noop}{from}", after.id, role(before.role), role(*new)))
        }
        Effect::TakeSnapshot => Some(format!("{who} orders a snapshot")),
        Effect::SendSnapshot(order) => {
            Some(format!("{who} orders its snapshot through {} for n{} {}", order.position, order.peer, order.round))
        }
        Effect::InstallSnapshot(snapshot) => {
            Some(format!("{who} installs the snapshot through {} {}", snapshot.position, members(snapshot)))
        }
        Effect::DropSnapshot { position } => Some(format!("{who} drops the snapshot through {position}")),
        Effect::Halt { violation } => Some(format!("{who} halts: {violation}")),
        // Seen as the AppendEntries that it becomes, and as the entries that are applied.
        Effect::Replicate(_) | Effect::Apply { .. } => None,
    }
}

/// The members that a snapshot knows, and where they were made so: `(n1,n2 of 4@2)`.
fn members(snapshot: &SnapshotMeta) -> String {
    format!("({} of {})", members_of(&snapshot.configuration, ","), snapshot.configured_at)
}

/// The line of a commit index that moved.
pub fn commit(after: &Moment, from: LogIndex) -> String {
    format!("n{}@{} commits {from} => {}", after.id, after.term, after.commit)
}

/// The line of entries that the state machine applied.
pub fn applied(id: NodeId, entries: &[Entry]) -> String {
    let names: Vec<String> =
        entries.iter().map(|entry| format!("{} {}", entry.position, name_of(&entry.payload))).collect();
    format!("n{id} applies {}", names.join(", "))
}

/// The line of an order that found the log overwritten.
pub fn void_order(id: NodeId, order: &ReplicationOrder) -> String {
    format!("n{id} drops its order {}..{} for n{}: overwritten", order.prev, order.through, order.peer)
}

/// What a person calls the entry: its command, or what else it is.
pub fn name_of(payload: &Payload) -> String {
    match payload {
        Payload::Noop => "noop".to_owned(),
        Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
        Payload::Configuration(configuration) => {
            format!("voters {}", members_of(configuration, ","))
        }
    }
}

/// The members of a configuration for people: `n1,n2`, joint `n4,n5|n1,n2`, with a learner `n1,n2 +n3`.
pub fn members_of(configuration: &Configuration, separator: &str) -> String {
    let list = |ids: &BTreeSet<NodeId>| ids.iter().map(|id| format!("n{id}")).collect::<Vec<_>>().join(separator);
    let mut members = list(&configuration.voters);
    if configuration.is_joint() {
        members.push_str(&format!("{0}|{0}{1}", separator.replace(',', ""), list(&configuration.voters_outgoing)));
    }
    configuration.learners.iter().for_each(|id| members.push_str(&format!(" +n{id}")));
    if let Some(wish) = &configuration.wish {
        members.push_str(&format!(" => {}", list(&wish.voters)));
        wish.learners.iter().for_each(|id| members.push_str(&format!(" +n{id}")));
    }
    if let Some(lease_reads) = &configuration.lease_reads {
        members.push_str(&format!(" lease={}ms", lease_reads.lease().as_millis()));
    }
    members
}
