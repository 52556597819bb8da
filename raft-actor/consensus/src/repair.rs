//! A member whose disk has lost something of its log gets it back from its peers (protocol-aware recovery, Alagappan et
//! al., FAST 2018). Plain values in, plain values out.
//!
//! The storage keeps what is whole in front of the damage, and marks the group in the one place that every restart
//! reads: its hard state ([`HardState::damage`](crate::HardState::damage)). From then on, until the member is whole:
//!
//! - it grants no vote and no pre-vote, and does not campaign;
//! - it acknowledges nothing: its replies say what it holds, so that the leader knows what to send, and that it is
//!   damaged, so that the leader counts none of it;
//! - everything else is as ever: it follows, appends, applies what is committed, and echoes rounds.
//!
//! A leader that hears of a damage for the first time names its own last entry at that moment as the target. Whole is who
//! durably holds that leader's log through there, without a hole.
//!
//! # Why that is safe
//!
//! *While it is marked.* An entry that is committed is on a majority, perhaps counting what this member has lost. A
//! candidate needs a majority without this member's vote, and two majorities have a member in common; this one is not in
//! the second, so it is another, and that one refuses whoever lacks the entry (§5.4.1). So no election goes wrong, only
//! some that could go well do not happen: if the entry is left nowhere else, nobody is elected until its other
//! holder is back.
//!
//! *Afterwards.* Whatever this member acknowledged, it did in its durable term or an earlier one. A leader of that
//! term or a later one has all of it that was ever committed: from before its election by Leader Completeness
//! (§5.4.3), and from its own term because it wrote it itself, at the latest before it heard of the damage. So who holds all
//! of that has nothing left to lose: its log is as up-to-date as what it promised.
//!
//! *Why a target counts for one term and one damage only.* The next leader may cut off what the last one said, so it names
//! a target of its own. And between two damages of one leadership the member has acknowledged more: the target carries
//! the damage it is about ([`DamageId`]), so that a late one is told apart.
//!
//! *What its echoes are good for.* A damaged member's hard state is whole, or it would not have started. That it follows
//! a leader in a term is therefore true, and for ReadIndex (§8) and for staying in office (dissertation 6.2) that is all
//! that is asked: another leader would have been elected without this member's vote since, hence by a majority with
//! somebody else of those who echo. A lease is another matter: it counts only members that have acknowledged the entry
//! with its bounds, which a damaged one has not. Until the leader hears of the damage it may go on counting the word that
//! was given before: that is kept, for who is damaged elects nobody, and who is whole again has the entry.

use crate::{DamageId, LogIndex};

/// Whether a member with this damage, or without any, may vote and campaign.
pub(crate) fn may_vote(damage: Option<DamageId>) -> bool {
    damage.is_none()
}

/// Whether a member is whole that equals its leader through `verified` and holds its log durably through `durable`.
pub(crate) fn is_whole(target: Option<LogIndex>, verified: LogIndex, durable: LogIndex) -> bool {
    target.is_some_and(|through| verified >= through && durable >= through)
}
