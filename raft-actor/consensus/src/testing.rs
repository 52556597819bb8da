//! A cluster in a value: members, their disks and the messages between them, driven by hand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::*;

pub(crate) fn id(n: u64) -> NodeId {
    NodeId::from(n)
}

pub(crate) fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(Term::new(term), LogIndex::new(index))
}

pub(crate) fn noop(term: u64, index: u64) -> Entry {
    Entry { position: at(term, index), payload: Payload::Noop }
}

/// Entries behind each other from index `first` on, with these terms.
pub(crate) fn entries(first: u64, terms: &[u64]) -> Entries {
    (first..).zip(terms).map(|(index, term)| noop(*term, index)).collect()
}

pub(crate) fn configuration(voters: impl IntoIterator<Item = u64>) -> Configuration {
    Configuration::of_voters(voters.into_iter().map(|n| (id(n), format!("n{n}"))))
}

/// What a member of a cluster of `voters` starts from if its log has entries of these terms.
pub(crate) fn start(n: u64, voters: impl IntoIterator<Item = u64>, terms: &[u64]) -> Start {
    let mut log = Log::new(LogPosition::ZERO, configuration(voters));
    log.append(&entries(1, terms));
    let term = Term::new(terms.last().copied().unwrap_or(0));
    Start {
        id: id(n),
        settings: Settings { election_timeout_ms_min: 100, heartbeat_ms: 10, ..Settings::default() },
        hard_state: HardState { term, vote: None, damage: None },
        log,
        snapshot: None,
        applied: LogIndex::ZERO,
        suffrage: true,
        directory: None,
        seed: n,
        now: Time::ZERO,
    }
}

/// One step with its effects.
pub(crate) fn step(raft: &mut Raft, now: Time, input: Input) -> Vec<Effect> {
    let mut effects = Effects::new();
    raft.step(now, input, &mut effects);
    effects.drain().collect()
}

pub(crate) fn received(from: u64, message: Message) -> Input {
    Input::Received { from: id(from), message }
}

/// The messages among effects.
pub(crate) fn sent(effects: &[Effect]) -> Vec<(NodeId, &Message)> {
    let message = |effect: &Effect| matches!(effect, Effect::Send { .. });
    effects
        .iter()
        .filter(|effect| message(effect))
        .map(|effect| match effect {
            Effect::Send { to, message } => (*to, message),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// A member with its disk, which confirms at once unless held.
pub(crate) struct Member {
    pub(crate) raft: Raft,
    /// What can be read, durable or not.
    pub(crate) log: Entries,
    pub(crate) applied: LogIndex,
    /// Effects that answer somebody, oldest first.
    pub(crate) answers: Vec<Effect>,
    pub(crate) is_disk_held: bool,
    pub(crate) disk: Disk,
}

/// What survives a crash, and the writes that would not.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    hard_state: HardState,
    log: Entries,
    unconfirmed: VecDeque<(WriteSeq, Option<HardState>, Option<LogWrite>)>,
}

pub(crate) struct Cluster {
    pub(crate) now: Time,
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// Pairs that do not hear each other.
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    pub(crate) messages: VecDeque<(NodeId, NodeId, Message)>,
    /// All messages delivered so far.
    pub(crate) delivered: Vec<(NodeId, NodeId, Message)>,
}

impl Cluster {
    pub(crate) fn of(voters: u64) -> Self {
        let empty: &[u64] = &[];
        Self::with_logs(&vec![empty; usize::try_from(voters).expect("few")])
    }

    /// One member for each log, given by the terms of its entries.
    pub(crate) fn with_logs(logs: &[&[u64]]) -> Self {
        let voters = 1..=u64::try_from(logs.len()).expect("few");
        let member = |(n, terms): (u64, &&[u64])| {
            let raft = Raft::new(start(n, voters.clone(), terms));
            let log = entries(1, terms);
            let applied = LogIndex::ZERO;
            let hard_state = HardState { term: raft.term(), vote: None, damage: None };
            let disk = Disk { hard_state, log: log.clone(), unconfirmed: VecDeque::new() };
            (id(n), Member { raft, log, applied, answers: Vec::new(), is_disk_held: false, disk })
        };
        let members = (1..).zip(logs).map(member).collect();
        let (cut, messages, delivered) = (BTreeSet::new(), VecDeque::new(), Vec::new());
        Self { now: Time::ZERO, members, cut, messages, delivered }
    }

    pub(crate) fn raft(&self, n: u64) -> &Raft {
        &self.members[&id(n)].raft
    }

    /// What the disk of `n` holds, durable or not.
    pub(crate) fn log(&self, n: u64) -> &Entries {
        &self.members[&id(n)].log
    }

    pub(crate) fn applied(&self, n: u64) -> LogIndex {
        self.members[&id(n)].applied
    }

    pub(crate) fn member(&mut self, n: u64) -> &mut Member {
        self.members.get_mut(&id(n)).expect("a member")
    }

    /// Gives one member one input and carries out what it wants.
    pub(crate) fn input(&mut self, n: NodeId, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let member = self.members.get_mut(&n).expect("a member");
            let mut effects = Effects::new();
            member.raft.step(self.now, input, &mut effects);
            for effect in effects.drain() {
                match effect {
                    Effect::Persist { seq, hard_state, log } => {
                        write(&mut member.log, log.as_ref());
                        member.disk.unconfirmed.push_back((seq, hard_state, log));
                        if !member.is_disk_held {
                            inputs.extend(member.disk.confirm(usize::MAX).map(Input::Persisted));
                        }
                    }
                    Effect::Send { to, message } => self.messages.push_back((n, to, message)),
                    Effect::Replicate(order) => {
                        let entries = member.log.range(order.prev.index.next(), order.through.index);
                        let ReplicationOrder { term, prev, commit, round, .. } = order;
                        let message = AppendEntries { term, prev, entries, commit, round, rest: false, repair: None };
                        self.messages.push_back((n, order.peer, Message::AppendEntries(message)));
                    }
                    Effect::Apply { through } => {
                        member.applied = through;
                        inputs.push_back(Input::Applied(through));
                    }
                    Effect::Halt { violation } => panic!("{n} halted: {violation}"),
                    answer => member.answers.push(answer),
                }
            }
        }
    }

    /// Delivers messages until there are none.
    pub(crate) fn settle(&mut self) {
        while let Some((from, to, message)) = self.messages.pop_front() {
            let is_cut = self.cut.contains(&(from, to)) || self.cut.contains(&(to, from));
            if !is_cut && self.members.contains_key(&to) {
                self.delivered.push((from, to, message.clone()));
                self.input(to, Input::Received { from, message });
            }
        }
    }

    /// Lets the election timeout of `n` pass, for `n` alone, and everything happen that follows.
    pub(crate) fn time_out(&mut self, n: u64) {
        self.now = self.now.max(self.raft(n).next_deadline());
        // For the others so much time has passed as well, though they did not look at their clocks.
        self.input(id(n), Input::Deadline);
        self.settle();
    }

    /// Lets time pass for all of them.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        loop {
            let (n, deadline) = self
                .members
                .iter()
                .map(|(n, member)| (*n, member.raft.next_deadline()))
                .min_by_key(|(_, deadline)| *deadline)
                .expect("members");
            if deadline > until {
                break;
            }
            self.now = self.now.max(deadline);
            self.input(n, Input::Deadline);
            self.settle();
        }
        self.now = until;
    }

    pub(crate) fn propose(&mut self, n: u64, commands: usize) {
        let commands = vec![Bytes::from_static(b"x"); commands];
        self.input(id(n), Input::Propose { id: ProposalId(1), commands });
        self.settle();
    }

    /// The disk of `n` works again and confirms all it was asked for.
    pub(crate) fn release_disk(&mut self, n: u64) {
        let member = self.member(n);
        member.is_disk_held = false;
        if let Some(seq) = member.disk.confirm(usize::MAX) {
            self.input(id(n), Input::Persisted(seq));
        }
        self.settle();
    }

    /// `n` loses all that is not on its disk and comes back.
    pub(crate) fn restart(&mut self, n: u64, seed: u64) {
        let now = self.now;
        let voters: Vec<u64> = self.members.keys().map(|id| id.get()).collect();
        let member = self.member(n);
        member.disk.unconfirmed.clear();
        member.log = member.disk.log.clone();
        member.applied = LogIndex::ZERO;
        let mut start = Start { hard_state: member.disk.hard_state, seed, now, ..start(n, voters, &[]) };
        start.log.append(&member.log);
        member.raft = Raft::new(start);
    }

    pub(crate) fn leaders(&self) -> Vec<NodeId> {
        self.members.values().map(|m| &m.raft).filter(|raft| raft.role() == Role::Leader).map(Raft::id).collect()
    }
}

impl Disk {
    /// Makes the oldest `count` writes durable; the last of them, to be confirmed.
    pub(crate) fn confirm(&mut self, count: usize) -> Option<WriteSeq> {
        let count = count.min(self.unconfirmed.len());
        let mut last = None;
        for (seq, hard_state, log) in self.unconfirmed.drain(..count) {
            self.hard_state = hard_state.unwrap_or(self.hard_state);
            write(&mut self.log, log.as_ref());
            last = Some(seq);
        }
        last
    }
}

fn write(log: &mut Entries, change: Option<&LogWrite>) {
    match change {
        None | Some(LogWrite::Purge { .. }) => {}
        Some(LogWrite::Append(entries)) => log.append(entries.clone()),
        Some(LogWrite::Replace(entries)) => {
            log.truncate_after(entries.first_index().expect("not empty").prev());
            log.append(entries.clone());
        }
        Some(LogWrite::Reset { to }) => panic!("no snapshots here: {to}"),
    }
}
