//! The sentences of §5.1 to §5.4 of the extended Raft paper, one test each, on
//! the core alone. The numbers in the doc lines count them through, 1 to 26.
//!
//! Where this implementation asks for pre-votes (dissertation 9.6) before it
//! campaigns, the tests answer them: the paper's candidate is ours after that.
#[path = "../support/mod.rs"]
mod support;

mod election;
mod election_timing;
mod replication;
mod replication_follower;
mod safety;
mod terms;
