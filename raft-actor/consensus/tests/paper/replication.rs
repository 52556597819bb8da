//! §5.3: log replication, on the leader's side.

use raft_consensus::{AppendEntries, Effect, Entry, Input, LogWrite, Payload, ProposalId, ProposalOutcome, Role};

use crate::support::lone::matched;
use crate::support::{Cluster, Lone, Setup, at, index, log_of_terms};

const FIRST: ProposalId = ProposalId(1);

fn propose(lone: &mut Lone, commands: &[&'static str]) {
    let commands = commands.iter().map(|command| (*command).into()).collect();
    lone.input(Input::Propose { id: FIRST, commands });
}

/// A leader whose no-op everybody has.
fn settled_leader(setup: &Setup, count: u64) -> Lone {
    let mut leader = Lone::with(setup);
    leader.become_candidate();
    for voter in 2..=count {
        leader.receive(voter, crate::support::lone::vote(leader.status().term.get(), true));
    }
    assert_eq!(leader.status().role, Role::Leader);
    for _ in 0..2 {
        for (to, append) in leader.sent_appends() {
            leader.acknowledge(to, &append);
        }
    }
    assert_eq!(leader.status().commit, leader.status().last.index, "the no-op is committed");
    leader.forget();
    leader
}

/// §5.3, 16: "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in
/// parallel to each of the other servers", with "the index and term of the entry in its log that
/// immediately precedes the new entries".
#[test]
fn a_proposal_is_appended_given_to_the_storage_and_sent_behind_the_entry_before_it() {
    let mut leader = settled_leader(&Setup::of(3), 3);
    propose(&mut leader, &["x", "y"]);
    let effects = leader.effects();
    let outcome = ProposalOutcome::Appended { first: at(2, 1) };
    assert!(effects.contains(&Effect::Proposed { id: FIRST, outcome }), "{effects:?}");

    let expected: Vec<Entry> = [(2, "x"), (3, "y")]
        .map(|(index, command)| Entry { position: at(index, 1), payload: Payload::Command(command.into()) })
        .to_vec();
    let is_append = |effect: &&Effect| {
        matches!(effect, Effect::Persist { log: Some(LogWrite::Append(entries)), .. }
            if entries.iter().cloned().collect::<Vec<_>>() == expected)
    };
    assert_eq!(effects.iter().filter(is_append).count(), 1, "{effects:?}");

    let sent = leader.sent_appends();
    assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [2, 3]);
    for (_, AppendEntries { prev, entries, commit, .. }) in sent {
        assert_eq!((prev, commit), (at(1, 1), index(1)));
        assert_eq!(entries.iter().cloned().collect::<Vec<_>>(), expected);
    }
}

/// §5.3, 17: "When the entry has been safely replicated, the leader applies the entry to its state machine",
/// and "it includes that index in future AppendEntries RPCs so that the other servers eventually find out".
#[test]
fn a_replicated_entry_is_applied_and_the_commit_index_travels() {
    let mut leader = settled_leader(&Setup::of(3), 3);
    propose(&mut leader, &["x"]);
    let (_, sent) = leader.sent_appends().remove(0);
    assert_eq!(leader.applied(), [at(1, 1)], "not before it is replicated");
    leader.acknowledge(2, &sent);
    assert_eq!(leader.status().commit, index(2));
    assert_eq!(leader.applied(), [at(1, 1), at(2, 1)]);
    leader.deadline();
    let told: Vec<_> = leader.sent_appends();
    assert!(told.iter().any(|(to, append)| *to == 2 && append.commit == index(2)), "{told:?}");
}

/// §5.3, 18: "A log entry is committed once the leader that created the entry has replicated it on a
/// majority of the servers", itself included, but only once its own disk has it (dissertation 10.2.1).
#[test]
fn an_entry_is_committed_exactly_when_a_majority_has_it() {
    for size in [1, 3, 5, 7] {
        for acknowledged in 0..size {
            for own_disk in [true, false] {
                let mut leader = settled_leader(&Setup::of(size), size);
                leader.member.disk.held = !own_disk;
                propose(&mut leader, &["x"]);
                let sent = leader.sent_appends();
                for (to, append) in sent.iter().take(usize::try_from(acknowledged).expect("small")) {
                    leader.acknowledge(*to, append);
                }
                let holders = acknowledged + u64::from(own_disk);
                let committed = leader.status().commit == index(2);
                let what = format!("{size} servers, {acknowledged} followers have it, the leader: {own_disk}");
                assert_eq!(committed, holders * 2 > size, "{what}");
            }
        }
    }
}

/// §5.3, 18: an acknowledgement counts once, and one of a stranger or for another entry not at all.
#[test]
fn repeated_acknowledgements_and_those_of_strangers_do_not_count() {
    let mut leader = settled_leader(&Setup::of(5), 5);
    propose(&mut leader, &["x"]);
    let (_, append) = leader.sent_appends().remove(0);
    for from in [2, 2, 2, 77] {
        leader.acknowledge(from, &append);
    }
    leader.receive(3, matched(1, append.round.get(), 1));
    assert_eq!(leader.status().commit, index(1));
}

/// §5.3, 19: "This also commits all preceding entries in the leader's log, including entries created by previous leaders."
#[test]
fn committing_an_entry_commits_all_before_it_in_order() {
    for terms in [&[][..], &[2], &[1, 2], &[1, 1, 2, 3, 3]] {
        let mut leader = Lone::with(&Setup::of(3).log(1, log_of_terms(terms)));
        leader.become_candidate();
        let own = leader.status().term.get();
        leader.receive(2, crate::support::lone::vote(own, true));
        propose(&mut leader, &["x"]);
        assert_eq!(leader.status().commit, index(0), "nobody has acknowledged anything");
        follow(&mut leader, 2);
        let mut expected: Vec<u64> = terms.to_vec();
        expected.extend([own, own]);
        assert_eq!(leader.status().commit, leader.status().last.index, "the no-op and the command are committed");
        assert_eq!(crate::support::lone::terms(&leader.applied()), expected);
    }
}

/// Acknowledges as server `from` everything it is sent, until nothing more comes.
fn follow(leader: &mut Lone, from: u64) {
    for _ in 0..10 {
        for (to, append) in leader.sent_appends() {
            if to == from {
                leader.acknowledge(from, &append);
            }
        }
    }
}

/// §5.3, 19: the same in a whole cluster, where a former leader's entry was on one other server only.
#[test]
fn entries_of_former_leaders_are_applied_everywhere_in_order() {
    let mut cluster =
        Setup::of(3).log(1, log_of_terms(&[1, 2])).log(2, log_of_terms(&[1])).log(3, log_of_terms(&[1])).start();
    cluster.elect(1);
    cluster.propose(1, "x");
    cluster.settle();
    cluster.run(200);
    for n in 1..=3 {
        let applied: Vec<u64> = cluster.applied(n).iter().map(|entry| entry.position.term.get()).collect();
        assert_eq!(applied, [1, 2, 3, 3], "n{n}");
    }
    assert_in_step(&cluster);
}

fn assert_in_step(cluster: &Cluster) {
    for n in 2..=3 {
        assert_eq!(cluster.applied(n), cluster.applied(1), "n{n}");
    }
}
