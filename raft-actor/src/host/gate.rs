//! Who may talk to this host, and whether this host may vote.
//!
//! Every directory has a random id. Hosts remember each other's, durably. So a
//! disk that was wiped under a known id is found out, and gets no vote: it has
//! forgotten what it voted for and which entries it acknowledged. At the
//! founding of a cluster nobody can know anybody; a founder therefore neither
//! votes nor campaigns before every other founder has recorded its directory.
//!
//! What a configuration records of a member's directory wins over what this host
//! has met: whoever gets a vote later gets it with one disk, the same for all
//! (`disks` in the consensus crate). What was met decides where nothing is recorded.
//!
//! Only the directories of members are remembered: nobody counts the votes of
//! others. So a node whose disk was wiped is let in after it was removed, and
//! has its new directory recorded when it is added again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use raft_consensus::{GroupId, LeaseReads, LogIndex, NodeId};

use crate::log_storage::{DataDirectory, Identity, LogError};
use crate::node::MembersChanged;
use crate::transport::{DirectoryId, Hello, Incarnation, Refusal};

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
    /// The founders that have confirmed our directory, and with which of their own.
    confirmed_by: BTreeMap<NodeId, DirectoryId>,
    /// Who belongs to a configuration of a group that counts or may yet count; empty as long as nobody has said so.
    members: BTreeMap<GroupId, BTreeSet<NodeId>>,
    /// The directories of those that were let in, in this run and since they last left.
    admitted: BTreeMap<NodeId, DirectoryId>,
    /// Those that were let in and have left since: their connections may be open yet.
    departed: BTreeSet<NodeId>,
}

impl State {
    fn is_member(&self, node: NodeId) -> bool {
        self.members.is_empty() || self.members.values().any(|members| members.contains(&node))
    }

    /// Whether a host is a member of another group than this one.
    fn is_member_besides(&self, group: GroupId, node: NodeId) -> bool {
        self.members.iter().any(|(other, members)| *other != group && members.contains(&node))
    }

    /// Who was let in, with what; of others, what is remembered.
    fn known(&self) -> BTreeMap<NodeId, DirectoryId> {
        self.identity.peers.iter().chain(&self.admitted).map(|(peer, directory)| (*peer, *directory)).collect()
    }

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
        let state = State {
            identity,
            directory,
            closed: false,
            confirmed_by: BTreeMap::new(),
            members: BTreeMap::new(),
            admitted: BTreeMap::new(),
            departed: BTreeSet::new(),
        };
        Self { hello, founders, state: Mutex::new(state) }
    }

    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the one who introduces itself may talk to us. If it is a member, its directory is on disk when this
    /// returns `Ok`.
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
            Some(known) if *known == other.directory => {}
            Some(known) => return Err(Refusal::Wiped { node: other.node, known: *known }),
            None if state.closed || state.known().len() >= PEERS_MAX => return Err(Refusal::Busy),
            None if !state.is_member(other.node) => {}
            None => {
                state.identity.peers.insert(other.node, other.directory);
                state.store().map_err(|error| {
                    tracing::error!(%error, peer = %other.node, "cannot record the directory of a peer");
                    state.identity.peers.remove(&other.node);
                    Refusal::Busy
                })?;
            }
        }
        state.admitted.insert(other.node, other.directory);
        state.departed.remove(&other.node);
        Ok(())
    }

    /// The last committed configuration of a group that it was told of, in this run of the host or an earlier one, as
    /// far as that matters: nobody left with a later one.
    pub(crate) fn configured(&self, group: GroupId) -> LogIndex {
        self.state().identity.configured.get(&group).copied().unwrap_or(LogIndex::ZERO)
    }

    /// Other hosts are members of a group now. Who left it is forgotten, unless it is a member of another one. Those whose
    /// directories are recorded are known by these from now on, whomever this host has met: returns those that it knew by others,
    /// and those that have left and come back, perhaps on the connection of before: they have to introduce themselves.
    pub(crate) fn follow(&self, changed: &MembersChanged) -> BTreeSet<NodeId> {
        let MembersChanged { group, committed, left, members, directories, addresses: _ } = changed;
        let (group, committed) = (*group, *committed);
        let mut state = self.state();
        let left: BTreeSet<NodeId> =
            left.iter().copied().filter(|node| !state.is_member_besides(group, *node)).collect();
        let State { identity, admitted, departed, .. } = &mut *state;
        let before = identity.peers.clone();
        identity.peers.retain(|peer, _| !left.contains(peer));
        departed.extend(admitted.extract_if(.., |peer, _| left.contains(peer)).map(|(peer, _)| peer));
        if !left.is_empty() || identity.configured.contains_key(&group) {
            let configured = identity.configured.entry(group).or_default();
            *configured = committed.max(*configured);
        }
        let mut are_others: BTreeSet<NodeId> = departed.extract_if(.., |peer| members.contains(peer)).collect();
        for (peer, directory) in directories {
            if *peer != self.hello.node {
                let known = identity.peers.insert(*peer, *directory);
                let met = admitted.get(peer).copied();
                are_others.extend(known.or(met).filter(|known| known != directory).map(|_| *peer));
            } else if *directory != self.hello.directory {
                tracing::error!(node = %peer, %group, %directory, ours = %self.hello.directory,
                    "this node got its vote with another directory, which was wiped or replaced: it neither votes nor \
                     counts until it is removed from the cluster and added again");
            }
        }
        for (guest, directory) in admitted.iter().filter(|(guest, _)| members.contains(guest)) {
            identity.peers.entry(*guest).or_insert(*directory);
        }
        let is_news = identity.peers != before || !left.is_empty();
        state.members.insert(group, members.clone());
        if is_news
            && !state.closed
            && let Err(error) = state.store()
        {
            // In memory it counts; after a restart the same is found out again.
            tracing::error!(%error, node = %self.hello.node, "cannot record who the members are");
        }
        are_others
    }

    /// The directories of all hosts that this one knows: with which they were let in, or else how they are remembered.
    pub(crate) fn met(&self) -> BTreeMap<NodeId, DirectoryId> {
        self.state().known()
    }

    /// This host has no part in a group any more.
    pub(crate) fn destroyed(&self, group: GroupId) {
        let mut state = self.state();
        state.members.remove(&group);
        // Stored with whatever comes next: the group will never be asked for again.
        state.identity.configured.remove(&group);
    }

    /// The other hosts that are members of any group of this one.
    pub(crate) fn others(&self) -> BTreeSet<NodeId> {
        let own = self.hello.node;
        self.state().members.values().flatten().copied().filter(|node| *node != own).collect()
    }

    /// Whether a host is a member of another group than this one.
    pub(crate) fn is_member_besides(&self, group: GroupId, node: NodeId) -> bool {
        self.state().is_member_besides(group, node)
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
        let news = state.confirmed_by.insert(by.node, by.directory).is_none();
        let missing = self.missing(&state);
        if !missing.is_empty() {
            if news {
                tracing::info!(node = %self.hello.node, waiting_for = ?missing, "waiting for peers to confirm this directory");
            }
            return false;
        }
        let before = state.identity.clone();
        state.identity.confirmed = true;
        // Who has a vote knows the directories of all founders, and can tell others when the membership changes.
        let State { identity, confirmed_by, .. } = &mut *state;
        for (founder, directory) in confirmed_by {
            identity.peers.entry(*founder).or_insert(*directory);
        }
        if let Err(error) = state.store() {
            tracing::error!(%error, "cannot record that all peers have confirmed this directory; it gets no vote");
            // The next confirmation, from whomever, tries again.
            state.identity = before;
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
        others.filter(|founder| !state.confirmed_by.contains_key(founder)).map(|founder| founder.get()).collect()
    }

    /// Gives the directory back; another process may lock it from here on.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.directory = None;
    }
}

/// Names the founding of a cluster by its name and what its first configuration says.
pub(super) fn incarnation(cluster: &str, founders: &BTreeSet<NodeId>, lease_reads: Option<LeaseReads>) -> Incarnation {
    let mut members: Vec<u8> = founders.iter().flat_map(|founder| founder.get().to_le_bytes()).collect();
    if let Some(LeaseReads { election_timeout_ms_min, drift_percent_max }) = lease_reads {
        members.extend(election_timeout_ms_min.to_le_bytes());
        members.push(drift_percent_max);
    }
    let hash = u64::from(crc32fast::hash(cluster.as_bytes())) << 32 | u64::from(crc32fast::hash(&members));
    // Zero means "not known yet".
    Incarnation(hash.max(1))
}

#[cfg(test)]
mod tests;
