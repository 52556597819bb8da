//! Who may talk to this host, and whether this host may vote.
//!
//! Every directory has a random id. Hosts remember each other's, durably. So a
//! disk that was wiped under a known id is found out, and gets no vote: it has
//! forgotten what it voted for and which entries it acknowledged. At the
//! founding of a cluster nobody can know anybody; a founder therefore neither
//! votes nor campaigns before every other founder has recorded its directory.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use raft_consensus::NodeId;

use crate::log_storage::{DataDirectory, Identity, LogError};
use crate::transport::{Hello, Incarnation, Refusal};

/// Most other hosts whose directories are remembered.
const PEERS_MAX: usize = 1024;

/// Decides on introductions and keeps the identity file.
pub(crate) struct Gate {
    hello: Hello,
    founders: BTreeSet<NodeId>,
    state: Mutex<State>,
}

struct State {
    identity: Identity,
    /// `None`: in memory only, or given back.
    directory: Option<DataDirectory>,
    /// Nothing can be recorded any more.
    closed: bool,
    confirmed_by: BTreeSet<NodeId>,
}

impl State {
    fn store(&mut self) -> Result<(), LogError> {
        self.directory.as_mut().map_or(Ok(()), |directory| directory.store(&self.identity))
    }
}

impl Gate {
    pub(crate) fn new(
        hello: Hello,
        founders: BTreeSet<NodeId>,
        identity: Identity,
        directory: Option<DataDirectory>,
    ) -> Self {
        let state = Mutex::new(State { identity, directory, closed: false, confirmed_by: BTreeSet::new() });
        Self { hello, founders, state }
    }

    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the one who introduces itself may talk to us. Its directory is on disk when this returns `Ok`.
    pub(crate) fn admit(&self, other: &Hello) -> Result<(), Refusal> {
        let ours = &self.hello;
        if other.cluster != ours.cluster {
            return Err(Refusal::Cluster { ours: ours.cluster.clone() });
        }
        let joining = Incarnation::default();
        if other.incarnation != ours.incarnation && other.incarnation != joining && ours.incarnation != joining {
            return Err(Refusal::Incarnation);
        }
        if other.node == ours.node {
            return Err(Refusal::Identity { node: other.node });
        }
        let mut state = self.state();
        match state.identity.peers.get(&other.node) {
            Some(known) if *known == other.directory => Ok(()),
            Some(known) => Err(Refusal::Wiped { node: other.node, known: *known }),
            None if state.closed || state.identity.peers.len() >= PEERS_MAX => Err(Refusal::Busy),
            None => {
                state.identity.peers.insert(other.node, other.directory);
                state.store().map_err(|error| {
                    tracing::error!(%error, peer = %other.node, "cannot record the directory of a peer");
                    state.identity.peers.remove(&other.node);
                    Refusal::Busy
                })
            }
        }
    }

    /// A peer has recorded our directory. Returns whether that was the last one missing.
    pub(crate) fn confirmed(&self, by: &Hello) -> bool {
        let mut state = self.state();
        if state.closed || state.identity.confirmed || !self.founders.contains(&by.node) {
            return false;
        }
        if state.identity.peers.get(&by.node).is_some_and(|known| *known != by.directory) {
            // Its disk was wiped since we met it, and may be wiped again: its memory of us counts for nothing.
            tracing::warn!(node = %self.hello.node, by = %by.node, "a confirmation from a wiped disk does not count");
            return false;
        }
        let news = state.confirmed_by.insert(by.node);
        let missing = self.missing(&state);
        if !missing.is_empty() {
            if news {
                tracing::info!(node = %self.hello.node, waiting_for = ?missing, "waiting for peers to confirm this directory");
            }
            return false;
        }
        state.identity.confirmed = true;
        if let Err(error) = state.store() {
            tracing::error!(%error, "cannot record that all peers have confirmed this directory; it gets no vote");
            // The next confirmation, from whomever, tries again.
            state.identity.confirmed = false;
            return false;
        }
        true
    }

    /// Whether this host may vote and campaign.
    pub(crate) fn has_suffrage(&self) -> bool {
        self.state().identity.confirmed
    }

    /// Founders that have not confirmed our directory yet.
    pub(crate) fn waiting_for(&self) -> Vec<u64> {
        let state = self.state();
        if state.identity.confirmed { Vec::new() } else { self.missing(&state) }
    }

    fn missing(&self, state: &State) -> Vec<u64> {
        let others = self.founders.iter().filter(|founder| **founder != self.hello.node);
        others.filter(|founder| !state.confirmed_by.contains(founder)).map(|founder| founder.get()).collect()
    }

    /// Gives the directory back; another process may lock it from here on.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.directory = None;
    }
}

/// Names the founding of a cluster by its name and its first members.
pub(super) fn incarnation(cluster: &str, founders: &BTreeSet<NodeId>) -> Incarnation {
    let members: Vec<u8> = founders.iter().flat_map(|founder| founder.get().to_le_bytes()).collect();
    let hash = u64::from(crc32fast::hash(cluster.as_bytes())) << 32 | u64::from(crc32fast::hash(&members));
    // Zero means "not known yet".
    Incarnation(hash.max(1))
}

#[cfg(test)]
mod tests;
