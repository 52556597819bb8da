//! Hosts over loopback TCP, with logs on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use raft_actor::consensus::Settings;
use raft_actor::transport::Transport;
use raft_actor::{RaftHandle, RaftHost};
use raft_transport::{RemoteClient, Tcp};

use super::machine::Sum;

/// Hosts 1, 2 and 3, as far as they run.
pub(crate) struct Hosts {
    pub(crate) running: BTreeMap<u64, RaftHandle<Sum>>,
    pub(crate) addresses: BTreeMap<u64, String>,
    directory: PathBuf,
}

impl Hosts {
    pub(crate) async fn start(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("remote-client-{name}-{}", std::process::id()));
        let transports: BTreeMap<u64, Tcp> = (1..=3).map(|id| (id, Tcp::bind("127.0.0.1:0").unwrap())).collect();
        let addresses = transports.iter().map(|(id, tcp)| (*id, tcp.address())).collect();
        let mut hosts = Self { running: BTreeMap::new(), addresses, directory };
        for (id, tcp) in transports {
            hosts.start_on(id, tcp).await;
        }
        hosts
    }

    async fn start_on(&mut self, id: u64, tcp: Tcp) {
        let host = RaftHost::builder()
            .node(id)
            .cluster("sum")
            .data_dir(self.directory.join(id.to_string()))
            .transport(tcp)
            .peers(self.addresses.clone())
            .settings(Settings { election_timeout_ms_min: 500, heartbeat_ms: 50, ..Settings::default() })
            .start(Sum::default())
            .await
            .unwrap();
        self.running.insert(id, host);
    }

    /// Starts a host again where it was.
    pub(crate) async fn restart(&mut self, id: u64) {
        let tcp = Tcp::bind(&self.addresses[&id]).unwrap();
        self.start_on(id, tcp).await;
    }

    pub(crate) async fn stop(&mut self, id: u64) {
        self.running.remove(&id).unwrap().shutdown().await;
    }

    /// It is gone at once, as a leader that crashes: it hands nothing over, and answers nobody.
    pub(crate) async fn crash(&mut self, id: u64) {
        let raft = self.running.remove(&id).unwrap();
        let mut watch = raft.watch();
        drop(raft);
        // Until its last watcher hears nothing more.
        while watch.changed().await.is_ok() {}
    }

    pub(crate) async fn leader(&self) -> u64 {
        let (_, raft) = self.running.first_key_value().unwrap();
        let mut watch = raft.watch();
        let led = watch.wait_for(|status| status.leader_id.is_some()).await.unwrap();
        led.leader_id.unwrap().get()
    }

    pub(crate) async fn client(&self) -> RemoteClient<Sum> {
        RemoteClient::connect("sum", self.addresses.values().cloned()).await.unwrap()
    }

    pub(crate) async fn end(mut self) {
        for id in self.running.keys().copied().collect::<Vec<_>>() {
            self.stop(id).await;
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
