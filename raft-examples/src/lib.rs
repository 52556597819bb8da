//! Runnable programs over `raft-actor`, on its public API only.
//!
//! [`kv`] is a replicated, durable key-value service; the binary `raft-kv` runs it, and `raftctl`
//! ([`ctl`]) operates its clusters. [`mod@bench`] measures clusters; the
//! binary `raft-bench` runs it. [`accounts`] is a state machine that lives in a database. The smaller programs are in `examples/`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod accounts;
pub mod bench;
pub mod ctl;
pub mod kv;

/// The programs of the README, compiled and run as doc-tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
