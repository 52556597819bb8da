//! How long a cluster is without a leader after a crash (§9.3, Figure 16); see `raft-elections --help`.
#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use clap::Parser;
use raft_tests::elections::{self, Options};

fn main() -> ExitCode {
    match elections::main(&Options::parse(), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever stopped reading does not want to hear more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("raft-elections: {error}");
            ExitCode::FAILURE
        }
    }
}
