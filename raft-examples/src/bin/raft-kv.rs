//! A replicated, durable key-value service; see `raft-kv --help`.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::Parser;
use raft_examples::kv::options::{Command, RaftKv};
use raft_examples::kv::{dev, node};
use tracing_subscriber::EnvFilter;

#[actix_rt::main]
async fn main() -> ExitCode {
    let options = RaftKv::parse();
    // `dev` tells by itself what matters; of a single node one wants to know whom it waits for and what it becomes.
    let default_filter = match options.command {
        Some(Command::Node(_)) => "warn,raft_actor=info",
        Some(Command::Dev(_)) | None => "warn",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr).init();
    let result = match options.command {
        Some(Command::Node(options)) => node::run(options).await,
        Some(Command::Dev(options)) => dev::run(options).await,
        None => dev::run(options.dev).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("raft-kv: {failure}");
            ExitCode::FAILURE
        }
    }
}
