//! The program `raft-elections`: Figure 16 of the paper (§9.3) with the core alone, in simulated time.
//!
//! Five cores, a queue of messages, and chance from a seed: what is measured is the rules, not a machine.

mod line;
mod options;
#[cfg(feature = "plot")]
mod picture;
#[cfg(not(feature = "plot"))]
#[path = "elections/absent.rs"]
mod picture;
mod program;
mod summary;
#[cfg(test)]
mod tests;
mod trial;

pub use line::{Graph, Line, Variant};
pub use options::Options;
pub use program::{main, measure};
pub use summary::Summary;
pub use trial::{CAP, Network, trial};
