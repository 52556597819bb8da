//! A committed command that this build cannot decode: the node says so, and goes on as far as it can.

use std::time::Duration;

use raft_actor::consensus::{Configuration, Entry, HardState, LogIndex, LogPosition, LogWrite, Payload, Term};
use raft_actor::log_storage::{GroupWrite, LogStorage, MemoryLog};
use raft_actor::transport::LocalNetwork;
use raft_actor::{ApplyContext, GroupId, NodeId, QueueLimits, RaftHost, ReadError, StateMachine, WriteError};
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Notes(Vec<String>);

impl StateMachine for Notes {
    type Command = String;
    type Response = ();
    type Query = ();
    type Answer = usize;

    fn apply(&mut self, _: &mut ApplyContext<'_>, note: String) {
        self.0.push(note);
    }

    fn query(&self, (): ()) -> usize {
        self.0.len()
    }
}

/// The log of a cluster of one that took a command from a newer build.
fn log_from_a_newer_build() -> MemoryLog {
    let first = Payload::Configuration(Box::new(Configuration::of_voters([(NodeId::from(1), "local:1")])));
    let second = Payload::Command(b"\xc1 no MessagePack begins like this"[..].into());
    let entries: Vec<Entry> = (1..)
        .zip([first, second])
        .map(|(index, payload)| Entry { position: LogPosition::new(Term::new(1), LogIndex::new(index)), payload })
        .collect();
    let mut log = MemoryLog::new();
    log.write(&[GroupWrite {
        group: GroupId::from(1),
        hard_state: Some(HardState { term: Term::new(1), vote: None, damage: None }),
        log: Some(LogWrite::Append(entries.into())),
    }])
    .expect("memory does not fail");
    log.sync().expect("memory does not fail");
    log
}

/// More than the machine is ever handed at a time, and more callers than there is room for.
#[tokio::test]
async fn callers_of_a_node_that_cannot_apply_are_told_so_at_once_and_take_no_room() {
    let network = LocalNetwork::default();
    let host = RaftHost::builder()
        .node(1)
        .log_storage(log_from_a_newer_build())
        .transport(network.transport(1))
        .peers([(1, "local:1")])
        .queue_limits(QueueLimits { requests_max: 16, ..QueueLimits::default() })
        .start(Notes::default())
        .await
        .expect("starts")
        .with_timeout(Duration::from_secs(30));
    let note = "x".repeat(512 << 10);
    for _ in 0..40 {
        let error = host.write(note.clone()).await.expect_err("nothing is applied here");
        assert!(matches!(error, WriteError::CannotApply { index, .. } if index == LogIndex::new(2)), "{error}");
        assert!(error.maybe_applied(), "another member may know how");
        let error = host.read(()).await.expect_err("the state is out of date");
        assert!(matches!(error, ReadError::CannotApply { .. }), "{error}");
    }
    host.shutdown().await;
}
