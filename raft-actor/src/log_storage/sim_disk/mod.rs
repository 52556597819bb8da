//! The disk of one machine, in memory, for simulations and tests.
//!
//! It behaves as a disk may on its worst day and still be a disk. What is written is in the page cache, which survives
//! the end of a process and not that of the machine: a crash of the machine loses any subset of the 512-byte sectors
//! that were not synced, and keeps the first few of the changes of names that were not. A sync that fails leaves pages
//! that look clean and are not on the disk. It can be full, unable to read, and flip bits. All chance comes from a
//! seed.
//!
//! ```
//! use raft_actor::log_storage::sim_disk::SimDisk;
//! use raft_actor::log_storage::{GroupWrite, LogStorage, Wal, WalOptions};
//! use raft_actor::consensus::{HardState, Term};
//!
//! # fn main() -> Result<(), raft_actor::log_storage::LogError> {
//! let disk = SimDisk::new(7);
//! let mut wal = Wal::open_on(disk.process(), "/wal", WalOptions { segment_bytes: 64 << 10, ..WalOptions::default() })?;
//! let vote = |term| {
//!     let hard_state = HardState { term: Term::new(term), vote: Some(2.into()), damage: None };
//!     [GroupWrite { group: 1.into(), hard_state: Some(hard_state), log: None }]
//! };
//! wal.write(&vote(3))?;
//! wal.sync()?;
//! disk.fail_next_sync();
//! wal.write(&vote(4))?;
//! assert!(wal.sync().is_err());
//! disk.crash_machine();
//! // Whatever a dead process still does reaches nothing.
//! assert!(wal.write(&vote(5)).is_err());
//! let mut wal = Wal::open_on(disk.process(), "/wal", WalOptions { create: false, ..WalOptions::default() })?;
//! assert_eq!(wal.recover(1.into())?.hard_state.term, Term::new(3));
//! # Ok(())
//! # }
//! ```
//!
//! | file | what it is about |
//! |---|---|
//! | `pages` | one file: page cache and disk |
//! | `names` | directories |
//! | `process` | the [`Disk`] that one process sees |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::names::{FileId, Names};
use self::pages::Pages;
use self::process::Process;
use super::disk::Disk;

mod names;
mod pages;
mod process;
#[cfg(test)]
mod tests;

/// The disk of one machine. Clones are the same disk; it outlives processes and crashes.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct State {
    rng: ChaCha8Rng,
    takes_no_time: bool,
    /// The process that may use the disk; all others are dead.
    process: u64,
    died_of_order: bool,
    names: Names,
    files: BTreeMap<FileId, File>,
    last_file: FileId,
    locks: BTreeSet<PathBuf>,
    orders: Orders,
    /// Bytes that can yet be written, if that is limited.
    room: Option<u64>,
    happened: Happened,
    /// Counts the changes of what is durable.
    version: u64,
    /// The version at which names became durable last.
    names_version: u64,
    /// The version at which the disk was emptied last.
    emptied_version: u64,
}

#[derive(Clone, Default)]
struct File {
    pages: Pages,
    /// How many handles the process has.
    opened: u32,
    /// The version at which something of it became durable last.
    version: u64,
}

/// Faults that are still to come.
#[derive(Debug, Clone, Default)]
struct Orders {
    changes_before_death: Option<u32>,
    syncs_before_failure: Option<u32>,
    fails_next_read: bool,
}

/// What a crash of the machine leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// The n-th sector if bit n (modulo 64) is set, and of n changes of names the first (number modulo n + 1).
    Bits(u64),
}

/// What a crash of the machine did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// Sectors that are now something else than what was written.
    pub sectors_lost: u64,
    /// Sectors that were not synced and reached the disk all the same.
    pub sectors_kept: u64,
    /// Files created, renamed or removed in vain.
    pub names_lost: u64,
    /// Files created, renamed or removed without a sync of the directory that stay so all the same.
    pub names_kept: u64,
}

/// The faults that really happened: those on order are not counted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Happened {
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Reads that failed.
    pub failed_reads: u64,
    /// Writes that found no room, or not enough.
    pub full_writes: u64,
    /// Sectors that a crash of the machine lost.
    pub lost_sectors: u64,
    /// Bits that were flipped.
    pub flipped_bits: u64,
    /// Disks that were emptied although something was on them.
    pub wipes: u64,
}

/// What became durable between two versions of the disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Synced {
    /// The version now; ask from here the next time.
    pub version: u64,
    /// Whether the disk was emptied: what was durable before is gone.
    pub emptied: bool,
    /// Whether names of files became durable, or went.
    pub names: bool,
    /// The files with new durable bytes, by their durable names.
    pub files: Vec<PathBuf>,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimDisk").field("files", &self.files()).finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk. All its chance comes from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            rng: ChaCha8Rng::seed_from_u64(seed),
            takes_no_time: false,
            process: 0,
            died_of_order: false,
            names: Names::default(),
            files: BTreeMap::new(),
            last_file: 0,
            locks: BTreeSet::new(),
            orders: Orders::default(),
            room: None,
            happened: Happened::default(),
            version: 1,
            names_version: 1,
            emptied_version: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// From now on processes are told that nobody need wait for its syncs.
    #[must_use]
    pub fn in_no_time(self) -> Self {
        self.state().takes_no_time = true;
        self
    }

    /// A copy that goes its own way: without a process, and without failures to come or a limit of its room.
    pub fn fork(&self) -> Self {
        let mut state = self.state().clone();
        state.end_process();
        state.orders = Orders::default();
        state.room = None;
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked while holding it did not leave the disk half changed on purpose; nor does a real one care.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk as a new process sees it. All earlier processes are dead from here on: whatever they still do fails,
    /// and the locks they drop are free already.
    pub fn process(&self) -> Arc<dyn Disk> {
        let mut state = self.state();
        state.end_process();
        state.died_of_order = false;
        Arc::new(Process { disk: self.clone(), number: state.process })
    }

    /// The process dies. The page cache stays, the locks are free.
    pub fn kill_process(&self) {
        self.state().kill_process();
    }

    /// The process dies in the middle of what it does: after `changes` more that succeed, the next one is carried out
    /// in part or not at all. A change is a write, a sync, or that of a name. If there is no process, this is for the
    /// next one: it dies while it starts.
    pub fn kill_process_after(&self, changes: u32) {
        self.state().orders.changes_before_death = Some(changes);
    }

    /// Whether the latest process has died as it was [ordered to](Self::kill_process_after). Nothing else of it may go
    /// on then: it may be one that does not mind what its disk says.
    pub fn has_died_of_order(&self) -> bool {
        self.state().died_of_order
    }

    /// The machine crashes: any part of what was not synced is lost, now and then all or nothing of it.
    pub fn crash_machine(&self) -> Loss {
        let mut state = self.state();
        let names_kept = state.names.unsynced();
        let names_kept = state.rng.random_range(0..=names_kept);
        let chance = match state.rng.random_range(0..4_u8) {
            0 => 0.0,
            1 => 1.0,
            2 => 0.5,
            _ => state.rng.random(),
        };
        let mut rng = state.rng.clone();
        let loss = state.crash(names_kept, || rng.random_bool(chance));
        state.rng = rng;
        loss
    }

    /// As [`crash_machine`](Self::crash_machine), without chance.
    pub fn crash_machine_keeping(&self, keep: Keep) -> Loss {
        let mut state = self.state();
        let names = state.names.unsynced();
        let names_kept = match keep {
            Keep::Nothing => 0,
            Keep::Everything => names,
            Keep::Bits(bits) => usize::try_from(bits % (names as u64 + 1)).expect("it is at most the number of names"),
        };
        let mut bit = 0;
        state.crash(names_kept, || match keep {
            Keep::Nothing => false,
            Keep::Everything => true,
            Keep::Bits(bits) => {
                bit += 1;
                bits >> (bit % 64) & 1 == 1
            }
        })
    }

    /// The process dies and the disk is empty, as if it had been replaced.
    pub fn wipe(&self) {
        let mut state = self.state();
        state.kill_process();
        state.happened.wipes += u64::from(!state.names.cached().is_empty());
        state.names = Names::default();
        state.files.clear();
        state.names_changed();
        state.emptied_version = state.version;
    }

    /// The next sync of a file fails, once. The page cache then takes its pages for clean, as Linux does: a later sync
    /// that succeeds does not bring them to the disk.
    pub fn fail_next_sync(&self) {
        self.fail_sync_after(0);
    }

    /// As [`fail_next_sync`](Self::fail_next_sync), after so many more that succeed.
    pub fn fail_sync_after(&self, syncs: u32) {
        self.state().orders.syncs_before_failure = Some(syncs);
    }

    /// The next read fails, once.
    pub fn fail_next_read(&self) {
        self.state().orders.fails_next_read = true;
    }

    /// Takes back what was ordered and has not happened: failures, and the death of the process. The room stays.
    /// Failures outlive processes and crashes otherwise.
    pub fn clear_orders(&self) {
        self.state().orders = Orders::default();
    }

    /// Room for this many more bytes, or without limit. Writing again what was written before takes room as well, as
    /// on a file system that copies on write. A write that does not fit writes what does, and fails.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Flips bit `bit` (of 0 to 7) of a byte on the disk, and in the page cache unless newer bytes stand there.
    /// Returns whether there is such a byte.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> bool {
        let mut state = self.state();
        let Some(id) = state.names.find_durable(path) else { return false };
        let is_flipped = state.file_mut(id).pages.flip_bit(offset, bit);
        state.happened.flipped_bits += u64::from(is_flipped);
        is_flipped
    }

    /// The files whose names are durable, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.durable().keys().cloned().collect()
    }

    /// Shows the durable bytes of a file, by its durable name: what a crash that keeps nothing would leave.
    /// The disk must not be used within `look`.
    pub fn with_durable<T>(&self, path: &Path, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let state = self.state();
        let id = state.names.find_durable(path)?;
        Some(look(state.files[&id].pages.durable()))
    }

    /// The room in use: the bytes of all files that have a name.
    pub fn bytes(&self) -> u64 {
        let state = self.state();
        state.names.cached().values().map(|id| state.files[id].pages.length() as u64).sum()
    }

    /// Grows with every change of what is durable; bit flips are none.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// What became durable since a version; everything since version 0.
    pub fn synced_since(&self, version: u64) -> Synced {
        let state = self.state();
        if state.version == version {
            return Synced { version, ..Synced::default() };
        }
        let changed = state.names.durable().iter().filter(|(_, id)| state.files[id].version > version);
        Synced {
            version: state.version,
            emptied: state.emptied_version > version,
            names: state.names_version > version,
            files: changed.map(|(path, _)| path.clone()).collect(),
        }
    }

    /// The faults that really happened so far.
    pub fn happened(&self) -> Happened {
        self.state().happened
    }
}

impl State {
    fn new_file(&mut self) -> FileId {
        self.last_file += 1;
        self.files.insert(self.last_file, File::default());
        self.last_file
    }

    fn file_mut(&mut self, id: FileId) -> &mut File {
        self.files.get_mut(&id).expect("a file with a name or a handle is there")
    }

    fn sync_file(&mut self, id: FileId) {
        self.version += 1;
        let version = self.version;
        let file = self.file_mut(id);
        file.pages.sync();
        file.version = version;
    }

    fn sync_names(&mut self, directory: &Path) {
        if self.names.sync(directory) {
            self.names_changed();
            self.forget_nameless();
        }
    }

    fn names_changed(&mut self) {
        self.version += 1;
        self.names_version = self.version;
    }

    fn end_process(&mut self) {
        self.process += 1;
        self.locks.clear();
        self.files.values_mut().for_each(|file| file.opened = 0);
        self.forget_nameless();
    }

    fn kill_process(&mut self) {
        self.end_process();
        self.orders.changes_before_death = None;
    }

    fn crash(&mut self, names_kept: usize, mut keeps: impl FnMut() -> bool) -> Loss {
        let names_lost = (self.names.unsynced() - names_kept) as u64;
        let mut loss = Loss { names_lost, names_kept: names_kept as u64, ..Loss::default() };
        self.version += 1;
        for file in self.files.values_mut() {
            let (lost, kept) = file.pages.crash(&mut keeps);
            loss.sectors_lost += lost;
            loss.sectors_kept += kept;
            if kept > 0 {
                file.version = self.version;
            }
        }
        self.names.crash(names_kept);
        self.names_version = self.version;
        self.happened.lost_sectors += loss.sectors_lost;
        self.kill_process();
        loss
    }

    /// Frees the files that nobody can reach any more.
    fn forget_nameless(&mut self) {
        let names = &self.names;
        self.files.retain(|id, file| file.opened > 0 || names.leads_to(*id));
    }
}
