//! Events as numbers, the same on every machine.

use std::hash::Hasher;

use raft_actor::consensus::notation::{self, Moment};
use raft_actor::consensus::{
    AppendOutcome, Effect, Entries, LogPosition, LogWrite, Message, NodeId, Payload, ProposalOutcome, TransferOutcome,
};
use raft_actor::envelope::Body;

use crate::sim::durable::payload_hash;
use crate::sim::hash::StableHasher;

pub(super) fn numbers<const N: usize>(hash: &mut StableHasher, numbers: [u64; N]) {
    numbers.into_iter().for_each(|number| hash.write_u64(number));
}

pub(super) fn take_position(hash: &mut StableHasher, position: LogPosition) {
    hash.write_u64(position.term.get() << 32 ^ position.index.get());
}

fn take_entries(hash: &mut StableHasher, entries: &Entries) {
    for entry in entries.iter() {
        take_position(hash, entry.position);
        match &entry.payload {
            Payload::Noop => {}
            Payload::Command(command) => hash.write_u64(payload_hash(command)),
            Payload::Configuration(configuration) => {
                configuration.members().iter().for_each(|member| hash.write_u64(member.get()));
            }
        }
    }
}

pub(super) fn take_body(hash: &mut StableHasher, body: &Body) {
    match body {
        Body::Raft(message) => take_message(hash, message),
        Body::Forward(forward) => {
            hash.write_u64(forward.id);
            forward.requests.iter().for_each(|request| hash.write(request));
        }
        Body::ForwardReply(reply) => {
            numbers(hash, [reply.id, u64::from(reply.first)]);
            for outcome in &reply.outcomes {
                match outcome {
                    Ok(answer) => hash.write(answer),
                    Err(_) => hash.write_u64(1),
                }
            }
        }
        Body::SnapshotChunk(chunk) => {
            numbers(hash, [chunk.term.get(), chunk.round.get(), u64::from(chunk.id.checksum), chunk.offset]);
            take_position(hash, chunk.id.position);
            hash.write(&chunk.bytes);
        }
        Body::Pulse(pulse) => numbers(hash, [pulse.run, pulse.stops]),
        Body::SnapshotReply(reply) => {
            numbers(hash, [reply.round.get(), u64::from(reply.id.checksum), reply.received, reply.outcome as u64]);
            take_position(hash, reply.id.position);
        }
    }
}

fn take_message(hash: &mut StableHasher, message: &Message) {
    hash.write_u64(message.term().get());
    match message {
        Message::PreVote(m) => take_position(hash, m.last),
        Message::RequestVote(m) => {
            take_position(hash, m.last);
            hash.write_u64(u64::from(m.leadership_transfer));
        }
        Message::PreVoteReply(m) => hash.write_u64(u64::from(m.granted)),
        Message::RequestVoteReply(m) => hash.write_u64(2 + u64::from(m.granted)),
        Message::AppendEntries(m) => {
            take_position(hash, m.prev);
            // What they carry was hashed when it was written.
            take_position(hash, m.entries.last_position().unwrap_or(LogPosition::ZERO));
            numbers(hash, [m.commit.get(), m.round.get(), u64::from(m.rest)]);
        }
        Message::AppendEntriesReply(m) => {
            hash.write_u64(m.round.get());
            match m.outcome {
                AppendOutcome::Matched { durable } => hash.write_u64(durable.get()),
                AppendOutcome::Conflict { refused, hint } => {
                    hash.write_u64(!refused.get());
                    take_position(hash, hint);
                }
                AppendOutcome::Stale => hash.write_u64(u64::MAX),
            }
        }
        Message::InstallSnapshot(m) => {
            hash.write_u64(m.round.get());
            take_position(hash, m.snapshot.position);
        }
        Message::TimeoutNow(_) => hash.write_u64(4),
    }
}

pub(super) fn take_effect(hash: &mut StableHasher, after: &Moment, effect: &Effect) {
    numbers(hash, [after.id.get(), after.term.get()]);
    match effect {
        Effect::Persist { seq, hard_state, log } => {
            hash.write_u64(seq.get());
            if let Some(hard_state) = hard_state {
                numbers(hash, [hard_state.term.get(), hard_state.vote.map_or(0, NodeId::get)]);
            }
            match log {
                Some(LogWrite::Append(entries) | LogWrite::Replace(entries)) => take_entries(hash, entries),
                Some(LogWrite::Reset { to }) => take_position(hash, *to),
                Some(LogWrite::Purge { through }) => hash.write_u64(through.get()),
                None => {}
            }
        }
        // Seen as the messages that they become.
        Effect::Send { .. } | Effect::Replicate(_) => {}
        Effect::Apply { through } => hash.write_u64(through.get()),
        Effect::TakeSnapshot => hash.write_u64(0),
        Effect::SendSnapshot(order) => {
            numbers(hash, [order.peer.get(), order.round.get()]);
            take_position(hash, order.position);
        }
        Effect::InstallSnapshot(snapshot) => take_position(hash, snapshot.position),
        Effect::DropSnapshot { position } => take_position(hash, *position),
        Effect::Proposed { id, outcome } => {
            hash.write_u64(id.0);
            match outcome {
                ProposalOutcome::Appended { first } => take_position(hash, *first),
                ProposalOutcome::NotLeader { leader } => hash.write_u64(leader.map_or(0, NodeId::get)),
                ProposalOutcome::Overloaded => hash.write_u64(u64::MAX),
                ProposalOutcome::HandingOver => hash.write_u64(u64::MAX - 1),
            }
        }
        Effect::MembershipChange { id, outcome } => {
            hash.write_u64(id.0);
            take_position(hash, (*outcome).unwrap_or_default());
        }
        Effect::Transfer { id, outcome } => {
            let outcome = match outcome {
                TransferOutcome::Done { leader, term } => [1, leader.get(), term.get()],
                TransferOutcome::Superseded { leader, term } => [2, leader.get(), term.get()],
                TransferOutcome::TimedOut => [3, 0, 0],
                TransferOutcome::Refused(_) => [4, 0, 0],
            };
            numbers(hash, [id.0]);
            numbers(hash, outcome);
        }
        Effect::ReadReady { id, index } => numbers(hash, [id.0, index.get()]),
        Effect::ReadRefused { id, leader } => {
            numbers(hash, [id.0, leader.map_or(0, NodeId::get)]);
        }
        Effect::RoleChanged { role, leader, .. } => {
            hash.write(notation::role(*role).as_bytes());
            hash.write_u64(leader.map_or(0, NodeId::get));
        }
        Effect::Halt { violation } => hash.write(violation.as_bytes()),
    }
}
