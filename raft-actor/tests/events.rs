//! What a listener hears of a cluster that is at work.

mod counter;

use counter::Counter;
use raft_actor::events::{Event, EventKind, Events, MessageSummary};
use raft_actor::{LocalCluster, Membership, Role};

/// Waits for something to be heard, and gives what was heard before it.
async fn until(events: &mut Events, mut is_it: impl FnMut(&Event) -> bool) -> Vec<EventKind> {
    let mut before = Vec::new();
    loop {
        let event = events.next().await.expect("it runs on until it was heard");
        if is_it(&event) {
            return before;
        }
        before.push(event.kind.clone());
    }
}

#[tokio::test]
async fn a_write_is_heard_on_its_way_through_the_leader_and_a_follower() {
    let cluster = LocalCluster::<Counter>::start(3).await.expect("starts");
    let leader = cluster.leader().await;
    leader.write(1).await.expect("a majority runs");
    let follower =
        cluster.running().find(|node| node.status().node_id != leader.status().node_id).expect("there are two");
    let (at_leader, at_follower) = (&mut leader.events(), &mut follower.events());
    let (leader_id, follower_id) = (leader.status().node_id, follower.status().node_id);
    leader.write(1).await.expect("a majority runs");

    let mut written = None;
    until(at_leader, |event| {
        if let EventKind::Appended { first, last, .. } = event.kind {
            written = (first == last).then_some(last);
        }
        written.is_some()
    })
    .await;
    let written = written.expect("just heard");
    let carries_it = |message: &MessageSummary| matches!(message, MessageSummary::AppendEntries { last, entries: 1, .. } if *last == written);
    until(at_leader, |event| match &event.kind {
        EventKind::MessageSent { from, to, message, .. } => {
            *from == leader_id && *to == follower_id && carries_it(message)
        }
        _ => false,
    })
    .await;
    until(at_follower, |event| match &event.kind {
        EventKind::MessageReceived { from, to, message, .. } => {
            *from == leader_id && *to == follower_id && carries_it(message)
        }
        _ => false,
    })
    .await;
    until(at_follower, |event| matches!(event.kind, EventKind::Appended { last, .. } if last == written)).await;
    until(at_follower, |event| matches!(event.kind, EventKind::Durable { index, .. } if index == written.index)).await;
    until(at_leader, |event| matches!(event.kind, EventKind::Committed { index, .. } if index >= written.index)).await;
    until(at_leader, |event| matches!(event.kind, EventKind::Applied { index, .. } if index >= written.index)).await;
    until(at_follower, |event| matches!(event.kind, EventKind::Applied { index, .. } if index >= written.index)).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn an_election_a_change_of_the_membership_and_the_end_are_heard() {
    let mut cluster = LocalCluster::<Counter>::start(3).await.expect("starts");
    let old = cluster.leader().await.status().node_id;
    cluster.node(old).write(1).await.expect("a majority runs");
    let other = cluster.ids().into_iter().find(|id| *id != old).expect("there are three");
    let events = &mut cluster.node(other).events();
    cluster.stop(old).await;
    let leads = |event: &Event| match event.kind {
        EventKind::RoleChanged { leader_id: Some(leader), .. } => leader != old,
        _ => false,
    };
    until(events, leads).await;

    let rest: Vec<_> = cluster.ids().into_iter().filter(|id| *id != old).collect();
    cluster.node(other).change_membership(Membership::of_voters(rest.clone())).await.expect("both run");
    until(events, |event| match &event.kind {
        EventKind::ConfigurationChanged(now) => now.committed && now.voters.iter().eq(&rest),
        _ => false,
    })
    .await;

    let snapshot = cluster.node(other).snapshot();
    until(events, |event| matches!(event.kind, EventKind::SnapshotStarted {})).await;
    let mut taken = None;
    until(events, |event| {
        if let EventKind::SnapshotTaken { through, .. } = event.kind {
            taken = Some(through.index);
        }
        taken.is_some()
    })
    .await;
    assert_eq!(snapshot.await.ok(), taken);

    let shutdown = cluster.node(other).shutdown();
    until(events, |event| matches!(event.kind, EventKind::Stopped { .. })).await;
    assert!(events.next().await.is_none(), "and that was all");
    shutdown.await;
}

/// A late listener begins with the status: what comes after it was not in it, or was.
#[tokio::test]
async fn a_listener_learns_who_leads_from_the_status_and_every_change_from_the_events() {
    let cluster = LocalCluster::<Counter>::start(3).await.expect("starts");
    let leader = cluster.leader().await;
    let events = &mut leader.events();
    assert_eq!(leader.status().role, Role::Leader);
    let to = cluster.ids().into_iter().find(|id| *id != leader.status().node_id).expect("there are three");
    leader.transfer_leadership(to).await.expect("it runs");
    until(events, |event| match &event.kind {
        EventKind::MessageSent { to: told, message: MessageSummary::TimeoutNow { .. }, .. } => *told == to,
        _ => false,
    })
    .await;
    until(events, |event| match event.kind {
        EventKind::RoleChanged { from: Role::Leader, role, .. } => role == Role::Follower,
        _ => false,
    })
    .await;
    cluster.shutdown().await;
}
