//! Opens a log: reads all of it, tells a torn tail from damage, and makes durable what it read.
//!
//! A batch is written only after the sync of the one before. So of the last batch any
//! part may be missing: a torn tail, which was never acknowledged, and is cut. If
//! anything is unreadable and yet a record of a *later* batch is there, what is
//! unreadable was durable once: that is damage, and the log is mended or refused.
//!
//! After a crash of the process the page cache still returns what was never synced, and
//! after a failed sync it returns what the disk does not hold. Only the last batch can
//! be such. So unless that is a mere barrier, it is written again, into a fresh segment
//! that begins where it began; the old copy counts no more. Nothing that was read is
//! told to anybody before that is durable.

use std::collections::VecDeque;
use std::sync::Arc;

use raft_consensus::GroupId;
use serde::Deserialize;

use super::WalOptions;
use super::active::{Active, Carried, Link, encode_beginning, seal};
use super::batch::Label;
use super::files::{Files, Spare, Survey};
use super::index::Index;
use super::record::{HEADER_BYTES, Header, Kind, LAST};
use super::scan::{Scanner, Tail};
use super::segment::{Beginning, FORMAT_VERSION, Segment};
use super::shape::Shape;
use super::{damaged, mend};
use crate::log_storage::LogError;
use crate::log_storage::error::io_error;

/// A log as it was found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) index: Index,
    /// The segments before the active one, oldest first, and where each ends.
    pub(super) older: VecDeque<(Arc<Segment>, u64)>,
    pub(super) active: Active,
    pub(super) spare: Option<Spare>,
    /// Whether the last batch is a barrier.
    pub(super) is_settled: bool,
}

/// A segment on its way to being read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) segment: Arc<Segment>,
    pub(super) scanner: Scanner,
    pub(super) beginning: Beginning,
}

pub(super) fn open(files: &Files, options: &WalOptions) -> Result<Opened, LogError> {
    match open_whole(files, options) {
        Err(damage @ LogError::Damaged { .. }) if options.repair => {
            mend::mend(files, options, damage)?;
            open_whole(files, options)
        }
        other => other,
    }
}

/// Opens a log that is whole.
fn open_whole(files: &Files, options: &WalOptions) -> Result<Opened, LogError> {
    let mut survey = files.survey()?;
    mend::set_rest_aside(files, &mut survey)?;
    let spare = take_spare(files, &survey)?;
    if survey.segments.is_empty() {
        return begin(files, options, &survey, spare);
    }
    let mut found = find_segments(files, &survey.segments)?;
    let mut last = found.pop().expect("there is at least one segment");
    let mut index = Index::default();
    let mut older = VecDeque::new();
    for at in 0..found.len() {
        let next = found.get(at + 1).unwrap_or(&last).beginning.clone();
        let end = read_older(&mut index, &mut found[at], at == 0, &next)?;
        older.push_back((Arc::clone(&found[at].segment), end));
    }
    let tail = find_tail(files, &mut last)?;
    let is_oldest = older.is_empty();
    if let Some(active) = continue_in(&mut last, &tail)? {
        read(&mut index, &mut last, is_oldest, tail.end)?;
        check_complete(files, &index)?;
        return Ok(Opened { index, older, active, spare, is_settled: true });
    }
    let is_settled = tail.batch == 0;
    let start = if is_settled { tail.end } else { tail.batch_start };
    read(&mut index, &mut last, is_oldest, start)?;
    let active = carry_over(files, spare, &mut index, &mut last, start, &tail)?;
    check_complete(files, &index)?;
    older.push_back((last.segment, start));
    Ok(Opened { index, older, active, spare: None, is_settled })
}

/// Begins a log where there is none.
fn begin(files: &Files, options: &WalOptions, survey: &Survey, spare: Option<Spare>) -> Result<Opened, LogError> {
    if !options.create {
        return Err(damaged(files.directory(), 0, "the log that was here is gone"));
    }
    let number = survey.spares.last().map_or(1, |spare| spare.saturating_add(1));
    let index = Index::default();
    let link = Link { number, previous_end: None, first_batch: 1 };
    let (active, _) = Active::begin(files, spare, link, &encode_beginning(link, &index), &[])?;
    Ok(Opened { index, older: VecDeque::new(), active, spare: None, is_settled: true })
}

/// Keeps one spare, if there is any, and removes the others.
fn take_spare(files: &Files, survey: &Survey) -> Result<Option<Spare>, LogError> {
    let Some((kept, others)) = survey.spares.split_last() else { return Ok(None) };
    others.iter().try_for_each(|number| files.remove_spare(*number))?;
    files.open_spare(*kept).map(Some)
}

fn find_segments(files: &Files, numbers: &[u32]) -> Result<Vec<Found>, LogError> {
    for pair in numbers.windows(2) {
        if pair[0] + 1 != pair[1] {
            return Err(damaged(&files.path_of(pair[0] + 1), 0, "the segment is missing"));
        }
    }
    numbers
        .iter()
        .map(|number| {
            let segment = Arc::new(files.open_segment(*number)?);
            let mut scanner = Scanner::new(&segment)?;
            let beginning = read_beginning(&segment, &mut scanner)?;
            Ok(Found { segment, scanner, beginning })
        })
        .collect()
}

pub(super) fn read_beginning(segment: &Segment, scanner: &mut Scanner) -> Result<Beginning, LogError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let epoch = Header::decode(scanner.bytes(0, HEADER_BYTES)?, 0).map(|header| header.epoch);
    let Some((header, payload)) = scanner.record(0)? else {
        let what = match epoch {
            Some(other) if other != segment.number => "the segment carries another number: it was renamed or copied",
            Some(_) | None => "the segment does not begin as one",
        };
        return Err(damaged(&segment.path, 0, what));
    };
    let undecodable = |_| damaged(&segment.path, 0, "the beginning of the segment cannot be decoded");
    if header.kind != Kind::Segment {
        return Err(damaged(&segment.path, 0, "the segment does not begin as one"));
    }
    let version = rmp_serde::from_slice::<Versioned>(payload).map_err(undecodable)?.version;
    if version != FORMAT_VERSION {
        let path = segment.path.clone();
        return Err(LogError::Version { path, found: version, supported: FORMAT_VERSION });
    }
    rmp_serde::from_slice(payload).map_err(undecodable)
}

/// Reads a segment that has a next one: all of it was durable before that one began. Returns where it ends.
fn read_older(index: &mut Index, found: &mut Found, is_oldest: bool, next: &Beginning) -> Result<u64, LogError> {
    let path = found.segment.path.clone();
    let end = next.previous_end.ok_or_else(|| damaged(&path, 0, "the segment after it begins a log of its own"))?;
    let tail = read(index, found, is_oldest, u64::from(end))?;
    if tail.end != u64::from(end) || !tail.is_complete {
        return Err(damaged(&path, tail.end, "a record of an earlier batch cannot be read"));
    }
    if found.beginning.first_batch + u64::from(tail.next_batch()) != next.first_batch {
        return Err(damaged(&path, tail.end, "batches are missing behind its end"));
    }
    // A crash between the beginning of the next segment and the seal of this one.
    if !matches!(found.scanner.record(end)?, Some((header, _)) if header.kind == Kind::Seal) {
        seal(&found.segment, end, tail.next_batch())?;
    }
    Ok(u64::from(end))
}

/// Takes in the records of a segment up to `limit`.
pub(super) fn read(index: &mut Index, found: &mut Found, is_oldest: bool, limit: u64) -> Result<Tail, LogError> {
    let segment = Arc::clone(&found.segment);
    let mut groups = 0;
    let tail = found.scanner.walk(limit, |offset, header, payload| {
        let taken = if header.kind == Kind::GroupState {
            groups += 1;
            restate(index, header.group.into(), payload, is_oldest)
        } else {
            index.apply(&segment, offset, header, payload)
        };
        taken.map_err(|what| damaged(&segment.path, u64::from(offset), what))
    })?;
    // The whole beginning was durable before the segment got its name.
    let tail = tail.ok_or_else(|| damaged(&segment.path, 0, "the segment does not begin as one"))?;
    if groups != found.beginning.groups || (tail.batch == 0 && !tail.is_complete) {
        return Err(damaged(&segment.path, tail.end, "the beginning of the segment cannot be read"));
    }
    Ok(tail)
}

fn restate(index: &mut Index, group: GroupId, payload: &[u8], is_oldest: bool) -> Result<(), &'static str> {
    let shape: Shape = rmp_serde::from_slice(payload).map_err(|_| "the state of a group cannot be decoded")?;
    if is_oldest { index.restore(group, shape) } else { index.confirm(group, &shape) }
}

/// Finds the end of the last segment, and whether what is behind it is damage.
fn find_tail(files: &Files, last: &mut Found) -> Result<Tail, LogError> {
    let path = &last.segment.path;
    let tail = last.scanner.walk(u64::MAX, |_, _, _| Ok(()))?;
    let tail = tail.ok_or_else(|| damaged(path, 0, "the segment does not begin as one"))?;
    if tail.batch == 0 && !tail.is_complete {
        return Err(damaged(path, tail.end, "the beginning of the segment cannot be read"));
    }
    if tail.last.kind == Kind::Seal {
        return Err(damaged(&files.path_of(last.segment.number.saturating_add(1)), 0, "the segment is missing"));
    }
    if last.scanner.find_batch(tail.end, tail.next_batch() + 1)?.is_some() {
        return Err(damaged(path, tail.end, "a record of an earlier batch cannot be read"));
    }
    Ok(tail)
}

/// The last segment as the active one, if its last batch is a barrier or its beginning and nothing of another
/// batch is left behind that. A barrier may not be durable: it is written again. So is the room for the header of the
/// next record, with zeros: what is left there of one that was cut short could be completed by zeros that follow later.
fn continue_in(last: &mut Found, tail: &Tail) -> Result<Option<Active>, LogError> {
    let is_barrier = tail.last.kind == Kind::Barrier && tail.batch_start + HEADER_BYTES as u64 == tail.end;
    let is_clean = tail.is_complete && (is_barrier || tail.batch == 0);
    if !is_clean || last.scanner.find_batch(tail.end, 0)?.is_some() {
        return Ok(None);
    }
    let segment = Arc::clone(&last.segment);
    let left = last.scanner.length().saturating_sub(tail.end).min(HEADER_BYTES as u64) as usize;
    let is_left = last.scanner.bytes(tail.end, left)?.iter().any(|byte| *byte != 0);
    if is_barrier || is_left {
        let start = if is_barrier { tail.batch_start } else { tail.end };
        let barrier = usize::try_from(tail.end - start).expect("a barrier is small");
        let mut bytes = last.scanner.bytes(start, barrier)?.to_vec();
        bytes.resize(barrier + left, 0);
        segment.file.write_at(&bytes, start).map_err(io_error("write to", &segment.path))?;
        segment.file.sync_data().map_err(io_error("sync", &segment.path))?;
    }
    Ok(Some(Active {
        segment,
        length: last.scanner.length(),
        end: tail.end,
        first_batch: last.beginning.first_batch,
        next_batch: tail.next_batch(),
    }))
}

/// Goes on in a fresh segment that begins at `start` of the last one, with all that follows there.
fn carry_over(
    files: &Files,
    spare: Option<Spare>,
    index: &mut Index,
    last: &mut Found,
    start: u64,
    tail: &Tail,
) -> Result<Active, LogError> {
    let mut carried: Vec<Carried> = Vec::new();
    let mut offset = start;
    while offset < tail.end {
        let place = u32::try_from(offset).expect("the walk came by here");
        let record = last.scanner.record(place)?;
        let (header, payload) =
            record.ok_or_else(|| damaged(&last.segment.path, offset, "a record changed while it was read"))?;
        let Header { kind, flags, group, term, index, .. } = header;
        carried.push((Label { kind, flags: flags & !LAST, group, term, index }, payload.to_vec()));
        offset += header.record_bytes();
    }
    let batches = if start == tail.end { tail.next_batch() } else { tail.batch };
    let previous_end = u32::try_from(start).expect("the walk came by here");
    let link = Link {
        number: last.segment.number.checked_add(1).expect("four thousand million segments outlast any disk"),
        previous_end: Some(previous_end),
        first_batch: last.beginning.first_batch + u64::from(batches),
    };
    let (active, buffer) = Active::begin(files, spare, link, &encode_beginning(link, index), &carried)?;
    let first = active.end - buffer.len() as u64;
    super::take_in(index, &active.segment, first, &buffer)
        .map_err(|what| damaged(&active.segment.path, first, what))?;
    // Overwrites the old copy of what was carried over.
    seal(&last.segment, previous_end, batches)?;
    Ok(active)
}

/// Every entry that counts must have turned up.
fn check_complete(files: &Files, index: &Index) -> Result<(), LogError> {
    match index.first_missing() {
        None => Ok(()),
        Some(_) => Err(damaged(files.directory(), 0, "entries are missing: the oldest segment was removed")),
    }
}
