//! What a step orders from the storage, and what the storage says it has done.

use raft_actor::consensus::{
    Effect, Entries, HardState, LogIndex, LogPosition, LogWrite, NodeId, Term, Time, WriteSeq,
};

use super::Knowledge;
use super::disks::{Disks, Durable};
use super::member::{Facts, Member, Write};
use super::verdict::{Verdict, ensure};

impl Knowledge {
    /// Takes in what a step writes: after this the shape of the log is what it is after the step.
    pub(super) fn take_writes(
        &mut self,
        id: NodeId,
        member: &mut Member,
        before: &Facts,
        after: &Facts,
        effects: &[Effect],
        disks: &dyn Disks,
    ) -> Verdict {
        let ordered_at = member.run.as_ref().map_or(Time::ZERO, |run| run.office.now);
        for effect in effects {
            if let Effect::Persist { seq, hard_state, log } = effect {
                let is_next = member.writes.back().is_none_or(|last| last.seq < *seq);
                ensure!("writes_in_order", id, is_next, "n{id} orders {seq} after {:?}", member.writes.back());
                let (end, removes_from) = match log {
                    Some(write) => self.take_log_write(id, member, before, after, write, disks)?,
                    None => (None, None),
                };
                let (seq, hard_state) = (*seq, *hard_state);
                member.writes.push_back(Write { seq, ordered_at, hard_state, end, removes_from });
            }
        }
        Ok(())
    }

    fn take_log_write(
        &mut self,
        id: NodeId,
        member: &mut Member,
        before: &Facts,
        after: &Facts,
        write: &LogWrite,
        disks: &dyn Disks,
    ) -> Result<(Option<LogPosition>, Option<LogIndex>), super::Violation> {
        let leads_on = before.leads() && after.leads() && before.term == after.term;
        let Some(run) = &mut member.run else { return Ok((None, None)) };
        let mut removes_from = None;
        match write {
            LogWrite::Append(entries) => self.take_entries(id, member, entries)?,
            LogWrite::Replace(entries) => {
                ensure!("leader_append_only", id, !leads_on, "leader n{id} replaces entries of its own log");
                if let Some(first) = entries.first_index().filter(|first| *first <= run.log.last().index) {
                    let is_open = first > before.commit;
                    ensure!(
                        "committed_is_immutable",
                        id,
                        is_open,
                        "n{id} replaces {first}, committed is {}",
                        before.commit
                    );
                    self.check_removal(id, &run.log, after.term, first, entries)?;
                    self.situations.entries_removed(&run.log, first, before);
                    let rolled_back = run.log.truncate_after(first.prev());
                    self.situations.configuration_rolled_back += u64::from(rolled_back > 0);
                    removes_from = Some(first);
                }
                self.take_entries(id, member, entries)?;
            }
            LogWrite::Reset { to } => {
                ensure!("leader_append_only", id, !leads_on, "leader n{id} drops its own log");
                self.check_reset(id, &run.log, *to, disks)?;
                let conflicts = run.log.last().index >= to.index;
                self.situations.snapshot_over_conflict += u64::from(conflicts);
                run.log.reset(*to, self.configurations_through(to.index));
                removes_from = Some(LogIndex::ZERO);
            }
            LogWrite::Purge { through } => {
                self.check_purge(id, *through, disks)?;
                run.log.purge_through(*through);
            }
        }
        Ok((member.run.as_ref().map(|run| run.log.last()), removes_from))
    }

    fn take_entries(&mut self, id: NodeId, member: &mut Member, entries: &Entries) -> Verdict {
        let Some(run) = &mut member.run else { return Ok(()) };
        ensure!("log_matching", id, !entries.is_empty(), "n{id} orders an empty write");
        for entry in entries.iter() {
            self.written.remember(id, entry, run.log.last())?;
            self.sessions.written(entry);
            let is_configuration = self.written.has_configuration_at(entry.position);
            run.log.push(entry.position, is_configuration);
        }
        Ok(())
    }

    /// Nothing committed is taken away.
    fn check_removal(
        &self,
        id: NodeId,
        log: &super::shape::LogShape,
        term: Term,
        first: LogIndex,
        entries: &Entries,
    ) -> Verdict {
        for index in first.get()..=log.last().index.min(self.commits.last().index).get() {
            let Some(commit) = self.commits.at(LogIndex::new(index)) else { continue };
            // A leader older than the one that committed it may still undo a copy that never counted.
            let counts = log.contains(commit.position) && term >= commit.in_term;
            let is_kept = || entries.iter().any(|entry| entry.position == commit.position);
            ensure!(
                "committed_is_immutable",
                id,
                !counts || is_kept(),
                "n{id}@{term} removes the committed {}",
                commit.position
            );
        }
        Ok(())
    }

    /// The storage says that it has made everything through `seq` durable: the disk says so too.
    pub(super) fn check_persisted(
        &mut self,
        id: NodeId,
        member: &mut Member,
        seq: WriteSeq,
        disks: &dyn Disks,
    ) -> Verdict {
        let mut hard_state = None;
        let mut end = None;
        while let Some(write) = member.writes.front().copied().filter(|write| write.seq <= seq) {
            member.writes.pop_front();
            hard_state = write.hard_state.or(hard_state);
            end = write.end.or(end);
        }
        if hard_state.is_none() && end.is_none() {
            return Ok(());
        }
        let Some(disk) = disks.disk(id) else {
            ensure!("persisted_is_durable", id, false, "n{id} has no disk, and {seq} is on it");
            return Ok(());
        };
        if let Some(ordered) = hard_state {
            check_hard_state(id, seq, ordered, disk)?;
        }
        let Some(end) = end else { return Ok(()) };
        // What was ordered since may have overwritten it on the disk already.
        let overwritten = |write: &Write| write.removes_from.is_some_and(|from| from <= end.index);
        if member.writes.iter().any(overwritten) {
            self.situations.late_persisted += 1;
            return Ok(());
        }
        let is_held = disk.position_at(end.index) == Some(end) || end.index < disk.base().index;
        ensure!("persisted_is_durable", id, is_held, "n{id} believes {seq} durable, its disk lacks {end}");
        Ok(())
    }
}

fn check_hard_state(id: NodeId, seq: WriteSeq, ordered: HardState, disk: &dyn Durable) -> Verdict {
    let held = disk.hard_state();
    let is_held = held.term > ordered.term
        || (held.term == ordered.term && ordered.vote.is_none_or(|vote| held.vote == Some(vote)));
    ensure!(
        "persisted_is_durable",
        id,
        is_held,
        "n{id} believes {seq} with {ordered:?} durable, its disk holds {held:?}"
    );
    Ok(())
}
