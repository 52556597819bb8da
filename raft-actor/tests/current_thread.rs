//! No thread is started where none is wanted. Alone in its file: it counts the threads of its process.

mod counter;
mod threads;

use counter::Counter;
use raft_actor::transport::LocalNetwork;
use raft_actor::{Placement, RaftHost};
use threads::threads;

#[actix_rt::test]
async fn a_whole_cluster_runs_on_the_callers_thread() {
    let before = threads().len();
    let network = LocalNetwork::default();
    let mut nodes = Vec::new();
    for id in 1..=3_u64 {
        let host = RaftHost::builder()
            .node(id)
            .in_memory()
            .transport(network.transport(id))
            .peers((1..=3_u64).map(|peer| (peer, format!("local:{peer}"))))
            .placement(Placement::current_thread());
        nodes.push(host.start(Counter::default()).await.expect("starts"));
    }
    assert_eq!(nodes[0].write(4).await.expect("a majority runs"), 4);
    assert_eq!(nodes[2].read(()).await.expect("a majority runs"), 4);
    assert_eq!(threads().len(), before);
    for node in nodes {
        node.shutdown().await;
    }
}
