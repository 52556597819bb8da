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
    /// How many clients ask.
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
        Self { seed, on_disk: false, nodes, clients, lasting: Duration::from_secs(60), faults, only_faults: None }
    }

    pub(super) fn cluster<S: Machine>(&self) -> SimCluster<S> {
        let cluster = S::cluster(self.nodes).clients(self.clients).faults(self.faults.clone()).lasting(self.lasting);
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

/// The command line that makes this run.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, on_disk, nodes, clients, lasting, faults, only_faults } = self;
        let drawn = Self::of(*seed);
        write!(f, "raft-sim --seed {seed}{}", if *on_disk { " --on-disk" } else { "" })?;
        if *lasting != drawn.lasting {
            write!(f, " --virtual-seconds {}", lasting.as_secs_f64())?;
        }
        if *nodes != drawn.nodes {
            write!(f, " --nodes {nodes}")?;
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
