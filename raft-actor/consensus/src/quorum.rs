//! Majorities: what a set of voters has reached or decided (§5.2, §5.3, joint: §6).
//!
//! Plain values in, plain values out. A joint configuration needs a majority
//! of both its sets; a configuration without voters decides nothing.

use crate::{Configuration, NodeId};

/// The voters of a configuration, kept apart from it so that counting copies and allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quorum {
    voters: Vec<NodeId>,
    /// Empty unless the configuration is joint.
    voters_outgoing: Vec<NodeId>,
}

/// How a vote stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VoteResult {
    /// A majority of every set has granted.
    Won,
    /// Some set cannot reach a majority any more.
    Lost,
    /// Neither yet.
    Pending,
}

/// Sets of at most this many voters are counted on the stack.
const VOTERS_ON_STACK: usize = 16;

impl Quorum {
    pub(crate) fn of(configuration: &Configuration) -> Self {
        Self {
            voters: configuration.voters.iter().copied().collect(),
            voters_outgoing: configuration.voters_outgoing.iter().copied().collect(),
        }
    }

    /// Whether these are the voters of `configuration`.
    pub(crate) fn is_of(&self, configuration: &Configuration) -> bool {
        self.voters.iter().eq(&configuration.voters) && self.voters_outgoing.iter().eq(&configuration.voters_outgoing)
    }

    fn sets(&self) -> impl Iterator<Item = &[NodeId]> {
        [self.voters.as_slice(), self.voters_outgoing.as_slice()].into_iter().filter(|set| !set.is_empty())
    }

    /// Whether two sets have to agree (§6).
    pub(crate) fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Whether there is nobody who could decide anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.sets().next().is_none()
    }

    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.sets().any(|set| set.contains(&id))
    }

    /// Whether `id` alone decides.
    pub(crate) fn is_only(&self, id: NodeId) -> bool {
        !self.is_empty() && self.sets().all(|set| set == [id])
    }

    /// Every voter once, those of the newer set first.
    pub(crate) fn voters(&self) -> impl Iterator<Item = NodeId> {
        let only_outgoing = self.voters_outgoing.iter().filter(|id| !self.voters.contains(id));
        self.voters.iter().chain(only_outgoing).copied()
    }

    /// The highest value that a majority of every set has reached; `None` without voters.
    pub(crate) fn reached<T: Copy + Ord>(&self, value_of: impl Fn(NodeId) -> T) -> Option<T> {
        self.sets().map(|set| majority_reached(set, &value_of)).min()
    }

    /// How a vote stands in which `vote_of` tells who granted, who denied and who has not answered.
    pub(crate) fn vote_result(&self, vote_of: impl Fn(NodeId) -> Option<bool>) -> VoteResult {
        let mut result = if self.is_empty() { VoteResult::Lost } else { VoteResult::Won };
        for set in self.sets() {
            let majority = set.len() / 2 + 1;
            let granted = set.iter().filter(|id| vote_of(**id) == Some(true)).count();
            let denied = set.iter().filter(|id| vote_of(**id) == Some(false)).count();
            if set.len() - denied < majority {
                return VoteResult::Lost;
            }
            if granted < majority {
                result = VoteResult::Pending;
            }
        }
        result
    }
}

/// The highest value that a majority of this non-empty set has reached.
fn majority_reached<T: Copy + Ord>(set: &[NodeId], value_of: &impl Fn(NodeId) -> T) -> T {
    let values = set.iter().map(|id| value_of(*id));
    let smallest_majority = set.len() / 2;
    if set.len() <= VOTERS_ON_STACK {
        let mut buffer = [value_of(set[0]); VOTERS_ON_STACK];
        buffer.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
        nth_highest(&mut buffer[..set.len()], smallest_majority)
    } else {
        nth_highest(&mut values.collect::<Vec<_>>(), smallest_majority)
    }
}

/// The value with `n` values before it in falling order.
fn nth_highest<T: Copy + Ord>(values: &mut [T], n: usize) -> T {
    values.sort_unstable_by(|a, b| b.cmp(a));
    values[n]
}

#[cfg(test)]
mod tests;
