//! What several suites of tests share.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod elections;
pub mod mutants;
pub mod proxy;
pub mod raft_sim;
pub mod register;
