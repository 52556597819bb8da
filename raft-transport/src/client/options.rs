//! The limits of a remote client.

use std::time::Duration;

use raft_actor::{GroupId, remote};

/// Limits of a [`RemoteClient`](super::RemoteClient). The defaults suit a cluster in one data centre.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// How long a request may take, with all attempts; default 5 s.
    pub timeout: Duration,
    /// The group that requests go to; default the only one of a cluster that has one.
    pub group: GroupId,
    /// Most requests under way; one more fails as `Overloaded`. Default 65 536.
    pub requests_max: usize,
    /// Most bytes of requests under way; default 64 MiB.
    pub bytes_max: usize,
    /// Most bytes of one frame, in and out. As on the hosts; default 32 MiB.
    pub frame_bytes_max: u32,
    /// How long to wait for a connection to open; default 1 s.
    pub connect_timeout: Duration,
    /// How long a node may take to answer the introduction; default 2 s.
    pub handshake_timeout: Duration,
    /// The wait before a second attempt, at connecting or at a request that was sent back; doubles with every further
    /// one in a row. Default 20 ms.
    pub retry_delay_min: Duration,
    /// The longest wait between attempts; default 500 ms. Half of each wait is random.
    pub retry_delay_max: Duration,
    /// A node that answers nothing for this long is left for another one; doubles when that changes nothing.
    /// Default 1 s. Commands are sent again within their session only.
    pub patience: Duration,
    /// A connection over which nothing moves for this long although there is something to send is
    /// closed; default 5 s.
    pub stall_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            group: remote::GROUP,
            requests_max: 65_536,
            bytes_max: 64 << 20,
            frame_bytes_max: 32 << 20,
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(2),
            retry_delay_min: Duration::from_millis(20),
            retry_delay_max: Duration::from_millis(500),
            patience: Duration::from_secs(1),
            stall_timeout: Duration::from_secs(5),
        }
    }
}
