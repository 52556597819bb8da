//! Many threads at once: whatever the node does with its callers, each gets exactly one outcome, and all room comes back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::support::*;
use crate::callers::permits::Amount;
use crate::callers::{Answers, Failure, Waiting};
use crate::handle::queue::{AnyQueue, Consistency};
use crate::handle::{ClientQueue, QueueLimits};

const CLIENTS: u64 = 4;
const ROUNDS: u64 = 150;
const BURST: u64 = 40;

/// Callers whose answers come from another thread.
struct Task {
    part: Waiting,
    answers: Answers,
    writes: bool,
}

/// A node in a bad mood: splits what it gets, and answers, fails, expires or forgets the parts.
fn moody_node(node: &ClientQueue, rng: &mut StdRng, elsewhere: &Sender<Task>) -> bool {
    if rng.random_bool(0.05) {
        node.expire(if rng.random_bool(0.5) { far() } else { raft_consensus::Time::ZERO });
    }
    let batch = match node.poll_batch(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(Some(batch)) => batch,
        Poll::Ready(None) => return false,
        Poll::Pending => {
            thread::yield_now();
            return true;
        }
    };
    let writes = batch.writes.map(|writes| {
        assert_eq!(writes.commands.len(), writes.waiting.len());
        (true, writes.waiting)
    });
    let reads = batch.reads.into_iter().chain(batch.local_reads).map(|waiting| (false, waiting));
    for (writes, mut waiting) in writes.into_iter().chain(reads) {
        while !waiting.is_empty() {
            let n = rng.random_range(1..=waiting.len());
            settle_somehow(waiting.split_to(n), writes, rng, elsewhere);
        }
    }
    true
}

fn settle_somehow(mut part: Waiting, writes: bool, rng: &mut StdRng, elsewhere: &Sender<Task>) {
    match rng.random_range(0..6) {
        0 => drop(part),
        1 => part.fail(Failure::Overloaded),
        2 => {
            part.expire(far(), timed_out());
            part.fail(Failure::Unknown);
        }
        3 => drop(part.answers()),
        _ => {
            // Answered on another thread, while the node may expire it.
            let answers = part.answers();
            elsewhere.send(Task { part, answers, writes }).expect("the other thread outlives this one");
        }
    }
}

/// The state machine's thread: answers some, and forgets the rest.
fn answer_somehow(Task { mut part, mut answers, writes }: Task, rng: &mut StdRng) {
    let expiring = rng.random_bool(0.3);
    let n = rng.random_range(0..=answers.len());
    for _ in 0..n {
        if writes {
            answers.answer::<W>(1);
        } else if let Some(query) = answers.input::<R>() {
            answers.answer::<R>(Some(query.to_string()));
        } else {
            answers.skip();
        }
    }
    if expiring {
        part.expire(far(), timed_out());
    }
    if answers.is_empty() {
        part.complete();
    }
}

#[test]
fn every_caller_gets_exactly_one_outcome_and_all_room_comes_back() {
    for seed in 0..8 {
        let limits = QueueLimits { requests_max: CLIENTS * BURST - 20, bytes_max: 1 << 20, ..QueueLimits::default() };
        let (queue, node) = crate::handle::Queue::<Words>::new(limits, crate::clock::Clock::start());
        let outcomes = AtomicU64::new(0);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel::<Task>();
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(seed + 1000);
                for task in receiver {
                    answer_somehow(task, &mut rng);
                }
            });
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (queue, outcomes) = (&queue, &outcomes);
                    scope.spawn(move || {
                        let mut rng = StdRng::seed_from_u64(seed * 100 + client);
                        for _ in 0..ROUNDS {
                            client_round(queue, outcomes, &mut rng);
                        }
                    })
                })
                .collect();
            let done = &done;
            let node = scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(seed);
                while !done.load(Ordering::Acquire) {
                    moody_node(&node, &mut rng, &sender);
                }
            });
            for client in clients {
                client.join().expect("a client");
            }
            done.store(true, Ordering::Release);
            node.join().expect("the node");
        });
        assert_eq!(outcomes.into_inner(), CLIENTS * ROUNDS * BURST);
        assert_eq!(queue.in_use(), Amount::default(), "with seed {seed}");
    }
}

/// Sends a burst of writes and reads, gives some up, and waits for the others.
fn client_round(queue: &crate::handle::Queue<Words>, outcomes: &AtomicU64, rng: &mut StdRng) {
    let timeout = if rng.random_bool(0.2) { Duration::ZERO } else { Duration::from_secs(7200) };
    let mut writes = Vec::new();
    let mut reads = Vec::new();
    for n in 0..BURST {
        if rng.random_bool(0.5) {
            writes.push(queue.write(&"x".repeat(rng.random_range(0..100)), timeout));
        } else if rng.random_bool(0.5) {
            reads.push(queue.read(n, Consistency::Linearizable, timeout));
        } else {
            reads.push(queue.read(n, Consistency::Local, timeout));
        }
    }
    for write in writes {
        if rng.random_bool(0.9) {
            let _: Result<u64, _> = block_on(write);
        }
        outcomes.fetch_add(1, Ordering::Relaxed);
    }
    for read in reads {
        if rng.random_bool(0.9) {
            let _: Result<Option<String>, _> = block_on(read);
        }
        outcomes.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn closing_in_the_middle_of_a_rush_leaves_nobody_behind() {
    for seed in 0..20 {
        let (queue, node) = words();
        let started = AtomicU64::new(0);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (queue, started) = (&queue, &started);
                scope.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(seed * 100 + client);
                    loop {
                        let burst = queue.words(rng.random_range(1..20));
                        started.fetch_add(1, Ordering::Relaxed);
                        let mut refused = false;
                        for write in burst {
                            refused |= block_on(write).is_err();
                        }
                        if refused {
                            return;
                        }
                    }
                });
            }
            let mut answered = 0;
            while started.load(Ordering::Relaxed) < 20 + seed {
                if let Some(batch) = node.batch() {
                    answer(batch.writes.expect("only writes").waiting, answered);
                    answered += 1;
                }
            }
            // With the last ones taken but not answered.
            let taken = node.batch();
            if seed % 2 == 0 {
                node.close(Failure::ShuttingDown);
            }
            drop(node);
            drop(taken);
        });
        assert_eq!(queue.in_use(), Amount::default());
        assert!(!queue.close(Failure::ShuttingDown), "closed once and for all");
    }
}
