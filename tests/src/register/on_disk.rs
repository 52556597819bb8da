//! The register as a state machine on disk: the smallest store that keeps what such a machine has to keep, on a disk
//! that a simulation strikes.
//!
//! A journal: each commit appends a frame, `u32 length | u32 CRC | MessagePack`, whose CRC goes on from that of the frame
//! before, so that leftovers of an earlier end are never taken for more. What a frame says counts as a whole or, with all
//! behind it, not at all. Commits are not synced: only [`sync`](OnDisk::sync) is, so that a power loss takes as much
//! as it may. A journal that has grown long is replaced by a new one of a single frame, under the same name.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

use raft_actor::log_storage::disk::{Disk, DiskFile};
use raft_actor::{ApplyContext, LogIndex, OnDisk, Records, Snapshot, StateMachine};
use serde::{Deserialize, Serialize};

use super::{Command, Get, Key, Register, Response, Value};

const DIRECTORY: &str = "/machine";
const JOURNAL: &str = "/machine/journal";
const NEW_JOURNAL: &str = "/machine/new";
/// A longer journal is replaced at the next sync.
const JOURNAL_BYTES_MAX: u64 = 16 << 10;
const FRAME_HEAD_BYTES: usize = 8;

/// All keys with their values, on a disk.
#[derive(Debug)]
pub struct DiskRegister {
    register: Register,
    /// The last command that was applied.
    last: u64,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the next commit makes part of the state.
    batch: Frame,
    journal: io::Result<Journal>,
}

#[derive(Debug)]
struct Journal {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    end: u64,
    /// Of the last frame.
    crc: u32,
    /// Its name may not be on the disk, whoever made it.
    name_is_open: bool,
}

/// One transaction.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Frame {
    /// What was there before is gone.
    replaces: bool,
    last: u64,
    values: BTreeMap<Key, Option<Value>>,
    records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl DiskRegister {
    /// Opens what is on a disk. If that fails, it says so when it is asked for its records.
    pub fn open(disk: Arc<dyn Disk>) -> Self {
        let (register, records, batch) = (Register::default(), BTreeMap::new(), Frame::default());
        let mut opened = Self { register, last: 0, records, batch, journal: Err(ErrorKind::NotFound.into()) };
        opened.journal = Journal::open(disk, |frame| opened.take_in(frame));
        opened
    }

    fn take_in(&mut self, frame: Frame) {
        if frame.replaces {
            self.register.values.clear();
        }
        self.last = frame.last;
        for (key, value) in frame.values {
            match value {
                Some(value) => self.register.values.insert(key, value),
                None => self.register.values.remove(&key),
            };
        }
        for (key, value) in frame.records {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
    }

    fn journal(&mut self) -> io::Result<&mut Journal> {
        self.journal.as_mut().map_err(|error| error.kind().into())
    }
}

impl Journal {
    fn open(disk: Arc<dyn Disk>, mut each: impl FnMut(Frame)) -> io::Result<Self> {
        let path = Path::new(JOURNAL);
        disk.create_directory(Path::new(DIRECTORY))?;
        let file = match disk.open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => disk.create(path)?,
            opened => opened?,
        };
        let mut bytes = vec![0; usize::try_from(file.length()?).map_err(io::Error::other)?];
        let length = file.read_at(&mut bytes, 0)?;
        bytes.truncate(length);
        let mut journal = Self { disk, file, end: 0, crc: 0, name_is_open: true };
        let mut rest = bytes.as_slice();
        while let Some((frame, crc, behind)) = next_frame(rest, journal.crc) {
            each(frame);
            journal.crc = crc;
            rest = behind;
        }
        journal.end = (length - rest.len()) as u64;
        Ok(journal)
    }

    fn append(&mut self, frame: &Frame) -> io::Result<()> {
        let content = rmp_serde::to_vec(frame).map_err(io::Error::other)?;
        let crc = crc_after(self.crc, &content);
        let mut bytes = u32::try_from(content.len()).map_err(io::Error::other)?.to_le_bytes().to_vec();
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&content);
        self.file.write_at(&bytes, self.end)?;
        (self.end, self.crc) = (self.end + bytes.len() as u64, crc);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if std::mem::take(&mut self.name_is_open) {
            self.disk.sync_directory(Path::new(DIRECTORY))?;
        }
        Ok(())
    }

    /// Begins a new journal with this frame. A crash leaves the old one or the new one.
    fn replace(&mut self, frame: &Frame) -> io::Result<()> {
        let file = self.disk.create(Path::new(NEW_JOURNAL))?;
        let mut new = Self { disk: Arc::clone(&self.disk), file, end: 0, crc: 0, name_is_open: true };
        new.append(frame)?;
        new.file.sync_data()?;
        new.disk.rename(Path::new(NEW_JOURNAL), Path::new(JOURNAL))?;
        new.sync()?;
        *self = new;
        Ok(())
    }
}

fn crc_after(before: u32, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(content);
    hasher.finalize()
}

/// The frame that follows on one with the CRC `before`, its CRC, and what is behind it.
fn next_frame(bytes: &[u8], before: u32) -> Option<(Frame, u32, &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME_HEAD_BYTES)?;
    let number = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?));
    let (length, crc) = (usize::try_from(number(0)?).ok()?, number(4)?);
    let (content, behind) = rest.split_at_checked(length).filter(|_| length > 0)?;
    if crc_after(before, content) != crc {
        return None;
    }
    Some((rmp_serde::from_slice(content).ok()?, crc, behind))
}

impl StateMachine for DiskRegister {
    type Command = Command;
    type Response = Response;
    type Query = Get;
    type Answer = Option<Value>;

    fn apply(&mut self, ctx: &mut ApplyContext<'_>, command: Command) -> Response {
        // Whatever else is true: it holds that already.
        assert!(ctx.index().get() > self.last, "entry {} comes again, the register holds {}", ctx.index(), self.last);
        let key = command.key();
        let response = self.register.carry_out(command);
        self.last = ctx.index().get();
        self.batch.values.insert(key, self.register.values.get(&key).copied());
        response
    }

    fn query(&self, Get(key): Get) -> Option<Value> {
        self.register.values.get(&key).copied()
    }

    fn durable_through(&self) -> Option<LogIndex> {
        Some(LogIndex::new(self.last))
    }

    fn on_disk(&mut self) -> Option<&mut dyn OnDisk> {
        Some(self)
    }
}

impl OnDisk for DiskRegister {
    fn commit(&mut self, records: &Records) -> io::Result<()> {
        let mut frame = std::mem::take(&mut self.batch);
        frame.last = self.last;
        for (key, value) in records.iter() {
            frame.records.push((key.to_vec(), value.map(<[u8]>::to_vec)));
            match value {
                Some(value) => self.records.insert(key.to_vec(), value.to_vec()),
                None => self.records.remove(key),
            };
        }
        self.journal()?.append(&frame)
    }

    fn records(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.journal.as_ref().map_err(|error| error.kind())?;
        Ok(self.records.clone().into_iter().collect())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.journal()?.end <= JOURNAL_BYTES_MAX {
            return self.journal()?.sync();
        }
        let values = self.register.values.iter().map(|(key, value)| (*key, Some(*value))).collect();
        let records = self.records.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let all = Frame { replaces: true, last: self.last, values, records };
        self.journal()?.replace(&all)
    }
}

impl Snapshot for DiskRegister {
    type Frozen = (Register, u64);

    fn freeze(&self) -> Self::Frozen {
        (self.register.clone(), self.last)
    }

    fn save(frozen: Self::Frozen, out: &mut dyn Write) -> io::Result<()> {
        <Self::Frozen as Snapshot>::save(frozen, out)
    }

    fn load(&mut self, input: &mut dyn Read) -> io::Result<()> {
        let mut loaded = Self::Frozen::default();
        Snapshot::load(&mut loaded, input)?;
        (self.register, self.last) = loaded;
        let values = self.register.values.iter().map(|(key, value)| (*key, Some(*value))).collect();
        self.batch = Frame { replaces: true, values, ..Frame::default() };
        Ok(())
    }
}
