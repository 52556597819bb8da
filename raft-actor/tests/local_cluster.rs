//! A cluster in one process, under every kind of test function and runtime.

mod counter;

use std::time::Duration;

use counter::Counter;
use raft_actor::transport::LocalNetwork;
use raft_actor::{BecameLeader, LocalCluster, RaftHost, ReadError, Role, StopReason, WriteError};

async fn add_through_every_node(cluster: LocalCluster<Counter>) {
    for (id, expected) in [(1, 1), (2, 2), (3, 3)] {
        assert_eq!(cluster.node(id).write(1).await.expect("a majority runs"), expected);
    }
    for id in cluster.ids() {
        assert_eq!(cluster.node(id).read(()).await.expect("a majority runs"), 3);
    }
    cluster.shutdown().await;
}

#[test]
fn any_node_takes_writes_and_reads_in_a_plain_test() {
    futures_util_block_on(async {
        add_through_every_node(LocalCluster::start(3).await.expect("starts")).await;
    });
}

#[actix_rt::test]
async fn any_node_takes_writes_and_reads_in_an_actix_test() {
    add_through_every_node(LocalCluster::start(3).await.expect("starts")).await;
}

#[tokio::test]
async fn any_node_takes_writes_and_reads_in_a_tokio_test() {
    add_through_every_node(LocalCluster::start(3).await.expect("starts")).await;
}

/// A bare executor: the handle needs no runtime.
fn futures_util_block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            return done;
        }
        std::thread::park();
    }
}

#[tokio::test]
async fn a_cluster_of_one_serves() {
    let cluster = LocalCluster::<Counter>::start(1).await.expect("starts");
    assert_eq!(cluster.node(1).write(7).await.expect("it is the majority"), 7);
    assert_eq!(cluster.node(1).read(()).await.expect("it is the majority"), 7);
    cluster.shutdown().await;
}

#[tokio::test]
async fn without_a_majority_nothing_is_promised_and_stale_reads_answer() {
    let mut cluster = LocalCluster::<Counter>::start(3).await.expect("starts");
    cluster.node(1).write(5).await.expect("a majority runs");
    assert_eq!(cluster.node(1).read(()).await.expect("a majority runs"), 5);
    cluster.stop(2).await;
    cluster.stop(3).await;
    let alone = cluster.node(1).with_timeout(Duration::from_millis(400));
    let write = alone.write(1).await.expect_err("no majority");
    assert!(
        matches!(write, WriteError::NoLeader { .. } | WriteError::TimedOut { .. } | WriteError::Unknown { .. }),
        "{write:?}"
    );
    let read = alone.read(()).await.expect_err("no majority");
    assert!(matches!(read, ReadError::NoLeader { .. } | ReadError::TimedOut { .. }), "{read:?}");
    assert_eq!(alone.read_local(()).await.expect("needs nobody"), 5);
    cluster.shutdown().await;
}

#[tokio::test]
async fn another_leads_after_the_leader_was_cut_off() {
    let cluster = LocalCluster::<Counter>::start(3).await.expect("starts");
    let old = cluster.leader().await.status().node_id;
    cluster.node(old).write(1).await.expect("a majority runs");
    cluster.network().isolate(old);
    let other = cluster.ids().into_iter().find(|id| *id != old).expect("there are three");
    assert_eq!(cluster.node(other).write(1).await.expect("the others are a majority"), 2);
    let mut watch = cluster.node(old).watch();
    watch.wait_for(|status| status.role != Role::Leader).await.expect("it runs on");
    cluster.network().rejoin(old);
    assert_eq!(cluster.node(old).read(()).await.expect("it is back"), 2);
    cluster.shutdown().await;
}

#[tokio::test]
async fn many_clients_are_all_answered() {
    let cluster = LocalCluster::<Counter>::start(3).await.expect("starts");
    let tasks: Vec<_> = (0..64)
        .map(|client| {
            let node = cluster.node(client % 3 + 1).clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    node.write(1).await.expect("a majority runs");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no client fails");
    }
    assert_eq!(cluster.node(2).read(()).await.expect("a majority runs"), 64 * 50);
    cluster.shutdown().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_every_node_was_restarted() {
    let mut cluster = LocalCluster::<Counter>::builder(3).durable().start(Counter::default).await.expect("starts");
    for expected in 1..=20 {
        assert_eq!(cluster.node(expected % 3 + 1).write(1).await.expect("a majority runs"), expected);
    }
    for id in cluster.ids() {
        cluster.stop(id).await;
    }
    for id in cluster.ids() {
        cluster.restart(id).await.expect("its directory is free and whole");
    }
    assert_eq!(cluster.node(1).read(()).await.expect("a majority runs"), 20);
    assert_eq!(cluster.node(2).write(1).await.expect("a majority runs"), 21);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_node_that_was_away_catches_up() {
    let mut cluster = LocalCluster::<Counter>::builder(3).durable().start(Counter::default).await.expect("starts");
    cluster.node(1).write(1).await.expect("a majority runs");
    cluster.stop(3).await;
    let writes = cluster.node(1).write_many((0..500).map(|_| 1)).await;
    assert!(writes.iter().all(Result::is_ok), "two of three are a majority");
    cluster.restart(3).await.expect("its directory is free and whole");
    let back = cluster.node(3);
    back.watch().wait_for(|status| status.last_applied.get() > 500).await.expect("it runs");
    assert_eq!(back.read_local(()).await.expect("needs nobody"), 501);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_node_stops_with_its_last_handle() {
    let network = LocalNetwork::default();
    let host = RaftHost::builder().node(1).in_memory().transport(network.transport(1)).peers([(1, "local:1")]);
    let raft = host.start(Counter::default()).await.expect("starts");
    raft.write(1).await.expect("it is the majority");
    let stopped = raft.stopped();
    drop(raft);
    assert!(matches!(stopped.await, StopReason::Dropped));
}

#[derive(Default)]
struct Herald {
    terms: Vec<u64>,
    heard: Option<tokio::sync::mpsc::UnboundedSender<u64>>,
}

impl actix::Actor for Herald {
    type Context = actix::Context<Self>;
}

impl actix::Handler<BecameLeader> for Herald {
    type Result = ();

    fn handle(&mut self, now: BecameLeader, _: &mut Self::Context) {
        self.terms.push(now.term.get());
        if let Some(heard) = &self.heard {
            heard.send(now.term.get()).expect("the test waits for it");
        }
    }
}

#[actix_rt::test]
async fn an_actor_hears_who_leads_late_subscribers_at_once_and_of_the_next_one() {
    use actix::Actor;
    let mut cluster = LocalCluster::<Counter>::start(3).await.expect("starts");
    let first = cluster.leader().await.status();
    cluster.node(first.node_id).write(1).await.expect("it serves, so it has announced itself");
    let (heard, mut terms) = tokio::sync::mpsc::unbounded_channel();
    let herald = Herald { heard: Some(heard), ..Herald::default() }.start();
    for node in cluster.running() {
        node.subscribe::<BecameLeader>(herald.clone());
    }
    assert_eq!(terms.recv().await, Some(first.term.get()));
    cluster.stop(first.node_id).await;
    let next = terms.recv().await.expect("the others elect one of them");
    assert!(next > first.term.get());
    cluster.shutdown().await;
}
