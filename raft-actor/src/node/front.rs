//! The node's side of everything its handles see: queue, status, events, end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use raft_consensus::{Term, Time};
use tokio::sync::watch;

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
}

impl Front {
    pub(super) fn publish_status(&self, core: &raft_consensus::Status, now: Time) {
        self.status.send_replace(Arc::new(Status::new(Arc::clone(&self.cluster), core, now)));
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
    pub(super) fn requests(&self) -> Requests {
        Requests { queue: Arc::clone(&self.queue), may_take: true }
    }
}

/// See [`Front::requests`].
pub(super) struct Requests {
    queue: Arc<ClientQueue>,
    may_take: bool,
}

impl Stream for Requests {
    type Item = ClientBatch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ClientBatch>> {
        if !self.may_take {
            self.may_take = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = self.queue.poll_batch(cx);
        self.may_take = !matches!(batch, Poll::Ready(Some(_)));
        batch
    }
}
