//! What must hold of a disk from one look at it to the next.

use raft_actor::consensus::{HardState, LogIndex, LogPosition, NodeId, Raft};

use super::Knowledge;
use super::disks::Durable;
use super::member::{Facts, Image, Member, Run};
use super::step::next_recheck;
use super::verdict::{Verdict, ensure};

impl Knowledge {
    /// A disk was synced, or lost what was not: term and vote never fall, entries go only when that was ordered,
    /// and what is there was written by somebody.
    pub(super) fn check_disk(&mut self, id: NodeId, member: &mut Member, disk: &dyn Durable) -> Verdict {
        if self.check_tomb(id, member, disk)? {
            return Ok(());
        }
        let (before, after) = (member.durable.hard_state, disk.hard_state());
        self.check_stored_vote(id, before, after)?;
        let is_cut = before.damage != after.damage && after.damage.is_some();
        if is_cut {
            self.check_cut(id, member, disk)?;
        }
        member.durable.hard_state = after;
        self.check_stored_snapshot(id, member.durable.snapshot, disk)?;
        member.durable.snapshot = disk.snapshot();
        let (base, last) = (disk.base(), disk.last());
        let log = &mut member.durable.log;
        if base.index > log.last().index || (base != log.base() && !log.contains(base)) {
            self.check_given_up(id, log, base)?;
            log.reset(base, self.configurations_through(base.index));
            // The last run ended after the snapshot was durable and before the log was.
            self.situations.log_reset_at_start += u64::from(member.run.is_none());
        } else {
            log.purge_through(base.index);
        }
        let mut kept = log.last().index.min(last.index);
        // By Log Matching the logs agree below where they agree.
        while kept > base.index && disk.position_at(kept) != log.position_at(kept) {
            kept = kept.prev();
        }
        if kept < log.last().index {
            let is_ordered =
                member.writes.iter().any(|write| write.removes_from.is_some_and(|from| from <= kept.next()));
            ensure!(
                "what_is_durable_stays",
                id,
                is_ordered,
                "the disk of n{id} held a log through {}, now it ends at {last}, and agrees through {kept}",
                log.last()
            );
            log.truncate_after(kept);
        }
        for index in kept.next().get()..=last.index.get() {
            let prev = log.last();
            let position = self.look_at_entry(id, LogIndex::new(index), prev, disk)?;
            let is_configuration = self.written.has_configuration_at(position);
            log.push(position, is_configuration);
        }
        if before.damage.is_some() && after.damage.is_none() {
            self.check_whole(id, member, disk)?;
        }
        Ok(())
    }

    /// An entry on a disk is one that somebody wrote behind the one before it.
    pub(super) fn look_at_entry(
        &self,
        id: NodeId,
        index: LogIndex,
        prev: LogPosition,
        disk: &dyn Durable,
    ) -> Result<LogPosition, super::Violation> {
        let Some(entry) = disk.entry(index) else {
            ensure!("log_matching", id, false, "the disk of n{id} ends at {} and lacks {index}", disk.last());
            return Ok(prev);
        };
        let is_there = entry.position.index == index && disk.position_at(index) == Some(entry.position);
        ensure!("log_matching", id, is_there, "the disk of n{id} has {} at {index}", entry.position);
        self.written.recognize(id, &entry, prev)?;
        Ok(entry.position)
    }

    fn check_stored_vote(&mut self, id: NodeId, old: HardState, new: HardState) -> Verdict {
        if (old.term, old.vote) == (new.term, new.vote) {
            return Ok(());
        }
        let is_kept = new.term > old.term || (new.term == old.term && old.vote.is_none());
        ensure!("what_is_durable_stays", id, is_kept, "the disk of n{id} held {old:?}, now it holds {new:?}");
        match new.vote {
            Some(candidate) => self.elections.voted(id, new.term, candidate),
            None => Ok(()),
        }
    }

    /// A server starts: always as a follower (§5.2), and with what is on its disk.
    pub(super) fn check_start(&mut self, id: NodeId, member: &mut Member, raft: &Raft, disk: &dyn Durable) -> Verdict {
        if self.commits.last() == LogPosition::ZERO && member.runs == 0 {
            self.adopt(id, member, disk)?;
        }
        self.check_disk(id, member, disk)?;
        self.check_lives(id, member.tomb, "runs again")?;
        member.may_have_lost = false;
        if disk.hard_state().damage.is_none() {
            self.lost.remove(&id);
        }
        // What was ordered and is not there now will not come any more.
        member.writes.clear();
        let Image { hard_state, log, snapshot } = &member.durable;
        let facts = Facts::of(raft);
        let held = HardState { term: facts.term, vote: facts.vote, damage: facts.damage };
        ensure!(
            "starts_with_what_is_durable",
            id,
            held == *hard_state,
            "n{id} starts with {held:?}, stored is {hard_state:?}"
        );
        let is_whole = facts.last == log.last() && facts.base == log.base() && facts.durable == facts.last.index;
        ensure!(
            "starts_with_what_is_durable",
            id,
            is_whole,
            "n{id} starts with {facts:?}, its disk holds {} to {}",
            log.base(),
            log.last()
        );
        let is_covered = facts.snapshot == *snapshot;
        ensure!(
            "starts_with_what_is_durable",
            id,
            is_covered,
            "n{id} starts with a snapshot of {}, its disk has one of {snapshot}",
            facts.snapshot
        );
        self.check_held_at_start(id, member.held.take(), member.covered)?;
        self.check_loaded_at_start(id, member.loaded.take(), &facts)?;
        ensure!("election_safety", id, !facts.leads(), "n{id} leads from its start on (§5.2)");
        let is_committed = facts.commit <= self.commits.last().index;
        ensure!("committed_is_immutable", id, is_committed, "n{id} starts with {} committed", facts.commit);
        self.limits = raft.settings().clone();
        self.gives_word(id);
        let mut run = Run::new(raft, log.clone());
        run.recheck_at = next_recheck(0, facts.last.index);
        member.run = Some(run);
        member.runs += 1;
        Ok(())
    }

    /// What is on a disk before anything happened was written by whoever founded the cluster.
    fn adopt(&mut self, id: NodeId, member: &Member, disk: &dyn Durable) -> Verdict {
        let mut prev = member.durable.log.last();
        for index in prev.index.next().get()..=disk.last().index.get() {
            let Some(entry) = disk.entry(LogIndex::new(index)) else { return Ok(()) };
            self.written.remember_stored(id, &entry, 0, prev)?;
            prev = entry.position;
        }
        Ok(())
    }

    /// Everything about a disk and what is known of it, from scratch.
    pub(super) fn recheck_disk(&self, id: NodeId, member: &Member, disk: &dyn Durable) -> Verdict {
        if member.tomb.is_closed() {
            // Seen whenever the disk changes; a damaged one is not looked at again.
            return Ok(());
        }
        let Image { hard_state, log, snapshot } = &member.durable;
        let is_known = *hard_state == disk.hard_state() && *snapshot == disk.snapshot();
        let is_known = is_known && log.base() == disk.base() && log.last() == disk.last();
        ensure!(
            "what_is_durable_stays",
            id,
            is_known,
            "the disk of n{id} was last seen with {hard_state:?} and {}, now it holds {:?} and {}",
            log.last(),
            disk.hard_state(),
            disk.last()
        );
        let mut prev = disk.base();
        for index in prev.index.next().get()..=disk.last().index.get() {
            let index = LogIndex::new(index);
            let position = self.look_at_entry(id, index, prev, disk)?;
            ensure!("what_is_durable_stays", id, log.contains(position), "the disk of n{id} has {position} now");
            prev = position;
        }
        Ok(())
    }

    /// Everything about a running member, from scratch.
    pub(super) fn recheck_run(&self, id: NodeId, run: &Run, raft: &Raft) -> Verdict {
        let mut at = run.log.last();
        while at.index > run.log.base().index {
            let is_there = raft.log().contains(at) && run.log.contains(at);
            ensure!("log_matching", id, is_there, "the log of n{id} ends at {} and lacks {at}", run.log.last());
            if at.index <= run.facts.commit {
                let commit = self.commits.at(at.index).map(|commit| commit.position);
                ensure!(
                    "committed_is_immutable",
                    id,
                    commit == Some(at),
                    "n{id} has {at} where {commit:?} is committed"
                );
            }
            let Some(known) = self.written.get(at) else {
                ensure!("log_matching", id, false, "n{id} has {at} in its log, which nobody wrote");
                return Ok(());
            };
            at = known.prev;
        }
        let base = run.log.base();
        ensure!("log_matching", id, at == base, "the log of n{id} begins behind {base}, it should behind {at}");
        Ok(())
    }

    /// Everything that is committed, from scratch: one log.
    pub(super) fn recheck_commits(&self) -> Verdict {
        let mut prev = LogPosition::ZERO;
        for commit in self.commits.list() {
            let follows = self.written.get(commit.position).is_some_and(|known| known.prev == prev);
            ensure!("committed_is_immutable", None, follows, "{} is committed behind {prev}", commit.position);
            prev = commit.position;
        }
        Ok(())
    }
}
