//! How an [`Envelope`] becomes bytes.
//!
//! Every message is one [frame]. Its kind stands in the frame, its small fields
//! in the header (MessagePack with named fields, so that an older build skips
//! what it does not know), and everything big, entries, requests and pieces of snapshots, behind the
//! header as raw bytes: passing a 256-byte command through serde costs more
//! than the rest of the journey.
//!
//! What a remote sent is never trusted: decoding is total, allocates in
//! proportion to the bytes that are really there, and answers nonsense with a
//! [`DecodeError`].
//!
//! **Memory.** A received frame lies in the read buffer of its connection,
//! together with its neighbours. Decoding copies the payloads of a frame *once*,
//! into one allocation of exactly their size, which all entries of the batch
//! share: so an entry that stays in a log for an hour keeps its own batch alive
//! (as it does anyway, see [`Entries`](raft_consensus::Entries)) and never a
//! read buffer. One copy of 16 KiB costs less than 64 small ones.

use raft_consensus::{
    AppendEntries, AppendEntriesReply, GroupId, LogIndex, LogPosition, Message, NodeId, PreVote, PreVoteReply,
    RepairTarget, RequestVote, RequestVoteReply, Round, Term, TimeoutNow,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Body, Envelope, Forward, ForwardKind, ForwardReply, Pulse, SnapshotReply};

mod entries;
mod forward;
pub mod frame;
mod region;
mod snapshot;

use frame::{Frame, FrameError, FrameWriter, TooLarge};
use region::Region;

/// The newest version of the message format that this build speaks.
pub const VERSION: u8 = 1;
/// The oldest version of the message format that this build speaks.
pub const VERSION_MIN: u8 = 1;

/// Most entries, requests or answers in one message: bounds what a body of tiny ones can make the receiver allocate.
///
/// A batch within any sensible byte budget stays far below it: an entry counts for at least 24 bytes there.
pub const ITEMS_MAX: u32 = 1 << 20;

/// What a frame holds. The numbers are the wire format: never reuse one.
/// Those below 16 belong to the handshake of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    PreVote = 16,
    PreVoteReply = 17,
    RequestVote = 18,
    RequestVoteReply = 19,
    AppendEntries = 20,
    AppendEntriesReply = 21,
    TimeoutNow = 22,
    Forward = 32,
    ForwardReply = 33,
    SnapshotChunk = 48,
    SnapshotReply = 49,
    Pulse = 64,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::PreVote,
        Self::PreVoteReply,
        Self::RequestVote,
        Self::RequestVoteReply,
        Self::AppendEntries,
        Self::AppendEntriesReply,
        Self::TimeoutNow,
        Self::Forward,
        Self::ForwardReply,
        Self::SnapshotChunk,
        Self::SnapshotReply,
        Self::Pulse,
    ];

    const fn byte(self) -> u8 {
        self as u8
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Why an envelope cannot be sent. Its sender made it too large or wrong; nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The frame would exceed the limit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// More than [`ITEMS_MAX`] entries, requests or answers.
    #[error("a message holds at most {ITEMS_MAX} items, not {count}")]
    TooMany {
        /// How many it was to hold.
        count: usize,
    },
    /// Entries with a gap, or with a term that falls.
    #[error("entry {found} does not follow {previous}")]
    NotConsecutive {
        /// The entry before.
        previous: LogPosition,
        /// The entry that does not follow it.
        found: LogPosition,
    },
    /// An InstallSnapshot: a snapshot travels in chunks, of which the receiver makes this message.
    #[error("an InstallSnapshot is made by its receiver and never sent")]
    NotForTheWire,
}

/// Why received bytes are not a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame itself is broken: nothing behind it in the stream can be trusted.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A whole frame of a kind that this build does not know.
    #[error("unknown message kind {kind}")]
    UnknownKind {
        /// The kind byte.
        kind: u8,
    },
    /// A whole frame whose header is not what its kind demands.
    #[error("malformed header: {0}")]
    Header(#[from] rmp_serde::decode::Error),
    /// A whole frame whose payload is not what its header announced.
    #[error("malformed payload: {0}")]
    Payload(&'static str),
}

/// What every message says in its header; `body` depends on its kind.
#[derive(Debug, Serialize, Deserialize)]
struct Header<M> {
    from: NodeId,
    to: NodeId,
    group: GroupId,
    body: M,
}

/// [`AppendEntries`] without its entries, which are the payload.
#[derive(Debug, Serialize, Deserialize)]
struct AppendEntriesHeader {
    term: Term,
    prev: LogPosition,
    commit: LogIndex,
    round: Round,
    count: u32,
    #[serde(default)]
    rest: bool,
    #[serde(default)]
    repair: Option<RepairTarget>,
}

/// [`Forward`] without its requests, which are the payload.
#[derive(Debug, Serialize, Deserialize)]
struct ForwardHeader {
    id: u64,
    timeout_ms: u32,
    kind: ForwardKind,
    #[serde(default)]
    term: Option<Term>,
    count: u32,
}

/// [`ForwardReply`] without its outcomes, which are the payload.
#[derive(Debug, Serialize, Deserialize)]
struct ForwardReplyHeader {
    id: u64,
    first: u32,
    count: u32,
}

/// Adds `envelope` to `out` as one frame of at most `frame_bytes_max` bytes (not counting its length field).
///
/// # Errors
/// If it does not fit, or if its entries do not follow on. `out` is left as it was.
pub fn encode(envelope: &Envelope, frame_bytes_max: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let writer = Writer { envelope, frame_bytes_max, out };
    match &envelope.body {
        Body::Raft(Message::PreVote(message)) => writer.write(Kind::PreVote, message),
        Body::Raft(Message::PreVoteReply(message)) => writer.write(Kind::PreVoteReply, message),
        Body::Raft(Message::RequestVote(message)) => writer.write(Kind::RequestVote, message),
        Body::Raft(Message::RequestVoteReply(message)) => writer.write(Kind::RequestVoteReply, message),
        Body::Raft(Message::AppendEntries(message)) => writer.write_append_entries(message),
        Body::Raft(Message::AppendEntriesReply(message)) => writer.write(Kind::AppendEntriesReply, message),
        Body::Raft(Message::InstallSnapshot(_)) => Err(EncodeError::NotForTheWire),
        Body::Raft(Message::TimeoutNow(message)) => writer.write(Kind::TimeoutNow, message),
        Body::Forward(message) => writer.write_forward(message),
        Body::ForwardReply(message) => writer.write_forward_reply(message),
        Body::SnapshotChunk(message) => {
            let (header, bytes) = snapshot::split(message);
            let mut frame = writer.begin(Kind::SnapshotChunk, header);
            frame.reserve(bytes.len())?;
            frame.payload().extend_from_slice(bytes);
            Ok(frame.finish()?)
        }
        Body::SnapshotReply(message) => writer.write(Kind::SnapshotReply, message),
        Body::Pulse(message) => writer.write(Kind::Pulse, message),
    }
}

struct Writer<'a> {
    envelope: &'a Envelope,
    frame_bytes_max: u32,
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    fn begin<M: Serialize>(self, kind: Kind, body: M) -> FrameWriter<'a> {
        let Envelope { from, to, group, .. } = *self.envelope;
        let header = Header { from, to, group, body };
        FrameWriter::begin(self.out, VERSION, kind.byte(), &header, self.frame_bytes_max)
    }

    fn write<M: Serialize>(self, kind: Kind, message: &M) -> Result<(), EncodeError> {
        Ok(self.begin(kind, message).finish()?)
    }

    fn write_append_entries(self, message: &AppendEntries) -> Result<(), EncodeError> {
        let AppendEntries { term, prev, ref entries, commit, round, rest, repair } = *message;
        let count = items(entries.len())?;
        let header = AppendEntriesHeader { term, prev, commit, round, count, rest, repair };
        let mut frame = self.begin(Kind::AppendEntries, header);
        entries::write(prev, entries, &mut frame)?;
        Ok(frame.finish()?)
    }

    fn write_forward(self, message: &Forward) -> Result<(), EncodeError> {
        let Forward { id, timeout_ms, kind, term, ref requests } = *message;
        let count = items(requests.len())?;
        let mut frame = self.begin(Kind::Forward, ForwardHeader { id, timeout_ms, kind, term, count });
        forward::write_requests(requests, &mut frame)?;
        Ok(frame.finish()?)
    }

    fn write_forward_reply(self, message: &ForwardReply) -> Result<(), EncodeError> {
        let ForwardReply { id, first, ref outcomes } = *message;
        let count = items(outcomes.len())?;
        let mut frame = self.begin(Kind::ForwardReply, ForwardReplyHeader { id, first, count });
        forward::write_outcomes(outcomes, &mut frame)?;
        Ok(frame.finish()?)
    }
}

fn items(count: usize) -> Result<u32, EncodeError> {
    u32::try_from(count).ok().filter(|count| *count <= ITEMS_MAX).ok_or(EncodeError::TooMany { count })
}

/// Reads the frame that `bytes` is (without its length field).
///
/// # Errors
/// If it is not a message that this build understands. See [`DecodeError`] for what that says about the connection.
pub fn decode(bytes: &[u8]) -> Result<Envelope, DecodeError> {
    let frame = Frame::parse(bytes, VERSION)?;
    let kind = Kind::from_byte(frame.kind).ok_or(DecodeError::UnknownKind { kind: frame.kind })?;
    match kind {
        Kind::PreVote => read(&frame, |m: PreVote| Ok(Body::Raft(Message::PreVote(m)))),
        Kind::PreVoteReply => read(&frame, |m: PreVoteReply| Ok(Body::Raft(Message::PreVoteReply(m)))),
        Kind::RequestVote => read(&frame, |m: RequestVote| Ok(Body::Raft(Message::RequestVote(m)))),
        Kind::RequestVoteReply => read(&frame, |m: RequestVoteReply| Ok(Body::Raft(Message::RequestVoteReply(m)))),
        Kind::AppendEntries => read(&frame, |m| read_append_entries(m, frame.payload)),
        Kind::AppendEntriesReply => {
            read(&frame, |m: AppendEntriesReply| Ok(Body::Raft(Message::AppendEntriesReply(m))))
        }
        Kind::TimeoutNow => read(&frame, |m: TimeoutNow| Ok(Body::Raft(Message::TimeoutNow(m)))),
        Kind::Forward => read(&frame, |m| read_forward(m, frame.payload)),
        Kind::ForwardReply => read(&frame, |m| read_forward_reply(m, frame.payload)),
        Kind::SnapshotChunk => read(&frame, |m| Ok(Body::SnapshotChunk(snapshot::join(m, frame.payload)?))),
        Kind::SnapshotReply => read(&frame, |m: SnapshotReply| Ok(Body::SnapshotReply(snapshot::sound(m)?))),
        Kind::Pulse => read(&frame, |m: Pulse| Ok(Body::Pulse(m))),
    }
}

fn read<M: DeserializeOwned>(
    frame: &Frame<'_>,
    body: impl FnOnce(M) -> Result<Body, DecodeError>,
) -> Result<Envelope, DecodeError> {
    let header: Header<M> = frame.header()?;
    Ok(Envelope { from: header.from, to: header.to, group: header.group, body: body(header.body)? })
}

fn read_append_entries(header: AppendEntriesHeader, payload: &[u8]) -> Result<Body, DecodeError> {
    let AppendEntriesHeader { term, prev, commit, round, count, rest, repair } = header;
    let entries = entries::read(prev, count, Region::copy_of(payload, count)?)?;
    Ok(Body::Raft(Message::AppendEntries(AppendEntries { term, prev, entries, commit, round, rest, repair })))
}

fn read_forward(header: ForwardHeader, payload: &[u8]) -> Result<Body, DecodeError> {
    let ForwardHeader { id, timeout_ms, kind, term, count } = header;
    let requests = forward::read_requests(count, Region::copy_of(payload, count)?)?;
    Ok(Body::Forward(Forward { id, timeout_ms, kind, term, requests }))
}

fn read_forward_reply(header: ForwardReplyHeader, payload: &[u8]) -> Result<Body, DecodeError> {
    let ForwardReplyHeader { id, first, count } = header;
    let outcomes = forward::read_outcomes(count, Region::copy_of(payload, count)?)?;
    Ok(Body::ForwardReply(ForwardReply { id, first, outcomes }))
}

#[cfg(test)]
mod tests;
