//! A host that is down is down: its directory and its address are free.

mod counter;

use counter::Counter;
use raft_actor::transport::LocalNetwork;
use raft_actor::{NodeThread, Placement, RaftHost};

async fn again_and_again(placement: Placement) {
    let (network, place) = (LocalNetwork::default(), tempfile::tempdir().expect("a directory"));
    for run in 1..=20 {
        let host = RaftHost::builder()
            .node(1)
            .data_dir(place.path())
            .log_segment_bytes(64 << 10)
            .transport(network.transport(1))
            .peers([(1, "local:1")])
            .placement(placement.clone())
            .start(Counter::default())
            .await
            .expect("the directory and the address are free");
        assert_eq!(host.write(1).await.expect("it decides alone"), run, "what was written before is still there");
        host.shutdown().await;
    }
}

#[actix_rt::test]
async fn a_host_on_the_current_thread_can_be_started_again_at_once() {
    again_and_again(Placement::current_thread()).await;
}

#[actix_rt::test]
async fn a_host_on_a_shared_thread_can_be_started_again_at_once() {
    let thread = NodeThread::spawn("shared").expect("a thread");
    again_and_again(Placement::on_thread(&thread)).await;
}

#[actix_rt::test]
async fn a_host_on_its_own_threads_can_be_started_again_at_once() {
    again_and_again(Placement::own_threads()).await;
}
