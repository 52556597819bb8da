//! One run, made.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use raft_transport::sim::{Failure, Report};

use super::run::{Machine, Run};
use crate::register::{Counts, RegisterClients};

/// How a run went.
#[derive(Debug)]
pub struct Attempt {
    /// The run.
    pub run: Run,
    /// What it was like, as far as it went; `None` if the simulator itself gave up.
    pub report: Option<Report>,
    /// What did not hold, if something did not.
    pub failed: Option<Box<Failed>>,
    /// What its clients judged.
    pub judged: Arc<Counts>,
}

/// So many of the last events are shown of a failure.
const LAST_EVENTS: usize = 40;

/// What did not hold in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The name of the sentence that does not hold.
    pub invariant: String,
    /// What was found instead, with the values.
    pub what: String,
    /// When, in virtual time.
    pub at: Duration,
    /// The last events before it.
    pub trace: Vec<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.6}s: {}", self.invariant, self.at.as_secs_f64(), self.what)
    }
}

impl Failed {
    /// Whether the same sentence does not hold.
    pub fn is_like(&self, other: &Self) -> bool {
        self.invariant == other.invariant
    }

    /// What is shown of the trace.
    pub fn last_events(&self) -> &[String] {
        &self.trace[self.trace.len().saturating_sub(LAST_EVENTS)..]
    }
}

/// Makes a run with this state machine. Every event goes to the standard output if it is to be traced.
pub fn attempt<S: Machine>(run: &Run, traced: bool) -> Attempt {
    let (clients, judged) = RegisterClients::new();
    let mut cluster = run.cluster::<S>();
    if traced {
        cluster = cluster.traced();
    }
    let attempt = |report, failed| Attempt { run: run.clone(), report, failed, judged };
    // A panic is found like anything else, and does not end the other runs.
    match catch_unwind(AssertUnwindSafe(|| cluster.run(run.seed, clients))) {
        Ok(Ok(report)) => attempt(Some(report), None),
        Ok(Err(failure)) => {
            let Failure { at, violation, trace, report, .. } = *failure;
            let failed = Failed { invariant: violation.invariant.to_owned(), what: violation.what, at, trace };
            attempt(Some(report), Some(Box::new(failed)))
        }
        Err(panic) => {
            let (at, trace) = (Duration::ZERO, Vec::new());
            let failed = Failed { invariant: "panic".to_owned(), what: message(&*panic), at, trace };
            attempt(None, Some(Box::new(failed)))
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the simulator panicked: {}", text.unwrap_or("without a message"))
}
