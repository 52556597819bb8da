//! The program `raft-sim`, as its users see it, and the seeds that have to hold.

mod broken_machine;
mod command_line;
mod seeds;
