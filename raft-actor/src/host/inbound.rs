//! What arrives at a host, on its way to the group it is for.

use actix::Addr;
use raft_consensus::{GroupId, NodeId};

use super::gate::Gate;
use crate::envelope::Envelope;
use crate::node::{PeerUnreachable, RaftNode, Received, SuffrageGranted};
use crate::registry::Registry;
use crate::transport::{Credit, Hello, Inbound, Refusal};

/// The host as its transport sees it.
pub(crate) struct HostInbound {
    pub(super) gate: Gate,
    pub(super) groups: Registry<GroupId, Addr<RaftNode>>,
}

impl HostInbound {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, groups: Registry::default() }
    }

    fn grant_suffrage(&self) {
        tracing::info!(node = %self.gate.hello().node, "all peers have confirmed this directory; it votes from now on");
        for group in self.groups.values() {
            group.do_send(SuffrageGranted);
        }
    }
}

impl Inbound for HostInbound {
    fn admit(&self, hello: &Hello) -> Result<(), Refusal> {
        let verdict = self.gate.admit(hello);
        if let Err(refusal) = &verdict {
            tracing::warn!(node = %self.gate.hello().node, from = %hello.node, %refusal, "refused a host");
        }
        verdict
    }

    fn confirmed(&self, by: &Hello) {
        if self.gate.confirmed(by) {
            self.grant_suffrage();
        }
    }

    fn refused(&self, by: NodeId, refusal: Refusal) {
        tracing::error!(node = %self.gate.hello().node, %by, "a peer refuses this node: {refusal}");
    }

    fn deliver(&self, envelope: Envelope, credit: Credit) {
        match self.groups.get(&envelope.group) {
            Some(node) => node.do_send(Received { envelope, credit }),
            None => tracing::debug!(group = %envelope.group, from = %envelope.from, "message for an unknown group"),
        }
    }

    fn unreachable(&self, peer: NodeId) {
        for group in self.groups.values() {
            group.do_send(PeerUnreachable(peer));
        }
    }
}
