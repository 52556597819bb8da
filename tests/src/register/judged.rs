//! Histories, key by key, and when each is judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raft_transport::sim::history::{Action, History, OperationId, Outcome};
use raft_transport::sim::linearizable::{self, Refused};

use super::Key;

/// The key that is in use from the beginning of a run to its end.
pub(super) const FOR_EVER: Key = 0;
/// So long the others are in use, in microseconds: then their histories are short enough to be judged at once.
const EPOCH_US: u64 = 4_000_000;
/// How many others are in use at a time.
const KEYS_AT_A_TIME: u64 = 3;
/// Nobody waits for an answer this long after the end of an epoch, in microseconds.
const GRACE_US: u64 = EPOCH_US;

/// One of the keys that are in use at this time.
pub(super) fn key_of(now_us: u64, which: u64) -> Key {
    1 + now_us / EPOCH_US * KEYS_AT_A_TIME + which % KEYS_AT_A_TIME
}

/// When a key goes out of use.
fn end_us(key: Key) -> u64 {
    if key == FOR_EVER { u64::MAX } else { ((key - 1) / KEYS_AT_A_TIME + 1) * EPOCH_US }
}

/// How much was judged, for those who report it.
#[derive(Debug, Default)]
pub struct Counts {
    operations: AtomicU64,
    keys: AtomicU64,
    undecided: AtomicU64,
}

impl Counts {
    /// Operations in the histories that were judged.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Histories that were judged, one for each key.
    pub fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// Those among them whose search was given up: nothing is known of them.
    pub fn undecided(&self) -> u64 {
        self.undecided.load(Ordering::Relaxed)
    }
}

/// What was asked of each key and what came of it; judged as soon as a key is out of use.
#[derive(Debug)]
pub struct Judged {
    keys: BTreeMap<Key, History>,
    /// By the number of the request.
    under_way: BTreeMap<u64, (Key, Action, OperationId)>,
    stale: BTreeMap<u64, Key>,
    counts: Arc<Counts>,
}

impl Judged {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Self { keys: BTreeMap::new(), under_way: BTreeMap::new(), stale: BTreeMap::new(), counts }
    }

    /// Whether requests about this key may begin at this time.
    pub(super) fn is_in_use(key: Key, now_us: u64) -> bool {
        now_us < end_us(key)
    }

    /// A request begins that is part of a history.
    pub(super) fn called(&mut self, request: u64, client: usize, key: Key, action: Action, at_us: u64) {
        let id = self.keys.entry(key).or_default().called(client as u64, key, action, at_us);
        self.under_way.insert(request, (key, action, id));
    }

    /// A request begins that may be answered from the past.
    pub(super) fn called_stale(&mut self, request: u64, key: Key) {
        self.stale.insert(request, key);
    }

    /// It ends, if it was one of those. Returns its key.
    pub(super) fn returned_stale(&mut self, request: u64) -> Option<Key> {
        self.stale.remove(&request)
    }

    /// A request ends. Returns what it was.
    pub(super) fn returned(&mut self, request: u64, at_us: u64, outcome: Outcome) -> (Key, Action) {
        let (key, action, id) = self.under_way.remove(&request).expect("only what was called returns");
        self.keys.get_mut(&key).expect("it is there while requests are under way").returned(id, at_us, outcome);
        (key, action)
    }

    /// Judges the keys that nobody asks about any more.
    pub(super) fn judge_what_is_over(&mut self, now_us: u64) -> Result<(), String> {
        while let Some((&key, _)) = self.keys.range(FOR_EVER + 1..).next() {
            let is_asked_about = || self.under_way.values().any(|(about, ..)| *about == key);
            if now_us < end_us(key).saturating_add(GRACE_US) || is_asked_about() {
                break;
            }
            let history = self.keys.remove(&key).expect("it was just there");
            self.judge(&history)?;
        }
        Ok(())
    }

    /// Judges all others.
    pub(super) fn judge_the_rest(&mut self) -> Result<(), String> {
        std::mem::take(&mut self.keys).values().try_for_each(|history| self.judge(history))
    }

    fn judge(&self, history: &History) -> Result<(), String> {
        let operations = history.operations();
        self.counts.keys.fetch_add(1, Ordering::Relaxed);
        self.counts.operations.fetch_add(operations.len() as u64, Ordering::Relaxed);
        match linearizable::check(operations) {
            Ok(()) => Ok(()),
            Err(Refused::Undecided { .. }) => {
                self.counts.undecided.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(refused) => Err(refused.to_string()),
        }
    }
}
