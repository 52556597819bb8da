//! The model of a log storage: what was written, and how much of it would survive.

use std::collections::VecDeque;

use raft_consensus::{
    Configuration, DamageId, Entries, Entry, HardState, Log, LogIndex, LogPosition, LogWrite, WriteSeq,
};

/// What a storage holds at one moment.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Term and vote.
    pub hard_state: HardState,
    /// The last entry that was purged.
    pub base: LogPosition,
    /// All entries behind it.
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Write {
    seq: WriteSeq,
    hard_state: Option<HardState>,
    log: Option<LogWrite>,
}

/// A storage whose writes become durable when the test says so.
#[derive(Debug, Default)]
pub struct Disk {
    durable: Image,
    written: Image,
    pending: VecDeque<Write>,
    /// How often it was damaged.
    damages: u64,
    /// While set, writes stay pending until [`Disk::sync`] is called by the test itself.
    pub held: bool,
}

/// The position at this index of a log with these entries behind `base`.
pub(super) fn position_in(entries: &[Entry], base: LogPosition, at: LogIndex) -> Option<LogPosition> {
    if at <= base.index {
        return (at == base.index).then_some(base);
    }
    usize::try_from(at.prev().since(base.index)).ok().and_then(|offset| entries.get(offset)).map(|entry| entry.position)
}

impl Image {
    /// The entry's position at this index; the base before the first.
    pub fn position_at(&self, at: LogIndex) -> Option<LogPosition> {
        position_in(&self.entries, self.base, at)
    }

    /// Whether exactly this entry is there.
    pub fn contains(&self, position: LogPosition) -> bool {
        self.position_at(position.index) == Some(position)
    }

    /// The last entry.
    pub fn last(&self) -> LogPosition {
        self.entries.last().map_or(self.base, |entry| entry.position)
    }

    /// The entries `after+1 ..= through`, as far as they are there.
    pub fn range(&self, after: LogIndex, through: LogIndex) -> Vec<Entry> {
        let inside = |entry: &&Entry| entry.position.index > after && entry.position.index <= through;
        self.entries.iter().filter(inside).cloned().collect()
    }

    fn add(&mut self, entries: &Entries) {
        for entry in entries.iter() {
            let last = self.last();
            assert_eq!(entry.position.index, last.index.next(), "a write left a gap in the log");
            assert!(entry.position.term >= last.term, "a written term falls: {} after {last}", entry.position);
            self.entries.push(entry.clone());
        }
    }

    fn apply(&mut self, write: &Write) {
        if let Some(new) = write.hard_state {
            let old = self.hard_state;
            assert!(new.term >= old.term, "the durable term falls from {} to {}", old.term, new.term);
            let same_term = new.term == old.term;
            assert!(!same_term || old.vote.is_none() || old.vote == new.vote, "a vote changes: {old:?} to {new:?}");
            self.hard_state = new;
        }
        match &write.log {
            None => {}
            Some(LogWrite::Append(entries)) => {
                assert!(!entries.is_empty(), "an empty append was ordered");
                self.add(entries);
            }
            Some(LogWrite::Replace(entries)) => {
                let from = entries.first_index().expect("a replacement is never empty");
                assert!(from > self.base.index, "a replacement from {from} in what was purged through {}", self.base);
                let keep = usize::try_from(from.prev().since(self.base.index)).expect("a test log is short");
                assert!(keep <= self.entries.len(), "a replacement from {from} leaves a gap");
                self.entries.truncate(keep);
                self.add(entries);
            }
            Some(LogWrite::Reset { to }) => {
                (self.base, self.entries) = (*to, Vec::new());
            }
            Some(LogWrite::Purge { through }) => {
                let base = self.position_at(*through).expect("what is purged was there");
                assert!(base.index > self.base.index, "{through} was purged before");
                self.entries.retain(|entry| entry.position.index > *through);
                self.base = base;
            }
        }
    }
}

impl Disk {
    /// A disk that has held this since before the story begins.
    pub fn with(image: Image) -> Self {
        Self { durable: image.clone(), written: image, ..Self::default() }
    }

    /// What would survive a crash now.
    pub fn durable(&self) -> &Image {
        &self.durable
    }

    /// What was written, durable or not; what reads see.
    pub fn written(&self) -> &Image {
        &self.written
    }

    /// How many writes wait to become durable.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes a write; it is readable at once.
    pub fn write(&mut self, seq: WriteSeq, hard_state: Option<HardState>, log: Option<LogWrite>) {
        if let Some(last) = self.pending.back() {
            assert!(seq > last.seq, "write {seq} was ordered after {}", last.seq);
        }
        let write = Write { seq, hard_state, log };
        self.written.apply(&write);
        self.pending.push_back(write);
    }

    /// Makes the oldest `count` pending writes durable; returns the last of them, to be confirmed.
    pub fn sync(&mut self, count: usize) -> Option<WriteSeq> {
        let mut last = None;
        for write in self.pending.drain(..count.min(self.pending.len())) {
            self.durable.apply(&write);
            last = Some(write.seq);
        }
        last
    }

    /// What a machine crash in the middle of writing leaves: `count` whole writes, unconfirmed, and of the
    /// next one the hard state and at most `entries` entries. The caller crashes the member next.
    pub fn tear(&mut self, count: usize, entries: usize) {
        self.sync(count);
        let Some(Write { seq, hard_state, log }) = self.pending.pop_front() else { return };
        let cut = |all: Entries| all.iter().take(entries).cloned().collect::<Entries>();
        let log = match log {
            Some(LogWrite::Append(all)) => Some(LogWrite::Append(cut(all))),
            Some(LogWrite::Replace(all)) => Some(LogWrite::Replace(cut(all))),
            other @ (None | Some(LogWrite::Reset { .. } | LogWrite::Purge { .. })) => other,
        };
        let is_empty = matches!(&log, Some(LogWrite::Append(cut) | LogWrite::Replace(cut)) if cut.is_empty());
        self.durable.apply(&Write { seq, hard_state, log: log.filter(|_| !is_empty) });
    }

    /// Makes up for a reset that the last run did not live to see durable.
    pub fn reset(&mut self, to: LogPosition) {
        (self.durable.base, self.durable.entries) = (to, Vec::new());
        self.written = self.durable.clone();
    }

    /// Something that was durable is gone: the storage keeps what was in front of it, and marks that.
    pub fn damage(&mut self, through: LogIndex) {
        self.damages += 1;
        self.durable.entries.retain(|entry| entry.position.index <= through);
        self.durable.hard_state.damage = Some(DamageId(self.damages));
        self.crash();
    }

    /// Loses everything that is not durable.
    pub fn crash(&mut self) {
        self.pending.clear();
        self.written = self.durable.clone();
    }

    /// The shape of the durable log, as a member reads it when it starts. `first` was in force before the first entry.
    pub fn log(&self, first: &Configuration) -> Log {
        // What is in a snapshot, the snapshot knows.
        let is_whole = self.durable.base == LogPosition::ZERO;
        let first = if is_whole { first.clone() } else { Configuration::default() };
        let mut log = Log::new(self.durable.base, first);
        for entry in &self.durable.entries {
            log.push(entry);
        }
        log
    }
}
