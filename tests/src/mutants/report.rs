//! What is said of each mutation, for people (as a table that documents can take over) and for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::hunt::Outcome;
use super::list::Mutation;

/// So much of what was found is shown to people.
const SHOWN_CHARS: usize = 160;

/// One mutation and how it fared.
#[derive(Debug)]
pub struct Row {
    /// Which.
    pub mutation: Mutation,
    /// How.
    pub outcome: Outcome,
    /// How long it took, building included.
    pub took: Duration,
}

/// The head of the table.
pub(super) const HEAD: &str = "| mutation | caught by | seeds | seconds |\n|---|---|---|---|";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, seconds) = (&self.mutation.name, self.took.as_secs());
        match &self.outcome {
            Outcome::Caught { by, what: _, seeds } => write!(f, "| `{name}` | `{by}` | {seeds} | {seconds} |"),
            Outcome::Survived { seeds } => write!(f, "| `{name}` | **nothing** | over {seeds} | {seconds} |"),
            Outcome::Failed { .. } => write!(f, "| `{name}` | **an error** | | {seconds} |"),
        }
    }
}

impl Row {
    /// Whether it was caught.
    pub fn is_caught(&self) -> bool {
        matches!(self.outcome, Outcome::Caught { .. })
    }

    /// What was found, for people; in one line.
    pub(super) fn detail(&self) -> String {
        match &self.outcome {
            Outcome::Caught { what, .. } => what.replace('\n', " ").chars().take(SHOWN_CHARS).collect(),
            Outcome::Survived { .. } => format!("nothing found that: {}", self.mutation.breaks),
            Outcome::Failed { reason } => reason.clone(),
        }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let Self { mutation, outcome, took } = self;
        let (name, breaks, seconds) = (&mutation.name, &mutation.breaks, took.as_secs_f64());
        match outcome {
            Outcome::Caught { by, what, seeds } => json!({
                "mutation": name, "breaks": breaks, "outcome": "caught", "by": by, "what": what, "seeds": seeds,
                "seconds": seconds,
            }),
            Outcome::Survived { seeds } => json!({
                "mutation": name, "breaks": breaks, "outcome": "survived", "seeds": seeds, "seconds": seconds,
            }),
            Outcome::Failed { reason } => json!({
                "mutation": name, "breaks": breaks, "outcome": "failed", "reason": reason, "seconds": seconds,
            }),
        }
    }
}
