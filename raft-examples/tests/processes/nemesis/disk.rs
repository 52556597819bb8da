//! What an ordinary machine can do to a disk without privileges: fail writes, and change files of a process that is
//! down.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rand::RngExt;

use super::Nemesis;
use crate::client::eventually;

/// Of a record in the log.
const HEADER_BYTES: usize = 48;
/// A disk writes whole sectors, in any order.
const SECTOR_BYTES: usize = 4 << 10;

impl Nemesis {
    /// A node whose writes fail stops, says so, and acknowledges nothing any more.
    #[cfg(target_os = "linux")]
    pub(super) fn writes_fail(&mut self, victim: usize) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let node = &mut self.cluster.nodes[victim];
        let id = i32::try_from(node.id()).ok().and_then(Pid::from_raw).expect("the id of a process");
        let nothing = Rlimit { current: Some(0), maximum: None };
        prlimit(Some(id), Resource::Fsize, nothing).expect("a child of ours may be limited");
        let status = node.exited();
        assert!(!status.success(), "{status}: {}", node.printed());
        eventually("it says why", || node.printed().contains("stopped").then_some(()));
        self.load.progress();
        self.cluster.nodes[victim].restart();
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn writes_fail(&mut self, _victim: usize) {
        unreachable!("not among the faults of this machine")
    }

    /// As after a loss of power: of what was being written, the first sector is missing, and a later one is there.
    pub(super) fn tear_the_tail(&mut self, victim: usize) {
        self.cluster.nodes[victim].kill();
        let segment = self.newest_segment(victim);
        // Real records, in a place to which they were not written.
        let leftover = &segment.bytes[..segment.end.min(SECTOR_BYTES)];
        segment.write(leftover, segment.end.next_multiple_of(SECTOR_BYTES) + SECTOR_BYTES);
        self.load.progress();
        self.cluster.nodes[victim].restart();
    }

    /// A wrong bit in what was acknowledged: the node says which file it is. Its peers repair its log, or it refuses to
    /// start if the damage may have taken its vote.
    pub(super) fn damage(&mut self, victim: usize) {
        eventually("there is something to damage", || {
            (!self.newest_segment(victim).earlier_records().is_empty()).then_some(())
        });
        self.cluster.nodes[victim].kill();
        let segment = self.newest_segment(victim);
        let records = segment.earlier_records();
        let record = records[self.chance.random_range(0..records.len())];
        let place = record.start + self.chance.random_range(0..HEADER_BYTES + record.payload_bytes);
        let right = segment.bytes[place];
        segment.write(&[right ^ (1 << self.chance.random_range(0..8))], place);
        self.load.progress();
        self.cluster.nodes[victim].restart();
        let node = &mut self.cluster.nodes[victim];
        let name = segment.path.file_name().expect("a name").to_string_lossy();
        eventually("it names the damage", || {
            let printed = node.printed();
            (printed.contains("damaged") && printed.contains(&*name)).then_some(())
        });
        let client = &self.cluster.clients[victim];
        let is_repaired = eventually("it has everything back, or it has refused to start", || {
            if node.has_exited().is_some() {
                return Some(false);
            }
            (client.status().ok()?["damaged"] == false).then_some(true)
        });
        if !is_repaired {
            let status = node.exited();
            assert!(!status.success(), "it took a damaged log, byte {place} of {}", segment.path.display());
            segment.write(&[right], place);
            node.restart();
        }
    }

    /// The disk is replaced by an empty one, and put back later: meanwhile the node has no vote, and says so.
    pub(super) fn wipe(&mut self, victim: usize) {
        self.cluster.nodes[victim].kill();
        let dir = self.cluster.data_dir(victim);
        let aside = dir.with_extension("aside");
        fs::rename(&dir, &aside).expect("the directory of the killed node");
        let told = |printed: &str| printed.matches("wiped").count();
        let before = told(&self.cluster.nodes[victim].printed());
        self.cluster.nodes[victim].restart();
        eventually("the wiped node says so", || (told(&self.cluster.nodes[victim].printed()) > before).then_some(()));
        self.load.progress();
        let role = self.cluster.clients[victim].status().expect("an answer")["role"].clone();
        assert!(role != "leader" && role != "candidate", "a wiped node campaigns: {role}");
        self.cluster.nodes[victim].kill();
        fs::remove_dir_all(&dir).expect("the new directory");
        fs::rename(&aside, &dir).expect("the old directory");
        self.cluster.nodes[victim].restart();
    }

    fn newest_segment(&self, node: usize) -> Segment {
        Segment::newest(&self.cluster.data_dir(node).join("wal"))
    }
}

/// A segment of the log as it stands in its file, read by what `docs/LOG.md` says and no more than is needed here.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    records: Vec<Record>,
    /// Behind its last record.
    end: usize,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    start: usize,
    payload_bytes: usize,
    batch: u32,
}

impl Segment {
    fn newest(dir: &Path) -> Self {
        let names = fs::read_dir(dir).expect("the directory of a log").map(|entry| entry.expect("an entry").path());
        let is_segment =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("segment-"));
        // Numbers of ten digits: the order of the names is that of the segments.
        let path = names.filter(is_segment).max().expect("a log has a segment");
        let bytes = fs::read(&path).expect("a segment");
        let (mut records, mut end) = (Vec::new(), 0);
        let epoch = number(&bytes, 12).expect("a segment begins with a record");
        while let (Some(length), Some(batch)) = (number(&bytes, end + 8), number(&bytes, end + 16))
            // Behind the last record stand zeros, or records of what the file was before.
            && number(&bytes, end + 12) == Some(epoch)
        {
            let payload_bytes = usize::try_from(length).expect("32 bits");
            records.push(Record { start: end, payload_bytes, batch });
            end += (HEADER_BYTES + payload_bytes).next_multiple_of(8);
        }
        Self { path, bytes, records, end }
    }

    /// Those of which it is certain that they were synced: a later batch is there.
    fn earlier_records(&self) -> Vec<Record> {
        let last = self.records.last().map(|record| record.batch);
        self.records.iter().copied().filter(|record| Some(record.batch) < last).collect()
    }

    fn write(&self, bytes: &[u8], place: usize) {
        let mut file = fs::File::options().write(true).open(&self.path).expect("a segment");
        file.seek(SeekFrom::Start(u64::try_from(place).expect("a place in a file"))).expect("a segment");
        file.write_all(bytes).expect("a segment");
    }
}

/// A field of a record's header.
fn number(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(place..place + 4)?.try_into().expect("four bytes")))
}
