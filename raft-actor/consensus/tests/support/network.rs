//! Messages on their way, and the links they travel.

use std::collections::{BTreeSet, VecDeque};

use raft_consensus::{Message, NodeId};

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// What it says.
    pub message: Message,
}

/// Messages on their way, oldest first, and which links are cut.
#[derive(Debug, Default)]
pub struct Network {
    /// What is on its way.
    pub in_flight: VecDeque<Packet>,
    cut: BTreeSet<(NodeId, NodeId)>,
}

impl Network {
    /// Puts a message on its way; `false` if it is lost at once, the link being cut.
    pub fn send(&mut self, packet: Packet) -> bool {
        let connected = self.connects(packet.from, packet.to);
        if connected {
            self.in_flight.push_back(packet);
        }
        connected
    }

    /// Whether messages from one reach the other.
    pub fn connects(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// Cuts one direction; what is on its way there is lost.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
        self.in_flight.retain(|packet| (packet.from, packet.to) != (from, to));
    }

    /// Mends one direction.
    pub fn mend(&mut self, from: NodeId, to: NodeId) {
        self.cut.remove(&(from, to));
    }

    /// Mends every link.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Takes the oldest message for which `wanted` holds.
    pub fn take_first(&mut self, wanted: impl Fn(&Packet) -> bool) -> Option<Packet> {
        let place = self.in_flight.iter().position(wanted)?;
        self.in_flight.remove(place)
    }

    /// Takes all messages for which `wanted` holds.
    pub fn take_all(&mut self, wanted: impl Fn(&Packet) -> bool) -> Vec<Packet> {
        let (taken, left) = std::mem::take(&mut self.in_flight).into_iter().partition(|packet| wanted(packet));
        self.in_flight = left;
        taken.into()
    }
}
