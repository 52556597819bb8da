//! One server: a node id, a directory, a log, a transport, and the groups it serves.
//!
//! A process may hold several hosts. Nothing here is a static: whatever a host
//! needs it is given by its builder or makes itself, so that hosts, tests and
//! whole clusters live side by side.

mod actor;
mod builder;
mod gate;
mod group;
mod group_error;
mod inbound;
mod life_signs;
mod open;
mod outlet;
mod placement;
mod presence;
mod pulse;
mod raft_host;
mod snapshot_settings;
mod start;
mod start_error;
mod threads;

pub use builder::HostBuilder;
pub use group::GroupOptions;
pub use group_error::GroupError;
pub(crate) use open::GROUP;
pub use placement::Placement;
pub use raft_host::RaftHost;
pub(crate) use snapshot_settings::SnapshotSettings;
pub use start_error::StartError;
pub use threads::NodeThread;
