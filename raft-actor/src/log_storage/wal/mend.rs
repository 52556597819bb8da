//! Makes a log usable again in which something that was durable cannot be read, so that the other members can give back
//! what it has lost. What a member with such a log may do until then is the core's business: see `repair` there.
//!
//! All groups of the log are taken to have lost something, since nobody knows whose record stood where nothing can be read:
//!
//! 1. Term and vote of every group must be known to be the last ones: some record behind the last damaged place
//!    restates them all, and no damage follows. If none does, or if a group has no other voter, the log is refused.
//! 2. The log of each group is cut in front of the first damage, and marked.
//! 3. All of that is written into a fresh segment, which begins a log of its own. Once it has its name, durably, nothing
//!    in the segments before it counts.
//! 4. Those are set aside under other names: the log does not touch them again until it is damaged once more.
//!
//! A crash before the fresh segment has its name leaves the log as it was, damaged; after that, opening the log
//! goes on with step 4.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_consensus::{Configuration, DamageId, GroupId, HardState};

use super::active::{Active, Carried, Link, encode_beginning};
use super::batch::Label;
use super::files::{Files, Survey};
use super::index::{self, Index};
use super::open::{Found, read, read_beginning};
use super::record::{Header, Kind, LAST, MOVED};
use super::scan::Scanner;
use super::segment::{Beginning, Segment};
use super::shape::Shape;
use super::{MANUAL, WalOptions, damaged};
use crate::log_storage::{LogError, TOMBSTONE};

/// Why a log is refused although it may be repaired.
const NO_HARD_STATE: &str = "It cannot be repaired from the other members, since no record behind the damage says which \
     term this node was in and whom it voted for. Restore the directory from a backup taken while the node was stopped, or \
     remove the whole data directory, remove this node from the cluster and add it again: the others bring it up to date";
/// Likewise.
const ALONE: &str = "There is no other voter to repair it from. Restore the directory from a backup taken while the node \
     was stopped. Do not cut or remove single files: what was acknowledged would be lost";

/// What to do about damage that somebody meets while the log is in use.
const AT_THE_NEXT_START: &str = "Start the node again: it gets back from its peers what is lost";

/// What to do about damage that was met while the log was in use. What there is of it stands in `index`.
pub(super) fn advice_while_running(index: &Index, repair: bool) -> &'static str {
    let is_destroyed = |shape: &Shape| shape.hard_state.term == TOMBSTONE.term;
    let mut shapes = index.groups.values().map(|group| &group.shape);
    if !repair {
        MANUAL
    } else if shapes.any(|shape| !is_destroyed(shape) && is_alone(shape.last_configuration())) {
        ALONE
    } else {
        AT_THE_NEXT_START
    }
}

/// Whether a member of a group has nobody who could give back what it has lost.
fn is_alone(last: &Configuration) -> bool {
    last.voter_sets().any(|set| set.len() == 1)
}

/// Sets aside the segments before one that begins a log of its own: a crash has kept a former run from doing so.
pub(super) fn set_rest_aside(files: &Files, survey: &mut Survey) -> Result<(), LogError> {
    for at in (1..survey.segments.len()).rev() {
        let beginning = beginning_of(files, survey.segments[at])?;
        if beginning.is_some_and(|(_, beginning)| beginning.previous_end.is_none()) {
            let aside: Vec<u32> = survey.segments.drain(..at).collect();
            return files.set_aside(&aside);
        }
    }
    Ok(())
}

/// Replaces a damaged log by what is left of it, marked.
///
/// # Errors
/// The damage, with what to do about it, if it cannot be repaired from others; what went wrong otherwise.
pub(super) fn mend(files: &Files, options: &WalOptions, damage: LogError) -> Result<(), LogError> {
    let survey = files.survey()?;
    let Some(last) = survey.segments.last() else { return Err(damage) };
    let words = LastWords::read(files, *last)?;
    let mut index = whole_front(files, &survey.segments)?;
    if words.is_any_alone(&index) {
        return Err(advised(damage, ALONE));
    }
    let Some(hard_states) = words.hard_states else { return Err(advised(damage, NO_HARD_STATE)) };
    let numbers = survey.segments.iter().chain(&survey.spares).chain(&survey.aside);
    let number = numbers.max().copied().unwrap_or_default();
    let number = number.checked_add(1).expect("four thousand million segments outlast any disk");
    // No segment ever had this number, so no damage had it either.
    mark(&mut index, hard_states, DamageId(u64::from(number)));
    let carried = carry(&mut index, options.segment_limit_bytes())?;
    tracing::warn!(%damage, segments = ?survey.segments, "the log is cut in front of a damage; peers have to repair it");
    // What was set aside for an earlier damage has served its time: the disk stays bounded.
    survey.aside.iter().try_for_each(|number| files.remove_aside(*number))?;
    let link = Link { number, previous_end: None, first_batch: 1 };
    Active::begin(files, None, link, &encode_beginning(link, &index), &carried)?;
    files.set_aside(&survey.segments)
}

/// The same damage, with other advice.
fn advised(damage: LogError, advice: &'static str) -> LogError {
    match damage {
        LogError::Damaged { path, offset, what, .. } => LogError::Damaged { path, offset, what, advice },
        other => other,
    }
}

/// What the last segment says last of all groups.
#[derive(Debug, Default)]
struct LastWords {
    /// The hard states of all groups, unless something behind the last record that restated them cannot be read.
    hard_states: Option<BTreeMap<GroupId, HardState>>,
    /// What is being restated, and how many groups are still to come.
    restated: Option<(u64, BTreeMap<GroupId, HardState>)>,
    /// The last configurations that were seen.
    configurations: BTreeMap<GroupId, Configuration>,
}

impl LastWords {
    fn read(files: &Files, number: u32) -> Result<Self, LogError> {
        let mut scanner = Scanner::new(&Arc::new(files.open_segment(number)?))?;
        let mut words = Self::default();
        let mut offset = 0;
        // The batch that the next record has to belong to; `None` behind a damaged place.
        let mut expected = Some(0);
        // No record of this batch or a later one stands behind a torn tail.
        let mut later = 1;
        loop {
            let place = u32::try_from(offset).unwrap_or(u32::MAX);
            let record = scanner.record(place)?;
            if let Some((header, payload)) = record.filter(|(header, _)| expected.is_none_or(|own| own == header.batch))
            {
                words.take(&header, payload);
                offset += header.record_bytes();
                let next = if header.is_last() { header.batch + 1 } else { header.batch };
                (expected, later) = (Some(next), next + 1);
                continue;
            }
            let from = if expected.is_some() { offset } else { offset + 8 };
            // As when a log is opened: what nothing later follows was never acknowledged.
            let Some(found) = scanner.find_batch(from, later)? else { return Ok(words) };
            words.forget();
            (offset, expected) = (found, None);
        }
    }

    /// Whether a group that was not destroyed has no other voter. In front of the damage there is `front`.
    fn is_any_alone(&self, front: &Index) -> bool {
        let in_front = front.groups.iter().map(|(id, group)| (id, group.shape.last_configuration()));
        let mut last: BTreeMap<_, _> = in_front.collect();
        last.extend(&self.configurations);
        let is_destroyed = |group| {
            let hard_state = self.hard_states.as_ref().and_then(|all| all.get(group));
            hard_state.is_some_and(|hard_state| hard_state.term == TOMBSTONE.term)
        };
        last.into_iter().any(|(id, last)| !is_destroyed(id) && is_alone(last))
    }

    /// Something cannot be read, and it may have been anything.
    fn forget(&mut self) {
        (self.hard_states, self.restated) = (None, None);
    }

    fn take(&mut self, header: &Header, payload: &[u8]) {
        let group = header.group.into();
        match header.kind {
            Kind::Segment => {
                let beginning: Option<Beginning> = rmp_serde::from_slice(payload).ok();
                self.restated = beginning.map(|beginning| (beginning.groups, BTreeMap::new()));
            }
            Kind::Barrier if header.index > 0 => self.restated = Some((header.index, BTreeMap::new())),
            Kind::GroupState => match rmp_serde::from_slice::<Shape>(payload) {
                Ok(shape) => {
                    self.configurations.insert(group, shape.last_configuration().clone());
                    self.state(group, shape.hard_state);
                }
                Err(_) => self.forget(),
            },
            Kind::HardState => match index::hard_state(header, payload) {
                Ok(hard_state) => self.state(group, hard_state),
                Err(_) => self.forget(),
            },
            Kind::Configuration => {
                self.configurations.extend(rmp_serde::from_slice(payload).ok().map(|found| (group, found)));
            }
            // The next segment is missing: what it said came later.
            Kind::Seal => self.forget(),
            Kind::Noop | Kind::Command | Kind::Truncate | Kind::Reset | Kind::Purge | Kind::Barrier => {}
        }
        self.restated = match self.restated.take() {
            Some((0, all)) => {
                self.hard_states = Some(all);
                None
            }
            unfinished => unfinished,
        };
    }

    fn state(&mut self, group: GroupId, hard_state: HardState) {
        match (&mut self.restated, &mut self.hard_states) {
            (Some((left, all)), _) => {
                all.insert(group, hard_state);
                *left -= 1;
            }
            (None, Some(all)) => {
                all.insert(group, hard_state);
            }
            (None, None) => {}
        }
    }
}

/// What all groups were in front of the first damage, without the entries that turned up only behind it.
fn whole_front(files: &Files, numbers: &[u32]) -> Result<Index, LogError> {
    let mut index = Index::default();
    let mut next = numbers.first().map(|first| beginning_of(files, *first)).transpose()?.flatten();
    for (at, number) in numbers.iter().enumerate() {
        let Some((segment, beginning)) = next.take() else { break };
        if let Some(following) = numbers.get(at + 1).filter(|following| **following == number + 1) {
            next = beginning_of(files, *following)?;
        }
        let scanner = Scanner::new(&segment)?;
        let mut found = Found { segment, scanner, beginning };
        let end = next.as_ref().and_then(|(_, next)| next.previous_end).map(u64::from);
        // Without a next one all that is there belongs to it: what never counted was never acknowledged either.
        match read(&mut index, &mut found, at == 0, end.unwrap_or(u64::MAX)) {
            Ok(tail) if tail.is_complete && Some(tail.end) == end => {}
            Ok(_) | Err(LogError::Damaged { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    index.cut_at_missing();
    Ok(index)
}

/// A segment and its beginning, if that can be read.
fn beginning_of(files: &Files, number: u32) -> Result<Option<(Arc<Segment>, Beginning)>, LogError> {
    let segment = Arc::new(files.open_segment(number)?);
    let mut scanner = Scanner::new(&segment)?;
    match read_beginning(&segment, &mut scanner) {
        Ok(beginning) => Ok(Some((segment, beginning))),
        Err(LogError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts the last hard states in place, with the mark of this damage.
fn mark(index: &mut Index, hard_states: BTreeMap<GroupId, HardState>, damage: DamageId) {
    index.groups.retain(|group, _| hard_states.contains_key(group));
    for (id, hard_state) in hard_states {
        let group = index.groups.entry(id).or_default();
        if hard_state.term == TOMBSTONE.term {
            group.reset(TOMBSTONE);
            group.shape.hard_state = hard_state;
        } else {
            group.shape.hard_state = HardState { damage: Some(damage), ..hard_state };
        }
    }
}

/// Reads the entries that are kept, as many of each group as fit into `bytes_max` together, and cuts off the others: they
/// come from the leader like those that are lost.
fn carry(index: &mut Index, bytes_max: u64) -> Result<Vec<Carried>, LogError> {
    let mut carried = Vec::new();
    let mut bytes = 0;
    for group in index.groups.values_mut() {
        let mut kept = group.shape.base.index;
        'group: for run in group.runs_from(kept.next()) {
            let Some(segment) = &run.segment else { break };
            let mut scanner = Scanner::new(segment)?;
            for location in &run.locations {
                bytes += location.record_bytes();
                if bytes > bytes_max {
                    break 'group;
                }
                let Some((header, payload)) = scanner.record(location.offset)? else {
                    let place = u64::from(location.offset);
                    return Err(damaged(&segment.path, place, "a record changed while it was read"));
                };
                let Header { kind, flags, group, term, index, .. } = header;
                carried.push((Label { kind, flags: (flags & !LAST) | MOVED, group, term, index }, payload.to_vec()));
                kept = kept.next();
            }
        }
        group.cut(kept);
    }
    Ok(carried)
}
