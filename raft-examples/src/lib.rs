//! Runnable programs over `raft-actor`, on its public API only.
//!
//! [`bench`] measures clusters; the binary `raft-bench` runs it.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod bench;
