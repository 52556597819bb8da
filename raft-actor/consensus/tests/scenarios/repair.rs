//! A damaged log is repaired from the peers, and until then its member elects nobody and commits nothing (FAST 2018,
//! Protocol-Aware Recovery: each way in which a repair can elect or commit wrongly).

use raft_consensus::{
    AppendEntriesReply, AppendOutcome, DamageId, Effect, LogIndex, Message, RepairTarget, Role, Round,
};

use crate::support::lone::{append, pre_vote, pre_vote_reply, request_vote};
use crate::support::{Cluster, Lone, Setup, at, entry, index, log_of_terms};

/// Three servers; the first leads, and all have some entries. The last is down and has lost all but the first of them.
fn damaged() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.propose_all(1, &["a", "b", "c"]);
    cluster.run(300);
    cluster.crash(3);
    cluster.damage(3, 1);
    cluster
}

#[test]
fn a_damaged_member_gets_everything_back_and_can_be_elected_again() {
    let mut cluster = damaged();
    cluster.restart(3);
    assert!(cluster.is_damaged(3));
    cluster.run(500);
    assert!(!cluster.is_damaged(3), "the mark is gone, durably");
    assert_eq!(cluster.log(3), cluster.log(1));
    cluster.crash(1);
    cluster.run(5_000);
    cluster.propose(cluster.leader().expect("two whole servers elect one"), "d");
    cluster.run(500);
    assert_eq!(cluster.applied(2), cluster.applied(3));
}

/// The entry is on n1 and on the disk that lost it: n2, which never had it, must not win with n3's vote.
#[test]
fn a_damaged_member_does_not_elect_whom_its_lost_log_would_have_refused() {
    let mut cluster = Cluster::of(3);
    cluster.elect(1);
    cluster.partition(&[2]);
    cluster.propose(1, "only on n1 and n3");
    cluster.run(300);
    let committed = cluster.checker.committed();
    cluster.crash(1);
    cluster.crash(3);
    cluster.damage(3, 1);
    cluster.heal();
    cluster.restart(3);
    cluster.run(30_000);
    assert_eq!(cluster.leader(), None, "nobody can know what is committed");
    cluster.restart(1);
    cluster.run(10_000);
    assert_eq!(cluster.leader(), Some(1), "the last holder leads");
    assert!(!cluster.is_damaged(3));
    assert!(cluster.status(3).last.index > committed);
}

#[test]
fn a_damaged_member_does_not_campaign_with_the_longest_log() {
    let mut member = Setup::of(3).log(1, log_of_terms(&[1, 1, 1])).member(1);
    member.disk.damage(index(3));
    let mut lone = Lone::started(member);
    for _ in 0..5 {
        lone.deadline();
        assert_eq!(lone.status().role, Role::Follower);
    }
    assert_eq!(lone.sent(), []);
}

#[test]
fn a_damaged_member_grants_neither_vote_nor_pre_vote() {
    let mut lone = lone_damaged();
    lone.deadline();
    lone.receive(2, pre_vote(9, at(50, 8)));
    assert_eq!(lone.sent(), [(2, pre_vote_reply(1, false))]);
    lone.forget();
    lone.receive(2, request_vote(9, at(50, 8)));
    assert!(matches!(lone.sent().as_slice(), [(2, Message::RequestVoteReply(reply))] if !reply.granted));
}

/// What a damaged member holds again is true, but may be all there is of what it has acknowledged: it does not count.
#[test]
fn nothing_commits_by_a_damaged_member_before_it_is_whole() {
    let mut cluster = damaged();
    cluster.crash(2);
    cluster.restart(3);
    cluster.member_mut(3).disk.held = true;
    cluster.propose(1, "d");
    let committed = cluster.status(1).commit;
    cluster.run(400);
    assert_eq!(cluster.status(1).commit, committed, "the target is not durable there");
    cluster.member_mut(3).disk.held = false;
    cluster.work(3.into());
    cluster.run(500);
    assert!(cluster.status(1).commit > committed);
    assert!(!cluster.is_damaged(3));
}

#[test]
fn a_crash_in_the_middle_of_a_repair_does_not_forget_it() {
    let mut cluster = damaged();
    cluster.restart(3);
    cluster.member_mut(3).disk.held = true;
    cluster.run(300);
    cluster.crash(3);
    cluster.member_mut(3).disk.held = false;
    cluster.crash(1);
    cluster.restart(3);
    assert!(cluster.is_damaged(3));
    cluster.run(10_000);
    assert_eq!(cluster.leader(), None, "n2 alone is whole");
    cluster.restart(1);
    cluster.run(10_000);
    assert!(!cluster.is_damaged(3) && cluster.leader().is_some());
}

#[test]
fn a_log_that_is_damaged_twice_under_one_leader_is_repaired_twice() {
    let mut cluster = damaged();
    for command in ["d", "e", "f"] {
        cluster.restart(3);
        cluster.run(500);
        assert!(!cluster.is_damaged(3));
        cluster.propose(1, command);
        cluster.run(500);
        assert_eq!(cluster.log(3), cluster.log(1));
        cluster.crash(3);
        cluster.damage(3, 2);
    }
    assert_eq!(cluster.leader(), Some(1), "all by the same leader");
}

/// n1 leads and the two others are damaged at once: they still echo, so it stays in office and repairs both.
#[test]
fn a_leader_in_office_repairs_a_majority() {
    let mut cluster = damaged();
    cluster.crash(2);
    cluster.damage(2, 2);
    cluster.restart(2);
    cluster.restart(3);
    cluster.run(1_000);
    assert_eq!(cluster.leader(), Some(1));
    assert!(!cluster.is_damaged(2) && !cluster.is_damaged(3));
    assert_eq!((cluster.log(2), cluster.log(3)), (cluster.log(1), cluster.log(1)));
}

#[test]
fn if_all_are_damaged_nobody_leads() {
    let mut cluster = damaged();
    cluster.crash(1);
    cluster.crash(2);
    for n in 1..=3 {
        cluster.damage(n, 3);
        cluster.restart(n);
    }
    cluster.run(30_000);
    assert_eq!(cluster.leader(), None);
    assert!((1..=3).all(|n| cluster.is_damaged(n)));
}

/// A leader that was damaged comes back as a follower; what it counted its own copy for is safe with the others.
#[test]
fn a_damaged_leader_is_repaired_by_its_successor() {
    let mut cluster = damaged();
    cluster.restart(3);
    cluster.run(500);
    cluster.crash(1);
    cluster.damage(1, 1);
    cluster.restart(1);
    cluster.run(10_000);
    assert!(matches!(cluster.leader(), Some(2 | 3)));
    assert!(!cluster.is_damaged(1));
    assert_eq!(cluster.log(1), cluster.log(2));
}

/// Server 1 of three with one entry of term 1 and the damage number 1.
fn lone_damaged() -> Lone {
    let mut member = Setup::of(3).log(1, log_of_terms(&[1, 1])).member(1);
    member.disk.damage(index(1));
    Lone::started(member)
}

/// A heartbeat that says what makes the receiver whole.
fn target(of: u64, damage: u64, through: u64) -> Message {
    let Message::AppendEntries(mut heartbeat) = append(of, at(0, 0), vec![], 0) else { panic!("it is one") };
    heartbeat.repair = Some(RepairTarget { damage: DamageId(damage), through: index(through) });
    Message::AppendEntries(heartbeat)
}

fn is_whole(lone: &Lone) -> bool {
    lone.member.disk.durable().hard_state.damage.is_none()
}

#[test]
fn a_target_is_reached_only_by_what_equals_the_leaders_log() {
    let mut lone = lone_damaged();
    lone.receive(2, target(1, 1, 2));
    assert!(!is_whole(&lone), "one entry is missing");
    lone.receive(2, append(1, at(1, 1), vec![entry(2, 1)], 0));
    assert!(is_whole(&lone));
}

#[test]
fn the_target_of_an_earlier_damage_counts_for_nothing() {
    let mut lone = lone_damaged();
    lone.receive(2, append(1, at(0, 0), vec![entry(1, 1)], 0));
    lone.receive(2, target(1, 7, 1));
    assert!(!is_whole(&lone), "it is about another damage");
    lone.receive(2, target(1, 1, 1));
    assert!(is_whole(&lone));
}

#[test]
fn the_target_of_one_leader_is_not_reached_with_the_entries_of_another() {
    let mut lone = lone_damaged();
    lone.receive(2, target(1, 1, 2));
    lone.receive(3, append(2, at(1, 1), vec![entry(2, 2)], 0));
    assert!(!is_whole(&lone), "n3 has not said how far its log went");
    lone.receive(3, target(2, 1, 2));
    assert!(is_whole(&lone));
}

/// What lies at or below the target may still differ from the leader's log: nothing says yet that it does not.
#[test]
fn a_target_is_not_reached_by_entries_of_which_nobody_knows_whether_they_are_the_leaders() {
    let mut member = Setup::of(3).log(1, log_of_terms(&[1, 1, 1])).member(1);
    member.disk.damage(index(2));
    let mut lone = Lone::started(member);
    lone.receive(2, target(2, 1, 2));
    assert!(!is_whole(&lone), "two entries are there, and the second is another one");
    lone.receive(2, append(2, at(1, 1), vec![entry(2, 2)], 0));
    assert!(is_whole(&lone));
}

/// A crash can tear a write, so that the hard state is there and the entries are not.
#[test]
fn the_mark_is_not_removed_by_the_write_that_brings_the_last_entries() {
    let mut lone = lone_damaged();
    lone.receive(2, target(1, 1, 2));
    lone.forget();
    lone.member.disk.held = true;
    lone.receive(2, append(1, at(1, 1), vec![entry(2, 1)], 0));
    let unmarks =
        |effect: &Effect| matches!(effect, Effect::Persist { hard_state: Some(state), .. } if state.damage.is_none());
    assert!(!lone.effects().iter().any(unmarks));
    lone.member.disk.held = false;
    lone.persist();
    assert!(is_whole(&lone));
}

/// The leader of three, with one entry of its own; n3 never answers.
struct Office(Lone);

impl Office {
    fn new() -> Self {
        Self(Lone::leader(&Setup::of(3), 3))
    }

    /// Sends a heartbeat; its round.
    fn heartbeat(&mut self) -> Round {
        self.0.forget();
        self.0.deadline();
        let rounds = self.0.sent().into_iter().filter_map(|(to, message)| match message {
            Message::AppendEntries(append) if to == 2 => Some(append.round),
            _ => None,
        });
        rounds.last().expect("a heartbeat is due")
    }

    /// n2 answers that round.
    fn hears(&mut self, round: Round, durable: u64, damage: Option<u64>) {
        let (term, outcome) = (self.0.status().term, AppendOutcome::Matched { durable: index(durable) });
        let reply = AppendEntriesReply { term, round, outcome, damage: damage.map(DamageId) };
        self.0.receive(2, Message::AppendEntriesReply(reply));
    }

    fn commit(&self) -> LogIndex {
        self.0.status().commit
    }
}

#[test]
fn what_a_damaged_member_says_it_holds_is_not_counted_until_it_is_whole() {
    let mut office = Office::new();
    let round = office.heartbeat();
    office.hears(round, 0, Some(1));
    let round = office.heartbeat();
    office.hears(round, 1, Some(1));
    assert_eq!(office.commit(), LogIndex::ZERO, "it is on two of three, and one of them is damaged");
    let round = office.heartbeat();
    office.hears(round, 1, None);
    assert_eq!(office.commit(), index(1));
}

#[test]
fn a_late_answer_from_before_the_damage_makes_nobody_whole() {
    let mut office = Office::new();
    let before = office.heartbeat();
    let after = office.heartbeat();
    office.hears(after, 0, Some(1));
    office.hears(before, 1, None);
    assert_eq!(office.commit(), LogIndex::ZERO, "what it said then is gone");
}
