use super::*;
use crate::testing::{at, entries};
use crate::{Configuration, Entry, Payload};

const MS: Duration = Duration::from_millis(1);

/// A peer of a leader with this log, and what drives it.
struct Peer {
    progress: Progress,
    log: Log,
    settings: Settings,
    now: Time,
    last_round: Round,
}

impl Peer {
    fn of(terms: &[u64]) -> Self {
        let mut log = Log::new(LogPosition::ZERO, Configuration::default());
        log.append(&entries(1, terms));
        let settings = Settings { heartbeat_ms: 10, inflight_appends_max: 4, ..Settings::default() };
        let progress = Progress::new(log.last().index, Round::ZERO, Time::ZERO);
        Self { progress, log, settings, now: Time::ZERO, last_round: Round::ZERO }
    }

    /// A peer that is being streamed to, its log equal to `terms`.
    fn streaming(terms: &[u64]) -> Self {
        let mut peer = Self::of(terms);
        peer.append(1);
        assert!(peer.send().is_some());
        assert!(peer.acknowledge(peer.log.last().index.get(), peer.last_round.get()));
        assert_eq!(peer.progress.state, PeerState::Replicate);
        peer
    }

    fn append(&mut self, count: u64) {
        for _ in 0..count {
            let last = self.log.last();
            let position = LogPosition::new(last.term, last.index.next());
            self.log.push(&Entry { position, payload: Payload::Noop });
        }
    }

    fn send(&mut self) -> Option<(u64, u64)> {
        let batch = self.progress.next_batch(&self.log, &self.settings, self.now)?;
        self.last_round = self.last_round.next();
        self.progress.sent(&batch, self.last_round, self.now);
        self.check();
        Some((batch.prev.index.get(), batch.through.index.get()))
    }

    fn acknowledge(&mut self, durable: u64, round: u64) -> bool {
        self.progress.heard(Round::new(round), self.now, self.now);
        let (durable, round) = (LogIndex::new(durable), Round::new(round));
        let has_moved = self.progress.acknowledged(durable, round, self.last_round, &self.log, self.now);
        self.check();
        has_moved
    }

    fn refuse(&mut self, refused: u64, hint: LogPosition, round: u64) -> Refusal {
        self.progress.heard(Round::new(round), self.now, self.now);
        let (refused, round) = (LogIndex::new(refused), Round::new(round));
        let refusal = self.progress.refused(refused, hint, round, self.last_round, &self.log);
        self.check();
        refusal
    }

    fn check(&self) {
        assert_eq!(self.progress.violation(self.log.last().index), None);
    }
}

#[test]
fn a_probe_is_one_message_at_a_time() {
    let mut peer = Peer::of(&[1, 1]);
    peer.append(1);
    assert_eq!(peer.send(), Some((2, 3)));
    peer.append(1);
    assert_eq!(peer.send(), None);
    peer.acknowledge(3, 1);
    assert_eq!(peer.send(), Some((3, 4)), "the guess was right");
}

#[test]
fn a_refusal_leads_to_the_end_of_the_hinted_term() {
    let mut peer = Peer::of(&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
    peer.append(1);
    assert_eq!(peer.send(), Some((10, 11)));
    assert_eq!(peer.refuse(10, at(3, 9), 1), Refusal::Used);
    assert_eq!(peer.send(), Some((3, 11)), "nothing of ours at or before 9 has term 2 or 3");
}

#[test]
fn the_refusals_of_one_window_count_once() {
    let mut peer = Peer::streaming(&[1]);
    for _ in 0..2 {
        peer.append(1);
        assert!(peer.send().is_some());
    }
    assert_eq!(peer.refuse(3, at(1, 2), 3), Refusal::Used, "the second was lost, so the third does not fit");
    assert_eq!(peer.send(), Some((2, 4)));
    assert_eq!(peer.refuse(3, at(1, 2), 3), Refusal::Late);
    assert_eq!(peer.send(), None, "the probe is under way");
}

#[test]
fn late_old_and_repeated_answers_never_move_the_match_back() {
    let mut peer = Peer::streaming(&[1, 1, 1]);
    assert!(!peer.acknowledge(4, 1), "a duplicate");
    assert!(!peer.acknowledge(1, 1), "an older one");
    assert_eq!(peer.refuse(3, at(1, 1), 1), Refusal::Late, "sent before the match was known");
    assert_eq!(peer.progress.matched(), LogIndex::new(4));
}

#[test]
fn with_the_window_full_nothing_is_ordered_and_a_free_slot_covers_all_that_waits() {
    let mut peer = Peer::streaming(&[1]);
    let mut sent = 0;
    for _ in 0..20 {
        peer.append(1);
        peer.now = peer.now.after(MS);
        sent += i32::from(peer.send().is_some());
    }
    assert_eq!(sent, 4);
    peer.acknowledge(3, 2);
    assert_eq!(peer.send(), Some((6, 22)));
}

#[test]
fn the_window_is_limited_in_bytes() {
    let mut peer = Peer::streaming(&[1]);
    peer.settings.append_batch_bytes_max = 48;
    peer.settings.inflight_bytes_max = 60;
    peer.append(9);
    assert_eq!((peer.send(), peer.send(), peer.send()), (Some((2, 4)), Some((4, 6)), None));
}

#[test]
fn beyond_two_messages_are_spread_over_the_round_trip() {
    let mut peer = Peer::streaming(&[1]);
    // A round trip of 8 ms: with a window of four, one message every 2 ms.
    peer.append(1);
    peer.send();
    peer.now = peer.now.after(8 * MS);
    peer.acknowledge(3, 2);
    peer.append(1);
    assert!(peer.send().is_some());
    peer.append(1);
    assert!(peer.send().is_some(), "two may go at any time");
    peer.append(1);
    assert_eq!(peer.send(), None);
    peer.now = peer.now.after(2 * MS);
    assert!(peer.send().is_some());
}

#[test]
fn what_is_overdue_is_asked_for_once_a_heartbeat() {
    let mut peer = Peer::streaming(&[1]);
    peer.append(1);
    peer.send();
    let wants = |peer: &Peer| peer.progress.wants_to_ask(&peer.settings, peer.now);
    assert!(!wants(&peer));
    peer.now = peer.now.after(10 * MS);
    assert!(wants(&peer));
    peer.progress.asked(Round::new(7), peer.now);
    assert!(!wants(&peer));
    peer.now = peer.now.after(10 * MS);
    assert!(wants(&peer));
}

#[test]
fn a_peer_that_has_what_was_asked_for_is_slow_and_is_streamed_to() {
    let mut peer = Peer::of(&[1, 1]);
    peer.append(1);
    peer.send();
    peer.now = peer.now.after(10 * MS);
    peer.progress.asked(Round::new(2), peer.now);
    peer.acknowledge(0, 2);
    assert_eq!(peer.progress.state, PeerState::Replicate, "it has the entries, only not on its disk");
    peer.append(1);
    assert_eq!(peer.send(), Some((3, 4)));
}

#[test]
fn an_unreachable_peer_is_left_alone_until_it_is_heard_from() {
    let mut peer = Peer::streaming(&[1]);
    peer.append(2);
    peer.send();
    peer.progress.unreachable(peer.last_round);
    assert_eq!(peer.send(), None);
    peer.acknowledge(2, 3);
    assert_eq!(peer.send(), Some((2, 4)), "again from the match on");
}

#[test]
fn a_peer_that_needs_what_was_compacted_waits_for_a_snapshot() {
    let mut peer = Peer::of(&[]);
    peer.log = Log::new(at(3, 50), Configuration::default());
    peer.log.append(&entries(51, &[3, 3]));
    peer.progress = Progress::new(LogIndex::new(51), Round::ZERO, Time::ZERO);
    assert_eq!(peer.send(), Some((51, 52)));
    assert_eq!(peer.refuse(51, at(2, 20), 1), Refusal::Used);
    assert_eq!((peer.progress.status().state, peer.send()), (PeerState::Snapshot, None));
}

/// A peer that is being streamed to and has the first three of six entries, which are purged from the leader's log.
fn left_behind() -> Peer {
    let mut peer = Peer::streaming(&[1, 1]);
    peer.append(3);
    assert_eq!(peer.send(), Some((3, 6)));
    peer.log.purge(LogIndex::new(5));
    peer
}

fn wants_snapshot(peer: &mut Peer) -> bool {
    assert_eq!(peer.send(), None);
    peer.progress.wants_snapshot()
}

fn send_snapshot(peer: &mut Peer, covered: u64) -> u64 {
    assert!(wants_snapshot(peer));
    peer.last_round = peer.last_round.next();
    peer.progress.sent_snapshot(LogIndex::new(covered), peer.last_round);
    assert!(!wants_snapshot(peer), "once");
    assert_eq!(peer.progress.needed_after(), LogIndex::new(covered), "what lies behind it is needed next");
    peer.last_round.get()
}

#[test]
fn entries_under_way_may_be_purged_and_arrive_all_the_same() {
    let mut peer = left_behind();
    assert!(!wants_snapshot(&mut peer), "nothing that is still to be sent was purged");
    assert!(peer.acknowledge(6, peer.last_round.get()));
    assert_eq!(peer.progress.state, PeerState::Replicate);
}

#[test]
fn a_peer_that_needs_what_is_purged_is_sent_a_snapshot_once() {
    let mut peer = left_behind();
    peer.progress.unreachable(peer.last_round);
    assert!(!wants_snapshot(&mut peer), "nothing can be sent");
    assert!(!peer.acknowledge(3, 1), "it is heard from");
    let round = send_snapshot(&mut peer, 5);
    peer.append(1);
    assert_eq!(peer.send(), None, "no entries meanwhile");
    assert!(!peer.acknowledge(3, round), "a heartbeat is answered");
    assert_eq!(peer.progress.state, PeerState::Snapshot);
    assert_eq!(peer.refuse(6, at(1, 3), round), Refusal::Late, "nothing was asked");
    assert!(peer.acknowledge(5, round));
    assert_eq!(peer.send(), Some((5, 7)), "and on from there");
}

#[test]
fn a_snapshot_that_does_not_arrive_is_sent_again() {
    let mut peer = left_behind();
    peer.progress.unreachable(peer.last_round);
    peer.acknowledge(3, 1);
    send_snapshot(&mut peer, 5);
    peer.progress.unreachable(peer.last_round);
    assert!(!wants_snapshot(&mut peer), "not before it is heard from");
    peer.acknowledge(3, 1);
    send_snapshot(&mut peer, 5);
}

#[test]
fn a_peer_that_installed_an_older_snapshot_is_sent_ours_again() {
    let mut peer = left_behind();
    peer.progress.unreachable(peer.last_round);
    peer.acknowledge(3, 1);
    let round = send_snapshot(&mut peer, 5);
    assert!(peer.acknowledge(4, round - 1), "an answer to something before");
    assert!(!peer.progress.wants_snapshot());
    peer.progress.matched = LogIndex::new(3);
    assert!(peer.acknowledge(4, round + 1));
    send_snapshot(&mut peer, 5);
}

#[test]
fn a_peer_whose_snapshot_was_overtaken_by_the_purge_is_sent_the_next_one() {
    let mut peer = left_behind();
    peer.progress.unreachable(peer.last_round);
    peer.acknowledge(3, 1);
    let round = send_snapshot(&mut peer, 5);
    peer.append(2);
    peer.log.purge(LogIndex::new(7));
    assert!(peer.acknowledge(5, round));
    let round = send_snapshot(&mut peer, 8);
    assert!(peer.acknowledge(8, round));
    assert_eq!(peer.progress.state, PeerState::Replicate);
}
