//! Accepting connections, and who has been let in.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use raft_actor::NodeId;
use raft_actor::envelope::codec::VERSION;
use raft_actor::transport::Refusal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::handshake::{self, Greeting, HandshakeError, Lane, Newcomer};
use super::{Count, Shared, Task, TcpOptions, clients, complain, receive, socket};

/// The wait after the listener failed, for instance because the process has no file descriptors left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// All incoming connections.
pub(super) struct Incoming {
    /// `None` once the transport is stopped.
    listener: Option<TcpListener>,
    next_connection: u64,
    /// Those that have not introduced themselves, the oldest first.
    strangers: BTreeMap<u64, Task>,
    admitted: BTreeMap<(NodeId, Lane), Admitted>,
    /// Those who are no hosts, by the number of their connection.
    clients: BTreeMap<u64, Task>,
}

/// What a peer has here.
struct Admitted {
    /// The connection's number and task; `None` if it is closed and only its credit is outstanding.
    connection: Option<(u64, Task)>,
    /// Outlives the connection: who reconnects gets no second credit on top of what the host still has to process.
    credit: Arc<Semaphore>,
}

impl Incoming {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener: Some(listener),
            next_connection: 0,
            strangers: BTreeMap::new(),
            admitted: BTreeMap::new(),
            clients: BTreeMap::new(),
        }
    }

    /// Stops listening and closes everything.
    pub(super) fn close(&mut self) {
        self.listener = None;
        self.strangers.clear();
        self.admitted.clear();
        self.clients.clear();
    }

    /// A client was let in.
    fn client_is_in(&mut self, connection: u64, task: Task) {
        self.clients.insert(connection, task);
    }

    /// The connection of a client ended by itself.
    fn client_is_gone(&mut self, connection: u64) {
        if let Some(task) = self.clients.remove(&connection) {
            task.release();
        }
    }

    /// Closes what `peer` opened to us.
    pub(super) fn forget(&mut self, peer: NodeId) {
        self.admitted.retain(|(node, _), _| *node != peer);
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<(TcpStream, SocketAddr)>>> {
        match &self.listener {
            Some(listener) => listener.poll_accept(cx).map(Some),
            None => Poll::Ready(None),
        }
    }

    /// The connection is no stranger any more. Returns its task, unless it was closed meanwhile.
    fn introduced(&mut self, connection: u64) -> Option<Task> {
        self.strangers.remove(&connection)
    }

    /// Gives `connection` the place of its peer, and the credit that goes with it.
    fn admit(&mut self, key: (NodeId, Lane), connection: (u64, Task), shared: &Shared) -> Option<Arc<Semaphore>> {
        let TcpOptions { credit_bytes, connections_max, .. } = shared.options;
        let credit_bytes = usize::try_from(credit_bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        if !self.admitted.contains_key(&key) && self.admitted.len() >= connections_max {
            self.admitted
                .retain(|_, known| known.connection.is_some() || known.credit.available_permits() < credit_bytes);
            if self.admitted.len() >= connections_max {
                connection.1.release();
                return None;
            }
        }
        let new = || Admitted { connection: None, credit: Arc::new(Semaphore::new(credit_bytes)) };
        let place = self.admitted.entry(key).or_insert_with(new);
        if let Some(_older) = place.connection.replace(connection) {
            // The peer would not open a second one if the first still worked for it.
            shared.counters.one(Count::ClosedReplaced);
        }
        Some(Arc::clone(&place.credit))
    }

    /// `connection` ended by itself.
    fn ended(&mut self, key: (NodeId, Lane), connection: u64) {
        if let Some(place) = self.admitted.get_mut(&key)
            && place.connection.as_ref().is_some_and(|(current, _)| *current == connection)
            && let Some((_, task)) = place.connection.take()
        {
            task.release();
        }
    }
}

/// Accepts connections until the transport is stopped.
pub(super) async fn accept(shared: Rc<Shared>) {
    loop {
        match poll_fn(|cx| shared.incoming.borrow().poll_accept(cx)).await {
            Some(Ok((stream, address))) => {
                shared.counters.one(Count::Accepted);
                take_in(&shared, stream, address);
            }
            Some(Err(error)) => {
                shared.counters.one(Count::AcceptFailed);
                complain!(shared, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
            None => return,
        }
    }
}

fn take_in(shared: &Rc<Shared>, stream: TcpStream, address: SocketAddr) {
    let mut incoming = shared.incoming.borrow_mut();
    while incoming.strangers.len() >= shared.options.handshakes_max.max(1) {
        incoming.strangers.pop_first();
        shared.counters.one(Count::HandshakeCrowdedOut);
    }
    let connection = incoming.next_connection;
    incoming.next_connection += 1;
    let task = Task::spawn(serve(Rc::clone(shared), stream, address, connection));
    incoming.strangers.insert(connection, task);
}

/// The whole life of an incoming connection.
async fn serve(shared: Rc<Shared>, mut stream: TcpStream, address: SocketAddr, connection: u64) {
    let introduced = introduce(&shared, &mut stream, address);
    let greeting = timeout(shared.options.handshake_timeout, introduced).await.unwrap_or_else(|_| {
        shared.counters.one(Count::HandshakeTimedOut);
        complain!(shared, %address, "closed: no handshake in time");
        None
    });
    let Some(task) = shared.incoming.borrow_mut().introduced(connection) else { return };
    let greeting = match greeting {
        Some(Newcomer::Peer(greeting)) => greeting,
        Some(Newcomer::Client(_)) => {
            shared.incoming.borrow_mut().client_is_in(connection, task);
            clients::serve(&shared, stream, address).await;
            return shared.incoming.borrow_mut().client_is_gone(connection);
        }
        None => return task.release(),
    };
    let key = (greeting.hello.node, greeting.lane);
    let credit = shared.incoming.borrow_mut().admit(key, (connection, task), &shared);
    let Some(credit) = credit else {
        shared.counters.one(Count::ClosedTooMany);
        complain!(shared, peer = %greeting.hello.node, %address, "closed: too many connections");
        return;
    };
    let welcomed = timeout(shared.options.handshake_timeout, handshake::welcome(&mut stream, &shared.hello)).await;
    if let Ok(Ok(())) = welcomed {
        shared.counters.one(Count::Admitted);
        shared.peer_is_there(greeting.hello.node, &greeting.hello.address);
        let reason = receive::run(&shared, &mut stream, key, credit).await;
        shared.counters.one(reason.count());
        tracing::debug!(peer = %greeting.hello.node, %address, %reason, "closed");
    } else {
        shared.counters.one(Count::HandshakeCutOff);
    }
    shared.incoming.borrow_mut().ended(key, connection);
}

/// Hears who wants to be let in; `None` if it is not.
async fn introduce(shared: &Shared, stream: &mut TcpStream, address: SocketAddr) -> Option<Newcomer> {
    if let Err(error) = socket::prepare(stream, shared.options.stall_timeout) {
        tracing::debug!(%error, "cannot set the options of a connection");
    }
    let refusal = match Newcomer::read(stream).await {
        Ok(newcomer) => match judge(shared, &newcomer) {
            Ok(()) => return Some(newcomer),
            Err(refusal) => {
                tracing::debug!(%address, %refusal, "refused");
                refusal
            }
        },
        Err(HandshakeError::Version) => Refusal::Version { ours: VERSION },
        Err(HandshakeError::Io(error)) => {
            shared.counters.one(Count::HandshakeCutOff);
            tracing::debug!(%address, %error, "closed before the handshake was complete");
            return None;
        }
        Err(error) => {
            shared.counters.one(Count::NotAHandshake);
            complain!(shared, %address, %error, "closed: not a peer");
            return None;
        }
    };
    shared.counters.one(Count::of_refusal(&refusal));
    if let Err(error) = handshake::refuse(stream, &refusal).await {
        tracing::debug!(%error, "could not tell a refusal");
    }
    None
}

fn judge(shared: &Shared, newcomer: &Newcomer) -> Result<(), Refusal> {
    match newcomer {
        Newcomer::Peer(greeting) => judge_peer(shared, greeting),
        Newcomer::Client(greeting) if greeting.cluster != shared.hello.cluster => {
            Err(Refusal::Cluster { ours: shared.hello.cluster.clone() })
        }
        Newcomer::Client(_) if shared.incoming.borrow().clients.len() >= shared.options.client_connections_max => {
            Err(Refusal::Crowded)
        }
        Newcomer::Client(_) => Ok(()),
    }
}

/// Whether we are the one that is looked for, by somebody whom the host lets in.
fn judge_peer(shared: &Shared, greeting: &Greeting) -> Result<(), Refusal> {
    let ours = shared.hello.node;
    if greeting.to != ours {
        return Err(Refusal::Target { ours });
    }
    if greeting.hello.node == ours {
        return Err(Refusal::Identity { node: ours });
    }
    shared.inbound.admit(&greeting.hello)
}
