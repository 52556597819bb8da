//! A hash that is the same on every machine and in every build.

use std::hash::Hasher;
use std::io::{self, Write};

use serde::Serialize;

const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

/// Folds numbers and bytes into 64 bits; not against an adversary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StableHasher(u64);

impl Default for StableHasher {
    fn default() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }
}

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word) ^ ((chunk.len() as u64) << 60));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(PRIME);
    }
}

/// What is written becomes part of the number.
#[derive(Debug, Default)]
pub(super) struct HashWriter(pub(super) StableHasher);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A number that equal values have in common.
pub(super) fn number_of(value: &impl Serialize) -> u64 {
    let mut hasher = HashWriter::default();
    // What cannot be encoded is its owner's to find out.
    let _ = rmp_serde::encode::write(&mut hasher, value);
    hasher.0.finish()
}
