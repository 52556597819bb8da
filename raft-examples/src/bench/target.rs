//! Whoever takes the clients' requests. The clients are the same whatever system they ask.

use std::iter::repeat_n;

use raft_actor::RaftHandle;

use super::machine::{Data, Tally};
use super::options::ReadKind;

/// A system that commits and applies what clients write. Clones ask the same one.
pub(super) trait Target: Clone + 'static {
    /// One write; returns when the state machine has answered.
    ///
    /// # Errors
    /// What the client was told instead, in words.
    async fn write(&self, data: Data) -> Result<(), String>;

    /// So many writes, submitted with one call; returns when all of them are answered.
    ///
    /// # Errors
    /// What the client was told instead of an answer to one of them.
    async fn write_many(&self, data: Data, writes: usize) -> Result<(), String>;

    /// One read.
    ///
    /// # Errors
    /// What the client was told instead.
    async fn read(&self, kind: ReadKind) -> Result<(), String>;
}

impl Target for RaftHandle<Tally> {
    async fn write(&self, data: Data) -> Result<(), String> {
        RaftHandle::write(self, data).await.map(drop).map_err(|error| error.to_string())
    }

    async fn write_many(&self, data: Data, writes: usize) -> Result<(), String> {
        let outcomes = RaftHandle::write_many(self, repeat_n(data, writes)).await;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop).map_err(|error| error.to_string()))
    }

    async fn read(&self, kind: ReadKind) -> Result<(), String> {
        let answer = match kind {
            ReadKind::Linearizable => RaftHandle::read(self, ()),
            ReadKind::Lease => self.read_lease(()),
            ReadKind::Stale => self.read_local(()),
        };
        answer.await.map(drop).map_err(|error| error.to_string())
    }
}
