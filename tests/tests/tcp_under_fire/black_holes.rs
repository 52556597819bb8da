//! Lines that take everything and deliver nothing.

use raft_tests::proxy::{Flow, Weather};
use raft_transport::Count;

use crate::cluster::{BRISK, CALM, Cluster, Reign, eventually, options};

#[tokio::test]
async fn a_follower_in_a_black_hole_troubles_nobody_and_catches_up() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let [lost, friend] = Cluster::followers(reign.leader);
    cluster.around(lost, Flow::Swallow, Flow::Swallow);
    for at in [reign.leader, friend] {
        cluster.commits(at, 100, 1000).await;
    }
    // Long enough that it tries to be elected, in vain: the others hear their leader.
    eventually("the lost node gives its leader up", async || {
        cluster.nodes[lost].status().leader_id.is_none().then_some(())
    })
    .await;
    cluster.commits(friend, 20, 100).await;
    cluster.still(reign);
    assert!(cluster.mesh.counts().swallowed_there_bytes > 0);
    cluster.mesh.calm();
    eventually("it follows again", async || (cluster.reign().await == reign).then_some(())).await;
    cluster.still(reign);
    cluster.check().await;
}

#[tokio::test]
async fn a_leader_in_a_black_hole_is_replaced_and_acknowledges_nothing_meanwhile() {
    let cluster = Cluster::start(BRISK, options()).await;
    the_leader_is_replaced(&cluster, Flow::Swallow, Flow::Swallow).await;
    cluster.check().await;
}

#[tokio::test]
async fn a_leader_that_is_heard_by_nobody_is_replaced() {
    let cluster = Cluster::start(BRISK, options()).await;
    the_leader_is_replaced(&cluster, Flow::Swallow, Flow::Pass).await;
    cluster.check().await;
}

/// It is heard, and hears nothing: without check-quorum it would stay for ever, and commit nothing.
#[tokio::test]
async fn a_leader_that_hears_nobody_is_replaced() {
    let cluster = Cluster::start(BRISK, options()).await;
    the_leader_is_replaced(&cluster, Flow::Pass, Flow::Swallow).await;
    cluster.check().await;
}

async fn the_leader_is_replaced(cluster: &Cluster, from_it: Flow, to_it: Flow) {
    let Reign { leader: lost, term } = cluster.reign().await;
    let others = Cluster::followers(lost);
    cluster.around(lost, from_it, to_it);
    let new = eventually("the others elect another", async || {
        let reign = cluster.reign_among(&others).await;
        (reign.term > term).then_some(reign)
    })
    .await;
    for at in others {
        cluster.commits(at, 50, 100).await;
    }
    assert!(!cluster.write(lost, 100).await, "a node that is cut off acknowledged a write");
    eventually("the lost one steps down", async || {
        (cluster.nodes[lost].status().role != raft_actor::Role::Leader).then_some(())
    })
    .await;
    cluster.mesh.calm();
    assert!(cluster.reign().await.term >= new.term);
}

/// Two of three do not hear each other, and the third hears both: who leads goes on leading.
#[tokio::test]
async fn a_black_hole_between_two_of_three_deposes_nobody() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let [lost, bridge] = Cluster::followers(reign.leader);
    for (from, to) in [(reign.leader, lost), (lost, reign.leader)] {
        cluster.mesh.link(from, to).set(Weather::black_hole());
    }
    eventually("the lost node gives its leader up", async || {
        cluster.nodes[lost].status().leader_id.is_none().then_some(())
    })
    .await;
    cluster.commits(bridge, 50, 100).await;
    cluster.still(reign);
    cluster.check().await;
}

#[tokio::test]
async fn a_port_that_refuses_costs_attempts_and_nothing_else() {
    let cluster = Cluster::start(CALM, options()).await;
    let reign = cluster.reign().await;
    let [refusing, friend] = Cluster::followers(reign.leader);
    let line = cluster.mesh.link(reign.leader, refusing);
    let leader = &cluster.nodes[reign.leader];
    let (failed, unsent) = (leader.count(Count::ConnectFailed), leader.count(Count::DroppedUnconnected));
    line.set(Weather { refuse: true, ..Weather::default() });
    eventually("nobody listens there", async || (line.counts().deaf == 1).then_some(())).await;
    line.reset();
    cluster.commits(friend, 50, 100).await;
    cluster.counted(reign.leader, Count::ConnectFailed, failed, 20).await;
    cluster.counted(reign.leader, Count::DroppedUnconnected, unsent, 1).await;
    cluster.still(reign);
    cluster.check().await;
}
