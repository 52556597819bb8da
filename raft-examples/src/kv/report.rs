//! What `raft-kv` tells on standard output: sentences for people, or one JSON object per line.

use std::io::Write;

use serde_json::Value;

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
}
