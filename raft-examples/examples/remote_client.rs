//! A service that uses a cluster and runs no node of it: ten tasks count in raft-kv, through one connection.
//!
//! In one terminal: cargo run -p raft-examples
//! In another one: cargo run -p raft-examples --example remote_client
//! For another cluster, give its name and the Raft addresses of some of its nodes:
//! cargo run -p raft-examples --example remote_client -- dev 127.0.0.1:7101 127.0.0.1:7102

use std::error::Error;

use futures_util::future::try_join_all;
use raft_examples::kv::state_machine::{Command, Kv, Outcome, Query};
use raft_transport::RemoteClient;
use raft_transport::client::RemoteError;

const TASKS: u64 = 10;
const STEPS: u64 = 10;

/// Puts 1, 2, 3, ... and looks whether each came right after the one before: none is lost, none is applied twice.
async fn count(kv: RemoteClient<Kv>, key: String) -> Result<(), RemoteError> {
    for step in 1..=STEPS {
        let outcome = kv.write(Command::Put { key: key.clone(), value: step.to_string() }).await?;
        if let Outcome::Done { index, previous } = outcome {
            println!("{key} = {step} (entry {index}, before that {})", previous.as_deref().unwrap_or("nothing"));
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let cluster = args.next().unwrap_or_else(|| "dev".to_owned());
    let mut nodes: Vec<String> = args.collect();
    if nodes.is_empty() {
        nodes = ["127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"].map(str::to_owned).into();
    }

    let kv = RemoteClient::<Kv>::connect(cluster, nodes).await?;
    try_join_all((0..TASKS).map(|task| count(kv.clone(), format!("task-{task}")))).await?;
    for task in 0..TASKS {
        let value = kv.read(Query::Get { key: format!("task-{task}") }).await?;
        println!("task-{task} came to {}", value.as_deref().unwrap_or("nothing"));
    }
    Ok(())
}
