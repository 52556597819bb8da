//! The frame: what every transport that goes through bytes puts around a message.
//!
//! ```text
//! u32 length | u8 version | u8 kind | u32 header length | header | payload | u32 crc
//! ```
//!
//! Numbers are big-endian. `length` counts what follows it. The checksum is
//! CRC-32 (IEEE) over everything from `version` to the end of the payload. The
//! length comes first and is all a reader needs in order to refuse a frame that
//! is too large before it allocates anything.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the length field before the frame.
pub const LENGTH_BYTES: usize = 4;
/// Version, kind and header length.
const PREFIX_BYTES: usize = 6;
const CRC_BYTES: usize = 4;
/// Bytes of the smallest frame, without its length field.
pub const FRAME_BYTES_MIN: usize = PREFIX_BYTES + CRC_BYTES;

/// How deep MessagePack values may nest. Ours use about four levels.
const DEPTH_MAX: usize = 32;

/// A frame in a buffer, checked: its lengths fit and its checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it holds.
    pub kind: u8,
    /// MessagePack with named fields.
    pub header: &'a [u8],
    /// Raw bytes; the header says what they are.
    pub payload: &'a [u8],
}

/// Why bytes are not a frame. What follows them in the stream cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It has another version than the one agreed upon.
    #[error("frame of version {found}, expected {expected}")]
    Version {
        /// The version agreed upon.
        expected: u8,
        /// The version in the frame.
        found: u8,
    },
    /// Shorter than the smallest frame, or than its own header.
    #[error("frame of {bytes} bytes is too short for what it announces")]
    TooShort {
        /// Its length.
        bytes: usize,
    },
    /// The bytes are not those that were sent.
    #[error("frame has checksum {found:08x}, its bytes {expected:08x}")]
    Checksum {
        /// The checksum of what arrived.
        expected: u32,
        /// The checksum that came with it.
        found: u32,
    },
}

/// A frame that would be larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {bytes} bytes or more exceeds the limit of {bytes_max}")]
pub struct TooLarge {
    /// What it has at least.
    pub bytes: usize,
    /// What it may have.
    pub bytes_max: u32,
}

impl<'a> Frame<'a> {
    /// Checks `bytes`, a frame without its length field.
    ///
    /// # Errors
    /// If they are not a frame of this version.
    pub fn parse(bytes: &'a [u8], version: u8) -> Result<Self, FrameError> {
        let too_short = FrameError::TooShort { bytes: bytes.len() };
        let (covered, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or(too_short)?;
        let (prefix, rest) = covered.split_first_chunk::<PREFIX_BYTES>().ok_or(too_short)?;
        let [found, kind, header_bytes @ ..] = *prefix;
        if found != version {
            return Err(FrameError::Version { expected: version, found });
        }
        let (found, expected) = (u32::from_be_bytes(*crc), crc32fast::hash(covered));
        if found != expected {
            return Err(FrameError::Checksum { expected, found });
        }
        let header_bytes = usize::try_from(u32::from_be_bytes(header_bytes)).unwrap_or(usize::MAX);
        let (header, payload) = rest.split_at_checked(header_bytes).ok_or(too_short)?;
        Ok(Self { kind, header, payload })
    }

    /// Decodes the header; fields that `H` does not know are skipped.
    ///
    /// # Errors
    /// If it is not an `H`.
    pub fn header<H: DeserializeOwned>(&self) -> Result<H, rmp_serde::decode::Error> {
        unpack(self.header)
    }
}

/// Decodes MessagePack that a remote sent. The decoder recurses, even into what
/// it skips, so the depth is limited by us and not by the stack.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEPTH_MAX);
    T::deserialize(&mut deserializer)
}

/// Writes one frame behind what a buffer already holds. Unless [`finish`](Self::finish)
/// succeeds, the buffer is left as it was.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    bytes_max: u32,
    finished: bool,
}

impl<'a> FrameWriter<'a> {
    /// Begins a frame of at most `bytes_max` bytes (not counting the length field).
    ///
    /// # Panics
    /// If `header` refuses to be serialized, which derived implementations never do.
    pub fn begin<H: Serialize>(out: &'a mut Vec<u8>, version: u8, kind: u8, header: &H, bytes_max: u32) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, version, kind, 0, 0, 0, 0]);
        let header_start = out.len();
        rmp_serde::encode::write_named(out, header).expect("our own header, into memory, has nothing to fail at");
        // A header of 4 GiB makes a frame that `finish` refuses.
        let header_bytes = u32::try_from(out.len() - header_start).unwrap_or(u32::MAX);
        out[header_start - 4..header_start].copy_from_slice(&header_bytes.to_be_bytes());
        Self { out, start, bytes_max, finished: false }
    }

    /// Says that at least `payload_bytes` more will come, so that a frame that is
    /// too large fails before they are copied.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn reserve(&mut self, payload_bytes: usize) -> Result<(), TooLarge> {
        self.check(payload_bytes)?;
        self.out.reserve(payload_bytes);
        Ok(())
    }

    /// The buffer, to append payload to.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Completes the frame.
    ///
    /// # Errors
    /// If it became too large.
    pub fn finish(mut self) -> Result<(), TooLarge> {
        let bytes = self.check(0)?;
        let covered = self.start + LENGTH_BYTES;
        let crc = crc32fast::hash(&self.out[covered..]);
        self.out.extend_from_slice(&crc.to_be_bytes());
        self.out[self.start..covered].copy_from_slice(&bytes.to_be_bytes());
        self.finished = true;
        Ok(())
    }

    /// The frame's length with `more` bytes and its checksum, if it is allowed.
    fn check(&self, more: usize) -> Result<u32, TooLarge> {
        let bytes = (self.out.len() - self.start - LENGTH_BYTES).saturating_add(more).saturating_add(CRC_BYTES);
        let too_large = TooLarge { bytes, bytes_max: self.bytes_max };
        u32::try_from(bytes).ok().filter(|bytes| *bytes <= self.bytes_max).ok_or(too_large)
    }
}

impl Drop for FrameWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}
