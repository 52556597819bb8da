//! The node's side of everything its handles see: queue, status, events, end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use raft_consensus::{LogPosition, Raft, Term, Time};
use tokio::sync::watch;

use super::turns::Turn;
use crate::callers::{Failure, Outlet};
use crate::envelope::Forward;
use crate::events::EventFeed;
use crate::handle::{
    BecameCandidate, BecameFollower, BecameLeader, ClientBatch, ClientQueue, NodeStopped, Status, StopReason,
    Subscriptions,
};

/// What a node shows to its handles.
pub(crate) struct Front {
    pub(crate) queue: Arc<ClientQueue>,
    pub(crate) status: watch::Sender<Arc<Status>>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) events: EventFeed,
    pub(crate) cluster: Arc<str>,
    /// Which entry holds the configuration that the status tells of, and where the log begins; `None` before it was
    /// published. A snapshot may bring another founding configuration: each host has its own addresses in it.
    pub(crate) status_of: Option<(LogPosition, LogPosition)>,
}

impl Front {
    pub(super) fn publish_status(&mut self, raft: &Raft, now: Time) {
        let status_of = Some((raft.log().configured_at(), raft.log().base()));
        let has_same_members = std::mem::replace(&mut self.status_of, status_of) == status_of;
        self.status.send_modify(|status| match Arc::get_mut(status) {
            // Nearly always nobody holds the last one, and the members are the same.
            Some(status) if has_same_members => {
                status.refresh(raft, now);
                debug_assert_eq!(*status, Status::new(Arc::clone(&self.cluster), &raft.status(), now));
            }
            Some(_) | None => *status = Arc::new(Status::new(Arc::clone(&self.cluster), &raft.status(), now)),
        });
    }

    pub(super) fn leads(&self, event: &BecameLeader) {
        self.subscriptions.publish(event);
    }

    pub(super) fn follows(&self, event: &BecameFollower) {
        self.subscriptions.publish(event);
    }

    pub(super) fn campaigns(&self, event: &BecameCandidate) {
        self.subscriptions.publish(event);
    }

    /// Nobody gets in any more; those in line are told why.
    pub(super) fn stopped(&self, reason: &StopReason, term: Term, now: Time) {
        let failure = match reason {
            StopReason::ShutDown => Failure::ShuttingDown,
            reason => Failure::NodeStopped { reason: reason.clone(), maybe_applied: false },
        };
        self.queue.close(failure);
        self.subscriptions.publish(&NodeStopped { reason: reason.clone() });
        self.events.close(term, now, reason.to_string());
    }

    /// Takes in what another node forwarded.
    pub(super) fn accept_forward(&self, forward: Forward, now: Time, outlet: Outlet) -> ClientBatch {
        self.queue.accept_forward(forward, now, outlet)
    }

    /// The clients' requests, one batch per poll: between two batches everybody else on the thread has a turn.
    pub(super) fn requests(&self, turn: Turn) -> Requests {
        Requests { queue: Arc::clone(&self.queue), turn, has_taken: false, watcher: None }
    }
}

/// See [`Front::requests`].
pub(super) struct Requests {
    queue: Arc<ClientQueue>,
    turn: Turn,
    has_taken: bool,
    /// Who was told last that there is nothing.
    watcher: Option<Waker>,
}

impl Stream for Requests {
    type Item = ClientBatch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ClientBatch>> {
        let is_watcher = |watcher: &Waker| watcher.will_wake(cx.waker());
        if self.queue.is_watched() && self.watcher.as_ref().is_some_and(is_watcher) {
            // The actor was woken for something else.
            self.has_taken = false;
            return Poll::Pending;
        }
        let waker = self.turn.waker(cx).clone();
        let mut in_turn = Context::from_waker(&waker);
        if std::mem::take(&mut self.has_taken) {
            if self.queue.has_more(&mut in_turn) {
                waker.wake();
            } else {
                self.watcher = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let batch = self.queue.poll_batch(&mut in_turn);
        match &batch {
            Poll::Pending => self.watcher = Some(cx.waker().clone()),
            Poll::Ready(batch) => self.has_taken = batch.is_some(),
        }
        batch
    }
}
