//! Which peers there are, where they are, and the connections to them.

use std::collections::BTreeMap;
use std::rc::Rc;

use raft_actor::NodeId;
use raft_actor::envelope::{Body, Envelope};

use super::handshake::Lane;
use super::link::{self, Link};
use super::queue::Dropped;
use super::{Count, Shared, Task, bulk, complain};

/// All peers that we may send to.
#[derive(Default)]
pub(super) struct Outgoing {
    peers: BTreeMap<NodeId, Peer>,
}

/// A peer, and what we opened to it. Dropping it closes that.
pub(super) struct Peer {
    address: String,
    /// Whether the host told us the address. Otherwise the peer did, when it connected to us.
    told_by_host: bool,
    links: BTreeMap<Lane, OpenLink>,
}

struct OpenLink {
    link: Rc<Link>,
    task: Task,
}

impl Outgoing {
    pub(super) fn forget(&mut self, peer: NodeId) -> Option<Peer> {
        self.peers.remove(&peer)
    }

    /// Where the host says that others are.
    pub(super) fn known(&self) -> Vec<(NodeId, String)> {
        let told = self.peers.iter().filter(|(_, peer)| peer.told_by_host);
        told.map(|(node, peer)| (*node, peer.address.clone())).collect()
    }

    pub(super) fn clear(&mut self) {
        self.peers.clear();
    }
}

/// Which connection a message takes. Only pieces of snapshots are bulky; the answers to them are not.
fn lane_of(body: &Body) -> Lane {
    match body {
        Body::Raft(_) | Body::Forward(_) | Body::ForwardReply(_) | Body::SnapshotReply(_) | Body::Pulse(_) => {
            Lane::Raft
        }
        Body::SnapshotChunk(_) => Lane::Bulk,
    }
}

impl Shared {
    /// Returns whether it may arrive.
    pub(super) fn send(self: &Rc<Self>, envelope: &Envelope) -> bool {
        let peer = envelope.to;
        let lane = lane_of(&envelope.body);
        let pushed = match self.link(peer, lane) {
            Some(link) => link.push(envelope, self),
            None => Err(Dropped::Unconnected),
        };
        match pushed {
            Ok(()) => {
                self.counters.one(Count::MessagesOut);
                true
            }
            Err(dropped) => {
                self.counters.one(dropped.count());
                if lane == Lane::Bulk {
                    self.counters.one(Count::BulkDropped);
                }
                if let Dropped::Unsendable(error) = dropped {
                    complain!(self, %peer, group = %envelope.group, %error, "a message cannot be sent");
                }
                // A full queue of snapshots says nothing about the way of the heartbeats.
                match lane {
                    Lane::Raft => self.inbound.unreachable(peer),
                    Lane::Bulk => {}
                }
                false
            }
        }
    }

    /// The host knows where `peer` is. Connects at once.
    pub(super) fn set_address(self: &Rc<Self>, peer: NodeId, address: &str) {
        if peer == self.hello.node {
            return;
        }
        let known = self.outgoing.borrow_mut().peers.get_mut(&peer).is_some_and(|known| {
            known.told_by_host |= known.address == address;
            known.address == address
        });
        if !known {
            let moved = self.outgoing.borrow_mut().peers.insert(peer, Peer::new(address, true));
            self.replaced(peer, moved);
        }
        self.link(peer, Lane::Raft);
    }

    /// `peer` has just connected to us, so it is alive: no reason to wait before connecting to it.
    pub(super) fn peer_is_there(&self, peer: NodeId, address: &str) {
        let mut outgoing = self.outgoing.borrow_mut();
        let room = outgoing.peers.len() < self.options.connections_max;
        match outgoing.peers.get(&peer) {
            Some(known) if known.told_by_host || known.address == address => {
                return known.links.values().for_each(|open| open.link.retry_now());
            }
            None if !room => return,
            Some(_) | None => {}
        }
        // A host that we do not know (yet) wants answers: what it says about its address is all there is.
        let moved = outgoing.peers.insert(peer, Peer::new(address, false));
        drop(outgoing);
        self.replaced(peer, moved);
    }

    /// What waited for the old address is gone.
    fn replaced(&self, peer: NodeId, old: Option<Peer>) {
        if old.is_some_and(|old| old.links.get(&Lane::Raft).is_some_and(|open| open.link.is_connected())) {
            self.counters.one(Count::Disconnected);
            self.inbound.unreachable(peer);
        }
    }

    /// The connection to `peer`, opened on first use; `None` if we do not know where it is.
    fn link(self: &Rc<Self>, peer: NodeId, lane: Lane) -> Option<Rc<Link>> {
        let mut outgoing = self.outgoing.borrow_mut();
        let Peer { address, links, .. } = outgoing.peers.get_mut(&peer)?;
        let open = links.entry(lane).or_insert_with(|| {
            let link = Rc::new(Link::new(peer, address.clone(), lane, &self.options));
            let task = match lane {
                Lane::Raft => Task::spawn(link::run(Rc::clone(&link), Rc::clone(self))),
                Lane::Bulk => {
                    // What opens it is the first to wait for it.
                    link.queue.borrow_mut().set_open(true);
                    Task::spawn(bulk::run(Rc::clone(&link), Rc::clone(self)))
                }
            };
            OpenLink { link, task }
        });
        Some(Rc::clone(&open.link))
    }

    /// The connection for snapshots is closed; said by its task, which is about to end. The next one opens another.
    pub(super) fn bulk_is_over(&self, link: &Rc<Link>) {
        let mut outgoing = self.outgoing.borrow_mut();
        let Some(peer) = outgoing.peers.get_mut(&link.peer) else { return };
        if peer.links.get(&Lane::Bulk).is_some_and(|open| Rc::ptr_eq(&open.link, link))
            && let Some(open) = peer.links.remove(&Lane::Bulk)
        {
            open.task.release();
        }
    }
}

impl Peer {
    fn new(address: &str, told_by_host: bool) -> Self {
        Self { address: address.to_owned(), told_by_host, links: BTreeMap::new() }
    }
}
