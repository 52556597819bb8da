//! Where nodes are.

use std::collections::BTreeMap;

use raft_actor::NodeId;
use tokio::time::Instant;

use super::error::AttemptError;
use crate::tcp::handshake::ClientWelcome;

/// Most addresses that are kept: a cluster has fewer members.
const ADDRESSES_MAX: usize = 256;

/// The addresses that were given and those that nodes told, and what became of the last attempt at each.
pub(super) struct AddressBook {
    /// Taken in turn.
    addresses: Vec<String>,
    /// How many of them were given. Others are forgotten when a node tells where all are.
    given: usize,
    next: usize,
    nodes: BTreeMap<NodeId, String>,
    failures: BTreeMap<String, (Instant, AttemptError)>,
}

impl AddressBook {
    pub(super) fn new(mut given: Vec<String>) -> Self {
        given.truncate(ADDRESSES_MAX);
        Self { given: given.len(), addresses: given, next: 0, nodes: BTreeMap::new(), failures: BTreeMap::new() }
    }

    /// The next address in turn. `None`: there is none at all.
    pub(super) fn next(&mut self) -> Option<String> {
        let count = self.addresses.len();
        let address = self.addresses.get(self.next.checked_rem(count)?)?;
        self.next = (self.next + 1) % count;
        Some(address.clone())
    }

    /// Where a node is, unless it is not known, or was not there a moment ago.
    pub(super) fn address_of(&self, node: NodeId, since: Instant) -> Option<&String> {
        let address = self.nodes.get(&node)?;
        let failed = self.failures.get(address).is_some_and(|(at, _)| *at >= since);
        (!failed).then_some(address)
    }

    /// A node at `address` has let us in and told where the others are.
    pub(super) fn learn(&mut self, address: &str, welcome: &ClientWelcome) {
        self.failures.remove(address);
        self.addresses.truncate(self.given);
        self.nodes.clone_from(&welcome.members);
        // What it says of itself may not hold from here; where we reached it does.
        self.nodes.insert(welcome.hello.node, address.to_owned());
        for told in self.nodes.values() {
            if self.addresses.len() < ADDRESSES_MAX && !self.addresses.contains(told) {
                self.addresses.push(told.clone());
            }
        }
        self.failures.retain(|failed, _| self.addresses.contains(failed));
    }

    pub(super) fn failed(&mut self, address: &str, at: Instant, error: AttemptError) {
        self.failures.insert(address.to_owned(), (at, error));
    }

    /// What became of the last attempt at each address.
    pub(super) fn failures(&self) -> Vec<(String, AttemptError)> {
        self.failures.iter().map(|(address, (_, error))| (address.clone(), error.clone())).collect()
    }

    /// Whether it is of no use to try any address again.
    pub(super) fn is_hopeless(&self) -> bool {
        let is_final = |address| self.failures.get(address).is_some_and(|(_, error)| error.is_final());
        self.addresses.iter().all(is_final)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use raft_actor::transport::Refusal;

    use super::*;

    #[test]
    fn addresses_take_turns() {
        let mut book = AddressBook::new(vec!["a".to_owned(), "b".to_owned()]);
        let turns: Vec<_> = (0..3).filter_map(|_| book.next()).collect();
        assert_eq!(turns, ["a", "b", "a"]);
        assert_eq!(AddressBook::new(Vec::new()).next(), None);
    }

    #[test]
    fn nothing_is_hopeless_before_every_address_was_refused_for_good() {
        let mut book = AddressBook::new(vec!["a".to_owned(), "b".to_owned()]);
        let refused = || AttemptError::Refused(Refusal::Cluster { ours: "other".to_owned() });
        book.failed("a", Instant::now(), refused());
        assert!(!book.is_hopeless());
        book.failed("b", Instant::now(), AttemptError::Unanswered(Duration::ZERO));
        assert!(!book.is_hopeless());
        book.failed("b", Instant::now(), refused());
        assert!(book.is_hopeless());
    }
}
