//! Encodes what is written at once and synced at once.
//!
//! A batch is built in one buffer that is used again and again, and goes to the
//! disk in one write. Nothing is allocated per entry.

use raft_consensus::{Entries, Entry, GroupId, HardState, LogIndex, LogWrite, Payload};

use super::record::{DAMAGED, HEADER_BYTES, Header, Kind, LAST, MOVED, VOTED};
use crate::log_storage::GroupWrite;

/// A batch that is being encoded for a place in a segment.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    buffer: &'a mut Vec<u8>,
    /// Offset of the buffer's beginning in the file.
    start: u64,
    epoch: u32,
    batch: u32,
    /// Where in the buffer the last record begins.
    last_record: usize,
}

/// What a record says beside its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) group: u64,
    pub(super) term: u64,
    pub(super) index: u64,
}

impl Label {
    /// A record that concerns no group.
    pub(super) const fn of_segment(kind: Kind, index: u64) -> Self {
        Self { kind, flags: 0, group: 0, term: 0, index }
    }
}

impl<'a> Batch<'a> {
    /// Begins the batch number `batch` of the segment `epoch`, to stand at `start`. Empties the buffer.
    pub(super) fn begin(buffer: &'a mut Vec<u8>, start: u64, epoch: u32, batch: u32) -> Self {
        buffer.clear();
        Self { buffer, start, epoch, batch, last_record: 0 }
    }

    /// Adds the records of a group's write: the hard state first, so that no entry
    /// of a term is ever found without that term.
    pub(super) fn write(&mut self, write: &GroupWrite) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state(write.group, hard_state);
        }
        let group = write.group;
        match &write.log {
            None => {}
            Some(LogWrite::Append(entries)) => self.entries(group, entries),
            Some(LogWrite::Replace(entries)) => {
                let first = entries.first_index().expect("a replacement is never empty");
                self.mark(group, Kind::Truncate, 0, first.prev());
                self.entries(group, entries);
            }
            Some(LogWrite::Reset { to }) => self.mark(group, Kind::Reset, to.term.get(), to.index),
            Some(LogWrite::Purge { through }) => self.mark(group, Kind::Purge, 0, *through),
        }
    }

    /// Says once more which groups there are, and the hard state of each: whatever is damaged before this, they are known.
    pub(super) fn restate(&mut self, hard_states: &[(GroupId, HardState)]) {
        self.record(Label::of_segment(Kind::Barrier, hard_states.len() as u64), &[]);
        hard_states.iter().for_each(|(group, hard_state)| self.hard_state(*group, *hard_state));
    }

    fn hard_state(&mut self, group: GroupId, hard_state: HardState) {
        let HardState { term, vote, damage } = hard_state;
        let (voted, index) = vote.map_or((0, 0), |vote| (VOTED, vote.get()));
        let damaged = if damage.is_some() { DAMAGED } else { 0 };
        let damage = damage.map(|damage| damage.0.to_le_bytes());
        let label =
            Label { kind: Kind::HardState, flags: voted | damaged, group: group.get(), term: term.get(), index };
        self.record(label, damage.as_ref().map_or(&[], |number| number.as_slice()));
    }

    fn mark(&mut self, group: GroupId, kind: Kind, term: u64, index: LogIndex) {
        self.record(Label { kind, flags: 0, group: group.get(), term, index: index.get() }, &[]);
    }

    fn entries(&mut self, group: GroupId, entries: &Entries) {
        let mut expected = entries.first_index();
        for entry in entries.iter() {
            assert_eq!(Some(entry.position.index), expected, "entries must follow on");
            expected = Some(entry.position.index.next());
            self.entry(group, entry);
        }
    }

    fn entry(&mut self, group: GroupId, entry: &Entry) {
        let label = |kind| Label {
            kind,
            flags: 0,
            group: group.get(),
            term: entry.position.term.get(),
            index: entry.position.index.get(),
        };
        match &entry.payload {
            Payload::Noop => self.record(label(Kind::Noop), &[]),
            Payload::Command(command) => self.record(label(Kind::Command), command),
            Payload::Configuration(configuration) => {
                let encoded = rmp_serde::to_vec_named(configuration).expect("a configuration is plain data");
                self.record(label(Kind::Configuration), &encoded);
            }
        }
    }

    /// Adds an entry that stands elsewhere already.
    pub(super) fn moved(&mut self, mut label: Label, payload: &[u8]) {
        label.flags |= MOVED;
        self.record(label, payload);
    }

    /// Adds a record.
    pub(super) fn record(&mut self, label: Label, payload: &[u8]) {
        let header = Header {
            payload_crc: crc32fast::hash(payload),
            length: u32::try_from(payload.len()).expect("commands are limited to far less than 4 GiB"),
            epoch: self.epoch,
            batch: self.batch,
            kind: label.kind,
            flags: label.flags,
            group: label.group,
            term: label.term,
            index: label.index,
        };
        self.last_record = self.buffer.len();
        let offset = self.offset_of(self.last_record);
        self.buffer.extend_from_slice(&header.encode(offset));
        self.buffer.extend_from_slice(payload);
        self.buffer.resize(self.buffer.len().next_multiple_of(8), 0);
    }

    /// Marks the last record, if there is one, as the end of the batch.
    pub(super) fn finish(self) {
        let offset = self.offset_of(self.last_record);
        if self.buffer.is_empty() {
            return;
        }
        let place = &mut self.buffer[self.last_record..];
        let mut header = Header::decode_trusted(place).expect("the last record was encoded here");
        header.flags |= LAST;
        place[..HEADER_BYTES].copy_from_slice(&header.encode(offset));
    }

    /// The offset in the file of what stands at `at` in the buffer. A batch beyond 4 GiB
    /// is refused before it is written, so what is encoded for it does not matter.
    fn offset_of(&self, at: usize) -> u32 {
        u32::try_from(self.start + at as u64).unwrap_or(u32::MAX)
    }
}
