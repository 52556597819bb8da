//! Whole hosts over TCP: what the transport is for.

use std::collections::BTreeMap;

use raft_actor::consensus::Settings;
use raft_actor::transport::Transport;
use raft_actor::{ApplyContext, RaftHandle, RaftHost, StateMachine};
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
