//! The simulated network: what nodes send is handed to the world, which decides when and whether it arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_actor::NodeId;
use raft_actor::envelope::Envelope;
use raft_actor::transport::{Hello, Inbound, Outbound, Refusal, Transport};

use super::judge::Judge;

/// From, to.
pub(super) type Link = (NodeId, NodeId);

/// The lines between the nodes. Clones are the same network.
#[derive(Clone)]
pub(super) struct Network {
    wire: Arc<Mutex<Wire>>,
    judge: Judge,
}

#[derive(Default)]
struct Wire {
    stations: BTreeMap<NodeId, Station>,
    /// Who was let in by whom, and knows it.
    connected: BTreeSet<Link>,
    /// Who is trying to be let in, or was refused and stays so until one of the two starts anew.
    connecting: BTreeSet<Link>,
    /// Who was last refused by whom, and why.
    refused: BTreeMap<Link, Refusal>,
    /// The newest message that arrived on each link, to see what overtakes what.
    newest: BTreeMap<Link, u64>,
    /// Nothing passes. Each fault that cuts a link adds one.
    cuts: BTreeMap<Link, u32>,
    outgoing: Vec<Outgoing>,
}

/// A host that listens.
#[derive(Clone)]
pub(super) struct Station {
    pub(super) hello: Hello,
    pub(super) inbound: Arc<dyn Inbound>,
    /// Which start of the node this is.
    pub(super) run: u64,
}

/// What a node wants sent.
pub(super) enum Outgoing {
    /// A message.
    Message(Box<Envelope>),
    /// An introduction: nobody was let in on this link yet.
    Hello(Link),
}

impl Network {
    pub(super) fn new(judge: Judge) -> Self {
        Self { wire: Arc::default(), judge }
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        // Every critical section leaves the sets whole.
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of a node, for one run of it. Snapshots travel in messages of at most so many bytes.
    pub(super) fn transport(&self, node: NodeId, run: u64, piece_bytes_max: u64) -> SimTransport {
        SimTransport { network: self.clone(), node, run, piece_bytes_max }
    }

    pub(super) fn station(&self, node: NodeId) -> Option<Station> {
        self.wire().stations.get(&node).cloned()
    }

    /// Swaps what nodes want sent for an empty list.
    pub(super) fn take_outgoing(&self, taken: &mut Vec<Outgoing>) {
        std::mem::swap(&mut self.wire().outgoing, taken);
    }

    pub(super) fn is_cut(&self, link: Link) -> bool {
        let wire = self.wire();
        !wire.cuts.is_empty() && wire.cuts.contains_key(&link)
    }

    /// Nothing passes on this link until [`mend`](Self::mend) was called as often.
    pub(super) fn cut(&self, link: Link) {
        *self.wire().cuts.entry(link).or_default() += 1;
    }

    pub(super) fn mend(&self, link: Link) {
        let mut wire = self.wire();
        if let Some(count) = wire.cuts.get_mut(&link) {
            *count -= 1;
            if *count == 0 {
                wire.cuts.remove(&link);
            }
        }
    }

    pub(super) fn mend_all(&self) {
        self.wire().cuts.clear();
    }

    /// The sender wants to be let in by the receiver, as soon as both are there.
    pub(super) fn wants(&self, link: Link) {
        self.wire().outgoing.push(Outgoing::Hello(link));
    }

    /// Whether `link` is to be introduced by whoever asks first: neither connected nor on its way.
    pub(super) fn begin_connecting(&self, link: Link) -> bool {
        let mut wire = self.wire();
        !wire.connected.contains(&link) && wire.connecting.insert(link)
    }

    pub(super) fn connecting_ended(&self, link: Link, is_connected: bool) {
        let mut wire = self.wire();
        wire.connecting.remove(&link);
        if is_connected {
            wire.refused.remove(&link);
            wire.connected.insert(link);
        }
    }

    /// The receiver does not let the sender in; it is not asked again.
    pub(super) fn refuse(&self, link: Link, refusal: Refusal) {
        let mut wire = self.wire();
        wire.connected.remove(&link);
        wire.refused.insert(link, refusal);
    }

    pub(super) fn refusal(&self, link: Link) -> Option<Refusal> {
        self.wire().refused.get(&link).cloned()
    }

    /// Whether a message arrives behind one that was sent after it.
    pub(super) fn arrives_out_of_order(&self, sent: u64, link: Link) -> bool {
        let mut wire = self.wire();
        let newest = wire.newest.entry(link).or_default();
        let is_late = sent < *newest;
        *newest = sent.max(*newest);
        is_late
    }

    /// The connection on this link is closed, and both ends know. The sender connects anew.
    pub(super) fn reset(&self, link: Link) {
        let mut wire = self.wire();
        if !wire.connected.remove(&link) {
            return;
        }
        wire.outgoing.push(Outgoing::Hello(link));
        let ends = [link, (link.1, link.0)].map(|(end, other)| (wire.stations.get(&end).cloned(), other));
        drop(wire);
        for (station, other) in ends {
            if let Some(station) = station {
                station.inbound.hung_up(other);
            }
        }
    }

    /// A node is gone. Its peers hear of it at once, if `is_told`: their connections are reset.
    pub(super) fn leave(&self, node: NodeId, is_told: bool) {
        let mut wire = self.wire();
        wire.stations.remove(&node);
        let is_of = |link: &Link| link.0 == node || link.1 == node;
        let peers: Vec<Station> = wire
            .connected
            .iter()
            .filter(|link| link.1 == node && is_told)
            .filter_map(|link| wire.stations.get(&link.0).cloned())
            .collect();
        wire.connected.retain(|link| !is_of(link));
        wire.connecting.retain(|link| !is_of(link));
        drop(wire);
        for peer in peers {
            peer.inbound.hung_up(node);
        }
    }
}

/// A node's way onto the simulated [`Network`].
pub(super) struct SimTransport {
    network: Network,
    node: NodeId,
    run: u64,
    piece_bytes_max: u64,
}

impl Transport for SimTransport {
    fn start(self: Box<Self>, hello: Hello, inbound: Arc<dyn Inbound>) -> io::Result<Rc<dyn Outbound>> {
        let Self { network, node, run, piece_bytes_max: _ } = *self;
        network.wire().stations.insert(node, Station { hello, inbound: Arc::clone(&inbound), run });
        Ok(Rc::new(SimOutbound { network, node, run, inbound }))
    }

    fn address(&self) -> String {
        format!("sim:{}", self.node)
    }

    fn snapshot_message_bytes_max(&self) -> u64 {
        self.piece_bytes_max
    }
}

struct SimOutbound {
    network: Network,
    node: NodeId,
    run: u64,
    inbound: Arc<dyn Inbound>,
}

impl Outbound for SimOutbound {
    fn send(&self, envelope: Envelope) -> bool {
        self.network.judge.leaves(&envelope);
        let link = (self.node, envelope.to);
        let mut wire = self.network.wire();
        if wire.connected.contains(&link) {
            wire.outgoing.push(Outgoing::Message(Box::new(envelope)));
            return true;
        }
        if !wire.connecting.contains(&link) {
            wire.outgoing.push(Outgoing::Hello(link));
        }
        drop(wire);
        self.inbound.unreachable(link.1);
        false
    }

    fn set_address(&self, peer: NodeId, _: &str) {
        self.network.wire().outgoing.push(Outgoing::Hello((self.node, peer)));
    }

    fn forget(&self, peer: NodeId) {
        let mut wire = self.network.wire();
        for link in [(self.node, peer), (peer, self.node)] {
            wire.connected.remove(&link);
            wire.connecting.remove(&link);
        }
    }
}

impl Drop for SimOutbound {
    fn drop(&mut self) {
        let mut wire = self.network.wire();
        if wire.stations.get(&self.node).is_some_and(|station| station.run == self.run) {
            wire.stations.remove(&self.node);
        }
    }
}
