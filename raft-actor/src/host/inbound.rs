//! What arrives at a host, on its way to the group it is for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix::{Addr, Recipient};
use raft_consensus::{GroupId, NodeId, Time};

use super::gate::Gate;
use super::pulse::PulseReceived;
use crate::clock::Clock;
use crate::envelope::{Body, Envelope, ForwardError};
use crate::node::{Asked, PeerHungUp, PeerMet, PeerUnreachable, RaftNode, Received, SuffrageGranted};
use crate::registry::Registry;
use crate::transport::{ClientRequest, Credit, Hello, Inbound, Refusal};

/// Least time between two lines of the log of one kind that strangers can cause.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(5);

/// Lets one complaint through at a time: who floods the port must not flood the log.
#[derive(Debug, Default)]
struct Complaints {
    last: Mutex<Option<Time>>,
}

impl Complaints {
    /// Whether it is time for another one.
    fn may_speak(&self, now: Time) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| now.since(last) >= COMPLAINT_INTERVAL);
        if may {
            *last = Some(now);
        }
        may
    }
}

/// Logs at this level if the complaints let it through, else for debugging only.
macro_rules! complain {
    ($level:ident, $host:expr, $complaints:ident, $($what:tt)+) => {
        if $host.$complaints.may_speak($host.clock.now()) { tracing::$level!($($what)+) } else { tracing::debug!($($what)+) }
    };
}

/// The host as its transport sees it.
pub(crate) struct HostInbound {
    pub(super) gate: Gate,
    pub(super) groups: Registry<GroupId, Addr<RaftNode>>,
    /// Of hosts that are not let in.
    refusing: Complaints,
    /// Of not being let in.
    refused: Complaints,
    /// When groups were last told that a host cannot be reached.
    told: Mutex<BTreeMap<NodeId, Time>>,
    /// Who listens for other hosts; there is nobody yet while the host is put together.
    pulses: Mutex<Option<Recipient<PulseReceived>>>,
    clock: Clock,
}

/// Where a host has many groups, each of them finds out by itself that another host cannot be reached. All are told each
/// time, but not a thousand times at once.
const TELL_INTERVAL: Duration = Duration::from_millis(50);

impl HostInbound {
    pub(super) fn new(gate: Gate, clock: Clock) -> Self {
        let (refusing, refused) = (Complaints::default(), Complaints::default());
        let (told, pulses) = (Mutex::default(), Mutex::default());
        Self { gate, groups: Registry::default(), refusing, refused, told, pulses, clock }
    }

    /// Who listens for other hosts.
    pub(super) fn pulses_to(&self, host: Recipient<PulseReceived>) {
        *self.pulses.lock().unwrap_or_else(PoisonError::into_inner) = Some(host);
    }

    /// Whether it is time to tell groups, of which there are so many, that `peer` cannot be reached.
    fn may_tell(&self, groups: usize, peer: NodeId) -> bool {
        let now = self.clock.now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = told.insert(peer, now);
        let may = groups <= 1 || last.is_none_or(|last| now.since(last) >= TELL_INTERVAL);
        if let Some(last) = last.filter(|_| !may) {
            told.insert(peer, last);
        }
        may
    }

    fn grant_suffrage(&self) {
        tracing::info!(node = %self.gate.hello().node, "all peers have confirmed this directory; it votes from now on");
        for group in self.groups.values() {
            // Those who have confirmed it were met by that.
            self.tell_met(&group);
            group.do_send(SuffrageGranted);
        }
    }

    /// Tells a group whom this host has met, with which disks.
    pub(super) fn tell_met(&self, group: &Addr<RaftNode>) {
        for (peer, directory) in self.gate.met() {
            group.do_send(PeerMet { peer, directory });
        }
    }
}

impl Inbound for HostInbound {
    fn admit(&self, hello: &Hello) -> Result<(), Refusal> {
        let verdict = self.gate.admit(hello);
        if verdict.is_ok() {
            let met = PeerMet { peer: hello.node, directory: hello.directory };
            self.groups.values().iter().for_each(|group| group.do_send(met));
        }
        if let Err(refusal) = &verdict {
            complain!(warn, self, refusing, node = %self.gate.hello().node, from = %hello.node, %refusal, "refused a host");
        }
        verdict
    }

    fn confirmed(&self, by: &Hello) {
        if self.gate.confirmed(by) {
            self.grant_suffrage();
        }
    }

    fn refused(&self, by: NodeId, refusal: Refusal) {
        complain!(error, self, refused, node = %self.gate.hello().node, %by, "a peer refuses this node: {refusal}");
    }

    fn deliver(&self, envelope: Envelope, credit: Credit) {
        if let Body::Pulse(pulse) = envelope.body {
            if let Some(host) = &*self.pulses.lock().unwrap_or_else(PoisonError::into_inner) {
                host.do_send(PulseReceived { from: envelope.from, pulse });
            }
            return;
        }
        let (group, from) = (envelope.group, envelope.from);
        if self.groups.with(&group, |node| node.do_send(Received { envelope, credit })).is_none() {
            tracing::debug!(%group, %from, "message for an unknown group");
        }
    }

    fn unreachable(&self, peer: NodeId) {
        let groups = self.groups.values();
        if self.may_tell(groups.len(), peer) {
            groups.iter().for_each(|group| group.do_send(PeerUnreachable(peer)));
        }
    }

    fn hung_up(&self, peer: NodeId) {
        self.groups.values().iter().for_each(|group| group.do_send(PeerHungUp(peer)));
    }

    fn asked(&self, request: ClientRequest, credit: Credit) {
        match self.groups.get(&request.group) {
            Some(node) => node.do_send(Asked { request, credit }),
            // It may be about to start or to stop, here or anywhere else.
            None => request.refuse(ForwardError::ShuttingDown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_makes_one_line_every_few_seconds() {
        let complaints = Complaints::default();
        let start = Time::from_millis(1);
        let lines = (0..10_000).filter(|ms| complaints.may_speak(start.after(Duration::from_millis(*ms)))).count();
        assert_eq!(lines, 2);
    }
}
