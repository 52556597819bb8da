//! The seam between a host and whatever carries its messages.
//!
//! A [`Transport`] is a value given to the builder. It is started once, on the
//! node's thread, and turns into an [`Outbound`]; what arrives it hands to the
//! host's [`Inbound`]. It may lose, delay, repeat and reorder: Raft copes. It
//! must never block, never queue without bound, and never look into a body.

mod local;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use raft_consensus::{GroupId, NodeId};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use crate::envelope::{Envelope, Forward, ForwardError, ForwardReply};

pub use local::{LocalNetwork, LocalTransport};
pub use raft_consensus::DirectoryId;

/// A way for messages to travel between hosts.
pub trait Transport: Send + 'static {
    /// Starts listening. Called once, on the node's thread, within its runtime
    /// (a tokio `LocalSet`: `tokio::task::spawn_local` works).
    ///
    /// # Errors
    /// If the transport cannot listen.
    fn start(self: Box<Self>, hello: Hello, inbound: Arc<dyn Inbound>) -> io::Result<Rc<dyn Outbound>>;

    /// The address under which others reach this host; known before the start.
    fn address(&self) -> String;

    /// Most bytes of one encoded message. The default is for transports that do not care.
    fn message_bytes_max(&self) -> u64 {
        u64::MAX
    }

    /// Most bytes of an encoded message with a piece of a snapshot, where these are to be smaller than others. The
    /// default is [`message_bytes_max`](Self::message_bytes_max).
    fn snapshot_message_bytes_max(&self) -> u64 {
        self.message_bytes_max()
    }
}

/// The sending half of a started transport; lives on the node's thread. Dropping the last one stops the transport.
pub trait Outbound {
    /// Sends if it can be sent without waiting; otherwise drops it and tells
    /// [`Inbound::unreachable`], which it may omit for a piece of a snapshot: whoever sends those asks for an answer
    /// and gives up without one. The receiver is `envelope.to`.
    ///
    /// Returns whether it may arrive: `false` only if it certainly does not.
    fn send(&self, envelope: Envelope) -> bool;

    /// Where a host is reached from now on; connects ahead of the first message.
    fn set_address(&self, peer: NodeId, address: &str);

    /// Forget a host: close its connections, and let it introduce itself anew.
    fn forget(&self, peer: NodeId);
}

/// The host, as a transport sees it. Callable from any thread; never blocks for long.
pub trait Inbound: Send + Sync {
    /// Somebody wants to talk to us. On `Ok` the host has durably recorded the
    /// other's directory if that is a member, and the transport tells the other so with our own
    /// [`Hello`]; on `Err` it tells the reason and closes. May touch the disk, once per new peer.
    ///
    /// # Errors
    /// Why the other is not let in.
    fn admit(&self, hello: &Hello) -> Result<(), Refusal>;

    /// A peer has admitted us: it has durably recorded our directory.
    fn confirmed(&self, by: &Hello);

    /// A peer did not let us in. A transport that goes on trying says so again only when the reason changes.
    fn refused(&self, by: NodeId, refusal: Refusal);

    /// A message arrived from a host that was admitted. `credit` is to be dropped
    /// when the message has been processed; the transport reads on as credit comes back.
    fn deliver(&self, envelope: Envelope, credit: Credit);

    /// Messages to this host get lost at the moment: no connection, or a full queue.
    fn unreachable(&self, peer: NodeId);

    /// The process of this host has ended, as far as can be known: it was connected, and its machine says that nobody
    /// listens there any more. A mere silence, and a connection that something on the way has closed, are no reason
    /// to say so: the members of groups whose leader was there campaign at once. The default takes it for any other loss.
    fn hung_up(&self, peer: NodeId) {
        self.unreachable(peer);
    }

    /// Somebody wants something who uses the cluster and is no host of it. `credit` as for
    /// [`deliver`](Inbound::deliver). The default sends everybody elsewhere.
    fn asked(&self, request: ClientRequest, credit: Credit) {
        request.refuse(ForwardError::ShuttingDown);
        drop(credit);
    }
}

/// What a client that is no host wants, and where it gets its answers.
pub struct ClientRequest {
    /// The group it is for.
    pub group: GroupId,
    /// What it wants. Names are the client's own, and meet nobody else's.
    pub forward: Forward,
    /// Takes the answers, from any thread, in as many pieces as they come. Must not block.
    pub replies: Arc<dyn Fn(ForwardReply) + Send + Sync>,
}

impl ClientRequest {
    /// Answers all of it with the same error.
    pub fn refuse(self, error: ForwardError) {
        let outcomes = self.forward.requests.iter().map(|_| Err(error)).collect();
        (self.replies)(ForwardReply { id: self.forward.id, first: 0, outcomes });
    }
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("group", &self.group)
            .field("forward", &self.forward)
            .finish_non_exhaustive()
    }
}

/// Holds back the sender until the receiver has processed the message.
#[derive(Debug, Default)]
pub struct Credit(#[allow(dead_code, reason = "held for its Drop")] Option<OwnedSemaphorePermit>);

impl Credit {
    /// A message that needs no credit.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Gives the permit back when dropped.
    pub const fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(permit))
    }
}

/// How a host introduces itself; the first thing said on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who speaks.
    pub node: NodeId,
    /// The name of the cluster it belongs to.
    pub cluster: String,
    /// Which founding of that cluster: differs after a restore under the same name.
    pub incarnation: Incarnation,
    /// The random id of the directory it runs on.
    pub directory: DirectoryId,
    /// Where it listens.
    pub address: String,
}

/// Names one founding of a cluster: a hash of its first members, the same on all of them.
/// Zero belongs to a host that joins and does not know yet; it is let in everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// Why a host does not let another one in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The other belongs to another cluster.
    #[error("this is cluster {ours:?}; check --cluster and the peer addresses")]
    Cluster {
        /// The name of the refusing host's cluster.
        ours: String,
    },
    /// The same name, but founded with other members.
    #[error("this cluster was founded with other members; all founders must be started with the same list of peers")]
    Incarnation,
    /// The message was meant for another node.
    #[error("this is node {ours}; check the peer addresses")]
    Target {
        /// The refusing host.
        ours: NodeId,
    },
    /// The other has its own id, or one that cannot be.
    #[error("node {node} cannot be you: it is the one you are talking to")]
    Identity {
        /// The id in question.
        node: NodeId,
    },
    /// The same id was seen with another directory: its disk was wiped or replaced.
    #[error("node {node} was known with directory {known}: its disk was wiped; remove the node and add it again")]
    Wiped {
        /// The host whose disk is new.
        node: NodeId,
        /// The directory it had.
        known: DirectoryId,
    },
    /// The host cannot take it in at the moment: too many peers, or its disk does not answer. Try again later.
    #[error("this host cannot record another peer at the moment; see its log")]
    Busy,
    /// The host serves as many clients as it may.
    #[error("this host serves as many clients as it may; try another one, or raise its client_connections_max")]
    Crowded,
    /// The two builds have no protocol version in common.
    #[error("no common protocol version: this build speaks up to {ours}")]
    Version {
        /// The newest version the refusing host speaks.
        ours: u8,
    },
}
