//! Messages that no server of ours would send. Whatever they say, a server
//! neither panics nor halts, keeps what is committed, and stays of use.
//!
//! Raft does not tolerate liars: a forged vote can elect a leader. But a broken
//! peer must not be able to stop or wedge a server with one strange message.
mod support;

use std::collections::BTreeSet;

use bytes::Bytes;
use raft_consensus::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Configuration, Entry, Input, InstallSnapshot, LogIndex,
    LogPosition, Membership, Message, Payload, PreVote, PreVoteReply, ProposalId, ReadId, RequestVote,
    RequestVoteReply, Role, Round, SnapshotMeta, Term, Wish,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::lone::heartbeat;
use support::{Lone, Setup, log_of_terms, voters};

struct Liar {
    rng: ChaCha8Rng,
}

impl Liar {
    /// A number that is plausible, slightly off, or absurd.
    fn number(&mut self, about: u64) -> u64 {
        match self.rng.random_range(0..10) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX - 1,
            3 => 1 << 63,
            4 => self.rng.random_range(0..1 << 20),
            _ => about.saturating_add(self.rng.random_range(0..4)).saturating_sub(2),
        }
    }

    fn term(&mut self, lone: &Lone) -> Term {
        Term::new(self.number(lone.status().term.get()))
    }

    fn index(&mut self, lone: &Lone) -> LogIndex {
        LogIndex::new(self.number(lone.status().last.index.get()))
    }

    fn position(&mut self, lone: &Lone) -> LogPosition {
        match self.rng.random_range(0..4) {
            0 => lone.status().last,
            1 => LogPosition::ZERO,
            _ => LogPosition::new(self.term(lone), self.index(lone)),
        }
    }

    fn payload(&mut self) -> Payload {
        match self.rng.random_range(0..9) {
            8 => Payload::Configuration(Box::new(self.configuration())),
            0 => Payload::Noop,
            1 => Payload::Configuration(Box::default()),
            2 => Payload::Configuration(Box::new(voters(self.rng.random_range(0..6)))),
            _ => Payload::Command(Bytes::from(vec![0; self.rng.random_range(0..64)])),
        }
    }

    /// A configuration of any servers in any places.
    fn configuration(&mut self) -> Configuration {
        let mut some = || (1..=4).filter(|_| self.rng.random_bool(0.4)).map(support::node).collect::<BTreeSet<_>>();
        let (voters, voters_outgoing, learners) = (some(), some(), some());
        let wish = Wish { voters: some(), learners: some() };
        let wish = self.rng.random_bool(0.3).then_some(wish);
        Configuration { voters, voters_outgoing, learners, wish, ..Configuration::default() }
    }

    /// Entries that mostly follow on, and sometimes do not at all.
    fn entries(&mut self, lone: &Lone, prev: LogPosition) -> Vec<Entry> {
        let mut before = prev;
        let count = self.rng.random_range(0..5);
        let mut next = |liar: &mut Self| {
            let follows = LogPosition::new(before.term.max(lone.status().term), before.index.next());
            before = if liar.rng.random_bool(0.8) { follows } else { liar.position(lone) };
            Entry { position: before, payload: liar.payload() }
        };
        (0..count).map(|_| next(self)).collect()
    }

    fn message(&mut self, lone: &Lone) -> Message {
        let (term, last, round) = (self.term(lone), self.position(lone), Round::new(self.number(3)));
        let granted = self.rng.random_bool(0.5);
        if self.rng.random_bool(0.02) {
            let configured_at = self.position(lone);
            let snapshot = SnapshotMeta { position: last, configuration: self.configuration(), configured_at };
            return Message::InstallSnapshot(InstallSnapshot { term, round, snapshot });
        }
        match self.rng.random_range(0..7) {
            0 => Message::PreVote(PreVote { term, last }),
            1 => Message::PreVoteReply(PreVoteReply { term, granted }),
            2 => Message::RequestVote(RequestVote { term, last, leadership_transfer: granted }),
            3 => Message::RequestVoteReply(RequestVoteReply { term, granted }),
            4 | 5 => {
                let entries = self.entries(lone, last).into();
                Message::AppendEntries(AppendEntries {
                    term,
                    prev: last,
                    entries,
                    commit: self.index(lone),
                    round,
                    rest: false,
                    repair: None,
                })
            }
            _ => {
                let outcome = match self.rng.random_range(0..3) {
                    0 => AppendOutcome::Matched { durable: self.index(lone) },
                    1 => AppendOutcome::Conflict { refused: self.index(lone), hint: self.position(lone) },
                    _ => AppendOutcome::Stale,
                };
                Message::AppendEntriesReply(AppendEntriesReply { term, round, outcome, damage: None })
            }
        }
    }

    /// One of the things that also happen to an honest server.
    fn ordinary(&mut self, lone: &mut Lone, number: u64) {
        match self.rng.random_range(0..6) {
            5 => {
                let Configuration { voters, learners, .. } = self.configuration();
                let addresses = (1..=4).map(|n| (support::node(n), "somewhere".to_owned())).collect();
                let membership = Membership { voters, learners, addresses, ..Membership::default() };
                lone.input(Input::ChangeMembership { id: ProposalId(number), membership });
            }
            0 => lone.deadline(),
            1 => lone.input(Input::Propose { id: ProposalId(number), commands: vec!["x".into()] }),
            2 => lone.input(Input::Read { id: ReadId(number) }),
            3 => {
                let peer = support::node(self.rng.random_range(0..9));
                lone.input(if self.rng.random_bool(0.5) { Input::HungUp(peer) } else { Input::Unreachable(peer) });
            }
            _ => lone.become_candidate(),
        }
    }
}

fn committed(lone: &Lone) -> Vec<LogPosition> {
    let commit = usize::try_from(lone.status().commit.get()).expect("a short log");
    lone.log()[..commit].to_vec()
}

#[test]
fn no_message_whatever_it_says_stops_a_server() {
    let mut roles = [0; 3];
    for seed in 0..200 {
        let mut liar = Liar { rng: ChaCha8Rng::seed_from_u64(seed) };
        let setup = Setup::of(3).seed(seed).log(1, log_of_terms(&[1, 1, 2]));
        let mut lone = Lone::with(&setup);
        for number in 0..300 {
            let before = committed(&lone);
            lone.member.disk.held = liar.rng.random_bool(0.5);
            if liar.rng.random_bool(0.15) {
                liar.ordinary(&mut lone, number);
            } else {
                let message = liar.message(&lone);
                lone.receive(liar.rng.random_range(0..5), message);
            }
            assert_eq!(committed(&lone)[..before.len()], before, "seed {seed}: what is committed stays");
            match lone.status().role {
                Role::Follower | Role::Learner => roles[0] += 1,
                Role::Candidate => roles[1] += 1,
                Role::Leader => roles[2] += 1,
            }
        }
    }
    assert!(roles.iter().all(|count| *count > 100), "every role was lied to: {roles:?}");
}

/// A leader only appends (Figure 3). One that takes back what it sent in the same term is broken: it must not make us
/// take back an acknowledgement that waits for our disk.
#[test]
fn a_leader_that_rewrites_what_it_sent_in_its_own_term_is_ignored() {
    let append = |prev: LogPosition, terms: &[u64]| {
        let entries: Vec<Entry> = (prev.index.get() + 1..)
            .zip(terms)
            .map(|(index, term)| Entry {
                position: LogPosition::new(Term::new(*term), LogIndex::new(index)),
                payload: Payload::Noop,
            })
            .collect();
        let (commit, round) = (LogIndex::ZERO, Round::new(1));
        Message::AppendEntries(AppendEntries {
            term: Term::new(3),
            prev,
            entries: entries.into(),
            commit,
            round,
            rest: false,
            repair: None,
        })
    };
    let mut lone = Lone::of(3);
    lone.member.disk.held = true;
    lone.receive(2, append(LogPosition::ZERO, &[3, 3, 3]));
    lone.receive(2, append(LogPosition::ZERO, &[2]));
    assert_eq!(lone.status().last, LogPosition::new(Term::new(3), LogIndex::new(3)));
    lone.persist();
    assert!(lone.sent().iter().any(|(to, message)| *to == 2
        && matches!(message, Message::AppendEntriesReply(AppendEntriesReply {
            outcome: AppendOutcome::Matched { durable }, ..
        }) if durable.get() == 3)));
}

/// A configuration that no true leader writes, in the log of a server that is elected and commits it: it may
/// serve no purpose any more, but neither halts nor makes matters worse.
#[test]
fn a_strange_configuration_does_not_stop_its_leader() {
    let mut leaders = 0;
    for seed in 0..500 {
        let mut liar = Liar { rng: ChaCha8Rng::seed_from_u64(seed) };
        let payload = Payload::Configuration(Box::new(liar.configuration()));
        let mut lone =
            Lone::with(&Setup::of(4).seed(seed).log(1, vec![Entry { position: support::at(1, 1), payload }]));
        lone.become_candidate();
        for number in 1..20 {
            let status = lone.status();
            for voter in 2..=4 {
                lone.receive(voter, support::lone::vote(status.term.get(), true));
                lone.receive(voter, support::lone::matched(status.term.get(), number, status.last.index.get()));
            }
            leaders += u32::from(lone.status().role == Role::Leader);
            liar.ordinary(&mut lone, number);
        }
    }
    assert!(leaders > 1000, "only {leaders} times in office");
}

/// A term so far ahead that no elections could have led there is not adopted: nobody could follow it.
#[test]
fn an_absurd_term_is_not_adopted() {
    for absurd in [u64::MAX, u64::MAX - 1, 1 << 60] {
        let mut lone = Lone::of(3);
        lone.receive(2, heartbeat(absurd));
        lone.receive(2, support::lone::vote(absurd, false));
        lone.receive(2, support::lone::request_vote(absurd, LogPosition::ZERO));
        assert_eq!(lone.status().term, Term::ZERO);
        lone.become_candidate();
        assert_eq!(lone.status().term, Term::new(1), "it can still be elected");
    }
}

/// A peer that repeats itself while our disk is slow costs no memory: what waits is bounded.
#[test]
fn what_waits_for_a_slow_disk_is_bounded() {
    let mut lone = Lone::of(3);
    lone.member.disk.held = true;
    for _ in 0..1000 {
        lone.receive(2, heartbeat(1));
        lone.receive(3, support::lone::request_vote(1, LogPosition::ZERO));
        lone.receive(3, support::lone::pre_vote(2, LogPosition::ZERO));
    }
    assert_eq!(lone.sent(), []);
    lone.persist();
    let sent = lone.sent();
    assert!(sent.len() <= 6, "{} messages had been kept", sent.len());
}
