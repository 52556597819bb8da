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
    let transport = transport(&options)?;
    let id = options.id;
    let host = RaftHost::builder()
        .node(id)
        .cluster(&options.cluster)
        .data_dir(&options.data_dir)
        .transport(transport)
        .settings(options.timing.settings())
        .lease_reads(options.timing.lease_reads)
        .snapshot_every(options.snapshot_every)
        .session_lifetime(options.timing.session_ttl)
        .election_priority(options.election_priority);
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

/// Listens for the other nodes. They are told the address that this node's own `--peer` option gives, which need not
/// be the one that is listened on: behind address translation, in a container, on all interfaces.
fn transport(options: &Node) -> Result<Tcp, Failure> {
    let Node { listen: address, id, .. } = *options;
    let failed = |source| Failure::Port { address, option: "--listen", source };
    let transport = Tcp::bind(address).map_err(failed)?;
    Ok(match options.peers.iter().find(|peer| peer.id == id) {
        Some(own) => transport.advertise(&own.address),
        None => transport,
    })
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

#[cfg(test)]
mod tests {
    use clap::Parser;
    use raft_actor::transport::Transport;

    use super::*;
    use crate::kv::options::{Command, RaftKv};

    fn address_told(peers: &[&str]) -> String {
        let line = "raft-kv node --id 2 --cluster c --data-dir d --listen 127.0.0.1:0 --http 127.0.0.1:1";
        let peers = peers.iter().flat_map(|peer| ["--peer", peer]);
        let Some(Command::Node(node)) = RaftKv::parse_from(line.split(' ').chain(peers)).command else {
            panic!("it says node");
        };
        transport(&node).expect("a free port").address()
    }

    #[test]
    fn a_node_tells_others_the_address_that_its_own_peer_option_gives() {
        assert_eq!(address_told(&["1=a.example:7101", "2=b.example:7102"]), "b.example:7102");
    }

    #[test]
    fn a_node_that_is_not_on_its_own_list_tells_where_it_listens() {
        let told = address_told(&[]);
        assert!(told.starts_with("127.0.0.1:") && !told.ends_with(":0"), "{told}");
    }
}
