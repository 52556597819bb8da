//! What is seen of the nodes, on its way to those who judge it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_actor::clock::TimeSource as _;
use raft_actor::consensus::notation::Moment;
use raft_actor::consensus::{Effect, GroupId, Input, LogIndex, LogPosition, NodeId, Raft, Role, Term, Time};
use raft_actor::envelope::{Body, Envelope};
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

/// A member: of which group, on which server.
pub(super) type Whose = (GroupId, NodeId);

/// What is about a server and none of its groups.
const HOST: GroupId = GroupId::new(0);

/// Sees everything. Clones are the same judge.
#[derive(Clone, Default)]
pub(super) struct Judge {
    state: Arc<Mutex<State>>,
}

struct State {
    now: Time,
    violation: Option<Violation>,
    /// What a server was before the step that it is taking.
    before: Option<Moment>,
    trace: Trace,
    steps: u64,
    /// What is judged of each group; the first has the number 1.
    cases: Vec<Case>,
}

/// What is judged of one group.
#[derive(Default)]
struct Case {
    /// What the running servers were after their last step.
    seen: BTreeMap<NodeId, Seen>,
    disks: DiskReaders,
    checker: Checker,
    oracle: Oracle,
    words: Words,
    /// The last command that each running machine has applied.
    machines: BTreeMap<NodeId, LogIndex>,
    /// The state of the machines after some entries, as the first server had it.
    states: States,
    looks_at_every_state: bool,
}

impl Default for State {
    fn default() -> Self {
        let (now, trace) = (Time::ZERO, Trace::keeping(0));
        Self { now, violation: None, before: None, trace, steps: 0, cases: Vec::new() }
    }
}

impl State {
    /// The first violation counts; what comes after it may be its consequence.
    fn rule(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }

    /// What is judged of a group.
    fn of(&mut self, group: GroupId) -> &mut Case {
        self.trace.about(group);
        &mut self.cases[place(group)]
    }

    /// Takes in what has become durable on a server's disk since the last look.
    fn follow(&mut self, group: GroupId, node: NodeId) {
        let verdict = self.of(group).follow(node);
        self.rule(verdict);
    }

    /// Looks at all groups, one after the other.
    fn all(&mut self, mut look: impl FnMut(&mut Case) -> Verdict) {
        for at in 0..self.cases.len() {
            let verdict = look(&mut self.cases[at]);
            self.rule(verdict);
        }
    }
}

impl Case {
    fn follow(&mut self, node: NodeId) -> Verdict {
        match self.disks.follow(node) {
            Ok(None) => Ok(()),
            Ok(Some(disk)) => self.checker.durable_changed(node, disk),
            Err(damage) => Err(unreadable(node, &damage)),
        }
    }

    /// A run of a member is over, for whatever reason.
    fn ends(&mut self, node: NodeId) -> Verdict {
        let verdict = self.follow(node);
        self.checker.crashed(node);
        self.seen.remove(&node);
        self.machines.remove(&node);
        verdict
    }
}

/// Where what is judged of a group is in the list.
pub(super) fn place(group: GroupId) -> usize {
    usize::try_from(group.get()).expect("there are few groups") - 1
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
        state.cases.iter_mut().for_each(|case| case.checker.at(state.now));
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

    pub(super) fn running(&self, group: GroupId) -> Vec<Seen> {
        self.state_of_things().of(group).seen.values().copied().collect()
    }

    pub(super) fn steps(&self) -> u64 {
        self.state_of_things().steps
    }

    /// In all groups together.
    pub(super) fn situations(&self) -> Situations {
        let mut all = Situations::default();
        self.state_of_things().cases.iter().for_each(|case| all.add(case.checker.situations()));
        all
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
        state.trace.about(HOST);
        state.trace.note(state.now, node, what, number);
    }

    /// There is one more group to be judged.
    pub(super) fn begins(&self, group: GroupId) {
        let state = &mut *self.state_of_things();
        let disks = state.cases.first().map_or_else(DiskReaders::default, |first| first.disks.beside(group));
        let mut case = Case { disks, ..Case::default() };
        case.checker.at(state.now);
        state.cases.push(case);
    }

    pub(super) fn joins(&self, node: NodeId, disk: &SimDisk) {
        self.state_of_things().cases.iter_mut().for_each(|case| case.disks.add(node, disk));
    }

    pub(super) fn starts(&self, node: NodeId, run: u64) {
        self.note(Some(node), "starts", run);
        self.state_of_things().cases.iter_mut().for_each(|case| case.oracle.started(node));
    }

    /// What its disk holds is looked at once more: nobody writes to it now.
    pub(super) fn crashes(&self, node: NodeId) {
        self.note(Some(node), "crashes", 0);
        self.state_of_things().all(|case| {
            let verdict = case.ends(node);
            if case.disks.has_rotted(node) {
                case.disks.damaged(node);
                case.checker.damaged(node);
            }
            verdict
        });
    }

    /// A group does not run on a server any more, whose process goes on.
    pub(super) fn stops(&self, group: GroupId, node: NodeId) {
        self.note(Some(node), "stops the group", group.get());
        let state = &mut *self.state_of_things();
        let verdict = state.of(group).ends(node);
        state.rule(verdict);
        state.of(group).oracle.started(node);
    }

    /// A server is told to destroy a group.
    pub(super) fn destroys(&self, group: GroupId, node: NodeId) {
        self.note(Some(node), "is to destroy the group", group.get());
        self.state_of_things().of(group).checker.destroys(node);
    }

    /// A server says that it has destroyed a group.
    pub(super) fn has_destroyed(&self, group: GroupId, node: NodeId) {
        self.note(Some(node), "has destroyed the group", group.get());
        let state = &mut *self.state_of_things();
        let case = state.of(group);
        let verdict = case.disks.look_again(node).map_err(|damage| unreadable(node, &damage));
        let verdict = verdict.and_then(|()| case.follow(node));
        let verdict = verdict.and_then(|()| match case.disks.reader(node) {
            Some(disk) => case.checker.has_destroyed(node, disk),
            None => Ok(()),
        });
        state.rule(verdict);
    }

    pub(super) fn wiped(&self, node: NodeId) {
        self.note(Some(node), "has an empty disk", 0);
        self.state_of_things().all(|case| {
            case.checker.wiped(node);
            case.follow(node)
        });
    }

    /// A bit of this disk was flipped: nobody need be able to read it.
    pub(super) fn damaged(&self, node: NodeId) {
        self.note(Some(node), "has a damaged disk", 0);
        self.state_of_things().all(|case| {
            let verdict = case.follow(node);
            case.disks.damaged(node);
            case.checker.damaged(node);
            verdict
        });
    }

    /// A bit of this disk was flipped under a process that runs: it finds out when it reads there, or the next one does.
    pub(super) fn rots(&self, node: NodeId) {
        self.note(Some(node), "has a rotten disk", 0);
        self.state_of_things().all(|case| {
            let verdict = case.follow(node);
            case.disks.rots(node);
            verdict
        });
    }

    /// The file of a server's newest snapshot, of the first group that has one.
    pub(super) fn snapshot_file(&self, node: NodeId) -> Option<PathBuf> {
        let state = &mut *self.state_of_things();
        state.all(|case| case.follow(node));
        state.cases.iter().find_map(|case| case.disks.snapshot_file(node))
    }

    /// Whether a server's newest snapshots are what was written.
    pub(super) fn snapshot_is_sound(&self, node: NodeId) -> bool {
        let state = &mut *self.state_of_things();
        state.all(|case| case.follow(node));
        state.cases.iter().all(|case| case.disks.snapshot_is_sound(node))
    }

    /// Whether this server runs and has lost nothing, or has it all back.
    pub(super) fn is_whole(&self, node: NodeId) -> bool {
        let cases = &self.state_of_things().cases;
        let mut begun = cases.iter().filter(|case| case.checker.has_part(node)).peekable();
        begun.peek().is_some() && begun.all(|case| !case.disks.is_damaged(node) && case.checker.is_whole(node))
    }

    /// The same as far as a group is concerned.
    pub(super) fn is_whole_in(&self, group: GroupId, node: NodeId) -> bool {
        let state = &mut *self.state_of_things();
        let case = state.of(group);
        !case.disks.is_damaged(node) && case.checker.is_whole(node)
    }

    /// Whether this server has a vote in any group, by the last configuration that was committed.
    pub(super) fn is_voter(&self, node: NodeId) -> bool {
        self.state_of_things().cases.iter().any(|case| case.checker.is_voter(node))
    }

    /// Whether this server runs and does without heartbeats.
    pub(super) fn rests(&self, group: GroupId, node: NodeId) -> bool {
        self.state_of_things().of(group).checker.rests(node)
    }

    pub(super) fn earlier_records(&self, node: NodeId) -> Vec<RecordPlace> {
        let state = &mut *self.state_of_things();
        state.all(|case| case.follow(node));
        // Each group is judged from the whole log.
        state.cases.first().map(|case| case.disks.earlier_records(node)).unwrap_or_default()
    }

    pub(super) fn leaves(&self, envelope: &Envelope) {
        let state = &mut *self.state_of_things();
        if !matches!(envelope.body, Body::Pulse(_)) {
            state.follow(envelope.group, envelope.from);
            let case = state.of(envelope.group);
            let verdict = case.checker.leaves(envelope, &case.disks);
            state.rule(verdict);
        }
        state.trace.about(envelope.group);
        state.trace.travels(state.now, Travel::Leaves, envelope);
    }

    pub(super) fn arrives(&self, envelope: &Envelope) {
        let state = &mut *self.state_of_things();
        state.trace.about(envelope.group);
        state.trace.travels(state.now, Travel::Arrives, envelope);
    }

    pub(super) fn is_lost(&self, envelope: &Envelope) {
        let state = &mut *self.state_of_things();
        state.trace.about(envelope.group);
        state.trace.travels(state.now, Travel::IsLost, envelope);
    }

    /// A client asks.
    pub(super) fn called(&self, group: GroupId, request: u64, kind: Kind) {
        let state = &mut *self.state_of_things();
        let at_us = state.now.as_micros();
        state.of(group).oracle.called(request, at_us, kind);
    }

    /// A client is told.
    pub(super) fn returned(&self, group: GroupId, request: u64, fate: Fate) {
        let state = &mut *self.state_of_things();
        let at_us = state.now.as_micros();
        let verdict = state.of(group).oracle.returned(request, at_us, fate);
        state.rule(verdict);
    }

    /// All tries of a request have failed so far.
    pub(super) fn has_failed_so_far(&self, group: GroupId, request: u64) {
        let state = &mut *self.state_of_things();
        let verdict = state.of(group).oracle.has_failed_so_far(request);
        state.rule(verdict);
    }

    /// A client is told that its session is forgotten.
    pub(super) fn told_expired(&self, group: GroupId, client: &str, sequence: u64) {
        let state = &mut *self.state_of_things();
        let verdict = state.of(group).checker.told_expired(client, sequence);
        state.rule(verdict);
    }

    /// Has somebody look at the log as the clients' judge knows it.
    pub(super) fn with_log(&self, group: GroupId, look: impl FnOnce(&Oracle, &Words) -> Verdict) {
        let state = &mut *self.state_of_things();
        let case = state.of(group);
        let verdict = look(&case.oracle, &case.words);
        state.rule(verdict);
    }

    /// Has somebody look at the log, and at the states of the machines after some of its entries.
    pub(super) fn with_states(&self, group: GroupId, look: impl FnOnce(&Oracle, &States) -> Verdict) {
        let state = &mut *self.state_of_things();
        let case = state.of(group);
        let verdict = look(&case.oracle, &case.states);
        state.rule(verdict);
    }

    /// These servers can be asked, and nothing is under way: each of them has to know everything.
    pub(super) fn nothing_is_lost(&self, group: GroupId, nodes: &[NodeId]) -> Verdict {
        let state = &mut *self.state_of_things();
        let case = state.of(group);
        let last = |node: &NodeId| (*node, case.machines.get(node).copied().unwrap_or_default());
        case.oracle.finish(nodes.iter().map(last))
    }

    /// A machine has applied a command upon the state after `after`.
    pub(super) fn applied<R: Serialize>(
        &self,
        (group, node): Whose,
        after: LogIndex,
        position: LogPosition,
        request: u64,
        value: &R,
    ) {
        let state = &mut *self.state_of_things();
        let response = number_of(value);
        let case = state.of(group);
        case.words.says(node, position.index, || rmp_serde::to_vec_named(value).ok());
        let verdict = case.checker.applied(node, position, request, response);
        let verdict = verdict.map_err(|violation| case.words.explain(violation, position, value));
        let told = case.oracle.applied(node, after, position, request, response);
        case.machines.insert(node, position.index);
        state.rule(verdict);
        state.rule(told);
        state.trace.applies(state.now, node, position, response);
    }

    /// A machine was opened that has kept by itself a state whose last command stands at `index`.
    pub(super) fn holds(&self, (group, node): Whose, index: LogIndex) {
        self.note(Some(node), "holds a state", index.get());
        let state = &mut *self.state_of_things();
        let case = state.of(group);
        case.checker.holds(node, index);
        case.machines.insert(node, index);
    }

    /// A machine has loaded a state whose last command stands at `index`.
    pub(super) fn loaded(&self, (group, node): Whose, index: LogIndex) {
        self.note(Some(node), "loads a state", index.get());
        let state = &mut *self.state_of_things();
        let case = state.of(group);
        let verdict = case.checker.loaded(node, index);
        case.machines.insert(node, index);
        state.rule(verdict);
    }

    /// From now on the states of the machines are compared after each command.
    pub(super) fn look_at_every_state(&self, group: GroupId) {
        self.state_of_things().of(group).looks_at_every_state = true;
    }

    pub(super) fn looks_at_every_state(&self, group: GroupId) -> bool {
        self.state_of_things().of(group).looks_at_every_state
    }

    /// The whole state of a machine after the entry at `index`, as a number.
    pub(super) fn state(&self, (group, node): Whose, index: LogIndex, fingerprint: u64) {
        let state = &mut *self.state_of_things();
        let (first, known) = *state.of(group).states.entry(index).or_insert((node, fingerprint));
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
        for case in &mut state.cases {
            case.disks.check().map_err(|(node, damage)| unreadable(node, &damage))?;
        }
        state.all(|case| case.checker.recheck(&case.disks));
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
    fn before(&self, group: GroupId, raft: &Raft, input: &Input) {
        let state = &mut *self.judge.state_of_things();
        let case = state.of(group);
        let looked = case.disks.look_again(self.node);
        state.rule(looked.map_err(|damage| unreadable(self.node, &damage)));
        state.follow(group, self.node);
        let case = state.of(group);
        if !case.checker.is_running(self.node)
            && let Some(disk) = case.disks.reader(self.node)
        {
            let verdict = case.checker.started(self.node, raft, disk);
            state.rule(verdict);
        }
        state.of(group).checker.before(self.node, input, self.clock.now());
        state.before = Some(Moment::from(raft));
    }

    fn after(&self, group: GroupId, raft: &Raft, effects: &[Effect]) {
        let state = &mut *self.judge.state_of_things();
        let case = state.of(group);
        let verdict = case.checker.after(self.node, raft, effects, &case.disks);
        state.rule(verdict);
        let after = Moment::from(raft);
        if let Some(before) = state.before.take() {
            state.trace.step(state.now, before, after, effects);
        }
        let Moment { role, term, commit, .. } = after;
        let (applied, last) = (raft.applied(), raft.log().last().index);
        let seen = Seen { node: self.node, role, term, commit, applied, last };
        state.of(group).seen.insert(self.node, seen);
        state.steps += 1;
    }
}
