//! What is written to a connection by whoever has something to say on it, from any thread.

use std::convert::Infallible;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raft_actor::envelope::Envelope;
use raft_actor::envelope::codec::{self, EncodeError};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A buffer that grew beyond this is given back when it is empty.
const KEPT_BUFFER_BYTES_MAX: usize = 1 << 20;

/// The writing half of a connection. When nothing waits, who has something to say writes it itself: that
/// spares it the way to another thread. What the kernel does not take at once is left to [`run`](Pipe::run).
pub(crate) struct Pipe {
    half: OwnedWriteHalf,
    waiting: Mutex<Waiting>,
    /// There is something for [`run`](Pipe::run) to do.
    filled: Notify,
    /// Less waits than before.
    drained: Notify,
    bytes_max: usize,
    frame_bytes_max: u32,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// How much `run` is about to write.
    writing: usize,
    /// Nobody reads it any more, or too slowly.
    closed: bool,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untaken {
    /// The connection is closed.
    Closed,
    /// Too much waits already. The pipe is closed now.
    Full,
    /// It cannot be encoded, or is too large.
    Unsendable(EncodeError),
}

impl Pipe {
    /// Holds at most `bytes_max` bytes that nobody has read yet, or one message.
    pub(crate) fn new(half: OwnedWriteHalf, bytes_max: usize, frame_bytes_max: u32) -> Self {
        let (filled, drained) = (Notify::new(), Notify::new());
        Self { half, waiting: Mutex::default(), filled, drained, bytes_max, frame_bytes_max }
    }

    /// Writes a message, now or when the other end has read what is before it. Never blocks.
    pub(crate) fn push(&self, envelope: &Envelope) -> Result<(), Untaken> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(Untaken::Closed);
        }
        let (start, writing) = (waiting.bytes.len(), waiting.writing);
        codec::encode(envelope, self.frame_bytes_max, &mut waiting.bytes).map_err(Untaken::Unsendable)?;
        let idle = start == 0 && writing == 0;
        if !idle && waiting.bytes.len() + writing > self.bytes_max {
            *waiting = Waiting { closed: true, ..Waiting::default() };
            self.filled.notify_one();
            return Err(Untaken::Full);
        }
        if idle {
            // Broken? Whoever runs it finds that out as well.
            let written = self.half.try_write(&waiting.bytes).unwrap_or(0);
            waiting.bytes.drain(..written);
            if !waiting.bytes.is_empty() {
                self.filled.notify_one();
            }
        }
        Ok(())
    }

    /// Writes what could not be written at once, until the connection breaks, nobody reads it for `stall_timeout`, or
    /// too much waits.
    pub(crate) async fn run(&self, stall_timeout: Duration) -> io::Result<Infallible> {
        let mut buffer = Vec::new();
        loop {
            if !self.take(&mut buffer)? {
                self.filled.notified().await;
                continue;
            }
            let mut left = &buffer[..];
            while !left.is_empty() {
                let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, "the other end takes nothing any more");
                timeout(stall_timeout, self.half.writable()).await.map_err(stalled)??;
                match self.half.try_write(left) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => left = &left[written..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Takes all that waits. Whether there is anything.
    fn take(&self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        buffer.clear();
        buffer.shrink_to(KEPT_BUFFER_BYTES_MAX);
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the other end reads too slowly"));
        }
        std::mem::swap(&mut waiting.bytes, buffer);
        waiting.writing = buffer.len();
        drop(waiting);
        self.drained.notify_one();
        Ok(!buffer.is_empty())
    }

    /// Waits until at most half of what may wait does.
    pub(crate) async fn has_room(&self) {
        while self.bytes() > self.bytes_max / 2 {
            self.drained.notified().await;
        }
    }

    /// What waits, and what is being written.
    fn bytes(&self) -> usize {
        let waiting = self.waiting();
        waiting.bytes.len() + waiting.writing
    }

    /// Takes nothing any more.
    pub(crate) fn close(&self) {
        *self.waiting() = Waiting { closed: true, ..Waiting::default() };
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code of others runs under this lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
