//! All requests of a client that have no answer yet.
//!
//! A request is in exactly one place: it waits for a number in its session, waits to be sent, is under way, or was sent
//! back and waits a moment before it is sent again. It leaves by [`Requests::settle`], once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft_actor::envelope::{Body, Envelope, Forward, ForwardError, ForwardKind, ForwardReply};
use raft_actor::{NodeId, remote};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::book::AddressBook;
use super::error::{RemoteError, Trouble};
use super::options::ClientOptions;
use super::session::{Number, Session};
use crate::backoff::Backoff;
use crate::pipe::{Pipe, Untaken};
use crate::tcp::NOBODY;

/// Most bytes of requests in one message; a larger one travels alone.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Most requests in one message.
const MESSAGE_REQUESTS_MAX: usize = 4_096;
/// How often a request is sent whose fate became unknown. Each time a command may have been appended once more: it is
/// applied once all the same, but the log has to hold it.
const DOUBTS_MAX: u32 = 16;
/// A node that could not be reached is not tried again for this long, whoever says that it leads.
const AVOID_FOR: Duration = Duration::from_secs(1);

/// So often in a row one node may send us to another before we pause: two may each believe that the other one leads.
const REDIRECTS_MAX: u32 = 3;

pub(super) type Outcome = Result<Bytes, RemoteError>;

/// What somebody wants.
pub(super) struct Request {
    pub(super) kind: ForwardKind,
    /// The encoded command or query.
    pub(super) bytes: Bytes,
    /// Which command of which session.
    pub(super) number: Option<Number>,
    pub(super) deadline: Instant,
    pub(super) waiter: Waiter,
    /// How often it was sent without it being known what became of it.
    doubts: u32,
    /// Why it was not answered at the first attempt.
    trouble: Option<Trouble>,
}

/// Who is told the outcome.
pub(super) enum Waiter {
    Caller(oneshot::Sender<Outcome>),
    /// Nobody but the session, whose sign of life it is.
    Sign {
        session: u64,
        client: Arc<str>,
    },
}

impl Request {
    pub(super) fn new(kind: ForwardKind, bytes: Bytes, deadline: Instant, waiter: Waiter) -> Self {
        Self { kind, bytes, number: None, deadline, waiter, doubts: 0, trouble: None }
    }

    /// Whether it may have been applied.
    fn maybe_applied(&self) -> bool {
        self.kind == ForwardKind::Write && self.doubts > 0
    }

    /// Whether it does no harm to send it again although it may have been applied.
    fn may_be_repeated(&self) -> bool {
        let is_sign = matches!(self.waiter, Waiter::Sign { .. });
        (self.kind != ForwardKind::Write || self.number.is_some() || is_sign) && self.doubts < DOUBTS_MAX
    }
}

/// Requests that were sent in one message.
struct Flight {
    sent_at: Instant,
    /// Those without an answer.
    requests: Vec<Option<Request>>,
    left: usize,
}

/// Where requests are sent to.
struct Line {
    node: NodeId,
    pipe: Arc<Pipe>,
    /// It will be left as soon as what is under way was answered.
    leaving: bool,
    /// When it last answered anything, or was opened.
    heard_at: Instant,
}

/// Where to go instead of where we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// There: it leads, as far as is known.
    Address(String),
    /// Anywhere else.
    Elsewhere,
}

/// See the module.
pub(super) struct Requests {
    options: Arc<ClientOptions>,
    pub(super) book: AddressBook,
    pub(super) sessions: BTreeMap<u64, Session>,
    next_session: u64,
    next_flight: u64,
    /// To be sent: commands, linearizable reads, local reads.
    queues: [VecDeque<Request>; 3],
    parked: Vec<Request>,
    retry_at: Option<Instant>,
    retry: Backoff,
    /// Nobody leads as far as the node knows that was asked last.
    leaderless: bool,
    flights: BTreeMap<u64, Flight>,
    line: Option<Line>,
    patience: Duration,
    /// Where the driver shall go.
    destination: Option<Destination>,
    /// How often in a row a node has sent us to another one.
    redirects: u32,
    count: usize,
    bytes: usize,
    closed: bool,
    /// Outcomes to be handed over when nothing here is locked any more.
    settled: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    /// The driver's timer goes off then, or before.
    alarm: Option<Instant>,
}

impl Requests {
    pub(super) fn new(options: Arc<ClientOptions>, book: AddressBook) -> Self {
        Self {
            retry: Backoff::new(options.retry_delay_min, options.retry_delay_max),
            patience: options.patience,
            options,
            book,
            sessions: BTreeMap::new(),
            next_session: 0,
            // Names of messages are this connection's own; zero is as good as any.
            next_flight: 0,
            queues: Default::default(),
            parked: Vec::new(),
            retry_at: None,
            leaderless: false,
            flights: BTreeMap::new(),
            line: None,
            destination: None,
            redirects: 0,
            count: 0,
            bytes: 0,
            closed: false,
            settled: Vec::new(),
            alarm: None,
        }
    }

    /// Begins another session.
    pub(super) fn open_session(&mut self) -> u64 {
        self.next_session += 1;
        self.sessions.insert(self.next_session, Session::new());
        self.next_session
    }

    /// Takes a request in. Says why not, if so.
    pub(super) fn push(&mut self, mut request: Request, session: Option<u64>) -> Result<(), RemoteError> {
        let bytes = request.bytes.len();
        if self.closed {
            return Err(RemoteError::Closed { maybe_applied: false });
        }
        if self.count >= self.options.requests_max || self.bytes + bytes > self.options.bytes_max {
            return Err(RemoteError::Overloaded {});
        }
        self.count += 1;
        self.bytes += bytes;
        self.wake_at(request.deadline);
        if let Some(id) = session
            && let Some(session) = self.sessions.get_mut(&id)
        {
            request.number = session.number(id);
            if request.number.is_none() {
                session.hold(request);
                return Ok(());
            }
        }
        self.queue(request);
        Ok(())
    }

    fn queue(&mut self, request: Request) {
        self.queues[place(request.kind)].push_back(request);
    }

    /// Whether a request that comes now is best sent at once: nothing is under way that it could travel behind.
    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }

    /// Sends all that waits, as far as there is a connection.
    pub(super) fn flush(&mut self, now: Instant) {
        for at in 0..self.queues.len() {
            while !self.queues[at].is_empty() && self.line.as_ref().is_some_and(|line| !line.leaving) {
                self.send_some(at, now);
            }
        }
    }

    /// Sends as many of one kind as go into one message.
    fn send_some(&mut self, at: usize, now: Instant) {
        let (mut requests, mut framed, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut latest = now;
        while let Some(request) = self.queues[at].front()
            && requests.len() < MESSAGE_REQUESTS_MAX
            && (requests.is_empty() || bytes + request.bytes.len() <= MESSAGE_BYTES_MAX)
            && let Some(mut request) = self.queues[at].pop_front()
        {
            let Some(frame) = self.frame(&request) else {
                let error = RemoteError::SessionExpired { maybe_applied: request.maybe_applied() };
                self.settle(request, Err(error), now);
                continue;
            };
            bytes += frame.len();
            latest = latest.max(request.deadline);
            request.doubts += 1;
            framed.push(frame);
            requests.push(Some(request));
        }
        let (Some(line), Some(Some(first))) = (&self.line, requests.first()) else { return };
        let timeout_ms = u32::try_from((latest - now).as_millis()).unwrap_or(u32::MAX);
        self.next_flight += 1;
        let id = self.next_flight;
        let forward = Forward { id, timeout_ms, kind: first.kind, term: None, requests: framed };
        let (to, group) = (line.node, self.options.group);
        let sent = line.pipe.push(&Envelope { from: NOBODY, to, group, body: Body::Forward(forward) });
        let left = requests.len();
        let flight = Flight { sent_at: now, requests, left };
        match sent {
            Ok(()) => {
                self.flights.insert(id, flight);
                self.wake_at(now + self.patience);
            }
            // The driver learns it from the connection, too.
            Err(Untaken::Closed | Untaken::Full) => {
                self.line = None;
                for mut request in flight.requests.into_iter().flatten() {
                    request.doubts -= 1;
                    self.queue(request);
                }
            }
            Err(Untaken::Unsendable(_)) => {
                let (bytes, bytes_max) = (bytes as u64, self.options.frame_bytes_max.into());
                for mut request in flight.requests.into_iter().flatten() {
                    request.doubts -= 1;
                    self.settle(request, Err(RemoteError::TooLarge { bytes, bytes_max }), now);
                }
            }
        }
    }

    /// What travels. `None`: the request belongs to a session that is over.
    fn frame(&self, request: &Request) -> Option<Bytes> {
        match (request.kind, &request.number, &request.waiter) {
            (ForwardKind::Write, Some(number), Waiter::Caller(_)) => {
                let sequence = self.sessions.get(&number.session)?.sequence(number)?;
                remote::frame(Some(sequence), &request.bytes).ok()
            }
            (ForwardKind::Write, None, Waiter::Caller(_)) => remote::frame(None, &request.bytes).ok(),
            _ => Some(request.bytes.clone()),
        }
    }

    /// The node that we are connected to has answered.
    pub(super) fn answered(&mut self, reply: ForwardReply, now: Instant) {
        if let Some(line) = &mut self.line {
            line.heard_at = now;
        }
        let ForwardReply { id, first, outcomes } = reply;
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        for (at, outcome) in outcomes.into_iter().enumerate() {
            let Some(flight) = self.flights.get_mut(&id) else { return };
            // Those whose time was over are gone.
            let place = flight.requests.get_mut(first.saturating_add(at));
            let Some(request) = place.and_then(Option::take) else { continue };
            flight.left -= 1;
            if flight.left == 0 {
                self.flights.remove(&id);
            }
            self.judge(request, outcome, now);
        }
    }

    fn judge(&mut self, mut request: Request, outcome: Result<Bytes, ForwardError>, now: Instant) {
        match outcome {
            Ok(answer) => {
                self.retry.reset();
                self.leaderless = false;
                self.redirects = 0;
                self.patience = self.options.patience;
                self.settle(request, Ok(answer), now);
            }
            Err(ForwardError::NotLeader { leader }) => {
                request.doubts -= 1;
                self.follow(leader, request, now);
            }
            Err(ForwardError::ShuttingDown) => {
                request.doubts -= 1;
                self.leaderless = true;
                self.park(request, Trouble::NoLeader, now);
            }
            Err(ForwardError::Overloaded) => {
                request.doubts -= 1;
                self.park(request, Trouble::Overloaded, now);
            }
            Err(ForwardError::BadRequest) => self.settle(request, Err(RemoteError::BadRequest {}), now),
            Err(ForwardError::SessionExpired) => {
                // This time it was certainly not applied.
                request.doubts -= 1;
                let error = RemoteError::SessionExpired { maybe_applied: request.maybe_applied() };
                self.settle(request, Err(error), now);
            }
            Err(ForwardError::Unknown | ForwardError::Forgotten) => self.repeat(request, now),
        }
    }

    /// Whoever was asked does not lead, but knows who does or not.
    fn follow(&mut self, leader: Option<NodeId>, request: Request, now: Instant) {
        let here = self.line.as_ref().map(|line| line.node);
        let since = now.checked_sub(AVOID_FOR).unwrap_or(now);
        let leader = leader.filter(|leader| Some(*leader) != here && self.redirects < REDIRECTS_MAX);
        match leader.and_then(|leader| self.book.address_of(leader, since)).cloned() {
            Some(address) => {
                if self.destination.replace(Destination::Address(address)).is_none() {
                    self.redirects += 1;
                }
                self.leave();
                self.queue(request);
            }
            None => {
                self.leaderless = true;
                self.park(request, Trouble::NoLeader, now);
            }
        }
    }

    /// Nobody knows what became of it: sends it again if that does no harm.
    fn repeat(&mut self, request: Request, now: Instant) {
        if request.may_be_repeated() {
            self.park(request, Trouble::Unanswered, now);
        } else {
            let maybe_applied = request.maybe_applied();
            self.settle(request, Err(RemoteError::Unknown { maybe_applied }), now);
        }
    }

    /// Sends it again after a moment.
    fn park(&mut self, mut request: Request, trouble: Trouble, now: Instant) {
        request.trouble = Some(trouble);
        self.parked.push(request);
        if self.retry_at.is_none() {
            let at = now + self.retry.next();
            self.retry_at = Some(at);
            self.wake_at(at);
        }
    }

    /// A request leaves.
    fn settle(&mut self, request: Request, outcome: Outcome, now: Instant) {
        self.count -= 1;
        self.bytes -= request.bytes.len();
        if let Some(number) = &request.number {
            self.done(number, &outcome, now);
        }
        match request.waiter {
            Waiter::Caller(caller) => self.settled.push((caller, outcome)),
            Waiter::Sign { session, client } => self.sign_settled(session, &client, &outcome, now),
        }
    }

    fn done(&mut self, number: &Number, outcome: &Outcome, now: Instant) {
        let Some(session) = self.sessions.get_mut(&number.session) else { return };
        let answered_at = outcome.is_ok().then_some(now);
        session.done(number, answered_at);
        if matches!(outcome, Err(RemoteError::SessionExpired { .. })) {
            session.expired(number.client());
        }
        let due = session.sign_due();
        let released = session.release(number.session);
        released.into_iter().for_each(|request| self.queue(request));
        if let Some(due) = due {
            self.wake_at(due);
        }
    }

    fn sign_settled(&mut self, id: u64, client: &str, outcome: &Outcome, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let lifetime_ms = outcome.as_ref().ok().and_then(|answer| remote::decode::<u32>(answer).ok());
        session.sign_answered(client, now, lifetime_ms.map(|ms| Duration::from_millis(ms.into())));
        if matches!(outcome, Err(RemoteError::SessionExpired { .. })) {
            session.expired(client);
        }
        if let Some(due) = session.sign_due() {
            self.wake_at(due);
        }
    }

    /// Connected: what waits can be sent.
    pub(super) fn connected(&mut self, node: NodeId, pipe: Arc<Pipe>, now: Instant) {
        self.line = Some(Line { node, pipe, leaving: false, heard_at: now });
        self.destination = None;
        self.flush(now);
    }

    /// The connection is gone, and with it the answers to all that was under way.
    pub(super) fn disconnected(&mut self, now: Instant) {
        self.line = None;
        for flight in std::mem::take(&mut self.flights).into_values() {
            for request in flight.requests.into_iter().flatten() {
                if request.may_be_repeated() {
                    self.queue(request);
                } else {
                    let maybe_applied = request.maybe_applied();
                    self.settle(request, Err(RemoteError::Unknown { maybe_applied }), now);
                }
            }
        }
    }

    /// Who we are connected to.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.line.as_ref().map(|line| line.node)
    }

    /// Whether the driver shall go elsewhere.
    pub(super) fn is_leaving(&self) -> bool {
        self.destination.is_some()
    }

    /// Where the driver shall go. `None`: nowhere.
    pub(super) fn next_address(&mut self) -> Option<String> {
        match self.destination.take() {
            Some(Destination::Address(address)) => Some(address),
            Some(Destination::Elsewhere) | None => self.book.next(),
        }
    }

    /// Nobody has this session any more.
    pub(super) fn close_session(&mut self, id: u64, now: Instant) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        for request in std::mem::take(session.held_mut()) {
            self.settle(request, Err(RemoteError::Closed { maybe_applied: false }), now);
        }
    }

    /// The client is gone, or the runtime that it lived on.
    pub(super) fn close(&mut self, now: Instant) {
        self.closed = true;
        self.line = None;
        let held = self.sessions.values_mut().flat_map(|session| std::mem::take(session.held_mut()));
        let mut all: Vec<Request> = held.collect();
        all.extend(self.queues.iter_mut().flat_map(std::mem::take));
        all.append(&mut self.parked);
        let flights = std::mem::take(&mut self.flights).into_values();
        all.extend(flights.flat_map(|flight| flight.requests.into_iter().flatten()));
        for request in all {
            let maybe_applied = request.maybe_applied();
            self.settle(request, Err(RemoteError::Closed { maybe_applied }), now);
        }
    }

    /// Outcomes to be handed over once this is not locked any more.
    pub(super) fn take_settled(&mut self) -> Vec<(oneshot::Sender<Outcome>, Outcome)> {
        std::mem::take(&mut self.settled)
    }

    /// When the driver's timer has to go off, for as far as it is known.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.alarm
    }

    fn wake_at(&mut self, at: Instant) {
        self.alarm = Some(self.alarm.map_or(at, |alarm| alarm.min(at)));
    }
}

mod time;

/// Which queue.
fn place(kind: ForwardKind) -> usize {
    match kind {
        ForwardKind::Write => 0,
        ForwardKind::Read | ForwardKind::LeaseRead => 1,
        // Clients ask for nothing else.
        ForwardKind::ReadLocal | ForwardKind::Membership | ForwardKind::Transfer => 2,
    }
}
