//! Bugs that real systems had, as scripts of the simulator: the real actors and the real log on simulated disks,
//! networks and clocks. `docs/TESTING.md` says which is which.

mod clients;
mod disks;
mod durability;
mod elections;
mod farewells;
mod groups;
mod leadership;
mod leases;
mod membership;
mod network;
mod reads;
mod replaced_disks;
mod replication;
mod rot;
mod sessions;
mod snapshots;
mod streams;
mod support;
