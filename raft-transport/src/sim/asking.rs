//! How the clients of a simulated cluster behave.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_actor::StateMachine;
use raft_actor::clock::TimeSource as _;
use raft_actor::consensus::{LogIndex, NodeId};

use super::clients::{AnswerDue, Attempt, Outcome, Request, Returned};
use super::faults::FaultKind;
use super::groups::Group;
use super::hash::number_of;
use super::oracle::{Fate, Kind};
use super::sessions::Number;
use super::workload::{Call, Return};
use super::world::{Event, Sim};

/// Time between an answer and the next request, in microseconds.
const THINK_US: std::ops::RangeInclusive<u64> = 15_000..=200_000;
/// The same for clients in a hurry.
const HURRY_US: std::ops::RangeInclusive<u64> = 0..=20_000;
/// The same where what was not answered is asked for again, in a storm of retries.
const AGAIN_US: std::ops::RangeInclusive<u64> = 0..=2_000;
/// So often a client asks for the same in a row, unless it is in a session.
const REPEATS_MAX: u32 = 8;
/// How long clients in a hurry wait for an answer, in microseconds.
const HURRIED_PATIENCE_US: u64 = 30_000;
/// Beyond the deadline of a request, after which its client does not count on an answer any more, in microseconds.
const PATIENCE_US: u64 = 500_000;
/// Beyond the deadline of a request, until when its server tells its caller that there is no answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(100);

/// What clients without a session ask for once more, in a storm of retries: as requests of their own, for nobody can
/// tell them from others.
pub(super) struct Repeats<S: StateMachine> {
    next: BTreeMap<usize, Request<S::Command, S::Query>>,
    /// How often each client has asked in vain in a row.
    in_vain: BTreeMap<usize, u32>,
}

impl<S: StateMachine> Repeats<S> {
    pub(super) fn new() -> Self {
        Self { next: BTreeMap::new(), in_vain: BTreeMap::new() }
    }
}

impl<S: StateMachine> Sim<S> {
    /// This many more clients begin to ask the group, one request at a time each.
    pub fn add_clients(&mut self, count: usize) {
        for _ in 0..count {
            let client = self.clients.add(self.focus);
            self.may_join_a_session(client);
            let delay = self.chance.between(THINK_US);
            self.plan(delay, Event::Ask { client });
        }
    }

    /// From now on no client of the group begins another request.
    pub fn quiet_clients(&mut self) {
        self.group_mut().is_quiet = true;
    }

    pub(super) fn think(&mut self, client: usize) {
        let asks_again = self.sessions.has_to_try(client) || self.repeats.next.contains_key(&client);
        let delay = match () {
            () if asks_again && self.hurries > 0 => AGAIN_US,
            () if self.is_hurried() => HURRY_US,
            () => THINK_US,
        };
        let delay = self.chance.between(delay);
        self.plan(delay, Event::Ask { client });
    }

    /// A client asks a server for something, mostly the one it asked last.
    pub(super) fn ask(&mut self, client: usize) {
        // What was begun is brought to an end.
        let has_nothing_to_do = self.group().is_quiet && !self.sessions.has_to_try(client);
        if has_nothing_to_do || self.group().is_over || !self.clients.is_idle(client) {
            return;
        }
        let asks_again = self.repeats.next.contains_key(&client);
        if self.group().sleeps_until_us > self.now_us() && !self.group().is_quiet && !asks_again {
            let sleeps_us = self.group().sleeps_until_us - self.now_us();
            return self.plan(sleeps_us, Event::Ask { client });
        }
        let node = self.whom_to_ask();
        if self.handle(node).is_none() {
            return self.think(client);
        }
        if self.tries_again(client, node) || self.group().is_quiet {
            return;
        }
        if let Some(what) = self.repeats.next.remove(&client) {
            self.tally.count(FaultKind::RetryStorm);
            self.request_once(client, node, what, None);
            return;
        }
        let what = self.workload.next(client, &mut self.chance);
        self.request(client, node, what);
    }

    /// Whether clients give up early and ask again at once.
    fn is_hurried(&self) -> bool {
        self.hurries > 0 || self.crowd.is_some()
    }

    /// Any server; where the membership changes mostly a member, since the others have nothing to say.
    fn whom_to_ask(&mut self) -> NodeId {
        if let Some((node, left)) = self.crowd {
            self.crowd = left.checked_sub(1).map(|left| (node, left));
            return node;
        }
        if self.setup.members_change && !self.chance.happens(100_000) {
            let voters: Vec<NodeId> = self.voters().into_iter().collect();
            if !voters.is_empty() {
                return *self.chance.pick(&voters);
            }
        }
        NodeId::from(self.chance.between(1..=self.nodes.len() as u64))
    }

    /// Sends a request of a client to a server. Returns its number, or `None` if the server does not run.
    pub(super) fn request(&mut self, client: usize, node: NodeId, what: Request<S::Command, S::Query>) -> Option<u64> {
        let now_us = self.now_us();
        let number = match &what {
            Request::Write(_) if self.handle(node).is_some() => self.sessions.number(client, now_us),
            Request::Write(_) | Request::Read(_) | Request::ReadLease(_) | Request::ReadLocal(_) => None,
        };
        self.request_once(client, node, what, number)
    }

    /// The same, under this number if there is one.
    pub(super) fn request_once(
        &mut self,
        client: usize,
        node: NodeId,
        what: Request<S::Command, S::Query>,
        number: Option<Number>,
    ) -> Option<u64> {
        self.handle(node)?;
        let request = self.clients.next_request();
        let at_us = self.now_us();
        let group = self.group().id;
        self.workload.called(&Call { request, group, client, node, at_us, what: &what });
        let kind = match &what {
            Request::Write(_) => Kind::Write,
            Request::Read(_) | Request::ReadLease(_) => Kind::Read,
            Request::ReadLocal(_) => Kind::LocalRead(node),
        };
        self.judge.called(group, request, kind);
        self.group_mut().replay.called(request, &what);
        self.try_through(client, node, request, what, number);
        Some(request)
    }

    /// Sends a request to a server, be it once more. Returns whether the server runs.
    pub(super) fn try_through(
        &mut self,
        client: usize,
        node: NodeId,
        request: u64,
        what: Request<S::Command, S::Query>,
        number: Option<Number>,
    ) -> bool {
        let Some(handle) = self.handle(node) else { return false };
        let handle = handle.with_timeout(self.setup.request_timeout);
        let asked = self.node(node);
        let due = asked.clock.now().after(self.setup.request_timeout + ANSWERS_WITHIN);
        let answer_due = AnswerDue { run: asked.run, at: due };
        let attempt = self.clients.send(client, node, &handle, answer_due, Attempt { request, number, what });
        let deadline_us = u64::try_from(self.setup.request_timeout.as_micros()).unwrap_or(u64::MAX / 4);
        let patience = if self.is_hurried() { HURRIED_PATIENCE_US } else { deadline_us + PATIENCE_US };
        self.plan(patience, Event::GiveUp { client, attempt });
        true
    }

    /// Returns whether the client was still waiting.
    pub(super) fn give_up(&mut self, client: usize, attempt: u64) -> bool {
        let Some((request, node, due)) = self.clients.waits_for(client, attempt) else { return false };
        let asked = self.node(node);
        if asked.is_up() && asked.pauses == 0 && asked.run == due.run && asked.clock.now() > due.at {
            let what = format!("n{node} has not answered request {request}, whose deadline has passed");
            self.judge.found("every_caller_is_answered", Some(node), what);
        }
        if let Some(returned) = self.clients.give_up(client) {
            self.back(returned);
        }
        true
    }

    /// Looks at what has come back. Returns whether anything has.
    pub(super) fn take_answers(&mut self) -> bool {
        let mut any = false;
        while let Some(returned) = self.clients.next_returned() {
            any = true;
            self.within(self.clients.group_of(returned.client), |sim| sim.back(returned));
        }
        any
    }

    fn back(&mut self, returned: Returned<S>) {
        let Returned { client, request, number, node, outcome, is_forgotten } = returned;
        let is_numbered = number.is_some();
        let outcome = match number {
            None => Some(outcome),
            Some(_) if self.is_scripted(client) => self.tried_by_script(request, outcome),
            Some(number) => self.tried(client, request, number, outcome, is_forgotten),
        };
        let Some(outcome) = outcome else { return };
        let at_us = self.now_us();
        let index = match &outcome {
            Outcome::Applied(told) => Some(told.index),
            Outcome::Answered(told) => Some(told.index),
            Outcome::Failed | Outcome::Unknown => None,
        };
        let shown = match &outcome {
            Outcome::Applied(told) => Outcome::Applied(&told.value),
            Outcome::Answered(told) => Outcome::Answered(&told.value),
            Outcome::Failed => Outcome::Failed,
            Outcome::Unknown => Outcome::Unknown,
        };
        match &shown {
            Outcome::Applied(_) => {
                self.acked_writes += 1;
                self.group_mut().acked_at.insert(node);
            }
            Outcome::Answered(_) => self.answered_reads += 1,
            Outcome::Failed | Outcome::Unknown => self.unanswered += 1,
        }
        let is_answered = matches!(shown, Outcome::Applied(_) | Outcome::Answered(_));
        let is_over = is_answered || is_numbered || self.hurries == 0;
        let again = if is_over { None } else { self.group().replay.asked(request) };
        self.judge_answer(request, index, &shown);
        let group = self.group().id;
        let back = Return { request, group, client, node, at_us, index, outcome: shown };
        if let Err(what) = self.workload.returned(&back) {
            self.judge.found("workload", None, what);
        }
        match &mut self.scripted {
            Some(scripted) if scripted.clients.contains(&client) => {
                scripted.answers.insert(request, outcome);
            }
            Some(_) | None => {
                self.may_repeat(client, again);
                self.may_fall_asleep();
                self.think(client);
            }
        }
    }

    /// In a storm of retries a client asks at once for what it was not told.
    fn may_repeat(&mut self, client: usize, what: Option<Request<S::Command, S::Query>>) {
        let Some(what) = what else {
            self.repeats.in_vain.remove(&client);
            return;
        };
        let in_vain = self.repeats.in_vain.entry(client).or_default();
        *in_vain += 1;
        if *in_vain <= REPEATS_MAX {
            self.repeats.next.insert(client, what);
        }
    }

    /// Is what the client is told true to the log, and is it what the machine would have said?
    fn judge_answer(&mut self, request: u64, index: Option<LogIndex>, told: &Outcome<&S::Response, &S::Answer>) {
        let at = index.unwrap_or_default();
        let fate = match told {
            Outcome::Applied(response) => Fate::Done { index: at, answer: number_of(response) },
            Outcome::Answered(answer) => Fate::Done { index: at, answer: number_of(answer) },
            Outcome::Failed => Fate::Failed,
            Outcome::Unknown => Fate::Unknown,
        };
        let Group { id, replay, .. } = &mut self.groups[self.focus];
        self.judge.returned(*id, request, fate);
        self.judge.with_log(*id, |log, words| match told {
            Outcome::Applied(_) => replay.follow(log, words),
            Outcome::Answered(answer) => replay.follow(log, words).and_then(|()| replay.answered(request, at, answer)),
            Outcome::Failed => {
                replay.unanswered(request, false);
                Ok(())
            }
            Outcome::Unknown => {
                replay.unanswered(request, true);
                Ok(())
            }
        });
    }
}
