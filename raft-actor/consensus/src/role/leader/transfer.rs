//! How a leader hands its office to another voter (dissertation 3.10).
//!
//! 1. It stops appending anything: commands, and configurations.
//! 2. It goes on replicating until the target durably has all of its log.
//! 3. It tells the target to campaign at once ([`TimeoutNow`]), and again with each heartbeat: the message may be lost.
//!    The target's term ends this office; its log is as up-to-date as any, and its RequestVote says on whose word it
//!    comes, so that nobody refuses it for a leader that is alive.
//! 4. If that has not happened within a minimum election timeout, it takes commands again. To the cluster it is as if
//!    nothing had been: a target that campaigns late is a candidate like any other.
//!
//! Reads go on: they are confirmed by a quorum that still follows, as ever. But not by a lease: from the first step on,
//! and after the third one never again in this office, for the message may arrive late (dissertation 6.4.1).

use super::Leader;
use crate::progress::Progress;
use crate::shared::Shared;
use crate::transfer::Transfer;
use crate::{Effect, Effects, Message, NodeId, ProposalId, TimeoutNow, TransferOutcome, TransferRefusal};

impl Leader {
    /// Begins to transfer the leadership, joins a transfer that is under way, or says why not.
    pub(crate) fn transfer_leadership(
        &self,
        shared: &mut Shared,
        id: ProposalId,
        to: Option<NodeId>,
        effects: &mut Effects,
    ) {
        let answer = |outcome, effects: &mut Effects| effects.push(Effect::Transfer { id, outcome });
        if let Some(under_way) = &mut shared.transfer {
            match to {
                // Two targets at a time would campaign against each other, and commands would wait for both.
                Some(other) if other != under_way.target => {
                    let refusal = TransferRefusal::InProgress { to: under_way.target };
                    answer(TransferOutcome::Refused(refusal), effects);
                }
                Some(_) | None => under_way.join(id),
            }
            return;
        }
        match self.target(shared, to) {
            Err(refusal) => answer(TransferOutcome::Refused(refusal), effects),
            Ok(own) if own == shared.id => {
                answer(TransferOutcome::Done { leader: own, term: shared.term() }, effects);
            }
            Ok(target) => {
                let until = shared.now.after(shared.settings.election_timeout_min());
                shared.transfer = Some(Transfer::new(id, target, shared.term(), until));
            }
        }
    }

    fn target(&self, shared: &Shared, to: Option<NodeId>) -> Result<NodeId, TransferRefusal> {
        // Whom a joint configuration is about to remove would have to go at once.
        let voters = &shared.log().configuration().voters;
        match to {
            Some(to) if voters.contains(&to) => Ok(to),
            Some(to) => Err(TransferRefusal::NotVoter { to }),
            None => {
                let others =
                    self.peers().filter(|(id, progress)| voters.contains(id) && self.answers(shared, progress));
                // Who has the most needs the least time to have it all; of several, who answered last.
                let best = others.max_by_key(|(_, progress)| (progress.matched(), progress.contact()));
                best.map(|(id, _)| id).ok_or(TransferRefusal::NobodyElse)
            }
        }
    }

    /// Whether a peer may be taken to run: it has answered lately, or this office is too young to tell.
    fn answers(&self, shared: &Shared, progress: &Progress) -> bool {
        shared.now.since(progress.contact()) < shared.settings.election_timeout_min()
    }

    /// Tells the target to campaign once it durably has all of our log: only then is it sure to be elected, and does
    /// not have to be brought level by anybody while nobody leads (dissertation 3.10).
    pub(super) fn continue_transfer(&mut self, shared: &mut Shared, effects: &mut Effects) {
        if let Some(transfer) = &shared.transfer
            && !transfer.told
        {
            self.tell_target(shared, effects);
        }
    }

    /// Tells the target to campaign if it is level; with each heartbeat again, for what is said once may be lost.
    pub(super) fn tell_target(&mut self, shared: &mut Shared, effects: &mut Effects) {
        let last = shared.log().last().index;
        let Some(transfer) = &mut shared.transfer else { return };
        let target = transfer.target;
        if self.progress(target).is_some_and(|progress| progress.matched() == last) {
            transfer.told = true;
            self.has_called_election = true;
            let term = shared.term();
            shared.send(target, Message::TimeoutNow(TimeoutNow { term }), effects);
        }
    }
}
