//! The state machine that is measured: as little as can be said to be one.

use bytes::Bytes;
use raft_actor::{ApplyContext, StateMachine};
use serde::{Deserialize, Serialize};

/// Counts what was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// How many writes.
    pub(super) writes: u64,
    /// How many bytes of data in them.
    pub(super) bytes: u64,
}

/// Some data. Encoded as one string of bytes, not as an array of numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Data(pub(super) Bytes);

impl Tally {
    /// One more write.
    pub(super) fn count(&mut self, data: &Data) {
        self.bytes += data.0.len() as u64;
        self.writes += 1;
    }
}

impl StateMachine for Tally {
    type Command = Data;
    type Response = u64; // how many writes there were before
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, data: Data) -> u64 {
        self.count(&data);
        self.writes - 1
    }

    fn query(&self, (): ()) -> u64 {
        self.writes
    }
}
