//! Why `raft-kv` ends with an exit code other than 0.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use raft_actor::{StartError, StopReason};

use super::options::OptionsError;

/// Why `raft-kv` could not start, or could not go on. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The command line cannot be run.
    #[error("{0}\nSee raft-kv --help for a complete example.")]
    Options(#[from] OptionsError),
    /// An HTTP or Raft port cannot be had.
    #[error("cannot listen on {address}: {source}{}; free it or choose another one with {option}", in_use(source))]
    Port {
        /// The address.
        address: SocketAddr,
        /// The option that chose it.
        option: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The directory was made with another number of nodes.
    #[error(
        "{path} holds the data of {found} nodes, not of {asked}; use --nodes {found}, or another --data-dir \
         (the members of a cluster cannot be changed yet)"
    )]
    OtherSize {
        /// The directory.
        path: PathBuf,
        /// Nodes that have data in it.
        found: u16,
        /// Nodes asked for.
        asked: u16,
    },
    /// The directory cannot be used.
    #[error("cannot use {path} as --data-dir: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The node did not start.
    #[error("node {id} cannot start: {source}")]
    Start {
        /// The node.
        id: u64,
        /// Why.
        source: StartError,
    },
    /// The node stopped by itself.
    #[error("node {id} stopped: {reason}")]
    Stopped {
        /// The node.
        id: u64,
        /// Why.
        reason: StopReason,
    },
    /// The operating system refuses something else.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// The operating system's words for a port in use differ from one to the next; ours do not.
fn in_use(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AddrInUse { " (in use by another process)" } else { "" }
}
