//! One file of the log.
//!
//! A segment has a number that is never used again. It is the file's name and the
//! epoch in each of its records, so that what a recycled file held before, or a
//! file under another's name, is told apart. A file gets its name only after its
//! first batch, which restates all groups, is durable: a named segment without a
//! valid beginning is damaged.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::log_storage::disk::DiskFile;

/// Version of the format of all files of the log.
pub(super) const FORMAT_VERSION: u32 = 1;

/// An open segment, shared by the writer, the index and the readers. One that nobody but the writer holds can be
/// recycled.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn DiskFile>,
}

/// The payload of the record that begins a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beginning {
    /// Format version of this segment.
    pub(super) version: u32,
    /// Number of its first batch, counted from the beginning of the log.
    pub(super) first_batch: u64,
    /// Where the segment before this one ends; what stands behind counts no more. `None` for the first of a log: if
    /// there are segments before it, nothing in them counts.
    pub(super) previous_end: Option<u32>,
    /// How many group states follow.
    pub(super) groups: u64,
}

const PREFIX: &str = "segment-";
const SPARE_PREFIX: &str = "spare-";
const ASIDE_PREFIX: &str = "damaged-";
const SUFFIX: &str = ".wal";

/// The name of a segment that is being prepared.
pub(super) const NEXT_NAME: &str = "next.tmp";
/// The name of the file that is locked while the log is open.
pub(super) const LOCK_NAME: &str = "lock";

/// What a file of the directory is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileName {
    /// The segment with this number.
    Segment(u32),
    /// A file to be used again; this was its last number.
    Spare(u32),
    /// What was the segment with this number before the log was mended.
    Aside(u32),
    /// Something unfinished.
    Temporary,
    /// Nothing of the log.
    Foreign,
}

impl FileName {
    pub(super) fn parse(name: &str) -> Self {
        if Path::new(name).extension().is_some_and(|extension| extension == "tmp") {
            return Self::Temporary;
        }
        // Only the exact name counts: `segment-1.wal` is none of ours.
        let number = |prefix| -> Option<u32> { name.strip_prefix(prefix)?.strip_suffix(SUFFIX)?.parse().ok() };
        if let Some(number) = number(PREFIX).filter(|number| segment_name(*number) == name) {
            return Self::Segment(number);
        }
        if let Some(number) = number(ASIDE_PREFIX).filter(|number| aside_name(*number) == name) {
            return Self::Aside(number);
        }
        number(SPARE_PREFIX).filter(|number| spare_name(*number) == name).map_or(Self::Foreign, Self::Spare)
    }
}

pub(super) fn segment_name(number: u32) -> String {
    format!("{PREFIX}{number:010}{SUFFIX}")
}

pub(super) fn spare_name(number: u32) -> String {
    format!("{SPARE_PREFIX}{number:010}{SUFFIX}")
}

pub(super) fn aside_name(number: u32) -> String {
    format!("{ASIDE_PREFIX}{number:010}{SUFFIX}")
}
