//! A log without its commands.

use raft_actor::consensus::{LogIndex, LogPosition};

/// Which positions a log holds, and which of them carry a configuration. By Log Matching (§5.3) its
/// last position alone says what is in it; this answers what is at an index without walking there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogShape {
    base: LogPosition,
    last: LogPosition,
    /// Where each run of equal terms begins.
    runs: Vec<LogPosition>,
    /// The entries that carry a configuration, those below the base too.
    configurations: Vec<LogPosition>,
}

impl LogShape {
    pub(super) fn base(&self) -> LogPosition {
        self.base
    }

    pub(super) fn last(&self) -> LogPosition {
        self.last
    }

    pub(super) fn configurations(&self) -> &[LogPosition] {
        &self.configurations
    }

    pub(super) fn position_at(&self, index: LogIndex) -> Option<LogPosition> {
        if index == self.base.index {
            return Some(self.base);
        }
        if index < self.base.index || index > self.last.index {
            return None;
        }
        // Most questions are about the end.
        let latest = self.runs.last().filter(|run| run.index <= index);
        let run = latest.or_else(|| {
            let after = self.runs.partition_point(|run| run.index <= index);
            after.checked_sub(1).map(|at| &self.runs[at])
        });
        run.map(|run| LogPosition::new(run.term, index))
    }

    pub(super) fn contains(&self, position: LogPosition) -> bool {
        self.position_at(position.index) == Some(position)
    }

    /// Adds an entry that follows the last one.
    pub(super) fn push(&mut self, position: LogPosition, is_configuration: bool) {
        if self.runs.last().is_none_or(|run| run.term != position.term) {
            self.runs.push(position);
        }
        if is_configuration {
            self.configurations.push(position);
        }
        self.last = position;
    }

    /// Removes everything above `through`; returns how many configurations that were.
    pub(super) fn truncate_after(&mut self, through: LogIndex) -> usize {
        let Some(last) = self.position_at(through) else { return 0 };
        self.last = last;
        while self.runs.last().is_some_and(|run| run.index > through) {
            self.runs.pop();
        }
        let before = self.configurations.len();
        self.configurations.retain(|at| at.index <= through);
        before - self.configurations.len()
    }

    /// Forgets the entries up to `base`, which a snapshot covers.
    pub(super) fn purge_through(&mut self, base: LogIndex) {
        if let Some(base) = self.position_at(base) {
            self.base = base;
            let needed = self.runs.partition_point(|run| run.index <= base.index).saturating_sub(1);
            self.runs.drain(..needed);
        }
    }

    /// Becomes a log that continues after `base`, whose configurations are these.
    pub(super) fn reset(&mut self, base: LogPosition, configurations: Vec<LogPosition>) {
        *self = Self { base, last: base, runs: Vec::new(), configurations };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::checker::tests::at;

    fn shape(terms: &[u64]) -> LogShape {
        let mut shape = LogShape::default();
        for (index, term) in (1..).zip(terms) {
            shape.push(at(index, *term), false);
        }
        shape
    }

    #[test]
    fn a_shape_knows_what_is_at_each_index() {
        let shape = shape(&[1, 1, 3, 3, 4]);
        let held: Vec<_> = (0..7).map(|index| shape.position_at(LogIndex::new(index))).collect();
        let wanted = [at(0, 0), at(1, 1), at(2, 1), at(3, 3), at(4, 3), at(5, 4)];
        assert_eq!(held[..6], wanted.map(Some));
        assert_eq!(held[6], None);
    }

    #[test]
    fn a_truncated_shape_is_what_it_was_before() {
        let mut longer = shape(&[1, 1, 3]);
        longer.push(at(4, 3), true);
        longer.push(at(5, 4), true);
        assert_eq!(longer.truncate_after(LogIndex::new(3)), 2);
        assert_eq!(longer, shape(&[1, 1, 3]));
        longer.truncate_after(LogIndex::ZERO);
        assert_eq!(longer, LogShape::default());
    }

    #[test]
    fn a_purged_shape_keeps_what_is_above() {
        let mut shape = shape(&[1, 1, 3, 3, 4]);
        shape.purge_through(LogIndex::new(3));
        assert_eq!(shape.position_at(LogIndex::new(2)), None);
        assert_eq!(shape.position_at(LogIndex::new(3)), Some(at(3, 3)));
        assert_eq!(shape.position_at(LogIndex::new(4)), Some(at(4, 3)));
        assert_eq!((shape.base(), shape.last()), (at(3, 3), at(5, 4)));
    }
}
