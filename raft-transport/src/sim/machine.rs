//! The user's state machine with a witness: who applied what, where, and what came of it.

use std::fmt;
use std::hash::Hasher;
use std::io::{self, Read, Write};
use std::sync::Arc;

use raft_actor::consensus::{LogIndex, LogPosition};
use raft_actor::log_storage::disk::Disk;
use raft_actor::log_storage::sim_disk::SimDisk;
use raft_actor::{ApplyContext, OnDisk, Snapshot, StateMachine};
use serde::{Deserialize, Serialize};

use super::hash::HashWriter;
use super::judge::{Judge, Whose};

/// A command of the user's machine with the number of the request that it belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tagged<C> {
    pub(super) request: u64,
    pub(super) command: C,
}

/// A response or answer with the index of the state that it comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct At<R> {
    pub(super) index: LogIndex,
    pub(super) value: R,
}

/// How machines come about.
pub(super) enum Maker<S> {
    InMemory(fn() -> S),
    /// From what a process finds on its disk.
    OnDisk(fn(Arc<dyn Disk>) -> S),
}

impl<S> Clone for Maker<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Maker<S> {}

impl<S> fmt::Debug for Maker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InMemory(_) => "InMemory",
            Self::OnDisk(_) => "OnDisk",
        })
    }
}

impl<S> Maker<S> {
    pub(super) fn open(self, disk: &Arc<dyn Disk>) -> S {
        match self {
            Self::InMemory(make) => make(),
            Self::OnDisk(open) => open(Arc::clone(disk)),
        }
    }

    /// One that has applied nothing.
    pub(super) fn fresh(self) -> S {
        self.open(&SimDisk::new(0).process())
    }
}

/// So many entries lie between two looks at the whole state.
const LOOK_EVERY: u64 = 256;

/// A state machine that tells the judge about everything that it applies.
pub(super) struct Watched<S> {
    machine: S,
    whose: Whose,
    applied: LogIndex,
    judge: Judge,
    /// Whether equal states are saved as equal bytes.
    saves_alike: bool,
}

impl<S: StateMachine> Watched<S> {
    pub(super) fn new(machine: S, whose: Whose, judge: Judge, saves_alike: bool) -> Self {
        let held = machine.durable_through();
        if let Some(held) = held {
            judge.holds(whose, held);
        }
        let applied = held.unwrap_or(LogIndex::ZERO);
        Self { machine, whose, applied, judge, saves_alike }
    }

    /// The judge compares the state with that of all others after the same entry.
    fn show_state(&self) {
        if !self.saves_alike {
            return;
        }
        match fingerprint(&self.machine) {
            Ok(state) => self.judge.state(self.whose, self.applied, state),
            Err(error) => self.judge.cannot_save(self.whose.1, &error),
        }
    }
}

/// A number that equal states have in common.
pub(super) fn fingerprint<S: Snapshot>(machine: &S) -> io::Result<u64> {
    let mut hasher = HashWriter::default();
    S::save(machine.freeze(), &mut hasher)?;
    Ok(hasher.0.finish())
}

impl<S: StateMachine> StateMachine for Watched<S> {
    type Command = Tagged<S::Command>;
    type Response = At<S::Response>;
    type Query = S::Query;
    type Answer = At<S::Answer>;

    fn apply(&mut self, ctx: &mut ApplyContext<'_>, Tagged { request, command }: Self::Command) -> Self::Response {
        let value = self.machine.apply(ctx, command);
        let after = std::mem::replace(&mut self.applied, ctx.index());
        let position = LogPosition::new(ctx.term(), ctx.index());
        self.judge.applied(self.whose, after, position, request, &value);
        if self.judge.looks_at_every_state(self.whose.0) || self.applied.get().is_multiple_of(LOOK_EVERY) {
            self.show_state();
        }
        At { index: ctx.index(), value }
    }

    fn query(&self, query: S::Query) -> At<S::Answer> {
        At { index: self.applied, value: self.machine.query(query) }
    }

    fn durable_through(&self) -> Option<LogIndex> {
        self.machine.durable_through()
    }

    fn on_disk(&mut self) -> Option<&mut dyn OnDisk> {
        self.machine.on_disk()
    }
}

impl<S: StateMachine> Snapshot for Watched<S> {
    type Frozen = (LogIndex, S::Frozen);

    fn freeze(&self) -> Self::Frozen {
        (self.applied, self.machine.freeze())
    }

    fn save((applied, frozen): Self::Frozen, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&applied.get().to_le_bytes())?;
        S::save(frozen, out)
    }

    fn load(&mut self, input: &mut dyn Read) -> io::Result<()> {
        let mut applied = [0; 8];
        input.read_exact(&mut applied)?;
        self.machine.load(input)?;
        self.applied = LogIndex::new(u64::from_le_bytes(applied));
        self.judge.loaded(self.whose, self.applied);
        self.show_state();
        Ok(())
    }
}
