//! Five processes, a proxy on every way between two of them, and somebody who breaks things while clients are at work.
//!
//! Every kind of fault strikes at least once, alone and then two at a time, and is counted when there is evidence
//! that it happened; a run in which one did not happen fails. What the clients asked and were told is recorded by one
//! clock and judged at the end: linearizability per key, and one order of all writes over all keys.
//!
//! The seed decides who is struck when and how. It makes runs differ, it does not make one repeatable: the processes
//! and the kernel are real.

mod disk;
mod fault;
mod judge;
mod lines;
mod load;
mod watch;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::client::{DEADLINE, eventually};
use crate::cluster::Cluster;
use fault::Fault;
use load::Load;
use watch::Watch;

const NODES: usize = 5;
const CLIENTS: usize = 10;
/// Strikes of two faults at a time in each round.
const DOUBLE_STRIKES: usize = 6;

#[test]
fn what_clients_were_told_is_linearizable_whatever_strikes_nodes_lines_and_disks() {
    let seed = setting("RAFT_KV_NEMESIS_SEED").unwrap_or_else(rand::random);
    let at_least = Duration::from_secs(setting("RAFT_KV_NEMESIS_SECONDS").unwrap_or(0));
    println!("RAFT_KV_NEMESIS_SEED={seed}");
    let mut nemesis = Nemesis::start(seed);
    let started = Instant::now();
    let mut rounds = 0;
    while rounds == 0 || started.elapsed() < at_least {
        nemesis.round();
        rounds += 1;
    }
    println!("{rounds} rounds in {:?}", started.elapsed());
    nemesis.end();
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value:?} is not a number")))
}

/// Who breaks things.
struct Nemesis {
    cluster: Cluster,
    load: Load,
    watch: Watch,
    chance: StdRng,
    happened: BTreeMap<Fault, usize>,
}

impl Nemesis {
    fn start(seed: u64) -> Self {
        let cluster = Cluster::start_under_fire(NODES);
        let load = Load::start(&cluster.clients, CLIENTS, seed);
        let watch = Watch::start(&cluster.clients);
        load.progress();
        Self { cluster, load, watch, chance: StdRng::seed_from_u64(seed), happened: BTreeMap::new() }
    }

    /// Every kind once, and some together.
    fn round(&mut self) {
        let mut faults = Fault::ALL.to_vec();
        faults.shuffle(&mut self.chance);
        for fault in faults {
            self.load.next_keys();
            self.strike(fault);
            self.recovered(&format!("{fault:?}"));
        }
        for _ in 0..DOUBLE_STRIKES {
            self.load.next_keys();
            let line = self.pick(&Fault::OF_LINES);
            let process = self.pick(&Fault::FOR_DOUBLE_STRIKES);
            self.begin(line);
            // Nobody has to be able to commit anything meanwhile.
            self.strike_process(process, false);
            self.a_while();
            self.finish(line);
            self.recovered(&format!("{line:?} and {process:?}"));
        }
    }

    /// One fault, alone: a majority is left, and goes on.
    fn strike(&mut self, fault: Fault) {
        if Fault::OF_LINES.contains(&fault) {
            self.begin(fault);
            self.load.progress();
            self.a_while();
            self.finish(fault);
        } else {
            self.strike_process(fault, true);
        }
    }

    fn strike_process(&mut self, fault: Fault, alone: bool) {
        let victim = self.victim();
        match fault {
            Fault::Pause => self.pause(victim, alone),
            Fault::Kill => self.kill(victim, alone),
            Fault::KillAll => self.kill_all(),
            Fault::Terminate => self.terminate(victim),
            Fault::WriteFails => self.writes_fail(victim),
            Fault::TornTail => self.tear_the_tail(victim),
            Fault::Damage => self.damage(victim),
            Fault::Wipe => self.wipe(victim),
            Fault::Halves | Fault::OneWay | Fault::Bridge | Fault::LostLeader | Fault::Resets | Fault::BadLines => {
                unreachable!("{fault:?} is one of the lines")
            }
        }
        self.note(fault);
    }

    fn pause(&mut self, victim: usize, alone: bool) {
        self.cluster.nodes[victim].pause();
        let asked = self.cluster.clients[victim].impatient(Duration::from_millis(300));
        eventually("a process that is stopped answers no more", || asked.status().is_err().then_some(()));
        if alone {
            self.load.progress();
        }
        self.a_while();
        self.cluster.nodes[victim].resume();
    }

    fn kill(&mut self, victim: usize, alone: bool) {
        self.cluster.nodes[victim].kill();
        if alone {
            self.load.progress();
        }
        self.cluster.nodes[victim].restart();
    }

    fn kill_all(&mut self) {
        for node in &mut self.cluster.nodes {
            node.kill();
        }
        for node in &mut self.cluster.nodes {
            node.restart();
        }
    }

    fn terminate(&mut self, victim: usize) {
        let status = self.cluster.nodes[victim].terminate();
        assert!(status.success(), "{status}: {}", self.cluster.nodes[victim].printed());
        self.load.progress();
        self.cluster.nodes[victim].restart();
    }

    /// The leader, or anybody.
    fn victim(&mut self) -> usize {
        let anybody = self.chance.random_range(0..NODES);
        if self.chance.random() { self.cluster.leader().unwrap_or(anybody) } else { anybody }
    }

    fn pick(&mut self, faults: &[Fault]) -> Fault {
        faults[self.chance.random_range(0..faults.len())]
    }

    fn note(&mut self, fault: Fault) {
        *self.happened.entry(fault).or_default() += 1;
    }

    /// Not a wait for something, but for how long a fault lasts: from less than an election timeout to several.
    fn a_while(&mut self) {
        std::thread::sleep(Duration::from_millis(self.chance.random_range(50..1_500)));
    }

    /// All nodes run, and clients are served.
    fn recovered(&mut self, after: &str) {
        eventually(&format!("all nodes run after {after}"), || {
            for node in &mut self.cluster.nodes {
                assert!(node.is_running(), "a node ended by itself after {after}:\n{}", node.printed());
            }
            let all = self.cluster.clients.iter().all(|client| client.impatient(DEADLINE).status().is_ok());
            all.then_some(())
        });
        self.load.progress();
        println!("{after}: {}", self.load.summary());
    }

    /// Everything that has to be true of the whole run.
    fn end(mut self) {
        for fault in Fault::ALL {
            assert!(self.happened.contains_key(fault), "{fault:?} did not happen: {:?}", self.happened);
        }
        println!("faults: {:?}", self.happened);
        println!("lines: {:?}", self.cluster.mesh.as_ref().expect("a cluster under fire").counts());
        self.cluster.settled();
        let history = self.load.stop(&self.cluster.clients);
        judge::all_nodes_have_the_same(&self.cluster.clients, history.operations());
        judge::what_clients_were_told(history.operations());
        println!("terms: {}", self.watch.stop());
    }
}
