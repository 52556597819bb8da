//! How a leader changes who belongs to the cluster (§6, dissertation chapter 4).
//!
//! 1. It is asked for a membership, and appends the first configuration on the
//!    way there, which counts from then on ([`Leader::change_membership`]).
//! 2. Once that is committed the leader goes on by itself, whoever wrote it:
//!    when the future voters have caught up, to the joint configuration, and
//!    from there to the last one ([`Leader::continue_change`]).
//! 3. A leader that is not in that one replicates and commits it without
//!    counting itself, and then steps down (dissertation 4.2.2).
//!
//! Who is not in the latest configuration of the leader's log counts for nothing from then on (dissertation 4.2.3);
//! how it gets to know that stands in `farewell`.

use std::collections::BTreeMap;

use super::{Leader, Next, Peer};
use crate::progress::Progress;
use crate::shared::Shared;
use crate::{
    Configuration, Effect, Effects, Entries, Entry, LogIndex, LogPosition, Membership, MembershipRefusal, NodeId,
    Payload, ProposalId, Round, membership,
};

impl Leader {
    /// Begins a change of the membership, or says why not.
    pub(crate) fn change_membership(
        &mut self,
        shared: &mut Shared,
        id: ProposalId,
        wanted: Membership,
        effects: &mut Effects,
    ) {
        let outcome = self.next_configuration(shared, wanted);
        let outcome = outcome.map(|configuration| self.append_configuration(shared, configuration, effects));
        effects.push(Effect::MembershipChange { id, outcome });
    }

    fn next_configuration(&self, shared: &Shared, wanted: Membership) -> Result<Configuration, MembershipRefusal> {
        if shared.transfer.is_some() {
            // A leader that hands over its office appends nothing more (dissertation 3.10).
            return Err(MembershipRefusal::HandingOver);
        }
        // Before an entry of our own term is committed, another leader's configuration may be committed
        // without our log knowing it, and ours would share no majority with it (raft-dev, July 2015).
        if shared.commit() < self.noop {
            return Err(MembershipRefusal::NotReady);
        }
        let (index, current) = shared.log().configuration_entry();
        // One change at a time: majorities of neighbours overlap, those of the next but one need not (§6).
        if index > shared.commit() || current.is_joint() {
            return Err(MembershipRefusal::InProgress);
        }
        membership::enter(current, wanted, &shared.disks, |id| self.has_caught_up(shared, id))
    }

    /// Whether a peer may become a voter (dissertation 4.2.1): it durably has the latest configuration, and lacks
    /// no more than what may be under way to it at any time. So it can vote, and commits do not wait for it long.
    fn has_caught_up(&self, shared: &Shared, id: NodeId) -> bool {
        let (configured_at, _) = shared.log().configuration_entry();
        self.progress(id).map(Progress::matched).is_some_and(|matched| {
            let missing_bytes = shared.log().bytes_between(matched, shared.log().last().index);
            let is_in_log = matched >= shared.log().base().index;
            is_in_log && matched >= configured_at.max(self.noop) && missing_bytes <= shared.settings.inflight_bytes_max
        })
    }

    /// A peer is there with another disk: it begins from the start, and nothing that it acknowledged before counts.
    pub(crate) fn met_with_another_disk(&mut self, peer: NodeId) {
        let last_round = self.rounds.last();
        if let Some(progress) = self.addressee_mut(peer) {
            progress.replaced(last_round);
        }
    }

    /// What a committed configuration leads to. Costs next to nothing while no change is under way.
    pub(super) fn continue_change(&mut self, shared: &mut Shared, effects: &mut Effects) -> Next {
        let is_voter = shared.quorum.contains(shared.id);
        if is_voter && !shared.quorum.is_joint() && !self.has_wish {
            return Next::Stay;
        }
        let (index, configuration) = shared.log().configuration_entry();
        if shared.commit() < index.max(self.noop) {
            return Next::Stay;
        }
        let next = if configuration.is_joint() {
            // In whatever term it was written: its author may be gone.
            membership::leave(configuration)
        } else if is_voter {
            membership::granted(configuration, &shared.disks, |id| self.has_caught_up(shared, id))
        } else {
            None
        };
        match next {
            Some(next) if shared.transfer.is_none() => {
                self.append_configuration(shared, next, effects);
                Next::Stay
            }
            // Whoever leads next, or we when nobody does, goes on from here.
            Some(_) | None if is_voter => Next::Stay,
            Some(_) | None => {
                // Not before: until here it may have been the only one who could finish (§6, dissertation 4.2.2).
                // With its last word all may learn what is committed, and need not wait for the next leader.
                self.send_heartbeats(shared, effects);
                Next::BecomeFollower
            }
        }
    }

    /// Appends a configuration, which counts from now on (§6).
    fn append_configuration(
        &mut self,
        shared: &mut Shared,
        configuration: Configuration,
        effects: &mut Effects,
    ) -> LogPosition {
        let before = shared.log().last().index;
        let position = LogPosition::new(shared.term(), before.next());
        let payload = Payload::Configuration(Box::new(configuration));
        shared.append(Entries::from_iter([Entry { position, payload }]), effects);
        let mut known = std::mem::take(&mut self.peers);
        self.part(shared, &mut known);
        self.peers = peers(shared, known, before, self.rounds.last());
        self.has_wish = shared.log().configuration().wish.is_some();
        position
    }
}

/// Everybody else in the latest configuration, by ascending id. Of whom nothing is known yet, it is
/// guessed that its log ends at `last`, as ours did; what it says to rounds up to `last_round` is of the past.
pub(super) fn peers(shared: &Shared, known: Vec<Peer>, last: LogIndex, last_round: Round) -> Vec<Peer> {
    let mut known: BTreeMap<NodeId, Progress> = known.into_iter().map(|peer| (peer.id, peer.progress)).collect();
    let others = shared.log().configuration().members().into_iter().filter(|id| *id != shared.id);
    let peer = |id| {
        let progress = known.remove(&id).unwrap_or_else(|| Progress::new(last, last_round, shared.now));
        Peer { id, progress }
    };
    others.map(peer).collect()
}
