//! Feeds committed entries to the state machine, in order, a bounded amount at a time.

use std::collections::VecDeque;

use raft_consensus::{Entries, LogIndex};

/// Most bytes of entries handed to the state machine in one message.
pub(super) const APPLY_BATCH_BYTES_MAX: u64 = 1 << 20;

/// Most bytes of entries with the state machine at a time. What is committed beyond
/// that waits in the log, so a slow machine costs no memory.
const APPLY_INFLIGHT_BYTES_MAX: u64 = 8 << 20;

/// How far the state machine is, and how far it may go.
#[derive(Debug)]
pub(super) struct ApplyFeed {
    /// Committed and durable here: may be applied.
    target: LogIndex,
    /// Handed to the state machine.
    sent: LogIndex,
    /// Last index and size of each batch that is with the state machine.
    inflight: VecDeque<(LogIndex, u64)>,
    inflight_bytes: u64,
    /// Entries are being read from disk.
    reading: bool,
    /// A snapshot is being installed.
    held: bool,
    /// The machine applies nothing any more.
    halted: bool,
}

/// What is to be read and handed over next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextBatch {
    pub(super) from: LogIndex,
    pub(super) through: LogIndex,
}

impl ApplyFeed {
    /// A feed for a state machine that has applied everything through `applied`.
    pub(super) fn new(applied: LogIndex) -> Self {
        Self {
            target: applied,
            sent: applied,
            inflight: VecDeque::new(),
            inflight_bytes: 0,
            reading: false,
            held: false,
            halted: false,
        }
    }

    /// Whether the machine has nothing to do and could be handed all that may be applied, through `last`, at once.
    pub(super) fn is_last_word(&self, last: LogIndex) -> bool {
        self.inflight.is_empty() && !self.halted && last == self.target
    }

    /// The last index that was handed over.
    pub(super) fn sent(&self) -> LogIndex {
        self.sent
    }

    /// Everything through `target` may be applied.
    pub(super) fn allow(&mut self, target: LogIndex) {
        self.target = self.target.max(target);
    }

    /// What to hand over now, if there is something and the machine has room.
    pub(super) fn next(&self) -> Option<NextBatch> {
        let room = self.inflight_bytes < APPLY_INFLIGHT_BYTES_MAX && !self.reading && !self.held;
        (room && self.sent < self.target).then(|| NextBatch { from: self.sent.next(), through: self.target })
    }

    /// The next batch has to come from disk; nothing else is handed over until it has.
    pub(super) fn reading(&mut self) {
        self.reading = true;
    }

    /// The read has ended, one way or the other.
    pub(super) fn read_done(&mut self) {
        self.reading = false;
    }

    /// Whether this is still what comes next: a read takes its time, and a snapshot may have come meanwhile.
    pub(super) fn expects(&self, next: NextBatch) -> bool {
        !self.held && self.sent.next() == next.from
    }

    /// Nothing is handed over until a snapshot is installed.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// The machine has loaded a snapshot of everything through `through`, and goes on from there even if it was halted.
    pub(super) fn installed(&mut self, through: LogIndex) {
        self.held = false;
        self.halted = false;
        self.sent = self.sent.max(through);
        self.target = self.target.max(through);
    }

    /// The machine applies nothing any more, so what it is handed takes no room.
    pub(super) fn halt(&mut self) {
        self.halted = true;
        self.inflight.clear();
        self.inflight_bytes = 0;
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halted
    }

    /// These were handed over.
    pub(super) fn handed_over(&mut self, entries: &Entries) {
        if let Some(last) = entries.last_position() {
            self.sent = last.index;
            if self.halted {
                return;
            }
            let bytes = entries.size_bytes();
            self.inflight.push_back((last.index, bytes));
            self.inflight_bytes += bytes;
        }
    }

    /// The machine has applied everything through `through`.
    pub(super) fn applied(&mut self, through: LogIndex) {
        while let Some((last, bytes)) = self.inflight.front().copied()
            && last <= through
        {
            self.inflight.pop_front();
            self.inflight_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use raft_consensus::{Entry, LogPosition, Payload, Term};

    use super::*;

    fn entries(from: u64, bytes: usize) -> Entries {
        let payload = Payload::Command(Bytes::from(vec![0; bytes]));
        Entries::from(vec![Entry { position: LogPosition::new(Term::new(1), LogIndex::new(from)), payload }])
    }

    #[test]
    fn a_slow_machine_gets_no_more_than_fits() {
        let mut feed = ApplyFeed::new(LogIndex::ZERO);
        feed.allow(LogIndex::new(100));
        let mut handed = 0;
        while let Some(next) = feed.next() {
            feed.handed_over(&entries(next.from.get(), 1 << 20));
            handed += 1;
        }
        assert_eq!(handed, 8, "eight times a MiB fill the window");
        feed.applied(LogIndex::new(1));
        assert_eq!(feed.next().map(|next| next.from), Some(LogIndex::new(9)));
    }

    #[test]
    fn only_the_last_of_what_may_be_applied_is_applied_on_the_spot_and_nothing_before_it_is_elsewhere() {
        let mut feed = ApplyFeed::new(LogIndex::ZERO);
        feed.allow(LogIndex::new(2));
        assert!(!feed.is_last_word(LogIndex::new(1)), "there is more");
        assert!(feed.is_last_word(LogIndex::new(2)));
        feed.handed_over(&entries(1, 1));
        assert!(!feed.is_last_word(LogIndex::new(2)), "it would overtake the first");
        feed.applied(LogIndex::new(1));
        assert!(feed.is_last_word(LogIndex::new(2)));
        feed.halt();
        assert!(!feed.is_last_word(LogIndex::new(2)));
    }

    #[test]
    fn a_halted_machine_holds_up_nobody() {
        let mut feed = ApplyFeed::new(LogIndex::ZERO);
        feed.allow(LogIndex::new(100));
        while let Some(next) = feed.next() {
            feed.handed_over(&entries(next.from.get(), 1 << 20));
        }
        feed.halt();
        while let Some(next) = feed.next() {
            feed.handed_over(&entries(next.from.get(), 1 << 20));
        }
        assert_eq!(feed.sent(), LogIndex::new(100));
    }

    #[test]
    fn while_a_snapshot_is_installed_nothing_is_handed_over_and_afterwards_what_follows_it() {
        let mut feed = ApplyFeed::new(LogIndex::new(4));
        feed.allow(LogIndex::new(6));
        let read = feed.next().expect("5 and 6");
        feed.reading();
        feed.hold();
        feed.read_done();
        assert!(!feed.expects(read), "what was read meanwhile is below the snapshot");
        assert_eq!(feed.next(), None);
        feed.installed(LogIndex::new(9));
        assert!(!feed.expects(read));
        assert_eq!((feed.sent(), feed.next()), (LogIndex::new(9), None));
        feed.allow(LogIndex::new(10));
        assert_eq!(feed.next(), Some(NextBatch { from: LogIndex::new(10), through: LogIndex::new(10) }));
    }

    #[test]
    fn nothing_overtakes_a_read_from_disk() {
        let mut feed = ApplyFeed::new(LogIndex::new(4));
        feed.allow(LogIndex::new(6));
        feed.reading();
        assert_eq!(feed.next(), None);
        feed.read_done();
        assert_eq!(feed.next(), Some(NextBatch { from: LogIndex::new(5), through: LogIndex::new(6) }));
    }
}
