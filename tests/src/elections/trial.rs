//! One trial: a leader crashes, and the others elect another one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use raft_consensus::{
    AppendEntries, Configuration, Effect, Effects, Entries, HardState, Input, Log, LogIndex, LogPosition, Message,
    NodeId, PreVoteReply, Raft, Role, Round, Start, Term, Time,
};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::line::Line;

/// After so long a trial is given up.
pub const CAP: Duration = Duration::from_secs(30);

/// Whoever crashes. It only matters for what it has said last, so there is no core for it.
const LEADER: NodeId = NodeId::new(1);
const SURVIVORS: [u64; 4] = [2, 3, 4, 5];
const TERM: Term = Term::new(1);

/// How long messages take. Each draws its own time, up to a fifth more or less than the mean.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// The mean of a request; also of the heartbeat, and of the news that a connection was closed.
    pub request: Duration,
    /// The mean of a reply.
    pub reply: Duration,
}

impl Network {
    /// With this broadcast time (§5.6), of which so much passes before the requests arrive.
    pub fn new(broadcast: Duration, request_percent: u64) -> Self {
        // The slowest of four takes about a tenth longer than the mean.
        let round_trip_us = u64::try_from(broadcast.as_micros()).unwrap_or(u64::MAX / 1000) * 10 / 11;
        let request = Duration::from_micros(round_trip_us * request_percent.min(100) / 100);
        Self { request, reply: Duration::from_micros(round_trip_us) - request }
    }
}

/// How long the survivors are without a leader; `None` if longer than [`CAP`].
///
/// The leader has sent a last heartbeat to all at the same moment and crashes before the next one is due. Each survivor's
/// log has another length, so that two of the four cannot be elected. Both is as in the paper, which wants split
/// votes. Disks take no time.
pub fn trial(line: &Line, network: &Network, seed: u64) -> Option<Duration> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let heartbeat_us = line.timeouts_ms.0 * 1000 / 2;
    let crash = Time::from_micros(rng.random_range(0..heartbeat_us));
    let preferred = NodeId::from(SURVIVORS[rng.random_range(0..SURVIVORS.len())]);
    let mut lengths = [1, 2, 3, 4];
    lengths.shuffle(&mut rng);

    let mut cluster =
        Cluster { line: *line, network: *network, rng, servers: BTreeMap::new(), queue: BTreeMap::new(), queued: 0 };
    for (id, length) in SURVIVORS.map(NodeId::from).into_iter().zip(lengths) {
        cluster.start(id, length, id == preferred, crash);
    }
    let until = crash.after(CAP);
    loop {
        let (now, id, input) = cluster.next();
        if now > until {
            return None;
        }
        if cluster.step(now, id, input) {
            return Some(now.since(crash));
        }
    }
}

struct Cluster {
    line: Line,
    network: Network,
    rng: ChaCha8Rng,
    servers: BTreeMap<NodeId, Raft>,
    /// What arrives, and when; of the same moment in the order of sending.
    queue: BTreeMap<(Time, u64), (NodeId, Input)>,
    queued: u64,
}

impl Cluster {
    /// A survivor whose log has so many entries, when it hears the leader for the last time.
    fn start(&mut self, id: NodeId, length: u64, is_preferred: bool, crash: Time) {
        let voters = (1..=5).map(|n| (NodeId::from(n), String::new()));
        let mut log = Log::new(LogPosition::ZERO, Configuration::of_voters(voters));
        for index in 1..=length {
            log.push_shape(LogPosition::new(TERM, LogIndex::new(index)), 1, None);
        }
        let heartbeat = AppendEntries {
            term: TERM,
            prev: log.last(),
            entries: Entries::new(),
            commit: LogIndex::ZERO,
            round: Round::ZERO,
            rest: false,
            repair: None,
        };
        let arrival = Time::ZERO.after(self.draw(self.network.request));
        let raft = Raft::new(Start {
            id,
            settings: self.line.settings(is_preferred),
            hard_state: HardState { term: TERM, vote: None, damage: None },
            log,
            snapshot: None,
            applied: LogIndex::ZERO,
            suffrage: true,
            directory: None,
            seed: self.rng.random(),
            now: arrival,
        });
        self.servers.insert(id, raft);
        self.step(arrival, id, Input::Received { from: LEADER, message: Message::AppendEntries(heartbeat) });
        if self.line.variant.tells() {
            // A connection ends behind all that was said over it.
            let told = crash.after(self.draw(self.network.request)).max(arrival);
            self.enqueue(told, id, Input::HungUp(LEADER));
        }
    }

    /// What happens next, when, and to whom.
    fn next(&mut self) -> (Time, NodeId, Input) {
        let deadlines = self.servers.values().map(|raft| (raft.next_deadline(), raft.id()));
        let (deadline, id) = deadlines.min().expect("there are survivors");
        match self.queue.first_entry() {
            Some(first) if first.key().0 <= deadline => {
                let ((now, _), (id, input)) = first.remove_entry();
                (now, id, input)
            }
            Some(_) | None => (deadline, id, Input::Deadline),
        }
    }

    /// Whether this makes a leader of the server.
    fn step(&mut self, now: Time, id: NodeId, input: Input) -> bool {
        let mut inputs = VecDeque::from([input]);
        let mut is_elected = false;
        while let Some(input) = inputs.pop_front() {
            let mut effects = Effects::new();
            self.servers.get_mut(&id).expect("a survivor").step(now, input, &mut effects);
            for effect in effects.drain() {
                match effect {
                    Effect::Persist { seq, .. } => inputs.push_back(Input::Persisted(seq)),
                    Effect::Send { to, message } => inputs.extend(self.send(now, id, to, message)),
                    Effect::RoleChanged { role, .. } => is_elected |= role == Role::Leader,
                    Effect::Halt { violation } => panic!("server {id} is broken: {violation}"),
                    // There are no clients here, and with a leader the trial is over.
                    Effect::Replicate(_)
                    | Effect::Apply { .. }
                    | Effect::TakeSnapshot
                    | Effect::SendSnapshot(_)
                    | Effect::InstallSnapshot(_)
                    | Effect::DropSnapshot { .. }
                    | Effect::Proposed { .. }
                    | Effect::MembershipChange { .. }
                    | Effect::Transfer { .. }
                    | Effect::ReadReady { .. }
                    | Effect::ReadRefused { .. } => {}
                }
            }
        }
        is_elected
    }

    /// Puts a message on its way. What is answered at once is returned.
    ///
    /// The core always asks for pre-votes. To have the paper's elections, all servers grant them, whatever they know,
    /// and no time passes: so a candidate enters its term when its timeout ends, and nothing else is changed by it.
    fn send(&mut self, now: Time, from: NodeId, to: NodeId, message: Message) -> Option<Input> {
        let mean = match &message {
            Message::PreVote(request) if !self.line.variant.pre_votes() => {
                let reply = PreVoteReply { term: request.term, granted: true };
                return Some(Input::Received { from: to, message: Message::PreVoteReply(reply) });
            }
            Message::PreVote(_)
            | Message::RequestVote(_)
            | Message::AppendEntries(_)
            | Message::InstallSnapshot(_)
            | Message::TimeoutNow(_) => self.network.request,
            Message::PreVoteReply(_) | Message::RequestVoteReply(_) | Message::AppendEntriesReply(_) => {
                self.network.reply
            }
        };
        if to != LEADER {
            let arrival = now.after(self.draw(mean));
            self.enqueue(arrival, to, Input::Received { from, message });
        }
        None
    }

    fn enqueue(&mut self, at: Time, to: NodeId, input: Input) {
        self.queue.insert((at, self.queued), (to, input));
        self.queued += 1;
    }

    fn draw(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.rng.random_range(0.8..1.2))
    }
}
