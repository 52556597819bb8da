//! Messages over TCP.
//!
//! Every host listens on one address and opens its own connection to every peer
//! it sends to: a connection carries messages one way only, from the host that
//! opened it. So a connection has one owner who reconnects it, and the two
//! directions fail independently, as Raft expects.
//!
//! | file | what it holds |
//! |---|---|
//! | `handshake` | the first words on a connection |
//! | `incoming` | accepting connections, and who has been let in |
//! | `receive` | reading the messages of one peer |
//! | `outgoing` | which peers there are, and where |
//! | `link` | one outgoing connection: connect, write, reconnect |
//! | `clients` | serving those who run no node of their own |
//! | `bulk` | the other one to the same peer, for snapshots: opened and closed as needed |
//! | `queue` | what waits to be written |
//! | `socket` | options of the operating system's sockets |
//!
//! Everything runs as tasks on the thread on which the transport was started;
//! nothing here is shared with another thread but the counters. Whatever a
//! remote does, memory stays within [`TcpOptions`], other connections go on,
//! and it is counted.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use raft_actor::NodeId;
use raft_actor::envelope::Envelope;
use raft_actor::transport::{Hello, Inbound, Outbound, Transport};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

mod bulk;
mod clients;
mod counters;
pub(crate) mod handshake;
mod incoming;
mod link;
mod options;
mod outgoing;
mod queue;
pub(crate) mod receive;
pub(crate) mod socket;

pub use counters::{Count, TcpCounters};
pub use options::TcpOptions;

pub(crate) use clients::NOBODY;
use incoming::Incoming;
use outgoing::Outgoing;

/// Strangers and broken peers get a warning at most this often; the rest goes to the debug log, and is counted.
const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// Warns, unless somebody has just been warned: who floods the port must not flood the log.
macro_rules! complain {
    ($shared:expr, $($what:tt)+) => {
        if $shared.may_warn() { tracing::warn!($($what)+) } else { tracing::debug!($($what)+) }
    };
}
use complain;

/// A buffer that grew beyond this is given back when it is empty; a smaller one is kept for the next batch.
const KEPT_BUFFER_BYTES_MAX: usize = 4 << 20;

/// Carries messages over TCP; listens from the moment it is made.
///
/// ```
/// use raft_actor::transport::Transport;
/// use raft_transport::Tcp;
///
/// let tcp = Tcp::bind("127.0.0.1:0")?; // port 0: any free one
/// assert!(!tcp.address().ends_with(":0"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Tcp {
    listener: std::net::TcpListener,
    local: SocketAddr,
    advertised: Option<String>,
    options: TcpOptions,
    counters: Arc<TcpCounters>,
}

impl Tcp {
    /// Listens on `address`. Connections wait in the kernel until the host starts.
    ///
    /// # Errors
    /// If the address cannot be resolved or is in use.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let local = listener.local_addr()?;
        let counters = Arc::new(TcpCounters::new());
        Ok(Self { listener, local, advertised: None, options: TcpOptions::default(), counters })
    }

    /// The address others shall use, if it is not the one listened on: behind
    /// address translation, or when listening on `0.0.0.0`.
    #[must_use]
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertised = Some(address.into());
        self
    }

    /// Other limits than the default ones.
    #[must_use]
    pub fn options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }

    /// What happens on this transport, now and after it was started.
    pub fn counters(&self) -> Arc<TcpCounters> {
        Arc::clone(&self.counters)
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Transport for Tcp {
    fn start(self: Box<Self>, hello: Hello, inbound: Arc<dyn Inbound>) -> io::Result<Rc<dyn Outbound>> {
        if !handshake::fits(&hello) {
            let limit = "the cluster's name and the address must be shorter: they do not fit into a handshake";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, limit));
        }
        let credit_bytes = usize::try_from(self.options.credit_bytes).unwrap_or(usize::MAX);
        let clients_credit = Arc::new(Semaphore::new(credit_bytes.min(Semaphore::MAX_PERMITS)));
        let shared = Rc::new(Shared {
            outgoing: RefCell::new(Outgoing::default()),
            incoming: RefCell::new(Incoming::new(TcpListener::from_std(self.listener)?)),
            options: self.options,
            counters: self.counters,
            hello,
            inbound,
            last_warning: Cell::new(None),
            clients_credit,
        });
        let accept = Task::spawn(incoming::accept(Rc::clone(&shared)));
        Ok(Rc::new(TcpOutbound { shared, _accept: accept }))
    }

    fn address(&self) -> String {
        self.advertised.clone().unwrap_or_else(|| self.local.to_string())
    }

    fn message_bytes_max(&self) -> u64 {
        self.options.frame_bytes_max.into()
    }
}

/// What the tasks of a transport have in common. No borrow of its cells may be
/// alive during an await, or while the host is called: it may call back.
struct Shared {
    options: TcpOptions,
    counters: Arc<TcpCounters>,
    hello: Hello,
    inbound: Arc<dyn Inbound>,
    outgoing: RefCell<Outgoing>,
    incoming: RefCell<Incoming>,
    last_warning: Cell<Option<Instant>>,
    /// What all clients together may have under way to the host: they come and go, and one is as good as the other.
    clients_credit: Arc<Semaphore>,
}

impl Shared {
    fn may_warn(&self) -> bool {
        let now = Instant::now();
        let may = self.last_warning.get().is_none_or(|last| now.duration_since(last) >= WARNING_INTERVAL);
        if may {
            self.last_warning.set(Some(now));
        }
        may
    }
}

/// A started transport. Dropping it frees the port at once and ends all its tasks.
struct TcpOutbound {
    shared: Rc<Shared>,
    _accept: Task,
}

impl Outbound for TcpOutbound {
    fn send(&self, envelope: Envelope) -> bool {
        self.shared.send(&envelope)
    }

    fn set_address(&self, peer: NodeId, address: &str) {
        self.shared.set_address(peer, address);
    }

    fn forget(&self, peer: NodeId) {
        let forgotten = self.shared.outgoing.borrow_mut().forget(peer);
        self.shared.incoming.borrow_mut().forget(peer);
        drop(forgotten);
    }
}

impl Drop for TcpOutbound {
    fn drop(&mut self) {
        self.shared.outgoing.borrow_mut().clear();
        self.shared.incoming.borrow_mut().close();
    }
}

impl fmt::Debug for TcpOutbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpOutbound").field("node", &self.shared.hello.node).finish_non_exhaustive()
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
struct Task(Option<AbortHandle>);

impl Task {
    fn spawn(future: impl Future<Output = ()> + 'static) -> Self {
        Self(Some(tokio::task::spawn_local(future).abort_handle()))
    }

    /// Lets the task end by itself.
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}
