//! What must hold of the membership (§6, dissertation chapter 4), judged from outside.

use std::collections::BTreeSet;

use raft_consensus::{Configuration, LogIndex, LogWrite, NodeId, Payload, Role, Status};

use super::{Checker, Members, Verdict};
use crate::support::member::Member;

/// The configurations in the log of a member, that before the first entry included, with their indexes.
pub(in crate::support) fn configurations(member: &Member) -> Vec<(LogIndex, &Configuration)> {
    let in_log = member.history().iter().filter_map(|entry| match &entry.payload {
        Payload::Configuration(configuration) => Some((entry.position.index, &**configuration)),
        Payload::Noop | Payload::Command(_) => None,
    });
    std::iter::once((LogIndex::ZERO, &member.first_configuration)).chain(in_log).collect()
}

impl Checker {
    /// How many configurations have ever been written to any log.
    pub fn configurations_written(&self) -> usize {
        self.written.values().filter(|(payload, _)| matches!(payload, Payload::Configuration(_))).count()
    }

    /// A leader was elected by majorities, and is somebody who could have a vote.
    pub(super) fn check_elected(&self, members: &Members, elected: &Status) -> Verdict {
        let (id, term) = (elected.id, elected.term);
        let voted = |voter: &&NodeId| {
            let own = || members[*voter].disk.durable().hard_state.vote;
            let vote = self.votes.get(&(term, **voter)).copied().or_else(|| own().filter(|_| **voter == id));
            vote == Some(id)
        };
        for set in elected.configuration.voter_sets() {
            let granted: BTreeSet<_> = set.iter().filter(voted).collect();
            let majority = granted.len() * 2 > set.len();
            ensure!(majority, "n{id} leads term {term} with the votes of {granted:?} among {set:?}");
        }
        let all = configurations(&members[&id]);
        let in_force = all.iter().rposition(|(index, _)| *index <= elected.commit).unwrap_or(0);
        let may_have_vote = all[in_force..].iter().any(|(_, configuration)| configuration.is_voter(id));
        ensure!(may_have_vote, "n{id} leads term {term} and has no vote in any configuration that may be in force");
        Ok(())
    }

    /// A leader uses the latest configuration of its log; without a vote in it, only until it is committed.
    pub(super) fn check_leads_on(&self, members: &Members, leader: &Status) -> Verdict {
        let id = leader.id;
        let all = configurations(&members[&id]);
        let (index, latest) = all[all.len() - 1];
        ensure!(leader.configuration == *latest, "leader n{id} counts {:?}, not {latest:?}", leader.configuration);
        let is_needed = latest.is_voter(id) || index > leader.commit;
        ensure!(is_needed, "n{id} still leads, and the configuration {index} without it is committed");
        let peers: BTreeSet<NodeId> = leader.peers.keys().copied().collect();
        let others: BTreeSet<NodeId> = latest.members().into_iter().filter(|member| *member != id).collect();
        ensure!(peers == others, "leader n{id} replicates to {peers:?}, the others are {others:?}");
        Ok(())
    }

    /// A leader appends a configuration only when the one before it is committed, and an entry of its own
    /// term; and only one whose majorities overlap with those of the one before.
    pub(super) fn check_change(&self, members: &Members, before: &Status, after: &Status, write: &LogWrite) -> Verdict {
        let (LogWrite::Append(entries), true) = (write, before.role == Role::Leader && before.term == after.term)
        else {
            return Ok(());
        };
        let id = after.id;
        let all = configurations(&members[&id]);
        for entry in entries.iter() {
            let Payload::Configuration(new) = &entry.payload else { continue };
            let at = entry.position;
            let previous = all.iter().rev().find(|(index, _)| *index < at.index);
            let (old_at, old) = previous.ok_or("a log without a configuration")?;
            ensure!(*old_at <= after.commit, "n{id} appends a configuration at {at}, and {old_at} is not committed");
            let newest = members[&id].history().position_at(after.commit).ok_or("a commit beyond the log")?;
            ensure!(
                newest.term == after.term,
                "n{id} appends a configuration at {at}, and has committed only {newest}"
            );
            let overlaps = old.voter_sets().any(|set| new.voter_sets().any(|other| set == other));
            ensure!(overlaps, "majorities of {old:?} and {new:?} need not overlap");
            let strangers: BTreeSet<_> = new.voters.difference(&old.members()).copied().collect();
            ensure!(strangers.is_empty(), "{strangers:?} get a vote at {at} without having been learners");
            let is_direct = !old.is_joint() || !new.is_joint();
            ensure!(is_direct, "the joint {old:?} is followed by the joint {new:?}");
        }
        Ok(())
    }
}
