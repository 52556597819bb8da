//! Which Forwards this node has had, so that none is taken in twice.

use std::collections::{BTreeMap, VecDeque};

use raft_consensus::NodeId;

/// So many are remembered of each origin. A copy that arrives later than that many others is none that a network makes.
const REMEMBERED_MAX: usize = 256;

/// The latest Forwards of every origin.
#[derive(Debug, Default)]
pub(super) struct SeenForwards {
    of: BTreeMap<NodeId, VecDeque<u64>>,
}

impl SeenForwards {
    /// Notes a Forward. Returns whether it is the first of this name.
    pub(super) fn first_time(&mut self, origin: NodeId, id: u64) -> bool {
        let ids = self.of.entry(origin).or_default();
        // Nearly always it is newer than all others.
        if ids.iter().rev().any(|seen| *seen == id) {
            return false;
        }
        if ids.len() == REMEMBERED_MAX {
            ids.pop_front();
        }
        ids.push_back(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_is_new_once_for_each_origin_and_in_any_order() {
        let mut seen = SeenForwards::default();
        let (a, b) = (NodeId::from(1), NodeId::from(2));
        assert!([5, 7, 6].into_iter().all(|id| seen.first_time(a, id)));
        assert!(!seen.first_time(a, 5));
        assert!(!seen.first_time(a, 6));
        assert!(seen.first_time(b, 5));
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = SeenForwards::default();
        assert!((0..10_000).all(|id| seen.first_time(NodeId::from(1), id)));
        assert_eq!(seen.of.values().map(VecDeque::len).sum::<usize>(), REMEMBERED_MAX);
    }
}
