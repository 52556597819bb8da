//! Every entry that was ever written to any log: Log Matching (§5.3).

use std::collections::BTreeMap;

use raft_actor::consensus::{Configuration, Entry, LogIndex, LogPosition, NodeId};

use super::disks::Stored;
use super::verdict::{Verdict, ensure};
use crate::sim::durable::PayloadKind;

/// What is known of an entry, whichever log it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) kind: PayloadKind,
    /// Stands for its command.
    content: u64,
    /// The one before it.
    pub(super) prev: LogPosition,
    /// Bytes of all entries of the log through this one.
    pub(super) sum_bytes: u64,
}

/// All entries by their positions.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The first one that was written at each index; most indexes see no other.
    first: Vec<Option<(LogPosition, Known)>>,
    others: BTreeMap<LogPosition, Known>,
    configurations: BTreeMap<LogPosition, Configuration>,
    nobody: Configuration,
}

fn place(index: LogIndex) -> Option<usize> {
    usize::try_from(index.get().checked_sub(1)?).ok()
}

impl Written {
    /// What is known of the entry at this position.
    pub(super) fn get(&self, position: LogPosition) -> Option<&Known> {
        match self.first.get(place(position.index)?)? {
            Some((first, known)) if *first == position => Some(known),
            Some(_) | None => self.others.get(&position),
        }
    }

    /// Bytes of the log that ends here.
    pub(super) fn bytes_through(&self, position: LogPosition) -> u64 {
        self.get(position).map_or(0, |known| known.sum_bytes)
    }

    /// The configuration that this entry carries; nobody's for no entry.
    pub(super) fn configuration(&self, at: Option<LogPosition>) -> &Configuration {
        at.and_then(|at| self.configurations.get(&at)).unwrap_or(&self.nobody)
    }

    /// Whether this entry carries a configuration.
    pub(super) fn has_configuration_at(&self, position: LogPosition) -> bool {
        self.configurations.contains_key(&position)
    }

    /// All entries that carry a configuration.
    pub(super) fn configurations(&self) -> impl DoubleEndedIterator<Item = LogPosition> {
        self.configurations.keys().copied()
    }

    /// A log of `node` holds this entry behind `prev`: term and index name one entry and, through the one
    /// before it, the whole log up to it.
    pub(super) fn remember(&mut self, node: NodeId, entry: &Entry, prev: LogPosition) -> Verdict {
        self.remember_stored(node, &Stored::of(entry.position, &entry.payload), entry.size_bytes(), prev)
    }

    /// As [`Written::remember`], of an entry that was there before anybody looked.
    pub(super) fn remember_stored(
        &mut self,
        node: NodeId,
        entry: &Stored<'_>,
        size_bytes: u32,
        prev: LogPosition,
    ) -> Verdict {
        let Stored { position, kind, content, configuration } = *entry;
        let follows = position.index == prev.index.next() && position.term >= prev.term;
        ensure!("log_matching", node, follows, "n{node} writes {position} behind {prev}");
        if let Some(known) = self.get(position) {
            return self.compare(node, entry, prev, known);
        }
        let sum_bytes = self.bytes_through(prev).saturating_add(u64::from(size_bytes));
        self.insert(position, Known { kind, content, prev, sum_bytes });
        if let Some(configuration) = configuration {
            self.configurations.insert(position, configuration.clone());
        }
        Ok(())
    }

    /// A disk of `node` holds this entry behind `prev`: somebody must have written it.
    pub(super) fn recognize(&self, node: NodeId, entry: &Stored<'_>, prev: LogPosition) -> Verdict {
        let Some(known) = self.get(entry.position) else {
            ensure!("log_matching", node, false, "the disk of n{node} holds {entry:?}, which nobody wrote");
            return Ok(());
        };
        self.compare(node, entry, prev, known)
    }

    fn compare(&self, node: NodeId, entry: &Stored<'_>, prev: LogPosition, known: &Known) -> Verdict {
        let Stored { position, kind, content, configuration } = *entry;
        let is_same = known.kind == kind
            && known.content == content
            && (kind != PayloadKind::Configuration || self.configurations.get(&position) == configuration);
        ensure!("log_matching", node, is_same, "n{node} has {entry:?}, another log has {known:?} there");
        let is_same_log = known.prev == prev;
        ensure!(
            "log_matching",
            node,
            is_same_log,
            "{position} follows {} in one log and {prev} in that of n{node}",
            known.prev
        );
        Ok(())
    }

    fn insert(&mut self, position: LogPosition, known: Known) {
        let Some(place) = place(position.index) else { return };
        if self.first.len() <= place {
            self.first.resize(place + 1, None);
        }
        match &mut self.first[place] {
            free @ None => *free = Some((position, known)),
            Some(_) => {
                self.others.insert(position, known);
            }
        }
    }
}
