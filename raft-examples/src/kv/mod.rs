//! `raft-kv`: a replicated, durable key-value service over HTTP.
//!
//! - [`state_machine`] is all that is replicated: a map, and the four types that a state machine names.
//! - [`http`] turns requests into commands and queries, and outcomes into answers. Any node takes any request.
//! - [`options`] are the command lines; [`dev`] and [`node`] run them.

pub mod dev;
pub mod failure;
pub mod http;
pub mod node;
pub mod options;
mod report;
mod serve;
pub mod state_machine;
