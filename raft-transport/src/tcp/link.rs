//! One outgoing connection: connect, introduce ourselves, write, and begin again when it breaks.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use raft_actor::NodeId;
use raft_actor::envelope::Envelope;
use raft_actor::transport::{Hello, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::handshake::{self, Greeting, HandshakeError, Lane};
use super::queue::{Dropped, Limits, Queue};
use super::{Count, Shared, TcpOptions, socket};
use crate::backoff::Backoff;

/// The way to one peer.
pub(super) struct Link {
    pub(super) peer: NodeId,
    pub(super) address: String,
    lane: Lane,
    limits: Limits,
    pub(super) queue: RefCell<Queue>,
    /// There is something to write.
    filled: Notify,
    /// There is a reason to try again before the wait is over.
    retry: Notify,
}

impl Link {
    pub(super) fn new(peer: NodeId, address: String, lane: Lane, options: &TcpOptions) -> Self {
        let (queue, limits) = (RefCell::new(Queue::default()), Limits::of(options, lane));
        Self { peer, address, lane, limits, queue, filled: Notify::new(), retry: Notify::new() }
    }

    pub(super) fn push(&self, envelope: &Envelope, shared: &Shared) -> Result<(), Dropped> {
        let mut queue = self.queue.borrow_mut();
        if queue.push(envelope, &self.limits)? {
            self.filled.notify_one();
        }
        shared.counters.queue_is(self.lane, queue.bytes());
        Ok(())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.queue.borrow().is_open()
    }

    /// Waits until there is something to write.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Ends a wait before the next attempt to connect, if there is one.
    pub(super) fn retry_now(&self) {
        self.retry.notify_waiters();
    }
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    #[error("no connection: {0}")]
    Io(#[from] io::Error),
    #[error("no answer to our handshake within {0:?}")]
    Unanswered(Duration),
    #[error("handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
}

impl ConnectError {
    /// Whether the machine of the peer answers, and says that the peer is not there.
    fn says_that_nobody_listens(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// Keeps `link`, of the lane of Raft, connected for ever.
pub(super) async fn run(link: Rc<Link>, shared: Rc<Shared>) {
    let mut wait = Backoff::new(shared.options.reconnect_delay_min, shared.options.reconnect_delay_max);
    let mut last_refusal = None;
    let mut was_there = false;
    loop {
        match connect(&link, &shared).await {
            Ok((stream, hello)) => {
                (last_refusal, was_there) = (None, true);
                let since = Instant::now();
                serve(&link, &shared, stream, &hello).await;
                // One that is closed again at once is no success to begin from the shortest wait after.
                if since.elapsed() >= shared.options.reconnect_delay_max {
                    wait.reset();
                }
            }
            Err(ConnectError::Handshake(HandshakeError::Refused(refusal))) => {
                wait.exhaust();
                shared.counters.one(Count::ConnectRefused);
                tell_refusal(&link, &shared, refusal, &mut last_refusal);
            }
            Err(error) => {
                shared.counters.one(Count::ConnectFailed);
                tracing::debug!(peer = %link.peer, address = link.address, %error, "cannot connect");
                if error.says_that_nobody_listens() && std::mem::take(&mut was_there) {
                    // Not only the connection is gone: so is the process.
                    shared.inbound.hung_up(link.peer);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait.next()) => {}
            () = link.retry.notified() => {
                // Not at once: two hosts that let each other in and then fall out would go round without a pause.
                wait.reset();
                tokio::time::sleep(wait.next()).await;
            }
        }
    }
}

/// The host hears it once, and again when the reason changes: we go on trying, it has its log to think of.
fn tell_refusal(link: &Link, shared: &Shared, refusal: Refusal, last: &mut Option<Refusal>) {
    tracing::debug!(peer = %link.peer, address = link.address, %refusal, "not let in");
    if last.as_ref() != Some(&refusal) {
        *last = Some(refusal.clone());
        shared.inbound.refused(link.peer, refusal);
    }
}

/// Connects and introduces ourselves.
pub(super) async fn connect(link: &Link, shared: &Shared) -> Result<(TcpStream, Hello), ConnectError> {
    let TcpOptions { connect_timeout, handshake_timeout, stall_timeout, .. } = shared.options;
    let connecting = timeout(connect_timeout, TcpStream::connect(&link.address));
    let mut stream = connecting.await.map_err(|_| ConnectError::TimedOut(connect_timeout))??;
    socket::prepare(&stream, stall_timeout)?;
    let greeting = Greeting::new(shared.hello.clone(), link.peer, link.lane);
    let greeted = timeout(handshake_timeout, handshake::greet(&mut stream, &greeting));
    let hello = greeted.await.map_err(|_| ConnectError::Unanswered(handshake_timeout))??;
    Ok((stream, hello))
}

/// Writes what is queued until the connection breaks.
async fn serve(link: &Link, shared: &Shared, mut stream: TcpStream, hello: &Hello) {
    shared.counters.one(Count::Connected);
    tracing::info!(peer = %link.peer, address = link.address, "connected");
    link.queue.borrow_mut().set_open(true);
    shared.inbound.confirmed(hello);
    let (reader, writer) = stream.split();
    let error = tokio::select! {
        biased;
        Err(error) = hung_up(reader) => error,
        Err(error) = write(link, shared, writer) => error,
    };
    link.queue.borrow_mut().set_open(false);
    shared.counters.one(Count::Disconnected);
    tracing::info!(peer = %link.peer, address = link.address, %error, "disconnected");
    shared.inbound.unreachable(link.peer);
}

/// The peer never says anything after the handshake; that it hung up shows only here.
pub(super) async fn hung_up(mut reader: ReadHalf<'_>) -> io::Result<Infallible> {
    let said = reader.read(&mut [0; 1]).await?;
    let what = if said == 0 { "closed by the peer" } else { "the peer speaks out of turn" };
    Err(io::Error::other(what))
}

async fn write(link: &Link, shared: &Shared, mut writer: WriteHalf<'_>) -> io::Result<Infallible> {
    let mut buffer = Vec::new();
    loop {
        buffer = link.queue.borrow_mut().take(buffer);
        if buffer.is_empty() {
            link.filled().await;
        }
        write_all(link, shared, &mut writer, &buffer).await?;
    }
}

/// Writes what was queued, unless nothing moves for too long.
pub(super) async fn write_all(
    link: &Link,
    shared: &Shared,
    writer: &mut WriteHalf<'_>,
    mut left: &[u8],
) -> io::Result<()> {
    while !left.is_empty() {
        let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing any more");
        let written = timeout(shared.options.stall_timeout, writer.write(left)).await.map_err(stalled)??;
        shared.counters.add(Count::BytesOut, written);
        if link.lane == Lane::Bulk {
            shared.counters.add(Count::BulkBytesOut, written);
        }
        left = &left[written..];
    }
    Ok(())
}
