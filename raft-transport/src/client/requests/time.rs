//! What happens because time passes.

use std::collections::VecDeque;

use raft_actor::envelope::ForwardKind;
use raft_actor::remote;
use tokio::time::Instant;

use super::{Destination, Request, Requests, Waiter};
use crate::client::error::{RemoteError, Trouble};

impl Requests {
    /// Does what is due; to be called when the alarm goes off. What comes next has to be sent.
    pub(in crate::client) fn on_time(&mut self, now: Instant) {
        self.alarm = None;
        if self.retry_at.is_some_and(|at| at <= now) {
            self.try_again();
        }
        self.expire(now);
        self.doubt_the_node(now);
        self.give_signs_of_life(now);
        self.wake_for_what_is_left();
    }

    /// What was sent back is sent again.
    fn try_again(&mut self) {
        self.retry_at = None;
        self.redirects = 0;
        if std::mem::take(&mut self.leaderless) {
            // Perhaps another node knows more.
            self.destination.get_or_insert(Destination::Elsewhere);
            self.leave();
        }
        for request in std::mem::take(&mut self.parked) {
            self.queue(request);
        }
    }

    /// Sends nothing more to the node that we are connected to.
    pub(super) fn leave(&mut self) {
        if let Some(line) = &mut self.line {
            line.leaving = true;
        }
    }

    /// Fails all whose deadline has come.
    fn expire(&mut self, now: Instant) {
        let mut late = Vec::new();
        let connected = self.line.is_some();
        for session in self.sessions.values_mut() {
            take_late(session.held_mut(), now, Trouble::Unanswered, &mut late);
        }
        let trouble = if connected { Trouble::NoLeader } else { Trouble::Unconnected };
        for queue in &mut self.queues {
            take_late(queue, now, trouble, &mut late);
        }
        for request in self.parked.extract_if(.., |request| request.deadline <= now) {
            let trouble = request.trouble.unwrap_or(Trouble::NoLeader);
            late.push((request, trouble));
        }
        for flight in self.flights.values_mut() {
            for place in &mut flight.requests {
                if let Some(request) = place.take_if(|request| request.deadline <= now) {
                    flight.left -= 1;
                    late.push((request, Trouble::Unanswered));
                }
            }
        }
        self.flights.retain(|_, flight| flight.left > 0);
        for (request, trouble) in late {
            let maybe_applied = request.maybe_applied();
            self.settle(request, Err(RemoteError::TimedOut { trouble, maybe_applied }), now);
        }
    }

    /// A node that is stopped, or cut off on its other side, keeps its connections and says nothing.
    fn doubt_the_node(&mut self, now: Instant) {
        let Some(line) = &self.line else { return };
        let Some(flight) = self.flights.values().next() else { return };
        if flight.sent_at.max(line.heard_at) + self.patience <= now && self.destination.is_none() {
            self.patience *= 2;
            self.destination = Some(Destination::Elsewhere);
            tracing::info!(node = %line.node, "no answer for a while; asking another node");
            // Nothing is to be expected: not worth waiting for what is under way.
            self.disconnected(now);
        }
    }

    fn give_signs_of_life(&mut self, now: Instant) {
        let mut signs = Vec::new();
        for (id, session) in &mut self.sessions {
            if let Some((client, acknowledged)) = session.begin_sign(now)
                && let Ok(bytes) = remote::keep_alive(&client, acknowledged)
            {
                let waiter = Waiter::Sign { session: *id, client };
                signs.push(Request::new(ForwardKind::Write, bytes, now + self.options.timeout, waiter));
            }
        }
        for sign in signs {
            self.count += 1;
            self.bytes += sign.bytes.len();
            self.queue(sign);
        }
    }

    /// Sets the alarm for whatever comes first.
    fn wake_for_what_is_left(&mut self) {
        let held = self.sessions.values_mut().filter_map(|session| session.held_mut().iter().map(|r| r.deadline).min());
        let mut earliest: Vec<Instant> = held.collect();
        earliest.extend(self.sessions.values().filter_map(|session| session.sign_due()));
        earliest.extend(self.queues.iter().flatten().map(|request| request.deadline).min());
        earliest.extend(self.parked.iter().map(|request| request.deadline).min());
        let flying = self.flights.values().flat_map(|flight| flight.requests.iter().flatten());
        earliest.extend(flying.map(|request| request.deadline).min());
        if let (Some(line), Some(flight)) = (&self.line, self.flights.values().next()) {
            earliest.push(flight.sent_at.max(line.heard_at) + self.patience);
        }
        earliest.extend(self.retry_at);
        earliest.into_iter().for_each(|at| self.wake_at(at));
    }
}

fn take_late(queue: &mut VecDeque<Request>, now: Instant, trouble: Trouble, late: &mut Vec<(Request, Trouble)>) {
    if queue.iter().all(|request| request.deadline > now) {
        return;
    }
    for request in std::mem::take(queue) {
        if request.deadline <= now {
            let trouble = request.trouble.unwrap_or(trouble);
            late.push((request, trouble));
        } else {
            queue.push_back(request);
        }
    }
}
