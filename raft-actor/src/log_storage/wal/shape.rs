//! What is known of a group's log without looking at its entries.
//!
//! This is what the beginning of a segment restates, so that the segments before it
//! can go. It follows the records one by one, the same way when they are written
//! and when they are read again.

use std::collections::{BTreeMap, VecDeque};

use raft_consensus::{Configuration, HardState, LogIndex, LogPosition, Term};
use serde::{Deserialize, Serialize};

/// Terms, bounds and configurations of one group's log, and its hard state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) hard_state: HardState,
    /// The last entry that was purged or is covered by a snapshot.
    pub(super) base: LogPosition,
    /// Index of the last entry; that of the base if there is none.
    pub(super) last: LogIndex,
    /// The last configuration at or below the base; empty if the snapshot alone knows it.
    pub(super) base_configuration: Configuration,
    /// The first entry of each term; ascending in both.
    terms: VecDeque<LogPosition>,
    /// The configurations among the entries.
    configurations: BTreeMap<LogIndex, Configuration>,
}

impl Shape {
    /// The term of an entry, or of the base.
    pub(super) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > self.last {
            return None;
        }
        let begun = self.terms.partition_point(|first| first.index <= index);
        self.terms.get(begun.checked_sub(1)?).map(|first| first.term)
    }

    /// The configuration that the entry at `index` carries, if it carries one.
    pub(super) fn configuration_at(&self, index: LogIndex) -> Option<&Configuration> {
        self.configurations.get(&index)
    }

    /// The configuration that the log ends with.
    pub(super) fn last_configuration(&self) -> &Configuration {
        self.configurations.last_key_value().map_or(&self.base_configuration, |(_, last)| last)
    }

    pub(super) fn append(
        &mut self,
        position: LogPosition,
        configuration: Option<Configuration>,
    ) -> Result<(), &'static str> {
        if position.index != self.last.next() {
            return Err("an entry does not follow on from the one before");
        }
        if self.terms.back().is_none_or(|first| first.term != position.term) {
            self.terms.push_back(position);
        }
        if let Some(configuration) = configuration {
            self.configurations.insert(position.index, configuration);
        }
        self.last = position.index;
        Ok(())
    }

    pub(super) fn truncate_after(&mut self, through: LogIndex) -> Result<(), &'static str> {
        if through < self.base.index {
            return Err("entries below the base are truncated");
        }
        self.last = self.last.min(through);
        while self.terms.back().is_some_and(|first| first.index > through) {
            self.terms.pop_back();
        }
        self.configurations.split_off(&through.next());
        Ok(())
    }

    pub(super) fn purge(&mut self, through: LogIndex) -> Result<(), &'static str> {
        if through <= self.base.index {
            return Ok(());
        }
        let term = self.term_at(through).ok_or("entries beyond the end are purged")?;
        self.base = LogPosition::new(term, through);
        let begun = self.terms.partition_point(|first| first.index <= through);
        self.terms.drain(..begun);
        if through < self.last && self.terms.front().is_none_or(|first| first.index > through.next()) {
            // The term of the base goes on behind it.
            self.terms.push_front(LogPosition::new(term, through.next()));
        }
        let kept = self.configurations.split_off(&through.next());
        if let Some((_, configuration)) = std::mem::replace(&mut self.configurations, kept).pop_last() {
            self.base_configuration = configuration;
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, to: LogPosition) {
        *self = Self { hard_state: self.hard_state, base: to, last: to.index, ..Self::default() };
    }
}
