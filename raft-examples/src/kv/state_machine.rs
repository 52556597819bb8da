//! What `raft-kv` replicates: a map from text to text.

use std::sync::Arc;

use imbl::OrdMap;
use raft_actor::{ApplyContext, StateMachine};
use serde::{Deserialize, Serialize};

/// The map. Every node holds the same one, as of the index it has applied.
///
/// It is a persistent one: its clone shares everything with it and takes no time, however large it is, so a snapshot
/// costs no pause. What is changed while one is written is copied, a node of the tree at a time; shared texts keep that
/// cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kv {
    values: OrdMap<Arc<str>, Arc<str>>,
}

/// What changes the map; travels through the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets a key, whatever it had.
    Put {
        /// The key.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Removes a key, if it is there.
    Delete {
        /// The key.
        key: String,
    },
    /// Sets a key only if it has the expected value.
    CompareAndSwap {
        /// The key.
        key: String,
        /// What it must have; `None`: it must be absent.
        expect: Option<String>,
        /// Its new value.
        value: String,
    },
}

/// What a [`Command`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The map changed (or a delete found nothing to do).
    Done {
        /// The place of the command in the log.
        index: u64,
        /// What the key had before.
        previous: Option<String>,
    },
    /// A compare-and-swap found another value than expected and changed nothing.
    Mismatch {
        /// What the key has.
        current: Option<String>,
    },
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The value of a key.
    Get {
        /// The key.
        key: String,
    },
}

impl StateMachine for Kv {
    type Command = Command;
    type Response = Outcome;
    type Query = Query;
    type Answer = Option<String>;

    fn apply(&mut self, ctx: &mut ApplyContext<'_>, command: Command) -> Outcome {
        self.change(ctx.index().get(), command)
    }

    fn query(&self, query: Query) -> Option<String> {
        match query {
            Query::Get { key } => self.values.get(key.as_str()).map(text),
        }
    }
}

impl Kv {
    /// Depends on the map and the command alone, so that every node ends up with the same map.
    fn change(&mut self, index: u64, command: Command) -> Outcome {
        match command {
            Command::Put { key, value } => Outcome::Done { index, previous: self.put(key, value) },
            Command::Delete { key } => {
                Outcome::Done { index, previous: self.values.remove(key.as_str()).as_ref().map(text) }
            }
            Command::CompareAndSwap { key, expect, value } => {
                let current = self.values.get(key.as_str());
                if current.map(|value| &**value) == expect.as_deref() {
                    Outcome::Done { index, previous: self.put(key, value) }
                } else {
                    Outcome::Mismatch { current: current.map(text) }
                }
            }
        }
    }

    fn put(&mut self, key: String, value: String) -> Option<String> {
        self.values.insert(key.into(), value.into()).as_ref().map(text)
    }
}

fn text(shared: &Arc<str>) -> String {
    shared.as_ref().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(kv: &Kv, key: &str) -> Option<String> {
        kv.query(Query::Get { key: key.into() })
    }

    #[test]
    fn put_and_delete_tell_what_was_there() {
        let mut kv = Kv::default();
        let put = |value: &str| Command::Put { key: "x".into(), value: value.into() };
        assert_eq!(kv.change(1, put("a")), Outcome::Done { index: 1, previous: None });
        assert_eq!(kv.change(2, put("b")), Outcome::Done { index: 2, previous: Some("a".into()) });
        assert_eq!(get(&kv, "x"), Some("b".into()));
        let delete = Command::Delete { key: "x".into() };
        assert_eq!(kv.change(3, delete.clone()), Outcome::Done { index: 3, previous: Some("b".into()) });
        assert_eq!(kv.change(4, delete), Outcome::Done { index: 4, previous: None });
        assert_eq!(get(&kv, "x"), None);
    }

    #[test]
    fn compare_and_swap_changes_only_what_is_as_expected() {
        let mut kv = Kv::default();
        let cas = |expect: Option<&str>, value: &str| Command::CompareAndSwap {
            key: "x".into(),
            expect: expect.map(str::to_owned),
            value: value.into(),
        };
        assert_eq!(kv.change(1, cas(Some("a"), "b")), Outcome::Mismatch { current: None });
        assert_eq!(kv.change(2, cas(None, "a")), Outcome::Done { index: 2, previous: None });
        assert_eq!(kv.change(3, cas(None, "c")), Outcome::Mismatch { current: Some("a".into()) });
        assert_eq!(kv.change(4, cas(Some("a"), "b")), Outcome::Done { index: 4, previous: Some("a".into()) });
        assert_eq!(get(&kv, "x"), Some("b".into()));
    }
}
