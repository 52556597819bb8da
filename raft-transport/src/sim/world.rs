//! The world: what is to happen, in one order that the seed decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use raft_actor::consensus::{Message, NodeId};
use raft_actor::envelope::{Body, Envelope};
use raft_actor::log_storage::sim_disk::SimDisk;
use raft_actor::transport::{Credit, Hello, Refusal};
use raft_actor::{Settings, StateMachine};

use super::asking::Repeats;
use super::chance::Chance;
use super::checker::Violation;
use super::clients::Clients;
use super::clocks::ClockBound;
use super::faults::{Fault, FaultKind, Noise, Tally};
use super::groups::Group;
use super::held::Held;
use super::in_force::{Broken, InForce};
use super::judge::Judge;
use super::machine::Maker;
use super::members::Changes;
use super::messages::Interception;
use super::network::{Link, Network, Outgoing};
use super::process::Process;
use super::rot::Rot;
use super::schedule::Schedule;
use super::script::Scripted;
use super::sessions::Sessions;
use super::storm::Repair;
use super::time::{NodeClock, Pace, WorldTime};
use super::workload::Workload;

/// Time between two tries to be let in by a peer, in microseconds.
const CONNECT_AGAIN_US: std::ops::RangeInclusive<u64> = 50_000..=250_000;
/// How long a sync takes on a disk that is well, in microseconds.
pub(super) const SYNC: Pace = Pace { min_us: 80, max_us: 400 };

/// A simulated cluster of servers with their clients, from one seed.
///
/// Everything that can go wrong is a method here: scripts call them in the order they like; a
/// [storm](super::SimCluster::faults) calls them by chance. Whatever happens is checked.
pub struct Sim<S: StateMachine> {
    pub(super) setup: Setup<S>,
    pub(super) time: WorldTime,
    pub(super) schedule: Schedule<Event>,
    /// Of the network, of ties, of restarts.
    pub(super) chance: Chance,
    pub(super) network: Network,
    pub(super) judge: Judge,
    pub(super) nodes: Vec<Node<S>>,
    pub(super) clients: Clients<S>,
    pub(super) sessions: Sessions,
    pub(super) repeats: Repeats<S>,
    pub(super) workload: Box<dyn Workload<S>>,
    /// The groups that were ever begun; the first has the number 1.
    pub(super) groups: Vec<Group<S>>,
    /// Which of them is spoken of.
    pub(super) focus: usize,
    pub(super) noises: InForce<Noise>,
    /// All of them together.
    pub(super) noise: Noise,
    pub(super) held: Held,
    pub(super) tally: Tally,
    /// Events that happened.
    pub(super) events: u64,
    /// How to mend what is broken now, by the number of the fault.
    pub(super) repairs: BTreeMap<usize, Repair>,
    /// So many faults make the clients hurry.
    pub(super) hurries: u32,
    /// Whom all clients ask, in a hurry, for so many requests more.
    pub(super) crowd: Option<(NodeId, u32)>,
    pub(super) acked_writes: u64,
    pub(super) answered_reads: u64,
    pub(super) unanswered: u64,
    /// The client of scripts, and what it was told.
    pub(super) scripted: Option<Scripted<S>>,
    pub(super) changes: Changes,
    pub(super) interception: Interception,
    outgoing: Vec<Outgoing>,
    /// Messages sent so far.
    sent: u64,
}

/// What a cluster is made of.
pub(super) struct Setup<S> {
    pub(super) seed: u64,
    /// How many groups the servers begin with. If it is one, no others are ever begun.
    pub(super) groups: u64,
    /// How many clients ask a group that is begun later.
    pub(super) clients: usize,
    pub(super) founders: u64,
    /// Servers that wait to be added.
    pub(super) joiners: u64,
    /// Whether the membership is going to change.
    pub(super) members_change: bool,
    /// Whether disks and state machines do all they do at once.
    pub(super) work_takes_no_time: bool,
    pub(super) majority_may_be_lost: bool,
    pub(super) settings: Settings,
    /// Whether the cluster is founded with lease reads, and by how much clocks may then be off.
    pub(super) lease_drift_percent_max: Option<u8>,
    /// How wrong clocks go, where lease reads rely on them.
    pub(super) clock_bound: Option<ClockBound>,
    /// How much of the log servers keep in memory.
    pub(super) log_cache_bytes: u64,
    /// Snapshots travel in messages of at most so many bytes.
    pub(super) piece_bytes_max: u64,
    pub(super) machine: Maker<S>,
    pub(super) saves_alike: bool,
    pub(super) request_timeout: Duration,
    /// How likely a client writes in a session, in parts of a million.
    pub(super) session_parts: u32,
    pub(super) session_lifetime: Duration,
    /// The same in microseconds, where sessions are silent for about as long.
    pub(super) session_silence_us: Option<u64>,
}

/// A server: its machine, and the process that runs on it, if one does.
pub(super) struct Node<S: StateMachine> {
    pub(super) id: NodeId,
    pub(super) disk: SimDisk,
    pub(super) clock: Arc<NodeClock>,
    pub(super) process: Option<Process<S>>,
    /// How often it was started.
    pub(super) run: u64,
    /// Each fault that pauses it adds one.
    pub(super) pauses: u32,
    pub(super) start_is_planned: bool,
    /// It will not come back: its disk was wiped or damaged, and only an operator could help.
    pub(super) is_lost: bool,
    /// Its disk was emptied: it remembers nothing of what it said before.
    pub(super) is_wiped: bool,
    /// It had a vote when that happened: the others know with which disk, and let no other one vote.
    pub(super) has_lost_its_vote: bool,
    /// How often its disk had failed when its process was started: only what fails after that excuses its end.
    pub(super) failures_before: u64,
    pub(super) broken: Broken,
    /// It was told to shut down and has not.
    pub(super) is_leaving: bool,
    /// A bit was flipped on it, and what that took from it its peers have not given back: it may refuse to be opened.
    pub(super) disk_is_damaged: bool,
    pub(super) rot: Rot,
    /// Why it last ended by itself.
    pub(super) last_words: Option<String>,
    /// Its clock leaps only after this, where there is a bound to that.
    pub(super) leaps_again_us: u64,
    /// The earliest alarm in the schedule.
    armed_at: Option<u64>,
}

/// What the network has done to a message that arrives.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Why {
    pub(super) is_late: bool,
    pub(super) is_again: bool,
}

/// What can be planned.
pub(super) enum Event {
    /// A message arrives.
    Deliver { envelope: Box<Envelope>, number: u64, why: Why },
    /// A node, in this run, introduces itself.
    Hello { link: Link, run: u64 },
    /// The answer to that arrives.
    Admitted { link: Link, run: u64, verdict: Result<Box<Hello>, Refusal> },
    /// Somebody sleeps until now.
    Alarm { node: NodeId },
    /// A server's process starts.
    Start { node: NodeId },
    /// A client asks for something.
    Ask { client: usize },
    /// A client has waited long enough.
    GiveUp { client: usize, attempt: u64 },
    /// Something breaks.
    Break(Fault),
    /// Something that broke is mended.
    Mend(Fault),
}

impl<S: StateMachine> Sim<S> {
    pub(super) fn new(setup: Setup<S>, workload: Box<dyn Workload<S>>) -> Self {
        let judge = Judge::default();
        let mut sim = Self {
            chance: Chance::of(setup.seed, 0),
            time: WorldTime::default(),
            schedule: Schedule::new(),
            network: Network::new(judge.clone()),
            judge,
            nodes: Vec::new(),
            clients: Clients::new(),
            sessions: Sessions::default(),
            repeats: Repeats::new(),
            workload,
            groups: Vec::new(),
            focus: 0,
            noises: InForce::default(),
            noise: Noise::default(),
            held: Held::default(),
            tally: Tally::default(),
            events: 0,
            repairs: BTreeMap::new(),
            hurries: 0,
            crowd: None,
            acked_writes: 0,
            answered_reads: 0,
            unanswered: 0,
            scripted: None,
            changes: Changes::new(),
            interception: Interception::default(),
            outgoing: Vec::new(),
            sent: 0,
            setup,
        };
        for _ in 0..sim.setup.groups {
            sim.begin_group((1..=sim.setup.founders).map(NodeId::from).collect());
        }
        for _ in 0..sim.setup.founders + sim.setup.joiners {
            sim.add_node();
        }
        sim
    }

    /// A server with an empty disk joins the others; it is not started yet.
    fn add_node(&mut self) -> NodeId {
        let id = NodeId::from(self.nodes.len() as u64 + 1);
        let seed = self.chance.number();
        let (mut clock, mut disk) = (NodeClock::new(self.time.clone(), seed, SYNC), SimDisk::new(seed));
        if self.setup.work_takes_no_time {
            (clock, disk) = (clock.in_no_time(), disk.in_no_time());
        }
        let clock = Arc::new(clock);
        self.judge.joins(id, &disk);
        self.nodes.push(Node {
            id,
            disk,
            clock,
            process: None,
            run: 0,
            pauses: 0,
            start_is_planned: false,
            is_lost: false,
            is_wiped: false,
            has_lost_its_vote: false,
            failures_before: 0,
            broken: Broken::default(),
            is_leaving: false,
            disk_is_damaged: false,
            rot: Rot::default(),
            last_words: None,
            leaps_again_us: 0,
            armed_at: None,
        });
        id
    }

    /// Microseconds since the beginning.
    pub(super) fn now_us(&self) -> u64 {
        self.time.now()
    }

    /// How much virtual time has passed.
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.now_us())
    }

    /// Plans an event for a time from now, in microseconds.
    pub(super) fn plan(&mut self, in_us: u64, event: Event) {
        let at = self.now_us() + in_us;
        self.schedule.add(at, event, self.chance.rng());
    }

    pub(super) fn node(&self, id: NodeId) -> &Node<S> {
        &self.nodes[place(id)]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node<S> {
        &mut self.nodes[place(id)]
    }

    /// Lets the world go on for this long.
    ///
    /// # Errors
    /// The first sentence that was found not to hold.
    pub fn run_for(&mut self, duration: Duration) -> Result<(), Violation> {
        let end = self.now_us() + u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2);
        self.settle()?;
        while self.schedule.next_at().is_some_and(|at| at <= end) {
            self.turn()?;
        }
        self.time.set(end);
        Ok(())
    }

    /// Lets the world go on until `wanted` holds; returns whether it did within `limit`.
    ///
    /// # Errors
    /// The first sentence that was found not to hold.
    pub fn run_until(&mut self, limit: Duration, mut wanted: impl FnMut(&mut Self) -> bool) -> Result<bool, Violation> {
        let end = self.now_us() + u64::try_from(limit.as_micros()).unwrap_or(u64::MAX / 2);
        self.settle()?;
        while !wanted(self) {
            if self.schedule.next_at().is_none_or(|at| at > end) {
                self.time.set(end);
                return Ok(false);
            }
            self.turn()?;
        }
        Ok(true)
    }

    /// One event, and all that follows from it at the same moment.
    fn turn(&mut self) -> Result<(), Violation> {
        let Some((at, event)) = self.schedule.take() else { return Ok(()) };
        self.time.set(at);
        self.judge.at(at);
        self.happen(event);
        self.settle()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { envelope, number, why } => self.deliver(*envelope, number, why),
            Event::Hello { link, run } => self.introduce(link, run),
            Event::Admitted { link, run, verdict } => self.admitted(link, run, verdict),
            Event::Alarm { node } => {
                if !self.alarm(node) {
                    return;
                }
            }
            Event::Start { node } => {
                self.node_mut(node).start_is_planned = false;
                self.start(node);
            }
            Event::Ask { client } => self.within(self.clients.group_of(client), |sim| sim.ask(client)),
            Event::GiveUp { client, attempt } => {
                let group = self.clients.group_of(client);
                if !self.within(group, |sim| sim.give_up(client, attempt)) {
                    return;
                }
            }
            Event::Break(fault) => {
                self.judge.note(None, fault.kind.name(), fault.number as u64);
                // Whom it hits is for one of the groups to say.
                let group = (fault.dice[0] >> 48) as usize % self.groups.len();
                self.within(group, |sim| sim.break_by(fault));
            }
            Event::Mend(fault) => {
                self.judge.note(None, "mended", fault.number as u64);
                self.mend_from(fault);
            }
        }
        self.events += 1;
    }

    /// Lets everybody who has something to do have a turn, until nobody has.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        loop {
            let mut is_quiet = true;
            for at in 0..self.nodes.len() {
                if self.nodes[at].wants_turn() {
                    is_quiet = false;
                    self.run_node(at);
                }
            }
            is_quiet &= !self.take_answers();
            self.look_at_changes();
            self.send_out();
            if let Some(violation) = self.judge.violation() {
                return Err(violation);
            }
            if is_quiet {
                return Ok(());
            }
        }
    }

    fn run_node(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(process) = &mut node.process else { return };
        if process.run().is_err() {
            self.judge.found("rest", Some(node.id), format!("n{} never comes to rest", node.id));
        }
        self.look_after(at);
        self.arm(at);
    }

    /// Sees to it that the node is woken when the first of its sleepers wants to be.
    pub(super) fn arm(&mut self, at: usize) {
        let now = self.now_us();
        let node = &mut self.nodes[at];
        let Some(next) = node.clock.next_alarm().map(|next| next.max(now)) else { return };
        if node.armed_at.is_none_or(|armed| next < armed || armed < now) {
            node.armed_at = Some(next);
            let id = node.id;
            self.schedule.add(next, Event::Alarm { node: id }, self.chance.rng());
        }
    }

    /// Returns whether the alarm was still wanted.
    fn alarm(&mut self, id: NodeId) -> bool {
        let (at, now) = (place(id), self.now_us());
        if self.nodes[at].armed_at != Some(now) {
            return false;
        }
        self.nodes[at].armed_at = None;
        self.nodes[at].clock.wake_due();
        self.arm(at);
        true
    }

    /// Puts on the wire what the nodes want sent.
    fn send_out(&mut self) {
        let mut outgoing = std::mem::take(&mut self.outgoing);
        self.network.take_outgoing(&mut outgoing);
        for sent in outgoing.drain(..) {
            match sent {
                Outgoing::Message(envelope) => self.transmit(envelope),
                Outgoing::Hello(link) => self.connect(link),
            }
        }
        self.outgoing = outgoing;
    }

    fn transmit(&mut self, envelope: Box<Envelope>) {
        if self.network.is_cut((envelope.from, envelope.to)) {
            self.tally.messages_cut += 1;
            self.meets_a_cut((envelope.from, envelope.to));
            self.judge.is_lost(&envelope);
            return;
        }
        if let Some(envelope) = self.pass_interception(envelope) {
            self.put_on_the_wire(envelope);
        }
    }

    pub(super) fn put_on_the_wire(&mut self, envelope: Box<Envelope>) {
        self.sent += 1;
        let number = self.sent;
        if self.chance.happens(self.noise.loss) {
            self.tally.count(FaultKind::Loss);
            self.judge.is_lost(&envelope);
            return;
        }
        if self.chance.happens(self.noise.repetition) {
            let (delay, is_late) = self.delay(is_about_an_election(&envelope));
            let why = Why { is_late, is_again: true };
            self.plan(delay, Event::Deliver { envelope: envelope.clone(), number, why });
        }
        self.release_held(&envelope);
        let Some(envelope) = self.hold_back(envelope, number) else { return };
        let (delay, is_late) = self.delay(is_about_an_election(&envelope));
        self.plan(delay, Event::Deliver { envelope, number, why: Why { is_late, is_again: false } });
    }

    /// How long a message takes, and whether that is late.
    pub(super) fn delay(&mut self, is_about_an_election: bool) -> (u64, bool) {
        let noise = &self.noise;
        let lateness = if is_about_an_election { noise.lateness_in_elections } else { noise.lateness };
        if self.chance.happens(lateness) {
            return (self.chance.between(1_000..=self.noise.late_us_max.max(1_000)), true);
        }
        (self.chance.between(self.noise.delay_us.clone()), false)
    }

    fn deliver(&mut self, envelope: Envelope, number: u64, why: Why) {
        let link = (envelope.from, envelope.to);
        let Some(station) = self.network.station(link.1) else { return };
        self.judge.arrives(&envelope);
        self.tally.add(FaultKind::Delay, u64::from(why.is_late));
        self.tally.add(FaultKind::Repetition, u64::from(why.is_again));
        if self.network.arrives_out_of_order(number, link) {
            self.tally.count(FaultKind::Reordering);
        }
        station.inbound.deliver(envelope, Credit::none());
    }

    /// A node wants to be let in by another.
    fn connect(&mut self, link: Link) {
        let Some(station) = self.network.station(link.0) else { return };
        if self.network.begin_connecting(link) {
            let (delay, _) = self.delay(false);
            self.plan(delay, Event::Hello { link, run: station.run });
        }
    }

    fn introduce(&mut self, link: Link, run: u64) {
        let Some(sender) = self.network.station(link.0).filter(|station| station.run == run) else { return };
        let receiver = self.network.station(link.1).filter(|_| self.node(link.1).pauses == 0);
        let verdict = match receiver {
            Some(receiver) if !self.network.is_cut(link) => {
                receiver.inbound.admit(&sender.hello).map(|()| Box::new(receiver.hello))
            }
            Some(_) | None => Err(Refusal::Busy),
        };
        let (delay, _) = self.delay(false);
        self.plan(delay, Event::Admitted { link, run, verdict });
    }

    fn admitted(&mut self, link: Link, run: u64, verdict: Result<Box<Hello>, Refusal>) {
        let Some(sender) = self.network.station(link.0).filter(|station| station.run == run) else { return };
        let back = (link.1, link.0);
        let is_answered = !self.network.is_cut(back) && self.network.station(link.1).is_some();
        match verdict {
            Ok(hello) if is_answered => {
                self.network.connecting_ended(link, true);
                sender.inbound.confirmed(&hello);
            }
            Err(refusal) if is_answered && refusal != Refusal::Busy => {
                self.network.refuse(link, refusal.clone());
                sender.inbound.refused(link.1, refusal);
            }
            Ok(_) | Err(_) => {
                let again = self.chance.between(CONNECT_AGAIN_US);
                self.plan(again, Event::Hello { link, run });
            }
        }
    }
}

/// Where a node is in the list.
pub(super) fn place(id: NodeId) -> usize {
    usize::try_from(id.get()).expect("there are few nodes") - 1
}

fn is_about_an_election(envelope: &Envelope) -> bool {
    let Body::Raft(message) = &envelope.body else { return false };
    match message {
        Message::PreVote(_)
        | Message::PreVoteReply(_)
        | Message::RequestVote(_)
        | Message::RequestVoteReply(_)
        | Message::TimeoutNow(_) => true,
        Message::AppendEntries(_) | Message::AppendEntriesReply(_) | Message::InstallSnapshot(_) => false,
    }
}
