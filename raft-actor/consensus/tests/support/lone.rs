//! One core without a cluster: the test plays everybody else.

use raft_consensus::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Effect, Entry, Input, LogIndex, LogPosition, LogWrite, Message,
    PreVote, PreVoteReply, RequestVote, RequestVoteReply, Role, Round, Status, Term, Time,
};

use super::machine::Done;
use super::member::Member;
use super::{Setup, index, node, term};

/// A single member; what it says and orders is collected.
pub struct Lone {
    /// The time.
    pub now: Time,
    /// The member.
    pub member: Member,
    sent: Vec<(u64, Message)>,
    effects: Vec<Effect>,
}

impl Lone {
    /// Server 1 of `count`, with an empty log.
    pub fn of(count: u64) -> Self {
        Self::with(&Setup::of(count))
    }

    /// Server 1 of this setup.
    pub fn with(setup: &Setup) -> Self {
        Self::started(setup.member(1))
    }

    /// This member, which is not running yet.
    pub fn started(mut member: Member) -> Self {
        member.start(Time::ZERO);
        Self { now: Time::ZERO, member, sent: Vec::new(), effects: Vec::new() }
    }

    /// Server 1 of this setup, after it has won an election in its next term;
    /// the last voter never answered. What it said so far is forgotten.
    pub fn leader(setup: &Setup, count: u64) -> Self {
        let mut lone = Self::with(setup);
        lone.become_candidate();
        let own = lone.status().term;
        for voter in 2..=count {
            if lone.status().role == Role::Leader {
                break;
            }
            lone.receive(voter, vote(own.get(), true));
        }
        assert_eq!(lone.status().role, Role::Leader);
        lone.forget();
        lone
    }

    /// What it says about itself.
    pub fn status(&self) -> Status {
        self.member.status()
    }

    /// One input, then what its disk, machine and streams are not held from doing.
    pub fn input(&mut self, input: Input) {
        let effects = self.member.step(self.now, input);
        for effect in effects {
            if let Effect::Send { to, message } = &effect {
                self.sent.push((to.get(), message.clone()));
            }
            self.effects.push(effect);
        }
        self.work();
    }

    fn work(&mut self) {
        if !self.member.streams_held {
            while let Some(order) = self.member.run_order() {
                let (to, message) = order.expect("the log was not overwritten");
                self.sent.push((to.get(), message));
            }
        }
        if !self.member.disk.held && self.member.disk.pending() > 0 {
            self.persist();
        }
        if !self.member.machine.held && self.member.machine.has_work() {
            match self.member.run_machine().expect("it has work") {
                Done::Applied(entries) => {
                    let last = entries.last().expect("an order applies something").position.index;
                    self.input(Input::Applied(last));
                }
                // It knows no other member's snapshots, and its own become durable when the test says so.
                Done::Frozen(snapshot) => self.member.snapshots.saving = Some(snapshot),
                Done::Loaded(snapshot) => self.input(Input::SnapshotInstalled(snapshot.meta.position)),
            }
        }
    }

    /// Everything written becomes durable.
    pub fn persist(&mut self) {
        let seq = self.member.disk.sync(usize::MAX).expect("something to persist");
        self.input(Input::Persisted(seq));
    }

    /// The deadline comes.
    pub fn deadline(&mut self) {
        self.now = self.now.max(self.member.next_deadline());
        self.input(Input::Deadline);
    }

    /// The deadline comes and everybody grants the pre-vote, so that the real candidacy begins.
    pub fn become_candidate(&mut self) {
        self.deadline();
        if self.status().role == Role::Candidate {
            let asked = self.status().term.next();
            for voter in self.voters() {
                if self.status().term < asked {
                    self.receive(voter, pre_vote_reply(asked.get(), true));
                }
            }
        }
    }

    /// The other voters.
    pub fn voters(&self) -> Vec<u64> {
        let all = self.status().configuration.voters;
        all.into_iter().filter(|id| *id != self.member.id).map(|id| id.get()).collect()
    }

    /// A message arrives.
    pub fn receive(&mut self, from: u64, message: Message) {
        self.input(Input::Received { from: node(from), message });
    }

    /// What was said since the last call, and to whom.
    pub fn sent(&mut self) -> Vec<(u64, Message)> {
        std::mem::take(&mut self.sent)
    }

    /// The AppendEntries sent since the last call, and to whom. Everything else said is dropped.
    pub fn sent_appends(&mut self) -> Vec<(u64, AppendEntries)> {
        let append =
            |(to, message)| if let Message::AppendEntries(append) = message { Some((to, append)) } else { None };
        self.sent().into_iter().filter_map(append).collect()
    }

    /// The log writes ordered since the last call; other effects are dropped.
    pub fn log_writes(&mut self) -> Vec<LogWrite> {
        let write = |effect| if let Effect::Persist { log, .. } = effect { log } else { None };
        self.effects().into_iter().filter_map(write).collect()
    }

    /// The effects since the last call.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Forgets what was said and ordered.
    pub fn forget(&mut self) {
        self.sent.clear();
        self.effects.clear();
    }

    /// The positions in its log.
    pub fn log(&self) -> Vec<LogPosition> {
        self.member.disk.written().entries.iter().map(|entry| entry.position).collect()
    }

    /// What its state machine applied, by position.
    pub fn applied(&self) -> Vec<LogPosition> {
        self.member.machine.entries().iter().map(|entry| entry.position).collect()
    }

    /// A follower answers the AppendEntries it was sent: all of it matches, durably.
    pub fn acknowledge(&mut self, from: u64, append: &AppendEntries) {
        let durable = append.entries.last_position().unwrap_or(append.prev).index;
        let reply = AppendEntriesReply {
            term: append.term,
            round: append.round,
            outcome: AppendOutcome::Matched { durable },
            damage: None,
        };
        self.receive(from, Message::AppendEntriesReply(reply));
    }
}

/// An AppendEntries in round 1.
pub fn append(in_term: u64, prev: LogPosition, entries: Vec<Entry>, commit: u64) -> Message {
    Message::AppendEntries(AppendEntries {
        term: term(in_term),
        prev,
        entries: entries.into(),
        commit: LogIndex::new(commit),
        round: Round::new(1),
        rest: false,
        repair: None,
    })
}

/// A heartbeat of an empty log.
pub fn heartbeat(in_term: u64) -> Message {
    append(in_term, LogPosition::ZERO, Vec::new(), 0)
}

/// A RequestVote.
pub fn request_vote(in_term: u64, last: LogPosition) -> Message {
    Message::RequestVote(RequestVote { term: term(in_term), last, leadership_transfer: false })
}

/// The answer to a RequestVote.
pub fn vote(in_term: u64, granted: bool) -> Message {
    Message::RequestVoteReply(RequestVoteReply { term: term(in_term), granted })
}

/// A PreVote.
pub fn pre_vote(in_term: u64, last: LogPosition) -> Message {
    Message::PreVote(PreVote { term: term(in_term), last })
}

/// The answer to a PreVote.
pub fn pre_vote_reply(in_term: u64, granted: bool) -> Message {
    Message::PreVoteReply(PreVoteReply { term: term(in_term), granted })
}

/// The answer to an AppendEntries: everything up to here matches durably.
pub fn matched(in_term: u64, round: u64, durable: u64) -> Message {
    let outcome = AppendOutcome::Matched { durable: index(durable) };
    Message::AppendEntriesReply(AppendEntriesReply {
        term: term(in_term),
        round: Round::new(round),
        outcome,
        damage: None,
    })
}

/// The terms of a log, for comparing.
pub fn terms(log: &[LogPosition]) -> Vec<u64> {
    log.iter().map(|position| Term::get(position.term)).collect()
}
