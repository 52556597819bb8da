//! Commands that are applied once, whatever happens on the way (§8, dissertation 6.3).

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use raft_consensus::Time;

use super::WriteError;
use super::queue::Queue;
use super::raft_handle::RaftHandle;
use crate::callers::slots::Pending;
use crate::remote::Sequence;
use crate::state_machine::command::Once;
use crate::state_machine::{StateMachine, Writes};

/// How often a command is sent again whose fate became unknown. Each time it may have been appended once more: it
/// is applied once all the same, but the log has to hold it.
const TRIES_MAX: u32 = 16;

/// A client whose commands are applied exactly once.
///
/// When a leader dies, nobody knows whether the commands that were under way were applied. A session may send them
/// again: the cluster remembers which of its commands were applied, and what the answer was. It does so by itself,
/// until the deadline. All members remember the same, and snapshots carry it.
///
/// A session that no command was sent in for longer than its lifetime of log time
/// ([`HostBuilder::session_lifetime`](crate::HostBuilder::session_lifetime)) is forgotten; so is the most idle one of
/// more than 65 536. Its next command is not applied but fails with [`WriteError::SessionExpired`]: begin another one.
///
/// Clones are the same session. Up to 1 024 commands may be under way in it.
///
/// # Example
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// # #[actix_rt::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = LocalCluster::<Counter>::start(3).await?;
/// let session = cluster.node(2).session();
/// assert_eq!(session.write(5).await?, 5); // added once, even if the leader dies meanwhile
/// # Ok(())
/// # }
/// ```
pub struct Session<S: StateMachine> {
    raft: RaftHandle<S>,
    client: Arc<Client>,
}

/// What all clones of a session share.
struct Client {
    name: String,
    numbers: Mutex<Numbers>,
}

struct Numbers {
    next: u64,
    outstanding: BTreeSet<u64>,
    /// One of its commands was answered, so the cluster knows it.
    is_open: bool,
}

impl Client {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // No code of others runs under this lock.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sequence for one more command, up to where all answers are here, and whether the client may be unknown.
    fn begin(&self) -> (u64, u64, bool) {
        let mut numbers = self.numbers();
        let sequence = numbers.next;
        numbers.next += 1;
        numbers.outstanding.insert(sequence);
        let first = numbers.outstanding.first().copied().unwrap_or(sequence);
        (sequence, first - 1, !numbers.is_open)
    }
}

impl<S: StateMachine> Session<S> {
    pub(super) fn new(raft: RaftHandle<S>, name: String) -> Self {
        let numbers = Mutex::new(Numbers { next: 1, outstanding: BTreeSet::new(), is_open: false });
        Self { raft, client: Arc::new(Client { name, numbers }) }
    }

    /// Writes a command, exactly once. It is on its way when this returns, and sent again as often as need be within
    /// the handle's timeout.
    ///
    /// # Errors
    /// As [`RaftHandle::write`], yet hardly ever with an unknown outcome: only if the deadline passes first or this
    /// node stops. [`WriteError::SessionExpired`] if the session was forgotten.
    pub fn write(&self, command: S::Command) -> SessionWrite<S> {
        let (sequence, acknowledged, may_open) = self.client.begin();
        let once = Once { client: &self.client.name, sequence, acknowledged, may_open };
        let outstanding = Outstanding { client: Arc::clone(&self.client), sequence };
        SessionWrite::new(&self.raft, &once, &command, Some(outstanding))
    }

    /// What the cluster knows this client by.
    pub fn client(&self) -> &str {
        &self.client.name
    }
}

impl<S: StateMachine> Clone for Session<S> {
    fn clone(&self) -> Self {
        Self { raft: self.raft.clone(), client: Arc::clone(&self.client) }
    }
}

impl<S: StateMachine> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("client", &self.client.name).finish_non_exhaustive()
    }
}

impl<S: StateMachine> RaftHandle<S> {
    /// Begins a session: its commands are applied exactly once. Costs nothing until the first of them.
    #[must_use]
    pub fn session(&self) -> Session<S> {
        Session::new(self.clone(), self.session_names().next())
    }

    /// Writes a command for a client that counts its commands itself, as one behind HTTP does: the same `client` and
    /// `sequence` are applied once, and whoever asks again gets the first answer.
    ///
    /// The first command of a client has `sequence` 1; one that is not remembered cannot begin with another. Answers
    /// are remembered as long as those of a [`Session`], the last 1 024 of each client.
    ///
    /// # Errors
    /// As [`Session::write`]; [`WriteError::BadRequest`] if the client's name is empty or longer than 128 bytes.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// assert_eq!(cluster.node(1).write_once("till-7", 1, 5).await?, 5);
    /// assert_eq!(cluster.node(2).write_once("till-7", 1, 5).await?, 5, "not applied again");
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_once(&self, client: &str, sequence: u64, command: S::Command) -> SessionWrite<S> {
        self.write_sequenced(Sequence { client, sequence, acknowledged: 0, may_open: sequence == 1 }, command)
    }

    /// As [`write_once`](Self::write_once), for clients that say also which answers they have, so that those need not
    /// be remembered.
    ///
    /// # Errors
    /// As [`write_once`](Self::write_once).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
    /// use raft_actor::remote::Sequence;
    /// # #[actix_rt::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = LocalCluster::<Counter>::start(3).await?;
    /// let raft = cluster.node(1);
    /// let first = Sequence { client: "till-7", sequence: 1, acknowledged: 0, may_open: true };
    /// assert_eq!(raft.write_sequenced(first, 5).await?, 5);
    /// let second = Sequence { client: "till-7", sequence: 2, acknowledged: 1, may_open: false };
    /// assert_eq!(raft.write_sequenced(second, 5).await?, 10);
    /// assert!(raft.write_sequenced(first, 5).await.is_err(), "whoever has the answer does not ask again");
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_sequenced(&self, sequence: Sequence<'_>, command: S::Command) -> SessionWrite<S> {
        let Sequence { client, sequence, acknowledged, may_open } = sequence;
        SessionWrite::new(self, &Once { client, sequence, acknowledged, may_open }, &command, None)
    }
}

/// A command of a [`Session`] that is under way. Dropping it withdraws nothing.
#[must_use = "the command is under way, but only the future knows whether it was applied"]
pub struct SessionWrite<S: StateMachine> {
    queue: Arc<Queue<S>>,
    pending: Pending<Writes<S>>,
    framed: Bytes,
    deadline: Time,
    tries: u32,
    /// Until this is dropped its answer has to be remembered.
    outstanding: Option<Outstanding>,
}

struct Outstanding {
    client: Arc<Client>,
    sequence: u64,
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.client.numbers().outstanding.remove(&self.sequence);
    }
}

impl<S: StateMachine> SessionWrite<S> {
    fn new(raft: &RaftHandle<S>, once: &Once<'_>, command: &S::Command, outstanding: Option<Outstanding>) -> Self {
        let queue = Arc::clone(raft.queue());
        let deadline = queue.deadline(raft.timeout());
        let (pending, framed) = match queue.frame_once(once, command) {
            Ok(framed) => (queue.write_framed(framed.clone(), deadline), framed),
            Err(failure) => (Pending::refused(failure.into()), Bytes::new()),
        };
        Self { queue, pending, framed, deadline, tries: 1, outstanding }
    }
}

/// Nothing in it is pinned.
impl<S: StateMachine> Unpin for SessionWrite<S> {}

impl<S: StateMachine> Future for SessionWrite<S> {
    type Output = Result<S::Response, WriteError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match ready!(Pin::new(&mut this.pending).poll(cx)) {
                // Its leader is gone, or lost track of it: whoever leads now knows whether it was applied.
                Err(WriteError::Unknown {}) if this.tries < TRIES_MAX => {
                    this.tries += 1;
                    this.pending = this.queue.write_framed(this.framed.clone(), this.deadline);
                }
                outcome => {
                    if let (Ok(_), Some(outstanding)) = (&outcome, &this.outstanding) {
                        outstanding.client.numbers().is_open = true;
                    }
                    // What holds of the last try does not hold of those before it.
                    let is_first = this.tries == 1;
                    return Poll::Ready(
                        outcome.map_err(|error| if is_first { error } else { error.of_one_more_try() }),
                    );
                }
            }
        }
    }
}

impl<S: StateMachine> fmt::Debug for SessionWrite<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionWrite").field("tries", &self.tries).finish_non_exhaustive()
    }
}

/// Names for the sessions of one node: no two are alike, over restarts either.
#[derive(Debug)]
pub(crate) struct SessionNames {
    /// Differs from run to run.
    run: u64,
    count: AtomicU64,
}

impl SessionNames {
    pub(crate) fn new(run: u64) -> Self {
        Self { run, count: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("{:016x}-{}", self.run, self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// How long a session is remembered that is not used, unless the builder says otherwise.
pub(crate) const DEFAULT_LIFETIME: Duration = Duration::from_secs(3_600);
