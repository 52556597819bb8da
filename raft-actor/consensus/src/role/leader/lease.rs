//! When a leader may answer a read by its lease (dissertation 6.4.1). Why that is so stands in `lease`.

use super::Leader;
use crate::shared::Shared;
use crate::{Effect, Effects, ReadId, Time};

impl Leader {
    /// Answers a read at once if the lease holds; asks a quorum as for any other read if not.
    ///
    /// The time of this step was read when the read was in hand, so the lease holds at a moment at which the caller
    /// waits for the answer. However long this process stands still afterwards, before the state is read or before
    /// the answer leaves: the read has seen all that was committed at that moment, which lies between question and answer.
    pub(crate) fn read_by_lease(&mut self, shared: &Shared, id: ReadId, effects: &mut Effects) {
        if self.holds_lease(shared) {
            effects.push(Effect::ReadReady { id, index: shared.commit() });
        } else {
            self.read(shared, id);
        }
    }

    fn holds_lease(&self, shared: &Shared) -> bool {
        let (configured_at, configuration) = shared.log().configuration_entry();
        let Some(lease_reads) = configuration.lease_reads else { return false };
        // Whoever was told to campaign may do so at any time, and is voted for whomever the others hear (dissertation
        // 3.10). What former leaders have committed is known once the no-op is (§8).
        if shared.transfer.is_some() || self.has_called_election || shared.commit() < self.noop {
            return false;
        }
        // Who durably has these knows that a word is to be kept, and for how long, and remembers it over a restart.
        let known_from = configured_at.max(self.noop);
        let contact_of = |id| match self.progress(id) {
            Some(progress) => (progress.matched() >= known_from).then(|| progress.contact()),
            // Helps to elect nobody while it leads.
            None => (id == shared.id).then_some(shared.now),
        };
        let contact: Option<Time> = shared.quorum.reached(contact_of).flatten();
        contact.is_some_and(|contact| shared.now.since(contact) < lease_reads.lease())
    }
}
