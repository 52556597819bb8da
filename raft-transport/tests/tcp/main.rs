//! The TCP transport over real sockets, among friends and among strangers.
//!
//! Nothing here waits for a time to pass: every test waits for something to
//! happen, and gives up after [`support::PATIENCE`].

mod bulk;
mod clients;
mod exchange;
mod handshake;
mod malformed;
mod overload;
mod strangers;
mod support;
