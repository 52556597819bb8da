//! What the disk itself takes: the floor under every durable write.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

const RECORD_BYTES: u64 = 256;
const APPENDS: u64 = 1000;

/// The median time of one append of 256 bytes that is synced, into a file that was filled with zeros before, in microseconds.
///
/// # Errors
/// If the directory does not take a file.
pub(super) fn synced_append_us(directory: &Path) -> io::Result<f64> {
    let mut file = tempfile::tempfile_in(directory)?;
    file.write_all(&vec![0; (RECORD_BYTES * APPENDS) as usize])?;
    file.sync_all()?;
    let mut times = Vec::new();
    for append in 0..APPENDS {
        let begun = Instant::now();
        synced_append(&mut file, append)?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2].as_secs_f64() * 1e6)
}

fn synced_append(file: &mut File, append: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(append * RECORD_BYTES))?;
    file.write_all(&[0xa5; RECORD_BYTES as usize])?;
    file.sync_data()
}
