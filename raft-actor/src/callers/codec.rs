//! How commands, responses, queries and answers become bytes: MessagePack with
//! named fields, so that old and new builds read each other.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Appends the encoded `value` to `out`.
pub(crate) fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
    rmp_serde::encode::write_named(out, value)
}

/// The encoded `value` in a buffer of its own.
pub(crate) fn encode_to_bytes<T: Serialize>(value: &T) -> Result<Bytes, rmp_serde::encode::Error> {
    let mut out = Vec::with_capacity(64);
    encode_into(value, &mut out)?;
    Ok(Bytes::from(out))
}

/// Reads what [`encode_into`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(bytes)
}
