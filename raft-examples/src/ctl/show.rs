//! Tables for people.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use super::members::Member;

/// A status, a line for each thing that it tells, and the leader's view of the others.
pub(super) fn status(status: &Value) -> String {
    let mut table = plain();
    let mut row = |name: &str, value: String| {
        table.add_row([name, &value]);
    };
    row("node", format!("{} of cluster {}", cell(&status["node_id"]), cell(&status["cluster"])));
    row("role", cell(&status["role"]));
    row("term", cell(&status["term"]));
    row("leader", cell(&status["leader_id"]));
    row("committed", cell(&status["commit_index"]));
    row("applied", cell(&status["last_applied"]));
    row("log", format!("{} to {}", cell(&status["first_log_index"]), cell(&status["last_log_index"])));
    row("snapshot", cell(&status["snapshot_index"]));
    if status["damaged"] == Value::Bool(true) {
        row("damaged", "yes: its peers repair its log, until then it has no vote".into());
    }
    row("voters", ids(&status["voters"]).unwrap_or_else(|| "-".into()));
    row("learners", ids(&status["learners"]).unwrap_or_else(|| "-".into()));
    if let Some(voters) = ids(&status["changing_to"]["voters"]) {
        let learners = ids(&status["changing_to"]["learners"]).map(|learners| format!(", learners {learners}"));
        row("changing to", format!("voters {voters}{}", learners.unwrap_or_default()));
    }
    let mut text = table.trim_fmt();
    let peers = status["peers"].as_object().into_iter().flatten();
    let mut table = listing(["PEER", "MATCH", "STATE", "LAST CONTACT"]);
    table.add_rows(peers.map(|(id, peer)| [vec![id.clone()], progress(peer)].concat()));
    if !table.is_empty() {
        text.push_str("\n\n");
        text.push_str(&table.trim_fmt());
    }
    text
}

/// The members, a line for each.
pub(super) fn members(status: &Value, members: &[Member]) -> String {
    let mut table = listing(["ID", "ROLE", "ADDRESS", "MATCH", "STATE", "LAST CONTACT"]);
    for member in members {
        let mut role = member.role().to_owned();
        if member.leads {
            role.push_str(", leads");
        }
        if let Some(next) = member.becomes {
            role.push_str(" => ");
            role.push_str(next);
        }
        let address = member.address.clone().unwrap_or_else(|| "-".to_owned());
        table.add_row([vec![member.id.to_string(), role, address], progress(&member.peer)].concat());
    }
    let mut text = table.trim_fmt();
    if status["role"] != "leader" {
        let leader = status["leader_id"].as_u64();
        let leader = leader.map_or("no leader is known".to_owned(), |id| format!("ask node {id}, the leader, for it"));
        text.push_str(&format!("\nHow far each one is only the leader knows; {leader}."));
    }
    text
}

/// Numbers in a row: `1, 2, 3`; `None` if there are none.
pub(super) fn ids(list: &Value) -> Option<String> {
    let ids: Vec<String> = list.as_array()?.iter().map(cell).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}

fn progress(peer: &Value) -> Vec<String> {
    let contact = peer["last_contact_ms"].as_u64().map_or("-".to_owned(), |ms| format!("{ms} ms ago"));
    vec![cell(&peer["match_index"]), cell(&peer["state"]), contact]
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn listing<const N: usize>(header: [&str; N]) -> Table {
    let mut table = plain();
    table.set_header(header);
    if let Some(column) = header.iter().position(|name| *name == "MATCH").and_then(|at| table.column_mut(at)) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
