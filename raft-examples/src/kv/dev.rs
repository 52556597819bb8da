//! `raft-kv dev`: a whole cluster in one process, over loopback TCP.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use raft_actor::RaftHost;
use raft_transport::Tcp;
use serde_json::json;

use super::failure::Failure;
use super::options::Dev;
use super::report::Report;
use super::serve::{Served, listen, serve};
use super::state_machine::Kv;

/// Runs the nodes until asked to end.
///
/// # Errors
/// Why a node cannot start or go on.
pub async fn run(options: Dev) -> Result<(), Failure> {
    options.check()?;
    let report = Report::new(options.json);
    check_size(&options.data_dir, options.nodes)?;
    let members = options.members();
    let peers: Vec<(u64, String)> = members.iter().map(|(id, raft, _)| (*id, raft.to_string())).collect();

    // All ports before the first node: a start that fails should leave nothing behind.
    let mut ports = Vec::new();
    for (id, raft, http) in members {
        let listener = listen(http, "--http-base")?;
        let transport =
            Tcp::bind(raft).map_err(|source| Failure::Port { address: raft, option: "--raft-base", source })?;
        ports.push((id, transport, listener, http));
    }
    make_directories(&options.data_dir, options.nodes)?;
    let mut nodes = Vec::new();
    for (id, transport, listener, http) in ports {
        let raft = RaftHost::builder()
            .node(id)
            .cluster("dev")
            .data_dir(options.data_dir.join(id.to_string()))
            .transport(transport)
            .peers(peers.clone())
            .settings(options.timing.settings())
            .lease_reads(options.timing.lease_reads)
            .snapshot_every(options.snapshot_every)
            .session_lifetime(options.timing.session_ttl)
            .start(Kv::default())
            .await
            .map_err(|source| Failure::Start { id, source })?;
        report.say(
            &format!("node {id}: http://{http}"),
            &json!({ "event": "serving", "node_id": id, "http": http.to_string() }),
        );
        nodes.push(Served { id, raft, listener });
    }
    // One of them is enough to tell.
    if let Some(node) = nodes.first() {
        actix_web::rt::spawn(report.leaders(node.raft.watch()));
    }
    serve(nodes).await?;
    report.say("stopped; the data is kept", &json!({ "event": "stopped" }));
    Ok(())
}

/// The members of a cluster are those of its first start: refuses data of another number of nodes.
fn check_size(data_dir: &Path, asked: u16) -> Result<(), Failure> {
    let fail = |source| Failure::Directory { path: data_dir.to_owned(), source };
    let entries = match fs::read_dir(data_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    let mut found = 0;
    for entry in entries {
        let name = entry.map_err(fail)?.file_name();
        found += u16::from(name.to_str().is_some_and(|name| name.parse::<u64>().is_ok()));
    }
    if found == 0 || found == asked {
        Ok(())
    } else {
        Err(Failure::OtherSize { path: data_dir.to_owned(), found, asked })
    }
}

/// Makes a directory for each node at once, so that their number is known even if this start fails half way.
fn make_directories(data_dir: &Path, nodes: u16) -> Result<(), Failure> {
    (1..=nodes)
        .try_for_each(|id| fs::create_dir_all(data_dir.join(id.to_string())))
        .map_err(|source| Failure::Directory { path: data_dir.to_owned(), source })
}
