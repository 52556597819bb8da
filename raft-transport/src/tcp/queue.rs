//! What waits to be written to one peer.

use raft_actor::envelope::Envelope;
use raft_actor::envelope::codec::{self, EncodeError};

use super::handshake::Lane;
use super::{Count, KEPT_BUFFER_BYTES_MAX, TcpOptions};

/// Encoded messages in two buffers: one collects while the other is being
/// written, then they change places. So everything that arrived during a write
/// goes into the next one, and a message is copied once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Whether there is a connection; without one nothing is taken.
    open: bool,
    waiting: Vec<u8>,
    waiting_messages: usize,
    /// How much of the queue's limits the buffer that is being written takes.
    writing_bytes: usize,
    writing_messages: usize,
}

/// What a queue may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    bytes_max: usize,
    messages_max: usize,
    frame_bytes_max: u32,
}

impl Limits {
    pub(super) fn of(options: &TcpOptions, lane: Lane) -> Self {
        let bytes_max = match lane {
            Lane::Raft => options.queue_bytes_max,
            Lane::Bulk => options.bulk_queue_bytes_max,
        };
        Self { bytes_max, messages_max: options.queue_messages_max, frame_bytes_max: options.frame_bytes_max }
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    Unconnected,
    Full,
    Unsendable(EncodeError),
}

impl Dropped {
    pub(super) fn count(self) -> Count {
        match self {
            Self::Unconnected => Count::DroppedUnconnected,
            Self::Full => Count::DroppedQueueFull,
            Self::Unsendable(_) => Count::DroppedUnsendable,
        }
    }
}

impl Queue {
    /// Takes messages from now on, or none, and forgets those it has. Returns whether this is news.
    pub(super) fn set_open(&mut self, open: bool) -> bool {
        let news = self.open != open;
        *self = Self { open, ..Self::default() };
        news
    }

    /// Encodes `envelope` behind the others. Returns whether it is the first: then somebody has to be woken.
    pub(super) fn push(&mut self, envelope: &Envelope, limits: &Limits) -> Result<bool, Dropped> {
        if !self.open {
            return Err(Dropped::Unconnected);
        }
        let idle = self.waiting.is_empty() && self.writing_bytes == 0;
        let messages = self.waiting_messages + self.writing_messages;
        // Checked before the work of encoding what there is no room for ...
        if !idle && (self.bytes() >= limits.bytes_max || messages >= limits.messages_max) {
            return Err(Dropped::Full);
        }
        let start = self.waiting.len();
        codec::encode(envelope, limits.frame_bytes_max, &mut self.waiting).map_err(Dropped::Unsendable)?;
        // ... and after it, when its size is known.
        if !idle && self.bytes() > limits.bytes_max {
            self.waiting.truncate(start);
            return Err(Dropped::Full);
        }
        self.waiting_messages += 1;
        Ok(start == 0)
    }

    /// Hands out what waits, to be written, and keeps `empty` for what comes next. What was handed out before has been written.
    pub(super) fn take(&mut self, mut empty: Vec<u8>) -> Vec<u8> {
        empty.clear();
        empty.shrink_to(KEPT_BUFFER_BYTES_MAX);
        let writing = std::mem::replace(&mut self.waiting, empty);
        self.writing_bytes = writing.len();
        self.writing_messages = std::mem::take(&mut self.waiting_messages);
        writing
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// What waits, and what is being written.
    pub(super) fn bytes(&self) -> usize {
        self.waiting.len() + self.writing_bytes
    }
}

#[cfg(test)]
mod tests {
    use raft_actor::consensus::{GroupId, NodeId};
    use raft_actor::envelope::{Body, Forward, ForwardKind};

    use super::*;

    fn message(bytes: usize) -> Envelope {
        let requests = vec![vec![0; bytes].into()];
        let forward = Forward { id: 1, timeout_ms: 1, kind: ForwardKind::Write, term: None, requests };
        Envelope { from: NodeId::from(1), to: NodeId::from(2), group: GroupId::from(1), body: Body::Forward(forward) }
    }

    fn limits(bytes_max: usize, messages_max: usize) -> Limits {
        Limits { bytes_max, messages_max, frame_bytes_max: 1 << 20 }
    }

    fn defaults() -> Limits {
        Limits::of(&TcpOptions::default(), Lane::Raft)
    }

    fn open() -> Queue {
        let mut queue = Queue::default();
        assert!(queue.set_open(true));
        queue
    }

    #[test]
    fn nothing_is_kept_for_a_peer_without_a_connection() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(&message(1), &defaults()), Err(Dropped::Unconnected));
        queue.set_open(true);
        queue.push(&message(1), &defaults()).unwrap();
        queue.set_open(false);
        queue.set_open(true);
        assert!(queue.take(Vec::new()).is_empty());
    }

    #[test]
    fn only_the_first_message_wakes_the_writer() {
        let mut queue = open();
        let limits = defaults();
        assert_eq!(queue.push(&message(1), &limits), Ok(true));
        assert_eq!(queue.push(&message(1), &limits), Ok(false));
        queue.take(Vec::new());
        assert_eq!(queue.push(&message(1), &limits), Ok(true));
    }

    #[test]
    fn waiting_and_being_written_together_stay_within_the_bytes() {
        let mut queue = open();
        let limits = limits(10_000, 1000);
        while queue.push(&message(1000), &limits).is_ok() {}
        assert!(queue.bytes() <= 10_000);
        let writing = queue.take(Vec::new());
        assert_eq!(queue.push(&message(1000), &limits), Err(Dropped::Full), "still being written");
        assert!(queue.take(writing).is_empty());
        queue.push(&message(1000), &limits).unwrap();
    }

    #[test]
    fn the_number_of_messages_is_bounded_too() {
        let mut queue = open();
        let limits = limits(usize::MAX, 3);
        for _ in 0..3 {
            queue.push(&message(0), &limits).unwrap();
        }
        assert_eq!(queue.push(&message(0), &limits), Err(Dropped::Full));
        queue.take(Vec::new());
        assert_eq!(queue.push(&message(0), &limits), Err(Dropped::Full));
    }

    #[test]
    fn one_message_alone_may_exceed_the_queue_but_not_the_frame() {
        let mut queue = open();
        let limits = limits(100, 10);
        queue.push(&message(5000), &limits).unwrap();
        assert_eq!(queue.push(&message(1), &limits), Err(Dropped::Full));
        queue.take(Vec::new());
        queue.take(Vec::new());
        assert!(matches!(queue.push(&message(2 << 20), &limits), Err(Dropped::Unsendable(_))));
    }
}
