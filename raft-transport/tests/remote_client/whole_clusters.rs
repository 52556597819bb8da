//! Before whole clusters.

use std::collections::BTreeSet;
use std::time::Duration;

use raft_actor::transport::Refusal;
use raft_transport::RemoteClient;
use raft_transport::client::{AttemptError, RemoteError};
use tokio::sync::watch;

use super::hosts::Hosts;
use super::machine::Sum;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn whichever_node_is_known_the_leader_is_found_and_followed() {
    let hosts = Hosts::start("any").await;
    let mut written = 0;
    for address in hosts.addresses.values() {
        let client = RemoteClient::<Sum>::connect("sum", [address]).await.unwrap().with_timeout(PATIENCE);
        written += 1;
        assert_eq!(client.write(1).await.unwrap(), written);
        assert_eq!(client.read(()).await.unwrap(), written);
        assert_eq!(client.read_local(()).await.unwrap(), written, "the leader has applied what it answered");
        assert_eq!(client.without_session().write(1).await.unwrap(), written + 1);
        written += 1;
        assert_eq!(client.connected_to().map(|node| node.get()), Some(hosts.leader().await));
    }
    hosts.end().await;
}

#[tokio::test]
async fn thousands_of_commands_are_under_way_at_once_and_each_gets_its_own_answer() {
    let hosts = Hosts::start("many").await;
    let client = hosts.client().await.with_timeout(PATIENCE);
    // More than a session may have under way, which nobody notices.
    let outcomes = client.write_many((0..5_000).map(|_| 1)).await;
    let sums: BTreeSet<u64> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(sums, (1..=5_000).collect());
    let other = client.session();
    let (a, b) = tokio::join!(client.write_many([1; 1_000]), other.write_many([1; 1_000]));
    assert!(a.iter().chain(&b).all(Result::is_ok));
    assert_eq!(client.read(()).await.unwrap(), 7_000);
    hosts.end().await;
}

/// Tasks that add one, one after the other, until told to stop. Each gives how often it did.
struct Writers {
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<u64>>,
    written: watch::Receiver<u64>,
}

impl Writers {
    fn start(client: &RemoteClient<Sum>, count: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (progress, written) = watch::channel(0);
        let tasks = (0..count).map(|_| {
            let (client, stopped, progress) = (client.clone(), stopped.clone(), progress.clone());
            tokio::spawn(async move {
                let mut count = 0;
                while !*stopped.borrow() {
                    client.write(1).await.expect("it is sent again until it is answered");
                    count += 1;
                    progress.send_modify(|all| *all += 1);
                }
                count
            })
        });
        Self { tasks: tasks.collect(), stop, written }
    }

    async fn progress(&mut self) {
        let before = *self.written.borrow();
        self.written.wait_for(|written| *written >= before + 50).await.unwrap();
    }

    async fn end(self) -> u64 {
        self.stop.send_replace(true);
        let mut all = 0;
        for task in self.tasks {
            all += task.await.unwrap();
        }
        all
    }
}

#[tokio::test]
async fn commands_are_applied_once_when_leaders_die_and_all_are_answered() {
    let mut hosts = Hosts::start("leaders").await;
    let client = hosts.client().await.with_timeout(PATIENCE);
    let mut writers = Writers::start(&client, 16);
    for _ in 0..2 {
        writers.progress().await;
        let leader = hosts.leader().await;
        hosts.crash(leader).await;
        writers.progress().await;
        hosts.restart(leader).await;
    }
    // The polite way, too: leadership is handed over.
    let leader = hosts.leader().await;
    hosts.stop(leader).await;
    writers.progress().await;
    let written = writers.end().await;
    assert_eq!(client.read(()).await.unwrap(), written);
    hosts.end().await;
}

#[tokio::test]
async fn a_client_outlives_a_restart_of_all_nodes_and_what_it_wrote_meanwhile_is_applied_once() {
    let mut hosts = Hosts::start("all").await;
    let client = hosts.client().await.with_timeout(PATIENCE);
    assert_eq!(client.write(1).await.unwrap(), 1);
    for id in 1..=3 {
        hosts.crash(id).await;
    }
    let waiting = client.write_many([1; 100]);
    let read = client.read(());
    let impatient = client.with_timeout(Duration::from_millis(50)).write(1).await.unwrap_err();
    assert!(matches!(impatient, RemoteError::TimedOut { .. }), "{impatient}");
    for id in 1..=3 {
        hosts.restart(id).await;
    }
    assert!(waiting.await.iter().all(Result::is_ok));
    assert!(read.await.unwrap() >= 1);
    let sum = client.read(()).await.unwrap();
    assert_eq!(sum, 101 + u64::from(sum == 102 && impatient.maybe_applied()));
    hosts.end().await;
}

#[tokio::test]
async fn a_client_of_another_cluster_is_told_so_at_once() {
    let hosts = Hosts::start("other").await;
    let refused = RemoteClient::<Sum>::connect("product", hosts.addresses.values().cloned()).await.unwrap_err();
    assert_eq!(refused.attempts().len(), 3);
    for (_, error) in refused.attempts() {
        assert!(matches!(error, AttemptError::Refused(Refusal::Cluster { ours }) if ours == "sum"), "{error}");
    }
    assert!(refused.to_string().contains("sum"), "{refused}");
    hosts.end().await;
}
