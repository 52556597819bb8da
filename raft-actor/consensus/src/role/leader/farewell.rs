//! How a leader takes leave of those whom it has removed (dissertation 4.2.2, 4.2.3).
//!
//! Whoever is not in the latest configuration counts for nothing any more: it stands no longer among the peers, so no
//! quorum, no contact, no lease and no read can rest upon it. But it should know, and be able to say, that it is out,
//! and it may have been asked for this change itself. So the leader goes on speaking to it until it has acknowledged
//! the configuration *and* that this is committed, or until two minimum election timeouts have passed since then:
//!
//! - it is sent the log as far as that configuration;
//! - with each heartbeat it is sent a *farewell*, an AppendEntries without entries right behind the configuration. If
//!   the configuration was lost, the farewell fails the log check, and the leader finds out where to begin (§5.3).
//!
//! Nothing relies on it. Whoever cannot be reached in that time, or would need a snapshot, stays in doubt; pre-vote and
//! the deafness of those who hear a leader keep it harmless (dissertation 4.2.3). Whoever removed it may switch it off.
//!
//! A new leader takes leave of those whom the configurations behind its commit index remove: it cannot know whether
//! its predecessor has. What it knows to be committed when it is elected was its predecessor's to say.

use super::{About, Leader, Peer, send_empty};
use crate::progress::Progress;
use crate::shared::Shared;
use crate::{Effect, Effects, LogIndex, LogPosition, NodeId, Round, Time};

/// Somebody who was removed.
#[derive(Debug, Clone)]
pub(super) struct Leaving {
    pub(super) peer: Peer,
    /// The configuration that removed it.
    removed_by: LogPosition,
    /// The first round that told it that this is committed, and when to give up; once it is.
    told: Option<(Round, Time)>,
}

impl Leaving {
    fn new(peer: Peer, removed_by: LogPosition) -> Self {
        Self { peer, removed_by, told: None }
    }

    /// Whether it is known to know all, having acknowledged `durable` in answer to `round`.
    fn knows(&self, durable: LogIndex, round: Round) -> bool {
        durable >= self.removed_by.index && self.told.is_some_and(|(told, _)| round >= told)
    }

    fn farewell(&self, leader: &mut Leader, shared: &mut Shared, effects: &mut Effects) {
        let LogPosition { index, .. } = self.removed_by;
        send_empty(&mut leader.rounds, shared, self.peer.id, (self.removed_by, index), About::default(), effects);
    }
}

/// Of whom a new leader has to take leave: they belong to a configuration that may yet count for others, not to the
/// latest one. Its log ends at `last`.
pub(super) fn inherited(shared: &Shared, last: LogIndex) -> Vec<Leaving> {
    let log = shared.log();
    let (removed_by, configuration) = (log.configured_at(), log.configuration());
    let members = log.members_from(shared.commit()).into_iter();
    let removed = members.filter(|id| *id != shared.id && !configuration.is_member(*id));
    let peer = |id| Peer { id, progress: Progress::new(last, Round::ZERO, shared.now) };
    removed.map(|id| Leaving::new(peer(id), removed_by)).collect()
}

impl Leader {
    /// Whether an answer is still expected of somebody who was removed.
    pub(crate) fn takes_leave_of(&self, id: NodeId) -> bool {
        self.leaving.iter().any(|leaving| leaving.peer.id == id)
    }

    pub(super) fn leaving_progress_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.leaving.iter_mut().find(|leaving| leaving.peer.id == id).map(|leaving| &mut leaving.peer.progress)
    }

    /// Begins to take leave of those of `known` who are not in the latest configuration.
    pub(super) fn part(&mut self, shared: &Shared, known: &mut Vec<Peer>) {
        let (removed_by, configuration) = (shared.log().configured_at(), shared.log().configuration());
        // Who is back is met anew: what it answers to what was said before is of another membership.
        self.leaving.retain(|leaving| !configuration.is_member(leaving.peer.id));
        let removed = known.extract_if(.., |peer| !configuration.is_member(peer.id));
        self.leaving.extend(removed.map(|peer| Leaving::new(peer, removed_by)));
    }

    /// Tells those who have left as soon as it is committed: from then on they do not campaign (dissertation 4.2.2).
    pub(super) fn tell_committed(&mut self, shared: &mut Shared, effects: &mut Effects) {
        let until = shared.now.after(shared.settings.election_timeout_min() * 2);
        let mut all = std::mem::take(&mut self.leaving);
        for leaving in &mut all {
            if leaving.told.is_none() && shared.commit() >= leaving.removed_by.index {
                leaving.told = Some((self.rounds.last().next(), until));
                leaving.farewell(self, shared, effects);
            }
        }
        self.leaving = all;
    }

    /// Says it again with each heartbeat, for what is said once may be lost; not for ever, for whoever left may be gone.
    /// But once more when the time is over: this process may have stood still for all of it.
    pub(super) fn send_farewells(&mut self, shared: &mut Shared, effects: &mut Effects) {
        let mut all = std::mem::take(&mut self.leaving);
        all.iter().for_each(|leaving| leaving.farewell(self, shared, effects));
        all.retain(|leaving| leaving.told.is_none_or(|(_, until)| shared.now < until));
        self.leaving = all;
    }

    /// Sends those who have left what they lack of the configuration that says so.
    pub(super) fn replicate_to_leaving(&mut self, shared: &Shared, effects: &mut Effects) {
        let mut all = std::mem::take(&mut self.leaving);
        for Leaving { peer: Peer { id, progress }, removed_by, .. } in &mut all {
            while progress.next() <= removed_by.index
                && let Some(batch) = progress.next_batch(shared.log(), &shared.settings, shared.now)
            {
                let order = self.order(shared, *id, &batch);
                progress.sent(&batch, order.round, shared.now);
                effects.push(Effect::Replicate(order));
            }
        }
        self.leaving = all;
    }

    /// Somebody has acknowledged the log through `durable` in answer to `round`.
    pub(super) fn let_go(&mut self, from: NodeId, durable: LogIndex, round: Round) {
        self.leaving.retain(|leaving| leaving.peer.id != from || !leaving.knows(durable, round));
    }
}
