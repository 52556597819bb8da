//! What the transport counts.

use std::sync::atomic::{AtomicU64, Ordering};

use raft_actor::transport::Refusal;

use super::handshake::Lane;

/// What a [`TcpCounters`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Count {
    /// Messages received and handed to the host.
    MessagesIn,
    /// Bytes of frames received.
    BytesIn,
    /// Messages put into a queue to a peer.
    MessagesOut,
    /// Bytes that the kernel took over for a peer.
    BytesOut,
    /// Outgoing connections established, but those for snapshots.
    Connected,
    /// Attempts to connect that failed, of either kind.
    ConnectFailed,
    /// Attempts to connect that a peer refused.
    ConnectRefused,
    /// Established outgoing connections that broke.
    Disconnected,
    /// Messages dropped because there was no connection to their receiver.
    DroppedUnconnected,
    /// Messages dropped because the queue to their receiver was full.
    DroppedQueueFull,
    /// Messages dropped because they cannot be encoded: too large, or wrong.
    DroppedUnsendable,
    /// Incoming connections accepted.
    Accepted,
    /// Incoming connections whose handshake was accepted.
    Admitted,
    /// The listener could not accept a connection (out of file descriptors, for instance).
    AcceptFailed,
    /// Incoming connections closed: no complete handshake within the timeout.
    HandshakeTimedOut,
    /// Incoming connections closed: too many others were waiting to introduce themselves.
    HandshakeCrowdedOut,
    /// Incoming connections closed: they hung up before the handshake was complete.
    HandshakeCutOff,
    /// Incoming connections closed: what they said is no handshake of ours.
    NotAHandshake,
    /// Incoming connections refused: they belong to another cluster.
    RefusedCluster,
    /// Incoming connections refused: same cluster name, founded with other members.
    RefusedIncarnation,
    /// Incoming connections refused: they looked for another node.
    RefusedTarget,
    /// Incoming connections refused: they claim an id that they cannot have.
    RefusedIdentity,
    /// Incoming connections refused: the node's disk was wiped.
    RefusedWiped,
    /// Incoming connections refused: the host cannot record another peer.
    RefusedBusy,
    /// Incoming connections refused: no common version.
    RefusedVersion,
    /// Incoming connections refused for a reason that this build of the transport does not know.
    RefusedOther,
    /// Incoming connections closed: too many had been let in already.
    ClosedTooMany,
    /// Incoming connections closed: the same peer opened a newer one.
    ClosedReplaced,
    /// Incoming connections closed: a frame announced more bytes than allowed.
    ClosedFrameTooLarge,
    /// Incoming connections closed: a frame was damaged, or of another version.
    ClosedFrameBroken,
    /// Incoming connections closed: a message came from, or went to, somebody else.
    ClosedMisaddressed,
    /// Incoming connections that the peer closed, or that broke.
    ClosedByPeer,
    /// Messages ignored because this build does not know their kind.
    IgnoredUnknownKind,
    /// Messages ignored because their contents make no sense.
    IgnoredMalformed,
    /// Bytes of frames received on connections for snapshots; counted in [`BytesIn`](Self::BytesIn) as well.
    BulkBytesIn,
    /// Bytes that the kernel took over on connections for snapshots; counted in [`BytesOut`](Self::BytesOut) as well.
    BulkBytesOut,
    /// Outgoing connections for snapshots established; not counted in [`Connected`](Self::Connected).
    BulkConnected,
    /// Established outgoing connections for snapshots that broke.
    BulkDisconnected,
    /// Outgoing connections for snapshots closed because there was nothing to send any more.
    BulkClosedIdle,
    /// Pieces of snapshots dropped, for whatever reason; counted by reason as well.
    BulkDropped,
    /// Clients that run no node of their own and were let in.
    ClientsAdmitted,
    /// Clients refused: as many as there may be were there already.
    RefusedCrowded,
    /// Connections of clients closed: they did not read what they were answered.
    ClosedSlowClient,
    /// Connections of clients closed: they said what only hosts say.
    ClosedPresumptuous,
}

impl Count {
    /// Everything that is counted, in the order of declaration.
    pub const ALL: [Self; 44] = [
        Self::MessagesIn,
        Self::BytesIn,
        Self::MessagesOut,
        Self::BytesOut,
        Self::Connected,
        Self::ConnectFailed,
        Self::ConnectRefused,
        Self::Disconnected,
        Self::DroppedUnconnected,
        Self::DroppedQueueFull,
        Self::DroppedUnsendable,
        Self::Accepted,
        Self::Admitted,
        Self::AcceptFailed,
        Self::HandshakeTimedOut,
        Self::HandshakeCrowdedOut,
        Self::HandshakeCutOff,
        Self::NotAHandshake,
        Self::RefusedCluster,
        Self::RefusedIncarnation,
        Self::RefusedTarget,
        Self::RefusedIdentity,
        Self::RefusedWiped,
        Self::RefusedBusy,
        Self::RefusedVersion,
        Self::RefusedOther,
        Self::ClosedTooMany,
        Self::ClosedReplaced,
        Self::ClosedFrameTooLarge,
        Self::ClosedFrameBroken,
        Self::ClosedMisaddressed,
        Self::ClosedByPeer,
        Self::IgnoredUnknownKind,
        Self::IgnoredMalformed,
        Self::BulkBytesIn,
        Self::BulkBytesOut,
        Self::BulkConnected,
        Self::BulkDisconnected,
        Self::BulkClosedIdle,
        Self::BulkDropped,
        Self::ClientsAdmitted,
        Self::RefusedCrowded,
        Self::ClosedSlowClient,
        Self::ClosedPresumptuous,
    ];

    /// What a refusal counts as.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Cluster { .. } => Self::RefusedCluster,
            Refusal::Incarnation => Self::RefusedIncarnation,
            Refusal::Target { .. } => Self::RefusedTarget,
            Refusal::Identity { .. } => Self::RefusedIdentity,
            Refusal::Wiped { .. } => Self::RefusedWiped,
            Refusal::Busy => Self::RefusedBusy,
            Refusal::Crowded => Self::RefusedCrowded,
            Refusal::Version { .. } => Self::RefusedVersion,
            // Refusals come from the host, which may be newer than this crate.
            _ => Self::RefusedOther,
        }
    }
}

/// What happened on a transport since it was made. Readable from any thread.
#[derive(Debug)]
pub struct TcpCounters {
    values: [AtomicU64; Count::ALL.len()],
    queue_bytes_peak: AtomicU64,
    bulk_queue_bytes_peak: AtomicU64,
}

impl TcpCounters {
    pub(super) fn new() -> Self {
        Self {
            values: [const { AtomicU64::new(0) }; Count::ALL.len()],
            queue_bytes_peak: AtomicU64::new(0),
            bulk_queue_bytes_peak: AtomicU64::new(0),
        }
    }

    /// Most encoded bytes that ever waited for one peer at a time, those being written included.
    ///
    /// At most [`queue_bytes_max`](super::TcpOptions::queue_bytes_max), or a single message.
    pub fn queue_bytes_peak(&self) -> u64 {
        self.queue_bytes_peak.load(Ordering::Relaxed)
    }

    /// The same for the connections that carry snapshots.
    ///
    /// At most [`bulk_queue_bytes_max`](super::TcpOptions::bulk_queue_bytes_max), or a single message.
    pub fn bulk_queue_bytes_peak(&self) -> u64 {
        self.bulk_queue_bytes_peak.load(Ordering::Relaxed)
    }

    pub(super) fn queue_is(&self, lane: Lane, bytes: usize) {
        let peak = match lane {
            Lane::Raft => &self.queue_bytes_peak,
            Lane::Bulk => &self.bulk_queue_bytes_peak,
        };
        peak.fetch_max(bytes as u64, Ordering::Relaxed);
    }

    /// How often, or how much, so far.
    pub fn get(&self, count: Count) -> u64 {
        self.values[count as usize].load(Ordering::Relaxed)
    }

    /// All of it, for metrics.
    pub fn iter(&self) -> impl Iterator<Item = (Count, u64)> {
        Count::ALL.into_iter().map(|count| (count, self.get(count)))
    }

    pub(super) fn add(&self, count: Count, amount: usize) {
        self.values[count as usize].fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub(super) fn one(&self, count: Count) {
        self.add(count, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_own_place() {
        for (place, count) in Count::ALL.into_iter().enumerate() {
            assert_eq!(count as usize, place, "{count:?}");
        }
    }
}
