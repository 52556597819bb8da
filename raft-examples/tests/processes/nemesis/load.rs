//! Clients that use every operation on a few keys at a time, and write down what they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use raft_transport::sim::history::{Action, Answer as Told, History, Key, Outcome, Value};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::client::{Answer, Client, NoAnswer, eventually};

/// Keys that are in use at a time. Few, so that clients meet; and not for long, so that histories stay short.
const KEYS: u64 = 4;
const TIMEOUT_MS: u64 = 1_500;
/// Longer than any node should take to say that it is too late.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two requests of a client: the nodes need the processor more.
const PAUSE: Duration = Duration::from_millis(4);

/// Running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    first_key: AtomicU64,
    next_value: AtomicU64,
    acknowledged_writes: AtomicU64,
    history: Mutex<History>,
    /// The one clock of the history.
    started: Instant,
}

impl Load {
    pub(super) fn start(clients: &[Client], count: usize, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            first_key: AtomicU64::new(0),
            next_value: AtomicU64::new(1),
            acknowledged_writes: AtomicU64::new(0),
            history: Mutex::default(),
            started: Instant::now(),
        });
        let threads = (0..count).map(|number| {
            let number = u64::try_from(number).expect("few clients");
            let nodes = clients.iter().map(|node| node.impatient(PATIENCE)).collect();
            let chance = StdRng::seed_from_u64(seed.wrapping_add(number));
            let worker = Worker { number, nodes, shared: Arc::clone(&shared), chance, seen: BTreeMap::new() };
            std::thread::spawn(move || worker.run())
        });
        Self { threads: threads.collect(), shared }
    }

    /// From now on the clients use other keys.
    pub(super) fn next_keys(&self) {
        self.shared.first_key.fetch_add(KEYS, Ordering::Relaxed);
    }

    /// Waits until some more writes were acknowledged.
    pub(super) fn progress(&self) {
        let acknowledged = || self.shared.acknowledged_writes.load(Ordering::Relaxed);
        let before = acknowledged();
        eventually("writes are acknowledged", || (acknowledged() >= before + 20).then_some(()));
    }

    /// How far it has come.
    pub(super) fn summary(&self) -> String {
        let history = self.shared.history.lock().expect("no client panicked");
        let unknown = history.operations().iter().filter(|operation| operation.outcome == Outcome::Unknown).count();
        let writes = self.shared.acknowledged_writes.load(Ordering::Relaxed);
        format!("{} operations, {writes} writes acknowledged, {unknown} outcomes unknown", history.operations().len())
    }

    /// Stops the clients; then everything is read once more, through all nodes in turn.
    pub(super) fn stop(self, nodes: &[Client]) -> History {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no client panicked");
        }
        let keys = self.shared.first_key.load(Ordering::Relaxed) + KEYS;
        for (key, node) in (0..keys).zip(nodes.iter().cycle()) {
            eventually("a linearizable read is answered", || {
                let outcome = self.shared.record(u64::MAX, key, Action::Get, || ask(node, key, Action::Get));
                matches!(outcome, Outcome::Done(_)).then_some(())
            });
        }
        let shared = Arc::into_inner(self.shared).expect("all clients have ended");
        shared.history.into_inner().expect("no client panicked")
    }
}

impl Shared {
    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).expect("not for ever")
    }

    fn history<T>(&self, record: impl FnOnce(&mut History) -> T) -> T {
        record(&mut self.history.lock().expect("no client panicked"))
    }

    /// Asks, and writes down when and what came of it.
    fn record(&self, client: u64, key: Key, action: Action, ask: impl FnOnce() -> Outcome) -> Outcome {
        let id = self.history(|history| history.called(client, key, action, self.now_us()));
        let outcome = ask();
        let at_us = self.now_us();
        self.history(|history| history.returned(id, at_us, outcome));
        outcome
    }
}

/// One client.
struct Worker {
    number: u64,
    nodes: Vec<Client>,
    shared: Arc<Shared>,
    chance: StdRng,
    /// What it last saw of each key.
    seen: BTreeMap<Key, Option<Value>>,
}

impl Worker {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let key = self.shared.first_key.load(Ordering::Relaxed) + self.chance.random_range(0..KEYS);
            let action = self.action(key);
            let node = &self.nodes[self.chance.random_range(0..self.nodes.len())];
            let outcome = self.shared.record(self.number, key, action, || ask(node, key, action));
            self.learn(key, action, outcome);
            std::thread::sleep(PAUSE);
        }
    }

    fn action(&mut self, key: Key) -> Action {
        // Each write has a value of its own: who reads it knows who wrote it.
        let value = || self.shared.next_value.fetch_add(1, Ordering::Relaxed);
        match self.chance.random_range(0..100) {
            0..35 => Action::Get,
            35..65 => Action::Put(value()),
            65..90 => Action::Cas { expect: self.seen.get(&key).copied().flatten(), value: value() },
            _ => Action::Delete,
        }
    }

    fn learn(&mut self, key: Key, action: Action, outcome: Outcome) {
        let Outcome::Done(told) = outcome else { return };
        let now = match (action, told) {
            (_, Told::Found(value) | Told::Mismatch { current: value }) => value,
            (Action::Put(value) | Action::Cas { value, .. }, Told::Changed { .. }) => Some(value),
            (Action::Delete | Action::Get, Told::Changed { .. }) => None,
        };
        self.seen.insert(key, now);
        if !matches!(told, Told::Found(_)) {
            self.shared.acknowledged_writes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The name of a key on the nodes.
pub(super) fn name(key: Key) -> String {
    format!("nemesis-{key}")
}

/// Asks a node, and says what its answer means.
fn ask(node: &Client, key: Key, action: Action) -> Outcome {
    let name = name(key);
    let text = |value: Value| value.to_string();
    let answer = match action {
        Action::Get => node.get(&name, TIMEOUT_MS),
        Action::Put(value) => node.put(&name, &text(value), TIMEOUT_MS),
        Action::Delete => node.delete(&name, TIMEOUT_MS),
        Action::Cas { expect, value } => node.cas(&name, expect.map(text).as_deref(), &text(value), TIMEOUT_MS),
    };
    match answer {
        Ok(answer) => meaning(action, &answer),
        Err(NoAnswer::NotSent) => Outcome::Failed,
        Err(NoAnswer::Unknown) => Outcome::Unknown,
    }
}

/// What an answer says about an action.
fn meaning(action: Action, answer: &Answer) -> Outcome {
    let json = answer.json();
    let value_in = |field: &str| json[field].as_str().map(number);
    let index = || Some(json["index"].as_u64().unwrap_or_else(|| panic!("done without an index: {answer:?}")));
    match (answer.status, action) {
        (200, Action::Get) => Outcome::Done(Told::Found(Some(number(&answer.text)))),
        (404, Action::Get) => Outcome::Done(Told::Found(None)),
        // It changes nothing, whatever became of it.
        (503, Action::Get) => Outcome::Failed,
        (200, Action::Put(_) | Action::Delete) => {
            Outcome::Done(Told::Changed { index: index(), previous: value_in("previous") })
        }
        (200, Action::Cas { expect, .. }) => Outcome::Done(Told::Changed { index: index(), previous: expect }),
        (409, Action::Cas { .. }) => Outcome::Done(Told::Mismatch { current: value_in("current") }),
        (503, _) if answer.maybe_applied() => Outcome::Unknown,
        // The node was so slow that the request's own body came too late for it: nothing was changed.
        (503 | 408, _) => Outcome::Failed,
        _ => panic!("no answer to {action}: {answer:?}"),
    }
}

/// A value that a client has written.
pub(super) fn number(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| panic!("{text:?} was read, and nobody wrote it"))
}

#[test]
fn answers_mean_what_the_contract_says() {
    let answer = |status, text: &str| Answer { status, text: text.to_owned() };
    let swap = Action::Cas { expect: Some(1), value: 2 };
    let changed = |index, previous| Outcome::Done(Told::Changed { index: Some(index), previous });
    for (action, status, text, meant) in [
        (Action::Get, 200, "7", Outcome::Done(Told::Found(Some(7)))),
        (Action::Get, 404, r#"{"error":"no_such_key"}"#, Outcome::Done(Told::Found(None))),
        (Action::Get, 503, r#"{"error":"timeout","maybe_applied":false}"#, Outcome::Failed),
        (Action::Put(2), 200, r#"{"index":3,"previous":"1"}"#, changed(3, Some(1))),
        (Action::Delete, 200, r#"{"index":3,"previous":null}"#, changed(3, None)),
        (Action::Put(2), 503, r#"{"error":"timeout","maybe_applied":true}"#, Outcome::Unknown),
        (Action::Put(2), 503, r#"{"error":"no_leader","maybe_applied":false}"#, Outcome::Failed),
        (swap, 200, r#"{"index":3}"#, changed(3, Some(1))),
        (swap, 409, r#"{"current":"5"}"#, Outcome::Done(Told::Mismatch { current: Some(5) })),
    ] {
        assert_eq!(meaning(action, &answer(status, text)), meant, "{action} was answered {status} {text}");
    }
}
