//! Operates a cluster of `raft-kv` nodes; see `raftctl --help`.

use std::process::ExitCode;

use clap::Parser;
use raft_examples::ctl::{self, RaftCtl};

fn main() -> ExitCode {
    match ctl::run(&RaftCtl::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("raftctl: {failure}");
            ExitCode::FAILURE
        }
    }
}
