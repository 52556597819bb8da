//! After the faults: everybody comes back, catches up and serves, and nothing that was promised is missing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft_consensus::{LogPosition, MembershipRefusal, Payload, ProposalId, ProposalOutcome, ReadId, Role};

use super::{Chaos, node};
use crate::support::cluster::ReadOutcome;

impl Chaos {
    /// The faults are over: a leader has to emerge, everybody has to catch up, and what is asked to be served.
    pub(crate) fn recover(&mut self) {
        self.cluster.heal();
        self.paused.clear();
        for n in 1..=self.count {
            let member = self.cluster.member_mut(n);
            (member.disk.held, member.machine.held, member.streams_held) = (false, false, false);
            member.snapshots.held = false;
            if self.is_up(n) {
                self.cluster.work(node(n));
            } else {
                self.cluster.restart(n);
            }
        }
        // What was sent during the faults is lost at last, or known to have arrived.
        (1..=self.count).for_each(|n| self.streams_give_up(n));
        // Elections take a few timeouts at most, also after a stuck disk (which counts for up to a second).
        self.cluster.run(2500);
        let leader = self.cluster.leader();
        let leader = self.expect(leader, "a leader emerges after the faults");
        let first = self.cluster.propose_all(leader, &["after", "the", "faults"]);
        let read = self.cluster.read(leader);
        self.cluster.run(200);
        self.check_served(leader, first, read);
        self.unite(leader);
        self.check_equal();
        self.check_answers();
        self.count_events();
    }

    /// Whoever belongs to the cluster by now, in the end all servers do.
    fn unite(&mut self, leader: u64) {
        let all: Vec<u64> = (1..=self.count).collect();
        let change = self.cluster.change_membership(leader, &all, &[]);
        self.cluster.run(500);
        let outcome = self.cluster.changes[&change];
        let is_taken = outcome.is_ok() || outcome == Err(MembershipRefusal::Unchanged);
        self.require(is_taken, "the leader takes a change of the membership after the faults");
        for n in all {
            let status = self.cluster.status(n);
            let is_complete = status.configuration.is_settled() && self.cluster.configured_at(n) <= status.commit;
            self.require(is_complete, "the change of the membership is complete at every member");
        }
    }

    fn expect<T>(&self, value: Option<T>, claim: &str) -> T {
        if value.is_none() {
            self.cluster.judge(Err(format!("it does not hold that {claim}")));
        }
        value.expect("checked just above")
    }

    fn require(&self, holds: bool, claim: &str) {
        self.expect(holds.then_some(()), claim);
    }

    fn check_served(&self, leader: u64, proposal: ProposalId, read: ReadId) {
        let appended = matches!(self.cluster.proposals.get(&proposal), Some(ProposalOutcome::Appended { .. }));
        self.require(appended, "the leader takes proposals after the faults");
        let served = matches!(self.cluster.reads.get(&read), Some(ReadOutcome::Ready(_)));
        self.require(served, "the leader serves a read after the faults");
        let status = self.cluster.status(leader);
        self.require(status.commit == status.last.index, "everything is committed after the faults");
        self.require(status.applied == status.commit, "everything is applied after the faults");
        self.require(self.cluster.role(leader) == Role::Leader, "the leader stays in office");
    }

    /// All logs and states are equal, and nothing ever applied is missing.
    fn check_equal(&self) {
        let all = self.cluster.checker.applied();
        for n in 1..=self.count {
            self.require(self.cluster.applied(n) == all, "every state machine has applied everything");
            self.require(self.cluster.log(n) == self.cluster.log(1), "all logs are equal");
        }
    }

    /// No phantom commands, each where its proposer was told it is, and every read was answered.
    fn check_answers(&self) {
        let mut told: BTreeMap<LogPosition, &Bytes> = BTreeMap::new();
        for (id, commands) in &self.proposed {
            if let Some(ProposalOutcome::Appended { first }) = self.cluster.proposals.get(id) {
                let positions = (0..).map(|i| LogPosition::new(first.term, first.index.plus(i)));
                told.extend(positions.zip(commands));
            }
        }
        let mut seen = BTreeSet::new();
        for entry in self.cluster.checker.applied() {
            if let Payload::Command(command) = &entry.payload
                && command.starts_with(b"c")
            {
                self.require(told.get(&entry.position) == Some(&command), "a command stands where it was proposed");
                self.require(seen.insert(command), "a command is applied once");
            }
        }
        for id in self.asked.keys() {
            self.require(self.cluster.reads.contains_key(id), "every read is answered");
        }
        for id in self.handing_over.keys() {
            self.require(self.cluster.transfers.contains_key(id), "every transfer of leadership is answered");
        }
    }
}
