//! The few messages of etcd's API that are needed, written as protobuf by hand: generated code would need a program of
//! its own to build.

use bytes::{BufMut, Bytes, BytesMut};

/// Field numbers of `PutRequest`; `RangeRequest` has its key at the same one. Both are strings of bytes.
const KEY: u8 = 1;
const VALUE: u8 = 2;
/// Of `RangeRequest`, true or false.
const SERIALIZABLE: u8 = 7;

/// Of a field of bytes, in the low three bits of its tag.
const BYTES: u8 = 2;

/// `PutRequest`, framed as a gRPC message.
pub(super) fn put(key: &str, value: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(key.len() + value.len() + 12);
    bytes_field(&mut message, KEY, key.as_bytes());
    bytes_field(&mut message, VALUE, value);
    framed(&message)
}

/// `RangeRequest` for one key; of what the member has applied, or linearizable.
pub(super) fn range(key: &str, is_stale: bool) -> Bytes {
    let mut message = Vec::with_capacity(key.len() + 6);
    bytes_field(&mut message, KEY, key.as_bytes());
    if is_stale {
        message.extend([SERIALIZABLE << 3, 1]);
    }
    framed(&message)
}

fn bytes_field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | BYTES);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(bytes);
}

/// Not compressed, and its length.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("a payload is far below 4 GiB"));
    frame.extend_from_slice(message);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_is_a_key_and_a_value_behind_their_lengths() {
        assert_eq!(&put("k", b"ab")[..], b"\x00\x00\x00\x00\x07\x0a\x01k\x12\x02ab");
        assert_eq!(&range("k", false)[..], b"\x00\x00\x00\x00\x03\x0a\x01k");
        assert_eq!(&range("k", true)[..], b"\x00\x00\x00\x00\x05\x0a\x01k\x38\x01");
    }

    #[test]
    fn lengths_from_128_on_take_more_than_a_byte() {
        let put = put("k", &[b'v'; 300]);
        assert_eq!(&put[8..11], b"\x12\xac\x02", "300 is 0b10_0101100");
        assert_eq!(put.len(), 5 + 3 + 3 + 300);
    }
}
