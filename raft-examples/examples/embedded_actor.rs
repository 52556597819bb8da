//! An actix application that embeds a node: a worker that works only while its node leads.
//!
//! Run it with: cargo run -p raft-examples --example embedded_actor

use std::error::Error;
use std::time::Duration;

use actix::prelude::*;
use raft_actor::{ApplyContext, BecameFollower, BecameLeader, Gateway, LocalCluster, StateMachine, Write};
use serde::{Deserialize, Serialize};

/// Which worker did which job, in the order on which all nodes agree.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Journal(Vec<u64>);

impl StateMachine for Journal {
    type Command = u64; // the worker
    type Response = usize; // how many jobs are done
    type Query = ();
    type Answer = Vec<u64>;

    fn apply(&mut self, _: &mut ApplyContext<'_>, worker: u64) -> usize {
        self.0.push(worker);
        self.0.len()
    }

    fn query(&self, (): ()) -> Vec<u64> {
        self.0.clone()
    }
}

struct Worker {
    node: u64,
    raft: Addr<Gateway<Journal>>,
    job: Option<SpawnHandle>,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Worker {
    type Result = ();

    fn handle(&mut self, now: BecameLeader, ctx: &mut Context<Self>) {
        println!("worker {}: my node leads in term {}, I go to work", self.node, now.term);
        self.job = Some(ctx.run_interval(Duration::from_millis(50), |worker, _| {
            worker.raft.do_send(Write(worker.node));
        }));
    }
}

impl Handler<BecameFollower> for Worker {
    type Result = ();

    fn handle(&mut self, now: BecameFollower, ctx: &mut Context<Self>) {
        println!("worker {}: my node follows in term {}, I rest", self.node, now.term);
        self.job.take().map(|job| ctx.cancel_future(job));
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut cluster = LocalCluster::<Journal>::start(3).await?;
    let workers = [1, 2, 3_u64].map(|node| Worker { node, raft: cluster.node(node).addr(), job: None }.start());
    for (node, worker) in (1_u64..).zip(&workers) {
        cluster.node(node).subscribe::<BecameLeader>(worker.clone());
        cluster.node(node).subscribe::<BecameFollower>(worker.clone());
    }
    let leader = cluster.leader().await.status().node_id.get();
    let mut elsewhere = cluster.node(leader % 3 + 1).watch();
    let enough = elsewhere.wait_for(|status| status.last_applied.get() >= 6).await?.last_applied.get();
    cluster.stop(leader).await;
    println!("node {leader} is stopped");
    elsewhere.wait_for(|status| status.last_applied.get() >= enough + 6).await?;
    println!("the journal: {:?}", cluster.node(leader % 3 + 1).read(()).await?);
    Ok(())
}
