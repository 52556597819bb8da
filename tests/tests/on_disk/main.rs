//! A state machine that lives on the disk of its host, whole hosts around it, and whatever may strike that disk.

mod bank;
mod deaths;
mod misfits;
mod snapshots;
