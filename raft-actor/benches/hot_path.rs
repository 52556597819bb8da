//! How many instructions the hot path takes, counted by callgrind: the same on every run, however busy the machine is.
//!
//! Each benchmark has a limit a few percent above what it took when the limit was written down, and fails beyond it: see
//! docs/BENCHMARKS.md. Needs valgrind and a `gungraun-runner` of the version of the crate.

#![expect(missing_docs, reason = "the macros make items of their own")]

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;

use bytes::Bytes;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use raft_actor::consensus::{
    AppendEntries, Configuration, Effect, Effects, Entries, Entry, GroupId, HardState, Input, Log, LogIndex,
    LogPosition, LogWrite, Message, NodeId, Payload, ProposalId, Raft, Role, Round, Settings, Start, Term, Time,
};
use raft_actor::envelope::{Body, Envelope, codec};
use raft_actor::log_storage::{GroupWrite, LogStorage, Wal, WalOptions};
use tempfile::TempDir;

/// Commands in a batch, and bytes in a command.
const BATCH: usize = 64;
const COMMAND_BYTES: usize = 256;
const FRAME_BYTES_MAX: u32 = 8 << 20;

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let limits = Callgrind::default().hard_limits([(EventKind::Ir, instructions)]).clone();
    LibraryBenchmarkConfig::default().tool(limits).clone()
}

fn commands() -> Vec<Bytes> {
    (0..BATCH).map(|_| Bytes::from(vec![0x5a; COMMAND_BYTES])).collect()
}

/// The cores of three members whose disks and network take no time; server 1 leads.
struct Cluster {
    members: BTreeMap<NodeId, Raft>,
    logs: BTreeMap<NodeId, Entries>,
    inputs: VecDeque<(NodeId, Input)>,
    effects: Effects,
    now: Time,
}

impl Cluster {
    fn led() -> Self {
        let ids = [1, 2, 3].map(NodeId::from);
        let members = ids.map(|id| {
            let voters = ids.map(|voter| (voter, String::new()));
            let raft = Raft::new(Start {
                id,
                settings: Settings::default(),
                hard_state: HardState::default(),
                log: Log::new(LogPosition::ZERO, Configuration::of_voters(voters)),
                snapshot: None,
                applied: LogIndex::ZERO,
                suffrage: true,
                directory: None,
                seed: id.get(),
                now: Time::ZERO,
            });
            (id, raft)
        });
        let mut cluster = Self {
            members: members.into_iter().collect(),
            logs: ids.into_iter().map(|id| (id, Entries::default())).collect(),
            inputs: VecDeque::new(),
            effects: Effects::new(),
            now: Time::from_millis(60_000),
        };
        cluster.inputs.push_back((ids[0], Input::Deadline));
        cluster.settle();
        assert_eq!(cluster.members[&ids[0]].role(), Role::Leader);
        // What grows does so before it is measured.
        (0..4).for_each(|_| cluster.replicate(commands()));
        cluster
    }

    /// From the proposal until all three have applied it.
    fn replicate(&mut self, commands: Vec<Bytes>) {
        self.inputs.push_back((NodeId::from(1), Input::Propose { id: ProposalId(1), commands }));
        self.settle();
    }

    fn settle(&mut self) {
        while let Some((id, input)) = self.inputs.pop_front() {
            self.members.get_mut(&id).expect("a member").step(self.now, input, &mut self.effects);
            let mut effects = std::mem::take(&mut self.effects);
            effects.drain().for_each(|effect| self.carry_out(id, effect));
            self.effects = effects;
        }
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect) {
        match effect {
            Effect::Persist { seq, log, .. } => {
                if let Some(LogWrite::Append(entries)) = log {
                    self.logs.insert(id, entries);
                }
                self.inputs.push_back((id, Input::Persisted(seq)));
            }
            Effect::Send { to, message } => self.inputs.push_back((to, Input::Received { from: id, message })),
            Effect::Replicate(order) => {
                // The newest batch is all that is ever asked for.
                let message = Message::AppendEntries(AppendEntries {
                    term: order.term,
                    prev: order.prev,
                    entries: self.logs[&id].clone(),
                    commit: order.commit,
                    round: order.round,
                    rest: false,
                    repair: None,
                });
                self.inputs.push_back((order.peer, Input::Received { from: id, message }));
            }
            Effect::Apply { through } => self.inputs.push_back((id, Input::Applied(through))),
            other => drop(black_box(other)),
        }
    }
}

fn entries(first: u64) -> Entries {
    let entry = |index: u64| Entry {
        position: LogPosition::new(Term::new(1), LogIndex::new(index)),
        payload: Payload::Command(Bytes::from(vec![0x5a; COMMAND_BYTES])),
    };
    (first..first + BATCH as u64).map(entry).collect()
}

fn append() -> Envelope {
    let message = Message::AppendEntries(AppendEntries {
        term: Term::new(1),
        prev: LogPosition::ZERO,
        entries: entries(1),
        commit: LogIndex::ZERO,
        round: Round::default(),
        rest: false,
        repair: None,
    });
    Envelope { group: GroupId::new(1), from: NodeId::from(1), to: NodeId::from(2), body: Body::Raft(message) }
}

fn encoded() -> Vec<u8> {
    let mut frame = Vec::new();
    codec::encode(&append(), FRAME_BYTES_MAX, &mut frame).expect("it fits");
    frame
}

/// A log with some batches in it, and the next one.
fn log() -> (Wal, GroupWrite, TempDir) {
    let directory = TempDir::new().expect("a directory for temporary files");
    let mut wal = Wal::open(directory.path(), WalOptions::default()).expect("the log opens");
    let write =
        |first| GroupWrite { group: GroupId::new(1), hard_state: None, log: Some(LogWrite::Append(entries(first))) };
    for batch in 0..4 {
        wal.write(&[write(batch * BATCH as u64 + 1)]).expect("it is written");
        wal.sync().expect("it is synced");
    }
    (wal, write(4 * BATCH as u64 + 1), directory)
}

#[library_benchmark(config = at_most(82_500))]
#[bench::of_64(Cluster::led(), commands())]
fn core_propose_commit_apply(mut cluster: Cluster, commands: Vec<Bytes>) -> Cluster {
    cluster.replicate(black_box(commands));
    cluster
}

#[library_benchmark(config = at_most(22_300))]
#[bench::of_64(append())]
fn append_encode(envelope: Envelope) -> (Envelope, Vec<u8>) {
    let mut frame = Vec::new();
    codec::encode(black_box(&envelope), FRAME_BYTES_MAX, &mut frame).expect("it fits");
    (envelope, frame)
}

#[library_benchmark(config = at_most(43_800))]
#[bench::of_64(encoded())]
fn append_decode(frame: Vec<u8>) -> Envelope {
    codec::decode(black_box(&frame[4..])).expect("it is a frame")
}

#[library_benchmark(config = at_most(94_700))]
#[bench::of_64(log())]
fn wal_write_and_sync((mut wal, write, directory): (Wal, GroupWrite, TempDir)) -> (Wal, TempDir) {
    wal.write(black_box(&[write])).expect("it is written");
    wal.sync().expect("it is synced");
    (wal, directory)
}

library_benchmark_group!(
    name = hot_path,
    benchmarks = [core_propose_commit_apply, append_encode, append_decode, wal_write_and_sync]
);
main!(library_benchmark_groups = hot_path);
