//! What deterministic simulations, and tests with real processes, are made of.

pub mod durable;
