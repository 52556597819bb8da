//! Whose word counts: a member is the disk that it became a voter with. Plain values in, plain values out.
//!
//! What a member votes and acknowledges is worth something because it remembers it, and it remembers it on a disk. One
//! that comes back under the same id with another disk, an empty one, has forgotten all of it: it could vote a second
//! time in a term, or for somebody who lacks what it has acknowledged. So every disk has an id of its own, a
//! [`DirectoryId`], and the configuration says for each voter which one it is. It is recorded in the very entry that lets
//! a server count: by a leader that has met the server ([`Input::Met`](crate::Input::Met)), with the disk that has
//! caught up. From then on:
//!
//! - a member that finds another disk than its own under its id neither votes nor campaigns;
//! - whoever is met with another disk than the configuration says is not heard when it answers: nothing of it counts for
//!   an election, a commit, a read, a lease or a leader's contact with its quorum. What it *asks* is taken: it may be we
//!   whose configuration is old, and it was removed and added again since.
//!
//! There is no way back but through the membership: removed, it is a stranger, and added again it is met anew.
//!
//! # Why that is safe
//!
//! All who count a server do so by a configuration of the log, and by the same entry they know its disk. Before that
//! entry it counted for nobody, whatever disks it had; after it only that disk does, whomever of its disks anybody has
//! met. If the entry is rolled back, so is what it says of the disk. The old voters of a joint configuration may be
//! without a record: every decision then needs a majority of the new ones too, and of those all disks are recorded.
//!
//! The founders of a cluster are not recorded in their first configuration, which is written before anybody meets. They
//! know each other's disks by other means, all of them before any of them votes ([`Start::suffrage`](crate::Start)); who
//! is not a founder knows them from the configuration by which it got its vote. What is not recorded, for that reason or
//! because it was written by an earlier version, counts as whoever lets others in has decided.

use std::collections::BTreeMap;

use crate::{Configuration, DirectoryId, NodeId};

/// With which disk each server was met last, this one included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Disks {
    own: Option<DirectoryId>,
    met: BTreeMap<NodeId, DirectoryId>,
}

impl Disks {
    pub(crate) fn new(id: NodeId, own: Option<DirectoryId>) -> Self {
        Self { own, met: own.map(|own| (id, own)).into_iter().collect() }
    }

    /// A server is there, with this disk. Whether it was met with another one before.
    pub(crate) fn meet(&mut self, id: NodeId, directory: DirectoryId) -> bool {
        self.met.insert(id, directory).is_some_and(|before| before != directory)
    }

    /// Whether a server has another disk than the configuration says, or is not known to have that one.
    pub(crate) fn is_other(&self, id: NodeId, configuration: &Configuration) -> bool {
        configuration.directories.get(&id).is_some_and(|recorded| self.met.get(&id) != Some(recorded))
    }

    /// Records in a configuration the disks of all its voters that have been met. Returns whether none is missing. A member
    /// that does not know its own disk records none and misses none.
    pub(crate) fn record(&self, configuration: &mut Configuration) -> bool {
        if self.own.is_none() {
            return true;
        }
        for voter in &configuration.voters {
            if let Some(directory) = self.met.get(voter) {
                configuration.directories.entry(*voter).or_insert(*directory);
            }
        }
        configuration.voters.iter().all(|voter| configuration.directories.contains_key(voter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{configuration, id};

    fn disks(met: &[(u64, u64)]) -> Disks {
        let mut disks = Disks::new(id(1), Some(DirectoryId(11)));
        met.iter().for_each(|(n, directory)| assert!(!disks.meet(id(*n), DirectoryId(*directory))));
        disks
    }

    #[test]
    fn all_voters_that_were_met_are_recorded_and_it_shows_if_one_is_missing() {
        let mut recorded = configuration([1, 2, 3]);
        assert!(!disks(&[(2, 22), (9, 99)]).record(&mut recorded), "nobody has met 3");
        assert_eq!(recorded.directories, [(id(1), DirectoryId(11)), (id(2), DirectoryId(22))].into());
        assert!(disks(&[(3, 33)]).record(&mut recorded));
        assert_eq!(recorded.directories.len(), 3);
    }

    #[test]
    fn what_is_recorded_stays_whomever_one_meets() {
        let mut recorded = configuration([1, 2]);
        disks(&[(2, 22)]).record(&mut recorded);
        let before = recorded.clone();
        let other = disks(&[(2, 23)]);
        other.record(&mut recorded);
        assert_eq!(recorded, before);
        assert!(other.is_other(id(2), &recorded) && !other.is_other(id(1), &recorded));
        assert!(disks(&[]).is_other(id(2), &recorded), "the one that was recorded has not been met");
    }

    #[test]
    fn who_is_not_recorded_is_as_good_as_any() {
        assert!(!disks(&[(2, 22)]).is_other(id(2), &configuration([1, 2])));
        let mut unknown = configuration([1, 2]);
        assert!(Disks::new(id(1), None).record(&mut unknown), "nothing to record, and nothing to wait for");
        assert_eq!(unknown, configuration([1, 2]));
    }

    #[test]
    fn another_disk_is_noticed_once() {
        let mut disks = disks(&[(2, 22)]);
        assert!(!disks.meet(id(2), DirectoryId(22)));
        assert!(disks.meet(id(2), DirectoryId(23)));
        assert!(!disks.meet(id(2), DirectoryId(23)));
    }
}
