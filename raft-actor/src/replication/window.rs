//! How far a snapshot has come, as its sender knows it: what to send next, and how much at a time.

use std::ops::Range;
use std::time::Duration;

use raft_consensus::Settings;

/// Bytes of a snapshot in one message, unless the transport takes less.
const CHUNK_BYTES: u64 = 256 << 10;
/// Chunks on their way to one peer.
const WINDOW_CHUNKS: u64 = 4;
/// Whatever a message has beside the bytes of its chunk.
const MESSAGE_OVERHEAD_BYTES: u64 = 1 << 10;
/// A peer that says nothing for so many election timeouts is given up.
const PATIENCE_TIMEOUTS: u32 = 20;

/// How snapshots are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotPace {
    /// Bytes in one message.
    pub(crate) chunk_bytes: u64,
    /// Bytes on their way, not acknowledged; bounds what a sending takes in memory.
    pub(crate) window_bytes: u64,
    /// A peer that says nothing for this long is asked.
    pub(crate) ask_after: Duration,
    /// A peer that says nothing for this long is given up.
    pub(crate) give_up_after: Duration,
}

impl SnapshotPace {
    /// The pace that goes with a member's `settings`, over a transport whose messages have at most so many bytes.
    pub(crate) fn of(settings: &Settings, message_bytes_max: u64) -> Self {
        let chunk_bytes = CHUNK_BYTES.min(message_bytes_max.saturating_sub(MESSAGE_OVERHEAD_BYTES)).max(1);
        let ask_after = settings.election_timeout_min();
        let give_up_after = ask_after * PATIENCE_TIMEOUTS;
        Self { chunk_bytes, window_bytes: WINDOW_CHUNKS * chunk_bytes, ask_after, give_up_after }
    }
}

/// What of a file is where.
#[derive(Debug)]
pub(super) struct Window {
    pace: SnapshotPace,
    size_bytes: u64,
    /// The peer has all before this; `None` until it has said how much it has.
    acknowledged: Option<u64>,
    /// All before this is on its way, or there.
    next: u64,
    /// Where the last gap was that we went back to.
    gap: Option<u64>,
}

impl Window {
    pub(super) fn new(size_bytes: u64, pace: SnapshotPace) -> Self {
        Self { pace, size_bytes, acknowledged: None, next: 0, gap: None }
    }

    /// Up to where everything was sent.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The peer has everything before `received`.
    pub(super) fn reached(&mut self, received: u64) {
        let acknowledged = self.acknowledged.map_or(received, |before| before.max(received));
        if self.acknowledged != Some(acknowledged) {
            self.gap = None;
        }
        self.acknowledged = Some(acknowledged);
        self.next = self.next.max(acknowledged);
    }

    /// The peer has everything before `received`, and what came then begins behind that.
    pub(super) fn lost_behind(&mut self, received: u64) {
        // Everything behind a gap tells of the same one; it is filled once.
        if self.gap == Some(received) || received >= self.next {
            return;
        }
        self.gap = Some(received);
        self.next = received;
        // It may have less than it had: it was started anew.
        self.acknowledged = Some(self.acknowledged.map_or(received, |before| before.min(received)));
    }

    /// What was sent to fill a gap may be lost as well: the next report of it counts again.
    pub(super) fn asked(&mut self) {
        self.gap = None;
    }

    /// What may be sent now, nothing if the window is full.
    pub(super) fn room(&self) -> Range<u64> {
        let Some(acknowledged) = self.acknowledged else { return self.next..self.next };
        let end = acknowledged.saturating_add(self.pace.window_bytes).min(self.size_bytes).max(self.next);
        // Whole chunks, but for the last of the file.
        let end = if end == self.size_bytes { end } else { end - (end - self.next) % self.pace.chunk_bytes };
        self.next..end
    }

    /// Everything before `end` is on its way.
    pub(super) fn sent(&mut self, end: u64) {
        self.next = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(size_bytes: u64) -> Window {
        let second = Duration::from_secs(1);
        let pace = SnapshotPace { chunk_bytes: 10, window_bytes: 40, ask_after: second, give_up_after: 2 * second };
        Window::new(size_bytes, pace)
    }

    #[test]
    fn nothing_is_sent_before_the_peer_says_how_much_it_has() {
        let mut window = window(100);
        assert!(window.room().is_empty());
        window.reached(30);
        assert_eq!(window.room(), 30..70);
    }

    #[test]
    fn no_more_than_the_window_is_on_its_way() {
        let mut window = window(100);
        window.reached(0);
        assert_eq!(window.room(), 0..40);
        window.sent(40);
        assert!(window.room().is_empty());
        window.reached(15);
        assert_eq!(window.room(), 40..50, "whole chunks");
        window.sent(50);
        window.reached(50);
        window.sent(90);
        window.reached(70);
        assert_eq!(window.room(), 90..100, "but for the last");
        window.reached(60);
        assert_eq!(window.room(), 90..100, "a late answer takes nothing back");
    }

    #[test]
    fn a_gap_is_filled_once_however_often_it_is_reported() {
        let mut window = window(100);
        window.reached(0);
        window.sent(40);
        window.lost_behind(10);
        assert_eq!(window.room(), 10..40);
        window.sent(40);
        window.lost_behind(10);
        assert!(window.room().is_empty());
        window.asked();
        window.lost_behind(10);
        assert_eq!(window.room(), 10..40, "what filled it was lost too");
    }

    #[test]
    fn a_peer_that_lost_what_it_had_is_sent_it_again() {
        let mut window = window(100);
        window.reached(80);
        window.sent(100);
        window.lost_behind(0);
        assert_eq!(window.room(), 0..40);
    }

    #[test]
    fn chunks_fit_into_the_messages_of_the_transport() {
        let settings = Settings::default();
        assert_eq!(SnapshotPace::of(&settings, u64::MAX).chunk_bytes, CHUNK_BYTES);
        assert_eq!(SnapshotPace::of(&settings, 10_000).chunk_bytes, 10_000 - MESSAGE_OVERHEAD_BYTES);
        assert_eq!(SnapshotPace::of(&settings, 0).chunk_bytes, 1);
    }
}
