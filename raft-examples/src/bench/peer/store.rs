//! The log and the state machine of an openraft node: in memory, and as little as the crate lets them be.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, TryStreamExt};
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use openraft::storage::{EntryResponder, IOFlushed, LogState, RaftLogStorage, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftLogReader, RaftSnapshotBuilder};

use super::super::machine::{Data, Tally};

openraft::declare_raft_types!(
    /// What openraft is told of its types: the payload and the answer are those of raft-actor's state machine.
    pub(super) Types: D = Data, R = u64, Node = ()
);

/// Required of requests, for logs in words.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The log of a node. Clones are readers of the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryLog(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    vote: Option<VoteOf<Types>>,
    purged: Option<LogIdOf<Types>>,
    /// Without gaps, from the one after `purged`.
    entries: VecDeque<EntryOf<Types>>,
}

impl MemoryLog {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// How many of the entries have an index below `index`.
    fn before(&self, index: u64) -> usize {
        let first = self.entries.front().map_or(index, |entry| entry.log_id.index());
        usize::try_from(index.saturating_sub(first)).map_or(self.entries.len(), |count| count.min(self.entries.len()))
    }
}

impl RaftLogReader<Types> for MemoryLog {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<EntryOf<Types>>> {
        let log = self.lock();
        let from = match range.start_bound() {
            Bound::Included(index) => log.before(*index),
            Bound::Excluded(index) => log.before(*index + 1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => log.before(*index + 1),
            Bound::Excluded(index) => log.before(*index),
            Bound::Unbounded => log.entries.len(),
        };
        Ok(log.entries.range(from..to.max(from)).cloned().collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<Types>>> {
        Ok(self.lock().vote)
    }
}

impl RaftLogStorage<Types> for MemoryLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let log = self.lock();
        let last = log.entries.back().map(|entry| entry.log_id);
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last.or(log.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> io::Result<()> {
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.lock().entries.extend(entries);
        flushed.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> io::Result<()> {
        let mut log = self.lock();
        let kept = last.map_or(0, |last| log.before(last.index() + 1));
        log.entries.truncate(kept);
        Ok(())
    }

    async fn purge(&mut self, through: LogIdOf<Types>) -> io::Result<()> {
        let mut log = self.lock();
        let gone = log.before(through.index() + 1);
        log.entries.drain(..gone);
        log.purged = Some(through);
        Ok(())
    }
}

/// The state machine of a node: counts, as raft-actor's does.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    state: State,
    /// How many writes, for those who read it outside of `apply`.
    pub(super) writes: Arc<AtomicU64>,
    snapshot: Arc<Mutex<Option<State>>>,
}

/// A snapshot is a copy of it.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    tally: Tally,
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
}

impl State {
    fn into_snapshot(self) -> SnapshotOf<Types, Tally> {
        let meta = SnapshotMetaOf::<Types> { last_log_id: self.applied, last_membership: self.membership };
        SnapshotOf::<Types, Tally> { meta, snapshot: self.tally }
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Tally;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)> {
        Ok((self.state.applied, self.state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let state = &mut self.state;
            state.applied = Some(entry.log_id);
            let before = state.tally.writes;
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(data) => state.tally.count(&data),
                EntryPayload::Membership(membership) => {
                    state.membership = StoredMembershipOf::<Types>::new(state.applied, membership);
                }
            }
            // Before the answer: whoever has it and reads must see the write.
            self.writes.store(state.tally.writes, Ordering::Release);
            if let Some(responder) = responder {
                responder.send(before);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMetaOf<Types>, tally: Tally) -> io::Result<()> {
        self.state = State { tally, applied: meta.last_log_id, membership: meta.last_membership.clone() };
        self.writes.store(tally.writes, Ordering::Release);
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.state.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, Tally>>> {
        let newest = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(newest.map(State::into_snapshot))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = Tally;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, Tally>> {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.state.clone());
        Ok(self.state.clone().into_snapshot())
    }
}

#[cfg(test)]
mod tests {
    use openraft::StorageError;
    use openraft::testing::log::{StoreBuilder, Suite};

    use super::*;

    struct Empty;

    impl StoreBuilder<Types, MemoryLog, Machine> for Empty {
        async fn build(&self) -> Result<((), MemoryLog, Machine), StorageError<Types>> {
            Ok(((), MemoryLog::default(), Machine::default()))
        }
    }

    #[tokio::test]
    async fn openraft_finds_nothing_wrong_with_its_log_and_state_machine() {
        Suite::test_all(Empty).await.expect("its own tests of stores hold");
    }
}
