//! A state machine in an embedded database: a restart applies nothing again, and a request that comes again gets its
//! first answer. The machine itself is in `raft-examples/src/accounts.rs`.
//!
//! Run it with: cargo run -p raft-examples --example on_disk

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raft_actor::transport::LocalNetwork;
use raft_actor::{RaftHandle, RaftHost};
use raft_examples::accounts::{Accounts, Deposit};

/// A node, and how many deposits it applies.
async fn start(place: &Path) -> Result<(RaftHandle<Accounts>, Arc<AtomicU64>), Box<dyn Error>> {
    let accounts = Accounts::open(place.join("accounts.redb"))?;
    let applied = accounts.applied();
    let raft = RaftHost::builder()
        .node(1)
        .cluster("bank")
        .data_dir(place.join("node"))
        .transport(LocalNetwork::default().transport(1))
        .peers([(1, "local:1")])
        .start(accounts)
        .await?;
    Ok((raft, applied))
}

fn deposit(amount: u64) -> Deposit {
    Deposit { account: "alice".to_owned(), amount }
}

#[actix_rt::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let (raft, applied) = start(place.path()).await?;
    for outcome in raft.write_many((0..1_000).map(|_| deposit(1))).await {
        outcome?;
    }
    let answer = raft.write_once("till-7", 1, deposit(100)).await?;
    println!("{} deposits applied; the last one, of a till, came to {answer}", applied.load(Ordering::Relaxed));
    raft.shutdown().await;

    println!("the node is started again ...");
    let (raft, applied) = start(place.path()).await?;
    let balance = raft.read("alice".to_owned()).await?;
    println!("... it holds {balance:?}, with {} deposits applied again", applied.load(Ordering::Relaxed));
    let answer = raft.write_once("till-7", 1, deposit(100)).await?;
    println!("the till, which has lost the answer, asks again: it came to {answer}");
    raft.write(deposit(1)).await?;
    println!("and one more: {:?}", raft.read("alice".to_owned()).await?);
    raft.shutdown().await;
    Ok(())
}
