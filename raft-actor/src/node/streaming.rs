//! The node's part in the way of a snapshot from one server's disk to another's.
//!
//! Chunks and answers are passed on to those who send and receive; none of it enters the core. What does is a snapshot
//! that is whole ([`SnapshotReceived`](super::SnapshotReceived)).

use std::collections::{BTreeMap, BTreeSet};

use actix::prelude::*;
use raft_consensus::{NodeId, Role, SnapshotOrder};

use super::RaftNode;
use crate::envelope::{Body, SnapshotChunk, SnapshotOutcome, SnapshotReply};
use crate::replication::{SnapshotReception, SnapshotSending};
use crate::transport::Credit;

/// What is under way. Dropping it ends all of it.
#[derive(Default)]
pub(super) struct Streaming {
    sendings: BTreeMap<NodeId, SnapshotSending>,
    /// Begun with the first chunk that arrives.
    reception: Option<SnapshotReception>,
}

impl Streaming {
    /// These are no members any more.
    pub(super) fn forget(&mut self, peers: &BTreeSet<NodeId>) {
        self.sendings.retain(|peer, _| !peers.contains(peer));
    }
}

impl RaftNode {
    /// The core wants a peer to be sent the newest snapshot. A sending to it that is under way is over: this is a new round.
    pub(super) fn send_snapshot(&mut self, order: SnapshotOrder) {
        let Some(file) = self.context.snapshots.newest() else {
            tracing::warn!(peer = %order.peer, "there is no snapshot to send");
            return self.context.cannot_send_to(order.peer);
        };
        tracing::info!(node = %self.context.node, peer = %order.peer, position = %file.id().position,
            bytes = file.id().size_bytes, "sends a snapshot");
        let sending = SnapshotSending::start(self.context.clone(), order, file);
        self.streaming.sendings.insert(order.peer, sending);
    }

    /// Only a leader sends snapshots.
    pub(super) fn stop_sending_snapshots(&mut self, role: Role) {
        match role {
            Role::Leader => {}
            Role::Follower | Role::Learner | Role::Candidate => self.streaming.sendings.clear(),
        }
    }

    pub(super) fn snapshot_chunk(
        &mut self,
        from: NodeId,
        chunk: SnapshotChunk,
        credit: Credit,
        ctx: &mut Context<Self>,
    ) {
        let SnapshotChunk { term, round, id, .. } = chunk;
        // What is whole is judged by the core (Figure 13, rule 1). Until then this keeps others from filling the disk:
        // whoever leads is known from heartbeats, which do not wait for snapshots.
        if (self.raft.leader(), self.raft.term()) != (Some(from), term) {
            return tracing::debug!(%from, %term, "a piece of a snapshot of somebody who does not lead");
        }
        if self.raft.commit() >= id.position.index {
            let outcome = SnapshotOutcome::Covered;
            let reply = SnapshotReply { id, round, received: id.size_bytes, outcome };
            self.send(from, Body::SnapshotReply(reply));
            return;
        }
        let context = &self.context;
        let reception = self
            .streaming
            .reception
            .get_or_insert_with(|| SnapshotReception::start(context.clone(), ctx.address().recipient()));
        reception.arrived(from, chunk, credit);
    }

    pub(super) fn snapshot_answered(&self, from: NodeId, reply: SnapshotReply) {
        // Of a sending that is over, nobody needs the answers.
        if let Some(sending) = self.streaming.sendings.get(&from) {
            sending.answered(reply);
        }
    }
}
