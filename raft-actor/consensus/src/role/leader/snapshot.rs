//! The sender's side of InstallSnapshot (§7): whom a leader sends a snapshot, and what it keeps of its log for others.

use super::{Leader, Peer};
use crate::progress::Progress;
use crate::shared::Shared;
use crate::{Effect, Effects, LogIndex, NodeId, SnapshotOrder};

impl Leader {
    /// Orders that the newest snapshot be sent to a peer that needs what is purged ("the leader must occasionally
    /// send snapshots to followers that lag behind", §7); once, until it fails or something comes of it.
    pub(super) fn send_snapshot_if_wanted(
        &mut self,
        shared: &Shared,
        peer: NodeId,
        progress: &mut Progress,
        effects: &mut Effects,
    ) {
        if !progress.wants_snapshot() {
            return;
        }
        // What was purged is in it: nothing is purged but behind a snapshot.
        let Some(snapshot) = shared.compaction.snapshot() else { return };
        let (position, round) = (snapshot.position, self.rounds.issue(shared.now));
        progress.sent_snapshot(position.index, round);
        effects.push(Effect::SendSnapshot(SnapshotOrder { peer, term: shared.term(), round, position }));
    }

    /// Behind which entry those need the log who follow this leader: it is not purged any further for the time being.
    /// A peer that is being sent a snapshot needs what lies behind it, or it would need the next snapshot after this one.
    pub(crate) fn needed_after(&self, shared: &Shared) -> Option<LogIndex> {
        let patience = shared.settings.election_timeout_min();
        let follows = |peer: &&Peer| shared.now.since(peer.progress.contact()) < patience;
        self.peers.iter().filter(follows).map(|peer| peer.progress.needed_after()).min()
    }
}
