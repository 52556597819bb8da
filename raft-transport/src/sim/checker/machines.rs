//! What must hold of the state machines (§5.4.3).

use raft_actor::consensus::{LogIndex, LogPosition, NodeId};

use super::Knowledge;
use super::member::Run;
use super::verdict::{Verdict, ensure};
use crate::sim::durable::PayloadKind;

/// What the first member that applied a command made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Applied {
    position: LogPosition,
    command: u64,
    response: u64,
}

impl Knowledge {
    /// State Machine Safety: nobody applies another command at an index, in another order, or to another end.
    pub(super) fn check_applied(
        &mut self,
        id: NodeId,
        run: &mut Run,
        position: LogPosition,
        command: u64,
        response: u64,
    ) -> Verdict {
        let index = position.index;
        let is_next = index > run.machine_applied;
        ensure!("applied_in_order", id, is_next, "n{id} applies {position} after {}", run.machine_applied);
        let is_ordered = index <= run.apply_ordered;
        ensure!("applied_in_order", id, is_ordered, "n{id} applies {position}, it was told {}", run.apply_ordered);
        let is_committed = self.commits.contains(position);
        ensure!("state_machine_safety", id, is_committed, "n{id} applies {position}, which is not committed");
        self.check_once(id, position)?;
        self.check_nothing_between(id, run.machine_applied, index.prev())?;
        run.machine_applied = index;
        let new = Applied { position, command, response };
        let Ok(place) = usize::try_from(index.get()) else { return Ok(()) };
        if self.applied.len() <= place {
            self.applied.resize(place + 1, None);
        }
        let first = *self.applied[place].get_or_insert(new);
        let is_same = (first.position, first.command) == (position, command);
        ensure!("state_machine_safety", id, is_same, "n{id} applies {new:?}, another member has applied {first:?}");
        let same_response = first.response == response;
        ensure!("same_response_everywhere", id, same_response, "n{id} got {new:?}, another member {first:?}");
        Ok(())
    }

    /// The state machine said that it is done through here: it has been given every command.
    pub(super) fn check_applied_report(&self, id: NodeId, run: &mut Run, index: LogIndex) -> Verdict {
        if !self.watches_machines {
            return Ok(());
        }
        self.check_nothing_between(id, run.machine_applied.max(run.machine_told), index)?;
        run.machine_told = run.machine_told.max(index);
        Ok(())
    }

    /// No command lies in `after+1 ..= through`, but such as machines are not given.
    pub(super) fn check_nothing_between(&self, id: NodeId, after: LogIndex, through: LogIndex) -> Verdict {
        for index in after.next().get()..=through.get() {
            let Some(commit) = self.commits.at(LogIndex::new(index)) else { continue };
            let is_command = self.written.get(commit.position).is_some_and(|known| known.kind == PayloadKind::Command);
            let is_due = is_command && !self.sessions.passes_over(commit.position.index);
            ensure!("applied_in_order", id, !is_due, "n{id} skips {} when it applies", commit.position);
        }
        Ok(())
    }
}
