//! Runs of simulated clusters, as programs and tests start them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use raft_actor::log_storage::disk::Disk;
use raft_actor::{Settings, StateMachine};

use super::chance::Chance;
use super::checker::{Situations, Violation};
use super::clients::Request;
use super::clocks::ClockBound;
use super::faults::{self, Fault, FaultKind, Faults, Tally};
use super::machine::Maker;
use super::workload::Workload;
use super::world::{Setup, Sim};

/// Simulated clusters of a state machine: the same actors as in production, on a network, disks and clocks of one
/// seed. The same seed gives the same run, on every machine.
///
/// ```
/// use raft_actor::{ApplyContext, StateMachine};
/// use raft_transport::sim::{Faults, Request, SimCluster};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Counter(u64);
///
/// impl StateMachine for Counter {
///     type Command = u64;
///     type Response = u64;
///     type Query = ();
///     type Answer = u64;
///
///     fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
///         self.0 += add;
///         self.0
///     }
///
///     fn query(&self, (): ()) -> u64 {
///         self.0
///     }
/// }
///
/// let report = SimCluster::<Counter>::of(3)
///     .faults(Faults::all())
///     .lasting(std::time::Duration::from_secs(5))
///     .run(7, |_client: usize, chance: &mut raft_transport::sim::Chance| match chance.between(0..=3) {
///         0 => Request::Read(()),
///         add => Request::Write(add),
///     })?;
/// assert!(report.acked_writes > 0);
/// # Ok::<(), Box<raft_transport::sim::Failure>>(())
/// ```
pub struct SimCluster<S> {
    nodes: u64,
    joiners: Option<u64>,
    groups: u64,
    work_takes_no_time: bool,
    clients: usize,
    faults: Faults,
    left_out: Option<Vec<usize>>,
    lasting: Duration,
    settings: Option<Settings>,
    lease_drift_percent_max: Option<u8>,
    saves_alike: bool,
    traced: bool,
    machine: Maker<S>,
    of: PhantomData<fn() -> S>,
}

/// What a run was like in which everything held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How much virtual time passed, the recovery at the end included.
    pub lasted: Duration,
    /// Events that happened and were checked.
    pub events: u64,
    /// Steps of the consensus cores among them and in their wake.
    pub steps: u64,
    /// Writes that were answered.
    pub acked_writes: u64,
    /// Reads that were answered.
    pub answered_reads: u64,
    /// What went wrong, and how often.
    pub tally: Tally,
    /// Rare situations, and how often they came up.
    pub situations: Situations,
    /// A number that runs have in common if and only if they were alike in every event.
    pub hash: u64,
}

/// A run in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// The seed: the same one fails in the same way.
    pub seed: u64,
    /// When, in virtual time.
    pub at: Duration,
    /// What did not hold.
    pub violation: Violation,
    /// The faults that had been planned until then.
    pub faults: Vec<Fault>,
    /// The last events before it.
    pub trace: Vec<String>,
    /// What had happened until then.
    pub report: Report,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} fails at {:.6}s: {}", self.seed, self.at.as_secs_f64(), self.violation)?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// So many events before a failure are shown.
const EVENTS_KEPT: usize = 100;

/// How much of the log servers keep in memory: all of it, or so little that most of what they send and apply they have to
/// read from their disks.
const LOG_CACHE_BYTES: [u64; 3] = [16 << 20, 4_000, 0];

/// Sizes of the messages in which snapshots travel: small ones make a small state take many.
const PIECE_BYTES_MAX: [u64; 3] = [1_100, 1_300, 1 << 20];

/// Half of the clusters have lease reads, with clocks of this quality.
const LEASE_DRIFTS_PERCENT: [Option<u8>; 8] = [None, None, None, None, Some(5), Some(10), Some(25), Some(30)];

/// How many of the clients write in sessions, in parts of a million.
const SESSION_PARTS: [u32; 6] = [0, 0, 500_000, 500_000, 500_000, 1_000_000];

/// How long sessions are remembered, ...
const LIFETIMES: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(16), LONG_LIFETIMES[0]];
/// ... and where log time may leap: whoever could not even open a session in it is to have tried in vain for good.
const LONG_LIFETIMES: [Duration; 1] = [Duration::from_secs(3_600)];

/// How long the servers get to agree after the faults.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

impl<S: StateMachine + Default> SimCluster<S> {
    /// Clusters of this many servers, each with a machine that begins as `S::default()`.
    pub fn of(nodes: u64) -> Self {
        Self::with(nodes, S::default)
    }
}

impl<S: StateMachine> SimCluster<S> {
    /// Clusters of this many servers, each with a machine that `machine` makes.
    pub fn with(nodes: u64, machine: fn() -> S) -> Self {
        Self::made_by(nodes, Maker::InMemory(machine))
    }

    /// Clusters of this many servers, each with a machine that keeps its state on the server's disk, the same that the
    /// log is on: whatever strikes that disk strikes both. `machine` opens what it finds there, outside of the directory
    /// `/data`; what it cannot open it has to report when it is asked for its [`records`](raft_actor::OnDisk::records).
    ///
    /// Its [`durable_through`](StateMachine::durable_through) has to tell the index of the last command that it holds.
    pub fn on_disk(nodes: u64, machine: fn(Arc<dyn Disk>) -> S) -> Self {
        Self::made_by(nodes, Maker::OnDisk(machine))
    }

    fn made_by(nodes: u64, machine: Maker<S>) -> Self {
        Self {
            nodes,
            joiners: None,
            groups: 1,
            work_takes_no_time: false,
            clients: 6,
            faults: Faults::none(),
            left_out: None,
            lasting: Duration::from_secs(60),
            settings: None,
            lease_drift_percent_max: None,
            saves_alike: true,
            traced: false,
            machine,
            of: PhantomData,
        }
    }

    /// Disks sync and state machines apply at once, and no fault makes them slow. Servers then do with a call what they
    /// otherwise have others do and wait for: what was written is durable, and what is committed is applied, within the
    /// same step, as it is where a log is in memory. Default: both take their time.
    #[must_use]
    pub fn work_takes_no_time(mut self, takes_none: bool) -> Self {
        self.work_takes_no_time = takes_none;
        self
    }

    /// How many groups the servers run, over one log and one network: state machines of the same kind, each with clients
    /// and judges of its own. If there are several, others begin and end while the membership changes. Default: 1, and none
    /// begins or ends.
    #[must_use]
    pub fn groups(mut self, groups: u64) -> Self {
        self.groups = groups.max(1);
        self
    }

    /// How many clients ask each group. Default: 6.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// So many more servers wait to be added. Default: two if the membership is to change, else none.
    #[must_use]
    pub fn joiners(mut self, joiners: u64) -> Self {
        self.joiners = Some(joiners);
        self
    }

    /// What goes wrong. Default: nothing.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Of the planned faults, only those with these numbers happen: to find out which it takes.
    #[must_use]
    pub fn only_faults(mut self, numbers: Vec<usize>) -> Self {
        self.left_out = Some(numbers);
        self
    }

    /// For how long things go wrong, in virtual time. Default: a minute.
    #[must_use]
    pub fn lasting(mut self, lasting: Duration) -> Self {
        self.lasting = lasting;
        self
    }

    /// Times and limits of the protocol. Default: drawn from the seed.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// The cluster is founded with lease reads, for clocks that are off by so many percent of an election timeout, and
    /// they are off by no more. Default: if the [settings](Self::settings) are drawn from the seed, so is this.
    #[must_use]
    pub fn lease_reads(mut self, drift_percent_max: impl Into<Option<u8>>) -> Self {
        self.lease_drift_percent_max = drift_percent_max.into();
        self
    }

    /// Whether equal states are saved as equal bytes, so that they can be compared. Default: they are. Switch it off for
    /// a machine that holds a `HashMap`, whose order differs; its responses are compared all the same.
    #[must_use]
    pub fn compare_states(mut self, saves_alike: bool) -> Self {
        self.saves_alike = saves_alike;
        self
    }

    /// Every event is written down, not only the last ones before a failure.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }

    fn setup(&self, seed: u64) -> Setup<S> {
        let is_drawn = self.settings.is_none();
        let settings = self.settings.clone().unwrap_or_else(|| draw_settings(&mut Chance::of(seed, 2)));
        let mut chance = Chance::of(seed, 4);
        let drawn = self.settings.is_none().then(|| *chance.pick(&LEASE_DRIFTS_PERCENT)).flatten();
        let lease_drift_percent_max = self.lease_drift_percent_max.or(drawn);
        let clock_bound = lease_drift_percent_max.map(|percent| ClockBound::draw(percent, &settings, &mut chance));
        let members_change = self.faults.contains(FaultKind::MembershipChange);
        let clocks_leap = clock_bound.is_none() && self.faults.contains(FaultKind::ClockJump);
        let mut chance = Chance::of(seed, 6);
        let session_parts = *chance.pick(&SESSION_PARTS);
        let session_lifetime = *chance.pick(if clocks_leap { &LONG_LIFETIMES } else { &LIFETIMES });
        let is_short = session_lifetime < LONG_LIFETIMES[0];
        Setup {
            seed,
            groups: self.groups,
            clients: self.clients,
            founders: self.nodes,
            joiners: self.joiners.unwrap_or(if members_change { 2 } else { 0 }),
            members_change,
            work_takes_no_time: self.work_takes_no_time,
            majority_may_be_lost: self.faults.majority_may_be_lost(),
            settings,
            lease_drift_percent_max,
            clock_bound,
            log_cache_bytes: *Chance::of(seed, 7).pick(if is_drawn {
                &LOG_CACHE_BYTES[..]
            } else {
                &LOG_CACHE_BYTES[..1]
            }),
            piece_bytes_max: *Chance::of(seed, 3).pick(&PIECE_BYTES_MAX),
            machine: self.machine,
            saves_alike: self.saves_alike,
            request_timeout: Duration::from_secs(2),
            session_parts,
            session_lifetime,
            session_silence_us: is_short.then(|| micros(session_lifetime)),
        }
    }

    /// The faults that a run of this seed will see.
    pub fn planned(&self, seed: u64) -> Vec<Fault> {
        let mut planned = faults::plan(seed, &self.faults, micros(self.lasting));
        if let Some(wanted) = &self.left_out {
            planned.retain(|fault| wanted.contains(&fault.number));
        }
        planned
    }

    /// One run: clients ask, things go wrong, then the faults end, and the cluster has to recover and to serve.
    ///
    /// It runs on a thread of its own, so that it can be called from anywhere.
    ///
    /// # Errors
    /// If anything did not hold that has to.
    pub fn run(&self, seed: u64, workload: impl Workload<S> + Send) -> Result<Report, Box<Failure>> {
        let faults = self.planned(seed);
        let (clients, lasting) = (self.clients, self.lasting);
        let planned = faults.clone();
        let clocks_are_off = self.faults.contains(FaultKind::ClockDrift);
        self.on_a_thread(seed, workload, move |sim| {
            sim.plan_faults(&planned);
            if clocks_are_off {
                sim.put_clocks_off();
            }
            for group in 0..sim.groups.len() {
                sim.within(group, |sim| sim.add_clients(clients));
            }
            sim.run_for(lasting)?;
            sim.recover(RECOVERY_MAX)
        })
        .map_err(|mut failure| {
            failure.faults = faults;
            failure
        })
    }

    /// One run that a script directs. All servers are started, none has had a turn yet.
    ///
    /// # Errors
    /// If anything did not hold that has to, or the script says so.
    pub fn direct(
        &self,
        seed: u64,
        script: impl FnOnce(&mut Sim<S>) -> Result<(), Violation> + Send,
    ) -> Result<Report, Box<Failure>>
    where
        S::Query: Default,
    {
        self.on_a_thread(seed, |_: usize, _: &mut Chance| Request::Read(S::Query::default()), script)
    }

    fn on_a_thread(
        &self,
        seed: u64,
        workload: impl Workload<S> + Send,
        script: impl FnOnce(&mut Sim<S>) -> Result<(), Violation> + Send,
    ) -> Result<Report, Box<Failure>> {
        let setup = self.setup(seed);
        let traced = self.traced;
        let run = move || {
            let mut sim = Sim::new(setup, Box::new(workload));
            sim.judge.trace(EVENTS_KEPT, traced.then(|| Box::new(std::io::stdout()) as _));
            for id in sim.ids() {
                sim.start(id);
            }
            let outcome = script(&mut sim).and_then(|()| sim.finish());
            let report = sim.report();
            outcome.map(|()| report.clone()).map_err(|violation| {
                let (at, trace) = (sim.now(), sim.judge.last_events());
                Box::new(Failure { seed, at, violation, faults: Vec::new(), trace, report })
            })
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("raft-sim".to_owned()).spawn_scoped(scope, run);
            match thread.expect("the machine has room for a thread").join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// Elections that are quick enough that a minute sees many of them.
fn draw_settings(chance: &mut Chance) -> Settings {
    let election_timeout_ms_min = *chance.pick(&[150, 300, 500, 1000]);
    Settings {
        election_timeout_ms_min,
        heartbeat_ms: election_timeout_ms_min / *chance.pick(&[3, 5, 10]),
        inflight_appends_max: *chance.pick(&[1, 2, 8]),
        append_batch_bytes_max: *chance.pick(&[200, 2_000, 1 << 20]),
        ..draw_compaction(chance)
    }
}

/// In about half of the runs snapshots are taken so often that whoever was away for a moment needs one.
fn draw_compaction(chance: &mut Chance) -> Settings {
    Settings {
        snapshot_entries: *chance.pick(&[0, 0, 0, 12, 30, 60]),
        log_tail_entries: *chance.pick(&[0, 4, 20]),
        // Without bytes for it, the log does not wait for a member that may come back.
        log_tail_bytes_max: *chance.pick(&[0, Settings::default().log_tail_bytes_max]),
        ..draw_rest(chance)
    }
}

/// In half of the runs a group rests as soon as nothing happens for a moment.
fn draw_rest(chance: &mut Chance) -> Settings {
    Settings { rest_after_ms: *chance.pick(&[0, 0, 20, 100]), rest_ms_max: 20_000, ..Settings::default() }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
