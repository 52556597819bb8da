//! Who belongs to the cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{DirectoryId, LeaseChange, LeaseReads, Membership, NodeId};

/// The members of a cluster (§6, dissertation chapter 4).
///
/// A server uses the latest configuration in its log, committed or not. While
/// `voters_outgoing` is not empty the configuration is *joint*: every decision
/// needs a majority of both sets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Configuration {
    /// Servers whose votes and logs count.
    pub voters: BTreeSet<NodeId>,
    /// The old voters of a joint configuration; empty otherwise.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub voters_outgoing: BTreeSet<NodeId>,
    /// Servers that receive the log and count for nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub learners: BTreeSet<NodeId>,
    /// Where each member can be reached; travels with the configuration.
    #[serde(default)]
    pub addresses: BTreeMap<NodeId, String>,
    /// The disk that each voter became one with: only on that one does it count. Travels as addresses do; learners that had
    /// a vote keep theirs. Whoever is absent was never recorded: a founder of a cluster whose membership has not changed
    /// since, or written by a version that records none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub directories: BTreeMap<NodeId, DirectoryId>,
    /// What the membership shall become once the future voters have caught up; never while joint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<Wish>,
    /// Whether leaders may answer reads by a lease, and what that rests upon (dissertation 6.4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_reads: Option<LeaseReads>,
}

/// The membership that a configuration waits to become (dissertation 4.2.1). It stands in the
/// configuration itself, so that it outlives the leader that was asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wish {
    /// The future voters; those without a vote today are learners until they have caught up.
    pub voters: BTreeSet<NodeId>,
    /// The future learners; those with a vote today keep it until then.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub learners: BTreeSet<NodeId>,
}

impl Configuration {
    /// A configuration of these voters and their addresses.
    pub fn of_voters<A: Into<String>>(members: impl IntoIterator<Item = (NodeId, A)>) -> Self {
        let addresses: BTreeMap<NodeId, String> =
            members.into_iter().map(|(id, address)| (id, address.into())).collect();
        Self { voters: addresses.keys().copied().collect(), addresses, ..Self::default() }
    }

    /// The same one with lease reads, or without them.
    #[must_use]
    pub fn with_lease_reads(self, lease_reads: impl Into<Option<LeaseReads>>) -> Self {
        Self { lease_reads: lease_reads.into(), ..self }
    }

    /// Whether this is a joint configuration (§6).
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Whether no change is under way from here: neither joint nor waiting for anybody to catch up.
    pub fn is_settled(&self) -> bool {
        !self.is_joint() && self.wish.is_none()
    }

    /// Whether this is the wanted membership, or will become it if nothing else is asked for.
    pub fn leads_to(&self, wanted: &Membership) -> bool {
        let (voters, learners) = match &self.wish {
            Some(wish) => (&wish.voters, &wish.learners),
            None => (&self.voters, &self.learners),
        };
        let is_member = |id: &NodeId| voters.contains(id) || learners.contains(id);
        let is_lease_as_wanted = match wanted.lease_reads {
            LeaseChange::Keep => true,
            LeaseChange::Off => self.lease_reads.is_none(),
            LeaseChange::On(lease_reads) => self.lease_reads == Some(lease_reads),
        };
        let mut addresses = wanted.addresses.iter().filter(|(id, _)| is_member(id));
        (voters, learners) == (&wanted.voters, &wanted.learners)
            && is_lease_as_wanted
            && addresses.all(|(id, address)| self.addresses.get(id) == Some(address))
    }

    /// The sets of which each must have a majority: one, or two while joint.
    pub fn voter_sets(&self) -> impl Iterator<Item = &BTreeSet<NodeId>> {
        std::iter::once(&self.voters).chain(self.is_joint().then_some(&self.voters_outgoing))
    }

    /// Whether `id` has a vote in any set.
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voter_sets().any(|set| set.contains(&id))
    }

    /// Whether `id` receives the log.
    pub fn is_member(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.contains(&id)
    }

    /// All servers that receive the log: voters old and new, and learners.
    pub fn members(&self) -> BTreeSet<NodeId> {
        self.voter_sets().chain(std::iter::once(&self.learners)).flatten().copied().collect()
    }

    /// What this configuration counts for in byte budgets.
    pub fn size_bytes(&self) -> u32 {
        let wished = self.wish.as_ref().map_or(0, |wish| wish.voters.len() + wish.learners.len());
        let ids = self.voters.len() + self.voters_outgoing.len() + self.learners.len() + wished;
        let addresses: usize = self.addresses.values().map(|address| address.len() + 9).sum();
        let directories = self.directories.len() * 18;
        let lease_reads = self.lease_reads.map_or(0, |_| 12);
        u32::try_from(ids * 9 + addresses + directories + lease_reads).unwrap_or(u32::MAX)
    }
}
