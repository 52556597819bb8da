//! The payload of a frame: numbers of variable length and raw bytes, mixed.

use bytes::Bytes;

use super::{DecodeError, ITEMS_MAX};

/// Most bytes of a number: 10 times 7 bits hold 64.
const VARINT_BYTES_MAX: usize = 10;

/// Appends `value`, seven bits per byte, the lowest first (LEB128).
pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A copy of a payload that is read from front to back; what is taken out of it shares the copy.
pub(super) struct Region {
    bytes: Bytes,
    at: usize,
}

impl Region {
    /// Copies `payload`, which is to hold `count` items, unless it cannot.
    pub(super) fn copy_of(payload: &[u8], count: u32) -> Result<Self, DecodeError> {
        // Every item takes at least one byte: checked before anything is allocated for a count out of thin air.
        if count > ITEMS_MAX || usize::try_from(count).is_ok_and(|count| count > payload.len()) {
            return Err(DecodeError::Payload("it cannot hold as many items as it is said to"));
        }
        Ok(Self { bytes: Bytes::copy_from_slice(payload), at: 0 })
    }

    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for (position, byte) in self.bytes[self.at..].iter().take(VARINT_BYTES_MAX).enumerate() {
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * position;
            if (bits << shift) >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                self.at += position + 1;
                return Ok(value);
            }
        }
        Err(DecodeError::Payload("a number is cut off or exceeds 64 bits"))
    }

    pub(super) fn take(&mut self, length: u64) -> Result<Bytes, DecodeError> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let end = end.filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(DecodeError::Payload("an item is longer than what is left"))?;
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    /// Every byte must have been read: what is left over was meant for somebody who understands more.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(DecodeError::Payload("bytes are left over")) }
    }
}
