//! What a check comes to.

use std::fmt;

use raft_actor::consensus::NodeId;

/// A property that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name, which stays the same: `election_safety`.
    pub invariant: &'static str,
    /// The server at which it was found broken, if it was at one.
    pub node: Option<NodeId>,
    /// What was found, with the values.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

impl std::error::Error for Violation {}

/// `Err` with the property that was found broken.
pub type Verdict = Result<(), Violation>;

/// Fails with the name of the invariant, the node and a sentence, unless the condition holds.
macro_rules! ensure {
    ($invariant:literal, $node:expr, $holds:expr, $($what:tt)+) => {
        if !$holds {
            let node: Option<raft_actor::consensus::NodeId> = $node.into();
            return Err($crate::sim::checker::Violation { invariant: $invariant, node, what: format!($($what)+) });
        }
    };
}
pub(super) use ensure;
