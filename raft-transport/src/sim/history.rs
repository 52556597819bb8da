//! What clients asked, when, and what they were told: plain data that says nothing about how it came about.
//!
//! The simulator records it in virtual time, a test of real processes with one clock that all its clients share;
//! [`linearizable`](super::linearizable) judges it.

use std::fmt;

/// Stands for a key; what the key really is, is the recorder's business.
pub type Key = u64;

/// Stands for a value. Histories say most when each write uses a value of its own: then who reads it knows who wrote.
pub type Value = u64;

/// What a client asks of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Reads it, linearizably.
    Get,
    /// Gives it this value.
    Put(Value),
    /// Removes it.
    Delete,
    /// Gives it a value only if it has the expected one.
    Cas {
        /// What it must have; `None`: it must be absent.
        expect: Option<Value>,
        /// What it then has.
        value: Value,
    },
}

/// What a client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// To a [`Action::Get`]: what the key has.
    Found(Option<Value>),
    /// To a write that was carried out.
    Changed {
        /// Its place in the log, if the answer names it. Writes take effect in this order.
        index: Option<u64>,
        /// What the key had before; of a compare-and-swap, what it expected.
        previous: Option<Value>,
    },
    /// To a compare-and-swap that changed nothing.
    Mismatch {
        /// What the key has instead of what was expected.
        current: Option<Value>,
    },
}

/// How an operation ended, as its client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Carried out, with this answer.
    Done(Answer),
    /// Certainly not carried out, now or later (`maybe_applied: false`).
    Failed,
    /// No answer, or one with `maybe_applied: true`: it may have happened, may still happen, or may never.
    Unknown,
}

/// One operation of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who asked. For the reader of a counterexample; nothing is concluded from it.
    pub client: u64,
    /// The key that it is about.
    pub key: Key,
    /// What was asked.
    pub action: Action,
    /// When it was asked, in microseconds; read before anything was sent.
    pub called_us: u64,
    /// When the answer was there, in microseconds, read after it arrived; `None`: never. One that is
    /// [`Outcome::Done`] has it.
    pub returned_us: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Names an operation of a [`History`] between its call and its return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationId(usize);

/// Collects operations, in the order of their calls.
#[derive(Debug, Clone, Default)]
pub struct History {
    operations: Vec<Operation>,
}

impl History {
    /// Takes note that a client asks. Until [`returned`](History::returned) is called, the outcome is unknown.
    pub fn called(&mut self, client: u64, key: Key, action: Action, at_us: u64) -> OperationId {
        let (returned_us, outcome) = (None, Outcome::Unknown);
        self.operations.push(Operation { client, key, action, called_us: at_us, returned_us, outcome });
        OperationId(self.operations.len() - 1)
    }

    /// Takes note of how an operation ended.
    ///
    /// # Panics
    /// If it ended already, or before it was called.
    pub fn returned(&mut self, id: OperationId, at_us: u64, outcome: Outcome) {
        let operation = &mut self.operations[id.0];
        assert_eq!(operation.returned_us, None, "an operation returns once: {operation}");
        assert!(at_us >= operation.called_us, "returned at {at_us}, before it was called: {operation}");
        operation.returned_us = Some(at_us);
        operation.outcome = outcome;
    }

    /// Everything so far.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}

/// An optional value for people.
struct Shown(Option<Value>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value}"),
            None => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Get => f.write_str("get"),
            Self::Put(value) => write!(f, "put {value}"),
            Self::Delete => f.write_str("delete"),
            Self::Cas { expect, value } => write!(f, "cas {} to {value}", Shown(expect)),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Found(value) => write!(f, "found {}", Shown(value)),
            Self::Changed { index: Some(index), previous } => write!(f, "done at {index}, had {}", Shown(previous)),
            Self::Changed { index: None, previous } => write!(f, "done, had {}", Shown(previous)),
            Self::Mismatch { current } => write!(f, "mismatch, has {}", Shown(current)),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(answer) => write!(f, "{answer}"),
            Self::Failed => f.write_str("failed, not carried out"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// One line: `client 3 [120 .. 250] put 7 -> done at 12, had nothing`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} [{} .. ", self.client, self.called_us)?;
        match self.returned_us {
            Some(returned) => write!(f, "{returned}]")?,
            None => f.write_str("]")?,
        }
        write!(f, " {} -> {}", self.action, self.outcome)
    }
}
