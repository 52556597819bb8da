//! Bugs that real systems had, each as a scenario that would show it here.
//! The systems and the reports are named in the doc lines.
#[path = "../support/mod.rs"]
mod support;

mod commit;
mod disks;
mod durability;
mod elections;
mod leases;
mod membership;
mod reads;
mod repair;
mod replication;
