//! What must hold of the membership (§6, dissertation chapter 4).

use raft_actor::consensus::{Configuration, LogIndex, LogPosition, NodeId, Raft};

use super::Knowledge;
use super::member::{Facts, Run};
use super::verdict::{Verdict, ensure};

impl Knowledge {
    /// Whether this server has a vote by the last configuration that was committed.
    pub(super) fn is_voter(&self, node: NodeId) -> bool {
        let committed = self.written.configurations().rev().find(|at| self.commits.contains(*at));
        self.written.configuration(committed).is_voter(node)
    }

    /// The configuration in force at `commit`, and those behind it, which may yet be rolled back.
    pub(super) fn in_force<'a>(&'a self, run: &'a Run, commit: LogIndex) -> impl Iterator<Item = &'a Configuration> {
        let all = run.log.configurations();
        let first = all.partition_point(|at| at.index <= commit);
        let committed = first.checked_sub(1).map(|at| all[at]);
        std::iter::once(self.written.configuration(committed))
            .chain(all[first..].iter().map(|at| self.written.configuration(Some(*at))))
    }

    /// A server uses the latest configuration of its log (§6); a leader without a vote in it, only until it is committed.
    pub(super) fn check_configuration(
        &mut self,
        id: NodeId,
        run: &mut Run,
        before: &Facts,
        after: &Facts,
        raft: &Raft,
    ) -> Verdict {
        let latest = run.log.configurations().last().copied();
        let index = latest.map_or(LogIndex::ZERO, |at| at.index);
        ensure!(
            "latest_configuration_counts",
            id,
            index == after.configured_at,
            "n{id} uses the configuration at {}, the latest of its log is at {index}",
            after.configured_at
        );
        let has_changed = after.configured_at != before.configured_at || (after.leads() && !before.leads());
        if has_changed {
            let is_same = raft.log().configuration() == self.written.configuration(latest);
            ensure!(
                "latest_configuration_counts",
                id,
                is_same,
                "n{id} uses another configuration than that at {index}"
            );
            if after.leads() && before.leads() && before.term == after.term {
                self.check_change(id, run, before, after)?;
                self.check_peers(id, run, raft)?;
            }
        }
        if after.leads() && (has_changed || after.commit != before.commit) {
            let is_needed = self.written.configuration(latest).is_voter(id) || index > after.commit;
            ensure!(
                "who_is_removed_leads_no_more",
                id,
                is_needed,
                "n{id} leads on, and the configuration at {index} without it is committed"
            );
        }
        Ok(())
    }

    /// Whoever joins is met anew: what is on its way to it from before, when it was told that it is out, is of another
    /// membership. To be called before what the step sends is looked at.
    pub(super) fn meet_newcomers(&self, run: &mut Run, before: &Facts, after: &Facts) {
        if after.configured_at == before.configured_at {
            return;
        }
        let mut all = run.log.configurations().iter().rev().copied();
        let (new, old) = (self.written.configuration(all.next()), self.written.configuration(all.next()));
        run.windows.retain(|peer, _| old.is_member(*peer) || !new.is_member(*peer));
    }

    /// A leader counts on all others of its latest configuration, and on nobody else; to those that it has removed it only
    /// says so.
    pub(super) fn check_peers(&self, id: NodeId, run: &Run, raft: &Raft) -> Verdict {
        let configuration = self.written.configuration(run.log.configurations().last().copied());
        let peers = raft.status().peers;
        let are_all = configuration.members().into_iter().filter(|member| *member != id).eq(peers.keys().copied());
        ensure!(
            "latest_configuration_counts",
            id,
            are_all,
            "leader n{id} replicates to {:?}, its configuration is {configuration:?}",
            peers.keys()
        );
        Ok(())
    }

    /// A leader appends a configuration only when the one before it is committed, and an entry of its own
    /// term; and only one whose majorities overlap with those of the one before.
    pub(super) fn check_change(&self, id: NodeId, run: &Run, before: &Facts, after: &Facts) -> Verdict {
        let all = run.log.configurations();
        let new_from = all.partition_point(|at| at.index <= before.last.index);
        for place in new_from..all.len() {
            let at = all[place];
            let old_at = place.checked_sub(1).map(|before| all[before]);
            let old_index = old_at.map_or(LogIndex::ZERO, |at| at.index);
            let is_alone = old_index <= after.commit;
            ensure!(
                "one_change_at_a_time",
                id,
                is_alone,
                "n{id} appends {at}, and that at {old_index} is not committed"
            );
            let newest = run.log.position_at(after.commit).unwrap_or(LogPosition::ZERO);
            let is_own = newest.term == after.term;
            ensure!("one_change_at_a_time", id, is_own, "n{id} appends {at}, and has committed only {newest}");
            check_next(id, at, self.written.configuration(old_at), self.written.configuration(Some(at)))?;
        }
        Ok(())
    }
}

/// Whether a configuration may follow another.
fn check_next(id: NodeId, at: LogPosition, old: &Configuration, new: &Configuration) -> Verdict {
    let overlaps = old.voter_sets().any(|set| new.voter_sets().any(|other| set == other));
    ensure!("majorities_overlap", id, overlaps, "majorities of {old:?} and {new:?} at {at} need not overlap");
    let are_known = new.voters.iter().all(|voter| old.is_member(*voter));
    ensure!("no_stranger_gets_a_vote", id, are_known, "voters at {at} were no members before: {old:?}, {new:?}");
    let is_direct = !old.is_joint() || !new.is_joint();
    ensure!("majorities_overlap", id, is_direct, "the joint {old:?} is followed at {at} by the joint {new:?}");
    Ok(())
}
