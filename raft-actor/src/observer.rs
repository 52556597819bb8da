//! Somebody who looks on while a node works.

use raft_consensus::{Effect, GroupId, Input, Raft};

/// Sees every step of the consensus core of a node, from outside: for checkers, traces and pictures.
///
/// It is called on the node's thread, between the core and the actors: it must be quick,
/// and can change nothing. Give it to [`HostBuilder::observer`](crate::HostBuilder::observer).
pub trait Observer: Send + Sync + 'static {
    /// The member is about to take in `input`; `raft` is what it was until now.
    fn before(&self, group: GroupId, raft: &Raft, input: &Input);

    /// The member has taken it in; `effects` is what it wants done, and none of that has begun.
    fn after(&self, group: GroupId, raft: &Raft, effects: &[Effect]);
}
