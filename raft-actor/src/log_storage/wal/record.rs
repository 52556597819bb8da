//! What one record looks like on disk.
//!
//! All numbers are little-endian; a record begins at a multiple of eight bytes.
//!
//! ```text
//!  0  u32  CRC of the rest of this header, begun with the record's offset in the file
//!  4  u32  CRC of the payload
//!  8  u32  length of the payload in bytes
//! 12  u32  number of the segment it was written to: its epoch
//! 16  u32  number of its batch, counted from the segment's first
//! 20  u8   kind
//! 21  u8   flags
//! 22  u16  zero
//! 24  u64  group
//! 32  u64  term
//! 40  u64  index
//! 48       payload, then zeros up to a multiple of eight
//! ```
//!
//! The header has a CRC of its own, so a length is known to be true before anything
//! is read or allocated for it. That CRC covers the offset and the epoch: what was
//! left over from the segment's former use, or was copied into a command by a user,
//! is no record here.

use crc32fast::Hasher;

/// Bytes of a record before its payload.
pub(super) const HEADER_BYTES: usize = 48;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Begins a segment: format version, where the previous segment ends, number of the first batch.
    Segment = 1,
    /// All that must be known of a group but for where its entries lie; one per group behind `Segment`.
    GroupState = 2,
    /// `term`; with [`VOTED`] the vote in `index`; with [`DAMAGED`] the number of the damage as its payload, eight bytes.
    HardState = 3,
    /// An entry without a payload.
    Noop = 4,
    /// An entry with a command.
    Command = 5,
    /// An entry with a configuration, as MessagePack with named fields.
    Configuration = 6,
    /// Everything above `index` is gone.
    Truncate = 7,
    /// Everything is gone; the log continues after `term` and `index`.
    Reset = 8,
    /// Everything up to `index` is gone.
    Purge = 9,
    /// Makes what came before older than something valid. With an `index`, as many hard states follow: those of all groups.
    Barrier = 10,
    /// The log goes on in the next segment, which must exist.
    Seal = 11,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Segment,
            2 => Self::GroupState,
            3 => Self::HardState,
            4 => Self::Noop,
            5 => Self::Command,
            6 => Self::Configuration,
            7 => Self::Truncate,
            8 => Self::Reset,
            9 => Self::Purge,
            10 => Self::Barrier,
            11 => Self::Seal,
            _ => return None,
        })
    }
}

/// Flag: the last record of its batch.
pub(super) const LAST: u8 = 1;
/// Flag of an entry: it was in the log before and is written again so that its old segment can go.
pub(super) const MOVED: u8 = 2;
/// Flag of a hard state: there is a vote.
pub(super) const VOTED: u8 = 4;
/// Flag of a hard state: something of the group's log was lost and is not back yet.
pub(super) const DAMAGED: u8 = 8;

/// A record without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload_crc: u32,
    pub(super) length: u32,
    pub(super) epoch: u32,
    pub(super) batch: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) group: u64,
    pub(super) term: u64,
    pub(super) index: u64,
}

impl Header {
    /// The header as it stands at `offset`.
    pub(super) fn encode(&self, offset: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.batch.to_le_bytes());
        bytes[20] = self.kind as u8;
        bytes[21] = self.flags;
        bytes[24..32].copy_from_slice(&self.group.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.term.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.index.to_le_bytes());
        let crc = header_crc(&bytes, offset);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the beginning of `bytes`, which stand at `offset`; `None` if there is none.
    pub(super) fn decode(bytes: &[u8], offset: u32) -> Option<Self> {
        let header = Self::decode_trusted(bytes)?;
        (read_u32(bytes, 0) == header_crc(bytes, offset)).then_some(header)
    }

    /// As [`decode`](Self::decode), for bytes that were just encoded.
    pub(super) fn decode_trusted(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        Some(Self {
            payload_crc: read_u32(bytes, 4),
            length: read_u32(bytes, 8),
            epoch: read_u32(bytes, 12),
            batch: read_u32(bytes, 16),
            kind: Kind::from_byte(bytes[20])?,
            flags: bytes[21],
            group: read_u64(bytes, 24),
            term: read_u64(bytes, 32),
            index: read_u64(bytes, 40),
        })
    }

    /// Whether `payload` is the one this header was written with.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && crc32fast::hash(payload) == self.payload_crc
    }

    pub(super) const fn is_last(&self) -> bool {
        self.flags & LAST != 0
    }

    /// Bytes from the beginning of this record to the next.
    pub(super) const fn record_bytes(&self) -> u64 {
        record_bytes(self.length)
    }
}

/// Bytes of a record with a payload of this length, up to the next record.
pub(super) const fn record_bytes(length: u32) -> u64 {
    HEADER_BYTES as u64 + (length as u64).next_multiple_of(8)
}

/// Whether a header of segment `epoch` may begin here; costs much less than its CRC.
pub(super) fn may_be_header(bytes: &[u8], epoch: u32) -> bool {
    bytes.len() >= HEADER_BYTES && read_u32(bytes, 12) == epoch && Kind::from_byte(bytes[20]).is_some()
}

fn header_crc(bytes: &[u8], offset: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(offset);
    hasher.update(&bytes[4..HEADER_BYTES]);
    hasher.finalize()
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the slice has four bytes"))
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the slice has eight bytes"))
}
