//! The node's side of snapshots: has them taken, installed and dropped as the core says, and answers who asked for one.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::prelude::*;
use raft_consensus::{Input, InstallSnapshot, LogIndex, LogPosition, Message as RaftMessage, Time};
use tokio::sync::oneshot;

use super::{RaftNode, SnapshotReceived};
use crate::handle::{AskForSnapshot, StopReason, TakeSnapshotError};
use crate::state_machine::snapshots::{ReceivedSnapshot, SnapshotError, SnapshotId};
use crate::state_machine::{Restore, SnapshotNews, TakeSnapshot};

/// Somebody wants a snapshot.
struct Asker {
    /// It must cover everything that they can know to be applied.
    through: LogIndex,
    deadline: Time,
    answer: oneshot::Sender<Result<LogIndex, TakeSnapshotError>>,
}

impl Asker {
    fn answer(self, outcome: Result<LogIndex, TakeSnapshotError>) {
        // Who does not wait any more gets nothing; that is their right.
        drop(self.answer.send(outcome));
    }
}

/// What the node remembers of snapshots between the core's effects.
#[derive(Default)]
pub(super) struct Snapshots {
    /// One was ordered of the state machine.
    is_taking: bool,
    askers: Vec<Asker>,
    /// Those that arrived, until the core has decided what becomes of them.
    received: BTreeMap<LogPosition, ReceivedSnapshot>,
}

impl Snapshots {
    /// When the first of those who asked gives up.
    pub(super) fn earliest_deadline(&self) -> Time {
        self.askers.iter().map(|asker| asker.deadline).min().unwrap_or(Time::NEVER)
    }

    /// Fails all whose deadline has come.
    pub(super) fn expire(&mut self, now: Time) {
        for asker in self.askers.extract_if(.., |asker| asker.deadline <= now) {
            asker.answer(Err(TakeSnapshotError::TimedOut {}));
        }
    }

    /// The node stops: everybody is answered.
    pub(super) fn fail_all(&mut self, reason: &StopReason) {
        for asker in self.askers.drain(..) {
            asker.answer(Err(TakeSnapshotError::NodeStopped { reason: reason.clone() }));
        }
    }
}

impl RaftNode {
    /// The core wants a snapshot: behind everything that the machine was told to apply.
    pub(super) fn take_snapshot(&mut self) {
        self.snapshots.is_taking = true;
        self.machine.take_snapshot.do_send(TakeSnapshot);
    }

    /// A snapshot is not what was written any more. The state that it was taken of is sound: another one takes its place,
    /// and whoever needs one is sent that.
    pub(super) fn snapshot_lost(&mut self, id: SnapshotId, error: &SnapshotError, ctx: &mut Context<Self>) {
        if self.context.snapshots.newest().is_some_and(|newest| newest.id() == id) {
            tracing::error!(node = %self.context.node, group = %self.group, %error,
                "a snapshot cannot be read any more; another one is taken in its place");
            self.step(Input::SnapshotLost, ctx);
        }
        self.settle(ctx);
    }

    /// The core wants a snapshot of the leader installed (Figure 13, rule 8).
    pub(super) fn install_snapshot(&mut self, position: LogPosition, ctx: &mut Context<Self>) {
        let Some(snapshot) = self.snapshots.received.remove(&position) else {
            let violation = format!("the snapshot of {position} that is to be installed has not been received");
            return self.stop(StopReason::Broken { violation: violation.into() }, ctx);
        };
        // What it was not handed yet lies below the snapshot, and may be gone from the log by the time it is loaded.
        self.feed.hold();
        self.machine.restore.do_send(Restore { snapshot });
    }

    /// The core does not want what was received.
    pub(super) fn drop_snapshot(&mut self, position: LogPosition) {
        let unwanted = self.snapshots.received.remove(&position);
        self.discard(unwanted);
    }

    /// Deletes what was received, on a thread where that may take as long as it does for a large file.
    fn discard(&self, unwanted: Option<ReceivedSnapshot>) {
        if let Some(unwanted) = unwanted.filter(|_| !self.context.reader_is_fast) {
            drop(tokio::task::spawn_blocking(move || drop(unwanted)));
        }
    }

    fn snapshot_restored(&mut self, position: LogPosition, ctx: &mut Context<Self>) {
        self.feed.installed(position.index);
        // Whether the snapshot holds what they wrote, nobody can tell.
        self.requests.skipped(position.index);
        self.step(Input::SnapshotInstalled(position), ctx);
        self.announce_office(position.index);
        self.feed_machine(ctx);
    }

    /// Those who asked are answered, or another one is ordered for those who asked after this one was frozen.
    fn snapshot_ended(&mut self, outcome: Result<LogIndex, TakeSnapshotError>, ctx: &mut Context<Self>) {
        let askers = std::mem::take(&mut self.snapshots.askers);
        if !askers.is_empty() {
            // Whoever asked finds it in the status.
            self.publish_status_now();
        }
        for asker in askers {
            match &outcome {
                Ok(through) if *through < asker.through => self.snapshots.askers.push(asker),
                outcome => asker.answer(outcome.clone()),
            }
        }
        self.order_snapshot(ctx);
    }

    /// Has a snapshot taken for those who asked, as soon as there is what they asked for. To be called whenever
    /// something was applied as well.
    pub(super) fn order_snapshot(&mut self, ctx: &mut Context<Self>) {
        let applied = self.raft.applied();
        let is_ready = |asker: &Asker| asker.through <= applied;
        if self.snapshots.is_taking || !self.snapshots.askers.iter().any(is_ready) {
            return;
        }
        self.step(Input::TakeSnapshot, ctx);
        if !self.snapshots.is_taking && self.stopped.is_none() {
            // Nothing was applied since the last one.
            let through = self.raft.status().snapshot.index;
            for asker in self.snapshots.askers.extract_if(.., |asker| is_ready(asker)) {
                asker.answer(Ok(through));
            }
        }
    }
}

impl Handler<SnapshotNews> for RaftNode {
    type Result = ();

    fn handle(&mut self, news: SnapshotNews, ctx: &mut Context<Self>) {
        match news {
            SnapshotNews::Taken(meta) => {
                let through = meta.position.index;
                self.snapshots.is_taking = false;
                self.step(Input::SnapshotTaken(*meta), ctx);
                self.snapshot_ended(Ok(through), ctx);
            }
            SnapshotNews::Failed(error) => {
                self.snapshots.is_taking = false;
                self.step(Input::SnapshotFailed, ctx);
                self.snapshot_ended(Err(TakeSnapshotError::Failed(Arc::clone(&error))), ctx);
            }
            SnapshotNews::Restored(position) => self.snapshot_restored(position, ctx),
        }
        self.status_is_stale = true;
        self.settle(ctx);
    }
}

/// A snapshot of the leader is here, all of it. What becomes of it, the core says.
impl Handler<SnapshotReceived> for RaftNode {
    type Result = ();

    fn handle(&mut self, received: SnapshotReceived, ctx: &mut Context<Self>) {
        let SnapshotReceived { from, term, round, snapshot } = received;
        let meta = snapshot.meta().clone();
        let replaced = self.snapshots.received.insert(meta.position, snapshot);
        self.discard(replaced);
        let message = RaftMessage::InstallSnapshot(InstallSnapshot { term, round, snapshot: meta });
        self.step(Input::Received { from, message }, ctx);
        self.status_is_stale = true;
        self.settle(ctx);
    }
}

impl Handler<AskForSnapshot> for RaftNode {
    type Result = ();

    fn handle(&mut self, AskForSnapshot { timeout, answer }: AskForSnapshot, ctx: &mut Context<Self>) {
        // What is with the state machine may have been answered already, although the core has not heard of it.
        let through = if self.feed.is_halted() { self.raft.applied() } else { self.feed.sent() };
        let deadline = self.clock.now().after(timeout);
        self.snapshots.askers.push(Asker { through, deadline, answer });
        self.order_snapshot(ctx);
        self.status_is_stale = true;
        self.settle(ctx);
    }
}
