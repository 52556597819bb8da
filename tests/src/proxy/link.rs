//! One direction between two nodes: the listener, and the handle in the hands of the test.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::connection::Connection;
use super::counts::{Recorded, one};
use super::{Counts, Weather};

/// What a listener that has not accepted them yet keeps; more than a storm of reconnects brings.
const BACKLOG: i32 = 1024;
/// What the kernel may receive before the link has read it. Little, so that a slow link is felt soon.
const RECEIVE_BUFFER_BYTES: usize = 32 << 10;

/// One link; clones are the same one.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

/// What the handle, the listener and the connections have in common.
#[derive(Debug)]
pub(super) struct Shared {
    address: SocketAddr,
    pub(super) target: SocketAddr,
    orders: watch::Sender<Orders>,
    pub(super) counts: Recorded,
}

/// What the test wants.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    pub(super) weather: Weather,
    /// How often all connections were to be reset.
    pub(super) resets: u64,
    /// How often all connections were to be abandoned.
    pub(super) abandons: u64,
}

impl Link {
    pub(super) fn open(runtime: &Handle, target: SocketAddr) -> io::Result<Self> {
        let port = Port::reserve()?;
        let listener = port.listen()?;
        let address = port.address;
        let orders = watch::Sender::new(Orders::default());
        let shared = Arc::new(Shared { address, target, orders, counts: Recorded::default() });
        runtime.spawn(accept(Arc::clone(&shared), port, listener));
        Ok(Self { shared })
    }

    /// Where to connect to instead of to the target.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// From now on it does this, to open connections as well.
    pub fn set(&self, weather: Weather) {
        self.shared.orders.send_if_modified(|orders| {
            let news = orders.weather != weather;
            orders.weather = weather;
            news
        });
    }

    /// Resets all open connections, at both ends.
    pub fn reset(&self) {
        self.shared.orders.send_modify(|orders| orders.resets += 1);
    }

    /// Resets all open connections at the end that connected. The other end hears nothing of it, or of anything
    /// else, until the link is [reset](Link::reset).
    pub fn abandon(&self) {
        self.shared.orders.send_modify(|orders| orders.abandons += 1);
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts.counts()
    }
}

/// A port that nobody else gets, whether or not somebody listens there.
#[derive(Debug)]
struct Port {
    address: SocketAddr,
    /// Bound, and never listens: with nobody else there the kernel refuses connections.
    _guard: Socket,
}

impl Port {
    fn reserve() -> io::Result<Self> {
        let guard = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = guard.local_addr()?.as_socket().expect("an IPv4 socket has an address");
        Ok(Self { address, _guard: guard })
    }

    fn listen(&self) -> io::Result<Socket> {
        let socket = bound(self.address)?;
        // Accepted connections inherit it.
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // The guard and the listener share the port.
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(target_os = "linux")))]
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// Takes in connections until the runtime ends.
async fn accept(shared: Arc<Shared>, port: Port, first: Socket) {
    let mut orders = shared.orders.subscribe();
    let mut listener = Some(TcpListener::from_std(first.into()).expect("a listening socket"));
    loop {
        let refuse = orders.borrow_and_update().weather.refuse;
        if refuse && listener.take().is_some() {
            one(&shared.counts.deaf);
        }
        if !refuse && listener.is_none() {
            let socket = port.listen().expect("the port is reserved");
            listener = Some(TcpListener::from_std(socket.into()).expect("a listening socket"));
        }
        let Some(listener) = &listener else {
            orders.changed().await.expect("the link itself keeps the sender");
            continue;
        };
        tokio::select! {
            changed = orders.changed() => changed.expect("the link itself keeps the sender"),
            accepted = listener.accept() => {
                // An error is that of a connection that is gone again already.
                if let Ok((stream, _)) = accepted {
                    one(&shared.counts.accepted);
                    tokio::spawn(Connection::new(Arc::clone(&shared), orders.clone()).carry(stream));
                }
            }
        }
    }
}
