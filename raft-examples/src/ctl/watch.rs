//! What happens in a node, line by line.

use serde_json::Value;

use super::node::Node;
use super::{Failure, Out, is_satisfied};

/// Shows the events of a node until there are no more, which is a failure, or nobody reads them any more.
pub(super) fn watch(node: &Node, out: Out, only: &[String]) -> Result<(), Failure> {
    for event in node.events()? {
        let is_wanted = only.is_empty() || only.iter().any(|name| event["event"] == name.as_str());
        if !is_wanted {
            continue;
        }
        match out.say(|| line(&event), [event.clone()]) {
            Err(failure) if is_satisfied(&failure) => return Ok(()),
            result => result?,
        }
    }
    Err(Failure::StreamEnded { url: node.url().to_owned() })
}

/// `   12.345678 n1@3 message_sent from=1 to=2 kind=append_entries term=3 prev=4@2 last=5@3`.
fn line(event: &Value) -> String {
    let name = event["event"].as_str().unwrap_or("?");
    if name == "status" {
        let Value::Object(fields) = event else { return name.to_owned() };
        return format!("status{}", words(fields.iter().filter(|(field, _)| *field != "event")));
    }
    let seconds = std::time::Duration::from_micros(event["at_us"].as_u64().unwrap_or_default()).as_secs_f64();
    let is_told = |field: &str| ["event", "node", "group", "term", "at_us"].contains(&field);
    let fields = event.as_object().into_iter().flatten();
    let rest = words(fields.filter(|(field, _)| !is_told(field)));
    format!("{seconds:12.6} n{}@{} {name}{rest}", event["node"], event["term"])
}

fn words<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    fields.map(|(field, value)| word(field, value)).collect()
}

/// ` field=value`; what a message says stands beside the rest.
fn word(field: &str, value: &Value) -> String {
    match value {
        Value::Object(message) if field == "message" => words(message.iter()),
        Value::Object(position) if position.len() == 2 && position.contains_key("index") => {
            format!(" {field}={}@{}", value["index"], value["term"])
        }
        Value::String(text) => format!(" {field}={text}"),
        Value::Null => format!(" {field}=-"),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => format!(" {field}={value}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_a_line_that_a_person_can_read() {
        let event = json!({ "event": "message_sent", "node": 1, "group": 0, "term": 3, "at_us": 12_345_678, "from": 1,
            "to": 2, "message": { "kind": "request_vote", "term": 3, "last": { "term": 2, "index": 4 } } });
        assert_eq!(line(&event), "   12.345678 n1@3 message_sent from=1 kind=request_vote last=4@2 term=3 to=2",);
    }
}
