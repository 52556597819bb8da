//! What must hold of a read that a leader answers without asking anybody (dissertation 6.4.1).

use raft_actor::consensus::NodeId;

use super::Knowledge;
use super::member::Facts;
use super::verdict::{Verdict, ensure};

impl Knowledge {
    /// A lease excludes every other leader: nobody of a later term can have committed anything.
    pub(super) fn check_served_by_lease(&mut self, id: NodeId, after: &Facts) -> Verdict {
        let latest = self.elections.latest();
        let is_latest = latest.is_some_and(|(term, _)| term <= after.term);
        ensure!(
            "leases_exclude_other_leaders",
            id,
            is_latest,
            "n{id}@{} answers a read by its lease; since then {latest:?} was elected",
            after.term
        );
        self.situations.read_by_lease += 1;
        Ok(())
    }
}
