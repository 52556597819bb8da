//! Whole elections and whole logs, over a tiny network.

mod chaos;
mod hang_up;
mod office;
mod remote_input;
mod rest;

use std::time::Duration;

use bytes::Bytes;

use crate::testing::*;
use crate::*;

#[test]
fn a_cluster_elects_one_leader_and_replicates_to_all() {
    let mut cluster = Cluster::of(3);
    cluster.run_for(Duration::from_millis(500));
    let [leader] = cluster.leaders()[..] else { panic!("leaders: {:?}", cluster.leaders()) };
    cluster.propose(leader.get(), 5);
    cluster.run_for(Duration::from_millis(20));
    for member in cluster.members.values() {
        assert_eq!(member.raft.leader(), Some(leader));
        assert_eq!(member.raft.commit(), LogIndex::new(6), "the no-op and five commands");
        assert_eq!(member.applied, LogIndex::new(6));
    }
}

#[test]
fn a_single_member_elects_itself_at_once_and_commits_alone() {
    let mut cluster = Cluster::of(1);
    assert_eq!(cluster.raft(1).next_deadline(), Time::ZERO);
    cluster.run_for(Duration::from_millis(1));
    assert_eq!(cluster.raft(1).role(), Role::Leader);
    cluster.propose(1, 2);
    cluster.input(id(1), Input::Read { id: ReadId(7) });
    let member = cluster.member(1);
    assert_eq!(member.applied, LogIndex::new(3));
    assert!(member.answers.contains(&Effect::ReadReady { id: ReadId(7), index: LogIndex::new(3) }));
}

#[test]
fn figure_7_logs_are_brought_into_line_in_a_few_round_trips() {
    let mut cluster = Cluster::with_logs(&[
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ]);
    // The one with the term 7 log cannot vote for it, all the others can.
    cluster.time_out(1);
    cluster.time_out(1);
    assert_eq!(cluster.leaders(), [id(1)]);
    cluster.run_for(Duration::from_millis(30));
    let leaders_log = cluster.log(1);
    for (n, member) in &cluster.members {
        assert_eq!(&member.log, leaders_log, "member {n}");
        let conflicts = cluster.delivered.iter().filter(|(from, _, message)| {
            from == n
                && matches!(message, Message::AppendEntriesReply(r) if matches!(r.outcome, AppendOutcome::Conflict { .. }))
        });
        assert!(conflicts.count() <= 2, "member {n} was asked too often");
    }
}

#[test]
fn a_leader_cut_off_from_its_quorum_steps_down_and_follows_its_successor() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.cut.extend([(id(1), id(2)), (id(1), id(3))]);
    cluster.propose(1, 1);
    cluster.run_for(Duration::from_millis(500));
    assert_ne!(cluster.raft(1).role(), Role::Leader);
    let [successor] = cluster.leaders()[..] else { panic!("leaders: {:?}", cluster.leaders()) };
    assert_ne!(successor, id(1));
    assert_eq!(cluster.raft(1).term(), Term::new(1), "pre-votes do not raise a term");
    cluster.propose(successor.get(), 1);
    cluster.cut.clear();
    cluster.run_for(Duration::from_millis(200));
    assert_eq!(cluster.leaders(), [successor], "the returning member disturbs nobody");
    assert_eq!(cluster.log(1), cluster.log(successor.get()), "its lone entry was overwritten");
}

#[test]
fn a_lost_append_is_sent_again_after_a_heartbeat() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.run_for(Duration::from_millis(20));
    cluster.cut.insert((id(1), id(2)));
    cluster.propose(1, 1);
    cluster.cut.clear();
    assert!(cluster.log(2).len() < cluster.log(1).len(), "it was lost");
    cluster.run_for(Duration::from_millis(30));
    assert_eq!(cluster.log(2), cluster.log(1));
    assert_eq!(cluster.raft(1).status().peers[&id(2)].matched, cluster.raft(1).log().last().index);
}

#[test]
fn a_leader_with_a_stuck_disk_steps_down_and_neither_campaigns_nor_votes_until_it_clears() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.member(1).is_disk_held = true;
    cluster.propose(1, 1);
    assert_eq!(cluster.raft(1).commit(), LogIndex::new(2), "the others' disks suffice to commit");
    assert_eq!(cluster.applied(1), LogIndex::new(1), "but nothing is applied that is not durable here");
    cluster.run_for(Duration::from_secs(3));
    let leaders = cluster.leaders();
    assert!(leaders.len() == 1 && leaders[0] != id(1), "{leaders:?}");
    let votes = cluster.delivered.iter().filter(|(from, _, message)| match message {
        Message::RequestVoteReply(reply) => *from == id(1) && reply.granted,
        Message::PreVoteReply(reply) => *from == id(1) && reply.granted,
        Message::RequestVote(_) | Message::PreVote(_) => *from == id(1) && message.term() > Term::new(1),
        Message::AppendEntries(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshot(_)
        | Message::TimeoutNow(_) => false,
    });
    assert_eq!(votes.count(), 0);
    cluster.release_disk(1);
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(cluster.applied(1), cluster.raft(leaders[0].get()).commit());
}

#[test]
fn slow_follower_disks_do_not_depose_a_leader() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.member(2).is_disk_held = true;
    cluster.member(3).is_disk_held = true;
    cluster.propose(1, 1);
    cluster.run_for(Duration::from_millis(900));
    assert_eq!(cluster.leaders(), [id(1)]);
    assert_eq!(cluster.raft(1).commit(), LogIndex::new(1));
    cluster.release_disk(2);
    assert_eq!(cluster.raft(1).commit(), LogIndex::new(2));
}

#[test]
fn a_read_is_refused_when_its_leader_steps_down() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.cut.extend([(id(1), id(2)), (id(1), id(3))]);
    cluster.input(id(1), Input::Read { id: ReadId(3) });
    cluster.run_for(Duration::from_millis(500));
    let answers = &cluster.member(1).answers;
    assert!(answers.iter().any(|answer| matches!(answer, Effect::ReadRefused { id: ReadId(3), .. })), "{answers:?}");
    assert!(!answers.iter().any(|answer| matches!(answer, Effect::ReadReady { .. })));
}

#[test]
fn a_read_is_answered_after_one_round_trip() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.input(id(1), Input::Read { id: ReadId(3) });
    assert!(!cluster.member(1).answers.iter().any(|answer| matches!(answer, Effect::ReadReady { .. })));
    cluster.settle();
    let ready = Effect::ReadReady { id: ReadId(3), index: LogIndex::new(1) };
    assert!(cluster.member(1).answers.contains(&ready));
}

#[test]
fn without_suffrage_a_member_waits_until_it_is_granted() {
    let mut raft = Raft::new(Start { suffrage: false, ..start(1, [1], &[]) });
    assert!(step(&mut raft, Time::from_millis(500), Input::Deadline).is_empty());
    assert_eq!(raft.role(), Role::Follower);
    step(&mut raft, Time::from_millis(500), Input::SuffrageGranted);
    assert_eq!(raft.next_deadline(), Time::from_millis(500));
    step(&mut raft, Time::from_millis(500), Input::Deadline);
    assert_eq!(raft.role(), Role::Candidate);
}

#[test]
fn a_joiner_without_a_configuration_never_campaigns_nor_votes() {
    let mut raft = Raft::new(start(4, [], &[]));
    assert_eq!(raft.role(), Role::Learner);
    for round in 1..10 {
        assert!(step(&mut raft, Time::from_millis(round * 500), Input::Deadline).is_empty());
    }
    let request = RequestVote { term: Term::new(1), last: at(0, 0), leadership_transfer: false };
    let effects = step(&mut raft, Time::from_millis(9000), received(1, Message::RequestVote(request)));
    let Effect::Persist { seq, .. } = effects[0] else { panic!("{effects:?}") };
    let effects = step(&mut raft, Time::from_millis(9000), Input::Persisted(seq));
    assert_eq!(
        sent(&effects)[0].1,
        &Message::RequestVoteReply(RequestVoteReply { term: Term::new(1), granted: false })
    );
}

#[test]
fn a_last_term_from_a_hostile_peer_does_not_wedge_anybody() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    let max = Term::new(u64::MAX);
    let hostile = [
        Message::RequestVote(RequestVote { term: max, last: at(9, 9), leadership_transfer: true }),
        Message::RequestVoteReply(RequestVoteReply { term: max, granted: true }),
        Message::PreVote(PreVote { term: max, last: at(9, 9) }),
        Message::PreVoteReply(PreVoteReply { term: max, granted: false }),
        Message::AppendEntries(AppendEntries {
            term: max,
            prev: at(u64::MAX, u64::MAX),
            entries: Entries::new(),
            commit: LogIndex::new(u64::MAX),
            round: Round::new(u64::MAX),
            rest: false,
            repair: None,
        }),
    ];
    for message in hostile {
        for n in 1..=3 {
            cluster.input(id(n), received(9, message.clone()));
        }
    }
    cluster.settle();
    assert_eq!(cluster.raft(2).ignored().count(Ignored::ImplausibleTerm), 5);
    assert_eq!((cluster.leaders(), cluster.raft(1).term()), (vec![id(1)], Term::new(1)));
    cluster.propose(1, 1);
    assert_eq!(cluster.raft(1).commit(), LogIndex::new(2));
}

#[test]
fn above_the_limit_of_uncommitted_bytes_a_leader_refuses_proposals() {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster.cut.extend([(id(1), id(2)), (id(1), id(3))]);
    let large = vec![Bytes::from(vec![0; 40 << 20])];
    for _ in 0..3 {
        cluster.input(id(1), Input::Propose { id: ProposalId(1), commands: large.clone() });
    }
    let outcomes: Vec<_> = cluster.member(1).answers.iter().rev().take(3).collect();
    assert!(matches!(outcomes[0], Effect::Proposed { outcome: ProposalOutcome::Overloaded, .. }), "the third");
    assert!(matches!(outcomes[1], Effect::Proposed { outcome: ProposalOutcome::Appended { .. }, .. }), "the second");
}

#[test]
fn the_same_inputs_and_seed_give_the_same_effects() {
    let run = || {
        let mut cluster = Cluster::of(5);
        cluster.run_for(Duration::from_millis(700));
        cluster.delivered
    };
    assert_eq!(run(), run());
}
