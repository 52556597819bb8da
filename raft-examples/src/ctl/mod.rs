//! `raftctl`: the operator's side of a `raft-kv` cluster, over the HTTP of any of its nodes.
//!
//! - [`options`] are the command lines.
//! - `node` asks a node, and knows what its answers mean.
//! - `members` makes the next membership out of the present one.
//! - `show` and `watch` are what a person sees; with `--json` it is what the node says, an object per line.

use std::io::{self, ErrorKind, Write};

use serde_json::{Value, json};

mod failure;
mod members;
mod node;
pub mod options;
mod show;
mod watch;

pub use failure::Failure;
use node::Node;
use options::Command;
pub use options::RaftCtl;

/// Does what the command line says.
///
/// # Errors
/// Why it could not be done, and what to do about it.
pub fn run(options: &RaftCtl) -> Result<(), Failure> {
    let node = Node::new(&options.node, options.timeout)?;
    let out = Out { json: options.json };
    match &options.command {
        Command::Status => {
            let status = node.status()?;
            out.say(|| show::status(&status), [status.clone()])
        }
        Command::Members => {
            let status = node.latest_status()?;
            let members = members::list(&status);
            out.say(|| show::members(&status, &members), members.iter().map(members::Member::json))
        }
        Command::Add { peer, learner } => {
            let wanted = members::with(&node.latest_status()?, peer, *learner);
            change(&node, out, &wanted)
        }
        Command::Remove { id } => {
            let wanted = members::without(&node.latest_status()?, *id)?;
            change(&node, out, &wanted)
        }
        Command::Transfer { id } => {
            let answer = node.post("/raft/transfer", &json!({ "to": id }))?;
            out.say(|| format!("node {} leads (term {})", answer["leader_id"], answer["term"]), [answer.clone()])
        }
        Command::Snapshot => {
            let answer = node.post("/raft/snapshot", &Value::Null)?;
            out.say(|| format!("there is a snapshot of everything through entry {}", answer["index"]), [answer.clone()])
        }
        Command::Watch { only } => watch::watch(&node, out, only),
    }
}

fn change(node: &Node, out: Out, wanted: &Value) -> Result<(), Failure> {
    let answer = node.post("/raft/membership", wanted)?;
    let sentence = || {
        let list = |field: &str| show::ids(&answer[field]).unwrap_or_else(|| "none".to_owned());
        format!("voters {}, learners {} (committed as entry {})", list("voters"), list("learners"), answer["index"])
    };
    out.say(sentence, [answer.clone()])
}

/// Where results go: text for people, or one JSON object per line.
#[derive(Debug, Clone, Copy)]
struct Out {
    json: bool,
}

impl Out {
    fn say(self, text: impl FnOnce() -> String, objects: impl IntoIterator<Item = Value>) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let lines = || {
            if self.json {
                objects.into_iter().try_for_each(|object| writeln!(out, "{object}"))?;
            } else {
                writeln!(out, "{}", text())?;
            }
            out.flush()
        };
        lines().map_err(Failure::Output)
    }
}

/// A reader that has seen enough (`raftctl watch | head`).
fn is_satisfied(failure: &Failure) -> bool {
    matches!(failure, Failure::Output(error) if error.kind() == ErrorKind::BrokenPipe)
}
