//! A key-value register: the state machine of the simulations, small enough that every answer of it can be judged.

use std::collections::BTreeMap;

use raft_actor::{ApplyContext, StateMachine};
use serde::{Deserialize, Serialize};

mod clients;
mod judged;
mod on_disk;

pub use clients::RegisterClients;
pub use judged::{Counts, Judged};
pub use on_disk::DiskRegister;

/// Stands for a key.
pub type Key = u64;

/// Stands for a value. Clients use each one once, so that whoever reads it knows who wrote it.
pub type Value = u64;

/// Changes one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Gives it this value.
    Put {
        /// Which.
        key: Key,
        /// What it then has.
        value: Value,
        /// Says nothing: it makes the command, and so the log, longer.
        filler: String,
    },
    /// Removes it.
    Delete {
        /// Which.
        key: Key,
    },
    /// Gives it a value only if it has the expected one.
    Cas {
        /// Which.
        key: Key,
        /// What it must have; `None`: it must be absent.
        expect: Option<Value>,
        /// What it then has.
        value: Value,
    },
}

impl Command {
    /// The key that it changes.
    pub const fn key(&self) -> Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } | Self::Cas { key, .. } => *key,
        }
    }
}

/// What a [`Command`] is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// It was carried out.
    Changed {
        /// What the key had before.
        previous: Option<Value>,
    },
    /// A compare-and-swap changed nothing.
    Mismatch {
        /// What the key has instead of what was expected.
        current: Option<Value>,
    },
}

/// Asks for the value of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get(
    /// Which.
    pub Key,
);

/// All keys with their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    values: BTreeMap<Key, Value>,
}

impl StateMachine for Register {
    type Command = Command;
    type Response = Response;
    type Query = Get;
    type Answer = Option<Value>;

    fn apply(&mut self, _: &mut ApplyContext<'_>, command: Command) -> Response {
        self.carry_out(command)
    }

    fn query(&self, Get(key): Get) -> Option<Value> {
        self.values.get(&key).copied()
    }
}

impl Register {
    fn carry_out(&mut self, command: Command) -> Response {
        match command {
            Command::Put { key, value, filler: _ } => Response::Changed { previous: self.values.insert(key, value) },
            Command::Delete { key } => Response::Changed { previous: self.values.remove(&key) },
            Command::Cas { key, expect, value } => {
                let current = self.values.get(&key).copied();
                if current != expect {
                    return Response::Mismatch { current };
                }
                self.values.insert(key, value);
                Response::Changed { previous: current }
            }
        }
    }
}
