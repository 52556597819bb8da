//! What is durable of one group.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use raft_actor::consensus::{Configuration, HardState, LogIndex, LogPosition};

use super::format::{Kind, Raw, Restated};

/// What an entry carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PayloadKind {
    /// Nothing.
    Noop,
    /// A command for the state machine.
    Command,
    /// A configuration.
    Configuration,
}

/// A durable entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its term and index.
    pub position: LogPosition,
    /// What it carries.
    pub kind: PayloadKind,
    /// [`payload_hash`] of the bytes it carries.
    pub payload_hash: u64,
    /// The configuration, if it carries one.
    pub configuration: Option<Arc<Configuration>>,
}

/// A number that differs where the bytes of two payloads do, but for a chance of one in 2^32.
pub fn payload_hash(payload: &[u8]) -> u64 {
    (payload.len() as u64) << 32 | u64::from(crc32fast::hash(payload))
}

/// One group of one node, as a restart would find it at least.
#[derive(Debug, Clone, Default)]
pub struct DurableState {
    hard_state: HardState,
    base: LogPosition,
    base_configuration: Arc<Configuration>,
    /// The entries above the base, without a gap.
    slots: VecDeque<Slot>,
    /// The configurations among them.
    configurations: BTreeMap<LogIndex, Arc<Configuration>>,
    changed_from: Option<LogIndex>,
}

/// A place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    /// The entry stood in a segment that is gone, and must turn up again as a moved one.
    Missing(LogPosition),
    /// It stands in this segment.
    Held(u32, Record),
}

impl Slot {
    fn position(&self) -> LogPosition {
        match self {
            Self::Missing(position) => *position,
            Self::Held(_, record) => record.position,
        }
    }
}

impl DurableState {
    /// Term and vote.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The last entry that was purged or is covered by a snapshot.
    pub fn base(&self) -> LogPosition {
        self.base
    }

    /// The last entry, or the base if there is none.
    pub fn last(&self) -> LogPosition {
        self.slots.back().map_or(self.base, Slot::position)
    }

    /// The entry, or the base, at this index.
    pub fn position_at(&self, index: LogIndex) -> Option<LogPosition> {
        if index == self.base.index { Some(self.base) } else { self.slot(index).map(Slot::position) }
    }

    /// Whether exactly this entry is in the log, or is the base. What lies below the base is not known here.
    pub fn contains(&self, position: LogPosition) -> bool {
        self.position_at(position.index) == Some(position)
    }

    /// The entry at this index; not the base.
    pub fn entry(&self, index: LogIndex) -> Option<&Record> {
        match self.slot(index)? {
            Slot::Missing(_) => None,
            Slot::Held(_, record) => Some(record),
        }
    }

    /// All entries above the base, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Record> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Missing(_) => None,
            Slot::Held(_, record) => Some(record),
        })
    }

    /// The latest configuration in the log, or that of the base: empty if only the snapshot knows it.
    pub fn configuration(&self) -> &Configuration {
        self.configurations.last_key_value().map_or(&self.base_configuration, |(_, configuration)| configuration)
    }

    /// The lowest index at which the last following or reading added or removed an entry.
    /// Not for purges: what they remove stays what it was.
    pub fn changed_from(&self) -> Option<LogIndex> {
        self.changed_from
    }

    /// Whether both are the same, however they came to be.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let parts = |state: &'_ Self| (state.hard_state, state.base, Arc::clone(&state.base_configuration));
        parts(self) == parts(other) && self.slots == other.slots && self.configurations == other.configurations
    }

    pub(super) fn forget_changes(&mut self) {
        self.changed_from = None;
    }

    fn note_change(&mut self, index: LogIndex) {
        self.changed_from = Some(self.changed_from.map_or(index, |from| from.min(index)));
    }

    fn place_of(&self, index: LogIndex) -> Option<usize> {
        usize::try_from(index.since(self.base.index).checked_sub(1)?).ok()
    }

    fn slot(&self, index: LogIndex) -> Option<&Slot> {
        self.slots.get(self.place_of(index)?)
    }

    /// The first entry of which no copy was found.
    pub(super) fn missing(&self) -> Option<LogPosition> {
        self.slots.iter().find_map(|slot| match slot {
            Slot::Missing(position) => Some(*position),
            Slot::Held(..) => None,
        })
    }

    /// The first entry that stands in `segment`.
    pub(super) fn first_in(&self, segment: u32) -> Option<LogPosition> {
        self.slots.iter().find_map(|slot| match slot {
            Slot::Held(number, record) if *number == segment => Some(record.position),
            Slot::Held(..) | Slot::Missing(_) => None,
        })
    }

    /// Takes in a record of this group that stands in `segment`.
    pub(super) fn apply(&mut self, raw: &Raw<'_>, segment: u32) -> Result<(), &'static str> {
        match raw.kind {
            Kind::HardState => {
                self.hard_state = raw.hard_state()?;
            }
            Kind::Entry(kind) if raw.is_moved => return self.relocate(&record_of(raw, kind)?, segment),
            Kind::Entry(kind) => return self.append(record_of(raw, kind)?, segment),
            Kind::Truncate => return self.truncate(LogIndex::new(raw.index)),
            Kind::Purge => return self.purge(LogIndex::new(raw.index)),
            Kind::Reset => self.reset(raw.position()),
            Kind::Segment | Kind::GroupState | Kind::Barrier | Kind::Seal => {
                return Err("a record of the segment stands among those of a group");
            }
        }
        Ok(())
    }

    fn append(&mut self, record: Record, segment: u32) -> Result<(), &'static str> {
        let last = self.last();
        let position = record.position;
        if position.index != last.index.next() {
            return Err("an entry does not follow on from the one before");
        }
        // Along a log terms never fall (§5.3).
        if position.term < last.term {
            return Err("an entry has a lower term than the one before");
        }
        if let Some(configuration) = &record.configuration {
            self.configurations.insert(position.index, Arc::clone(configuration));
        }
        self.slots.push_back(Slot::Held(segment, record));
        self.note_change(position.index);
        Ok(())
    }

    /// An entry that was in the log before stands in another segment now, as it was.
    fn relocate(&mut self, record: &Record, segment: u32) -> Result<(), &'static str> {
        let place = self.place_of(record.position.index);
        let slot = place.and_then(|place| self.slots.get_mut(place)).ok_or("an entry is moved that is not there")?;
        let is_same = match slot {
            Slot::Held(_, known) => known == record,
            Slot::Missing(position) => *position == record.position,
        };
        if !is_same || self.configurations.get(&record.position.index) != record.configuration.as_ref() {
            return Err("an entry was moved and is not the same");
        }
        *slot = Slot::Held(segment, record.clone());
        Ok(())
    }

    fn truncate(&mut self, through: LogIndex) -> Result<(), &'static str> {
        if through < self.base.index {
            return Err("entries below the base are truncated");
        }
        let kept = usize::try_from(through.since(self.base.index)).unwrap_or(usize::MAX);
        if kept < self.slots.len() {
            self.slots.truncate(kept);
            self.configurations.split_off(&through.next());
            self.note_change(through.next());
        }
        Ok(())
    }

    fn purge(&mut self, through: LogIndex) -> Result<(), &'static str> {
        if through > self.last().index {
            return Err("entries beyond the end are purged");
        }
        while self.base.index < through {
            let slot = self.slots.pop_front().expect("the purge ends within the log");
            self.base = slot.position();
            if let Some(configuration) = self.configurations.remove(&self.base.index) {
                self.base_configuration = configuration;
            }
        }
        Ok(())
    }

    fn reset(&mut self, to: LogPosition) {
        *self = Self { hard_state: self.hard_state, base: to, changed_from: self.changed_from, ..Self::default() };
        self.note_change(to.index.next());
    }

    /// The state that the oldest segment restates; all entries are still to turn up.
    pub(super) fn restore(restated: Restated) -> Result<Self, &'static str> {
        let Restated { hard_state, base, last, base_configuration, terms, configurations } = restated;
        let mut state = Self { hard_state, base, base_configuration: Arc::new(base_configuration), ..Self::default() };
        let mut ends = terms.iter().skip(1).map(|next| next.index).chain([last.next()]);
        for (first, end) in terms.iter().zip(&mut ends) {
            let mut index = first.index;
            while index < end {
                if index != state.last().index.next() {
                    return Err("the terms of a group leave out an entry");
                }
                state.slots.push_back(Slot::Missing(LogPosition::new(first.term, index)));
                index = index.next();
            }
        }
        if state.last().index != last {
            return Err("the terms of a group do not reach its last entry");
        }
        state.configurations =
            configurations.into_iter().map(|(index, configuration)| (index, Arc::new(configuration))).collect();
        state.note_change(base.index.next());
        Ok(state)
    }

    /// Whether a segment restates exactly this.
    pub(super) fn is_restated_by(&self, restated: &Restated) -> bool {
        let mut terms = restated.terms.iter();
        let mut term = None;
        // The first entry of each term, and no other.
        let same_terms = self.slots.iter().map(Slot::position).all(|position| {
            let is_first = term.replace(position.term) != Some(position.term);
            !is_first || terms.next() == Some(&position)
        });
        let known = self.configurations.iter().map(|(index, configuration)| (index, configuration.as_ref()));
        restated.hard_state == self.hard_state
            && restated.base == self.base
            && restated.last == self.last().index
            && restated.base_configuration == *self.base_configuration
            && same_terms
            && terms.next().is_none()
            && known.eq(&restated.configurations)
    }
}

fn record_of(raw: &Raw<'_>, kind: PayloadKind) -> Result<Record, &'static str> {
    let configuration = match kind {
        PayloadKind::Noop if !raw.payload.is_empty() => return Err("a no-op carries something"),
        PayloadKind::Noop | PayloadKind::Command => None,
        PayloadKind::Configuration => {
            let decoded = rmp_serde::from_slice(raw.payload).map_err(|_| "a configuration cannot be decoded")?;
            Some(Arc::new(decoded))
        }
    };
    Ok(Record { position: raw.position(), kind, payload_hash: payload_hash(raw.payload), configuration })
}
