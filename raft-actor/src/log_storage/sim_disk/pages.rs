//! One file: what the page cache holds of it, and what the disk does.

use std::ops::Range;

/// The unit that a disk writes as a whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

/// Numbers of sectors, as a bitmap that knows where to look.
#[derive(Debug, Clone, Default)]
pub(super) struct Sectors {
    words: Vec<u64>,
    /// The words outside of this range are zero.
    touched: Range<usize>,
}

impl Sectors {
    fn insert(&mut self, sectors: Range<usize>) {
        if sectors.is_empty() {
            return;
        }
        let words = sectors.start / 64..sectors.end.div_ceil(64);
        if self.words.len() < words.end {
            self.words.resize(words.end, 0);
        }
        self.touched = if self.touched.is_empty() {
            words
        } else {
            self.touched.start.min(words.start)..self.touched.end.max(words.end)
        };
        for sector in sectors {
            self.words[sector / 64] |= 1 << (sector % 64);
        }
    }

    fn remove(&mut self, sector: usize) {
        if let Some(word) = self.words.get_mut(sector / 64) {
            *word &= !(1 << (sector % 64));
        }
    }

    fn contains(&self, sector: usize) -> bool {
        self.words.get(sector / 64).is_some_and(|word| word >> (sector % 64) & 1 == 1)
    }

    /// Empties it, in ascending order.
    fn drain(&mut self, mut take: impl FnMut(usize)) {
        for at in std::mem::take(&mut self.touched) {
            let mut word = std::mem::take(&mut self.words[at]);
            while word != 0 {
                take(at * 64 + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }
}

/// A file, whatever its names are.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    /// What programs see.
    cached: Vec<u8>,
    /// What is on the disk; never longer.
    durable: Vec<u8>,
    /// Written and not synced.
    dirty: Sectors,
    /// Taken for clean by a sync that failed, and not on the disk.
    stray: Sectors,
}

impl Pages {
    pub(super) fn length(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.cached.len());
        let count = buffer.len().min(self.cached.len() - start);
        buffer[..count].copy_from_slice(&self.cached[start..start + count]);
        count
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let start = usize::try_from(offset).expect("a simulated file fits into memory");
        let end = start + bytes.len();
        if self.cached.len() < end {
            // What a hole reads as has to reach the disk as well: it lies before what is written behind it.
            self.cached.resize(end, 0);
        }
        self.cached[start..end].copy_from_slice(bytes);
        self.dirty.insert(start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    /// All that was written since the last sync reaches the disk. What an earlier, failed one took for clean does not,
    /// unless it was written again.
    pub(super) fn sync(&mut self) {
        let Self { cached, durable, dirty, stray } = self;
        dirty.drain(|sector| {
            keep(cached, durable, sector);
            stray.remove(sector);
        });
        durable.resize(cached.len(), 0);
    }

    /// A sync fails: the page cache takes its pages for clean all the same, as Linux does.
    pub(super) fn fail_sync(&mut self) {
        let Self { dirty, stray, .. } = self;
        dirty.drain(|sector| stray.insert(sector..sector + 1));
    }

    /// The machine crashes. `keeps` is asked for each sector that was written and not synced; the page cache is gone.
    /// Returns how many sectors were lost, and how many kept.
    pub(super) fn crash(&mut self, mut keeps: impl FnMut() -> bool) -> (u64, u64) {
        let Self { cached, durable, dirty, stray } = self;
        let (mut lost, mut kept) = (Vec::new(), 0);
        dirty.drain(|sector| {
            if keeps() {
                keep(cached, durable, sector);
                stray.remove(sector);
                kept += 1;
            } else {
                lost.push(sector);
            }
        });
        stray.drain(|sector| lost.push(sector));
        // In a second pass: sectors that were kept behind them decide how long the file is now.
        let mut losses = 0;
        lost.sort_unstable();
        lost.dedup();
        for sector in lost {
            losses += u64::from(lose(cached, durable, sector));
        }
        cached.truncate(durable.len());
        (losses, kept)
    }

    /// Flips a bit on the disk, and in what the page cache has read from there. Returns whether there is such a byte.
    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) -> bool {
        let Ok(at) = usize::try_from(offset) else { return false };
        let Some(byte) = self.durable.get_mut(at) else { return false };
        *byte ^= 1 << (bit % 8);
        let sector = at / SECTOR_BYTES;
        // A page that was written and not synced was not read from the disk.
        if !self.dirty.contains(sector) && !self.stray.contains(sector) {
            self.cached[at] ^= 1 << (bit % 8);
        }
        true
    }
}

/// A sector reaches the disk.
fn keep(cached: &[u8], durable: &mut Vec<u8>, sector: usize) {
    let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(cached.len());
    if durable.len() < range.end {
        durable.resize(range.end, 0);
    }
    durable[range.clone()].copy_from_slice(&cached[range]);
}

/// A sector is again what the disk has of it. Returns whether that is something else than the page cache had.
fn lose(cached: &mut [u8], durable: &[u8], sector: usize) -> bool {
    let start = sector * SECTOR_BYTES;
    let written = &mut cached[start..];
    let stored = durable.get(start..).unwrap_or_default();
    let count = SECTOR_BYTES.min(stored.len());
    let is_lost = written[..SECTOR_BYTES.min(written.len())] != stored[..count];
    written[..count].copy_from_slice(&stored[..count]);
    is_lost
}
