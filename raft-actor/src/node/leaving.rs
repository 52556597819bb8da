//! A clean end: whoever leads hands over first, and whoever waits is answered, within one election timeout.
//!
//! 1. Nobody gets in any more: later callers are told so at once, and try another node.
//! 2. A leader hands over its office (dissertation 3.10), so that the others need not notice its absence first.
//! 3. What is in the log is answered when it is applied here, what was forwarded when the leader answers.
//! 4. A former leader stays for one more heartbeat: its last answers are on their way to those who passed requests on.

use actix::prelude::*;
use raft_consensus::{Input, ProposalId, Role, Time};

use super::RaftNode;
use crate::callers::Failure;
use crate::handle::StopReason;

/// A node that is about to stop.
pub(super) struct Leaving {
    /// When it goes, whatever is left to do.
    until: Time,
    /// The transfer that it asked its core for, until that is answered.
    handing_over: Option<ProposalId>,
    /// Whether others may still expect answers of it when it has nothing left to do.
    has_led: bool,
    /// When it goes, once it has nothing left to do.
    at_rest_until: Option<Time>,
}

impl RaftNode {
    /// Begins to leave; it goes by itself.
    pub(super) fn leave(&mut self, ctx: &mut Context<Self>) {
        if self.leaving.is_some() || self.stopped.is_some() {
            return;
        }
        self.front.queue.close(Failure::ShuttingDown);
        let until = self.clock.now().after(self.raft.settings().election_timeout_min());
        let has_led = self.raft.role() == Role::Leader;
        let id = ProposalId(self.requests.next_id());
        self.leaving = Some(Leaving { until, handing_over: has_led.then_some(id), has_led, at_rest_until: None });
        if has_led {
            self.step(Input::TransferLeadership { id, to: None }, ctx);
        }
        self.settle(ctx);
    }

    /// A transfer was answered; perhaps the one of a leader that leaves.
    pub(super) fn left_office(&mut self, id: ProposalId) {
        if let Some(leaving) = &mut self.leaving {
            leaving.handing_over.take_if(|own| *own == id);
        }
    }

    /// Goes, if it is time; otherwise, when to look again.
    pub(super) fn go_or_wait(&mut self, now: Time, ctx: &mut Context<Self>) -> Time {
        let heartbeat = self.raft.settings().heartbeat();
        let is_at_rest = self.requests.is_at_rest();
        let Some(leaving) = &mut self.leaving else { return Time::NEVER };
        if !is_at_rest || leaving.handing_over.is_some() {
            leaving.at_rest_until = None;
        } else {
            let rest = if leaving.has_led { now.after(heartbeat) } else { now };
            leaving.at_rest_until.get_or_insert(rest);
        }
        let go_at = leaving.at_rest_until.unwrap_or(Time::NEVER).min(leaving.until);
        if now >= go_at {
            self.stop(StopReason::ShutDown, ctx);
            return Time::NEVER;
        }
        // Not all that it waits for is told to it: the state machine answers reads by itself.
        go_at.min(now.after(heartbeat))
    }
}
