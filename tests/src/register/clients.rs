//! What the clients of a simulated register ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_actor::StateMachine;
use raft_actor::consensus::GroupId;
use raft_transport::sim::history::{Action, Answer, Outcome as Ended};
use raft_transport::sim::{Call, Chance, Outcome, Request, Return, Workload};

use super::judged::{Counts, FOR_EVER, Judged, key_of};
use super::{Command, Get, Key, Response, Value};

/// Clients that write, read and compare-and-swap a few keys, and judge what they are told.
///
/// ```
/// use raft_tests::register::{Register, RegisterClients};
/// use raft_transport::sim::SimCluster;
///
/// let (clients, counts) = RegisterClients::new();
/// let report = SimCluster::<Register>::of(3).lasting(std::time::Duration::from_secs(2)).run(7, clients)?;
/// assert!(report.acked_writes > 0 && counts.operations() > report.acked_writes);
/// # Ok::<(), Box<raft_transport::sim::Failure>>(())
/// ```
#[derive(Debug)]
pub struct RegisterClients {
    /// What the clients of each group are told.
    judged: BTreeMap<GroupId, Judged>,
    counts: Arc<Counts>,
    /// The latest moment that they were told of, in microseconds.
    now_us: u64,
    /// The key that each value was made for; values are numbered from 1.
    made_for: Vec<Key>,
    /// What each client believes the key to have that it looked at last.
    believed: Vec<Option<(Key, Option<Value>)>>,
}

/// How likely a request is about the key that lives as long as the run, in parts of a million.
const FOR_EVER_PARTS: u32 = 40_000;
/// How likely a command is a long one, in parts of a million.
const LONG_PARTS: u32 = 100_000;
/// How long a long one is at most, in bytes.
const LONG_BYTES_MAX: u64 = 1_500;

impl RegisterClients {
    /// Clients, and where what they judge is counted.
    pub fn new() -> (Self, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        let (judged, told) = (BTreeMap::new(), Arc::clone(&counts));
        (Self { judged, counts, now_us: 0, made_for: Vec::new(), believed: Vec::new() }, told)
    }

    fn of(&mut self, group: GroupId) -> &mut Judged {
        self.judged.entry(group).or_insert_with(|| Judged::new(Arc::clone(&self.counts)))
    }

    fn new_value(&mut self, key: Key) -> Value {
        self.made_for.push(key);
        self.made_for.len() as Value
    }

    /// A client mostly expects what it saw last, so that most compare-and-swaps could succeed.
    fn expected(&self, client: usize, key: Key) -> Option<Value> {
        let (of, value) = self.believed.get(client).copied().flatten()?;
        value.filter(|_| of == key)
    }

    fn believes(&mut self, client: usize, key: Key, value: Option<Value>) {
        if self.believed.len() <= client {
            self.believed.resize(client + 1, None);
        }
        self.believed[client] = Some((key, value));
    }

    fn request(&mut self, client: usize, chance: &mut Chance) -> Request<Command, Get> {
        let mut key = if chance.happens(FOR_EVER_PARTS) { FOR_EVER } else { key_of(self.now_us, chance.number()) };
        match chance.between(0..=99) {
            0..=44 => {
                let length = if chance.happens(LONG_PARTS) { chance.between(0..=LONG_BYTES_MAX) } else { 0 };
                let filler = ".".repeat(usize::try_from(length).expect("it is short"));
                Request::Write(Command::Put { key, value: self.new_value(key), filler })
            }
            45..=64 => {
                // Of the key that it knows something about, if that one is still in use.
                if let Some((known, _)) = self.believed.get(client).copied().flatten() {
                    key = if Judged::is_in_use(known, self.now_us) { known } else { key };
                }
                let expect = self.expected(client, key);
                Request::Write(Command::Cas { key, expect, value: self.new_value(key) })
            }
            65..=74 => Request::Write(Command::Delete { key }),
            75..=85 => Request::Read(Get(key)),
            86..=96 => Request::ReadLease(Get(key)),
            _ => Request::ReadLocal(Get(key)),
        }
    }

    /// A stale read may come from the past of its key, but not from nowhere.
    fn judge_stale(&self, key: Key, value: Option<Value>) -> Result<(), String> {
        let Some(value) = value else { return Ok(()) };
        let place = usize::try_from(value).ok().and_then(|value| value.checked_sub(1));
        if place.and_then(|place| self.made_for.get(place)) == Some(&key) {
            return Ok(());
        }
        Err(format!("a stale read of key {key} found {value}, which nobody wrote there"))
    }
}

impl<S> Workload<S> for RegisterClients
where
    S: StateMachine<Command = Command, Response = Response, Query = Get, Answer = Option<Value>>,
{
    fn next(&mut self, client: usize, chance: &mut Chance) -> Request<Command, Get> {
        self.request(client, chance)
    }

    fn called(&mut self, call: &Call<'_, S>) {
        self.now_us = call.at_us;
        let (key, action) = match call.what {
            Request::Write(command) => (command.key(), action_of(command)),
            Request::Read(Get(key)) | Request::ReadLease(Get(key)) => (*key, Action::Get),
            Request::ReadLocal(Get(key)) => return self.of(call.group).called_stale(call.request, *key),
        };
        self.of(call.group).called(call.request, call.client, key, action, call.at_us);
    }

    fn returned(&mut self, returned: &Return<'_, S>) -> Result<(), String> {
        self.now_us = returned.at_us;
        let client = returned.client;
        if let Some(key) = self.of(returned.group).returned_stale(returned.request) {
            return match returned.outcome {
                Outcome::Answered(value) => self.judge_stale(key, *value),
                Outcome::Applied(_) | Outcome::Failed | Outcome::Unknown => Ok(()),
            };
        }
        let index = returned.index.map(|index| index.get());
        let ended = match returned.outcome {
            Outcome::Applied(Response::Changed { previous }) => {
                Ended::Done(Answer::Changed { index, previous: *previous })
            }
            Outcome::Applied(Response::Mismatch { current }) => Ended::Done(Answer::Mismatch { current: *current }),
            Outcome::Answered(value) => Ended::Done(Answer::Found(*value)),
            Outcome::Failed => Ended::Failed,
            Outcome::Unknown => Ended::Unknown,
        };
        let (key, action) = self.of(returned.group).returned(returned.request, returned.at_us, ended);
        match (ended, action) {
            (Ended::Done(Answer::Found(value) | Answer::Mismatch { current: value }), _) => {
                self.believes(client, key, value);
            }
            (Ended::Done(Answer::Changed { .. }), Action::Put(value) | Action::Cas { value, .. }) => {
                self.believes(client, key, Some(value));
            }
            (Ended::Done(Answer::Changed { .. }), Action::Delete | Action::Get) => self.believes(client, key, None),
            (Ended::Failed | Ended::Unknown, _) => {}
        }
        self.of(returned.group).judge_what_is_over(returned.at_us)
    }

    fn finished(&mut self) -> Result<(), String> {
        self.judged.values_mut().try_for_each(Judged::judge_the_rest)
    }
}

fn action_of(command: &Command) -> Action {
    match command {
        Command::Put { value, .. } => Action::Put(*value),
        Command::Delete { .. } => Action::Delete,
        Command::Cas { expect, value, .. } => Action::Cas { expect: *expect, value: *value },
    }
}
