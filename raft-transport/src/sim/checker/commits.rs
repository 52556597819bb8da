//! What is committed, as far as any member has ever known.

use raft_actor::consensus::{LogIndex, LogPosition, NodeId, Term};

use super::Knowledge;
use super::disks::Disks;
use super::member::{Facts, Run};
use super::verdict::{Verdict, ensure};

/// An entry that was committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commit {
    pub(super) position: LogPosition,
    /// The term in which it was committed, which can be later than its own.
    pub(super) in_term: Term,
}

/// Everything that was ever committed, from index 1 on.
#[derive(Debug, Default)]
pub(super) struct Commits {
    list: Vec<Commit>,
}

impl Commits {
    /// The last entry that is committed.
    pub(super) fn last(&self) -> LogPosition {
        self.list.last().map_or(LogPosition::ZERO, |commit| commit.position)
    }

    pub(super) fn at(&self, index: LogIndex) -> Option<Commit> {
        let place = usize::try_from(index.get().checked_sub(1)?).ok()?;
        self.list.get(place).copied()
    }

    /// Whether this very entry is committed.
    pub(super) fn contains(&self, position: LogPosition) -> bool {
        position == LogPosition::ZERO || self.at(position.index).is_some_and(|commit| commit.position == position)
    }

    /// The last entry that was committed before anybody could lead this term.
    pub(super) fn last_before(&self, term: Term) -> LogPosition {
        // What is committed first in an older term is committed first: a later leader has it in its log.
        let count = self.list.partition_point(|commit| commit.in_term < term);
        count.checked_sub(1).and_then(|at| self.list.get(at)).map_or(LogPosition::ZERO, |commit| commit.position)
    }

    pub(super) fn list(&self) -> &[Commit] {
        &self.list
    }

    fn push(&mut self, commit: Commit) {
        self.list.push(commit);
    }
}

impl Knowledge {
    /// What is committed is the same everywhere, for ever, and durable on a majority when it becomes so.
    pub(super) fn check_commit(
        &mut self,
        id: NodeId,
        run: &Run,
        before: &Facts,
        after: &Facts,
        disks: &dyn Disks,
    ) -> Verdict {
        if after.commit == before.commit {
            return Ok(());
        }
        let newest = run.log.position_at(after.commit);
        let Some(newest) = newest.filter(|newest| newest.index > LogIndex::ZERO) else {
            ensure!("order_of_indexes", id, false, "n{id} commits {}, which is not in its log", after.commit);
            return Ok(());
        };
        // A leader that was removed steps down with the very step that commits its removal.
        let led = before.leads() && before.term == after.term;
        let leads = led || after.leads();
        let is_own = !leads || newest.term == after.term;
        ensure!("own_term_commits", id, is_own, "n{id}@{} commits {newest} by counting (§5.4.2)", after.term);
        if let Some(known) = self.commits.at(after.commit) {
            let is_same = known.position == newest;
            ensure!("committed_is_immutable", id, is_same, "n{id} commits {newest} where {} is", known.position);
            return Ok(());
        }
        ensure!("leaders_commit_first", id, leads, "n{id} is the first to commit {newest}, but no leader");
        let known = self.commits.last();
        let keeps = known == LogPosition::ZERO || run.log.contains(known) || known.index < run.log.base().index;
        ensure!("committed_is_immutable", id, keeps, "n{id} commits {newest} and lacks the committed {known}");
        self.check_quorum(id, run, before, led, newest, disks)?;
        self.situations.commits_counted(run, &self.written, known, newest);
        for index in known.index.next().get()..=after.commit.get() {
            let position = run.log.position_at(LogIndex::new(index)).unwrap_or(newest);
            self.commits.push(Commit { position, in_term: after.term });
        }
        self.sessions.follow(&self.commits, &mut self.situations);
        Ok(())
    }

    /// The newest commit is in the durable log of a majority of the voters, of both halves while joint (§5.3, §6).
    fn check_quorum(
        &self,
        id: NodeId,
        run: &Run,
        before: &Facts,
        led: bool,
        newest: LogPosition,
        disks: &dyn Disks,
    ) -> Verdict {
        // A step that commits may also append the next configuration, which then counts for what follows.
        let counted = run.log.configurations().iter().rev().find(|at| !led || at.index <= before.last.index).copied();
        for set in self.written.configuration(counted).voter_sets() {
            let holders = set.iter().filter(|voter| self.counts(**voter, newest, disks)).count();
            ensure!(
                "commit_is_durable",
                id,
                holders * 2 > set.len(),
                "n{id} commits {newest}, which {holders} of the voters {set:?} hold durably"
            );
        }
        Ok(())
    }
}
