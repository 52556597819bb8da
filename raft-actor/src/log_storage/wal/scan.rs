//! Walks through the records of one segment, checking each.
//!
//! It reads in pieces, and allocates for a record only what its checked header asks for.

use std::sync::Arc;

use super::record::{self, HEADER_BYTES, Header};
use super::segment::Segment;
use crate::log_storage::LogError;
use crate::log_storage::error::io_error;

/// How much is read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// Reads a segment from front to back.
#[derive(Debug)]
pub(super) struct Scanner {
    segment: Arc<Segment>,
    length: u64,
    window: Vec<u8>,
    window_start: u64,
}

/// Where a walk stopped, and what it had seen by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// Behind the last record that counts.
    pub(super) end: u64,
    /// Where the last batch begins.
    pub(super) batch_start: u64,
    /// Its number within the segment.
    pub(super) batch: u32,
    /// Whether its last record was found.
    pub(super) is_complete: bool,
    /// The last record.
    pub(super) last: Header,
}

impl Tail {
    /// The only batch that the next record can belong to.
    pub(super) const fn next_batch(&self) -> u32 {
        if self.is_complete { self.batch + 1 } else { self.batch }
    }

    /// Behind the record `header` at `end`, which belongs to [`next_batch`](Self::next_batch).
    fn after(&self, header: Header) -> Self {
        Self {
            end: self.end + header.record_bytes(),
            batch_start: if self.is_complete { self.end } else { self.batch_start },
            batch: header.batch,
            is_complete: header.is_last(),
            last: header,
        }
    }
}

impl Scanner {
    pub(super) fn new(segment: &Arc<Segment>) -> Result<Self, LogError> {
        let length = segment.file.length().map_err(io_error("measure", &segment.path))?;
        Ok(Self { segment: Arc::clone(segment), length, window: Vec::new(), window_start: 0 })
    }

    /// Length of the file.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Walks from record to record, hands each to `take`, and stops at `limit` or at the first
    /// place where no record follows on. `None` if not even the first one is valid.
    ///
    /// # Errors
    /// If the file cannot be read, or what `take` returns.
    pub(super) fn walk(
        &mut self,
        limit: u64,
        mut take: impl FnMut(u32, &Header, &[u8]) -> Result<(), LogError>,
    ) -> Result<Option<Tail>, LogError> {
        let mut tail: Option<Tail> = None;
        loop {
            let (offset, batch) = tail.map_or((0, 0), |tail| (tail.end, tail.next_batch()));
            if offset >= limit {
                return Ok(tail);
            }
            let Ok(place) = u32::try_from(offset) else { return Ok(tail) };
            let Some((header, payload)) = self.record(place)? else { return Ok(tail) };
            if header.batch != batch {
                return Ok(tail);
            }
            take(place, &header, payload)?;
            tail = Some(match tail {
                Some(tail) => tail.after(header),
                None => Tail {
                    end: header.record_bytes(),
                    batch_start: 0,
                    batch: header.batch,
                    is_complete: header.is_last(),
                    last: header,
                },
            });
        }
    }

    /// The record at `offset`, if there is a valid one.
    pub(super) fn record(&mut self, place: u32) -> Result<Option<(Header, &[u8])>, LogError> {
        let offset = u64::from(place);
        let epoch = self.segment.number;
        let Some(header) = Header::decode(self.bytes(offset, HEADER_BYTES)?, place) else { return Ok(None) };
        let length = header.length as usize;
        let available = self.length.saturating_sub(offset);
        if header.epoch != epoch || u64::from(header.length) + HEADER_BYTES as u64 > available {
            return Ok(None);
        }
        let record = self.bytes(offset, HEADER_BYTES + length)?;
        let payload = record.get(HEADER_BYTES..).unwrap_or_default();
        Ok(header.fits(payload).then_some((header, payload)))
    }

    /// The first header at or behind `from` that was written to this segment in batch `batch` or later.
    ///
    /// It need not follow on from anything: it shows that all batches before its own were
    /// durable once, since a batch is written only after the sync of the one before.
    pub(super) fn find_batch(&mut self, from: u64, batch: u32) -> Result<Option<u64>, LogError> {
        let epoch = self.segment.number;
        let mut offset = from.next_multiple_of(8);
        while offset + HEADER_BYTES as u64 <= self.length {
            let bytes = self.bytes(offset, WINDOW_BYTES)?;
            let places = bytes.len().saturating_sub(HEADER_BYTES - 1).div_ceil(8);
            if places == 0 {
                break;
            }
            for place in (0..places).map(|place| place * 8) {
                let candidate = &bytes[place..];
                if !record::may_be_header(candidate, epoch) {
                    continue;
                }
                let at = offset + place as u64;
                let header = u32::try_from(at).ok().and_then(|at| Header::decode(candidate, at));
                if header.is_some_and(|header| header.batch >= batch) {
                    return Ok(Some(at));
                }
            }
            offset += places as u64 * 8;
        }
        Ok(None)
    }

    /// `length` bytes at `offset`, or as many as the file has there.
    pub(super) fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8], LogError> {
        let available = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(available);
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + length as u64 > window_end {
            self.window.resize(length.max(WINDOW_BYTES).min(available), 0);
            let read = self.segment.file.read_at(&mut self.window, offset);
            let read = read.map_err(io_error("read", &self.segment.path))?;
            self.window.truncate(read);
            self.window_start = offset;
        }
        let start = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX).min(self.window.len());
        let end = start.saturating_add(length).min(self.window.len());
        Ok(&self.window[start..end])
    }
}
