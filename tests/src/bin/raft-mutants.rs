//! Breaks our own code on purpose, and counts the seeds that it takes to be found; see `raft-mutants --help`.
#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use clap::Parser;
use raft_tests::mutants::{self, Options};

fn main() -> ExitCode {
    match mutants::main(&Options::parse(), &mut io::stdout()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("raft-mutants: {error}");
            ExitCode::FAILURE
        }
    }
}
