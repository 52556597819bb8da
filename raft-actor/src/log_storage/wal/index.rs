//! Where every entry lies.
//!
//! The index is kept in memory, eight bytes per entry and some more per *run*: the
//! consecutive entries of a group that lie in one segment. It follows the records
//! themselves: what was written is taken in the way it will be when the log is opened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use raft_consensus::{Configuration, DamageId, Entry, GroupId, HardState, Log, LogIndex, LogPosition, NodeId, Term};

use super::record::{self, DAMAGED, Header, Kind, MOVED, VOTED};
use super::segment::Segment;
use super::shape::Shape;

/// A record within its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    /// Offset of its header.
    pub(super) offset: u32,
    /// Length of its payload.
    pub(super) length: u32,
}

impl Location {
    /// Bytes of the record.
    pub(super) const fn record_bytes(self) -> u64 {
        record::record_bytes(self.length)
    }
}

/// Consecutive entries of a group in one segment.
#[derive(Debug)]
pub(super) struct Run {
    /// The segment; `None` while the log is opened, if the entries stood in one that is gone and must turn up again.
    pub(super) segment: Option<Arc<Segment>>,
    /// Index of the first entry.
    pub(super) first: LogIndex,
    /// One per entry, never empty.
    pub(super) locations: VecDeque<Location>,
    /// Bytes of all their records.
    bytes: u64,
}

impl Run {
    fn of_one(segment: Arc<Segment>, first: LogIndex, location: Location) -> Self {
        Self { segment: Some(segment), first, locations: VecDeque::from([location]), bytes: location.record_bytes() }
    }

    fn missing(first: LogIndex, count: usize) -> Self {
        let nowhere = Location { offset: 0, length: 0 };
        Self { segment: None, first, locations: VecDeque::from(vec![nowhere; count]), bytes: 0 }
    }

    /// The index behind its last entry.
    pub(super) fn end(&self) -> LogIndex {
        self.first.plus(self.locations.len() as u64)
    }

    fn is_in(&self, segment: &Segment) -> bool {
        self.segment.as_ref().is_some_and(|own| own.number == segment.number)
    }

    fn push(&mut self, location: Location) {
        self.bytes += location.record_bytes();
        self.locations.push_back(location);
    }

    /// Drops its first entry: in constant time, since moving and purging do it entry by entry.
    fn pop_front(&mut self) {
        let Some(location) = self.locations.pop_front() else { return };
        self.first = self.first.next();
        if self.segment.is_some() {
            self.bytes -= location.record_bytes();
        }
    }

    /// Drops what lies at and above `index`, and returns it.
    fn split_off(&mut self, index: LogIndex) -> Self {
        let keep = usize::try_from(index.since(self.first)).unwrap_or(usize::MAX).min(self.locations.len());
        let mut cut = Self {
            segment: self.segment.clone(),
            first: index.max(self.first),
            locations: self.locations.split_off(keep),
            bytes: 0,
        };
        if cut.segment.is_some() {
            cut.bytes = cut.locations.iter().map(|location| location.record_bytes()).sum();
            self.bytes -= cut.bytes;
        }
        cut
    }
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) shape: Shape,
    /// Ascending, without a gap from the base to the last entry.
    runs: VecDeque<Run>,
}

impl Group {
    /// The runs that touch what lies at or above `from`.
    pub(super) fn runs_from(&self, from: LogIndex) -> impl Iterator<Item = &Run> {
        let start = self.runs.partition_point(|run| run.end() <= from);
        self.runs.range(start..)
    }

    /// The log as the core wants to have it.
    pub(super) fn recover(&self) -> Log {
        let mut log = Log::new(self.shape.base, self.shape.base_configuration.clone());
        for run in &self.runs {
            let mut index = run.first;
            for location in &run.locations {
                let term = self.shape.term_at(index).expect("every entry between base and last has a term");
                let configuration = self.shape.configuration_at(index);
                let size_bytes = size_bytes(configuration, location.length);
                log.push_shape(LogPosition::new(term, index), size_bytes, configuration);
                index = index.next();
            }
        }
        log
    }

    fn append(&mut self, position: LogPosition, segment: &Arc<Segment>, location: Location) {
        match self.runs.back_mut() {
            Some(run) if run.is_in(segment) => run.push(location),
            _ => self.runs.push_back(Run::of_one(Arc::clone(segment), position.index, location)),
        }
    }

    fn truncate_after(&mut self, through: LogIndex) {
        while let Some(run) = self.runs.back_mut() {
            if run.first <= through {
                run.split_off(through.next());
                return;
            }
            self.runs.pop_back();
        }
    }

    /// Cuts off everything above `through`, which lies at the base or above.
    pub(super) fn cut(&mut self, through: LogIndex) {
        self.truncate_after(through);
        self.shape.truncate_after(through).expect("the cut is not below the base");
    }

    /// Leaves nothing, to go on behind `to`.
    pub(super) fn reset(&mut self, to: LogPosition) {
        self.shape.reset(to);
        self.runs.clear();
    }

    fn purge(&mut self, through: LogIndex) {
        while let Some(run) = self.runs.front_mut() {
            if run.end() > through.next() {
                while run.first <= through {
                    run.pop_front();
                }
                return;
            }
            self.runs.pop_front();
        }
    }

    /// Takes note that an entry lies elsewhere now. Moves go upwards through a run, so the common
    /// case takes the first entry of a run and puts it behind the run before.
    fn relocate(&mut self, index: LogIndex, segment: &Arc<Segment>, location: Location) {
        let mut at = self.runs.partition_point(|run| run.end() <= index);
        let run = &mut self.runs[at];
        if run.is_in(segment) {
            let place = usize::try_from(index.since(run.first)).expect("the run holds the index");
            run.bytes = run.bytes + location.record_bytes() - run.locations[place].record_bytes();
            run.locations[place] = location;
            return;
        }
        if run.first < index {
            let rest = run.split_off(index);
            at += 1;
            self.runs.insert(at, rest);
        }
        self.runs[at].pop_front();
        if self.runs[at].locations.is_empty() {
            self.runs.remove(at);
        }
        match at.checked_sub(1).map(|before| &mut self.runs[before]) {
            Some(before) if before.is_in(segment) => before.push(location),
            _ => self.runs.insert(at, Run::of_one(Arc::clone(segment), index, location)),
        }
    }
}

/// What an entry counts for in byte budgets.
pub(super) fn size_bytes(configuration: Option<&Configuration>, length: u32) -> u32 {
    Entry::size_bytes_of(configuration.map_or(length, Configuration::size_bytes))
}

/// What a hard state record says.
///
/// # Errors
/// Why it says nothing.
pub(super) fn hard_state(header: &Header, payload: &[u8]) -> Result<HardState, &'static str> {
    let vote = (header.flags & VOTED != 0).then(|| NodeId::from(header.index));
    let number = || payload.try_into().map_err(|_| "the number of a damage cannot be decoded");
    let number: Option<[u8; 8]> = (header.flags & DAMAGED != 0).then(number).transpose()?;
    let damage = number.map(|number| DamageId(u64::from_le_bytes(number)));
    Ok(HardState { term: Term::new(header.term), vote, damage })
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) groups: BTreeMap<GroupId, Group>,
}

impl Index {
    /// Takes in a record.
    ///
    /// # Errors
    /// Why it cannot stand where it does.
    pub(super) fn apply(
        &mut self,
        segment: &Arc<Segment>,
        offset: u32,
        header: &Header,
        payload: &[u8],
    ) -> Result<(), &'static str> {
        let (term, index) = (Term::new(header.term), LogIndex::new(header.index));
        let position = LogPosition::new(term, index);
        let location = Location { offset, length: header.length };
        if matches!(header.kind, Kind::Segment | Kind::GroupState | Kind::Barrier | Kind::Seal) {
            return Ok(());
        }
        let group = self.groups.entry(header.group.into()).or_default();
        match header.kind {
            Kind::HardState => group.shape.hard_state = hard_state(header, payload)?,
            Kind::Noop | Kind::Command | Kind::Configuration if header.flags & MOVED != 0 => {
                if group.shape.term_at(index) != Some(term) || index <= group.shape.base.index {
                    return Err("an entry is moved that is not in the log");
                }
                group.relocate(index, segment, location);
            }
            Kind::Noop | Kind::Command | Kind::Configuration => {
                let configuration = (header.kind == Kind::Configuration)
                    .then(|| rmp_serde::from_slice(payload))
                    .transpose()
                    .map_err(|_| "a configuration cannot be decoded")?;
                group.shape.append(position, configuration)?;
                group.append(position, segment, location);
            }
            Kind::Truncate => {
                group.shape.truncate_after(index)?;
                group.truncate_after(index);
            }
            Kind::Purge => {
                group.shape.purge(index)?;
                group.purge(index);
            }
            Kind::Reset => group.reset(position),
            Kind::Segment | Kind::GroupState | Kind::Barrier | Kind::Seal => {}
        }
        Ok(())
    }

    /// Takes in what the oldest segment says of a group: its entries stood in segments that are gone,
    /// so those that still count must turn up as moved ones.
    pub(super) fn restore(&mut self, group: GroupId, shape: Shape) -> Result<(), &'static str> {
        let count = usize::try_from(shape.last.since(shape.base.index)).unwrap_or(usize::MAX);
        let runs = (count > 0).then(|| Run::missing(shape.base.index.next(), count)).into_iter().collect();
        if self.groups.insert(group, Group { shape, runs }).is_some() {
            return Err("a group is restated twice");
        }
        Ok(())
    }

    /// Compares what a later segment says of a group with what the segments before said.
    pub(super) fn confirm(&self, group: GroupId, shape: &Shape) -> Result<(), &'static str> {
        match self.groups.get(&group) {
            Some(known) if known.shape == *shape => Ok(()),
            Some(_) | None => Err("a segment begins with another state than the one before ends with"),
        }
    }

    /// A group whose entries did not all turn up, and the first one missing.
    pub(super) fn first_missing(&self) -> Option<(GroupId, LogIndex)> {
        self.groups.iter().find_map(|(id, group)| {
            let missing = group.runs.iter().find(|run| run.segment.is_none())?;
            Some((*id, missing.first))
        })
    }

    /// Cuts the log of each group in front of the first entry that did not turn up.
    pub(super) fn cut_at_missing(&mut self) {
        for group in self.groups.values_mut() {
            if let Some(missing) = group.runs.iter().find(|run| run.segment.is_none()).map(|run| run.first) {
                group.cut(missing.prev());
            }
        }
    }

    /// Bytes of the records of all entries that count.
    pub(super) fn live_bytes(&self) -> u64 {
        self.groups.values().flat_map(|group| &group.runs).map(|run| run.bytes).sum()
    }

    /// The entries in `segment`, group by group, until their records come to `bytes_max`.
    pub(super) fn entries_in(&self, segment: &Segment, bytes_max: u64) -> Vec<Location> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let runs = self.groups.values().flat_map(|group| &group.runs);
        for location in runs.filter(|run| run.is_in(segment)).flat_map(|run| &run.locations) {
            bytes += location.record_bytes();
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(*location);
        }
        found
    }
}
