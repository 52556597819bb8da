//! A chat between three terminals: nodes on different machines, over TCP.
//!
//! Run it with: cargo run -p raft-examples --example remote_nodes -- 1 127.0.0.1:7201 127.0.0.1:7202 127.0.0.1:7203
//! and the same in two other terminals, with 2 and 3 in place of 1. On several machines, use their addresses.
//! Type a line and press enter. Ctrl-D leaves; two are still a majority.

use std::error::Error;
use std::io::BufRead;
use std::time::Duration;

use raft_actor::{ApplyContext, RaftHost, StateMachine};
use raft_transport::Tcp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Chat {
    lines: Vec<String>,
}

impl StateMachine for Chat {
    type Command = String;
    type Response = ();
    type Query = usize; // how many lines are known already
    type Answer = Vec<String>;

    fn apply(&mut self, _: &mut ApplyContext<'_>, line: String) {
        self.lines.push(line);
    }

    fn query(&self, known: usize) -> Vec<String> {
        self.lines[known..].to_vec()
    }
}

#[actix_rt::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [id, addresses @ ..] = &args[..] else {
        return Err("usage: remote_nodes ID ADDRESS-OF-1 ADDRESS-OF-2 ...".into());
    };
    let id: u64 = id.parse()?;
    let own = addresses.get(usize::try_from(id)?.wrapping_sub(1)).ok_or("ID counts the addresses, from 1")?;

    let raft = RaftHost::builder()
        .node(id)
        .cluster("chat")
        .in_memory()
        .transport(Tcp::bind(own)?)
        .peers((1_u64..).zip(addresses.iter().cloned()))
        .start(Chat::default())
        .await?;

    let (typed, mut lines) = tokio::sync::mpsc::channel(8);
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| typed.blocking_send(line))
    });
    let mut status = raft.watch();
    let mut known = 0;
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                // Patient: the others may still have to be started.
                Some(line) => raft.with_timeout(Duration::from_secs(60)).write(format!("{id}: {line}")).await?,
                None => break,
            },
            changed = status.changed() => { changed?; }
        }
        for line in raft.read_local(known).await? {
            println!("{line}");
            known += 1;
        }
    }
    raft.shutdown().await;
    Ok(())
}
