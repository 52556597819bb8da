//! A run of consecutive entries that is cheap to share.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::{Entry, LogIndex, LogPosition};

/// Consecutive log entries, in shared pieces.
///
/// A batch of proposals becomes one piece. The leader's log, the storage, the
/// messages to the followers and, in one process, the followers' logs all hold
/// the same piece: cloning and slicing cost a counter per piece, not per entry.
/// A slice keeps its whole piece alive.
#[derive(Clone, Default)]
pub struct Entries {
    pieces: Vec<Piece>,
}

#[derive(Clone)]
struct Piece {
    shared: Arc<[Entry]>,
    start: usize,
    end: usize,
}

impl Piece {
    fn as_slice(&self) -> &[Entry] {
        &self.shared[self.start..self.end]
    }
}

/// The same entries, however they are cut into pieces.
impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
impl Eq for Entries {}

impl Entries {
    /// No entries.
    pub const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.end - piece.start).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The first entry.
    pub fn first(&self) -> Option<&Entry> {
        self.pieces.first().and_then(|piece| piece.as_slice().first())
    }

    /// The last entry.
    pub fn last(&self) -> Option<&Entry> {
        self.pieces.last().and_then(|piece| piece.as_slice().last())
    }

    /// Index of the first entry.
    pub fn first_index(&self) -> Option<LogIndex> {
        self.first().map(|entry| entry.position.index)
    }

    /// Position of the last entry.
    pub fn last_position(&self) -> Option<LogPosition> {
        self.last().map(|entry| entry.position)
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.pieces.iter().flat_map(|piece| piece.as_slice())
    }

    /// The pieces in order, each a non-empty slice.
    pub fn slices(&self) -> impl Iterator<Item = &[Entry]> {
        self.pieces.iter().map(Piece::as_slice)
    }

    /// Adds the entries of `more` behind these, sharing its pieces.
    ///
    /// # Panics
    /// In debug builds, if the indexes do not follow on.
    pub fn append(&mut self, more: Self) {
        if let (Some(last), Some(first)) = (self.last_position(), more.first_index()) {
            debug_assert_eq!(last.index.next(), first, "entries must follow on");
        }
        self.pieces.extend(more.pieces);
    }

    /// The entries with an index in `from ..= through`, sharing the pieces.
    /// Assumes consecutive indexes, which entries of a remote peer must have been checked for.
    #[must_use]
    pub fn range(&self, from: LogIndex, through: LogIndex) -> Self {
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let slice = piece.as_slice();
            let start = slice.partition_point(|entry| entry.position.index < from);
            let end = slice.partition_point(|entry| entry.position.index <= through);
            if start < end {
                pieces.push(Piece {
                    shared: Arc::clone(&piece.shared),
                    start: piece.start + start,
                    end: piece.start + end,
                });
            }
        }
        Self { pieces }
    }

    /// Drops the entries with an index above `through`.
    pub fn truncate_after(&mut self, through: LogIndex) {
        while let Some(piece) = self.pieces.last_mut() {
            let keep = piece.as_slice().partition_point(|entry| entry.position.index <= through);
            piece.end = piece.start + keep;
            if keep > 0 {
                return;
            }
            self.pieces.pop();
        }
    }

    /// What these entries count for in byte budgets.
    pub fn size_bytes(&self) -> u64 {
        self.iter().map(|entry| u64::from(entry.size_bytes())).sum()
    }
}

impl From<Vec<Entry>> for Entries {
    fn from(entries: Vec<Entry>) -> Self {
        Self::from(Arc::<[Entry]>::from(entries))
    }
}

impl From<Arc<[Entry]>> for Entries {
    fn from(shared: Arc<[Entry]>) -> Self {
        let end = shared.len();
        if end == 0 {
            return Self::new();
        }
        Self { pieces: vec![Piece { shared, start: 0, end }] }
    }
}

/// Builds one piece; in place, without a copy, if the iterator knows its length.
impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self::from(entries.into_iter().collect::<Arc<[Entry]>>())
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Entry>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests;
