//! What the core remembers of the log: terms, sizes and configurations, not the commands.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{Configuration, Entries, Entry, LogIndex, LogPosition, NodeId, Payload, SnapshotMeta, Term};

/// The shape of the log above its base: the term and size of every entry, and every configuration.
///
/// The base is the last entry that was purged, or [`LogPosition::ZERO`]: a snapshot covers it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    base: LogPosition,
    /// Where the configuration in force at the base stands: there or before.
    base_configured_at: LogPosition,
    /// Where each run of equal terms begins; ascending in both.
    runs: VecDeque<LogPosition>,
    /// Bytes of all entries from the base through each one, from `base.index + 1` on:
    /// a running sum, so that a batch is found by bisection and not by adding up.
    sums_bytes: VecDeque<u64>,
    /// The configuration in force at the base, and each one in the log above it, by where they stand.
    configurations: BTreeMap<LogIndex, Configuration>,
}

impl Log {
    /// An empty log that continues after `base`, where `configuration` was in force.
    pub fn new(base: LogPosition, configuration: Configuration) -> Self {
        let configurations = BTreeMap::from([(base.index, configuration)]);
        Self { base, base_configured_at: base, configurations, ..Self::default() }
    }

    /// An empty log that continues after a snapshot.
    pub(crate) fn after(snapshot: &SnapshotMeta) -> Self {
        let mut log = Self::new(snapshot.position, Configuration::default());
        log.learn_configuration(snapshot);
        log
    }

    /// What a storage reads of a log does not say which configuration was in force where it begins, if that
    /// was purged; the snapshot does.
    pub(crate) fn learn_configuration(&mut self, snapshot: &SnapshotMeta) {
        if snapshot.configured_at.index <= self.base.index {
            self.configurations = self.configurations.split_off(&self.base.index.next());
            self.configurations.insert(snapshot.configured_at.index, snapshot.configuration.clone());
            self.base_configured_at = snapshot.configured_at;
        }
    }

    /// The last entry that was purged.
    pub fn base(&self) -> LogPosition {
        self.base
    }

    /// The first index that the log can hold.
    pub fn first_index(&self) -> LogIndex {
        self.base.index.next()
    }

    /// The last entry, or the base if there is none.
    pub fn last(&self) -> LogPosition {
        let index = self.base.index.plus(u64::try_from(self.sums_bytes.len()).unwrap_or(u64::MAX));
        LogPosition::new(self.runs.back().map_or(self.base.term, |run| run.term), index)
    }

    /// The term of the entry at `index`, if the log (or its base) knows it.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        let last = self.last();
        if index < self.base.index || index > last.index {
            return None;
        }
        // Nearly always it is one of the last.
        if self.runs.back().is_some_and(|run| run.index <= index) {
            return Some(last.term);
        }
        let run = self.runs.partition_point(|run| run.index <= index);
        Some(self.runs[run - 1].term)
    }

    /// Whether the log holds exactly this entry (Log Matching, §5.3).
    pub fn contains(&self, position: LogPosition) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    /// Adds an entry behind the last.
    ///
    /// # Panics
    /// If its index does not follow on or its term falls: the caller checks what comes from outside.
    pub fn push(&mut self, entry: &Entry) {
        let configuration = match &entry.payload {
            Payload::Configuration(configuration) => Some(&**configuration),
            Payload::Noop | Payload::Command(_) => None,
        };
        self.push_shape(entry.position, entry.size_bytes(), configuration);
    }

    /// As [`Log::push`], for a storage that knows the position and the size of an entry without reading it.
    pub fn push_shape(&mut self, position: LogPosition, size_bytes: u32, configuration: Option<&Configuration>) {
        let LogPosition { term, index } = position;
        let last = self.last();
        assert_eq!(index, last.index.next(), "a log has no gaps");
        assert!(term >= last.term, "terms in a log never fall: {position} after {last}");
        if self.runs.back().is_none_or(|run| run.term < term) {
            self.runs.push_back(position);
        }
        let sum_bytes = self.sums_bytes.back().copied().unwrap_or(0);
        self.sums_bytes.push_back(sum_bytes.saturating_add(u64::from(size_bytes)));
        if let Some(configuration) = configuration {
            self.configurations.insert(index, configuration.clone());
        }
    }

    /// Adds entries behind the last; panics as [`Log::push`] does.
    pub(crate) fn append(&mut self, entries: &Entries) {
        self.sums_bytes.reserve(entries.len());
        entries.iter().for_each(|entry| self.push(entry));
    }

    /// Forgets the entries up to and including `through`, but not which configuration is in force there.
    ///
    /// # Panics
    /// If the log does not reach as far.
    pub fn purge(&mut self, through: LogIndex) {
        let Some(term) = self.term_at(through).filter(|_| through > self.base.index) else {
            assert!(through <= self.base.index, "cannot purge through {through}: the log ends at {}", self.last());
            return;
        };
        let base = LogPosition::new(term, through);
        let configured_at = self.configurations.range(..=through).next_back().map(|(index, _)| *index);
        let configured_at = configured_at.expect("the base always has one");
        self.base_configured_at = self.position_of_configuration(configured_at);
        self.configurations = self.configurations.split_off(&configured_at);
        let purged_bytes = self.bytes_through(through);
        self.sums_bytes.drain(..self.entries_through(through));
        self.sums_bytes.iter_mut().for_each(|sum_bytes| *sum_bytes -= purged_bytes);
        // The run that holds the new base goes on behind it, if the next entry is of the same term.
        let goes_on = self.runs.partition_point(|run| run.index <= through.next());
        self.runs.drain(..goes_on.saturating_sub(1));
        if let Some(first) = self.runs.front_mut().filter(|first| first.index <= through) {
            first.index = through.next();
        }
        self.base = base;
        if self.sums_bytes.is_empty() {
            self.runs.clear();
        }
    }

    /// The first index after which at most `bytes_max` bytes of entries lie, up to `through`; at or above the base.
    pub(crate) fn start_of_last(&self, bytes_max: u64, through: LogIndex) -> LogIndex {
        let end_bytes = self.bytes_through(through);
        let too_early = self.sums_bytes.partition_point(|sum_bytes| end_bytes.saturating_sub(*sum_bytes) > bytes_max);
        let is_all = end_bytes <= bytes_max;
        let skipped = if is_all { 0 } else { too_early.saturating_add(1) };
        self.base.index.plus(u64::try_from(skipped).unwrap_or(u64::MAX)).min(through.max(self.base.index))
    }

    /// Removes everything above `through`. Configurations among it are rolled back.
    ///
    /// # Panics
    /// If `through` lies below the base.
    pub fn truncate_after(&mut self, through: LogIndex) {
        assert!(through >= self.base.index, "cannot truncate into the snapshot: {through} < {}", self.base);
        self.sums_bytes.truncate(self.entries_through(through));
        while self.runs.back().is_some_and(|run| run.index > through) {
            self.runs.pop_back();
        }
        self.configurations.split_off(&through.next());
    }

    /// The last index at or below `limit` whose term is at most `term`; the base if there is none above it.
    pub fn last_index_at_most(&self, term: Term, limit: LogIndex) -> LogPosition {
        let limit = limit.min(self.last().index);
        let runs_at_most = self.runs.partition_point(|run| run.term <= term);
        let end = self.runs.get(runs_at_most).map_or(self.last().index, |run| run.index.prev());
        let index = end.min(limit).max(self.base.index);
        LogPosition::new(self.term_at(index).unwrap_or(self.base.term), index)
    }

    /// The latest configuration, committed or not (§6).
    pub fn configuration(&self) -> &Configuration {
        self.configuration_entry().1
    }

    /// Where the latest configuration stands, and what it is.
    pub fn configuration_entry(&self) -> (LogIndex, &Configuration) {
        let (index, configuration) = self.configurations.last_key_value().expect("the base always has one");
        (*index, configuration)
    }

    /// Where the latest configuration stands, by which it can be told from every other.
    pub fn configured_at(&self) -> LogPosition {
        self.position_of_configuration(self.configuration_entry().0)
    }

    /// Where the configuration in force at the base stands; everything else there is forgotten.
    pub(crate) fn base_configured_at(&self) -> LogPosition {
        self.base_configured_at
    }

    /// The position of the configuration at `index`, which this log knows.
    pub(crate) fn position_of_configuration(&self, index: LogIndex) -> LogPosition {
        match self.term_at(index) {
            Some(term) if index > self.base.index => LogPosition::new(term, index),
            Some(_) | None => self.base_configured_at,
        }
    }

    /// All members of the configuration in force at `commit` and of those above it, which may yet be rolled back.
    pub fn members_from(&self, commit: LogIndex) -> BTreeSet<NodeId> {
        self.configurations_from(commit).flat_map(Configuration::members).collect()
    }

    /// The configurations from `from` through `through` and where they stand, in order.
    pub fn configurations(
        &self,
        from: LogIndex,
        through: LogIndex,
    ) -> impl Iterator<Item = (LogIndex, &Configuration)> {
        let all = self.configurations.range(from..=through.max(from));
        all.map(|(index, configuration)| (*index, configuration)).filter(move |(index, _)| *index <= through)
    }

    /// The configuration in force at `commit`, and those above it.
    fn configurations_from(&self, commit: LogIndex) -> impl Iterator<Item = &Configuration> {
        let above = self.configurations.range(commit.next()..).map(|(_, configuration)| configuration);
        self.configuration_through(commit).into_iter().chain(above)
    }

    /// The configuration that a log through `index` has as its latest.
    pub(crate) fn configuration_through(&self, index: LogIndex) -> Option<&Configuration> {
        self.configurations.range(..=index).next_back().map(|(_, configuration)| configuration)
    }

    /// Whether `id` is a voter of the configuration in force at `commit` or of one above it, which may
    /// yet be rolled back: it then campaigns, since it cannot know better (dissertation 4.2.2).
    pub(crate) fn may_be_voter(&self, id: NodeId, commit: LogIndex) -> bool {
        self.configurations_from(commit).any(|configuration| configuration.is_voter(id))
    }

    /// The last index of a batch that begins after `after` and holds at most
    /// `bytes_max`, yet at least one entry; and its size. `None` if nothing follows.
    pub fn batch_end(&self, after: LogIndex, bytes_max: u64) -> Option<(LogIndex, u64)> {
        let last = self.last().index;
        if after >= last {
            return None;
        }
        let before_bytes = self.bytes_through(after);
        let all_bytes = self.bytes_through(last) - before_bytes;
        // Nearly always all of it fits: a bisection of a long log touches memory that no cache holds.
        if all_bytes <= bytes_max {
            return Some((last, all_bytes));
        }
        let limit_bytes = before_bytes.saturating_add(bytes_max);
        let fitting = self.sums_bytes.partition_point(|sum_bytes| *sum_bytes <= limit_bytes);
        let end =
            self.base.index.plus(u64::try_from(fitting).unwrap_or(u64::MAX)).max(after.max(self.base.index).next());
        Some((end, self.bytes_through(end) - before_bytes))
    }

    /// Bytes of the entries in `after+1 ..= through`.
    pub(crate) fn bytes_between(&self, after: LogIndex, through: LogIndex) -> u64 {
        self.bytes_through(through).saturating_sub(self.bytes_through(after))
    }

    /// Bytes of the entries from the base through `index`.
    fn bytes_through(&self, index: LogIndex) -> u64 {
        let entries = self.entries_through(index);
        entries.checked_sub(1).and_then(|at| self.sums_bytes.get(at)).copied().unwrap_or(0)
    }

    /// How many entries the log holds through `index`.
    fn entries_through(&self, index: LogIndex) -> usize {
        usize::try_from(index.since(self.base.index)).unwrap_or(usize::MAX).min(self.sums_bytes.len())
    }
}

#[cfg(test)]
mod tests;
