//! The way out of a group into the transport that all groups of a host share.

use std::rc::Rc;
use std::sync::Arc;

use raft_consensus::{GroupId, NodeId};

use super::inbound::HostInbound;
use crate::envelope::Envelope;
use crate::transport::Outbound;

/// The host's transport as one group sees it.
pub(super) struct GroupOutbound {
    group: GroupId,
    outbound: Rc<dyn Outbound>,
    inbound: Arc<HostInbound>,
}

impl GroupOutbound {
    pub(super) fn new(group: GroupId, outbound: Rc<dyn Outbound>, inbound: Arc<HostInbound>) -> Self {
        Self { group, outbound, inbound }
    }
}

impl Outbound for GroupOutbound {
    fn send(&self, envelope: Envelope) -> bool {
        self.outbound.send(envelope)
    }

    fn set_address(&self, peer: NodeId, address: &str) {
        self.outbound.set_address(peer, address);
    }

    /// Only if no other group still speaks to that host.
    fn forget(&self, peer: NodeId) {
        if !self.inbound.gate.is_member_besides(self.group, peer) {
            self.outbound.forget(peer);
        }
    }
}
