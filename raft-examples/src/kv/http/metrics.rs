//! `GET /raft/metrics`.

use std::fmt::Write;

use actix_web::HttpResponse;
use raft_actor::log_storage::LogCounts;
use raft_actor::{LogIndex, RaftHandle, Role, Status};

use crate::kv::state_machine::Kv;

/// `GET /raft/metrics`: the status in figures; always answered.
pub(super) async fn metrics(raft: RaftHandle<Kv>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text(&raft.status(), raft.log_counts()))
}

/// The Prometheus text format: a help line, a type line, then the samples of the metric.
struct Text {
    out: String,
    /// `cluster="c",node="1"`.
    labels: String,
}

impl Text {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.gauges(name, help, [(String::new(), value.to_string())]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.samples(name, help, "counter", [(String::new(), value.to_string())]);
    }

    fn gauges(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (String, String)>) {
        self.samples(name, help, "gauge", samples);
    }

    /// One sample for each of the labels, which begin with a comma.
    fn samples(&mut self, name: &str, help: &str, kind: &str, samples: impl IntoIterator<Item = (String, String)>) {
        let Self { out, labels } = self;
        let mut write = |line: std::fmt::Arguments<'_>| out.write_fmt(line).expect("a string takes everything");
        write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (more, value) in samples {
            write(format_args!("{name}{{{labels}{more}}} {value}\n"));
        }
    }
}

fn text(status: &Status, log: LogCounts) -> String {
    let cluster = status.cluster.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    let mut text = Text { out: String::new(), labels: format!("cluster=\"{cluster}\",node=\"{}\"", status.node_id) };
    let roles = [
        (Role::Leader, "leader"),
        (Role::Follower, "follower"),
        (Role::Candidate, "candidate"),
        (Role::Learner, "learner"),
    ];
    let roles = roles.map(|(role, name)| (format!(",role=\"{name}\""), u8::from(role == status.role).to_string()));
    text.gauges("raft_role", "1 for the role that the node has.", roles);
    text.gauge("raft_term", "The current term.", status.term.get());
    text.gauge(
        "raft_leader_id",
        "The leader of the term; 0 if none is known.",
        status.leader_id.map_or(0, |id| id.get()),
    );
    for (name, help, index) in [
        ("raft_commit_index", "The last entry known to be committed.", status.commit_index),
        ("raft_last_applied", "The last entry that the state machine has applied.", status.last_applied),
        ("raft_last_log_index", "The last entry of the log.", status.last_log_index),
        ("raft_durable_index", "The last entry of the log that is durable on this node.", status.durable_index),
        (
            "raft_snapshot_index",
            "The last entry that the newest snapshot covers; 0 without one.",
            status.snapshot_index,
        ),
        ("raft_first_log_index", "The first entry that is still in the log.", status.first_log_index),
    ] {
        text.gauge(name, help, LogIndex::get(index));
    }
    text.gauge("raft_log_damaged", "1 while peers repair the log: the node has no vote then.", status.damaged.into());
    for (name, help, count) in [
        ("raft_log_syncs_total", "Syncs of the log that somebody waited for.", log.syncs),
        ("raft_log_writes_total", "Writes that those made durable: appends, votes, purges.", log.writes),
        ("raft_log_entries_total", "Entries that those made durable; for each sync: the group commit.", log.entries),
    ] {
        text.counter(name, help, count);
    }
    text.gauges(
        "raft_longest_leader_silence_seconds",
        "The longest that the node has waited for the next word of a leader whom it follows, since its start.",
        [(String::new(), status.longest_silence.as_secs_f64().to_string())],
    );
    text.gauge("raft_voters", "Members whose votes count.", status.voters.len() as u64);
    text.gauge("raft_learners", "Members that get the log without a vote.", status.learners.len() as u64);
    if !status.peers.is_empty() {
        let peer = |id: &raft_actor::NodeId| format!(",peer=\"{id}\"");
        let matches = status.peers.iter().map(|(id, at)| (peer(id), at.match_index.to_string()));
        text.gauges("raft_peer_match_index", "The last entry known to be durable at a peer of this leader.", matches);
        let contacts = status.peers.iter().filter_map(|(id, at)| Some((peer(id), at.last_contact?)));
        let contacts = contacts.map(|(peer, ago)| (peer, ago.as_secs_f64().to_string()));
        text.gauges("raft_peer_last_contact_seconds", "How long ago a peer of this leader last answered.", contacts);
    }
    text.out
}
