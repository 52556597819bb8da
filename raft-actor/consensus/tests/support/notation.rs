//! One line per event, for people: `n2@3 candidate => leader`, `n1@3 -> n2 AppendEntries prev=4@2 [5@3] commit=3 r7`.

use raft_consensus::{
    AppendOutcome, Effect, Entries, Entry, HardState, LogIndex, LogWrite, MembershipRefusal, Message, NodeId,
    ProposalOutcome, ReplicationOrder, Role, Status, Term,
};

use super::checker::Before;
use super::disk::name_of;

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
            format!(" prev={} {} commit={} {}", m.prev, positions(&m.entries), m.commit, m.round)
        }
        Message::AppendEntriesReply(m) => match m.outcome {
            AppendOutcome::Matched { durable } => format!(" matched={durable} {}", m.round),
            AppendOutcome::Conflict { refused, hint } => format!(" conflict at={refused} hint={hint} {}", m.round),
            AppendOutcome::Stale => format!(" stale {}", m.round),
        },
    };
    format!("{}{other_term}{details}", message.name())
}

fn write(hard_state: Option<HardState>, log: Option<&LogWrite>) -> String {
    let mut words = Vec::new();
    if let Some(HardState { term, vote }) = hard_state {
        words.push(format!("term={term}"));
        words.extend(vote.map(|id| format!("vote=n{id}")));
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
pub fn effect(before: &Before, after: &Status, effect: &Effect) -> Option<String> {
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
        }),
        Effect::MembershipChange { id, outcome } => Some(match outcome {
            Ok(at) => format!("{who} change {} appended at {at}", id.0),
            Err(MembershipRefusal::NotLeader { leader: known }) => {
                format!("{who} change {} refused, {}", id.0, leader(*known))
            }
            Err(refusal) => format!("{who} change {} refused, {refusal}", id.0),
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
        Effect::Halt { violation } => Some(format!("{who} halts: {violation}")),
        // Seen as the AppendEntries that it becomes, and as the entries that are applied.
        Effect::Replicate(_) | Effect::Apply { .. } => None,
    }
}

/// The line of a commit index that moved.
pub fn commit(after: &Status, from: LogIndex) -> String {
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
