//! Reads entries from the segments while the owner goes on writing.
//!
//! A read looks up where the entries lie, lets go of the index, and reads the files.
//! It holds the segments meanwhile, so none of them is recycled under it. What it
//! reads is checked: CRC, group and position.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use raft_consensus::{Entries, Entry, GroupId, LogIndex, LogPosition, Payload, Term};

use super::index::{Index, Location, size_bytes};
use super::mend;
use super::record::{HEADER_BYTES, Header, Kind};
use super::segment::Segment;
use crate::log_storage::error::io_error;
use crate::log_storage::{LogError, LogReader};

/// Entries that lie at most this far apart are read at once, with what lies between.
const GAP_BYTES_MAX: u64 = 4 << 10;
/// At most this much is read at once, or a single entry.
const SPAN_BYTES_MAX: u64 = 1 << 20;

/// What the writer and the readers share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    index: Mutex<Index>,
    /// Set by the first failure; nothing works afterwards.
    stopped: AtomicBool,
    /// Whether opening the log again mends what is damaged.
    repair: bool,
}

impl Shared {
    pub(super) fn new(index: Index, repair: bool) -> Self {
        Self { index: Mutex::new(index), stopped: AtomicBool::new(false), repair }
    }

    /// The index. A panic of another holder cannot have left it half changed without stopping the writer,
    /// and readers check what they read.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(super) fn check_running(&self) -> Result<(), LogError> {
        if self.stopped.load(Ordering::Acquire) { Err(LogError::Stopped) } else { Ok(()) }
    }

    /// What was durable in a record of an entry is something else now.
    fn unreadable(&self, segment: &Segment, location: Location) -> LogError {
        let advice = mend::advice_while_running(&self.index(), self.repair);
        let (path, offset) = (segment.path.clone(), u64::from(location.offset));
        LogError::Damaged { path, offset, what: "an entry is not what was written", advice }
    }

    /// Reads one record whole, to write it again elsewhere.
    pub(super) fn read_record(&self, segment: &Segment, location: Location) -> Result<(Header, Bytes), LogError> {
        let mut buffer = vec![0; to_usize(location.record_bytes())];
        let read = segment.file.read_at(&mut buffer, u64::from(location.offset));
        let read = read.map_err(io_error("read", &segment.path))?;
        buffer.truncate(read);
        checked(segment, location, &Bytes::from(buffer)).ok_or_else(|| self.unreadable(segment, location))
    }

    /// Where the entries from `from` to `through` lie, as far as they are there and fit into `bytes_max`.
    fn plan(&self, group: GroupId, from: LogIndex, through: LogIndex, bytes_max: u64) -> Vec<Span> {
        let index = self.index();
        let mut spans: Vec<Span> = Vec::new();
        let Some(group) = index.groups.get(&group) else { return spans };
        if from <= group.shape.base.index {
            return spans;
        }
        let mut bytes = 0_u64;
        for run in group.runs_from(from) {
            let segment = run.segment.as_ref().expect("an open log knows where all its entries lie");
            let skip = usize::try_from(from.since(run.first)).unwrap_or(usize::MAX);
            let mut next = run.first.max(from);
            for location in run.locations.iter().skip(skip) {
                let size = size_bytes(group.shape.configuration_at(next), location.length);
                bytes = bytes.saturating_add(u64::from(size));
                if next > through || (bytes > bytes_max && !spans.is_empty()) {
                    return spans;
                }
                match spans.last_mut() {
                    Some(span) if span.takes(segment, *location) => span.locations.push(*location),
                    _ => spans.push(Span::new(Arc::clone(segment), next, *location)),
                }
                next = next.next();
            }
        }
        spans
    }
}

impl LogReader for Shared {
    fn read(&self, group: GroupId, from: LogIndex, through: LogIndex, bytes_max: u64) -> Result<Entries, LogError> {
        self.check_running()?;
        let mut found = Entries::new();
        for span in self.plan(group, from, through, bytes_max) {
            found.append(span.read(group, self)?);
        }
        Ok(found)
    }
}

/// Consecutive entries that are read at once.
#[derive(Debug)]
struct Span {
    segment: Arc<Segment>,
    first: LogIndex,
    locations: Vec<Location>,
}

impl Span {
    fn new(segment: Arc<Segment>, first: LogIndex, location: Location) -> Self {
        Self { segment, first, locations: vec![location] }
    }

    fn start(&self) -> u64 {
        u64::from(self.locations[0].offset)
    }

    fn end(&self) -> u64 {
        let last = self.locations[self.locations.len() - 1];
        u64::from(last.offset) + last.record_bytes()
    }

    fn takes(&self, segment: &Arc<Segment>, location: Location) -> bool {
        let end = u64::from(location.offset) + location.record_bytes();
        Arc::ptr_eq(segment, &self.segment)
            && u64::from(location.offset) >= self.end()
            && u64::from(location.offset) - self.end() <= GAP_BYTES_MAX
            && end - self.start() <= SPAN_BYTES_MAX
    }

    fn read(&self, group: GroupId, log: &Shared) -> Result<Entries, LogError> {
        let length = usize::try_from(self.end() - self.start()).expect("a segment is smaller than memory");
        let mut buffer = vec![0; length];
        let read = self.segment.file.read_at(&mut buffer, self.start());
        let read = read.map_err(io_error("read", &self.segment.path))?;
        buffer.truncate(read);
        let bytes = Bytes::from(buffer);
        let mut entries = Vec::with_capacity(self.locations.len());
        let mut index = self.first;
        for location in &self.locations {
            let record = bytes.slice(bytes.len().min(to_usize(u64::from(location.offset) - self.start()))..);
            let entry = decode_entry(&self.segment, *location, group, index, &record);
            entries.push(entry.ok_or_else(|| log.unreadable(&self.segment, *location))?);
            index = index.next();
        }
        Ok(Entries::from(entries))
    }
}

/// The entry that stands at the beginning of `record`, if it is the one that is expected there.
fn decode_entry(
    segment: &Segment,
    location: Location,
    group: GroupId,
    index: LogIndex,
    record: &Bytes,
) -> Option<Entry> {
    let (header, payload) = checked(segment, location, record)?;
    if header.group != group.get() || header.index != index.get() {
        return None;
    }
    let payload = match header.kind {
        Kind::Noop => Payload::Noop,
        Kind::Command => Payload::Command(payload),
        Kind::Configuration => Payload::Configuration(rmp_serde::from_slice(&payload).ok()?),
        Kind::Segment
        | Kind::GroupState
        | Kind::HardState
        | Kind::Truncate
        | Kind::Reset
        | Kind::Purge
        | Kind::Barrier
        | Kind::Seal => return None,
    };
    Some(Entry { position: LogPosition::new(Term::new(header.term), index), payload })
}

fn checked(segment: &Segment, location: Location, record: &Bytes) -> Option<(Header, Bytes)> {
    let header = Header::decode(record, location.offset)?;
    let end = HEADER_BYTES + to_usize(u64::from(header.length));
    if header.epoch != segment.number || header.length != location.length || record.len() < end {
        return None;
    }
    let payload = record.slice(HEADER_BYTES..end);
    header.fits(&payload).then_some((header, payload))
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a segment is smaller than memory")
}
