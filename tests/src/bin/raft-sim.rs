//! Whole clusters, simulated from seeds; see `raft-sim --help`.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use clap::Parser;
use raft_tests::raft_sim::{self, Options};
use raft_tests::register::{DiskRegister, Register};

fn main() -> ExitCode {
    let options = Options::parse();
    let made = match options.on_disk {
        false => raft_sim::main::<Register>(&options, &mut io::stdout()),
        true => raft_sim::main::<DiskRegister>(&options, &mut io::stdout()),
    };
    match made {
        Ok(code) => code,
        Err(error) => {
            // Whoever stopped reading does not want to hear more.
            if error.kind() != ErrorKind::BrokenPipe {
                eprintln!("raft-sim: cannot write what was found: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
