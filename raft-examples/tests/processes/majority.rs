//! What is served without a majority, and what is not.

use crate::client::{Client, eventually};
use crate::cluster::Cluster;

#[test]
fn without_a_majority_only_stale_reads_and_the_status_are_served() {
    let mut cluster = Cluster::start(3);
    cluster.write_until_accepted("x", "before");
    let leader = cluster.settled();
    // The survivor is the leader, who has the most reason to believe that it may serve.
    let survivor = cluster.clients[leader].clone();
    let others: Vec<usize> = (0..3).filter(|at| *at != leader).collect();
    eventually("the survivor has applied the write", || {
        survivor.get_stale("x").is_ok_and(|answer| answer.text == "before").then_some(())
    });
    for at in &others {
        cluster.nodes[*at].kill();
    }

    let mut refused = 0;
    for attempt in 0..6 {
        refused += u32::from(!write_is_unavailable(&survivor, &format!("cut-off-{attempt}")));
        let read = survivor.get("x", 300).expect("an answer");
        assert_eq!(read.status, 503, "a linearizable read without a majority: {read:?}");
        let stale = survivor.get_stale("x").expect("an answer");
        assert_eq!((stale.status, stale.text.as_str()), (200, "before"));
        assert_eq!(survivor.status().expect("an answer")["node_id"], leader + 1);
    }
    println!("{refused} of 6 writes were certainly refused, the others may come back");

    cluster.nodes[others[0]].restart();
    cluster.write_until_accepted("x", "after");
    let read = eventually("service is back", || survivor.get("x", 2000).ok().filter(|answer| answer.status == 200));
    assert_eq!(read.text, "after");
}

/// Writes where that cannot work. Gives whether the write may still come to be.
fn write_is_unavailable(node: &Client, key: &str) -> bool {
    let answer = node.put(key, "x", 300).expect("an answer");
    assert_eq!(answer.status, 503, "a write without a majority: {answer:?}");
    let json = answer.json();
    assert!(json["error"].is_string(), "{answer:?}");
    assert!(json.as_object().is_some_and(|body| body.contains_key("leader_id")), "{answer:?}");
    answer.maybe_applied()
}
