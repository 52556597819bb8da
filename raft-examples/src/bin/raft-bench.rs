//! Throughput, latency and failover of a cluster in this process; see `raft-bench --help`.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::Parser;
use raft_examples::bench::options::RaftBench;
use raft_examples::bench::run;
use tokio::task::LocalSet;
use tracing_subscriber::EnvFilter;

/// The clients live on this thread, the nodes on threads of their own.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = RaftBench::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr).init();
    // A wake-up from another thread costs a LocalSet one push, and only the first of many rouses this thread.
    match LocalSet::new().run_until(run(options)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raft-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
