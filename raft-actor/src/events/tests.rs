//! The buffer between a node and its listeners, and the JSON of what goes through it.

use raft_consensus::{GroupId, LogIndex, LogPosition, Message, NodeId, RequestVote, Role, Term, Time};
use serde_json::{Value, json};

use super::*;

fn feed() -> EventFeed {
    EventFeed::new(NodeId::from(1), GroupId::from(0))
}

fn tell(feed: &EventFeed, kinds: impl IntoIterator<Item = EventKind>) {
    feed.tell(Term::new(3), Time::from_micros(1_500), kinds.into_iter().collect());
}

fn applied(index: u64) -> EventKind {
    EventKind::Applied { index: LogIndex::new(index) }
}

/// What a listener has not heard yet.
fn heard(events: &mut Events) -> Vec<EventKind> {
    std::iter::from_fn(|| events.try_next()).map(|event| event.kind.clone()).collect()
}

#[test]
fn nothing_is_kept_for_nobody() {
    let feed = feed();
    assert!(!feed.is_heard());
    tell(&feed, [applied(1)]);
    let (mut first, second) = (feed.listen(), feed.listen());
    assert!(feed.is_heard());
    tell(&feed, [applied(2)]);
    assert_eq!(heard(&mut first), [applied(2)], "from when it began to listen");
    drop(second);
    assert!(feed.is_heard(), "one is left");
    drop(first);
    assert!(!feed.is_heard());
    assert_eq!(heard(&mut feed.listen()), []);
}

#[test]
fn a_slow_listener_loses_the_oldest_and_is_told_how_many_and_a_quick_one_loses_nothing() {
    let feed = feed();
    let (mut slow, mut quick) = (feed.listen(), feed.listen());
    let mut all = Vec::new();
    for index in 1..=10_000 {
        tell(&feed, [applied(index)]);
        all.extend(heard(&mut quick));
    }
    assert!(all.into_iter().eq((1..=10_000).map(applied)));
    let heard = heard(&mut slow);
    let Some((EventKind::Lost { count }, rest)) = heard.split_first() else { panic!("nothing was lost: {heard:?}") };
    assert!(*count > 0 && rest.iter().cloned().eq((count + 1..=10_000).map(applied)), "{count} and {}", rest.len());
}

#[test]
fn the_end_is_heard_by_those_who_listen_and_nobody_waits_after_it() {
    let feed = feed();
    let mut early = feed.listen();
    tell(&feed, [applied(1)]);
    feed.close(Term::new(3), Time::ZERO, "it was asked to".into());
    assert_eq!(heard(&mut early), [applied(1), EventKind::Stopped { reason: "it was asked to".into() }]);
    let mut late = feed.listen();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for events in [&mut early, &mut late] {
        let next = std::pin::pin!(events.next()).poll(&mut context);
        assert!(matches!(next, std::task::Poll::Ready(None)), "{next:?}");
    }
    assert!(!feed.is_heard());
}

#[test]
fn events_are_flat_json_that_begins_with_a_name() {
    let json = |kind| {
        let at = Time::from_micros(1_500);
        let event = Event { node: NodeId::from(1), group: GroupId::from(0), term: Term::new(3), at, kind };
        let line = serde_json::to_string(&event).expect("no keys but text");
        assert!(line.starts_with(&format!(r#"{{"event":"{}","node":1,"group":0,"term":3,"at_us":1500"#, event.name())));
        let mut object: Value = serde_json::from_str(&line).expect("JSON");
        let fields = object.as_object_mut().expect("an object");
        for field in ["event", "node", "group", "term", "at_us"] {
            fields.remove(field).expect("just seen");
        }
        object
    };
    let id = NodeId::from;
    let at = |term, index| LogPosition::new(Term::new(term), LogIndex::new(index));
    let (index, from, to) = (LogIndex::new(7), id(1), id(2));
    let role_changed = EventKind::RoleChanged { from: Role::Candidate, role: Role::Leader, leader_id: Some(from) };
    assert_eq!(json(role_changed), json!({ "from": "candidate", "role": "leader", "leader_id": 1 }));
    let message = &Message::RequestVote(RequestVote { term: Term::new(3), last: at(2, 7), leadership_transfer: false });
    assert_eq!(
        json(EventKind::MessageSent { from, to, message: message.into() }),
        json!({ "from": 1, "to": 2, "message": { "kind": "request_vote", "term": 3, "last": { "term": 2, "index": 7 },
            "leadership_transfer": false } })
    );
    let appended = EventKind::Appended { first: at(2, 7), last: at(3, 8) };
    assert_eq!(json(appended), json!({ "first": { "term": 2, "index": 7 }, "last": { "term": 3, "index": 8 } }));
    assert_eq!(json(EventKind::Committed { index }), json!({ "index": 7 }));
    assert_eq!(json(EventKind::SnapshotStarted {}), json!({}));
    assert_eq!(json(EventKind::Lost { count: 3 }), json!({ "count": 3 }));
    let summary = ConfigurationSummary {
        index,
        committed: true,
        voters: [from, to].into(),
        voters_outgoing: [].into(),
        learners: [id(3)].into(),
        addresses: [(to, "b:1".to_owned())].into(),
    };
    assert_eq!(
        json(EventKind::ConfigurationChanged(summary)),
        json!({ "index": 7, "committed": true, "voters": [1, 2], "voters_outgoing": [], "learners": [3],
            "addresses": { "2": "b:1" } })
    );
}
