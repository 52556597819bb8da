//! Bounded memory: what a leader takes in and has on its way stays within its settings.

use raft_actor::consensus::{LogIndex, NodeId, ReplicationOrder};

use super::Knowledge;
use super::member::{Facts, Order, Run};
use super::verdict::{Verdict, ensure};

impl Run {
    /// A peer says that it has everything through `durable`.
    pub(super) fn acknowledged(&mut self, peer: NodeId, durable: LogIndex) {
        if let Some(window) = self.windows.get_mut(&peer) {
            while window.front().is_some_and(|order| order.through <= durable) {
                window.pop_front();
            }
        }
    }
}

impl Knowledge {
    /// Without a quorum nothing commits, and the log of a leader must not grow without bound.
    pub(super) fn check_proposal(
        &self,
        id: NodeId,
        run: &Run,
        before: &Facts,
        after: &Facts,
        commands: usize,
    ) -> Verdict {
        if after.last == before.last || !before.leads() || commands == 0 {
            return Ok(());
        }
        let committed = run.log.position_at(before.commit).unwrap_or_default();
        let open = self.written.bytes_through(before.last).saturating_sub(self.written.bytes_through(committed));
        let open_max = self.limits.uncommitted_bytes_max;
        ensure!(
            "uncommitted_is_bounded",
            id,
            open <= open_max,
            "n{id} appends proposals, and {open} bytes of at most {open_max} are not committed"
        );
        Ok(())
    }

    /// What is on its way to a peer fits the window.
    pub(super) fn check_window(&self, id: NodeId, run: &mut Run, order: &ReplicationOrder) -> Verdict {
        let bytes_before = self.written.bytes_through(order.prev);
        let bytes = self.written.bytes_through(order.through).saturating_sub(bytes_before);
        let is_single = order.through.index == order.prev.index.next();
        let limits = &self.limits;
        ensure!(
            "batch_is_bounded",
            id,
            is_single || bytes <= limits.append_batch_bytes_max,
            "n{id} orders {bytes} bytes at once, at most {} may be: {order:?}",
            limits.append_batch_bytes_max
        );
        let window = run.windows.entry(order.peer).or_default();
        // What was sent again is on its way once.
        while window.back().is_some_and(|last| last.through > order.prev.index) {
            window.pop_back();
        }
        let under_way: u64 = window.iter().map(|order| order.bytes).sum();
        let fits = window.len() < limits.inflight_appends_max.max(1);
        let fits = fits && (under_way == 0 || under_way < limits.inflight_bytes_max);
        ensure!(
            "window_is_bounded",
            id,
            fits,
            "n{id} sends n{} more, and {} messages with {under_way} bytes are on their way",
            order.peer,
            window.len()
        );
        window.push_back(Order { through: order.through.index, bytes });
        Ok(())
    }
}
