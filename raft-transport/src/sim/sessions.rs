//! Clients that number their writes, so that each is applied once, whatever becomes of servers and messages.
//!
//! A session belongs to one client, or to a few whose writes are under way in it at the same time. What failed, and
//! what nobody knows of, is tried again under the same number, mostly through another server. Now and then a client
//! gives up all the same, and now and then a session is silent for about as long as it is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raft_actor::StateMachine;
use raft_actor::consensus::NodeId;
use raft_actor::remote::Sequence;

use super::chance::Chance;
use super::clients::{Outcome, Told};
use super::faults::FaultKind;
use super::world::Sim;

/// How likely a client joins the session of the one before it, in parts of a million ...
const JOIN_PARTS: u32 = 400_000;
/// ... unless so many share it.
const SHARED_MAX: usize = 3;
/// How likely a client that has no answer does not try again, in parts of a million.
const GIVE_UP_PARTS: u32 = 20_000;
/// How likely a session is silent for a while after a write of it came back, in parts of a million.
const SILENCE_PARTS: u32 = 6_000;
/// A number that could open a session is not tried any more after this, in microseconds: whoever does that for longer
/// than the session is remembered can open it twice.
const OPENS_WITHIN_US: u64 = 1_000_000;
/// Nor is a session silent before what may have opened it is through, whatever became of it, in microseconds.
const SILENT_FROM_US: u64 = 4_000_000;

/// A number that a client has given to a command.
#[derive(Debug, Clone)]
pub(super) struct Number {
    /// Whose.
    pub(super) client: Arc<str>,
    pub(super) sequence: u64,
    acknowledged: u64,
    may_open: bool,
    /// Its session, unless it is one of a script.
    session: Option<usize>,
    since_us: u64,
    /// Whether one of its tries may have been carried out.
    may_have_happened: bool,
}

impl Number {
    /// As a script says.
    pub(super) fn of(sequence: Sequence<'_>, now_us: u64) -> Self {
        let Sequence { client, sequence, acknowledged, may_open } = sequence;
        let (client, session) = (Arc::from(client), None);
        Self { client, sequence, acknowledged, may_open, session, since_us: now_us, may_have_happened: false }
    }

    /// As the servers are told.
    pub(super) fn sequence(&self) -> Sequence<'_> {
        let Self { ref client, sequence, acknowledged, may_open, .. } = *self;
        Sequence { client, sequence, acknowledged, may_open }
    }
}

struct Session {
    name: Arc<str>,
    /// Of which group its clients ask.
    group: usize,
    /// How many came before it, with other names.
    before: u64,
    clients: usize,
    next: u64,
    outstanding: BTreeSet<u64>,
    /// When a command of it was first answered.
    open_since_us: Option<u64>,
    silent_until_us: u64,
}

/// The sessions of the clients, and what they try again.
#[derive(Default)]
pub(super) struct Sessions {
    list: Vec<Session>,
    /// Which session a client writes in.
    of: BTreeMap<usize, usize>,
    /// By client, what it has got no answer to: the request and its number.
    again: BTreeMap<usize, (u64, Number)>,
}

impl Sessions {
    /// A client writes in a session from now on.
    fn join(&mut self, client: usize, group: usize, chance: &mut Chance) {
        let is_shared = chance.happens(JOIN_PARTS);
        let has_room = |last: &&mut Session| is_shared && last.group == group && last.clients < SHARED_MAX;
        if let Some(last) = self.list.last_mut().filter(has_room) {
            last.clients += 1;
        } else {
            self.list.push(Session::new(group, self.list.len(), 0));
        }
        self.of.insert(client, self.list.len() - 1);
    }

    /// A number for a write that a client begins; `None`: it writes without.
    pub(super) fn number(&mut self, client: usize, now_us: u64) -> Option<Number> {
        let at = *self.of.get(&client)?;
        let session = self.list.get_mut(at).filter(|session| session.silent_until_us <= now_us)?;
        let (client, sequence) = (Arc::clone(&session.name), session.next);
        session.next += 1;
        session.outstanding.insert(sequence);
        let (acknowledged, may_open) = (0, true);
        let number = Number {
            client,
            sequence,
            acknowledged,
            may_open,
            session: Some(at),
            since_us: now_us,
            may_have_happened: false,
        };
        Some(self.as_of_now(number))
    }

    /// The session that goes by the name under which a number was given.
    fn session_of(&mut self, number: &Number) -> Option<&mut Session> {
        self.list.get_mut(number.session?).filter(|session| session.name == number.client)
    }

    /// What a try says beside the number is what its client knows by then.
    fn as_of_now(&mut self, mut number: Number) -> Number {
        if number.session.is_some() {
            let known = self.session_of(&number);
            let first = |session: &Session| session.outstanding.first().copied().unwrap_or(session.next);
            // Of a session that its client has left it knows that it is forgotten.
            number.may_open = known.as_ref().is_some_and(|session| session.open_since_us.is_none());
            number.acknowledged = known.map_or(0, |session| first(session) - 1);
        }
        number
    }

    /// What a client is to try again now, if there is something.
    fn take_due(&mut self, client: usize, now_us: u64, is_awake: bool) -> Option<(u64, Number)> {
        let (_, number) = self.again.get(&client)?;
        let is_silent = |at: usize| self.list.get(at).is_some_and(|session| session.silent_until_us > now_us);
        if !is_awake && number.session.is_some_and(is_silent) {
            return None;
        }
        let (request, number) = self.again.remove(&client)?;
        Some((request, self.as_of_now(number)))
    }

    /// Whether a client still has something to try again.
    pub(super) fn has_to_try(&self, client: usize) -> bool {
        self.again.contains_key(&client)
    }

    /// Its client does not wait for an answer to this any more.
    fn is_over(&mut self, number: &Number) {
        if let Some(session) = self.session_of(number) {
            session.outstanding.remove(&number.sequence);
        }
    }

    fn is_answered(&mut self, number: &Number, now_us: u64) {
        self.is_over(number);
        if let Some(session) = self.session_of(number) {
            session.open_since_us.get_or_insert(now_us);
        }
    }

    /// Another session begins in place of that of this number.
    fn begin_another(&mut self, number: &Number) {
        if let Some(session) = self.session_of(number) {
            let (group, clients, place) = (session.group, session.clients, number.session.unwrap_or_default());
            *session = Session { clients, ..Session::new(group, place, session.before + 1) };
        }
    }

    /// Whether a number might still open its session, and has been tried for too long to do that safely.
    fn opens_too_late(&mut self, number: &Number, now_us: u64) -> bool {
        let is_late = now_us > number.since_us + OPENS_WITHIN_US;
        is_late && self.session_of(number).is_some_and(|session| session.open_since_us.is_none())
    }
}

impl Session {
    fn new(group: usize, place: usize, before: u64) -> Self {
        let name = format!("session-{place}-{before}").into();
        let (outstanding, open_since_us) = (BTreeSet::new(), None);
        Self { name, group, before, clients: 1, next: 1, outstanding, open_since_us, silent_until_us: 0 }
    }
}

impl<S: StateMachine> Sim<S> {
    /// Some of the clients write in sessions, as the seed has it: none, all, or some.
    pub(super) fn may_join_a_session(&mut self, client: usize) {
        if self.chance.happens(self.setup.session_parts) {
            self.sessions.join(client, self.clients.group_of(client), &mut self.chance);
        }
    }

    /// Whether a client had something to try again. Then it does, through this server.
    pub(super) fn tries_again(&mut self, client: usize, node: NodeId) -> bool {
        let (now_us, is_awake) = (self.now_us(), self.group().is_quiet);
        let Some((request, number)) = self.sessions.take_due(client, now_us, is_awake) else { return false };
        let Some(what) = self.group().replay.asked(request) else { return false };
        if !number.may_have_happened {
            self.judge.has_failed_so_far(self.group().id, request);
        }
        if self.hurries > 0 {
            self.tally.count(FaultKind::RetryStorm);
        }
        self.try_through(client, node, request, what, Some(number));
        true
    }

    /// What a client makes of a try of a numbered write; `None`: it is not over.
    pub(super) fn tried(
        &mut self,
        client: usize,
        request: u64,
        mut number: Number,
        outcome: Told<S>,
        is_forgotten: bool,
    ) -> Option<Told<S>> {
        let now_us = self.now_us();
        number.may_have_happened |= matches!(outcome, Outcome::Unknown);
        if is_forgotten {
            self.judge.told_expired(self.group().id, &number.client, number.sequence);
            self.sessions.is_over(&number);
            self.sessions.begin_another(&number);
            return Some(Outcome::Unknown);
        }
        if matches!(outcome, Outcome::Applied(_)) {
            self.sessions.is_answered(&number, now_us);
            self.may_fall_silent(&number);
            return Some(outcome);
        }
        let opens_too_late = self.sessions.opens_too_late(&number, now_us);
        if opens_too_late || (!self.group().is_quiet && self.chance.happens(GIVE_UP_PARTS)) {
            self.sessions.is_over(&number);
            if opens_too_late {
                self.sessions.begin_another(&number);
            }
            return Some(if number.may_have_happened { Outcome::Unknown } else { Outcome::Failed });
        }
        self.may_fall_silent(&number);
        self.sessions.again.insert(client, (request, number));
        self.think(client);
        None
    }

    /// Where sessions are forgotten within a run, one is silent now and then.
    fn may_fall_silent(&mut self, number: &Number) {
        let (now_us, Some(lifetime_us)) = (self.now_us(), self.setup.session_silence_us) else { return };
        if !self.chance.happens(SILENCE_PARTS) {
            return;
        }
        let silent_us = self.chance.between(lifetime_us * 3 / 4..=lifetime_us * 3 / 2);
        if let Some(session) = self.sessions.session_of(number)
            && session.open_since_us.is_some_and(|open_us| open_us + SILENT_FROM_US < now_us)
        {
            session.silent_until_us = session.silent_until_us.max(now_us + silent_us);
        }
    }
}
