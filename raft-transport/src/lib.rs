//! How the messages of raft-actor travel between machines.
//!
//! [`Tcp`] carries them over plain TCP connections; `docs/WIRE.md` describes
//! what goes over the line. [`LocalNetwork`] connects the hosts of one process
//! without any. Neither looks into a message. [`RemoteClient`] uses a cluster
//! from outside, for services that run no node.
//!
//! The feature `sim` adds what deterministic simulations are made of.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod backoff;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real lines have a time and an order of their own"
)]
pub mod client;
#[allow(clippy::disallowed_methods, reason = "real lines have a time of their own")]
mod pipe;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real lines have a time and an order of their own"
)]
pub mod tcp;

pub use client::RemoteClient;
pub use raft_actor::transport::{LocalNetwork, LocalTransport};
pub use tcp::{Count, Tcp, TcpCounters, TcpOptions};

/// The program of the page on clients, compiled as a doc-test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/CLIENT.md")]
pub struct PageOnClients;
