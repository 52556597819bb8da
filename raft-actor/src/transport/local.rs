//! Hosts of one process talk to each other directly: no socket, no encoding.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use raft_consensus::NodeId;

use super::{Credit, DirectoryId, Hello, Inbound, Outbound, Refusal, Transport};
use crate::envelope::Envelope;
use crate::registry::Registry;

/// A network inside the process. Hosts that are given transports of the same
/// network reach each other; two networks know nothing of one another.
///
/// Links can be cut and healed by hand, to see what a cluster makes of it.
///
/// ```
/// use raft_actor::transport::{LocalNetwork, Transport};
///
/// let network = LocalNetwork::default();
/// assert_eq!(network.transport(1).address(), "local:1");
/// ```
#[derive(Clone, Default)]
pub struct LocalNetwork {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stations: Registry<NodeId, Arc<Station>>,
    links: Mutex<Links>,
    /// Grows whenever somebody may not reach somebody any more as before: who remembers whom it reaches asks anew.
    changes: AtomicU64,
}

/// A host on the network.
struct Station {
    hello: Hello,
    inbound: Arc<dyn Inbound>,
}

#[derive(Default)]
struct Links {
    /// Directed: from, to.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Who was let in by whom, under which directories.
    admitted: BTreeSet<(Seat, Seat)>,
    refused: BTreeSet<(Seat, Seat)>,
}

/// A node on a certain directory.
type Seat = (NodeId, DirectoryId);

impl LocalNetwork {
    /// The place of `node` on this network, for the builder.
    pub fn transport(&self, node: impl Into<NodeId>) -> LocalTransport {
        LocalTransport { network: self.clone(), node: node.into() }
    }

    /// From now on nothing that `from` sends reaches `to`. The other direction is not touched.
    pub fn cut(&self, from: impl Into<NodeId>, to: impl Into<NodeId>) {
        let link = (from.into(), to.into());
        self.links().cut.insert(link);
        self.changed();
        if let Some(sender) = self.shared.stations.get(&link.0) {
            sender.inbound.unreachable(link.1);
        }
    }

    /// Undoes [`cut`](Self::cut).
    pub fn heal(&self, from: impl Into<NodeId>, to: impl Into<NodeId>) {
        let (from, to) = (from.into(), to.into());
        self.links().cut.remove(&(from, to));
        if let (Some(sender), Some(receiver)) = (self.shared.stations.get(&from), self.shared.stations.get(&to)) {
            self.introduce(&sender, &receiver);
        }
    }

    /// Cuts every link of `node`, both ways.
    pub fn isolate(&self, node: impl Into<NodeId>) {
        let node = node.into();
        for other in self.others(node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Heals every link of `node`, both ways.
    pub fn rejoin(&self, node: impl Into<NodeId>) {
        let node = node.into();
        for other in self.others(node) {
            self.heal(node, other);
            self.heal(other, node);
        }
    }

    fn others(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.shared.stations.values().into_iter().map(|station| station.hello.node).filter(move |other| *other != node)
    }

    fn changed(&self) {
        self.shared.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn links(&self) -> std::sync::MutexGuard<'_, Links> {
        // Every critical section leaves the sets whole, even if it panics.
        self.shared.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets who let `node` in and whom it let in: a host that starts again has everything said to it again.
    fn forget(&self, node: NodeId) {
        let mut links = self.links();
        let is_of = |(a, b): &(Seat, Seat)| a.0 == node || b.0 == node;
        links.admitted.retain(|seats| !is_of(seats));
        links.refused.retain(|seats| !is_of(seats));
        self.changed();
    }

    /// Forgets what `node` and `peer` are to each other: they introduce themselves anew with the next message.
    fn part(&self, node: NodeId, peer: NodeId) {
        let mut links = self.links();
        let is_between = |(a, b): &(Seat, Seat)| (a.0, b.0) == (node, peer) || (a.0, b.0) == (peer, node);
        links.admitted.retain(|seats| !is_between(seats));
        links.refused.retain(|seats| !is_between(seats));
        self.changed();
    }

    /// Lets `sender` introduce itself to `receiver`, once. Returns whether messages may pass.
    fn introduce(&self, sender: &Station, receiver: &Station) -> bool {
        let link = (sender.hello.node, receiver.hello.node);
        let seats = ((link.0, sender.hello.directory), (link.1, receiver.hello.directory));
        {
            let links = self.links();
            if links.cut.contains(&link) || links.refused.contains(&seats) {
                return false;
            }
            if links.admitted.contains(&seats) {
                return true;
            }
        }
        let verdict = receiver.inbound.admit(&sender.hello);
        let mut links = self.links();
        match verdict {
            Ok(()) => {
                links.admitted.insert(seats);
                drop(links);
                sender.inbound.confirmed(&receiver.hello);
                true
            }
            Err(refusal) => {
                // Who is only busy is asked again with the next message.
                if refusal != Refusal::Busy {
                    links.refused.insert(seats);
                }
                drop(links);
                sender.inbound.refused(receiver.hello.node, refusal);
                false
            }
        }
    }
}

impl fmt::Debug for LocalNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalNetwork").finish_non_exhaustive()
    }
}

/// The place of one node on a [`LocalNetwork`].
#[derive(Debug)]
pub struct LocalTransport {
    network: LocalNetwork,
    node: NodeId,
}

impl Transport for LocalTransport {
    fn start(self: Box<Self>, hello: Hello, inbound: Arc<dyn Inbound>) -> io::Result<Rc<dyn Outbound>> {
        let station = Arc::new(Station { hello, inbound });
        let network = self.network;
        if network.shared.stations.get(&self.node).is_some() {
            let text = format!("node {} runs on this network already; stop that one first", self.node);
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        network.forget(self.node);
        network.shared.stations.insert(self.node, Arc::clone(&station));
        network.changed();
        for other in network.shared.stations.values() {
            if other.hello.node != self.node {
                network.introduce(&station, &other);
                network.introduce(&other, &station);
            }
        }
        Ok(Rc::new(LocalOutbound { network, station, reached: RefCell::default(), reached_at: Cell::new(0) }))
    }

    fn address(&self) -> String {
        format!("local:{}", self.node)
    }
}

struct LocalOutbound {
    network: LocalNetwork,
    station: Arc<Station>,
    /// Who was reached since the network changed the last time.
    reached: RefCell<BTreeMap<NodeId, Weak<Station>>>,
    reached_at: Cell<u64>,
}

impl LocalOutbound {
    /// Somebody whom the last message has reached, if nothing has changed since.
    fn reached(&self, to: NodeId) -> Option<Arc<Station>> {
        let changes = self.network.shared.changes.load(Ordering::Acquire);
        if self.reached_at.replace(changes) != changes {
            self.reached.borrow_mut().clear();
        }
        self.reached.borrow().get(&to)?.upgrade()
    }
}

impl Outbound for LocalOutbound {
    fn send(&self, envelope: Envelope) -> bool {
        let to = envelope.to;
        if let Some(receiver) = self.reached(to) {
            receiver.inbound.deliver(envelope, Credit::none());
            return true;
        }
        match self.network.shared.stations.get(&to) {
            Some(receiver) if self.network.introduce(&self.station, &receiver) => {
                self.reached.borrow_mut().insert(to, Arc::downgrade(&receiver));
                receiver.inbound.deliver(envelope, Credit::none());
                true
            }
            Some(_) | None => {
                self.station.inbound.unreachable(to);
                false
            }
        }
    }

    fn set_address(&self, _: NodeId, _: &str) {}

    fn forget(&self, peer: NodeId) {
        self.network.part(self.station.hello.node, peer);
    }
}

impl Drop for LocalOutbound {
    fn drop(&mut self) {
        let node = self.station.hello.node;
        self.network.shared.stations.remove_if(&node, |station| Arc::ptr_eq(station, &self.station));
        self.network.changed();
        for other in self.network.shared.stations.values() {
            other.inbound.hung_up(node);
        }
    }
}
