//! What is seen of the nodes, on its way to those who judge it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_actor::clock::TimeSource as _;
use raft_actor::consensus::notation::Moment;
use raft_actor::consensus::{Effect, GroupId, Input, LogIndex, LogPosition, NodeId, Raft, Role, Term, Time};
use raft_actor::envelope::Envelope;
use raft_actor::log_storage::sim_disk::SimDisk;
use raft_actor::observer::Observer;
use serde::Serialize;

use super::checker::{Checker, Situations, Verdict, Violation};
use super::disks::DiskReaders;
use super::durable::{Damage, RecordPlace};
use super::hash::number_of;
use super::oracle::{Fate, Kind, Oracle};
use super::time::NodeClock;
use super::trace::{Trace, Travel};
use super::words::{ADVICE, Words};

/// States of the machines as numbers, by the entries after which they were so, and who had them first.
pub(super) type States = BTreeMap<LogIndex, (NodeId, u64)>;

/// Sees everything. Clones are the same judge.
#[derive(Clone, Default)]
pub(super) struct Judge {
    state: Arc<Mutex<State>>,
}

struct State {
    now: Time,
    violation: Option<Violation>,
    /// What the running servers were after their last step.
    seen: BTreeMap<NodeId, Seen>,
    /// What they were before the one that they are taking.
    before: Option<Moment>,
    disks: DiskReaders,
    checker: Checker,
    oracle: Oracle,
    words: Words,
    /// The last command that each running machine has applied.
    machines: BTreeMap<NodeId, LogIndex>,
    trace: Trace,
    /// The state of the machines after some entries, as the first server had it.
    states: States,
    looks_at_every_state: bool,
    steps: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            now: Time::ZERO,
            violation: None,
            seen: BTreeMap::new(),
            before: None,
            disks: DiskReaders::default(),
            checker: Checker::new(),
            oracle: Oracle::default(),
            words: Words::default(),
            machines: BTreeMap::new(),
            trace: Trace::keeping(0),
            states: BTreeMap::new(),
            looks_at_every_state: false,
            steps: 0,
        }
    }
}

impl State {
    /// The first violation counts; what comes after it may be its consequence.
    fn rule(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }

    /// Takes in what has become durable on a server's disk since the last look.
    fn follow(&mut self, node: NodeId) {
        let verdict = match self.disks.follow(node) {
            Ok(None) => return,
            Ok(Some(disk)) => self.checker.durable_changed(node, disk),
            Err(damage) => Err(unreadable(node, &damage)),
        };
        self.rule(verdict);
    }
}

fn unreadable(node: NodeId, damage: &Damage) -> Violation {
    let what = format!("what is durable on the disk of n{node} cannot be read: {damage}");
    Violation { invariant: "durable_log", node: Some(node), what }
}

/// What a running node was after its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// How much it knows to be committed.
    pub commit: LogIndex,
    /// How much its state machine has applied.
    pub applied: LogIndex,
    /// How long its log is.
    pub last: LogIndex,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, role, term, commit, applied, last } = self;
        write!(f, "n{node}@{term} {role:?} last {last} commit {commit} applied {applied}")
    }
}

impl Judge {
    fn state_of_things(&self) -> MutexGuard<'_, State> {
        // A panic of a node does not keep others from being judged.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn at(&self, now_us: u64) {
        let state = &mut *self.state_of_things();
        state.now = Time::from_micros(now_us);
        state.checker.at(state.now);
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        self.state_of_things().violation.clone()
    }

    pub(super) fn found(&self, invariant: &'static str, node: Option<NodeId>, what: String) {
        self.state_of_things().rule(Err(Violation { invariant, node, what }));
    }

    pub(super) fn observer(&self, node: NodeId, clock: Arc<NodeClock>) -> Arc<dyn Observer> {
        Arc::new(Eye { judge: self.clone(), node, clock })
    }

    pub(super) fn running(&self) -> Vec<Seen> {
        self.state_of_things().seen.values().copied().collect()
    }

    pub(super) fn steps(&self) -> u64 {
        self.state_of_things().steps
    }

    pub(super) fn situations(&self) -> Situations {
        self.state_of_things().checker.situations().clone()
    }

    /// A number that stands for everything that has happened.
    pub(super) fn hash(&self) -> u64 {
        self.state_of_things().trace.hash()
    }

    /// Keeps the last events, and writes all of them to `out`.
    pub(super) fn trace(&self, kept_max: usize, out: Option<Box<dyn io::Write + Send>>) {
        let mut trace = Trace::keeping(kept_max);
        if let Some(out) = out {
            trace.write_to(out);
        }
        self.state_of_things().trace = trace;
    }

    pub(super) fn last_events(&self) -> Vec<String> {
        self.state_of_things().trace.latest().collect()
    }

    /// Something happened that is no step of a core.
    pub(super) fn note(&self, node: Option<NodeId>, what: &'static str, number: u64) {
        let state = &mut *self.state_of_things();
        state.trace.note(state.now, node, what, number);
    }

    pub(super) fn joins(&self, node: NodeId, disk: &SimDisk) {
        self.state_of_things().disks.add(node, disk);
    }

    pub(super) fn starts(&self, node: NodeId, run: u64) {
        self.note(Some(node), "starts", run);
        self.state_of_things().oracle.started(node);
    }

    /// What its disk holds is looked at once more: nobody writes to it now.
    pub(super) fn crashes(&self, node: NodeId) {
        self.note(Some(node), "crashes", 0);
        let state = &mut *self.state_of_things();
        state.follow(node);
        state.checker.crashed(node);
        state.seen.remove(&node);
        state.machines.remove(&node);
        if state.disks.has_rotted(node) {
            state.disks.damaged(node);
            state.checker.damaged(node);
        }
    }

    pub(super) fn wiped(&self, node: NodeId) {
        self.note(Some(node), "has an empty disk", 0);
        let state = &mut *self.state_of_things();
        state.checker.wiped(node);
        state.follow(node);
    }

    /// A bit of this disk was flipped: nobody need be able to read it.
    pub(super) fn damaged(&self, node: NodeId) {
        self.note(Some(node), "has a damaged disk", 0);
        let state = &mut *self.state_of_things();
        state.follow(node);
        state.disks.damaged(node);
        state.checker.damaged(node);
    }

    /// A bit of this disk was flipped under a process that runs: it finds out when it reads there, or the next one does.
    pub(super) fn rots(&self, node: NodeId) {
        self.note(Some(node), "has a rotten disk", 0);
        let state = &mut *self.state_of_things();
        state.follow(node);
        state.disks.rots(node);
    }

    /// The file of a server's newest snapshot.
    pub(super) fn snapshot_file(&self, node: NodeId) -> Option<PathBuf> {
        let state = &mut *self.state_of_things();
        state.follow(node);
        state.disks.snapshot_file(node)
    }

    /// Whether a server's newest snapshot is what was written.
    pub(super) fn snapshot_is_sound(&self, node: NodeId) -> bool {
        let state = &mut *self.state_of_things();
        state.follow(node);
        state.disks.snapshot_is_sound(node)
    }

    /// Whether this server runs and has lost nothing, or has it all back.
    pub(super) fn is_whole(&self, node: NodeId) -> bool {
        let state = &mut *self.state_of_things();
        !state.disks.is_damaged(node) && state.checker.is_whole(node)
    }

    /// Whether this server has a vote, by the last configuration that was committed.
    pub(super) fn is_voter(&self, node: NodeId) -> bool {
        self.state_of_things().checker.is_voter(node)
    }

    /// Whether this server runs and does without heartbeats.
    pub(super) fn rests(&self, node: NodeId) -> bool {
        self.state_of_things().checker.rests(node)
    }

    pub(super) fn earlier_records(&self, node: NodeId) -> Vec<RecordPlace> {
        let state = &mut *self.state_of_things();
        state.follow(node);
        state.disks.earlier_records(node)
    }

    pub(super) fn leaves(&self, envelope: &Envelope) {
        let state = &mut *self.state_of_things();
        state.follow(envelope.from);
        let verdict = state.checker.leaves(envelope, &state.disks);
        state.rule(verdict);
        state.trace.travels(state.now, Travel::Leaves, envelope);
    }

    pub(super) fn arrives(&self, envelope: &Envelope) {
        let state = &mut *self.state_of_things();
        state.trace.travels(state.now, Travel::Arrives, envelope);
    }

    pub(super) fn is_lost(&self, envelope: &Envelope) {
        let state = &mut *self.state_of_things();
        state.trace.travels(state.now, Travel::IsLost, envelope);
    }

    /// A client asks.
    pub(super) fn called(&self, request: u64, kind: Kind) {
        let state = &mut *self.state_of_things();
        state.oracle.called(request, state.now.as_micros(), kind);
    }

    /// A client is told.
    pub(super) fn returned(&self, request: u64, fate: Fate) {
        let state = &mut *self.state_of_things();
        let verdict = state.oracle.returned(request, state.now.as_micros(), fate);
        state.rule(verdict);
    }

    /// All tries of a request have failed so far.
    pub(super) fn has_failed_so_far(&self, request: u64) {
        let state = &mut *self.state_of_things();
        let verdict = state.oracle.has_failed_so_far(request);
        state.rule(verdict);
    }

    /// A client is told that its session is forgotten.
    pub(super) fn told_expired(&self, client: &str, sequence: u64) {
        let state = &mut *self.state_of_things();
        let verdict = state.checker.told_expired(client, sequence);
        state.rule(verdict);
    }

    /// Has somebody look at the log as the clients' judge knows it.
    pub(super) fn with_log(&self, look: impl FnOnce(&Oracle, &Words) -> Verdict) {
        let state = &mut *self.state_of_things();
        let verdict = look(&state.oracle, &state.words);
        state.rule(verdict);
    }

    /// Has somebody look at the log, and at the states of the machines after some of its entries.
    pub(super) fn with_states(&self, look: impl FnOnce(&Oracle, &States) -> Verdict) {
        let state = &mut *self.state_of_things();
        let verdict = look(&state.oracle, &state.states);
        state.rule(verdict);
    }

    /// These servers can be asked, and nothing is under way: each of them has to know everything.
    pub(super) fn nothing_is_lost(&self, nodes: &[NodeId]) -> Verdict {
        let state = &mut *self.state_of_things();
        let last = |node: &NodeId| (*node, state.machines.get(node).copied().unwrap_or_default());
        state.oracle.finish(nodes.iter().map(last))
    }

    /// A machine has applied a command upon the state after `after`.
    pub(super) fn applied<R: Serialize>(
        &self,
        node: NodeId,
        after: LogIndex,
        position: LogPosition,
        request: u64,
        value: &R,
    ) {
        let state = &mut *self.state_of_things();
        let response = number_of(value);
        state.words.says(node, position.index, || rmp_serde::to_vec_named(value).ok());
        let verdict = state.checker.applied(node, position, request, response);
        state.rule(verdict.map_err(|violation| state.words.explain(violation, position, value)));
        let verdict = state.oracle.applied(node, after, position, request, response);
        state.rule(verdict);
        state.machines.insert(node, position.index);
        state.trace.applies(state.now, node, position, response);
    }

    /// A machine was opened that has kept by itself a state whose last command stands at `index`.
    pub(super) fn holds(&self, node: NodeId, index: LogIndex) {
        self.note(Some(node), "holds a state", index.get());
        let state = &mut *self.state_of_things();
        state.checker.holds(node, index);
        state.machines.insert(node, index);
    }

    /// A machine has loaded a state whose last command stands at `index`.
    pub(super) fn loaded(&self, node: NodeId, index: LogIndex) {
        self.note(Some(node), "loads a state", index.get());
        let state = &mut *self.state_of_things();
        let verdict = state.checker.loaded(node, index);
        state.rule(verdict);
        state.machines.insert(node, index);
    }

    /// From now on the states of the machines are compared after each command.
    pub(super) fn look_at_every_state(&self) {
        self.state_of_things().looks_at_every_state = true;
    }

    pub(super) fn looks_at_every_state(&self) -> bool {
        self.state_of_things().looks_at_every_state
    }

    /// The whole state of a machine after the entry at `index`, as a number.
    pub(super) fn state(&self, node: NodeId, index: LogIndex, fingerprint: u64) {
        let state = &mut *self.state_of_things();
        let (first, known) = *state.states.entry(index).or_insert((node, fingerprint));
        if known != fingerprint {
            let what = format!(
                "after entry {index} the state machines of n{first} and n{node} are saved as different bytes: {ADVICE}. If the states are equal and only their order differs, as that \
                 of a HashMap does, use a BTreeMap, or switch compare_states off"
            );
            state.rule(Err(Violation { invariant: "equal_states", node: Some(node), what }));
        }
    }

    pub(super) fn cannot_save(&self, node: NodeId, error: &io::Error) {
        self.found("snapshot", Some(node), format!("the state of n{node} cannot be saved: {error}"));
    }

    /// Everything is looked at once more, from scratch.
    pub(super) fn finish(&self) -> Verdict {
        let state = &mut *self.state_of_things();
        if let Err((node, damage)) = state.disks.check() {
            return Err(unreadable(node, &damage));
        }
        let verdict = state.checker.recheck(&state.disks);
        state.rule(verdict);
        state.violation.clone().map_or(Ok(()), Err)
    }
}

/// Looks on at one server.
struct Eye {
    judge: Judge,
    node: NodeId,
    clock: Arc<NodeClock>,
}

impl Observer for Eye {
    fn before(&self, _: GroupId, raft: &Raft, input: &Input) {
        let state = &mut *self.judge.state_of_things();
        let looked = state.disks.look_again(self.node);
        state.rule(looked.map_err(|damage| unreadable(self.node, &damage)));
        state.follow(self.node);
        if !state.checker.is_running(self.node)
            && let Some(disk) = state.disks.reader(self.node)
        {
            let verdict = state.checker.started(self.node, raft, disk);
            state.rule(verdict);
        }
        state.checker.before(self.node, input, self.clock.now());
        state.before = Some(Moment::from(raft));
    }

    fn after(&self, _: GroupId, raft: &Raft, effects: &[Effect]) {
        let state = &mut *self.judge.state_of_things();
        let verdict = state.checker.after(self.node, raft, effects, &state.disks);
        state.rule(verdict);
        let after = Moment::from(raft);
        if let Some(before) = state.before.take() {
            state.trace.step(state.now, before, after, effects);
        }
        let Moment { role, term, commit, .. } = after;
        let (applied, last) = (raft.applied(), raft.log().last().index);
        state.seen.insert(self.node, Seen { node: self.node, role, term, commit, applied, last });
        state.steps += 1;
    }
}
