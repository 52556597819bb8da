//! `raft-kv node`: one node of a cluster.

use raft_actor::{RaftHost, Settings};
use raft_transport::Tcp;
use serde_json::json;

use super::failure::Failure;
use super::options::{Node, Timing};
use super::report::Report;
use super::serve::{Served, listen, serve};
use super::state_machine::Kv;

/// Runs one node until it is asked to end.
///
/// # Errors
/// Why it cannot start or go on.
pub async fn run(options: Node) -> Result<(), Failure> {
    options.check()?;
    let report = Report::new(options.json);
    let http = listen(options.http, "--http")?;
    let transport = Tcp::bind(options.listen).map_err(|source| Failure::Port {
        address: options.listen,
        option: "--listen",
        source,
    })?;
    let id = options.id;
    let host = RaftHost::builder()
        .node(id)
        .cluster(&options.cluster)
        .data_dir(&options.data_dir)
        .transport(transport)
        .settings(options.timing.settings());
    let host = if options.join {
        host.join()
    } else {
        host.peers(options.peers.into_iter().map(|peer| (peer.id, peer.address)))
    };
    let raft = host.start(Kv::default()).await.map_err(|source| Failure::Start { id, source })?;

    report.say(
        &format!("node {id} of cluster {:?} serves http://{} (raft on {})", options.cluster, options.http, options.listen),
        &json!({ "event": "serving", "node_id": id, "http": options.http.to_string(), "raft": options.listen.to_string() }),
    );
    actix_web::rt::spawn(report.leaders(raft.watch()));
    serve(vec![Served { id, raft, listener: http }]).await
}

impl Timing {
    /// The same for the framework.
    pub(super) fn settings(self) -> Settings {
        Settings {
            election_timeout_ms_min: self.election_timeout_ms,
            heartbeat_ms: self.heartbeat_ms,
            ..Settings::default()
        }
    }
}
