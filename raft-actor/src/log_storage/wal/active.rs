//! The segment that is written to.

use std::path::Path;
use std::sync::Arc;

use super::batch::{Batch, Label};
use super::files::{Files, Spare};
use super::index::Index;
use super::record::{HEADER_BYTES, Header, Kind, LAST};
use super::segment::{Beginning, FORMAT_VERSION, Segment};
use crate::log_storage::LogError;
use crate::log_storage::disk::DiskFile;
use crate::log_storage::error::io_error;

/// Zeros are written this much ahead of small batches: a sync into blocks that were written
/// before takes much less time than one that makes the file grow.
const ZERO_AHEAD_BYTES: u64 = 1 << 20;
/// Larger batches just make the file grow: for them zeros first would double the work.
const SMALL_BATCH_BYTES: usize = 64 << 10;

/// Zeros, to be written in pieces.
pub(super) static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// The last segment, and where to go on in it.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    /// Length of the file: all of it is written, be it with zeros or what it held before.
    pub(super) length: u64,
    /// Behind the last record.
    pub(super) end: u64,
    /// Number of the segment's first batch within the whole log.
    pub(super) first_batch: u64,
    /// Number of the next batch within the segment.
    pub(super) next_batch: u32,
}

/// How a new segment links to the ones before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The number of the new segment.
    pub(super) number: u32,
    /// Where the one before ends, if there is one.
    pub(super) previous_end: Option<u32>,
    /// The number of its first batch within the whole log.
    pub(super) first_batch: u64,
}

/// A record to be written again as it was: what it says, and its payload.
pub(super) type Carried = (Label, Vec<u8>);

impl Active {
    /// Begins a segment with its encoded beginning, then `carried` as a batch of its own, which is returned
    /// encoded. All of it is durable before the file gets the name under which it counts.
    pub(super) fn begin(
        files: &Files,
        spare: Option<Spare>,
        link: Link,
        beginning: &[u8],
        carried: &[Carried],
    ) -> Result<(Self, Vec<u8>), LogError> {
        let path = files.path_of(link.number);
        let too_large = |_| too_large(&path);
        let end = u64::from(u32::try_from(beginning.len()).map_err(too_large)?);
        let (file, length) = files.prepare_next(spare)?;
        file.write_at(beginning, 0).map_err(io_error("write to", &path))?;
        let segment = Arc::new(Segment { number: link.number, path, file });
        let mut active = Self { segment, length: length.max(end), end, first_batch: link.first_batch, next_batch: 1 };
        let mut buffer = Vec::new();
        if !carried.is_empty() {
            active.encode(&mut buffer, &|batch| {
                carried.iter().for_each(|(label, payload)| batch.record(*label, payload));
            });
            active.write(&buffer, 0)?;
        }
        active.sync()?;
        files.publish_next(link.number)?;
        Ok((active, buffer))
    }

    /// Encodes a batch for the place behind the last one. Leaves the buffer empty if `fill` adds nothing.
    pub(super) fn encode(&self, buffer: &mut Vec<u8>, fill: &dyn Fn(&mut Batch<'_>)) {
        let mut batch = Batch::begin(buffer, self.end, self.segment.number, self.next_batch);
        fill(&mut batch);
        batch.finish();
    }

    /// Whether a batch of this size fits, with room for a seal behind it. The first batch of a segment
    /// may be larger than `limit_bytes`.
    pub(super) fn has_room_for(&self, bytes: usize, limit_bytes: u64) -> bool {
        let end = self.end + bytes as u64 + HEADER_BYTES as u64;
        end <= limit_bytes || (self.next_batch == 1 && end <= u64::from(u32::MAX))
    }

    /// Writes an encoded batch, and zeros ahead of it up to `limit_bytes` if the file has to grow.
    pub(super) fn write(&mut self, batch: &[u8], limit_bytes: u64) -> Result<(), LogError> {
        self.segment.file.write_at(batch, self.end).map_err(io_error("write to", &self.segment.path))?;
        self.end += batch.len() as u64;
        self.next_batch += 1;
        if self.end > self.length {
            self.length = self.end;
            if batch.len() < SMALL_BATCH_BYTES {
                self.extend(ZERO_AHEAD_BYTES, limit_bytes)?;
            }
        }
        Ok(())
    }

    /// Writes zeros behind the end of the file, up to `bytes` and not beyond `limit_bytes`. Returns whether any fitted.
    pub(super) fn extend(&mut self, bytes: u64, limit_bytes: u64) -> Result<bool, LogError> {
        let before = self.length;
        self.length = write_zeros(self.segment.file.as_ref(), &self.segment.path, before, bytes, limit_bytes)?;
        Ok(self.length > before)
    }

    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.segment.file.sync_data().map_err(io_error("sync", &self.segment.path))
    }

    /// How the segment after this one links to it.
    pub(super) fn link_after(&self) -> Link {
        Link {
            number: self.segment.number.checked_add(1).expect("four thousand million segments outlast any disk"),
            previous_end: Some(u32::try_from(self.end).expect("a batch beyond 4 GiB is refused")),
            first_batch: self.first_batch + u64::from(self.next_batch),
        }
    }
}

/// Writes zeros at the end `length` of a file, up to `bytes` and not beyond `limit_bytes`; returns its length then.
pub(super) fn write_zeros(
    file: &dyn DiskFile,
    path: &Path,
    length: u64,
    bytes: u64,
    limit_bytes: u64,
) -> Result<u64, LogError> {
    let end = (length + bytes).min(limit_bytes);
    let mut at = length;
    while at < end {
        let count = usize::try_from(end - at).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_at(&ZEROS[..count], at).map_err(io_error("write to", path))?;
        at += count as u64;
    }
    Ok(at)
}

/// Says, at the end of a segment, that there is a next one: if that is missing, the log is damaged.
pub(super) fn seal(segment: &Segment, end: u32, batch: u32) -> Result<(), LogError> {
    let header = Header {
        payload_crc: 0,
        length: 0,
        epoch: segment.number,
        batch,
        kind: Kind::Seal,
        flags: LAST,
        group: 0,
        term: 0,
        index: u64::from(segment.number) + 1,
    };
    segment.file.write_at(&header.encode(end), u64::from(end)).map_err(io_error("write to", &segment.path))?;
    segment.file.sync_data().map_err(io_error("sync", &segment.path))
}

/// The first batch of a segment: how it links to the one before, and the state of all groups.
pub(super) fn encode_beginning(link: Link, index: &Index) -> Vec<u8> {
    let beginning = Beginning {
        version: FORMAT_VERSION,
        first_batch: link.first_batch,
        previous_end: link.previous_end,
        groups: index.groups.len() as u64,
    };
    let encoded = rmp_serde::to_vec_named(&beginning).expect("numbers can be encoded");
    let mut buffer = Vec::new();
    let mut batch = Batch::begin(&mut buffer, 0, link.number, 0);
    batch.record(Label::of_segment(Kind::Segment, u64::from(link.number)), &encoded);
    for (id, group) in &index.groups {
        let encoded = rmp_serde::to_vec_named(&group.shape).expect("a shape is plain data");
        let label = Label { group: id.get(), ..Label::of_segment(Kind::GroupState, 0) };
        batch.record(label, &encoded);
    }
    batch.finish();
    buffer
}

/// A batch that no segment can hold.
pub(super) fn too_large(path: &Path) -> LogError {
    let source = std::io::Error::new(std::io::ErrorKind::FileTooLarge, "a batch of 4 GiB or more");
    LogError::Io { action: "write to", path: path.to_owned(), source }
}
