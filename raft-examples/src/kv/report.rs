//! What `raft-kv` tells on standard output: sentences for people, or one JSON object per line.

use std::io::Write;

use raft_actor::Status;
use raft_actor::handle::StatusWatch;
use serde_json::{Value, json};

/// Where the reports of a run go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    json: bool,
}

impl Report {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Tells one thing, in the form that was asked for.
    pub(super) fn say(self, sentence: &str, object: &Value) {
        let mut out = std::io::stdout().lock();
        // A reader that went away (`raft-kv dev | head`) is no reason to stop serving.
        let _ = if self.json { writeln!(out, "{object}") } else { writeln!(out, "{sentence}") };
        let _ = out.flush();
    }

    /// Tells who leads, whenever a node comes to know of another leader; until the node stops.
    pub(super) async fn leaders(self, mut status: StatusWatch) {
        let mut told = None;
        let leader = |now: &Status| now.leader_id.map(|leader| (now.term, leader));
        while let Ok(now) = status.wait_for(|now| now.leader_id.is_some() && leader(now) != told).await {
            told = leader(&now);
            if let Some((term, node)) = told {
                let object = json!({ "event": "leader", "node_id": node, "term": term });
                self.say(&format!("node {node} leads (term {term})"), &object);
            }
        }
    }
}
