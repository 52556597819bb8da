//! A sign of life of a host, on behalf of all its groups that rest.

use raft_consensus::GroupId;
use serde::{Deserialize, Serialize};

/// A host is alive. As long as its peers hear so, their groups that it leads may do without heartbeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// Which run of the host: what an earlier one led, nobody leads any more.
    pub run: u64,
    /// How many groups have stopped in this run.
    pub stops: u64,
    /// The last of those, in the order in which they stopped.
    #[serde(default)]
    pub stopped: Vec<GroupId>,
}
