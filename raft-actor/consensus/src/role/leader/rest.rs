//! Groups in which nothing happens rest: their leader sends no heartbeats, and their followers want none.
//!
//! Only who leads, and whether anybody does, is at stake, never what is committed: a leader that rests serves nothing
//! that needs a quorum without asking one, and a follower that rests votes as it always does. What keeps a rest from
//! lasting for ever when the leader is gone:
//!
//! - the leader's host says that it is alive, for all its groups at once; its silence ends the rests of its followers
//!   ([`Input::HostSilent`](crate::Input::HostSilent));
//! - whatever happens in the group ends them as well: a request, a message of anybody who does not rest;
//! - the leader speaks every [`rest_ms_max`](crate::Settings::rest_ms_max), and followers rest twice as long at most.
//!
//! Leases (dissertation 6.4.1) do not know of any of this. A leader's lease counts from heartbeats that were echoed, so at
//! rest it runs out; the next read wakes the group and is confirmed by a quorum. A follower's word counts from what it
//! heard itself. What ends its rest can only make it wait longer: when it stirs it acts as if it had heard the leader
//! just then, and the silence of a host makes it forget nothing. So no vote is given earlier than without rests.
//!
//! A leader rests when all others do. It calls them to with a heartbeat
//! ([`AppendEntries::rest`](crate::AppendEntries::rest)), and knows by the match in the reply who follows the call.

use super::Leader;
use crate::shared::Shared;
use crate::{NodeId, Round, Time};

/// How far a leader has come in bringing its group to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing has happened since then.
    Busy { since: Time },
    /// It has called to rest with the heartbeats from this round on.
    Calling { first: Round },
    /// All others rest.
    Resting,
}

impl Leader {
    pub(crate) fn rests(&self) -> bool {
        self.rest == Rest::Resting
    }

    /// Something happens in the group.
    pub(crate) fn stir(&mut self, shared: &Shared) {
        if self.rests() {
            // The others are to hear at once that somebody leads.
            self.heartbeat_at = shared.now;
            self.quorum_check_at = shared.now.after(shared.settings.election_timeout_min());
            self.stirred_at = Some(shared.now);
        }
        self.rest = Rest::Busy { since: shared.now };
    }

    /// Nobody is good for this host any more.
    pub(crate) fn host_silent(&mut self, host: NodeId, shared: &Shared) {
        if self.rests() && self.progress(host).is_some() {
            self.stir(shared);
        }
    }

    /// Whether this leader is in office, as far as who asks for a pre-vote or a vote is concerned: in contact with its
    /// quorum, or about to ask it after a rest. Not good enough to serve anything: a lease counts echoes only.
    pub(crate) fn is_alive(&self, shared: &Shared) -> bool {
        let timeout = shared.settings.election_timeout_min();
        self.is_in_contact(shared) || self.stirred_at.is_some_and(|stirred| shared.now.since(stirred) < timeout)
    }

    /// Whether the heartbeats that are about to be sent call to rest.
    pub(super) fn calls_to_rest(&mut self, shared: &Shared) -> bool {
        let is_idle = match self.rest {
            Rest::Busy { since } => {
                shared.settings.rest_after().is_some_and(|rest_after| shared.now.since(since) >= rest_after)
            }
            Rest::Calling { .. } => true,
            Rest::Resting => {
                // Has everybody heard? If a quorum has not, this is not the leader any more.
                self.quorum_check_at = shared.now.after(shared.settings.election_timeout_min());
                true
            }
        };
        if !is_idle || !self.is_level(shared) {
            if !matches!(self.rest, Rest::Busy { .. }) {
                self.rest = Rest::Busy { since: shared.now };
            }
            return false;
        }
        if !matches!(self.rest, Rest::Calling { .. }) {
            self.rest = Rest::Calling { first: self.rounds.last().next() };
        }
        true
    }

    /// Rests, if everybody has followed the call.
    pub(super) fn rest_if_all_do(&mut self, shared: &Shared) {
        let Rest::Calling { first } = self.rest else { return };
        if self.peers.iter().all(|peer| peer.progress.echoed() >= first) && self.is_level(shared) {
            self.rest = Rest::Resting;
            self.heartbeat_at = shared.now.after(shared.settings.rest_max());
            self.quorum_check_at = self.heartbeat_at.after(shared.settings.election_timeout_min());
        }
    }

    /// Whether nothing is left to be done for anybody: all entries are committed and durable on all members.
    fn is_level(&self, shared: &Shared) -> bool {
        let last = shared.log().last().index;
        shared.commit() == last
            && shared.outbox.durable() == last
            && shared.outbox.oldest_unconfirmed().is_none()
            && shared.transfer.is_none()
            && self.reads.is_empty()
            && self.leaving.is_empty()
            && !self.has_wish
            && shared.log().configuration().is_settled()
            && self.peers.iter().all(|peer| peer.progress.matched() == last)
    }
}
