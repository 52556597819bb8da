//! Reading the messages of one peer that was let in.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::StreamExt;
use raft_actor::NodeId;
use raft_actor::envelope::Envelope;
use raft_actor::envelope::codec::{self, DecodeError};
use raft_actor::transport::Credit;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec, LengthDelimitedCodecError};

use super::handshake::Lane;
use super::{Count, KEPT_BUFFER_BYTES_MAX, Shared};

/// What one read asks the kernel for.
pub(super) const READ_BUFFER_BYTES: usize = 64 << 10;
/// What a message costs beside its bytes, so that many tiny ones are bounded as well.
const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// Why a connection was closed.
#[derive(Debug)]
pub(super) enum Reason {
    ByPeer(Option<io::Error>),
    FrameTooLarge,
    FrameBroken(DecodeError),
    Misaddressed { from: NodeId, to: NodeId },
    Presumptuous,
    SlowClient,
}

impl Reason {
    pub(super) fn count(&self) -> Count {
        match self {
            Self::ByPeer(_) => Count::ClosedByPeer,
            Self::FrameTooLarge => Count::ClosedFrameTooLarge,
            Self::FrameBroken(_) => Count::ClosedFrameBroken,
            Self::Misaddressed { .. } => Count::ClosedMisaddressed,
            Self::Presumptuous => Count::ClosedPresumptuous,
            Self::SlowClient => Count::ClosedSlowClient,
        }
    }

    pub(super) fn of_read(error: io::Error) -> Self {
        match error.get_ref() {
            Some(inner) if inner.is::<LengthDelimitedCodecError>() => Self::FrameTooLarge,
            Some(_) | None => Self::ByPeer(Some(error)),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPeer(None) => write!(f, "closed by the peer"),
            Self::ByPeer(Some(error)) => write!(f, "broken: {error}"),
            Self::FrameTooLarge => write!(f, "a frame exceeds the limit"),
            Self::FrameBroken(error) => error.fmt(f),
            Self::Misaddressed { from, to } => write!(f, "it carried a message from {from} to {to}"),
            Self::Presumptuous => write!(f, "a client said what only a host may say"),
            Self::SlowClient => write!(f, "the client does not read its answers"),
        }
    }
}

/// Hands the messages of `peer` to the host until the connection ends. The caller closes it.
pub(super) async fn run(
    shared: &Shared,
    stream: &mut TcpStream,
    (peer, lane): (NodeId, Lane),
    credit: Arc<Semaphore>,
) -> Reason {
    let frames = frames(shared.options.frame_bytes_max);
    let mut reader = FramedRead::with_capacity(stream, frames, READ_BUFFER_BYTES);
    while let Some(frame) = reader.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Reason::of_read(error),
        };
        shared.counters.add(Count::BytesIn, codec::frame::LENGTH_BYTES + frame.len());
        if lane == Lane::Bulk {
            shared.counters.add(Count::BulkBytesIn, codec::frame::LENGTH_BYTES + frame.len());
        }
        match codec::decode(&frame) {
            Ok(envelope) if envelope.from != peer || envelope.to != shared.hello.node => {
                return Reason::Misaddressed { from: envelope.from, to: envelope.to };
            }
            Ok(envelope) => {
                // While the host is behind, this waits, the socket is not read, and TCP slows the sender down.
                let cost = cost(shared, frame.len(), &envelope);
                let permit = Arc::clone(&credit).acquire_many_owned(cost).await.expect("nobody closes a credit");
                shared.counters.one(Count::MessagesIn);
                shared.inbound.deliver(envelope, Credit::new(permit));
            }
            Err(error) => {
                if let Some(reason) = judge(shared, error) {
                    return reason;
                }
                // Nothing here has waited for anything: a stream of nonsense must not keep the thread for itself.
                tokio::task::yield_now().await;
            }
        }
        let buffered = frame.len();
        drop(frame);
        give_back(reader.read_buffer_mut(), buffered);
    }
    Reason::ByPeer(None)
}

/// Cuts a stream into frames of at most this many bytes.
pub(crate) fn frames(frame_bytes_max: u32) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(usize::try_from(frame_bytes_max).unwrap_or(usize::MAX)).new_codec()
}

/// What a message costs of the credit of its sender.
pub(super) fn cost(shared: &Shared, frame_bytes: usize, envelope: &Envelope) -> u32 {
    let cost = frame_bytes.saturating_add(MESSAGE_OVERHEAD_BYTES).saturating_add(envelope.items_bytes());
    u32::try_from(cost).unwrap_or(u32::MAX).min(shared.options.credit_bytes)
}

/// After a frame of so many bytes: does not keep a large buffer for what may never come again.
pub(crate) fn give_back(buffer: &mut BytesMut, frame_bytes: usize) {
    if frame_bytes > KEPT_BUFFER_BYTES_MAX && buffer.is_empty() {
        *buffer = BytesMut::with_capacity(READ_BUFFER_BYTES);
    }
}

/// What follows a damaged frame cannot be trusted. But one that arrived whole
/// and makes no sense is ignored: hanging up would lose all the others too.
pub(super) fn judge(shared: &Shared, error: DecodeError) -> Option<Reason> {
    match error {
        DecodeError::Frame(_) => return Some(Reason::FrameBroken(error)),
        DecodeError::UnknownKind { .. } => shared.counters.one(Count::IgnoredUnknownKind),
        // Malformed header or payload, or what a later version of the codec complains about.
        _ => shared.counters.one(Count::IgnoredMalformed),
    }
    tracing::debug!(%error, "ignored a message");
    None
}
