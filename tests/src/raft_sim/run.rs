//! What a run is made of: everything that decides how it goes.

use std::fmt;
use std::time::Duration;

use raft_actor::StateMachine;
use raft_transport::sim::{Chance, Fault, Faults, SimCluster};

use crate::register::{Command, DiskRegister, Get, Register, Response, Value};

/// A run that can be made, and made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Whether the state machine lives on the servers' disks.
    pub on_disk: bool,
    /// How many servers there are.
    pub nodes: u64,
    /// How many groups the servers run.
    pub groups: u64,
    /// Whether disks and state machines do all they do at once.
    pub no_time: bool,
    /// How many clients ask each group.
    pub clients: usize,
    /// For how long things go wrong, in virtual time.
    pub lasting: Duration,
    /// What goes wrong.
    pub faults: Faults,
    /// Of the planned faults only those with these numbers.
    pub only_faults: Option<Vec<usize>>,
}

/// A state machine that the clients of the register can talk to: the register, or a broken one.
pub trait Machine: StateMachine<Command = Command, Response = Response, Query = Get, Answer = Option<Value>> {
    /// Clusters of it.
    fn cluster(nodes: u64) -> SimCluster<Self>;
}

impl<S> Machine for S
where
    S: StateMachine<Command = Command, Response = Response, Query = Get, Answer = Option<Value>> + Default,
{
    fn cluster(nodes: u64) -> SimCluster<Self> {
        SimCluster::of(nodes)
    }
}

impl Machine for DiskRegister {
    fn cluster(nodes: u64) -> SimCluster<Self> {
        SimCluster::on_disk(nodes, Self::open)
    }
}

/// How likely it is that every kind of fault happens in a run, in parts of a million.
const ALL_KINDS_PARTS: u32 = 500_000;
/// If not, how likely each kind does.
const EACH_KIND_PARTS: u32 = 500_000;
/// How likely servers run several groups, in parts of a million.
const SEVERAL_GROUPS_PARTS: u32 = 250_000;
/// How likely disks and state machines do all they do at once, in parts of a million.
const NO_TIME_PARTS: u32 = 125_000;

impl Run {
    /// The run of a seed: its cluster has the size that the seed decides, mostly 3 or 5, and sees all kinds of
    /// faults or some of them: many kinds hide what one alone would bring about.
    pub fn of(seed: u64) -> Self {
        // Not the choices that the run itself will make.
        let mut chance = Chance::new(seed ^ u64::from_be_bytes(*b"raft-sim"));
        let nodes = *chance.pick(&[3, 3, 3, 3, 5, 5, 5, 5, 4, 7]);
        let clients = usize::try_from(chance.between(4..=8)).expect("they are few");
        let mut faults = Faults::all();
        if !chance.happens(ALL_KINDS_PARTS) {
            faults = Faults::of(faults.kinds().filter(|_| chance.happens(EACH_KIND_PARTS)));
        }
        let (on_disk, groups, lasting) = (false, groups_of(seed), Duration::from_secs(60));
        let no_time = Chance::new(seed ^ u64::from_be_bytes(*b"no time ")).happens(NO_TIME_PARTS);
        // Together they are to ask for a little more than those of one group.
        let clients = if groups > 1 { clients.div_ceil(2) } else { clients };
        Self { seed, on_disk, nodes, groups, no_time, clients, lasting, faults, only_faults: None }
    }

    pub(super) fn cluster<S: Machine>(&self) -> SimCluster<S> {
        let cluster = S::cluster(self.nodes).groups(self.groups).clients(self.clients);
        let cluster = cluster.work_takes_no_time(self.no_time);
        let cluster = cluster.faults(self.faults.clone()).lasting(self.lasting);
        match &self.only_faults {
            Some(numbers) => cluster.only_faults(numbers.clone()),
            None => cluster,
        }
    }

    /// The same with all planned faults.
    pub(super) fn without_choice(&self) -> Self {
        Self { only_faults: None, ..self.clone() }
    }

    /// The faults that it will see.
    pub fn planned(&self) -> Vec<Fault> {
        self.cluster::<Register>().planned(self.seed)
    }
}

/// How many groups the servers run, as the seed decides: mostly one.
fn groups_of(seed: u64) -> u64 {
    let mut chance = Chance::new(seed ^ u64::from_be_bytes(*b"groups  "));
    if chance.happens(SEVERAL_GROUPS_PARTS) { chance.between(2..=4) } else { 1 }
}

/// The command line that makes this run.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, on_disk, nodes, groups, no_time, clients, lasting, faults, only_faults } = self;
        let drawn = Self::of(*seed);
        write!(f, "raft-sim --seed {seed}{}", if *on_disk { " --on-disk" } else { "" })?;
        if *lasting != drawn.lasting {
            write!(f, " --virtual-seconds {}", lasting.as_secs_f64())?;
        }
        if *nodes != drawn.nodes {
            write!(f, " --nodes {nodes}")?;
        }
        if *groups != drawn.groups && !on_disk {
            write!(f, " --groups {groups}")?;
        }
        if *no_time != drawn.no_time {
            write!(f, " --no-time {no_time}")?;
        }
        if *clients != drawn.clients {
            write!(f, " --clients {clients}")?;
        }
        if *faults != drawn.faults {
            write!(f, " --faults {faults}")?;
        }
        match only_faults.as_deref() {
            Some([]) => write!(f, " --only-faults none"),
            Some(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                write!(f, " --only-faults {}", numbers.join(","))
            }
            None => Ok(()),
        }
    }
}
