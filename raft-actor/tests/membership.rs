//! Members come and go, while the cluster serves.

mod counter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use counter::Counter;
use raft_actor::{
    InvalidMembership, LocalCluster, Membership, MembershipError, NodeId, RaftAdmin, RaftHandle, Role, Settings, Status,
};
use tokio::sync::watch;

/// Long enough for the slowest machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

async fn cluster(nodes: u64) -> LocalCluster<Counter> {
    let settings = Settings { election_timeout_ms_min: 500, heartbeat_ms: 50, ..Settings::default() };
    LocalCluster::<Counter>::builder(nodes).settings(settings).durable().start(Counter::default).await.expect("starts")
}

/// These voters and learners; whoever is no founder is where a local cluster puts it.
fn membership(voters: &[u64], learners: &[u64]) -> Membership {
    let members = voters.iter().chain(learners);
    let all = Membership::of_voters(voters.iter().copied()).learners(learners.iter().copied());
    members.fold(all, |membership, id| membership.address(*id, format!("local:{id}")))
}

fn ids(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().map(|id| NodeId::from(*id)).collect()
}

fn patient(raft: &RaftHandle<Counter>) -> RaftAdmin {
    raft.admin().with_timeout(PATIENCE)
}

/// Waits until a node's own log says so, committed.
async fn sees(raft: &RaftHandle<Counter>, voters: &[u64], learners: &[u64]) -> Arc<Status> {
    let (voters, learners) = (ids(voters), ids(learners));
    let is_so = |status: &Status| status.voters == voters && status.learners == learners;
    raft.watch().wait_for(is_so).await.expect("it runs")
}

#[tokio::test]
async fn a_node_that_joins_gets_the_whole_log_as_a_learner_and_then_a_vote() {
    let mut cluster = cluster(3).await;
    let before = cluster.node(1).write_many((0..200).map(|_| 1)).await;
    assert!(before.iter().all(Result::is_ok), "a majority runs");
    cluster.join(4).await.expect("starts");
    assert_eq!(cluster.node(4).status().role, Role::Learner, "it belongs to nothing yet");

    let leader = patient(cluster.leader().await);
    leader.change_membership(membership(&[1, 2, 3], &[4])).await.expect("a learner needs nobody's consent");
    let learner = cluster.node(4);
    let all_applied = |status: &Status| status.last_applied.get() > 200;
    let status = learner.watch().wait_for(all_applied).await.expect("it runs");
    assert_eq!((status.role, status.first_log_index.get()), (Role::Learner, 1));
    assert_eq!(learner.read_local(()).await.expect("needs nobody"), 200);
    assert_eq!((&status.voters, &status.learners), (&ids(&[1, 2, 3]), &ids(&[4])));
    assert_eq!(learner.write(1).await.expect("it forwards"), 201);

    let at = leader.change_membership(membership(&[1, 2, 3, 4], &[])).await.expect("it has caught up");
    leader.watch().wait_for(|status| status.commit_index >= at.index).await.expect("it runs");
    sees(cluster.node(4), &[1, 2, 3, 4], &[]).await;
    // Three of four are needed: with one founder down, its vote and its log count.
    let leader = cluster.leader().await.status().node_id;
    cluster.stop(leader).await;
    let written = cluster.node(4).with_timeout(PATIENCE).write(1).await;
    assert_eq!(written.expect("nobody is elected without its vote, nothing committed without its log"), 202);
    cluster.shutdown().await;
}

#[tokio::test]
async fn any_node_takes_a_change_and_to_ask_twice_does_no_harm() {
    let mut cluster = cluster(3).await;
    cluster.join(4).await.expect("starts");
    let leader = cluster.leader().await.status().node_id;
    let follower = cluster.ids().into_iter().find(|id| *id != leader && id.get() < 4).expect("there are three");
    let wanted = membership(&[1, 2, 3, 4], &[]);
    let (follower, leader) = (patient(cluster.node(follower)), patient(cluster.node(leader)));
    let at_once = [&follower, &leader, &follower].map(|node| node.change_membership(wanted.clone()));
    let [first, second, third] = at_once;
    let first = first.await.expect("the follower passes it on");
    assert_eq!(second.await.expect("it is the same one"), first);
    assert_eq!(third.await.expect("it is the same one"), first);
    let joined = patient(cluster.node(4));
    assert_eq!(joined.change_membership(wanted).await.expect("it is so already"), first);
    cluster.shutdown().await;
}

/// What became of a client's writes.
struct Client {
    acknowledged: u64,
    unknown: u64,
}

/// Writes one after the other, at the nodes given in turn, until told to stop.
async fn write_on(nodes: Vec<RaftHandle<Counter>>, stop: Arc<AtomicBool>, written: watch::Sender<u64>) -> Client {
    let mut client = Client { acknowledged: 0, unknown: 0 };
    let mut nodes = nodes.into_iter().cycle();
    while !stop.load(Ordering::SeqCst) {
        let node = nodes.next().expect("there are some").with_timeout(Duration::from_millis(300));
        match node.write(1).await {
            Ok(_) => {
                client.acknowledged += 1;
                written.send_modify(|written| *written += 1);
            }
            Err(error) if error.maybe_applied() => client.unknown += 1,
            Err(_) => {}
        }
    }
    client
}

/// Waits until so many more writes were acknowledged.
async fn progress(written: &watch::Sender<u64>, more: u64) {
    let goal = *written.borrow() + more;
    written.subscribe().wait_for(|written| *written >= goal).await.expect("the sender is here");
}

#[tokio::test]
async fn all_members_are_replaced_while_clients_write_and_nothing_is_lost() {
    let mut cluster = cluster(3).await;
    for id in 4..=6 {
        cluster.join(id).await.expect("starts");
    }
    let (stop, written) = (Arc::<AtomicBool>::default(), watch::Sender::new(0));
    let nodes: Vec<_> = cluster.running().cloned().collect();
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let mut nodes = nodes.clone();
            nodes.rotate_left(client);
            tokio::spawn(write_on(nodes, Arc::clone(&stop), written.clone()))
        })
        .collect();
    progress(&written, 20).await;
    patient(cluster.node(1)).change_membership(membership(&[4, 5, 6], &[])).await.expect("they are there");
    for id in 4..=6 {
        sees(cluster.node(id), &[4, 5, 6], &[]).await;
    }
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    progress(&written, 20).await;
    stop.store(true, Ordering::SeqCst);
    let (mut acknowledged, mut unknown) = (0, 0);
    for client in clients {
        let client = client.await.expect("no client fails");
        acknowledged += client.acknowledged;
        unknown += client.unknown;
    }
    let sum = cluster.node(5).with_timeout(PATIENCE).read(()).await.expect("a majority of the new ones runs");
    assert!((acknowledged..=acknowledged + unknown).contains(&sum), "{acknowledged} + {unknown} became {sum}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_leader_removes_itself_and_another_one_leads() {
    let cluster = cluster(3).await;
    let old = cluster.leader().await.status().node_id;
    cluster.node(old).write(1).await.expect("a majority runs");
    let others: Vec<u64> = (1..=3).filter(|id| *id != old.get()).collect();
    patient(cluster.node(old))
        .change_membership(membership(&others, &[]))
        .await
        .expect("it finishes it before it goes");
    let removed = cluster.node(old).watch().wait_for(|status| status.role != Role::Leader).await.expect("it runs on");
    assert_eq!((removed.role, &removed.voters), (Role::Learner, &ids(&others)), "and says that it is out");
    for other in &others {
        let written = cluster.node(*other).with_timeout(PATIENCE).write(1).await;
        assert!(written.is_ok(), "{written:?}");
    }
    let leader = cluster.node(others[0]).status().leader_id.expect("it has just been written to");
    assert!(others.contains(&leader.get()));
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_removed_node_runs_on_and_says_that_it_is_out() {
    let cluster = cluster(3).await;
    let leader = cluster.leader().await.status().node_id;
    let removed = cluster.ids().into_iter().find(|id| *id != leader).expect("there are three");
    let others: Vec<u64> = (1..=3).filter(|id| *id != removed.get()).collect();
    // It may well be asked for this itself.
    patient(cluster.node(removed)).change_membership(membership(&others, &[])).await.expect("a majority runs");
    let status = sees(cluster.node(removed), &others, &[]).await;
    assert_eq!(status.role, Role::Learner);
    assert_eq!(cluster.node(removed).read_local(()).await.expect("needs nobody"), 0);
    let written = cluster.node(removed).with_timeout(PATIENCE).write(1).await;
    assert_eq!(written.expect("it still knows whom to ask"), 1);
    cluster.shutdown().await;
}

/// What a node says that is refused because its disk was wiped.
#[tokio::test]
async fn a_wiped_node_is_a_member_again_after_it_was_removed_and_added() {
    let place = tempfile::tempdir().expect("a directory");
    let cluster = LocalCluster::<Counter>::builder(3).data_dir(place.path()).start(Counter::default);
    let mut cluster = cluster.await.expect("starts");
    cluster.join(4).await.expect("starts");
    let all = membership(&[1, 2, 3, 4], &[]);
    patient(cluster.node(1)).change_membership(all.clone()).await.expect("it is there");
    cluster.stop(4).await;
    std::fs::remove_dir_all(place.path().join("4")).expect("it was there");
    cluster.join(4).await.expect("starts with nothing");
    let admin = patient(cluster.node(1));
    let hasty = admin.with_timeout(Duration::from_millis(200)).change_membership(all.clone()).await;
    hasty.expect("nothing changes by that");
    assert_eq!(cluster.node(4).status().last_log_index.get(), 0, "nobody talks to it");

    admin.change_membership(membership(&[1, 2, 3], &[])).await.expect("three of four run");
    admin.change_membership(all).await.expect("it catches up with its new disk");
    let leader = cluster.leader().await.status().node_id;
    let other = (1..=3).map(NodeId::from).find(|id| *id != leader).expect("there are three");
    cluster.stop(other).await;
    let written = cluster.node(4).with_timeout(PATIENCE).write(1).await;
    assert_eq!(written.expect("three of four are a majority, it among them"), 1);
    cluster.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason_wherever_it_is_asked_for() {
    let cluster = cluster(3).await;
    cluster.node(1).write(1).await.expect("a majority runs");
    for id in 1..=3 {
        let refused = |wanted| patient(cluster.node(id)).change_membership(wanted);
        let nobody = refused(Membership::default()).await;
        assert!(matches!(nobody, Err(MembershipError::Invalid(InvalidMembership::NoVoters))), "{nobody:?}");
        let nowhere = refused(Membership::of_voters([1, 2, 9])).await;
        let unknown = NodeId::from(9);
        assert!(
            matches!(nowhere, Err(MembershipError::Invalid(InvalidMembership::NoAddress { id })) if id == unknown),
            "{nowhere:?}"
        );
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn voters_stay_as_they_are_when_the_new_one_does_not_catch_up_and_the_change_can_be_called_off() {
    let cluster = cluster(3).await;
    cluster.node(1).write(1).await.expect("a majority runs");
    let wanted = membership(&[1, 2, 3, 4], &[]); // 4 does not exist
    for id in 1..=3 {
        let told = cluster.node(id).with_timeout(Duration::from_millis(300)).change_membership(wanted.clone()).await;
        assert!(
            matches!(&told, Err(MembershipError::NotCaughtUp { waiting_for, .. }) if *waiting_for == ids(&[4])),
            "{told:?}"
        );
        assert_eq!(cluster.node(id).status().voters, ids(&[1, 2, 3]));
    }
    let node = patient(cluster.node(1));
    let waiting = node.change_membership(wanted);
    node.change_membership(membership(&[1, 2, 3], &[])).await.expect("it can be withdrawn");
    let told = waiting.await;
    assert!(matches!(told, Err(MembershipError::Superseded { .. })), "{told:?}");
    assert_eq!(sees(cluster.node(3), &[1, 2, 3], &[]).await.learners, []);
    cluster.shutdown().await;
}

/// The change is in the log of the old leader only, and there it is overwritten.
#[tokio::test]
async fn a_change_that_a_deposed_leader_could_not_commit_has_certainly_not_happened() {
    let cluster = cluster(3).await;
    let old = cluster.leader().await.status().node_id;
    cluster.node(old).write(1).await.expect("a majority runs");
    cluster.network().isolate(old);
    let others: Vec<u64> = (1..=3).filter(|id| *id != old.get()).collect();
    let asked = patient(cluster.node(old)).change_membership(membership(&[old.get()], &others));
    let written = cluster.node(others[0]).with_timeout(PATIENCE).write(1).await;
    assert!(written.is_ok(), "two of three elect a leader: {written:?}");
    cluster.network().rejoin(old);
    let told = asked.await.expect_err("another entry stands in its place");
    assert!(!told.maybe_applied(), "{told}");
    sees(cluster.node(old), &[1, 2, 3], &[]).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_change_waits_for_a_leader_and_without_one_says_so() {
    let mut cluster = cluster(3).await;
    cluster.node(1).write(1).await.expect("a majority runs");
    cluster.stop(2).await;
    cluster.stop(3).await;
    cluster.node(1).watch().wait_for(|status| status.leader_id.is_none()).await.expect("it runs");
    let hasty = cluster.node(1).with_timeout(Duration::from_millis(100));
    let told = hasty.change_membership(membership(&[1, 2], &[])).await;
    assert!(matches!(told, Err(MembershipError::NoLeader { .. })), "{told:?}");
    let patient = patient(cluster.node(1)).change_membership(membership(&[1, 2], &[]));
    cluster.restart(2).await.expect("its directory is free and whole");
    patient.await.expect("as soon as somebody leads");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_cluster_restarts_with_the_members_that_its_log_says() {
    let mut cluster = cluster(3).await;
    for id in [4, 5] {
        cluster.join(id).await.expect("starts");
    }
    patient(cluster.node(1)).change_membership(membership(&[3, 4, 5], &[1])).await.expect("they are there");
    let expected = cluster.node(3).with_timeout(PATIENCE).write(7).await.expect("a majority runs");
    for id in [3, 4, 5, 1] {
        sees(cluster.node(id), &[3, 4, 5], &[1]).await;
    }
    for id in cluster.ids() {
        cluster.stop(id).await;
    }
    for id in [1, 4, 5] {
        cluster.restart(id).await.expect("its directory is free and whole");
    }
    let voters = ids(&[4, 5]);
    let sum = cluster.node(1).with_timeout(PATIENCE).read(()).await.expect("4 and 5 are a majority of 3, 4 and 5");
    assert_eq!(sum, expected);
    // 1 may lead for a moment: when it came back it could not know that its demotion is committed.
    let is_led = |status: &Status| status.leader_id.is_some_and(|leader| voters.contains(&leader));
    let status = cluster.node(1).watch().wait_for(is_led).await.expect("it runs");
    assert_eq!((status.role, &status.voters, &status.learners), (Role::Learner, &ids(&[3, 4, 5]), &ids(&[1])));
    cluster.shutdown().await;
}

#[tokio::test]
async fn whoever_waits_for_a_change_is_told_when_the_node_stops() {
    let cluster = cluster(3).await;
    cluster.node(1).write(1).await.expect("a majority runs");
    let asked = cluster.running().map(|node| patient(node).change_membership(membership(&[1, 2, 3, 4], &[])));
    let asked: Vec<_> = asked.collect();
    for id in 1..=3 {
        cluster.node(id).shutdown().await;
    }
    for told in asked {
        let told = told.await;
        assert!(matches!(told, Err(MembershipError::NodeStopped { .. } | MembershipError::Unknown { .. })), "{told:?}");
    }
}
