//! Real `raft-kv` processes on real ports and disks, killed and started again.
//!
//! Nothing here waits for a fixed time: it polls for what must come true, with a generous deadline, and no
//! assertion is about how long something took.

mod client;
mod cluster;
mod crashes;
mod dev;
mod directories;
mod examples;
mod http_surface;
mod majority;
mod membership;
mod nemesis;
mod oracle;
mod raftctl;
mod remote_client;
mod rolling;
mod workload;
