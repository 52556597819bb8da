//! What the disk itself takes: the floor under every durable write.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const RECORD_BYTES: usize = 256;
const APPENDS: u64 = 2000;
/// The times are medians of a block of this many, and of all blocks the lower quartile: what else the machine does
/// meanwhile can only add to what the disk takes.
const BLOCK: usize = 100;

/// In microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiskTimes {
    /// One synced append of 256 bytes, into a file that was filled with zeros before.
    pub(super) synced_append_us: f64,
    /// As many of them at once as there are nodes, each on a thread of its own, until a majority is done:
    /// a replicated write without Raft. On one disk the syncs of the nodes stand in each other's way.
    pub(super) quorum_append_us: f64,
}

impl DiskTimes {
    /// Measures in `directory`, whose disk should have nothing else to do.
    ///
    /// # Errors
    /// If the directory does not take files.
    pub(super) fn measure(directory: &Path, nodes: u64) -> io::Result<Self> {
        Ok(Self {
            synced_append_us: synced_append_us(directory)?,
            quorum_append_us: quorum_append_us(directory, nodes, APPENDS)?,
        })
    }
}

fn synced_append_us(directory: &Path) -> io::Result<f64> {
    let mut appender = Appender::new(directory, RECORD_BYTES)?;
    let mut times = Vec::new();
    for _ in 0..APPENDS {
        let begun = Instant::now();
        appender.append()?;
        times.push(begun.elapsed());
    }
    Ok(quiet_median_us(&mut times))
}

/// Synced appends into a file that was filled with zeros before; from its beginning again when it is full.
#[derive(Debug)]
pub(super) struct Appender {
    file: File,
    bytes: Vec<u8>,
    next: u64,
}

impl Appender {
    /// # Errors
    /// If the directory does not take files.
    pub(super) fn new(directory: &Path, append_bytes: usize) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(directory)?;
        let piece = vec![0; append_bytes];
        for _ in 0..APPENDS {
            file.write_all(&piece)?;
        }
        file.sync_all()?;
        Ok(Self { file, bytes: vec![0xa5; append_bytes], next: 0 })
    }

    /// # Errors
    /// What the disk says.
    pub(super) fn append(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.next % APPENDS * self.bytes.len() as u64))?;
        self.next += 1;
        self.file.write_all(&self.bytes)?;
        self.file.sync_data()
    }
}

fn quorum_append_us(directory: &Path, nodes: u64, appends: u64) -> io::Result<f64> {
    let (done, finished) = mpsc::channel();
    let mut writers = Vec::new();
    for _ in 0..nodes {
        let (order, orders) = mpsc::channel();
        let (mut appender, done) = (Appender::new(directory, RECORD_BYTES)?, done.clone());
        thread::spawn(move || {
            for append in orders {
                let result = appender.append().map(|()| append);
                if done.send(result).is_err() {
                    return;
                }
            }
        });
        writers.push(order);
    }
    let mut times = Vec::new();
    for append in 0..appends {
        let begun = Instant::now();
        for writer in &writers {
            // One that has ended has said why.
            let _ = writer.send(append);
        }
        let mut missing = nodes / 2 + 1;
        while missing > 0 {
            let done = finished.recv().expect("this function holds a sender")?;
            // Those of earlier rounds come late.
            missing -= u64::from(done == append);
        }
        times.push(begun.elapsed());
    }
    Ok(quiet_median_us(&mut times))
}

/// The median of a quiet block.
fn quiet_median_us(times: &mut [Duration]) -> f64 {
    let mut medians: Vec<Duration> = times
        .chunks_mut(BLOCK)
        .map(|block| {
            block.sort_unstable();
            block[block.len() / 2]
        })
        .collect();
    medians.sort_unstable();
    medians.get(medians.len() / 4).copied().unwrap_or_default().as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_neighbour_does_not_make_the_disk_slow() {
        let (quiet, noisy) = (Duration::from_micros(100), Duration::from_millis(4));
        let mut times = vec![noisy; 4 * BLOCK];
        times[BLOCK..3 * BLOCK].fill(quiet);
        assert!((quiet_median_us(&mut times) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_quorum_of_appends_comes_to_an_end_for_any_number_of_nodes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for nodes in [1, 2, 3] {
            assert!(quorum_append_us(directory.path(), nodes, 20).expect("the directory takes files") > 0.0);
        }
    }
}
