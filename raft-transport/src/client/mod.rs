//! Using a cluster without being a node of it.
//!
//! [`RemoteClient`] speaks to the hosts of a cluster over TCP, on the port on which they speak to each other. It holds
//! one connection, to the leader as far as it knows, on which many requests are under way at the same time; it finds the
//! leader, follows it, and asks again what got lost. Commands travel in a session: they are applied once.
//!
//! | file | what it holds |
//! |---|---|
//! | `driver` | the task: connects, reads answers, keeps time |
//! | `requests` | all requests without an answer, and what becomes of them |
//! | `session` | numbering commands, so that each is applied once |
//! | `book` | where nodes are |
//! | `answer` | what a caller waits for |

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use raft_actor::envelope::ForwardKind;
use raft_actor::{NodeId, StateMachine, remote};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

mod answer;
mod book;
mod driver;
mod error;
mod options;
mod requests;
mod session;

pub use answer::{RemoteAnswer, RemoteAnswers};
pub use error::{AttemptError, ConnectError, RemoteError, Trouble};
pub use options::ClientOptions;

use book::AddressBook;
use driver::Shared;
use requests::{Outcome, Request, Requests, Waiter};

/// Room in a frame beside a single request.
const FRAME_ROOM_BYTES: u32 = 4096;

/// A client of a cluster, for a service that runs no node of it. Cheap to clone, `Send` and `Sync`; all clones share one
/// connection and one session.
///
/// Commands are applied **once**: whatever happens on the way, they are sent again within their session until the
/// deadline. See [`without_session`](RemoteClient::without_session) for doing without, and `docs/CLIENT.md` for what is
/// guaranteed.
///
/// It is connected on the tokio runtime on which [`connect`](RemoteClient::connect) is called, of any kind, and lives as
/// long as that one; its futures can be awaited anywhere.
///
/// ```no_run
/// use raft_actor::{ApplyContext, StateMachine};
/// use raft_transport::RemoteClient;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Default, Serialize, Deserialize)]
/// # struct Counter { value: u64 }
/// # impl StateMachine for Counter {
/// #     type Command = u64;
/// #     type Response = u64;
/// #     type Query = ();
/// #     type Answer = u64;
/// #     fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 { self.value += add; self.value }
/// #     fn query(&self, (): ()) -> u64 { self.value }
/// # }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let nodes = ["10.0.0.1:7101", "10.0.0.2:7101", "10.0.0.3:7101"];
/// let counter = RemoteClient::<Counter>::connect("counters", nodes).await?;
/// let sum = counter.write(5).await?; // added once, even if the leader dies meanwhile
/// assert!(counter.read(()).await? >= sum);
/// # Ok(())
/// # }
/// ```
pub struct RemoteClient<S: StateMachine> {
    core: Arc<Core>,
    session: Option<Arc<SessionHold>>,
    timeout: Duration,
    machine: PhantomData<fn() -> S>,
}

/// The client itself. Dropped with the last handle and the last future, it hangs up.
struct Core {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A session, as long as somebody has it.
struct SessionHold {
    shared: Arc<Shared>,
    id: u64,
}

impl SessionHold {
    fn new(shared: &Arc<Shared>) -> Arc<Self> {
        let id = shared.with(Requests::open_session);
        Arc::new(Self { shared: Arc::clone(shared), id })
    }
}

impl Drop for SessionHold {
    fn drop(&mut self) {
        self.shared.with(|requests| requests.close_session(self.id, Instant::now()));
    }
}

impl<S: StateMachine> RemoteClient<S> {
    /// Connects to whichever of these nodes answers first. Some of a cluster are enough: they tell where the others are.
    ///
    /// # Errors
    /// If none of them lets the client in within the default timeout.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time.
    pub async fn connect<A: Into<String>>(
        cluster: impl Into<String>,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<Self, ConnectError> {
        Self::connect_with(cluster, addresses, ClientOptions::default()).await
    }

    /// The same with other limits than the default ones.
    ///
    /// # Errors
    /// If none of them lets the client in within `options.timeout`.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time.
    pub async fn connect_with<A: Into<String>>(
        cluster: impl Into<String>,
        addresses: impl IntoIterator<Item = A>,
        options: ClientOptions,
    ) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + options.timeout;
        let options = Arc::new(options);
        let book = AddressBook::new(addresses.into_iter().map(Into::into).collect());
        let requests = Requests::new(Arc::clone(&options), book);
        let shared = Arc::new(Shared::new(cluster.into(), options, requests));
        let mut attempts = shared.attempts();
        let task = tokio::spawn(driver::run(Arc::clone(&shared))).abort_handle();
        let core = Arc::new(Core { shared, task });
        while !*attempts.borrow_and_update() {
            if core.shared.lock().book.is_hopeless()
                || !matches!(timeout_at(deadline, attempts.changed()).await, Ok(Ok(())))
            {
                return Err(ConnectError::new(core.shared.lock().book.failures()));
            }
        }
        let (session, timeout) = (Some(SessionHold::new(&core.shared)), core.shared.options.timeout);
        Ok(Self { core, session, timeout, machine: PhantomData })
    }

    /// Replicates a command and applies it, once; answers with the state machine's response.
    ///
    /// The command is under way when this returns, whether the future is polled or not. Commands written one after the
    /// other are applied in that order as long as neither leader nor connection changes.
    ///
    /// # Errors
    /// See [`RemoteError`]; ask its [`maybe_applied`](RemoteError::maybe_applied) before trying again.
    pub fn write(&self, command: S::Command) -> RemoteAnswer<S::Response> {
        self.ask(ForwardKind::Write, &command)
    }

    /// Like [`write`](RemoteClient::write) for many commands at once, which travel together. Each has an outcome of its
    /// own, in the order given.
    pub fn write_many(&self, commands: impl IntoIterator<Item = S::Command>) -> RemoteAnswers<S::Response> {
        let encoded = commands.into_iter().map(|command| self.encode(&command)).collect();
        RemoteAnswers::new(self.push_all(ForwardKind::Write, encoded))
    }

    /// Answers a query linearizably: it sees every write that was answered before it was asked, wherever that was.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn read(&self, query: S::Query) -> RemoteAnswer<S::Answer> {
        self.ask(ForwardKind::Read, &query)
    }

    /// Answers a query from the state of the node that this client is connected to, as it is. That may be stale, by any
    /// amount if the node is cut off; but it needs no majority.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn read_local(&self, query: S::Query) -> RemoteAnswer<S::Answer> {
        self.ask(ForwardKind::ReadLocal, &query)
    }

    /// The same connection with another session. Up to 1 024 commands of a session are under way at the same time,
    /// others wait for their turn; in another session they do not.
    #[must_use]
    pub fn session(&self) -> Self {
        Self { session: Some(SessionHold::new(&self.core.shared)), ..self.clone() }
    }

    /// The same connection without a session: commands are smaller, and nothing is remembered of them. One that is under
    /// way when the leader changes or the connection breaks is not sent again, but fails with
    /// [`RemoteError::Unknown`].
    #[must_use]
    pub fn without_session(&self) -> Self {
        Self { session: None, ..self.clone() }
    }

    /// The same client with another deadline for its requests.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The node that it is connected to at the moment.
    pub fn connected_to(&self) -> Option<NodeId> {
        self.core.shared.lock().node()
    }

    fn ask<Q: Serialize, A>(&self, kind: ForwardKind, request: &Q) -> RemoteAnswer<A> {
        let encoded = self.encode(request);
        let mut answers = self.push_all(kind, vec![encoded]);
        answers.pop().expect("one request, one answer")
    }

    fn encode<Q: Serialize>(&self, request: &Q) -> Result<bytes::Bytes, RemoteError> {
        let encoded = remote::encode(request).map_err(|_| RemoteError::BadRequest {})?;
        let bytes_max = u64::from(self.core.shared.options.frame_bytes_max.saturating_sub(FRAME_ROOM_BYTES));
        let bytes = encoded.len() as u64;
        if bytes > bytes_max { Err(RemoteError::TooLarge { bytes, bytes_max }) } else { Ok(encoded) }
    }

    fn push_all<A>(&self, kind: ForwardKind, encoded: Vec<Result<bytes::Bytes, RemoteError>>) -> Vec<RemoteAnswer<A>> {
        let shared = &self.core.shared;
        let is_write = kind == ForwardKind::Write;
        let session = self.session.as_ref().filter(|_| is_write).map(|session| session.id);
        let (answers, is_sent) = shared.with(|requests| {
            let now = Instant::now();
            let is_idle = requests.is_idle();
            let mut push = |bytes| {
                let (sender, receiver): (oneshot::Sender<Outcome>, _) = oneshot::channel();
                let request = Request::new(kind, bytes, now + self.timeout, Waiter::Caller(sender));
                requests.push(request, session).map(|()| receiver)
            };
            let pushed: Vec<_> = encoded.into_iter().map(|bytes| bytes.and_then(&mut push)).collect();
            if is_idle {
                requests.flush(now);
            }
            (pushed, is_idle)
        });
        if !is_sent {
            shared.notify();
        }
        let keep = self.session.as_ref().filter(|_| is_write);
        answers
            .into_iter()
            .map(|pushed| RemoteAnswer::new(Arc::clone(&self.core), keep.cloned(), is_write, pushed))
            .collect()
    }
}

impl<S: StateMachine> Clone for RemoteClient<S> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            session: self.session.clone(),
            timeout: self.timeout,
            machine: PhantomData,
        }
    }
}

impl<S: StateMachine> fmt::Debug for RemoteClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteClient").field("connected_to", &self.connected_to()).finish_non_exhaustive()
    }
}
