//! Where the other members are, by the latest configuration of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use raft_consensus::{Configuration, GroupId, LogIndex, LogPosition, NodeId, Raft, Time};

use super::MembersChanged;
use crate::transport::Outbound;

/// Tells the transport who is where, and whom to forget.
///
/// What the operator said at the start wins over what the log remembers from before: hosts move while they are down.
/// A configuration that moves a member while we look on wins over both.
pub(crate) struct Peers {
    /// As told at the start, for those that the log has not said anything newer about.
    operator: BTreeMap<NodeId, String>,
    /// The members other than this node, and where the log says that they are.
    members: BTreeMap<NodeId, String>,
    /// Who has left, and when to hang up. Not at once: the last that is said to them is on its way.
    leaving: BTreeMap<NodeId, Time>,
    /// Which configuration `members` are by, and whether it was committed.
    as_of: Option<(LogPosition, bool)>,
    /// The last committed configuration that was looked at, in this run of the node or an earlier one.
    committed: LogIndex,
}

impl Peers {
    /// `operator` has told where hosts are; in an earlier run this host knew of `committed`, a configuration.
    pub(crate) fn new(operator: BTreeMap<NodeId, String>, committed: LogIndex) -> Self {
        Self { operator, members: BTreeMap::new(), leaving: BTreeMap::new(), as_of: None, committed }
    }

    /// To be called after every step; costs next to nothing unless the configuration has changed. Says what has changed.
    pub(super) fn follow(
        &mut self,
        group: GroupId,
        raft: &Raft,
        now: Time,
        outbound: &dyn Outbound,
    ) -> Option<MembersChanged> {
        let (log, commit) = (raft.log(), raft.commit());
        let configured_at = log.configured_at();
        let as_of = Some((configured_at, commit >= configured_at.index));
        if self.as_of == as_of {
            return None;
        }
        self.as_of = as_of;
        // Whoever belongs to a configuration that may yet be rolled back to, or forward from, still belongs to us.
        let members = log.members_from(commit);
        let mut left = self.departures(raft);
        left.extend(self.members.keys().filter(|peer| !members.contains(peer)));
        for peer in &left {
            if self.members.remove(peer).is_some() {
                self.operator.remove(peer);
                self.leaving.insert(*peer, now.after(hang_up_after(raft)));
            }
        }
        self.arrive(raft.id(), log.configuration(), outbound);
        let latest = log.configuration();
        let (directories, mut addresses) = (latest.directories.clone(), latest.addresses.clone());
        addresses.extend(self.operator.clone());
        Some(MembersChanged { group, committed: self.committed, left, members, directories, addresses })
    }

    /// Who is absent from a configuration that has been committed since the last time, and was not from the one
    /// before it. They may have come back since: we may hear of both at once.
    fn departures(&mut self, raft: &Raft) -> BTreeSet<NodeId> {
        let log = raft.log();
        let mut left = BTreeSet::new();
        let before = log.configurations(LogIndex::ZERO, self.committed).last();
        let mut members = before.map(|(_, configuration)| configuration.members()).unwrap_or_default();
        for (index, configuration) in log.configurations(self.committed.next(), raft.commit()) {
            let remaining = configuration.members();
            left.extend(members.difference(&remaining));
            members = remaining;
            self.committed = index;
        }
        left
    }

    fn arrive(&mut self, own: NodeId, latest: &Configuration, outbound: &dyn Outbound) {
        for (peer, address) in latest.addresses.iter().filter(|(peer, _)| **peer != own) {
            let before = self.members.insert(*peer, address.clone());
            if before.as_ref() == Some(address) {
                continue;
            }
            if self.leaving.remove(peer).is_some() {
                // Whatever the transport remembers of it is about the time before.
                outbound.forget(*peer);
            }
            if before.is_some() {
                // It has moved.
                self.operator.remove(peer);
            }
            outbound.set_address(*peer, self.operator.get(peer).unwrap_or(address));
        }
    }

    /// Hangs up on those who left long enough ago.
    pub(super) fn hang_up(&mut self, now: Time, outbound: &dyn Outbound) {
        for (peer, _) in self.leaving.extract_if(.., |_, at| *at <= now) {
            outbound.forget(peer);
        }
    }

    /// When to call [`hang_up`](Self::hang_up).
    pub(super) fn earliest_deadline(&self) -> Time {
        self.leaving.values().copied().min().unwrap_or(Time::NEVER)
    }
}

/// Long enough for what is on its way, short enough not to call a host for ever that was switched off.
fn hang_up_after(raft: &Raft) -> Duration {
    raft.settings().election_timeout_min() * 2
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use raft_consensus::{HardState, Log, Settings, Start, Term};

    use super::*;
    use crate::envelope::Envelope;

    const GROUP: GroupId = GroupId::new(1);

    /// Writes down what it is told.
    #[derive(Default)]
    struct Told(RefCell<Vec<String>>);

    impl Outbound for Told {
        fn send(&self, _: Envelope) -> bool {
            false
        }

        fn set_address(&self, peer: NodeId, address: &str) {
            self.0.borrow_mut().push(format!("{peer} at {address}"));
        }

        fn forget(&self, peer: NodeId) {
            self.0.borrow_mut().push(format!("forget {peer}"));
        }
    }

    impl Told {
        fn take(&self) -> Vec<String> {
            self.0.take()
        }
    }

    fn of(members: &[(u64, &str)]) -> Configuration {
        Configuration::of_voters(members.iter().map(|(id, address)| (NodeId::from(*id), *address)))
    }

    /// Node 1, whose log holds these configurations, committed through the given index.
    fn node(configurations: &[Configuration], commit: u64) -> Raft {
        let mut log = Log::new(LogPosition::ZERO, Configuration::default());
        for (index, configuration) in (1..).zip(configurations) {
            log.push_shape(LogPosition::new(Term::new(1), LogIndex::new(index)), 50, Some(configuration));
        }
        Raft::new(Start {
            id: NodeId::from(1),
            settings: Settings::default(),
            hard_state: HardState { term: Term::new(1), vote: None, damage: None },
            log,
            snapshot: None,
            applied: LogIndex::new(commit),
            suffrage: true,
            directory: None,
            seed: 1,
            now: Time::ZERO,
        })
    }

    #[test]
    fn the_operators_word_at_the_start_wins_over_the_log_and_a_later_move_over_both() {
        let told = Told::default();
        let mut peers = Peers::new([(NodeId::from(2), "flag".to_owned())].into(), LogIndex::ZERO);
        let first = of(&[(1, "a"), (2, "log"), (3, "c")]);
        peers.follow(GROUP, &node(std::slice::from_ref(&first), 1), Time::ZERO, &told);
        assert_eq!(told.take(), ["2 at flag", "3 at c"]);
        let joined = of(&[(1, "a"), (2, "log"), (3, "c"), (4, "d")]);
        peers.follow(GROUP, &node(&[first.clone(), joined.clone()], 1), Time::ZERO, &told);
        assert_eq!(told.take(), ["4 at d"], "nothing is said twice, and the flag holds");
        let moved = of(&[(1, "a"), (2, "new"), (3, "c"), (4, "d")]);
        peers.follow(GROUP, &node(&[first, joined, moved], 1), Time::ZERO, &told);
        assert_eq!(told.take(), ["2 at new"]);
    }

    fn left(changed: Option<MembersChanged>) -> Vec<u64> {
        changed.into_iter().flat_map(|changed| changed.left).map(NodeId::get).collect()
    }

    #[test]
    fn whoever_left_is_forgotten_a_little_later_and_not_before_that_is_committed() {
        let told = Told::default();
        let mut peers = Peers::new(BTreeMap::new(), LogIndex::ZERO);
        let configurations = [of(&[(1, "a"), (2, "b"), (3, "c")]), of(&[(1, "a"), (2, "b")])];
        peers.follow(GROUP, &node(&configurations[..1], 1), Time::ZERO, &told);
        assert_eq!(
            left(peers.follow(GROUP, &node(&configurations, 1), Time::ZERO, &told)),
            [0_u64; 0],
            "it may be rolled back"
        );
        let changed = peers.follow(GROUP, &node(&configurations, 2), Time::ZERO, &told).expect("a change");
        assert_eq!((changed.committed, changed.members.len()), (LogIndex::new(2), 2));
        assert_eq!(left(Some(changed)), [3]);
        assert_eq!(told.take(), ["2 at b", "3 at c"]);
        let at = peers.earliest_deadline();
        assert!(at > Time::ZERO && at < Time::NEVER);
        peers.hang_up(at, &told);
        assert_eq!(told.take(), ["forget 3"]);
        assert_eq!(peers.earliest_deadline(), Time::NEVER);
    }

    #[test]
    fn whoever_left_and_came_back_is_met_anew_even_if_both_are_heard_of_at_once() {
        let with = of(&[(1, "a"), (3, "c")]);
        let configurations = [with.clone(), of(&[(1, "a")]), with];
        for steps in [vec![1, 2, 3], vec![1, 3]] {
            let told = Told::default();
            let mut peers = Peers::new(BTreeMap::new(), LogIndex::ZERO);
            for count in steps {
                peers.follow(GROUP, &node(&configurations[..count], count as u64), Time::ZERO, &told);
            }
            assert_eq!(told.take(), ["3 at c", "forget 3", "3 at c"]);
            assert_eq!(peers.earliest_deadline(), Time::NEVER);
        }
    }

    /// After a restart the log is committed from its beginning once more, and what happened in it is long over.
    #[test]
    fn nobody_leaves_twice() {
        let told = Told::default();
        let with = of(&[(1, "a"), (3, "c")]);
        let configurations = [with.clone(), of(&[(1, "a")]), with];
        let mut peers = Peers::new(BTreeMap::new(), LogIndex::new(3));
        peers.follow(GROUP, &node(&configurations, 0), Time::ZERO, &told);
        assert_eq!(left(peers.follow(GROUP, &node(&configurations, 3), Time::ZERO, &told)), [0_u64; 0]);
        assert_eq!(told.take(), ["3 at c"]);
    }
}
