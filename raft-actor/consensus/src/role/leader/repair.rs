//! A leader tells members that were damaged what makes them whole. Why that is so stands in `repair`.

use super::Leader;
use crate::shared::Shared;
use crate::{AppendOutcome, DamageId, NodeId};

impl Leader {
    /// What a reply says of damage at its sender.
    pub(super) fn hear_of_damage(
        &mut self,
        from: NodeId,
        damage: Option<DamageId>,
        outcome: AppendOutcome,
        shared: &Shared,
    ) {
        let (last, last_round) = (shared.log().last().index, self.rounds.last());
        let Some(progress) = self.addressee_mut(from) else { return };
        match damage {
            None => self.has_match_moved |= progress.repaired(),
            Some(damage) if progress.repair().is_some_and(|known| known.damage == damage) => {}
            Some(damage) => {
                let guess = match outcome {
                    AppendOutcome::Matched { durable } => durable,
                    AppendOutcome::Conflict { refused: _, hint } => {
                        shared.log().last_index_at_most(hint.term, hint.index).index
                    }
                    AppendOutcome::Stale => last,
                };
                progress.damaged(damage, guess, last, last_round);
                // Now, not when the next heartbeat is due: a group at rest has none for long.
                self.stir(shared);
                self.heartbeat_at = shared.now;
            }
        }
    }
}
