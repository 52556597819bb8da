//! The connection for snapshots: opened when there is one to send, closed when there is none any more.
//!
//! Nobody learns from it whether a peer can be reached: that is what the other connection is for, on which the heartbeats
//! are. Whoever sends a snapshot hears from its receiver, asks again when it does not, and gives up by itself.

use std::io;
use std::rc::Rc;

use raft_actor::transport::Hello;
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::time::timeout;

use super::link::{self, Link};
use super::{Count, Shared};

/// The whole life of one connection, from the first message that waits for it to the last.
pub(super) async fn run(link: Rc<Link>, shared: Rc<Shared>) {
    let pause = match link::connect(&link, &shared).await {
        Ok((stream, hello)) => match serve(&link, &shared, stream, &hello).await {
            Ok(()) => {
                tracing::debug!(peer = %link.peer, "closed the connection for snapshots, which was idle");
                shared.counters.one(Count::BulkClosedIdle);
                return shared.bulk_is_over(&link);
            }
            Err(error) => {
                tracing::info!(peer = %link.peer, address = link.address, %error, "connection for snapshots lost");
                shared.counters.one(Count::BulkDisconnected);
                shared.options.reconnect_delay_min
            }
        },
        Err(error) => {
            shared.counters.one(Count::ConnectFailed);
            tracing::debug!(peer = %link.peer, address = link.address, %error, "cannot connect for snapshots");
            shared.options.reconnect_delay_max
        }
    };
    // What waited is lost, and so is what is sent before it is time for another attempt.
    link.queue.borrow_mut().set_open(false);
    tokio::time::sleep(pause).await;
    shared.bulk_is_over(&link);
}

/// Writes what is queued until there has been nothing for a while.
async fn serve(link: &Link, shared: &Shared, mut stream: TcpStream, hello: &Hello) -> io::Result<()> {
    shared.counters.one(Count::BulkConnected);
    tracing::debug!(peer = %link.peer, address = link.address, "connected for snapshots");
    shared.inbound.confirmed(hello);
    let (reader, writer) = stream.split();
    tokio::select! {
        biased;
        Err(error) = link::hung_up(reader) => Err(error),
        written = write(link, shared, writer) => written,
    }
}

async fn write(link: &Link, shared: &Shared, mut writer: WriteHalf<'_>) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        buffer = link.queue.borrow_mut().take(buffer);
        if buffer.is_empty() {
            let filled = timeout(shared.options.bulk_idle_timeout, link.filled()).await;
            if filled.is_err() && link.queue.borrow().bytes() == 0 {
                return Ok(());
            }
        }
        link::write_all(link, shared, &mut writer, &buffer).await?;
    }
}
