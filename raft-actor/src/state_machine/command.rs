//! How a command stands in the log: as the machine's own bytes, behind a byte that says whether a session sent it.
//!
//! | byte | what follows |
//! |---|---|
//! | 0 | the command |
//! | 1 | log time (u64), lifetime (u32), flags (u8), sequence (u64), acknowledged (u64), length of the client's name (u8), its name, then the command |
//!
//! Flags: 1, the client may be new; 2, it only wants to be remembered, and no command follows.
//!
//! Times are milliseconds, numbers little-endian. The client leaves time and lifetime empty; the leader stamps them
//! just before it proposes the command, so that all members see the same time when they apply it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest name of a client, in bytes.
pub(crate) const CLIENT_BYTES_MAX: usize = 128;

const PLAIN: u8 = 0;
const SESSION: u8 = 1;
/// The tag, the stamp, the flags and the numbers.
const SESSION_HEAD_BYTES: usize = 1 + STAMP_BYTES + 1 + 8 + 8 + 1;
const STAMP_BYTES: usize = 8 + 4;
/// The client has no answer yet: it may be that nobody knows it.
const MAY_OPEN: u8 = 1;
/// No command follows: the client has none, and does not want to be forgotten.
const KEEP_ALIVE: u8 = 2;

/// What a client says of a command so that it is applied once only (§8, dissertation 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once<'a> {
    /// Who sends it.
    pub(crate) client: &'a str,
    /// Tells this command from all others of the client.
    pub(crate) sequence: u64,
    /// The client has all answers up to this one; they may be forgotten.
    pub(crate) acknowledged: u64,
    /// A client that nobody knows may begin with this command. If not, it was known once and is forgotten.
    pub(crate) may_open: bool,
}

/// When the leader took a command in, and how long its client is remembered after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// Log time, in milliseconds.
    pub(crate) time_ms: u64,
    /// In milliseconds of log time.
    pub(crate) lifetime_ms: u32,
}

/// A command as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Framed<'a> {
    /// Only in a session.
    pub(crate) once: Option<(Once<'a>, Stamp)>,
    /// The machine's own bytes. `None`: a sign of life of a session.
    pub(crate) command: Option<&'a [u8]>,
}

/// Begins a command outside of any session.
pub(crate) fn begin_plain(out: &mut Vec<u8>) {
    out.push(PLAIN);
}

/// Begins a command that is to be applied once only. `None`: the name of the client is empty or too long.
pub(crate) fn begin_once(once: &Once<'_>, out: &mut Vec<u8>) -> Option<()> {
    head_of_session(once, if once.may_open { MAY_OPEN } else { 0 }, out)
}

/// Writes a sign of life: whoever knows the client goes on knowing it for another lifetime. `None` as for
/// [`begin_once`].
pub(crate) fn keep_alive(client: &str, acknowledged: u64, out: &mut Vec<u8>) -> Option<()> {
    head_of_session(&Once { client, sequence: 0, acknowledged, may_open: false }, KEEP_ALIVE, out)
}

fn head_of_session(once: &Once<'_>, flags: u8, out: &mut Vec<u8>) -> Option<()> {
    let length = u8::try_from(once.client.len()).ok().filter(|_| is_name(once.client))?;
    out.put_u8(SESSION);
    out.put_bytes(0, STAMP_BYTES);
    out.put_u8(flags);
    out.put_u64_le(once.sequence);
    out.put_u64_le(once.acknowledged);
    out.put_u8(length);
    out.put_slice(once.client.as_bytes());
    Some(())
}

/// Whether a client can be called so.
pub(crate) fn is_name(client: &str) -> bool {
    (1..=CLIENT_BYTES_MAX).contains(&client.len())
}

/// Whether the leader has to stamp it.
pub(crate) fn wants_stamp(framed: &[u8]) -> bool {
    framed.first() == Some(&SESSION)
}

/// Stamps a command that [wants it](wants_stamp).
pub(crate) fn stamp(framed: Bytes, stamp: Stamp) -> Bytes {
    if framed.len() < SESSION_HEAD_BYTES {
        return framed;
    }
    let mut framed = framed.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    let mut place = &mut framed[1..];
    place.put_u64_le(stamp.time_ms);
    place.put_u32_le(stamp.lifetime_ms);
    framed.freeze()
}

/// Takes a command apart. `None`: it is none.
pub(crate) fn parse(framed: &[u8]) -> Option<Framed<'_>> {
    let (tag, mut rest) = framed.split_first()?;
    match *tag {
        PLAIN => Some(Framed { once: None, command: Some(rest) }),
        SESSION if framed.len() >= SESSION_HEAD_BYTES => {
            let stamp = Stamp { time_ms: rest.get_u64_le(), lifetime_ms: rest.get_u32_le() };
            let flags = rest.get_u8();
            let (sequence, acknowledged) = (rest.get_u64_le(), rest.get_u64_le());
            let length = usize::from(rest.get_u8());
            let (name, command) = rest.split_at_checked(length)?;
            let client = std::str::from_utf8(name).ok().filter(|name| is_name(name))?;
            let once = Once { client, sequence, acknowledged, may_open: flags & MAY_OPEN != 0 };
            let command = if flags & KEEP_ALIVE == 0 { Some(command) } else { None };
            Some(Framed { once: Some((once, stamp)), command })
        }
        _ => None,
    }
}

/// A command outside of any session.
#[cfg(test)]
pub(crate) fn plain<T: serde::Serialize>(command: &T) -> Bytes {
    let mut framed = Vec::new();
    begin_plain(&mut framed);
    crate::callers::encode_into(command, &mut framed).expect("encodes");
    Bytes::from(framed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once() -> Once<'static> {
        Once { client: "till-7", sequence: 12, acknowledged: 9, may_open: true }
    }

    fn framed() -> Vec<u8> {
        let mut out = Vec::new();
        begin_once(&once(), &mut out).unwrap();
        out.extend_from_slice(b"pay");
        out
    }

    #[test]
    fn a_plain_command_is_one_byte_longer_than_the_machines_own() {
        let mut out = Vec::new();
        begin_plain(&mut out);
        out.extend_from_slice(b"pay");
        assert_eq!(out.len(), 4);
        assert_eq!(parse(&out), Some(Framed { once: None, command: Some(b"pay") }));
        assert!(!wants_stamp(&out));
    }

    #[test]
    fn a_command_of_a_session_comes_back_with_the_leaders_stamp() {
        let given = Stamp { time_ms: 1_234_567, lifetime_ms: 3_600_000 };
        let stamped = stamp(Bytes::from(framed()), given);
        assert_eq!(parse(&stamped), Some(Framed { once: Some((once(), given)), command: Some(b"pay") }));
        assert!(wants_stamp(&stamped));
    }

    #[test]
    fn a_sign_of_life_is_stamped_and_holds_no_command() {
        let mut out = Vec::new();
        keep_alive("till-7", 9, &mut out).unwrap();
        let given = Stamp { time_ms: 1, lifetime_ms: 2 };
        let stamped = stamp(Bytes::from(out), given);
        let once = Once { client: "till-7", sequence: 0, acknowledged: 9, may_open: false };
        assert_eq!(parse(&stamped), Some(Framed { once: Some((once, given)), command: None }));
    }

    #[test]
    fn a_stamp_does_not_change_the_copy_that_a_client_keeps_to_try_again() {
        let kept = Bytes::from(framed());
        let stamped = stamp(kept.clone(), Stamp { time_ms: 5, lifetime_ms: 6 });
        assert_ne!(kept, stamped);
        assert_eq!(kept, framed());
    }

    #[test]
    fn what_is_cut_anywhere_before_the_command_is_none() {
        let whole = framed();
        for length in 0..whole.len() - 3 {
            assert_eq!(parse(&whole[..length]), None, "{length} bytes");
            // Nor does stamping it go wrong.
            stamp(Bytes::copy_from_slice(&whole[..length]), Stamp::default());
        }
        assert_eq!(parse(&[7, 1, 2, 3]), None, "an unknown tag");
    }

    #[test]
    fn a_client_has_a_name_of_a_bounded_length() {
        let long = "x".repeat(CLIENT_BYTES_MAX + 1);
        for client in ["", &long] {
            assert_eq!(begin_once(&Once { client, ..once() }, &mut Vec::new()), None);
        }
        assert_eq!(begin_once(&Once { client: &long[1..], ..once() }, &mut Vec::new()), Some(()));
    }
}
