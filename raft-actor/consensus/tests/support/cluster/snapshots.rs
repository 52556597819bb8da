//! Snapshots between the members of a cluster: stored, sent, lost, installed.

use raft_consensus::{Input, NodeId, notation};

use super::Cluster;

impl Cluster {
    /// Carries out the oldest order for a snapshot: all its chunks are one message here.
    pub fn run_snapshot_order(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member of this cluster");
        let Some((to, message)) = member.run_snapshot_order() else { return };
        let is_connected = self.network.connects(id, to);
        let term = self.members[&id].term();
        let arrow = if is_connected { "->" } else { "-x" };
        let what = notation::message(message.term(), &message);
        self.trace.push(format!("n{id}@{term} {arrow} n{to} {what}"));
        self.put_on_its_way(id, to, message);
        if !is_connected {
            self.snapshot_lost(id, to);
        }
    }

    /// A snapshot on its way did not arrive: its stream says so.
    pub fn snapshot_lost(&mut self, from: NodeId, to: NodeId) {
        let member = self.members.get_mut(&from).expect("a member of this cluster");
        if member.sending.remove(&to) {
            member.failed.insert(to);
        }
    }

    /// A stream gives up.
    pub fn report_failure(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member of this cluster");
        if let Some(peer) = member.failed.pop_first() {
            self.trace.push(format!("n{id} does not reach n{peer} with its snapshot"));
            self.step(id, Input::Unreachable(peer));
        }
    }

    /// The snapshot that the machine made of itself is durable.
    pub fn store_snapshot(&mut self, id: NodeId) {
        let snapshots = &mut self.members.get_mut(&id).expect("a member of this cluster").snapshots;
        if let Some(snapshot) = snapshots.saving.take() {
            self.trace.push(format!("n{id} has stored its snapshot through {}", snapshot.meta.position));
            let meta = snapshot.meta.clone();
            snapshots.store(snapshot);
            self.step(id, Input::SnapshotTaken(meta));
        }
    }

    /// The snapshot that the machine made of itself could not be stored.
    pub fn fail_snapshot(&mut self, id: NodeId) {
        let snapshots = &mut self.members.get_mut(&id).expect("a member of this cluster").snapshots;
        if snapshots.saving.take().is_some() {
            self.trace.push(format!("n{id} cannot store its snapshot"));
            self.step(id, Input::SnapshotFailed);
        }
    }

    /// The snapshot that has arrived gets its final name, durably; the machine is to load it.
    pub fn adopt_snapshot(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).expect("a member of this cluster");
        if let Some(snapshot) = member.snapshots.adopting.take() {
            member.received.remove(&snapshot.meta.position);
            self.trace.push(format!("n{id} has stored the snapshot through {}", snapshot.meta.position));
            member.snapshots.store(snapshot.clone());
            member.machine.load(snapshot);
        }
    }
}
