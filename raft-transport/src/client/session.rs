//! Numbering commands, so that each is applied once (§8, dissertation 6.3).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use raft_actor::remote::{SESSION_WINDOW, Sequence};
use tokio::time::Instant;

use super::requests::Request;

/// The first sign of life is given when nothing was asked for this long; its answer says how often others are needed.
const FIRST_SIGN_AFTER: Duration = Duration::from_secs(1);
/// Not more often than this.
const SIGN_EVERY_MIN: Duration = Duration::from_millis(100);

/// The commands of one session.
pub(super) struct Session {
    name: Arc<str>,
    next: u64,
    outstanding: BTreeSet<u64>,
    /// Commands that have no number yet: the window is full.
    held: VecDeque<Request>,
    /// When the cluster last said that it knows it. `None`: never.
    known_at: Option<Instant>,
    sign_every: Duration,
    /// A sign of life is under way, or was lost at this time.
    sign: Sign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    UnderWay,
    LostAt(Instant),
}

/// Which command of which session.
#[derive(Debug, Clone)]
pub(super) struct Number {
    /// Which session it is here.
    pub(super) session: u64,
    /// What the cluster knows the session by.
    client: Arc<str>,
    sequence: u64,
}

impl Number {
    /// What the cluster knows its session by.
    pub(super) fn client(&self) -> &str {
        &self.client
    }
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            name: random_name(),
            next: 1,
            outstanding: BTreeSet::new(),
            held: VecDeque::new(),
            known_at: None,
            sign_every: FIRST_SIGN_AFTER,
            sign: Sign::None,
        }
    }

    fn first_outstanding(&self) -> u64 {
        self.outstanding.first().copied().unwrap_or(self.next)
    }

    /// Numbers a command, if the cluster would remember the answers to all that are under way then.
    pub(super) fn number(&mut self, session: u64) -> Option<Number> {
        if self.next - self.first_outstanding() >= SESSION_WINDOW {
            return None;
        }
        let sequence = self.next;
        self.next += 1;
        self.outstanding.insert(sequence);
        Some(Number { session, client: Arc::clone(&self.name), sequence })
    }

    /// Keeps a command until there is a number for it.
    pub(super) fn hold(&mut self, request: Request) {
        self.held.push_back(request);
    }

    /// Takes out those that have a number now.
    pub(super) fn release(&mut self, session: u64) -> Vec<Request> {
        let mut released = Vec::new();
        while !self.held.is_empty()
            && let Some(number) = self.number(session)
            && let Some(mut request) = self.held.pop_front()
        {
            request.number = Some(number);
            released.push(request);
        }
        released
    }

    /// Those that wait for a number, to be looked through.
    pub(super) fn held_mut(&mut self) -> &mut VecDeque<Request> {
        &mut self.held
    }

    /// What a command says of itself. `None`: its session is over.
    pub(super) fn sequence<'a>(&self, number: &'a Number) -> Option<Sequence<'a>> {
        (number.client == self.name).then(|| Sequence {
            client: &number.client,
            sequence: number.sequence,
            acknowledged: self.first_outstanding() - 1,
            may_open: self.known_at.is_none(),
        })
    }

    /// Nobody waits for this answer any more. `answered_at`: it came.
    pub(super) fn done(&mut self, number: &Number, answered_at: Option<Instant>) {
        if number.client == self.name {
            self.outstanding.remove(&number.sequence);
            self.known_at = answered_at.or(self.known_at);
        }
    }

    /// The cluster has forgotten it. What is under way in it is lost to it; what comes next begins another one.
    pub(super) fn expired(&mut self, client: &str) {
        if *client == *self.name {
            let held = std::mem::take(&mut self.held);
            *self = Self { held, ..Self::new() };
        }
    }

    /// What the cluster knows it by, and up to where all answers are here: for a sign of life that is due.
    pub(super) fn begin_sign(&mut self, now: Instant) -> Option<(Arc<str>, u64)> {
        (self.sign_due()? <= now).then(|| {
            self.sign = Sign::UnderWay;
            (Arc::clone(&self.name), self.first_outstanding() - 1)
        })
    }

    /// When a sign of life is due. `None`: nobody knows it, or it is busy anyway.
    pub(super) fn sign_due(&self) -> Option<Instant> {
        let known_at = self.known_at.filter(|_| self.outstanding.is_empty())?;
        match self.sign {
            Sign::None => Some(known_at + self.sign_every),
            Sign::LostAt(at) => Some(at + FIRST_SIGN_AFTER.min(self.sign_every)),
            Sign::UnderWay => None,
        }
    }

    /// A sign of life was answered with the lifetime of sessions, or not at all.
    pub(super) fn sign_answered(&mut self, client: &str, now: Instant, lifetime: Option<Duration>) {
        if *client != *self.name {
            return;
        }
        match lifetime {
            Some(lifetime) => {
                self.sign = Sign::None;
                self.known_at = Some(now);
                // Two of them may get lost.
                self.sign_every = (lifetime / 3).max(SIGN_EVERY_MIN);
            }
            None => self.sign = Sign::LostAt(now),
        }
    }
}

/// No two sessions have the same one.
fn random_name() -> Arc<str> {
    format!("{:032x}", rand::random::<u128>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(session: &Session, number: &Number) -> (u64, u64, bool) {
        let said = session.sequence(number).unwrap();
        (said.sequence, said.acknowledged, said.may_open)
    }

    #[test]
    fn a_command_says_up_to_where_answers_need_not_be_remembered() {
        let mut session = Session::new();
        let numbers: Vec<Number> = (0..3).map(|_| session.number(0).unwrap()).collect();
        assert_eq!(acknowledged(&session, &numbers[2]), (3, 0, true));
        session.done(&numbers[1], Some(Instant::now()));
        assert_eq!(acknowledged(&session, &numbers[2]), (3, 0, false), "the first is still under way");
        session.done(&numbers[0], None);
        assert_eq!(acknowledged(&session, &numbers[2]), (3, 2, false));
    }

    /// Else the session would be called expired that never began.
    #[test]
    fn a_session_whose_first_commands_failed_may_still_be_opened_by_a_later_one() {
        let mut session = Session::new();
        let first = session.number(0).unwrap();
        session.done(&first, None);
        let second = session.number(0).unwrap();
        assert_eq!(acknowledged(&session, &second), (2, 1, true));
    }

    #[test]
    fn no_more_commands_have_numbers_than_answers_are_remembered() {
        let mut session = Session::new();
        let numbers: Vec<Number> = std::iter::from_fn(|| session.number(0)).take(5_000).collect();
        assert_eq!(numbers.len() as u64, SESSION_WINDOW);
        session.done(&numbers[1], None);
        assert!(session.number(0).is_none(), "the first is still to be remembered");
        session.done(&numbers[0], None);
        assert_eq!(session.number(0).unwrap().sequence, SESSION_WINDOW + 1);
    }

    #[test]
    fn commands_of_a_session_that_is_over_are_not_sent_in_the_next_one() {
        let mut session = Session::new();
        let old = session.number(0).unwrap();
        let name = Arc::clone(&session.name);
        session.expired(&name);
        assert!(session.sequence(&old).is_none());
        let new = session.number(0).unwrap();
        session.expired(&name);
        assert_eq!(acknowledged(&session, &new), (1, 0, true), "the news comes for each command of the old one");
    }

    #[test]
    fn an_idle_session_gives_signs_of_life_as_often_as_its_lifetime_wants() {
        let mut session = Session::new();
        let start = Instant::now();
        assert_eq!(session.sign_due(), None, "nobody knows it");
        let first = session.number(0).unwrap();
        session.done(&first, Some(start));
        let due = session.sign_due().unwrap();
        assert_eq!(session.begin_sign(start), None, "not yet");
        let (name, acknowledged) = session.begin_sign(due).unwrap();
        assert_eq!((acknowledged, session.begin_sign(due)), (1, None), "one at a time");
        session.sign_answered(&name, due, None);
        assert!(session.sign_due().unwrap() > due, "lost: again in a moment");
        session.sign_answered(&name, due, Some(Duration::from_secs(30)));
        assert_eq!(session.sign_due(), Some(due + Duration::from_secs(10)));
    }
}
