//! Bad input from remote peers is counted and dropped: it neither panics nor corrupts.

use bytes::Bytes;

use crate::testing::*;
use crate::*;

const NOW: Time = Time::from_millis(1);

/// A follower of 1 in term 3 with a log of terms 1, 1, 3, committed through 2.
fn follower() -> Raft {
    let mut raft = Raft::new(start(2, [1, 2, 3], &[1, 1, 3]));
    step(&mut raft, NOW, received(1, append(3, at(3, 3), &[], 2, 1)));
    assert_eq!((raft.leader(), raft.commit()), (Some(id(1)), LogIndex::new(2)));
    raft
}

fn append(term: u64, prev: LogPosition, terms: &[u64], commit: u64, round: u64) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term::new(term),
        prev,
        entries: entries(prev.index.get().saturating_add(1).min(u64::MAX - 9), terms),
        commit: LogIndex::new(commit),
        round: Round::new(round),
        rest: false,
        repair: None,
    })
}

/// `raft` counts `message` for `reason`, says nothing and changes nothing.
#[track_caller]
fn is_dropped(mut raft: Raft, from: u64, message: Message, reason: Ignored) {
    let (before, counted) = (raft.status(), raft.ignored().count(reason));
    let effects = step(&mut raft, NOW, received(from, message));
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!(raft.ignored().count(reason), counted + 1, "{:?}", raft.ignored());
    assert_eq!(raft.status(), before);
}

fn leader() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.time_out(1);
    cluster
}

#[test]
fn a_message_from_ourselves_is_dropped() {
    is_dropped(follower(), 2, append(3, at(3, 3), &[], 3, 2), Ignored::FromSelf);
}

#[test]
fn entries_with_gaps_or_falling_terms_are_dropped() {
    is_dropped(follower(), 1, append(3, at(3, 3), &[3, 2], 3, 2), Ignored::Malformed);
    let gap = AppendEntries {
        term: Term::new(3),
        prev: at(3, 3),
        entries: entries(5, &[3]),
        commit: LogIndex::ZERO,
        round: Round::new(2),
        rest: false,
        repair: None,
    };
    is_dropped(follower(), 1, Message::AppendEntries(gap), Ignored::Malformed);
}

#[test]
fn an_index_at_the_end_of_all_indexes_is_refused_or_dropped() {
    is_dropped(follower(), 1, append(3, at(3, u64::MAX), &[3], 3, 2), Ignored::Malformed);
    let mut raft = follower();
    let effects = step(&mut raft, NOW, received(1, append(3, at(3, u64::MAX), &[], u64::MAX, 2)));
    let hint = AppendOutcome::Conflict { refused: LogIndex::new(u64::MAX), hint: at(3, 3) };
    let (_, Message::AppendEntriesReply(reply)) = sent(&effects)[0] else { panic!("{effects:?}") };
    assert_eq!((reply.outcome, raft.commit()), (hint, LogIndex::new(2)));
}

#[test]
fn a_commit_index_beyond_everything_commits_what_the_message_covers() {
    let mut raft = follower();
    step(&mut raft, NOW, received(1, append(3, at(1, 2), &[3], u64::MAX, 2)));
    assert_eq!(raft.commit(), LogIndex::new(3));
}

#[test]
fn a_second_leader_of_the_same_term_is_dropped() {
    is_dropped(follower(), 3, append(3, at(3, 3), &[3], 3, 2), Ignored::SecondLeader);
    let leader = leader().raft(1).clone();
    is_dropped(leader, 3, append(1, at(1, 1), &[1], 1, 2), Ignored::SecondLeader);
}

#[test]
fn what_contradicts_a_committed_entry_is_dropped() {
    is_dropped(follower(), 1, append(3, at(1, 1), &[2], 2, 2), Ignored::ConflictsWithCommitted);
    is_dropped(follower(), 1, append(3, at(2, 2), &[], 2, 2), Ignored::ConflictsWithCommitted);
}

#[test]
fn an_older_term_is_answered_with_ours_so_that_its_sender_learns() {
    let mut raft = follower();
    let effects = step(&mut raft, NOW, received(3, append(2, at(1, 1), &[2], 2, 77)));
    let stale =
        AppendEntriesReply { term: Term::new(3), round: Round::new(77), outcome: AppendOutcome::Stale, damage: None };
    assert_eq!(sent(&effects), [(id(3), &Message::AppendEntriesReply(stale))]);
    let request = RequestVote { term: Term::new(2), last: at(1, 9), leadership_transfer: true };
    let effects = step(&mut raft, NOW, received(3, Message::RequestVote(request)));
    let refusal = RequestVoteReply { term: Term::new(3), granted: false };
    assert_eq!(sent(&effects), [(id(3), &Message::RequestVoteReply(refusal))]);
}

#[test]
fn a_candidate_with_a_log_from_the_future_is_dropped() {
    let last = at(9, 9);
    let request = RequestVote { term: Term::new(9), last, leadership_transfer: true };
    is_dropped(follower(), 3, Message::RequestVote(request), Ignored::Malformed);
    is_dropped(follower(), 3, Message::PreVote(PreVote { term: Term::new(9), last }), Ignored::Malformed);
}

#[test]
fn replies_of_strangers_have_no_effect_not_even_their_term() {
    let reply = |term| RequestVoteReply { term: Term::new(term), granted: true };
    is_dropped(leader().raft(1).clone(), 9, Message::RequestVoteReply(reply(40)), Ignored::UnknownSender);
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_dropped() {
    let reply = |round, outcome| {
        Message::AppendEntriesReply(AppendEntriesReply {
            term: Term::new(1),
            round: Round::new(round),
            outcome,
            damage: None,
        })
    };
    let matched = |index| AppendOutcome::Matched { durable: LogIndex::new(index) };
    let conflict = |refused, hint| AppendOutcome::Conflict { refused: LogIndex::new(refused), hint };
    let raft = || leader().raft(1).clone();
    is_dropped(raft(), 2, reply(1, matched(2)), Ignored::BeyondSent);
    is_dropped(raft(), 2, reply(1, matched(u64::MAX)), Ignored::BeyondSent);
    is_dropped(raft(), 2, reply(u64::MAX, matched(1)), Ignored::BeyondSent);
    is_dropped(raft(), 2, reply(0, matched(1)), Ignored::BeyondSent);
    is_dropped(raft(), 2, reply(1, conflict(u64::MAX, at(1, 1))), Ignored::BeyondSent);
    is_dropped(raft(), 2, reply(1, conflict(1, at(1, 1))), Ignored::Malformed);
    is_dropped(raft(), 2, reply(1, AppendOutcome::Stale), Ignored::Malformed);
}

#[test]
fn no_message_makes_any_role_panic() {
    let extremes = [0, 1, 2, 3, 5, u64::MAX - 1, u64::MAX];
    let positions: Vec<LogPosition> = extremes.iter().flat_map(|t| extremes.iter().map(|i| at(*t, *i))).collect();
    let mut messages = Vec::new();
    for term in extremes.map(Term::new) {
        for granted in [true, false] {
            messages.push(Message::PreVoteReply(PreVoteReply { term, granted }));
            messages.push(Message::RequestVoteReply(RequestVoteReply { term, granted }));
        }
        for position in positions.iter().copied() {
            let (prev, last, index) = (position, position, position.index);
            messages.push(Message::PreVote(PreVote { term, last }));
            messages.push(Message::RequestVote(RequestVote { term, last, leadership_transfer: index.get() % 2 == 0 }));
            for terms in [&[][..], &[1], &[3, 3], &[9, 2]] {
                messages.push(append(term.get(), prev, terms, index.get(), position.term.get()));
            }
            let outcomes = [
                AppendOutcome::Matched { durable: index },
                AppendOutcome::Conflict { refused: index, hint: at(position.term.get(), index.prev().get()) },
                AppendOutcome::Conflict { refused: LogIndex::new(2), hint: position },
                AppendOutcome::Stale,
            ];
            for (outcome, round) in outcomes.into_iter().zip([1, 2, u64::MAX, 0].map(Round::new)) {
                messages.push(Message::AppendEntriesReply(AppendEntriesReply { term, round, outcome, damage: None }));
            }
        }
    }
    let mut candidate = Raft::new(start(2, [1, 2, 3], &[1, 1, 3]));
    step(&mut candidate, Time::from_millis(300), Input::Deadline);
    let mut leader = leader();
    leader.input(id(1), Input::Propose { id: ProposalId(1), commands: vec![Bytes::new(); 3] });
    for role in [follower(), candidate, leader.raft(1).clone()] {
        // Each message against the fresh role, and all of them one after another.
        let mut worn = role.clone();
        for message in &messages {
            for from in [1, 2, 3, 9] {
                step(&mut role.clone(), NOW, received(from, message.clone()));
                let effects = step(&mut worn, NOW, received(from, message.clone()));
                assert!(
                    !effects.iter().any(|effect| matches!(effect, Effect::Halt { .. })),
                    "{message:?}: {effects:?}"
                );
            }
        }
    }
}
