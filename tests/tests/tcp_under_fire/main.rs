//! The real TCP transport, on real sockets, over lines that fail in every way a line can.
//!
//! Whole hosts talk through a proxy per direction (`raft_tests::proxy`). After every fault the same is asked: did
//! those who were not concerned notice (no election but where one has to be), does the cluster commit, is what was
//! acknowledged still there, once and everywhere, did memory stay bounded, and do the transport's counters say what
//! happened. Nothing here is about how long something takes: tests wait for conditions, patiently.

mod black_holes;
mod cluster;
mod half_open;
mod ledger;
mod reconnects;
mod resets;
mod slow_readers;
