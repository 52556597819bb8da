//! What must hold where leaders answer reads without asking anybody (dissertation 6.4.1).
//!
//! Words are kept and counted upon by true time here, which no server knows: the worst that clocks within the bound may
//! make of both has to be good enough. So whoever counts on more than there is, is found out long before two leaders
//! meet.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_actor::consensus::{Effect, LeaseReads, LogPosition, NodeId, Time};

use super::Knowledge;
use super::disks::{Disks, holds};
use super::member::{Cause, Facts, Run};
use super::offices::elects;
use super::verdict::{Verdict, ensure};

/// When each member last gave its word to help to elect nobody. Whose leader it heard does not matter.
pub(super) type Words = BTreeMap<NodeId, Time>;

/// How long a word is kept at least, if the member's clock is as fast as it may be; and hence how long a lease may last
/// at most.
fn kept(lease_reads: LeaseReads) -> Duration {
    let off = lease_reads.promise() * u32::from(lease_reads.drift_percent_max) / 100;
    lease_reads.promise().saturating_sub(off)
}

impl Knowledge {
    fn lease_reads(&self, run: &Run) -> Option<(LogPosition, LeaseReads)> {
        let configured_at = run.log.configurations().last().copied()?;
        Some((configured_at, self.written.configuration(Some(configured_at)).lease_reads?))
    }

    /// A member has heard from a leader, or has started and may have heard from one just before.
    pub(super) fn gives_word(&mut self, id: NodeId) {
        self.words.insert(id, self.now);
    }

    /// Who has given its word keeps it: it helps to elect nobody, unless the leader itself wants that.
    pub(super) fn check_word(
        &self,
        id: NodeId,
        run: &Run,
        before: &Facts,
        after: &Facts,
        cause: Cause,
        effects: &[Effect],
    ) -> Verdict {
        let is_wanted = matches!(cause, Cause::VoteAsked { is_handed_over: true, .. });
        if !elects(cause, before, after, effects) || is_wanted || self.told.contains(before.term, id) {
            return Ok(());
        }
        let (Some((_, lease_reads)), Some(given_at)) = (self.lease_reads(run), self.words.get(&id)) else {
            return Ok(());
        };
        let since = self.now.since(*given_at);
        ensure!(
            "words_are_kept",
            id,
            since >= kept(lease_reads),
            "n{id}@{} helps to elect somebody ({cause:?}, vote {:?}), {since:?} after it heard a leader that may have a lease",
            after.term,
            after.vote
        );
        Ok(())
    }

    /// A lease excludes every other leader: nobody of a later term can have committed anything. It rests upon the words
    /// of a majority that knows of leases, and the leader has told nobody to campaign.
    pub(super) fn check_served_by_lease(&mut self, id: NodeId, run: &Run, after: &Facts, disks: &dyn Disks) -> Verdict {
        let latest = self.elections.latest();
        let is_latest = latest.is_some_and(|(term, _)| term <= after.term);
        ensure!(
            "leases_exclude_other_leaders",
            id,
            is_latest,
            "n{id}@{} answers a read by its lease; since then {latest:?} was elected",
            after.term
        );
        let has_told = self.told.anybody_in(after.term);
        ensure!(
            "who_hands_over_has_no_lease",
            id,
            !has_told,
            "n{id}@{} answers a read by its lease and has told another one to campaign",
            after.term
        );
        let lease = self.lease_reads(run);
        ensure!("leases_rest_upon_words", id, lease.is_some(), "n{id} answers by a lease that nobody allows");
        let Some((configured_at, lease_reads)) = lease else { return Ok(()) };
        let keeps = |voter: NodeId| {
            let word = self.words.get(&voter);
            let is_kept = word.is_some_and(|given_at| self.now.since(*given_at) <= kept(lease_reads));
            // Who has lost it to a damage helps to elect nobody until it has it back. A wiped disk keeps its word all the
            // more: it gets no vote until its server has been removed, and so by a later configuration than this.
            let held = || holds(disks, voter, configured_at) || self.counts(voter, configured_at, disks);
            voter == id || (is_kept && held())
        };
        for set in self.written.configuration(Some(configured_at)).voter_sets() {
            let bound: Vec<NodeId> = set.iter().copied().filter(|voter| keeps(*voter)).collect();
            ensure!(
                "leases_rest_upon_words",
                id,
                bound.len() * 2 > set.len(),
                "n{id}@{} answers a read by its lease; of {set:?} only {bound:?} are bound by their words",
                after.term
            );
        }
        self.situations.read_by_lease += 1;
        Ok(())
    }
}
