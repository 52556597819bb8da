//! What is durable on a simulated disk, read by somebody who never met the log that wrote it.
//!
//! A checker that asks the log what is durable believes the log. This reader was written from `docs/LOG.md` alone and
//! shares no code with the log: where the two disagree, one of them does not do what the document says. It reads what
//! a crash of the machine that keeps nothing would leave, and follows it batch by batch, at the cost of the batch.
//!
//! | file | what it is about |
//! |---|---|
//! | `format` | bytes and records |
//! | `segment` | one file, and how it links to the one before |
//! | `snapshots` | the snapshots beside the log, written from `docs/SNAPSHOTS.md` |
//! | `state` | one group: what its records come to |

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_actor::consensus::GroupId;
use raft_actor::log_storage::sim_disk::SimDisk;

mod format;
mod segment;
mod snapshots;
mod state;
#[cfg(test)]
mod tests;

pub use self::segment::{RecordPlace, RecordSubject};
pub use self::snapshots::{DurableSnapshot, SnapshotReader};
pub use self::state::{DurableState, PayloadKind, Record, payload_hash};

use self::segment::{Fault, Groups, Segment, number_of};

/// The durable bytes are not what `docs/LOG.md` or `docs/SNAPSHOTS.md` promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}, offset {offset}: {what}", path = path.display())]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

fn damage(path: &Path, (offset, what): Fault) -> Damage {
    Damage { path: path.to_owned(), offset: offset as u64, what }
}

/// Follows the durable bytes of one node's log.
///
/// A batch counts when it was synced; after a crash of the machine also the first records of the last one, as far as
/// they reached the disk.
#[derive(Debug, Clone)]
pub struct DurableReader {
    disk: SimDisk,
    directory: PathBuf,
    /// The version of the disk that was read.
    version: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    groups: Groups,
    nothing: DurableState,
}

impl DurableReader {
    /// A reader of the log in `directory`, which need not be there yet. It has read nothing.
    pub fn new(disk: SimDisk, directory: impl Into<PathBuf>) -> Self {
        Self {
            disk,
            directory: directory.into(),
            version: 0,
            segments: VecDeque::new(),
            groups: Groups::new(),
            nothing: DurableState::default(),
        }
    }

    /// The disk that it reads.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// What is durable of a group, as of the last time that something was read.
    pub fn state(&self, group: GroupId) -> &DurableState {
        self.groups.get(&group).unwrap_or(&self.nothing)
    }

    /// The groups of which anything is durable, and what.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &DurableState)> {
        self.groups.iter().map(|(id, state)| (*id, state))
    }

    /// Takes in what became durable since the last time. Returns whether anything did.
    ///
    /// # Errors
    /// If the new bytes are not what a log may write there. What was read before is not looked at again. After an
    /// error only reading anew makes sense.
    pub fn follow(&mut self) -> Result<bool, Damage> {
        let synced = self.disk.synced_since(self.version);
        if synced.version == self.version {
            return Ok(false);
        }
        if synced.emptied {
            self.reread()?;
            return Ok(true);
        }
        self.version = synced.version;
        self.groups.values_mut().for_each(DurableState::forget_changes);
        if synced.names {
            let found = self.list();
            if !self.follow_segments(&found)? {
                self.reread()?;
            }
            return Ok(true);
        }
        let Some(active) = self.segments.back_mut() else { return Ok(false) };
        if !synced.files.iter().any(|file| **file == *active.path) {
            return Ok(false);
        }
        let before = active.end;
        self.read_on()?;
        Ok(self.segments.back().is_some_and(|active| active.end > before))
    }

    /// Reads everything from the beginning: after a crash, or to see whether it can still be read.
    ///
    /// # Errors
    /// If anything that was durable once cannot be read.
    pub fn reread(&mut self) -> Result<(), Damage> {
        self.version = self.disk.version();
        self.groups.clear();
        self.segments.clear();
        let mut found = self.list();
        self.skip_what_was_damaged(&mut found);
        if !found.is_empty() && !self.add_segments(&mut found)? {
            return Err(self.broken_link(found.front().expect("the segment that does not follow on is still there")));
        }
        if let Some(last) = self.segments.back() {
            let checked = self.disk.with_durable(&last.path, |bytes| last.check_last(bytes));
            checked.unwrap_or(Ok(())).map_err(|fault| damage(&last.path, fault))?;
        }
        match self.groups.values().find_map(DurableState::missing) {
            None => Ok(()),
            Some(_) => Err(damage(&self.directory, (0, "entries are missing that the oldest segment counts on"))),
        }
    }

    /// Follows, then reads everything anew, and compares.
    ///
    /// # Errors
    /// If what is durable cannot be read, or is not what following it came to.
    pub fn check(&mut self) -> Result<(), Damage> {
        self.follow()?;
        let mut anew = Self::new(self.disk.clone(), &self.directory);
        anew.reread()?;
        let is_same = self.groups.len() == anew.groups.len()
            && self
                .groups
                .iter()
                .zip(&anew.groups)
                .all(|(ours, theirs)| ours.0 == theirs.0 && ours.1.is_same(theirs.1));
        if is_same { Ok(()) } else { Err(damage(&self.directory, (0, "what is durable changed without a sync"))) }
    }

    /// Where the durable hard states and entries stand that lie in batches before the last one. If one of these is
    /// damaged, it is certain that it was durable once.
    pub fn earlier_records(&self) -> Vec<RecordPlace> {
        self.records(|is_last| !is_last)
    }

    /// Where the hard states and entries of the last durable batch stand. Damage there looks like a torn tail.
    pub fn last_batch_records(&self) -> Vec<RecordPlace> {
        self.records(|is_last| is_last)
    }

    fn records(&self, chosen: impl Fn(bool) -> bool) -> Vec<RecordPlace> {
        let mut found = Vec::new();
        let last = self.segments.back().map(|segment| (segment.number, segment.batch));
        for segment in &self.segments {
            let is_chosen = |batch| chosen(Some((segment.number, batch)) == last);
            self.disk.with_durable(&segment.path, |bytes| segment.places(bytes, is_chosen, &mut found));
        }
        found
    }

    /// The durable segments, oldest first.
    fn list(&self) -> VecDeque<PathBuf> {
        // Their names have ten digits, so that their order is that of the numbers.
        let mut found = self.disk.files();
        found.retain(|path| path.parent() == Some(&self.directory) && number_of(path).is_some());
        found.into()
    }

    /// A segment that begins a log of its own: nothing in those before it counts.
    fn skip_what_was_damaged(&self, found: &mut VecDeque<PathBuf>) {
        let begins = |path: &PathBuf| {
            let link = self.disk.with_durable(path, |bytes| segment::link(path, bytes));
            matches!(link, Some(Ok(link)) if link.previous_end.is_none())
        };
        if let Some(at) = found.iter().rposition(begins) {
            found.drain(..at);
        }
    }

    /// Follows a change of names. `false` if the log does not go on where it was read to the end: it was opened again,
    /// and its last batch was written once more in a fresh segment.
    fn follow_segments(&mut self, found: &VecDeque<PathBuf>) -> Result<bool, Damage> {
        let oldest = found.front();
        let retired =
            self.segments.iter().take_while(|segment| oldest.is_none_or(|oldest| **oldest != *segment.path)).count();
        let kept = self.segments.len() - retired;
        let are_there = self.segments.iter().skip(retired).map(|segment| &*segment.path);
        if kept == 0 || !are_there.eq(found.iter().take(kept).map(PathBuf::as_path)) {
            return Ok(false);
        }
        let mut new = found.iter().skip(kept).cloned().collect();
        if !self.add_segments(&mut new)? {
            return Ok(false);
        }
        for retired in self.segments.drain(..retired) {
            if self.groups.values().any(|group| group.first_in(retired.number).is_some()) {
                return Err(damage(&retired.path, (0, "a segment went with entries that count")));
            }
        }
        Ok(true)
    }

    /// Reads on to the end of the known segments and through `new` ones, which it takes from there.
    /// `false` if one does not go on where the one before ends.
    fn add_segments(&mut self, new: &mut VecDeque<PathBuf>) -> Result<bool, Damage> {
        loop {
            let Some(path) = new.front() else {
                self.read_on()?;
                return Ok(true);
            };
            if !self.read_up_to(path)? {
                return Ok(false);
            }
            let path = new.pop_front().expect("it was just looked at");
            let (groups, is_oldest) = (&mut self.groups, self.segments.is_empty());
            let begun = self.disk.with_durable(&path, |bytes| Segment::begin(&path, bytes, groups, is_oldest));
            let begun = begun.unwrap_or(Err((0, "the segment vanished while it was read")));
            self.segments.push_back(begun.map_err(|fault| damage(&path, fault))?);
        }
    }

    /// Why the segment at `next` does not follow on.
    fn broken_link(&self, next: &Path) -> Damage {
        let follows = |last: &&Segment| number_of(next) == Some(last.number + 1);
        match self.segments.back().filter(follows) {
            // All of it was durable before the next one began.
            Some(last) => damage(&last.path, (last.end, "a record of an earlier batch cannot be read")),
            None => damage(next, (0, "the segment before is missing")),
        }
    }

    /// Reads the last known segment up to where the one at `next` begins. `false` if it does not end there.
    fn read_up_to(&mut self, next: &Path) -> Result<bool, Damage> {
        let link = self.disk.with_durable(next, |bytes| segment::link(next, bytes));
        let link = link.unwrap_or(Err((0, "the segment vanished while it was read")));
        let link = link.map_err(|fault| damage(next, fault))?;
        let Some(last) = self.segments.back_mut() else { return Ok(true) };
        let limit = link.previous_end.map_or(0, |end| end as usize);
        let (path, groups) = (Arc::clone(&last.path), &mut self.groups);
        let read = self.disk.with_durable(&path, |bytes| last.read(bytes, limit, groups));
        read.unwrap_or(Ok(())).map_err(|fault| damage(&path, fault))?;
        Ok(number_of(next) == Some(last.number + 1) && last.leads_to(&link))
    }

    /// Reads the last known segment as far as there are records.
    fn read_on(&mut self) -> Result<(), Damage> {
        let Some(last) = self.segments.back_mut() else { return Ok(()) };
        let (path, groups) = (Arc::clone(&last.path), &mut self.groups);
        let read = self.disk.with_durable(&path, |bytes| last.read(bytes, usize::MAX, groups));
        read.unwrap_or(Ok(())).map_err(|fault| damage(&path, fault))
    }
}
