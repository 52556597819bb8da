//! How a host lets its groups rest: what it hears of other hosts becomes what its groups are told.

use actix::prelude::*;
use raft_consensus::{GroupId, NodeId};

use super::actor::HostActor;
use super::life_signs::Lost;
use crate::envelope::{Body, Envelope, Pulse};
use crate::node::{HostSilent, Wake};

/// Another host is alive.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct PulseReceived {
    pub(super) from: NodeId,
    pub(super) pulse: Pulse,
}

/// A pulse speaks for all groups.
const NO_GROUP: GroupId = GroupId::new(0);

impl HostActor {
    /// Speaks to the other hosts, if it is time, and tells the groups who is silent.
    pub(super) fn keep_pulse(&mut self) {
        let now = self.ground.clock.now();
        if let Some((pulse, peers, silent)) = self.life_signs.beat(now)
            && let Some(outbound) = &self.outbound
        {
            for to in peers {
                let body = Body::Pulse(pulse.clone());
                outbound.send(Envelope { from: self.ground.node, to, group: NO_GROUP, body });
            }
            for host in silent {
                self.tell_all(HostSilent(host));
            }
        }
        if let Some(alarm) = &self.alarm {
            alarm.set(self.life_signs.next_deadline());
        }
    }

    /// The members of our groups may be others now.
    pub(super) fn follow_hosts(&mut self) {
        self.life_signs.follow(&self.inbound.gate.others(), self.ground.clock.now());
    }

    fn tell_all(&self, silent: HostSilent) {
        for member in self.groups.values() {
            member.node.do_send(silent);
        }
    }
}

impl Handler<Wake> for HostActor {
    type Result = ();

    fn handle(&mut self, _: Wake, _: &mut Context<Self>) {
        self.keep_pulse();
    }
}

impl Handler<PulseReceived> for HostActor {
    type Result = ();

    fn handle(&mut self, PulseReceived { from, pulse }: PulseReceived, _: &mut Context<Self>) {
        match self.life_signs.heard(from, &pulse, self.ground.clock.now()) {
            Lost::Nothing => {}
            Lost::These(groups) => {
                for member in groups.iter().filter_map(|group| self.groups.get(group)) {
                    member.node.do_send(HostSilent(from));
                }
            }
            Lost::All => self.tell_all(HostSilent(from)),
        }
    }
}
