//! A replicated counter: three nodes in one process, a hundred clients.
//!
//! Run it with: cargo run -p raft-examples --example counter

use std::error::Error;
use std::time::Instant;

use futures_util::future::try_join_all;
use raft_actor::{ApplyContext, LocalCluster, StateMachine};
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Counter {
    value: u64,
}

impl StateMachine for Counter {
    type Command = u64; // how much to add
    type Response = u64; // the sum after it
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
        self.value += add;
        self.value
    }

    fn query(&self, (): ()) -> u64 {
        self.value
    }
}

#[actix_rt::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut cluster = LocalCluster::<Counter>::start(3).await?;
    let leader = cluster.leader().await.status().node_id.get();
    println!("node {leader} leads");

    // Each client goes to some node; it need not know who leads.
    let begun = Instant::now();
    let writes = (0..100_u64).map(|client| {
        let raft = cluster.node(client % 3 + 1);
        async move {
            for _ in 0..10 {
                raft.write(1).await?;
            }
            Ok::<_, raft_actor::WriteError>(())
        }
    });
    try_join_all(writes).await?;
    println!("1000 increments by 100 clients in {:?}", begun.elapsed());

    for id in 1..=3_u64 {
        println!("node {id} says {}", cluster.node(id).read(()).await?);
    }

    println!("node {leader} is stopped ...");
    cluster.stop(leader).await;
    let survivor = cluster.node(leader % 3 + 1);
    println!("... and the others go on counting: {}", survivor.write(1).await?);
    cluster.shutdown().await;
    Ok(())
}
