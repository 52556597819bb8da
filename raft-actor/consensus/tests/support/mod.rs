//! A cluster of pure cores in one thread: the test is the disk, the state
//! machine, the network and the clock, and after every step a checker that
//! knows only what can be seen from outside looks at the whole cluster.
// Every test binary uses its own part of this, and `pub` means "for the tests".
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod checker;
pub mod cluster;
pub mod disk;
pub mod lone;
pub mod machine;
pub mod member;
pub mod network;
pub mod setup;
pub mod snapshots;

pub use cluster::Cluster;
pub use lone::Lone;
pub use setup::Setup;

use bytes::Bytes;
use raft_consensus::{Configuration, Entry, LogIndex, LogPosition, Membership, NodeId, Payload, Term};

/// The server `n`.
pub fn node(n: u64) -> NodeId {
    NodeId::from(n)
}

/// The term `n`.
pub fn term(n: u64) -> Term {
    Term::new(n)
}

/// The log index `n`.
pub fn index(n: u64) -> LogIndex {
    LogIndex::new(n)
}

/// The position with this index and term; in the order in which traces print it, `index@term`.
pub fn at(index: u64, term: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

/// A command entry; its command names its position, so that a mix-up shows.
pub fn entry(index: u64, term: u64) -> Entry {
    let command = Bytes::from(format!("{index}@{term}"));
    Entry { position: at(index, term), payload: Payload::Command(command) }
}

/// Command entries from index 1 on, one per term given.
pub fn log_of_terms(terms: &[u64]) -> Vec<Entry> {
    (1..).zip(terms).map(|(index, term)| entry(index, *term)).collect()
}

/// A configuration whose voters are the servers 1 to `count`.
pub fn voters(count: u64) -> Configuration {
    Configuration::of_voters((1..=count).map(|n| (node(n), format!("n{n}"))))
}

/// The membership of these voters and learners, each with its name as address.
pub fn membership(voters: &[u64], learners: &[u64]) -> Membership {
    let address = |n: &u64| (node(*n), format!("n{n}"));
    Membership {
        voters: voters.iter().copied().map(node).collect(),
        learners: learners.iter().copied().map(node).collect(),
        addresses: voters.iter().chain(learners).map(address).collect(),
        ..Membership::default()
    }
}
