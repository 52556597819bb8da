//! The limits of the TCP transport.

use std::time::Duration;

/// Limits of a [`Tcp`](super::Tcp) transport. The defaults suit a cluster in one data centre.
#[derive(Debug, Clone)]
pub struct TcpOptions {
    /// Most bytes of one frame, in and out. A frame that announces more is refused before anything
    /// is allocated for it, and its connection closed. Must be the same on all hosts; default 32 MiB.
    pub frame_bytes_max: u32,
    /// Most encoded bytes that wait for one peer. What exceeds them is dropped. A single message
    /// is always taken when nothing waits. Default 32 MiB.
    pub queue_bytes_max: usize,
    /// Most encoded bytes of snapshots that wait for one peer, on the connection of their own; the senders' windows
    /// normally bound them before. Default 8 MiB.
    pub bulk_queue_bytes_max: usize,
    /// A connection for snapshots without one to send is closed after this long; default 10 s.
    pub bulk_idle_timeout: Duration,
    /// Most messages that wait for one peer; default 65 536.
    pub queue_messages_max: usize,
    /// Most bytes received from one peer that the host has not processed yet. Beyond it the
    /// connection is not read, and TCP holds the sender back. Small, because the host's thread takes all
    /// that waits before it looks at its timers again. Default 4 MiB.
    pub credit_bytes: u32,
    /// How long a peer has to introduce itself, and to answer an introduction; default 5 s.
    pub handshake_timeout: Duration,
    /// Most incoming connections that have not introduced themselves yet. One more closes the
    /// oldest of them: who is quick gets in, even in a flood of silent ones. Default 64.
    pub handshakes_max: usize,
    /// Most incoming connections that were let in, and most peers remembered; default 256.
    pub connections_max: usize,
    /// Most connections of clients that run no node; default 1024. One more is refused, with a reason.
    pub client_connections_max: usize,
    /// Most bytes of answers that wait for one client. When half of them do, its requests are not read; beyond
    /// them its connection is closed. A single answer is always taken when nothing waits. Default 16 MiB.
    pub client_queue_bytes_max: usize,
    /// How long to wait for a connection to open; default 2 s.
    pub connect_timeout: Duration,
    /// The wait before the second attempt to connect; doubles with every further one. Default 20 ms.
    pub reconnect_delay_min: Duration,
    /// The longest wait between attempts to connect; default 1 s.
    pub reconnect_delay_max: Duration,
    /// A connection over which nothing moves for this long although there is something to send is
    /// closed: the other end hangs, or the line swallows everything. Default 10 s.
    pub stall_timeout: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            frame_bytes_max: 32 << 20,
            queue_bytes_max: 32 << 20,
            bulk_queue_bytes_max: 8 << 20,
            bulk_idle_timeout: Duration::from_secs(10),
            queue_messages_max: 1 << 16,
            credit_bytes: 4 << 20,
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 64,
            connections_max: 256,
            client_connections_max: 1024,
            client_queue_bytes_max: 16 << 20,
            connect_timeout: Duration::from_secs(2),
            reconnect_delay_min: Duration::from_millis(20),
            reconnect_delay_max: Duration::from_secs(1),
            stall_timeout: Duration::from_secs(10),
        }
    }
}
