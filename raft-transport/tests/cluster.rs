//! Whole hosts over TCP: what the transport is for.

use std::collections::BTreeMap;

use raft_actor::consensus::Settings;
use raft_actor::transport::Transport;
use raft_actor::{ApplyContext, Membership, RaftHandle, RaftHost, StateMachine, Status};
use raft_transport::{Count, Tcp, TcpCounters};
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Sum(u64);

impl StateMachine for Sum {
    type Command = u64;
    type Response = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
        self.0 += add;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

type Hosts = BTreeMap<u64, (RaftHandle<Sum>, std::sync::Arc<TcpCounters>)>;

async fn start_three() -> Hosts {
    let transports: BTreeMap<u64, Tcp> = (1..=3).map(|id| (id, Tcp::bind("127.0.0.1:0").unwrap())).collect();
    let peers: Vec<(u64, String)> = transports.iter().map(|(id, tcp)| (*id, tcp.address())).collect();
    let mut hosts = Hosts::new();
    for (id, tcp) in transports {
        let counters = tcp.counters();
        let host = RaftHost::builder()
            .node(id)
            .cluster("sum")
            .in_memory()
            .transport(tcp)
            .peers(peers.clone())
            .settings(Settings { election_timeout_ms_min: 500, heartbeat_ms: 50, ..Settings::default() })
            .start(Sum::default())
            .await
            .unwrap();
        hosts.insert(id, (host, counters));
    }
    hosts
}

#[actix_rt::test]
async fn three_hosts_take_writes_and_reads_on_every_one_of_them() {
    let hosts = start_three().await;
    for (raft, _) in hosts.values() {
        raft.write(1).await.unwrap();
    }
    let answers = hosts[&2].0.write_many((0..1000).map(|_| 1)).await;
    assert_eq!(answers.len(), 1000);
    for (raft, counters) in hosts.values() {
        assert_eq!(raft.read(()).await.unwrap(), 1003);
        assert_eq!(counters.get(Count::IgnoredMalformed) + counters.get(Count::DroppedUnsendable), 0);
    }
    for (raft, _) in hosts.values() {
        raft.shutdown().await;
    }
}

#[actix_rt::test]
async fn the_others_go_on_when_the_leader_is_gone() {
    let mut hosts = start_three().await;
    hosts[&1].0.write(1).await.unwrap();
    let leader = hosts[&1].0.status().leader_id.expect("it answered a write").get();
    let (gone, _) = hosts.remove(&leader).unwrap();
    gone.shutdown().await;
    let (mut applied, mut unknown) = (1, 0);
    for (raft, _) in hosts.values() {
        // What was on its way to the old leader may be lost or not; the next one finds the new leader.
        while let Err(error) = raft.write(1).await {
            unknown += u64::from(error.maybe_applied());
        }
        applied += 1;
    }
    for (raft, _) in hosts.values() {
        let sum = raft.read(()).await.unwrap();
        assert!((applied..=applied + unknown).contains(&sum), "{sum} of {applied} and perhaps {unknown}");
    }
    for (raft, _) in hosts.values() {
        raft.shutdown().await;
    }
}

/// Addresses travel with the configuration: neither were the founders started with the address of the new host, nor it
/// with theirs.
#[actix_rt::test]
async fn a_host_joins_whose_address_is_known_from_the_configuration_only() {
    let mut hosts = start_three().await;
    let tcp = Tcp::bind("127.0.0.1:0").unwrap();
    let (address, counters) = (tcp.address(), tcp.counters());
    let builder = RaftHost::builder().node(4).cluster("sum").in_memory().transport(tcp).join();
    let settings = Settings { election_timeout_ms_min: 500, heartbeat_ms: 50, ..Settings::default() };
    hosts.insert(4, (builder.settings(settings).start(Sum::default()).await.unwrap(), counters));

    let patience = std::time::Duration::from_secs(60);
    hosts[&1].0.write(1).await.unwrap();
    let admin = hosts[&2].0.admin().with_timeout(patience);
    admin.change_membership(Membership::of_voters([1, 2, 3, 4]).address(4, address)).await.unwrap();
    let joined = hosts[&4].0.with_timeout(patience);
    assert_eq!(joined.write(1).await.unwrap(), 2);

    // It can also stay alone with one other: then each of them needs to know where the other one is.
    admin.change_membership(Membership::of_voters([3, 4])).await.unwrap();
    for gone in [1, 2] {
        hosts.remove(&gone).unwrap().0.shutdown().await;
    }
    let is_led = |status: &Status| status.leader_id.is_some_and(|leader| [3, 4].contains(&leader.get()));
    joined.watch().wait_for(is_led).await.unwrap();
    assert_eq!(joined.write(1).await.unwrap(), 3);
    assert_eq!(hosts[&3].0.with_timeout(patience).read(()).await.unwrap(), 3);
    for (raft, _) in hosts.values() {
        raft.shutdown().await;
    }
}
