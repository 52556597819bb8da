//! Changes of the membership while everything else goes on.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use raft_actor::consensus::NodeId;
use raft_actor::{LeaseChange, LeaseReads, Membership, StateMachine};

use super::checker::Violation;
use super::faults::FaultKind;
use super::world::Sim;

/// No membership has fewer voters than this: one of them may have lost its disk.
const VOTERS_MIN: usize = 3;
/// How long a change may take before whoever asked for it is told that it has not happened yet.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// A wish under way, and whether it is fulfilled.
type Wish = Pin<Box<dyn Future<Output = bool>>>;

/// The changes and transfers of leadership that were asked for and have not come back.
pub(super) struct Changes {
    pending: Vec<(FaultKind, Wish)>,
    flag: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Changes {
    pub(super) fn new() -> Self {
        Self { pending: Vec::new(), flag: Arc::new(Flag(AtomicBool::new(false))) }
    }

    fn add(&mut self, kind: FaultKind, wish: Wish) {
        self.pending.push((kind, wish));
        self.flag.0.store(true, Ordering::Relaxed);
    }

    /// Looks at those that can go on; returns those that were fulfilled.
    fn look(&mut self) -> Vec<FaultKind> {
        let mut done = Vec::new();
        if !self.flag.0.swap(false, Ordering::Relaxed) {
            return done;
        }
        let waker = Waker::from(Arc::clone(&self.flag));
        let mut cx = Context::from_waker(&waker);
        self.pending.retain_mut(|(kind, wish)| match wish.as_mut().poll(&mut cx) {
            Poll::Ready(is_fulfilled) => {
                done.extend(is_fulfilled.then_some(*kind));
                false
            }
            Poll::Pending => true,
        });
        done
    }
}

impl<S: StateMachine> Sim<S> {
    /// Asks a server to see to it that the cluster has these members. What comes of it is seen in
    /// [`voters`](Self::voters). Returns whether a process runs there.
    pub fn change_membership(&mut self, node: impl Into<NodeId>, membership: Membership) -> bool {
        let Some(handle) = self.handle(node.into()) else { return false };
        let admin = handle.admin().with_timeout(CHANGE_TIMEOUT);
        let status = handle.status();
        // It counts if it changes anything.
        let is_other = !membership.voters.iter().eq(&status.voters)
            || !membership.learners.iter().eq(&status.learners)
            || membership.lease_reads != LeaseChange::Keep;
        let change = admin.change_membership(membership);
        self.changes.add(FaultKind::MembershipChange, Box::pin(async move { change.await.is_ok() && is_other }));
        true
    }

    /// Asks a server to see to it that another one leads: this one, or any. Returns whether a process runs there.
    pub fn transfer_leadership(&mut self, node: impl Into<NodeId>, to: Option<NodeId>) -> bool {
        let Some(handle) = self.handle(node.into()) else { return false };
        let (before, transfer) = (handle.status().leader_id, handle.transfer_leadership(to));
        // It counts if leadership has really moved.
        let has_moved = async move { transfer.await.is_ok_and(|new| Some(new.leader) != before) };
        self.changes.add(FaultKind::LeadershipTransfer, Box::pin(has_moved));
        true
    }

    /// Looks at what has come back.
    pub(super) fn look_at_changes(&mut self) {
        for kind in self.changes.look() {
            self.tally.count(kind);
        }
    }

    /// The voters as the leader knows them; of the founding if nobody leads.
    pub fn voters(&self) -> BTreeSet<NodeId> {
        let leader = self.leader().and_then(|leader| self.handle(leader));
        match leader {
            Some(leader) => leader.status().voters.iter().copied().collect(),
            None => self.group().founders.clone(),
        }
    }

    /// Asks a server for any membership that can bear to lose a server.
    pub(super) fn change_by_chance(&mut self, asked: NodeId, how: u64) {
        let sound = self.sound();
        if sound.len() < VOTERS_MIN {
            return;
        }
        // Beginning anywhere, so many of them in a row; some of the rest learn.
        let count = VOTERS_MIN + usize::try_from(how % 3).unwrap_or(0);
        let first = usize::try_from(how / 3 % 64).unwrap_or(0);
        let mut order: Vec<NodeId> = (0..sound.len()).map(|at| sound[(first + at) % sound.len()]).collect();
        let rest = order.split_off(count.min(order.len()));
        let learners = rest.into_iter().filter(|id| how >> (8 + id.get() % 32) & 1 == 1);
        let membership = self.membership(order, learners).lease_reads(self.lease_change(how >> 40));
        self.change_membership(asked, membership);
    }

    /// Where there are lease reads, they come and go.
    fn lease_change(&self, die: u64) -> LeaseChange {
        let Some(drift_percent_max) = self.setup.lease_drift_percent_max else { return LeaseChange::Keep };
        let election_timeout_ms_min = self.setup.settings.election_timeout_ms_min;
        match die % 8 {
            0 => LeaseChange::Off,
            1..=3 => LeaseChange::On(LeaseReads { election_timeout_ms_min, drift_percent_max }),
            _ => LeaseChange::Keep,
        }
    }

    fn membership(
        &self,
        voters: impl IntoIterator<Item = NodeId>,
        learners: impl IntoIterator<Item = NodeId>,
    ) -> Membership {
        let all = self.ids().into_iter();
        let membership = Membership::of_voters(voters).learners(learners);
        all.fold(membership, |membership, id| membership.address(id, format!("sim:{id}")))
    }

    /// In the end all servers that can be are voters.
    pub(super) fn unite(&mut self, limit: Duration) -> Result<(), Violation> {
        let is_fixed = self.nodes.len() as u64 == self.setup.founders && self.group().ends.is_empty();
        if is_fixed && !self.setup.members_change {
            return Ok(());
        }
        let sound: BTreeSet<NodeId> = self.sound().into_iter().collect();
        let mut asked_at = None;
        self.check(limit, "all servers become members after the faults", |sim| {
            let Some(leader) = sim.leader() else { return false };
            if sim.voters() == sound && sim.is_settled(leader) {
                return true;
            }
            let now = sim.now();
            if asked_at.is_none_or(|at| now > at + Duration::from_secs(1)) {
                asked_at = Some(now);
                let membership = sim.membership(sound.iter().copied(), []);
                sim.change_membership(leader, membership);
            }
            false
        })
    }

    /// Whether nothing is being changed, as far as the leader knows.
    fn is_settled(&self, leader: NodeId) -> bool {
        let Some(status) = self.handle(leader).map(|handle| handle.status()) else { return false };
        status.learners.is_empty() && self.changes.pending.is_empty()
    }
}
