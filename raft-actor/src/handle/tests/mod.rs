//! Tests of the client's side. Nobody may hang: that is what most of them are about.

mod events;
mod forward;
mod gateway;
mod queue;
mod raft_handle;
mod stress;
mod support;
mod waiting;
#[cfg(feature = "actix-web")]
mod web;
