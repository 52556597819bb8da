//! Why `raftctl` ends with an exit code other than 0.

use std::io;

/// Why something could not be done. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The address of the node is none.
    #[error("{url:?} is not the address of a node; expected http://HOST:PORT, as in --node http://127.0.0.1:8101")]
    BadNode {
        /// What was given.
        url: String,
    },
    /// The node does not answer.
    #[error(
        "{url} does not answer: {source}; check that the node runs, and that --node is where it serves HTTP (--http of \
         raft-kv node), or ask another node of the cluster"
    )]
    Unreachable {
        /// The node.
        url: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// Something else answers there.
    #[error("what answers at {url} is not a raft-kv node (HTTP {status}: {text:.200}); correct --node")]
    NoNode {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// The node says no. Its own words say what to do.
    #[error("{detail}{}", hint(error))]
    Refused {
        /// Its word for it.
        error: String,
        /// Its words for it.
        detail: String,
    },
    /// Nobody can be removed who is not there.
    #[error("node {id} is no member of the cluster: nothing to remove; raftctl members shows who is")]
    NoMember {
        /// The node.
        id: u64,
    },
    /// Without voters there is no cluster.
    #[error(
        "node {id} is the last voter: add another voter before it is removed, or stop the node if the cluster is to end"
    )]
    LastVoter {
        /// The node.
        id: u64,
    },
    /// There will be no more events.
    #[error(
        "{url} ended the stream of events: the node stopped, or the connection broke; run this again, or watch another node"
    )]
    StreamEnded {
        /// The node.
        url: String,
    },
    /// What was found cannot be shown.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// What else may help, beside the node's own words.
fn hint(error: &str) -> &'static str {
    match error {
        "timeout" => " (--timeout gives it longer)",
        "not_voter" => " (raftctl members shows who is a voter)",
        _ => "",
    }
}
