//! A network that delivers everything twice. Raft does not mind; what clients ask must not happen twice either.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use raft_actor::envelope::Envelope;
use raft_actor::transport::{Hello, Inbound, LocalNetwork, LocalTransport, Outbound, Transport};
use raft_actor::{ApplyContext, NodeId, RaftHost, Settings, StateMachine};
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Counter(u64);

impl StateMachine for Counter {
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

struct Twice(LocalTransport);

struct TwiceOutbound(Rc<dyn Outbound>);

impl Transport for Twice {
    fn start(self: Box<Self>, hello: Hello, inbound: Arc<dyn Inbound>) -> io::Result<Rc<dyn Outbound>> {
        Ok(Rc::new(TwiceOutbound(Box::new(self.0).start(hello, inbound)?)))
    }

    fn address(&self) -> String {
        self.0.address()
    }
}

impl Outbound for TwiceOutbound {
    fn send(&self, envelope: Envelope) -> bool {
        self.0.send(envelope.clone());
        self.0.send(envelope)
    }

    fn set_address(&self, peer: NodeId, address: &str) {
        self.0.set_address(peer, address);
    }

    fn forget(&self, peer: NodeId) {
        self.0.forget(peer);
    }
}

#[tokio::test]
async fn a_forward_that_arrives_twice_is_applied_once() {
    let network = LocalNetwork::default();
    let mut nodes = Vec::new();
    for node in 1..=3_u64 {
        let host = RaftHost::builder()
            .node(node)
            .in_memory()
            .transport(Twice(network.transport(node)))
            .peers((1..=3_u64).map(|peer| (peer, format!("local:{peer}"))))
            .settings(Settings { election_timeout_ms_min: 150, heartbeat_ms: 30, ..Settings::default() })
            .start(Counter::default())
            .await;
        nodes.push(host.expect("starts").with_timeout(Duration::from_secs(30)));
    }
    let mut applied = 0;
    for _ in 0..20 {
        for node in &nodes {
            applied += u64::from(node.write(1).await.is_ok());
        }
    }
    assert!(applied >= 40, "{applied} of 60 were answered");
    let sum = nodes[0].read(()).await.expect("a majority runs");
    assert!((applied..=60).contains(&sum), "{applied} were answered, {sum} applied");
    for node in nodes {
        node.shutdown().await;
    }
}
