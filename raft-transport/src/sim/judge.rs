//! What is seen of the nodes, on its way to those who judge it.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_actor::ApplyContext;
use raft_actor::consensus::{Effect, GroupId, Input, LogIndex, LogPosition, NodeId, Raft, Role, Term};
use raft_actor::envelope::Envelope;
use raft_actor::log_storage::sim_disk::SimDisk;
use raft_actor::observer::Observer;

use super::clients::Asked;
use super::durable::{DurableReader, RecordPlace};
use super::hash::StableHasher;

/// Where a server's log is on its disk.
const WAL_DIRECTORY: &str = "/data/wal";

/// Sees everything. Clones are the same judge.
#[derive(Clone, Default)]
pub(super) struct Judge {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    now_us: u64,
    violation: Option<Violation>,
    nodes: BTreeMap<NodeId, Seen>,
    disks: BTreeMap<NodeId, DurableReader>,
    hash: StableHasher,
    steps: u64,
}

/// A sentence that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub invariant: &'static str,
    /// Whose.
    pub node: Option<NodeId>,
    /// What was found instead, with the values.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// What a running node was after its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// How much it knows to be committed.
    pub commit: LogIndex,
    /// How much its state machine has applied.
    pub applied: LogIndex,
    /// How long its log is.
    pub last: LogIndex,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, role, term, commit, applied, last } = self;
        write!(f, "n{node}@{term} {role:?} last {last} commit {commit} applied {applied}")
    }
}

impl Judge {
    fn state_of_things(&self) -> MutexGuard<'_, State> {
        // A panic of a node does not keep others from being judged.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn at(&self, now_us: u64) {
        self.state_of_things().now_us = now_us;
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        self.state_of_things().violation.clone()
    }

    pub(super) fn found(&self, invariant: &'static str, node: Option<NodeId>, what: String) {
        self.state_of_things().violation.get_or_insert(Violation { invariant, node, what });
    }

    pub(super) fn observer(&self, node: NodeId) -> Arc<dyn Observer> {
        Arc::new(Eye { judge: self.clone(), node })
    }

    pub(super) fn running(&self) -> Vec<Seen> {
        self.state_of_things().nodes.values().copied().collect()
    }

    pub(super) fn hash(&self) -> u64 {
        self.state_of_things().hash.finish()
    }

    pub(super) fn trace_all(&self, _traced: bool) {}

    pub(super) fn last_events(&self) -> Vec<String> {
        Vec::new()
    }

    pub(super) fn joins(&self, node: NodeId, disk: &SimDisk) {
        let reader = DurableReader::new(disk.clone(), WAL_DIRECTORY);
        self.state_of_things().disks.insert(node, reader);
    }

    pub(super) fn starts(&self, _node: NodeId) {}

    pub(super) fn crashes(&self, node: NodeId) {
        self.state_of_things().nodes.remove(&node);
    }

    pub(super) fn lost_power(&self, _node: NodeId) {}

    pub(super) fn wiped(&self, _node: NodeId) {}

    pub(super) fn earlier_records(&self, node: NodeId) -> Vec<RecordPlace> {
        let state = &mut *self.state_of_things();
        let Some(disk) = state.disks.get_mut(&node) else { return Vec::new() };
        // What cannot be read is found out elsewhere.
        disk.follow().map(|_| disk.earlier_records()).unwrap_or_default()
    }

    pub(super) fn leaves(&self, _envelope: &Envelope) {}

    pub(super) fn arrives(&self, _envelope: &Envelope) {}

    pub(super) fn called(&self, _request: u64, _at_us: u64, _asked: Asked) {}

    pub(super) fn returned(&self, _request: u64, _at_us: u64, _index: Option<LogIndex>, _is_failed: bool) {}

    pub(super) fn applied(&self, _node: NodeId, ctx: &ApplyContext<'_>, _request: u64, response: u64) {
        let mut state = self.state_of_things();
        state.hash.write_u64(LogPosition::new(ctx.term(), ctx.index()).index.get());
        state.hash.write_u64(response);
    }

    pub(super) fn state(&self, _node: NodeId, _index: LogIndex, _fingerprint: u64) {}

    pub(super) fn cannot_save(&self, node: NodeId, error: &io::Error) {
        self.found("snapshot", Some(node), format!("the state of n{node} cannot be saved: {error}"));
    }

    pub(super) fn finish(&self) -> Result<(), Violation> {
        self.violation().map_or(Ok(()), Err)
    }
}

struct Eye {
    judge: Judge,
    node: NodeId,
}

impl Observer for Eye {
    fn before(&self, _: GroupId, _raft: &Raft, _input: &Input) {}

    fn after(&self, _: GroupId, raft: &Raft, effects: &[Effect]) {
        let state = &mut *self.judge.state_of_things();
        let seen = Seen {
            node: self.node,
            role: raft.role(),
            term: raft.term(),
            commit: raft.commit(),
            applied: raft.applied(),
            last: raft.log().last().index,
        };
        state.nodes.insert(self.node, seen);
        state.steps += 1;
        let numbers = [self.node.get(), state.now_us, seen.term.get(), seen.commit.get(), effects.len() as u64];
        numbers.into_iter().for_each(|number| state.hash.write_u64(number));
    }
}
