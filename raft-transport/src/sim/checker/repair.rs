//! Logs that have lost something: what may be lost, and when the mark of that may go.

use std::collections::BTreeMap;

use raft_actor::consensus::{LogPosition, NodeId};

use super::Knowledge;
use super::disks::{Disks, Durable, holds};
use super::member::{Image, Member, Write};
use super::verdict::{Verdict, ensure};

impl Knowledge {
    /// A disk holds the mark of a damage that it did not hold before: something has happened to it, and its server does
    /// not run. What it then holds of its log is looked at like something new.
    pub(super) fn check_cut(&mut self, id: NodeId, member: &mut Member, disk: &dyn Durable) -> Verdict {
        let is_expected = member.may_have_lost && member.run.is_none();
        let mark = disk.hard_state().damage;
        ensure!(
            "what_is_durable_stays",
            id,
            is_expected,
            "the disk of n{id} says {mark:?}, and nothing happened to it"
        );
        let base = disk.base();
        member.durable.log.reset(base, self.configurations_through(base.index));
        Ok(())
    }

    /// The mark is gone: whatever the server may have acknowledged before, and is committed by now, is there again.
    pub(super) fn check_whole(&mut self, id: NodeId, member: &Member, disk: &dyn Durable) -> Verdict {
        let lost = self.lost.remove(&id);
        let held = |position: &LogPosition| lost.as_ref().is_some_and(|lost| lost.holds(*position));
        let last = self.commits.list().iter().rev().map(|commit| commit.position).find(held);
        let last = last.unwrap_or(LogPosition::ZERO);
        let covered = disk.snapshot();
        let is_back = disk.position_at(last.index) == Some(last) || last.index < covered.index || last == covered;
        ensure!(
            "the_damaged_become_whole",
            id,
            is_back,
            "n{id} calls itself whole and lacks {last}, which it once held"
        );
        // What a process has written and not synced before it died becomes durable when the next one opens the log.
        let is_removed = |write: &Write| write.hard_state.is_some_and(|hard_state| hard_state.damage.is_none());
        ensure!(
            "the_damaged_become_whole",
            id,
            member.run.is_some() || member.writes.iter().any(is_removed),
            "the mark of n{id} is gone, and nobody has removed it"
        );
        self.situations.damage_repaired += 1;
        Ok(())
    }

    /// Whether a voter counts for the commit of an entry: it holds it, or did before its disk was wiped or its log lost
    /// something. Then it may have said so just before, and it is not asked for its vote: whoever is elected meanwhile has to
    /// ask the others, and one of them holds the entry.
    pub(super) fn counts(&self, id: NodeId, position: LogPosition, disks: &dyn Disks) -> bool {
        let is_marked = disks.disk(id).is_some_and(|disk| disk.hard_state().damage.is_some());
        let held = |images: &BTreeMap<NodeId, Image>| images.get(&id).is_some_and(|image| image.holds(position));
        if is_marked { held(&self.lost) } else { holds(disks, id, position) || held(&self.wiped) }
    }
}
