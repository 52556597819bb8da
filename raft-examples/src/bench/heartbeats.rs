//! Whether followers heard their leader all the time, by their own account.

use raft_actor::Status;
use serde::Serialize;

/// What a node has said of itself at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) term: u64,
    /// Since it was started.
    pub(super) longest_silence_ms: u64,
}

impl From<&Status> for Seen {
    fn from(status: &Status) -> Self {
        let longest_silence_ms = u64::try_from(status.longest_silence.as_millis()).unwrap_or(u64::MAX);
        Self { term: status.term.get(), longest_silence_ms }
    }
}

/// What became of the heartbeats during a run, warm-up included; part of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Heartbeats {
    /// The longest that a follower went without word from its leader; zero if none went longer than before the run.
    pub(super) longest_silence_ms: u64,
    /// Terms that were begun.
    pub(super) elections: u64,
    /// What the nodes were started with.
    pub(super) election_timeout_ms: u64,
}

impl Heartbeats {
    /// From what the nodes of each group said before the run and after it, in the same order.
    pub(super) fn between(before: &[Vec<Seen>], after: &[Vec<Seen>], election_timeout_ms: u64) -> Self {
        let term = |group: &[Seen]| group.iter().map(|node| node.term).max().unwrap_or(0);
        let groups = || before.iter().zip(after);
        let nodes = groups().flat_map(|(before, after)| before.iter().zip(after));
        let grown = nodes.filter(|(before, after)| after.longest_silence_ms > before.longest_silence_ms);
        Self {
            longest_silence_ms: grown.map(|(_, after)| after.longest_silence_ms).max().unwrap_or(0),
            elections: groups().map(|(before, after)| term(after).saturating_sub(term(before))).sum(),
            election_timeout_ms,
        }
    }

    /// Those of several runs.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            longest_silence_ms: self.longest_silence_ms.max(other.longest_silence_ms),
            elections: self.elections + other.elections,
            election_timeout_ms: self.election_timeout_ms,
        }
    }

    /// Whether the cluster was in trouble: it lost its leader, or was half way there.
    pub(super) fn is_irregular(self) -> bool {
        self.elections > 0 || self.longest_silence_ms > self.election_timeout_ms / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(term: u64, longest_silence_ms: u64) -> Seen {
        Seen { term, longest_silence_ms }
    }

    #[test]
    fn only_what_happened_during_the_run_counts() {
        let before = [vec![seen(1, 0), seen(1, 900), seen(1, 10)]];
        let after = [vec![seen(1, 0), seen(1, 900), seen(1, 110)]];
        let heartbeats = Heartbeats::between(&before, &after, 1000);
        assert_eq!((heartbeats.longest_silence_ms, heartbeats.elections), (110, 0));
        assert!(!heartbeats.is_irregular());
    }

    #[test]
    fn an_election_in_any_group_or_half_an_election_timeout_of_silence_is_irregular() {
        let calm = [vec![seen(1, 0)], vec![seen(4, 0)]];
        let elected = Heartbeats::between(&calm, &[vec![seen(1, 0)], vec![seen(6, 0)]], 1000);
        assert_eq!(elected.elections, 2);
        assert!(elected.is_irregular());
        for (silence_ms, irregular) in [(500, false), (501, true)] {
            let heartbeats = Heartbeats::between(&calm, &[vec![seen(1, silence_ms)], vec![seen(4, 0)]], 1000);
            assert_eq!(heartbeats.is_irregular(), irregular, "{silence_ms} ms");
        }
        assert!(elected.and(Heartbeats::between(&calm, &calm, 1000)).is_irregular(), "of several runs");
    }
}
