//! The program `raft-sim`: whole clusters, simulated from seeds; one at a time, or many on all cores.

mod attempt;
mod effort;
mod options;
mod program;
mod range;
mod run;
mod shrink;
mod totals;

pub use attempt::{Attempt, Failed, attempt};
pub use effort::Effort;
pub use options::{Options, Seeds};
pub use program::main;
pub use range::run_all;
pub use run::{Machine, Run};
pub use shrink::{Budget, Shrunk, shrink};
pub use totals::Totals;
