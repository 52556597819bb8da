//! Before hosts that serve several groups.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_actor::consensus::Settings;
use raft_actor::transport::Transport;
use raft_actor::{GroupId, GroupOptions, RaftHandle, RaftHost};
use raft_transport::client::ClientOptions;
use raft_transport::{RemoteClient, Tcp};

use super::machine::Sum;

/// Hosts 1, 2 and 3 with these groups.
struct Hosts {
    addresses: BTreeMap<u64, String>,
    hosts: Vec<RaftHost>,
    groups: Vec<RaftHandle<Sum>>,
}

impl Hosts {
    async fn with(groups: [u64; 2]) -> Self {
        let transports: BTreeMap<u64, Tcp> = (1..=3).map(|id| (id, Tcp::bind("127.0.0.1:0").unwrap())).collect();
        let addresses: BTreeMap<u64, String> = transports.iter().map(|(id, tcp)| (*id, tcp.address())).collect();
        let mut all = Self { addresses, hosts: Vec::new(), groups: Vec::new() };
        for (id, tcp) in transports {
            let builder = RaftHost::builder()
                .node(id)
                .cluster("sum")
                .in_memory()
                .transport(tcp)
                .peers(all.addresses.clone())
                .settings(Settings { election_timeout_ms_min: 500, heartbeat_ms: 50, ..Settings::default() });
            let host = builder.start_host().await.unwrap();
            for group in groups {
                all.groups.push(host.create_group(group, Sum::default(), GroupOptions::default()).await.unwrap());
            }
            all.hosts.push(host);
        }
        all
    }

    async fn client(&self, group: u64, timeout: Duration) -> RemoteClient<Sum> {
        let options = ClientOptions { group: GroupId::new(group), ..ClientOptions::default() };
        let client = RemoteClient::connect_with("sum", self.addresses.values().cloned(), options).await.unwrap();
        client.with_timeout(timeout)
    }
}

#[tokio::test]
async fn clients_reach_the_group_that_they_name_and_no_other() {
    let hosts = Hosts::with([7, 9]).await;
    let patience = Duration::from_secs(60);
    let (seven, nine) = (hosts.client(7, patience).await, hosts.client(9, patience).await);
    assert_eq!(seven.write(5).await.unwrap(), 5);
    assert_eq!(nine.write(1).await.unwrap(), 1);
    assert_eq!(seven.read(()).await.unwrap(), 5);
    let nobodys = hosts.client(8, Duration::from_millis(300)).await;
    nobodys.write(1).await.expect_err("there is no such group");
    assert_eq!((seven.read(()).await.unwrap(), nine.read(()).await.unwrap()), (5, 1));
    for host in hosts.hosts {
        host.shutdown().await;
    }
}
