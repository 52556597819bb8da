//! Options of the operating system's sockets.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Probes that may stay without an answer before the kernel gives a silent connection up.
const KEEPALIVE_PROBES: u32 = 3;

/// Makes `stream` send at once, and notice within about `stall_timeout` that the other end is gone.
pub(crate) fn prepare(stream: &TcpStream, stall_timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // A peer that lost its power says nothing any more. On an idle connection only a probe finds that out; the
    // kernel counts in seconds.
    let interval = (stall_timeout / (KEEPALIVE_PROBES + 1)).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(interval).with_interval(interval).with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    // On a busy one the send buffer swallows heartbeats for minutes, unless unacknowledged bytes have a deadline.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(stall_timeout))?;
    Ok(())
}
