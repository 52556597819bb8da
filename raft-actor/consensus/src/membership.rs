//! From one membership to the next (§6, dissertation chapter 4). Plain values in, plain values out.
//!
//! 1. Servers that shall vote and are not up to date become learners first,
//!    with the wish for the change as part of the configuration (dissertation
//!    4.2.1). They cannot be needed for a majority while they have next to
//!    nothing of the log, and a server that never answers blocks nothing but
//!    the change: asking for another membership withdraws the wish.
//! 2. Then follows a *joint* configuration of the old voters and the new (§6):
//!    at no moment can the old ones decide something without the new ones, or
//!    the reverse. Any number of servers can be exchanged at once.
//! 3. The new voters alone.
//!
//! When only learners or addresses change, no majority changes, and one entry suffices.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::disks::Disks;
use crate::{Configuration, LeaseChange, Log, LogIndex, LogPosition, NodeId, Wish};

/// Who shall belong to the cluster; asked for with [`Input::ChangeMembership`](crate::Input::ChangeMembership).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Membership {
    /// All servers whose votes and logs shall count: at least one.
    pub voters: BTreeSet<NodeId>,
    /// All servers that shall receive the log and count for nothing; no voters among them.
    #[serde(default)]
    pub learners: BTreeSet<NodeId>,
    /// Where members can be reached: each one that is new, and those that have moved.
    /// Addresses of servers that are no members are not kept.
    #[serde(default)]
    pub addresses: BTreeMap<NodeId, String>,
    /// Whether leaders may answer reads by a lease from now on.
    #[serde(default, skip_serializing_if = "LeaseChange::is_keep")]
    pub lease_reads: LeaseChange,
}

impl Membership {
    /// A membership of these voters. New ones need an [address](Membership::address).
    pub fn of_voters<N: Into<NodeId>>(voters: impl IntoIterator<Item = N>) -> Self {
        Self { voters: voters.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// With these learners beside the voters.
    #[must_use]
    pub fn learners<N: Into<NodeId>>(mut self, learners: impl IntoIterator<Item = N>) -> Self {
        self.learners = learners.into_iter().map(Into::into).collect();
        self
    }

    /// With lease reads switched on, or off.
    #[must_use]
    pub fn lease_reads(mut self, change: LeaseChange) -> Self {
        self.lease_reads = change;
        self
    }

    /// With the address of a member that is new or has moved.
    #[must_use]
    pub fn address(mut self, id: impl Into<NodeId>, address: impl Into<String>) -> Self {
        self.addresses.insert(id.into(), address.into());
        self
    }
}

/// What has become of a change that began at some position of the log; see [`Raft::change_state`](crate::Raft::change_state).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeState {
    /// Nothing is decided yet.
    UnderWay,
    /// The membership is as it was asked for: this is where its settled configuration stands, committed.
    Done(LogPosition),
    /// It was begun, but another one was asked for before it was reached, and committed.
    Superseded,
    /// It was never begun, and never will be: its position is taken by another entry.
    Lost,
    /// The log does not reach back to its position any more.
    Forgotten,
}

/// Why nobody could be asked to change to this membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum InvalidMembership {
    /// Nobody could decide anything.
    #[error("a cluster needs at least one voter")]
    NoVoters,
    /// A server either counts or does not.
    #[error("node {id} cannot be a voter and a learner at the same time")]
    VoterAndLearner {
        /// The server in question.
        id: NodeId,
    },
    /// A new member without an address, or with an empty one.
    #[error("no address is known for node {id}")]
    NoAddress {
        /// The server in question.
        id: NodeId,
    },
    /// Lease reads with an election timeout or a drift that is out of range.
    #[error("the election timeout or the drift bound of lease reads is out of range")]
    LeaseReads,
}

/// Why a membership was not changed. Nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MembershipRefusal {
    /// This member does not lead.
    #[error("this node is not the leader")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// This leader has not committed an entry of its own term yet, so it cannot know that its latest
    /// configuration is not about to be replaced by one of another leader. Trying again shortly will succeed.
    #[error("the leader has not committed an entry of its term yet")]
    NotReady,
    /// Another change cannot be withdrawn any more: its configuration is not committed, or it is joint. Wait for it.
    #[error("another change of the membership is under way")]
    InProgress,
    /// The leader is handing over its office. Within a minimum election timeout either another member leads or this
    /// one changes the membership again.
    #[error("the leader is handing over its office")]
    HandingOver,
    /// What was asked for can never be.
    #[error(transparent)]
    Invalid(#[from] InvalidMembership),
    /// This is the membership already, or it is becoming so.
    #[error("this is the membership already, or it is becoming so")]
    Unchanged,
}

/// The first configuration on the way from `current`, which is not joint, to what is wanted;
/// `is_ready` tells who has caught up.
pub(crate) fn enter(
    current: &Configuration,
    wanted: Membership,
    disks: &Disks,
    is_ready: impl Fn(NodeId) -> bool,
) -> Result<Configuration, MembershipRefusal> {
    debug_assert!(!current.is_joint(), "a change begins where the last one has ended");
    let Membership { voters, learners, addresses: new_addresses, lease_reads } = wanted;
    if voters.is_empty() {
        return Err(InvalidMembership::NoVoters.into());
    }
    if let Some(id) = voters.intersection(&learners).next() {
        return Err(InvalidMembership::VoterAndLearner { id: *id }.into());
    }
    let lease_reads = lease_reads.apply(current.lease_reads);
    if lease_reads.is_some_and(|lease_reads| !lease_reads.is_sound()) {
        return Err(InvalidMembership::LeaseReads.into());
    }
    let mut addresses = current.addresses.clone();
    addresses.extend(new_addresses);
    let is_nowhere = |id: &&NodeId| addresses.get(id).is_none_or(|address| address.is_empty());
    if let Some(id) = voters.union(&learners).find(is_nowhere) {
        return Err(InvalidMembership::NoAddress { id: *id }.into());
    }
    let with_wish = Configuration {
        voters: current.voters.clone(),
        voters_outgoing: BTreeSet::new(),
        learners: voters.union(&learners).filter(|id| !current.voters.contains(id)).copied().collect(),
        addresses,
        directories: current.directories.clone(),
        wish: Some(Wish { voters, learners }),
        lease_reads,
    };
    let next = granted(&with_wish, disks, is_ready).unwrap_or(with_wish);
    let next = of_members(next);
    // That more disks are known by now is no change of the membership.
    let is_same = Configuration { directories: current.directories.clone(), ..next.clone() } == *current;
    if is_same { Err(MembershipRefusal::Unchanged) } else { Ok(next) }
}

/// The configuration that fulfils the wish of `current`, if there is one and all future voters are ready. Nobody gets a
/// vote unless it says with which disks all voters have theirs: see `disks`.
pub(crate) fn granted(
    current: &Configuration,
    disks: &Disks,
    is_ready: impl Fn(NodeId) -> bool,
) -> Option<Configuration> {
    let Wish { voters, learners } = current.wish.as_ref()?;
    let changes_majorities = *voters != current.voters;
    if changes_majorities && !voters.difference(&current.voters).all(|id| is_ready(*id)) {
        return None;
    }
    let mut next = Configuration {
        voters: voters.clone(),
        voters_outgoing: if changes_majorities { current.voters.clone() } else { BTreeSet::new() },
        learners: learners.clone(),
        addresses: current.addresses.clone(),
        directories: current.directories.clone(),
        wish: None,
        lease_reads: current.lease_reads,
    };
    let are_recorded = disks.record(&mut next);
    if !are_recorded && !voters.is_subset(&current.voters) {
        return None;
    }
    sound(next)
}

/// The configuration that ends a joint one: the new voters alone (§6).
pub(crate) fn leave(joint: &Configuration) -> Option<Configuration> {
    sound(of_members(Configuration { voters_outgoing: BTreeSet::new(), wish: None, ..joint.clone() }))
}

/// What has become of the change to `wanted` whose first configuration was appended at `first`.
pub(crate) fn state(log: &Log, commit: LogIndex, first: LogPosition, wanted: &Membership) -> ChangeState {
    let committed = log.term_at(commit).map(|term| LogPosition::new(term, commit));
    if committed.is_some_and(|committed| committed.rules_out(first)) {
        return ChangeState::Lost;
    }
    if commit < first.index {
        return ChangeState::UnderWay;
    }
    match log.term_at(first.index) {
        Some(term) if term == first.term => {}
        Some(_) => return ChangeState::Lost,
        // Purged; but the configuration in force where the log begins is remembered with its position.
        None if log.base_configured_at() == first => {}
        None => return ChangeState::Forgotten,
    }
    // Every configuration on the way leads to what was wanted. One that does not is the beginning of another change.
    for (index, configuration) in log.configurations(first.index, commit) {
        if !configuration.leads_to(wanted) {
            return ChangeState::Superseded;
        }
        if configuration.is_settled() {
            return ChangeState::Done(log.position_of_configuration(index));
        }
    }
    ChangeState::UnderWay
}

/// What is in a log may have been written by a broken leader: no step leads from there to something worse.
fn sound(next: Configuration) -> Option<Configuration> {
    (!next.voters.is_empty() && next.voters.is_disjoint(&next.learners)).then_some(next)
}

/// Addresses and disks of members only.
fn of_members(mut configuration: Configuration) -> Configuration {
    let members = configuration.members();
    configuration.addresses.retain(|id, _| members.contains(id));
    configuration.directories.retain(|id, _| members.contains(id));
    configuration
}

#[cfg(test)]
mod tests;
