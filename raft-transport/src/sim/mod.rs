//! Simulated clusters: the real actors on a network, disks and clocks that one seed decides.
pub mod checker;
pub mod durable;
pub mod history;
pub mod linearizable;
pub mod oracle;
pub mod replay;
pub mod trace;

mod asking;
mod breakage;
mod chance;
mod clients;
mod clocks;
mod cluster;
mod disks;
mod faults;
mod groups;
mod hash;
mod held;
mod in_force;
mod judge;
mod machine;
mod members;
mod messages;
mod network;
mod offices;
mod process;
mod recovery;
mod rot;
mod schedule;
mod script;
mod servers;
mod sessions;
mod storm;
mod time;
pub mod words;
mod workload;
mod world;

pub use chance::Chance;
pub use checker::{Situations, Violation};
pub use clients::{Outcome, Request};
pub use cluster::{Failure, Report, SimCluster};
pub use faults::{Fault, FaultFamily, FaultKind, Faults, Tally, UnknownFault};
pub use judge::Seen;
pub use messages::Transit;
pub use raft_actor::log_storage::sim_disk::{Happened, Keep};
pub use script::Ticket;
pub use workload::{Call, Return, Workload};
pub use world::Sim;

/// The programs of the page for users.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/SIMULATION.md")]
struct PageForUsers;
