//! The task of a client: connects, goes where the leader is, reads answers, keeps time.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use raft_actor::NodeId;
use raft_actor::envelope::codec::{self, DecodeError};
use raft_actor::envelope::{Body, Envelope};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::codec::FramedRead;

use super::error::AttemptError;
use super::options::ClientOptions;
use super::requests::Requests;
use crate::backoff::Backoff;
use crate::pipe::Pipe;
use crate::tcp::handshake::{self, ClientWelcome};
use crate::tcp::receive::{frames, give_back};
use crate::tcp::socket;

/// How long a node that does not lead any more may still answer what is in its log.
const FAREWELL_MAX: Duration = Duration::from_millis(200);
/// What one read asks the kernel for.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// What the task and all handles of a client have in common.
pub(super) struct Shared {
    requests: Mutex<Requests>,
    /// There is something to send, or a reason to go elsewhere.
    news: Notify,
    /// The alarm goes off earlier than it did.
    alarm: Notify,
    /// Changes with every attempt to connect: whether it was a success.
    attempts: watch::Sender<bool>,
    pub(super) options: Arc<ClientOptions>,
    cluster: String,
}

impl Shared {
    pub(super) fn new(cluster: String, options: Arc<ClientOptions>, requests: Requests) -> Self {
        let (news, alarm, attempts) = (Notify::new(), Notify::new(), watch::Sender::new(false));
        Self { requests: Mutex::new(requests), news, alarm, attempts, options, cluster }
    }

    /// Changes the requests; outcomes are handed over when they are not locked any more, for a waker may do anything.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut Requests) -> R) -> R {
        let mut requests = self.lock();
        let before = requests.alarm();
        let result = change(&mut requests);
        let settled = requests.take_settled();
        let is_earlier = requests.alarm().is_some_and(|alarm| before.is_none_or(|before| alarm < before));
        let is_leaving = requests.is_leaving();
        drop(requests);
        if is_earlier {
            self.alarm.notify_one();
        }
        if is_leaving {
            self.news.notify_one();
        }
        for (caller, outcome) in settled {
            // A caller that does not wait any more gets nothing; that is its right.
            let _ = caller.send(outcome);
        }
        result
    }

    /// There is something to send that could not be sent at once.
    pub(super) fn notify(&self) {
        self.news.notify_one();
    }

    pub(super) fn attempts(&self) -> watch::Receiver<bool> {
        self.attempts.subscribe()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Requests> {
        // No code of others runs under this lock.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.with(|requests| requests.close(Instant::now()));
    }
}

/// Answers everybody when the task ends, however that comes about.
struct Sentinel(Arc<Shared>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Serves the requests until the task is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let sentinel = Sentinel(shared);
    tokio::select! {
        biased;
        () = travel(&sentinel.0) => {}
        _ = keep_time(&sentinel.0) => {}
    }
}

async fn keep_time(shared: &Shared) -> Infallible {
    loop {
        let alarm = shared.lock().alarm();
        match alarm {
            Some(at) if at <= Instant::now() => shared.with(|requests| {
                let now = Instant::now();
                requests.on_time(now);
                requests.flush(now);
            }),
            Some(at) => tokio::select! {
                () = sleep_until(at) => {}
                () = shared.alarm.notified() => {}
            },
            None => shared.alarm.notified().await,
        }
    }
}

/// From node to node. Ends only if there is no address to go to.
async fn travel(shared: &Shared) {
    let ClientOptions { retry_delay_min, retry_delay_max, .. } = *shared.options;
    let mut wait = Backoff::new(retry_delay_min, retry_delay_max);
    while let Some(address) = shared.with(Requests::next_address) {
        match open(shared, &address).await {
            Ok((stream, welcome)) => {
                let node = welcome.hello.node;
                shared.with(|requests| requests.book.learn(&address, &welcome));
                tracing::debug!(%node, address, "connected");
                let since = Instant::now();
                let why = serve(shared, stream, node).await;
                tracing::debug!(%node, address, why = why.as_ref().map(tracing::field::display), "disconnected");
                if since.elapsed() >= retry_delay_max {
                    wait.reset();
                }
                if why.is_none() {
                    // It knows who leads. Pauses are made before that when nobody does.
                    continue;
                }
            }
            Err(error) => {
                tracing::debug!(address, %error, "cannot connect");
                shared.with(|requests| requests.book.failed(&address, Instant::now(), error));
                shared.attempts.send_replace(false);
            }
        }
        sleep(wait.next()).await;
    }
}

/// Connects and introduces ourselves. TLS would have its place between the two.
async fn open(shared: &Shared, address: &str) -> Result<(TcpStream, ClientWelcome), AttemptError> {
    let ClientOptions { connect_timeout, handshake_timeout, stall_timeout, .. } = *shared.options;
    let io = |error| AttemptError::Io(Arc::new(error));
    let connecting = timeout(connect_timeout, TcpStream::connect(address)).await;
    let mut stream = connecting.map_err(|_| AttemptError::TimedOut(connect_timeout))?.map_err(io)?;
    socket::prepare(&stream, stall_timeout).map_err(io)?;
    let greeting = timeout(handshake_timeout, handshake::greet_as_client(&mut stream, &shared.cluster)).await;
    let welcome = greeting.map_err(|_| AttemptError::Unanswered(handshake_timeout))??;
    Ok((stream, welcome))
}

/// Asks this node until the connection breaks (then says why) or there is a better place to be.
async fn serve(shared: &Shared, stream: TcpStream, node: NodeId) -> Option<io::Error> {
    let options = &shared.options;
    let (reader, writer) = stream.into_split();
    // What waits is bounded by what all requests together may take.
    let pipe = Arc::new(Pipe::new(writer, usize::MAX, options.frame_bytes_max));
    shared.with(|requests| requests.connected(node, Arc::clone(&pipe), Instant::now()));
    shared.attempts.send_replace(true);
    let why = tokio::select! {
        biased;
        Err(error) = read(shared, reader) => Some(error),
        Err(error) = pipe.run(options.stall_timeout) => Some(error),
        () = send_until_it_is_time_to_go(shared) => None,
    };
    pipe.close();
    shared.with(|requests| requests.disconnected(Instant::now()));
    why
}

/// Reads answers.
async fn read(shared: &Shared, reader: OwnedReadHalf) -> io::Result<Infallible> {
    let mut reader = FramedRead::with_capacity(reader, frames(shared.options.frame_bytes_max), READ_BUFFER_BYTES);
    while let Some(frame) = reader.next().await {
        let frame = frame?;
        match codec::decode(&frame) {
            Ok(Envelope { body: Body::ForwardReply(reply), .. }) => shared.with(|requests| {
                let now = Instant::now();
                requests.answered(reply, now);
                requests.flush(now);
            }),
            Ok(_) => tracing::debug!("a node says to a client what only hosts are told"),
            // What follows it cannot be trusted.
            Err(DecodeError::Frame(error)) => return Err(io::Error::other(error)),
            Err(error) => tracing::debug!(%error, "ignored a message"),
        }
        let bytes = frame.len();
        drop(frame);
        give_back(reader.read_buffer_mut(), bytes);
    }
    Err(io::Error::other("closed by the node"))
}

/// Sends what comes in while something is under way: all that came in meanwhile, in one go.
async fn send_until_it_is_time_to_go(shared: &Shared) {
    loop {
        shared.news.notified().await;
        shared.with(|requests| requests.flush(Instant::now()));
        if shared.lock().is_leaving() {
            break;
        }
    }
    let answered = async {
        while !shared.lock().is_idle() {
            shared.news.notified().await;
        }
    };
    // Too late? Then the next node is asked what became of it.
    let _ = timeout(FAREWELL_MAX, answered).await;
}
