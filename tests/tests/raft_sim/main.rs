//! The program `raft-sim`, as its users see it, and the seeds that have to hold.

mod command_line;
