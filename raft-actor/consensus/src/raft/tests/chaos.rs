//! Everything at random, by a seed: messages late, lost, doubled and out of
//! order, disks that lag, members that crash, partitions. Safety is checked as
//! it goes, by an oracle that sees all members at once; liveness at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::testing::*;
use crate::*;

struct Chaos {
    seed: u64,
    rng: ChaCha8Rng,
    cluster: Cluster,
    next_id: u64,
    /// Who led each term (Election Safety).
    leaders: BTreeMap<Term, NodeId>,
    /// What has been applied anywhere, in order (State Machine Safety).
    applied: Vec<Entry>,
    /// What had been applied anywhere when a read arrived.
    reads: BTreeMap<ReadId, LogIndex>,
    reads_served: usize,
    restarts: usize,
}

impl Chaos {
    fn new(seed: u64, voters: u64) -> Self {
        let mut cluster = Cluster::of(voters);
        cluster.members.values_mut().for_each(|member| member.is_disk_held = true);
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let (leaders, reads) = (BTreeMap::new(), BTreeMap::new());
        Self { seed, rng, cluster, next_id: 0, leaders, applied: Vec::new(), reads, reads_served: 0, restarts: 0 }
    }

    fn any_member(&mut self) -> NodeId {
        let members = u64::try_from(self.cluster.members.len()).expect("few");
        id(self.rng.random_range(1..=members))
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn act(&mut self) {
        let n = self.any_member();
        match self.rng.random_range(0..1000) {
            0..640 => self.deliver(),
            640..760 => {
                let count = self.rng.random_range(1..4);
                if let Some(seq) = self.cluster.member(n.get()).disk.confirm(count) {
                    self.cluster.input(n, Input::Persisted(seq));
                }
            }
            760..860 => {
                let now = self.cluster.now.after(Duration::from_micros(self.rng.random_range(0..10_000)));
                self.cluster.now = now;
                if self.cluster.raft(n.get()).next_deadline() <= now {
                    self.cluster.input(n, Input::Deadline);
                }
            }
            860..940 => {
                let id = ProposalId(self.next_id());
                let commands = vec![Bytes::from(id.0.to_be_bytes().to_vec()); self.rng.random_range(1..4)];
                self.cluster.input(n, Input::Propose { id, commands });
            }
            940..980 => {
                let id = ReadId(self.next_id());
                self.reads.insert(id, self.applied.last().map_or(LogIndex::ZERO, |entry| entry.position.index));
                self.cluster.input(n, Input::Read { id });
            }
            980..985 => {
                let peer = self.any_member();
                let is_closed = self.rng.random_bool(0.5);
                self.cluster.input(n, if is_closed { Input::HungUp(peer) } else { Input::Unreachable(peer) });
            }
            985..995 => {
                let pair = (n, self.any_member());
                if !self.cluster.cut.remove(&pair) && pair.0 != pair.1 {
                    self.cluster.cut.insert(pair);
                }
            }
            _ => {
                self.restarts += 1;
                let seed = self.rng.random();
                self.cluster.restart(n.get(), seed);
            }
        }
    }

    /// One of the oldest messages arrives, most of the time.
    fn deliver(&mut self) {
        let oldest = self.cluster.messages.len().min(6);
        if oldest == 0 {
            return;
        }
        let at = self.rng.random_range(0..oldest);
        let (from, to, message) = self.cluster.messages.remove(at).expect("just counted");
        let fate = self.rng.random_range(0..100);
        if fate < 5 || self.cluster.cut.contains(&(from, to)) || self.cluster.cut.contains(&(to, from)) {
            return;
        }
        if fate < 10 {
            self.cluster.messages.push_back((from, to, message.clone()));
        }
        self.cluster.input(to, Input::Received { from, message });
    }

    fn check(&mut self) {
        for (n, member) in &mut self.cluster.members {
            for answer in member.answers.drain(..) {
                match answer {
                    Effect::RoleChanged { role: Role::Leader, term, .. } => {
                        let leader = *self.leaders.entry(term).or_insert(*n);
                        assert_eq!(leader, *n, "seed {}: two leaders in term {term}", self.seed);
                    }
                    Effect::ReadReady { id, index } => {
                        self.reads_served += 1;
                        assert!(index >= self.reads[&id], "seed {}: read {id:?} at {index} is stale", self.seed);
                    }
                    _ => {}
                }
            }
            let known = LogIndex::new(u64::try_from(self.applied.len()).expect("few"));
            for entry in member.log.range(LogIndex::new(1), member.applied.min(known)).iter() {
                let at = usize::try_from(entry.position.index.prev().get()).expect("few");
                assert_eq!(&self.applied[at], entry, "seed {}: {n} applied something else", self.seed);
            }
            self.applied.extend(member.log.range(known.next(), member.applied).iter().cloned());
        }
    }

    /// All faults removed: the cluster has to converge and serve.
    fn heal(&mut self) {
        self.cluster.cut.clear();
        for n in 1..=u64::try_from(self.cluster.members.len()).expect("few") {
            self.cluster.release_disk(n);
        }
        self.cluster.run_for(Duration::from_secs(3));
        self.check();
        let [leader] = self.cluster.leaders()[..] else {
            panic!("seed {}: leaders {:?} at the end", self.seed, self.cluster.leaders())
        };
        let before = self.cluster.raft(leader.get()).commit();
        self.cluster.propose(leader.get(), 1);
        self.cluster.run_for(Duration::from_millis(100));
        self.check();
        assert_eq!(self.cluster.raft(leader.get()).commit(), before.next(), "seed {}: no fresh commit", self.seed);
        for (n, member) in &self.cluster.members {
            assert_eq!(member.applied, before.next(), "seed {}: {n} lags", self.seed);
        }
    }
}

#[test]
fn no_fault_breaks_safety_and_without_faults_the_cluster_serves_again() {
    let (mut committed, mut terms, mut reads, mut restarts) = (0, 0, 0, 0);
    for seed in 0..30 {
        let mut chaos = Chaos::new(seed, [1, 2, 3, 3, 5][usize::try_from(seed % 5).expect("small")]);
        for _ in 0..3000 {
            chaos.act();
            chaos.check();
        }
        committed += chaos.applied.len();
        terms += chaos.leaders.len();
        reads += chaos.reads_served;
        restarts += chaos.restarts;
        chaos.heal();
    }
    // A run in which nothing happened proves nothing.
    assert!(committed > 1000, "{committed} entries");
    assert!(terms > 50, "{terms} leaders");
    assert!(reads > 100, "{reads} reads");
    assert!(restarts > 150, "{restarts} restarts");
}
