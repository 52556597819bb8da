//! §5.3: log replication, on the follower's side.

use raft_consensus::{AppendEntriesReply, AppendOutcome, LogPosition, LogWrite, Message, Round};

use crate::support::lone::{append, terms};
use crate::support::{Cluster, Lone, Setup, at, entry, index, log_of_terms, node, term};

/// §5.3, 20: "Once a follower learns that a log entry is committed, it applies the entry to its local
/// state machine (in log order)."
#[test]
fn a_follower_applies_in_order_what_it_is_told_is_committed() {
    for (entries, commit) in [(1, 1), (2, 1), (2, 2), (4, 3), (4, 4)] {
        let mut lone = Lone::of(3);
        let sent: Vec<_> = (1..=entries).map(|i| entry(i, 1)).collect();
        lone.receive(2, append(1, at(0, 0), sent, 0));
        assert!(lone.applied().is_empty(), "nothing is committed yet");
        lone.receive(2, append(1, at(entries, 1), vec![], commit));
        assert_eq!(lone.status().commit, index(commit));
        assert_eq!(lone.applied(), (1..=commit).map(|i| at(i, 1)).collect::<Vec<_>>());
    }
}

/// Figure 2, AppendEntries rule 5: the commit index is "min(leaderCommit, index of last new entry)".
#[test]
fn a_follower_commits_no_further_than_the_message_verified() {
    let mut lone = Lone::with(&Setup::of(3).log(1, log_of_terms(&[1, 1, 1])).term(1, 2));
    lone.receive(2, append(2, at(1, 1), vec![], 3));
    assert_eq!(lone.status().commit, index(1), "entries 2 and 3 may be another leader's");
    lone.receive(2, append(2, at(1, 1), vec![entry(2, 1)], 3));
    assert_eq!(lone.status().commit, index(2));
}

fn answer_to(lone: &mut Lone, message: Message) -> AppendEntriesReply {
    lone.forget();
    lone.receive(2, message);
    let answers = lone.sent();
    let [(2, Message::AppendEntriesReply(reply))] = answers.as_slice() else { panic!("{answers:?}") };
    reply.clone()
}

/// §5.3, 21: "If the follower does not find an entry in its log with the same index and term, then it
/// refuses the new entries", here with a hint that lets the leader skip whole terms.
#[test]
fn a_follower_that_lacks_the_previous_entry_refuses_with_a_hint() {
    // log, prev, and the hint: the last entry that can still match; None where prev is there
    let table: [(&[u64], LogPosition, Option<LogPosition>); 10] = [
        (&[1, 2], at(0, 0), None),
        (&[1, 2], at(1, 1), None),
        (&[1, 2], at(2, 2), None),
        (&[1, 2], at(3, 3), Some(at(2, 2))),
        (&[1, 2], at(2, 3), Some(at(1, 1))),
        (&[], at(5, 2), Some(at(0, 0))),
        (&[1, 1, 1, 1], at(9, 2), Some(at(4, 1))),
        (&[1, 2, 2, 2, 5, 5], at(6, 4), Some(at(4, 2))),
        (&[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], at(10, 6), Some(at(9, 3))),
        (&[4, 4, 4], at(2, 3), Some(at(0, 0))),
    ];
    for (log, prev, hint) in table {
        let mut lone = Lone::with(&Setup::of(3).log(1, log_of_terms(log)).term(1, 6));
        let reply = answer_to(&mut lone, append(6, prev, vec![], 0));
        let outcome = match hint {
            None => AppendOutcome::Matched { durable: prev.index },
            Some(hint) => AppendOutcome::Conflict { refused: prev.index, hint },
        };
        let expected = AppendEntriesReply { term: term(6), round: Round::new(1), outcome, damage: None };
        assert_eq!(reply, expected, "log {log:?}, prev {prev}");
        assert_eq!(terms(&lone.log()), log, "a refusal changes nothing");
        assert_eq!(lone.status().leader, Some(node(2)), "yet the leader is known");
    }
}

/// §5.3, 22: "If an existing entry conflicts with a new one (same index but different terms), delete the
/// existing entry and all that follow it. Append any new entries not already in the log."
#[test]
fn conflicting_entries_are_deleted_with_all_that_follow_and_new_ones_written() {
    use LogWrite::{Append, Replace};
    // the log [1, 2], prev, entries sent, the log after, what is written
    let table = [
        (at(2, 2), vec![entry(3, 3)], &[1, 2, 3][..], Some(Append(vec![entry(3, 3)].into()))),
        (at(1, 1), vec![entry(2, 3), entry(3, 4)], &[1, 3, 4], Some(Replace(vec![entry(2, 3), entry(3, 4)].into()))),
        (at(0, 0), vec![entry(1, 1)], &[1, 2], None),
        (at(0, 0), vec![entry(1, 1), entry(2, 2)], &[1, 2], None),
        (at(0, 0), vec![entry(1, 3)], &[3], Some(Replace(vec![entry(1, 3)].into()))),
        (at(0, 0), vec![entry(1, 1), entry(2, 3)], &[1, 3], Some(Replace(vec![entry(2, 3)].into()))),
        (at(1, 1), vec![entry(2, 2), entry(3, 2)], &[1, 2, 2], Some(Append(vec![entry(3, 2)].into()))),
        (at(1, 1), vec![], &[1, 2], None),
    ];
    for (prev, sent, expected, write) in table {
        let mut lone = Lone::with(&Setup::of(3).log(1, log_of_terms(&[1, 2])).term(1, 4));
        let verified = sent.last().map_or(prev.index, |entry| entry.position.index);
        let reply = answer_to(&mut lone, append(4, prev, sent.clone(), 0));
        let what = format!("prev {prev}, sent {sent:?}");
        assert_eq!(reply.outcome, AppendOutcome::Matched { durable: verified }, "{what}");
        assert_eq!(terms(&lone.log()), expected, "{what}");
        assert_eq!(lone.log_writes(), Vec::from_iter(write), "{what}");
    }
}

/// The logs of Figure 7: a leader of term 8 and the six followers (a) to (f).
const LEADER: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FOLLOWERS: [(&str, &[u64]); 6] = [
    ("a", &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
    ("b", &[1, 1, 1, 4]),
    ("c", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
    ("d", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
    ("e", &[1, 1, 1, 4, 4, 4, 4]),
    ("f", &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
];

/// §5.3, 23: "The leader handles inconsistencies by forcing the followers' logs to duplicate its own";
/// and "the protocol can be optimized to reduce the number of rejected AppendEntries".
#[test]
fn all_logs_of_figure_7_are_brought_into_line_in_few_round_trips() {
    for (name, log) in FOLLOWERS {
        // A third server with an empty log gives the vote.
        let setup = Setup::of(3).log(1, log_of_terms(LEADER)).term(1, 7).log(2, log_of_terms(log)).term(2, 7);
        let mut cluster = setup.start();
        cluster.elect(1);
        assert_eq!(cluster.term(1), term(8));
        assert_eq!(cluster.log(2), cluster.log(1), "({name}) without any further heartbeat");
        let arrow = "n1@8 -> n2 AppendEntries ";
        let sent = cluster.trace.iter().filter(|line| line.starts_with(arrow)).count();
        assert!(sent <= 3, "({name}) took {sent} AppendEntries:\n{}", cluster.trace.join("\n"));
        cluster.run(200);
        assert_eq!(cluster.applied(2), cluster.applied(1), "({name})");
    }
}

/// §5.3, 23: a log that differs over hundreds of terms is found out in logarithmically few or term-wise steps.
#[test]
fn a_torn_off_follower_with_a_long_divergent_log_catches_up_in_few_round_trips() {
    let common = 50;
    let own = |from: u64| {
        let mut log = vec![1; common];
        log.extend((0..400).map(|i| from + i / 100));
        log_of_terms(&log)
    };
    let mut cluster = Setup::of(3).log(1, own(6)).log(2, own(2)).log(3, log_of_terms(&[1])).start();
    cluster.elect(1);
    assert_eq!(cluster.log(2), cluster.log(1));
    let sent = cluster.trace.iter().filter(|line| line.contains("-> n2 AppendEntries ")).count();
    assert!(sent <= 4, "400 conflicting entries took {sent} AppendEntries");
    assert_replicates(&mut cluster);
}

fn assert_replicates(cluster: &mut Cluster) {
    cluster.propose(1, "x");
    cluster.run(200);
    assert_eq!(cluster.applied(2), cluster.applied(1));
}
