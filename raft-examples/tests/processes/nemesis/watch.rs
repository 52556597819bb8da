//! Somebody who looks at all nodes all the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;

/// How long a node may take to tell its status before the others are asked.
const PATIENCE: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);

/// A running watch.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<u64, u64>>,
}

impl Watch {
    pub(super) fn start(nodes: &[Client]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let nodes: Vec<Client> = nodes.iter().map(|node| node.impatient(PATIENCE)).collect();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut leaders = BTreeMap::new();
            while !stopped.load(Ordering::Relaxed) {
                for status in nodes.iter().filter_map(|node| node.status().ok()) {
                    look_at(&status, &mut leaders);
                }
                std::thread::sleep(PAUSE);
            }
            leaders
        });
        Self { stop, thread }
    }

    /// Ends it, and gives what it saw.
    pub(super) fn stop(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let leaders = self.thread.join().expect("the watch saw nothing wrong");
        format!("{} leaders seen, the last of term {:?}", leaders.len(), leaders.keys().last())
    }
}

fn look_at(status: &Value, leaders: &mut BTreeMap<u64, u64>) {
    let number = |field: &str| status[field].as_u64().unwrap_or_else(|| panic!("no {field} in {status}"));
    let (applied, commit, last) = (number("last_applied"), number("commit_index"), number("last_log_index"));
    assert!(applied <= commit && commit <= last, "applied <= committed <= last does not hold: {status}");
    if status["role"] == "leader" {
        let (term, node) = (number("term"), number("node_id"));
        let first = *leaders.entry(term).or_insert(node);
        assert_eq!(first, node, "two leaders of term {term}");
    }
}

#[test]
#[should_panic(expected = "two leaders of term 3")]
fn two_leaders_of_a_term_are_noticed() {
    let status = |node: u64| {
        serde_json::json!({
            "node_id": node, "role": "leader", "term": 3, "last_applied": 1, "commit_index": 1, "last_log_index": 1,
        })
    };
    let mut leaders = BTreeMap::new();
    look_at(&status(1), &mut leaders);
    look_at(&status(2), &mut leaders);
}
