//! §5.2: randomized election timeouts. No real time passes; the seeds are fixed.

use std::time::Duration;

use raft_consensus::{Role, Settings};

use crate::support::{Cluster, Lone, Setup};

const TIMEOUT_MS: u64 = 150;

fn setup(servers: u64, seed: u64) -> Setup {
    Setup::of(servers).seed(seed).settings(|settings: &mut Settings| {
        settings.election_timeout_ms_min = TIMEOUT_MS;
        settings.heartbeat_ms = 30;
    })
}

/// Asserts that timeouts lie in `[t, 2t)` and use all of it evenly.
fn assert_spread(timeouts: &[Duration]) {
    let mut tenths = [0_usize; 10];
    for timeout in timeouts {
        let past_min = timeout.checked_sub(Duration::from_millis(TIMEOUT_MS)).expect("never shorter than the minimum");
        let tenth = past_min.as_millis() * 10 / u128::from(TIMEOUT_MS);
        let tenth = usize::try_from(tenth).expect("small");
        assert!(tenth < 10, "{timeout:?} is not below twice the minimum");
        tenths[tenth] += 1;
    }
    let fair = timeouts.len() / 10;
    for count in tenths {
        assert!(count > fair / 2 && count < fair * 2, "uneven over [t, 2t): {tenths:?}");
    }
}

/// §5.2, 12: "Election timeouts are chosen randomly from a fixed interval": those of followers.
#[test]
fn the_timeouts_of_followers_are_spread_over_the_minimum_and_twice_the_minimum() {
    let timeouts: Vec<Duration> = (0..1000)
        .map(|seed| {
            let lone = Lone::with(&setup(3, seed));
            lone.member.next_deadline().since(lone.now)
        })
        .collect();
    assert_spread(&timeouts);
}

/// §5.2, 13: "Each candidate restarts its randomized election timeout at the start of an election."
#[test]
fn the_timeouts_of_candidates_are_spread_over_the_minimum_and_twice_the_minimum() {
    let timeouts: Vec<Duration> = (0..1000)
        .map(|seed| {
            let mut lone = Lone::with(&setup(3, seed));
            lone.become_candidate();
            assert_eq!(lone.status().role, Role::Candidate);
            lone.member.next_deadline().since(lone.now)
        })
        .collect();
    assert_spread(&timeouts);
}

/// §5.2, 13: a candidate does not use the same timeout again, or two that collided would do so for ever.
#[test]
fn each_election_draws_a_new_timeout() {
    let mut lone = Lone::with(&setup(3, 7));
    let drawn: Vec<Duration> = (0..5)
        .map(|_| {
            lone.become_candidate();
            lone.member.next_deadline().since(lone.now)
        })
        .collect();
    let mut different = drawn.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), drawn.len(), "{drawn:?}");
}

/// Lets messages take `LATENCY_MS` until somebody leads; how many terms that took and how long.
fn elect_with_latency(cluster: &mut Cluster) -> (u64, u64) {
    const LATENCY_MS: u64 = 5;
    for round in 0..1000 {
        if let Some(leader) = cluster.leader() {
            return (cluster.term(leader).get(), round * LATENCY_MS);
        }
        cluster.pass(LATENCY_MS, false);
        cluster.deliver_round();
    }
    panic!("nobody was elected:\n{}", cluster.trace.join("\n"));
}

/// Asserts that most elections need one term and that none drags on.
fn assert_split_votes_are_rare(mut start: impl FnMut(u64) -> Cluster) {
    const ELECTIONS: u64 = 200;
    let mut split = 0;
    for seed in 0..ELECTIONS {
        let (terms, millis) = elect_with_latency(&mut start(seed));
        split += u64::from(terms > 1);
        assert!(millis < 10 * TIMEOUT_MS, "seed {seed}: an election took {millis} ms and {terms} terms");
    }
    assert!(split * 10 < ELECTIONS * 2, "{split} of {ELECTIONS} elections were split");
}

/// §5.2, 14: "Randomized election timeouts ensure that split votes are rare": all begin as followers at once.
#[test]
fn split_votes_among_followers_are_rare() {
    assert_split_votes_are_rare(|seed| setup(5, seed).start());
}

/// §5.2, 15: "... and that they are resolved quickly": all begin as candidates, cut off from each other.
#[test]
fn split_votes_among_candidates_are_rare() {
    assert_split_votes_are_rare(|seed| {
        let mut cluster = setup(5, seed).start();
        for n in 1..=5 {
            cluster.partition(&[n]);
        }
        cluster.run(2 * TIMEOUT_MS);
        for n in 1..=5 {
            assert_eq!(cluster.role(n), Role::Candidate);
        }
        cluster.heal();
        cluster
    });
}
