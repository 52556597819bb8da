//! The log alone: what a node's log thread does, without a node.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use raft_actor::log_storage::{
    Entries, Entry, GroupId, GroupWrite, LogIndex, LogPosition, LogStorage, LogWrite, Payload, Term, Wal, WalOptions,
};
use serde::Serialize;

use super::BenchError;
use super::disk::Appender;
use super::options::StorageBench;
use super::process::{self, Memory};
use super::report::Report;
use super::row::{quantile_us, rounded};

const GROUP: GroupId = GroupId::new(1);

/// Batches in a row, then as many appends without a log: whatever else the machine does meanwhile strikes both.
const BATCHES_IN_TURN: u64 = 64;

/// A log that is to be opened was written in batches of this many entries.
const OPENED_BATCH: u64 = 256;

/// Appending, as JSON.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AppendRow {
    system: &'static str,
    /// Entries that are written and synced together.
    pub(super) batch: u64,
    pub(super) payload_bytes: usize,
    /// While the log was at it.
    pub(super) entries_per_s: f64,
    /// Of a batch: its write and its sync.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Processor time of the calling thread, of which the kernel's work on its behalf is a part.
    pub(super) cpu_us_per_entry: f64,
    /// Of one synced append of as many bytes as the batch has in the log, into a file that was written before.
    pub(super) bare_p50_us: f64,
    pub(super) bare_p99_us: f64,
    pub(super) bare_cpu_us_per_entry: f64,
    seconds: f64,
}

/// Opening, as JSON.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OpenRow {
    system: &'static str,
    pub(super) entries: u64,
    pub(super) payload_bytes: usize,
    /// Of the directory.
    pub(super) disk_bytes: u64,
    /// Until all of it is found well and the shape of the log is handed out. What was just written is in the page cache.
    pub(super) open_s: f64,
    pub(super) cpu_s: f64,
    /// Resident at most while it was opened, beyond what was before.
    pub(super) peak_bytes: u64,
}

/// What a number of batches took.
struct Taken {
    latencies_ns: Histogram<u64>,
    elapsed: Duration,
    cpu_seconds: f64,
}

/// A row for each size of batch, then one for the opening.
pub(super) fn run(options: &StorageBench, report: &mut Report) -> Result<(), BenchError> {
    let parent = options.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    for batch in &options.batch {
        report.progress(&format!("batches of {batch}"));
        let directory = tempfile::Builder::new().prefix("raft-bench-").tempdir_in(&parent)?;
        report.append(&append(directory.path(), options, *batch)?);
    }
    report.progress(&format!("opening {} entries", options.entries));
    let directory = tempfile::Builder::new().prefix("raft-bench-").tempdir_in(&parent)?;
    report.open(&open(directory.path(), options)?);
    Ok(())
}

fn append(directory: &Path, options: &StorageBench, batch: u64) -> Result<AppendRow, BenchError> {
    let mut log = Wal::open(directory.join("wal"), WalOptions::default())?;
    let mut source = Source::new(options.payload);
    let mut bare = Appender::new(directory, source.record_bytes(batch))?;
    let (mut logged, mut appended) = (Taken::nothing(), Taken::nothing());
    let mut batches = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(options.seconds) {
        let mut writes: Vec<GroupWrite> = (0..BATCHES_IN_TURN).map(|_| source.next(batch)).collect();
        writes.extend(source.purge_behind(options.keep));
        logged.take(writes, |write| {
            log.write(&[write])?;
            log.sync()
        })?;
        appended.take(0..BATCHES_IN_TURN, |_| bare.append())?;
        batches += BATCHES_IN_TURN;
    }
    let entries = (batches * batch) as f64;
    Ok(AppendRow {
        system: "raft-actor",
        batch,
        payload_bytes: options.payload,
        entries_per_s: (entries / logged.elapsed.as_secs_f64()).round(),
        p50_us: quantile_us(&logged.latencies_ns, 0.5),
        p99_us: quantile_us(&logged.latencies_ns, 0.99),
        cpu_us_per_entry: rounded(logged.cpu_seconds * 1e6 / entries, 1000.0),
        bare_p50_us: quantile_us(&appended.latencies_ns, 0.5),
        bare_p99_us: quantile_us(&appended.latencies_ns, 0.99),
        bare_cpu_us_per_entry: rounded(appended.cpu_seconds * 1e6 / entries, 1000.0),
        seconds: rounded(logged.elapsed.as_secs_f64(), 1000.0),
    })
}

fn open(directory: &Path, options: &StorageBench) -> Result<OpenRow, BenchError> {
    let mut log = Wal::open(directory, WalOptions::default())?;
    let mut source = Source::new(options.payload);
    while source.last < options.entries {
        log.write(&[source.next(OPENED_BATCH.min(options.entries - source.last))])?;
        log.sync()?;
    }
    // As after a crash: it is not closed in order.
    drop(log);
    let memory = Memory::watch();
    let (begun, cpu) = (Instant::now(), process::thread_cpu_seconds());
    let mut log = Wal::open(directory, WalOptions { create: false, ..WalOptions::default() })?;
    let recovered = log.recover(GROUP)?;
    let (open_s, cpu_s) = (begun.elapsed().as_secs_f64(), process::thread_cpu_seconds() - cpu);
    let memory = memory.peaked();
    assert_eq!(recovered.log.last().index.get(), options.entries, "all that was synced is found again");
    let files = std::fs::read_dir(directory)?.map(|file| Ok(file?.metadata()?.len()));
    Ok(OpenRow {
        system: "raft-actor",
        entries: options.entries,
        payload_bytes: options.payload,
        disk_bytes: files.sum::<std::io::Result<u64>>()?,
        open_s: rounded(open_s, 1000.0),
        cpu_s: rounded(cpu_s, 1000.0),
        peak_bytes: memory.peak_bytes.saturating_sub(memory.before_bytes),
    })
}

/// Makes the entries of one group, in order.
struct Source {
    payload: Bytes,
    last: u64,
}

impl Source {
    fn new(payload_bytes: usize) -> Self {
        Self { payload: Bytes::from(vec![0x5a; payload_bytes]), last: 0 }
    }

    fn next(&mut self, batch: u64) -> GroupWrite {
        let entries: Entries = (self.last + 1..=self.last + batch)
            .map(|index| Entry {
                position: LogPosition::new(Term::new(1), LogIndex::new(index)),
                payload: Payload::Command(self.payload.clone()),
            })
            .collect();
        self.last += batch;
        GroupWrite { group: GROUP, hard_state: None, log: Some(LogWrite::Append(entries)) }
    }

    /// What a snapshot does to the log.
    fn purge_behind(&self, keep: u64) -> Option<GroupWrite> {
        let through = self.last.checked_sub(keep).filter(|through| *through > 0)?;
        let log = Some(LogWrite::Purge { through: LogIndex::new(through) });
        Some(GroupWrite { group: GROUP, hard_state: None, log })
    }

    /// What a batch comes to in the log (`docs/LOG.md`).
    fn record_bytes(&self, batch: u64) -> usize {
        batch as usize * (48 + self.payload.len().next_multiple_of(8))
    }
}

impl Taken {
    fn nothing() -> Self {
        let latencies_ns = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds and precision are valid");
        Self { latencies_ns, elapsed: Duration::ZERO, cpu_seconds: 0.0 }
    }

    /// Does something with each of the items, and notes how long.
    fn take<T, E>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut work: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let (begun, cpu) = (Instant::now(), process::thread_cpu_seconds());
        let mut last = begun;
        for item in items {
            work(item)?;
            let now = Instant::now();
            self.latencies_ns.saturating_record(u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX));
            last = now;
        }
        self.cpu_seconds += process::thread_cpu_seconds() - cpu;
        self.elapsed += last - begun;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(directory: &Path) -> StorageBench {
        StorageBench {
            batch: vec![3],
            payload: 20,
            entries: 1000,
            keep: 10,
            seconds: 0,
            data_dir: Some(directory.to_owned()),
            json: true,
        }
    }

    #[test]
    fn a_batch_comes_to_what_the_log_writes_for_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = options(directory.path());
        let mut source = Source::new(options.payload);
        let mut log = Wal::open(directory.path(), WalOptions::default()).expect("it opens");
        log.write(&[source.next(3)]).expect("it is written");
        let segment = std::fs::read(directory.path().join("segment-0000000001.wal")).expect("it is there");
        let end = segment.iter().rposition(|byte| *byte != 0).expect("it holds records") + 1;
        // Behind the beginning, and with the zeros behind the last payload.
        let beginning = segment.windows(20).position(|bytes| bytes == [0x5a; 20]).expect("the first payload") - 48;
        assert_eq!(source.record_bytes(3), (end - beginning).next_multiple_of(8));
    }

    #[test]
    fn what_was_appended_is_opened_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let row = open(directory.path(), &options(directory.path())).expect("the directory takes files");
        assert!(row.disk_bytes >= 1000 * 72, "{row:?}");
    }
}
