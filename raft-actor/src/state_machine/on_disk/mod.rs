//! State machines that keep their state on a disk of their own. `docs/ON_DISK.md` is the chapter about them.
//!
//! Such a machine stores, in one transaction with the effects of a batch of commands, what the framework has to know
//! after a restart: [`records`] says what that is.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use raft_consensus::{GroupId, LogIndex, LogPosition, SnapshotMeta};

use super::actor::panic_message;
use super::sessions::Sessions;

mod error;
mod records;
#[cfg(test)]
mod tests;

pub use error::MachineError;
pub(crate) use records::Stored;

/// What a state machine does that keeps its state in a database or files of its own.
///
/// Effects of commands become part of the state in transactions of one batch each: [`apply`] and [`load`] begin one if
/// none is open, and [`commit`](OnDisk::commit) ends it. With it go the framework's [`Records`]: how far the machine
/// has applied, who the members are, what clients were answered. After a restart the framework asks for them
/// and goes on behind that entry. Nothing the machine holds is applied again, and a client that repeats a request gets
/// its first answer.
///
/// All three methods run on the actor of the state machine, as [`apply`] does, never at the same time. After an error
/// or a panic in any of them nothing more is asked of the machine, and its group stops: what was not committed may not
/// be found at the next start.
///
/// # Example
/// ```
/// use std::collections::BTreeMap;
/// use std::fs;
/// use std::io::{self, Read, Write};
/// use std::path::PathBuf;
///
/// use raft_actor::{ApplyContext, OnDisk, RaftHost, Records, Snapshot, StateMachine};
///
/// /// A sum in a file. A database does the same with a transaction; this one writes everything anew, and renames.
/// struct Sum {
///     file: PathBuf,
///     value: u64,
///     records: BTreeMap<Vec<u8>, Vec<u8>>,
/// }
///
/// impl Sum {
///     fn open(file: PathBuf) -> io::Result<Self> {
///         let (value, records): (u64, Vec<_>) = match fs::read(&file) {
///             Ok(bytes) => serde_json::from_slice(&bytes)?,
///             Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
///             Err(error) => return Err(error),
///         };
///         Ok(Self { file, value, records: records.into_iter().collect() })
///     }
/// }
///
/// impl StateMachine for Sum {
///     type Command = u64;
///     type Response = u64;
///     type Query = ();
///     type Answer = u64;
///
///     fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
///         self.value += add;
///         self.value
///     }
///
///     fn query(&self, (): ()) -> u64 {
///         self.value
///     }
///
///     fn on_disk(&mut self) -> Option<&mut dyn OnDisk> {
///         Some(self)
///     }
/// }
///
/// impl OnDisk for Sum {
///     fn commit(&mut self, records: &Records) -> io::Result<()> {
///         for (key, value) in records.iter() {
///             match value {
///                 Some(value) => self.records.insert(key.to_vec(), value.to_vec()),
///                 None => self.records.remove(key),
///             };
///         }
///         let records: Vec<_> = self.records.iter().collect();
///         let new = self.file.with_extension("new");
///         let mut file = fs::File::create(&new)?;
///         serde_json::to_writer(&mut file, &(self.value, records))?;
///         file.sync_data()?;
///         fs::rename(&new, &self.file)
///     }
///
///     fn records(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
///         Ok(self.records.clone().into_iter().collect())
///     }
///
///     fn sync(&mut self) -> io::Result<()> {
///         let directory = self.file.parent().expect("it is in one");
///         fs::File::open(directory)?.sync_all() // the new name
///     }
/// }
///
/// impl Snapshot for Sum {
///     type Frozen = u64;
///
///     fn freeze(&self) -> u64 {
///         self.value
///     }
///
///     fn save(frozen: u64, out: &mut dyn Write) -> io::Result<()> {
///         out.write_all(&frozen.to_le_bytes())
///     }
///
///     fn load(&mut self, input: &mut dyn Read) -> io::Result<()> {
///         let mut value = [0; 8];
///         input.read_exact(&mut value)?;
///         self.value = u64::from_le_bytes(value); // on the disk with the `commit` that follows
///         Ok(())
///     }
/// }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let place = tempfile::tempdir()?;
/// # let file = place.path().join("sum");
/// # actix_rt::System::new().block_on(async {
/// # for expected in [5, 10] {
/// let host = RaftHost::builder().node(1).data_dir(place.path().join("node")).peers([(1, "-")]);
/// # let host = host.transport(raft_actor::transport::LocalNetwork::default().transport(1));
/// let raft = host.start(Sum::open(file.clone())?).await?;
/// assert_eq!(raft.write(5).await?, expected); // 5, and 10 after a restart
/// raft.shutdown().await;
/// # }
/// # Ok(())
/// # })
/// # }
/// ```
///
/// [`apply`]: super::StateMachine::apply
/// [`load`]: super::Snapshot::load
pub trait OnDisk {
    /// Ends a batch: makes everything since the last call one transaction, together with these records. They are
    /// upserted and removed by their keys, which no other data of the machine may share.
    ///
    /// All or nothing of it may be found after a crash, and no batch without those before it. It need not be durable when
    /// this returns; that is what [`sync`](OnDisk::sync) is for. What was lost is applied again, from the log.
    ///
    /// # Errors
    /// If the disk is full or fails. The group stops, and the next start finds what was committed before.
    fn commit(&mut self, records: &Records) -> io::Result<()>;

    /// All records as commits have left them, in any order. Asked once, when the machine is started.
    ///
    /// # Errors
    /// If they cannot be read. The group does not start.
    fn records(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>>;

    /// Makes durable what was committed, if it is not: nothing to do if every [`commit`](OnDisk::commit) does.
    /// Asked for before the log is cut behind what the machine holds.
    ///
    /// # Errors
    /// As [`commit`](OnDisk::commit).
    fn sync(&mut self) -> io::Result<()>;
}

/// What has changed of the framework's records since the last [`commit`](OnDisk::commit).
///
/// Opaque to the machine. Without sessions it is one record of 50 bytes and the name of the cluster; each command of a [session](crate::Session)
/// adds two or three, whatever else is remembered. A key has at most 160 bytes; a value is no longer than the longest
/// response, or the list of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    through: LogIndex,
    changes: Changes,
}

/// Keys, with what they get; `None`: they go.
type Changes = Vec<(Vec<u8>, Option<Bytes>)>;

impl Records {
    /// The keys to write, with their values, and the keys to remove, without.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// The last entry of the log whose effects are in this transaction, or in one before. For the machine's own
    /// messages; it need not be stored.
    pub fn through(&self) -> LogIndex {
        self.through
    }
}

/// Whose state a machine holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name of the cluster.
    pub cluster: Arc<str>,
    /// One of its groups.
    pub group: GroupId,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} of the cluster {:?}", self.group, self.cluster)
    }
}

/// What a machine on disk holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// What it has applied.
    pub(crate) covered: SnapshotMeta,
    /// What clients were answered, up to there.
    pub(crate) sessions: Sessions,
}

/// What the machine holds; `None` if it is new.
pub(crate) fn held(disk: &dyn OnDisk, owner: &Owner) -> Result<Option<Held>, MachineError> {
    let records = guarded("give back the records that were stored with it", || disk.records())?;
    records::read(records, owner)
}

/// Ends a batch, unless nothing has changed.
pub(crate) fn commit(
    disk: &mut dyn OnDisk,
    owner: &Owner,
    covered: &SnapshotMeta,
    sessions: &mut Sessions,
    stored: &mut Option<Stored>,
) -> Result<(), MachineError> {
    let now = Stored::of(covered);
    if *stored == Some(now) || covered.position == LogPosition::ZERO {
        return Ok(());
    }
    let changes = records::changes(owner, covered, sessions, *stored)?;
    let records = Records { through: covered.position.index, changes };
    guarded("commit", || disk.commit(&records))?;
    *stored = Some(now);
    Ok(())
}

/// Makes durable what was committed.
pub(crate) fn sync(disk: &mut dyn OnDisk) -> Result<(), MachineError> {
    guarded("sync", || disk.sync())
}

/// A panic of the user's code is an error.
fn guarded<T>(action: &'static str, work: impl FnOnce() -> io::Result<T>) -> Result<T, MachineError> {
    let source = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(source)) => source,
        Err(panic) => io::Error::other(format!("it panicked: {}", panic_message(&*panic))),
    };
    Err(MachineError::Failed { action, source })
}
