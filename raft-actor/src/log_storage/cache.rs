//! The newest part of a group's log, in memory, on the node's thread.

use std::collections::VecDeque;

use raft_consensus::{Entries, LogIndex, LogPosition, LogWrite};

/// What is read most: the entries that were written last.
///
/// The node writes to it the moment it orders a write from its storage, so that
/// streams and state machine can read entries which are not durable yet. What
/// is durable and beyond the byte limit is dropped, oldest first; that much is
/// read from the storage again if somebody needs it.
#[derive(Debug, Default)]
pub(crate) struct LogCache {
    /// Consecutive, never empty, oldest first.
    pieces: VecDeque<Entries>,
    bytes: u64,
    bytes_max: u64,
}

impl LogCache {
    /// An empty cache that keeps about `bytes_max` bytes beyond what it must.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Follows a change of the log.
    pub(crate) fn write(&mut self, write: &LogWrite) {
        match write {
            LogWrite::Append(entries) => self.push(entries.clone()),
            LogWrite::Replace(entries) => {
                if let Some(first) = entries.first_index() {
                    self.truncate_after(first.prev());
                }
                self.push(entries.clone());
            }
            LogWrite::Reset { .. } => {
                self.pieces.clear();
                self.bytes = 0;
            }
            LogWrite::Purge { through } => self.drop_through(*through),
        }
    }

    /// The entries `from ..= through`, at most about `bytes_max` and at least
    /// one; `None` if the first of them is not held here.
    pub(crate) fn read(&self, from: LogIndex, through: LogIndex, bytes_max: u64) -> Option<Entries> {
        let start = self.piece_of(from);
        let first = self.pieces.get(start)?;
        if first.first_index()? > from || from > through {
            return None;
        }
        let mut found = Entries::new();
        let mut bytes = 0;
        for piece in self.pieces.range(start..) {
            if piece.first_index()? > through || (bytes > 0 && bytes >= bytes_max) {
                break;
            }
            bytes += piece.size_bytes();
            found.append(piece.range(from, through));
        }
        Some(found)
    }

    /// The number of the first piece that ends at `from` or later. Nearly always that is one of the last few, so it is
    /// looked for from the back, in steps that double: a bisection of all pieces touches memory that no cache holds.
    fn piece_of(&self, from: LogIndex) -> usize {
        let ends_before = |at: usize| last_index(&self.pieces[at]) < from;
        let (mut end, mut step) = (self.pieces.len(), 1);
        let mut start = loop {
            match end.checked_sub(step) {
                None => break 0,
                Some(at) if ends_before(at) => break at + 1,
                Some(at) => (end, step) = (at, step * 2),
            }
        };
        while start < end {
            let middle = start.midpoint(end);
            if ends_before(middle) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }

    /// The entries `from.index+1 ..= through`, if they are all here and `through` has that term.
    pub(crate) fn read_exactly(&self, prev: LogPosition, through: LogPosition) -> Option<Entries> {
        let found = self.read(prev.index.next(), through.index, u64::MAX)?;
        (found.last_position() == Some(through)).then_some(found)
    }

    /// Drops what is over the limit and at or below `durable`.
    pub(crate) fn shrink(&mut self, durable: LogIndex) {
        while self.bytes > self.bytes_max && self.pieces.front().is_some_and(|piece| last_index(piece) <= durable) {
            self.pop_front();
        }
    }

    fn push(&mut self, entries: Entries) {
        if entries.is_empty() {
            return;
        }
        self.bytes += entries.size_bytes();
        self.pieces.push_back(entries);
    }

    fn truncate_after(&mut self, through: LogIndex) {
        while let Some(mut piece) = self.pieces.pop_back() {
            self.bytes -= piece.size_bytes();
            piece.truncate_after(through);
            if !piece.is_empty() {
                self.push(piece);
                return;
            }
        }
    }

    fn drop_through(&mut self, through: LogIndex) {
        while self.pieces.front().is_some_and(|piece| last_index(piece) <= through) {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some(piece) = self.pieces.pop_front() {
            self.bytes -= piece.size_bytes();
        }
    }
}

fn last_index(piece: &Entries) -> LogIndex {
    piece.last_position().map_or(LogIndex::ZERO, |last| last.index)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use raft_consensus::{Entry, Payload, Term};

    use super::*;

    fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Entries {
        indexes
            .map(|index| Entry {
                position: LogPosition::new(Term::new(term), LogIndex::new(index)),
                payload: Payload::Command(Bytes::from(vec![0; 76])),
            })
            .collect()
    }

    fn position(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term::new(term), LogIndex::new(index))
    }

    #[test]
    fn a_read_spans_pieces_and_ends_where_it_was_told() {
        let mut cache = LogCache::new(1 << 20);
        cache.write(&LogWrite::Append(entries(1, 1..=3)));
        cache.write(&LogWrite::Append(entries(1, 4..=6)));
        let read = cache.read_exactly(position(1, 1), position(1, 5)).expect("all of it is here");
        assert_eq!((read.first_index(), read.len()), (Some(LogIndex::new(2)), 4));
    }

    #[test]
    fn every_entry_is_found_however_far_back_it_is() {
        let mut cache = LogCache::new(u64::MAX);
        let lengths = [1, 3, 1, 1, 2, 5, 1, 1, 1, 4, 1];
        let last = lengths.into_iter().fold(0, |last, length| {
            cache.write(&LogWrite::Append(entries(1, last + 1..=last + length)));
            last + length
        });
        for index in 1..=last {
            let found = cache.read(LogIndex::new(index), LogIndex::new(index), u64::MAX).expect("it was written");
            assert_eq!((found.first_index(), found.len()), (Some(LogIndex::new(index)), 1));
        }
        assert_eq!(cache.read(LogIndex::new(last + 1), LogIndex::new(last + 1), u64::MAX), None);
    }

    #[test]
    fn a_replaced_suffix_is_not_read_as_the_old_one() {
        let mut cache = LogCache::new(1 << 20);
        cache.write(&LogWrite::Append(entries(1, 1..=5)));
        cache.write(&LogWrite::Replace(entries(2, 3..=4)));
        assert_eq!(cache.read_exactly(position(1, 2), position(1, 4)), None);
        assert_eq!(cache.read_exactly(position(1, 2), position(2, 4)).map(|found| found.len()), Some(2));
        assert_eq!(cache.read(LogIndex::new(5), LogIndex::new(5), 1), None);
    }

    #[test]
    fn only_what_is_durable_is_dropped() {
        let mut cache = LogCache::new(0);
        cache.write(&LogWrite::Append(entries(1, 1..=2)));
        cache.write(&LogWrite::Append(entries(1, 3..=4)));
        cache.shrink(LogIndex::new(3));
        assert_eq!(cache.read(LogIndex::new(2), LogIndex::new(4), u64::MAX), None);
        assert!(cache.read(LogIndex::new(3), LogIndex::new(4), u64::MAX).is_some());
        cache.shrink(LogIndex::new(4));
        assert_eq!(cache.bytes, 0);
    }
}
