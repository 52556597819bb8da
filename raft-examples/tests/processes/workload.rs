//! Clients that write as fast as they are answered, until told to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::{Client, NoAnswer, eventually};
use crate::oracle::Oracle;

/// The register that all clients swap.
pub(crate) const REGISTER: &str = "register";
const TIMEOUT_MS: u64 = 1_500;

/// A running write load over all nodes.
pub(crate) struct Workload {
    stop: Arc<AtomicBool>,
    oracle: Arc<Mutex<Oracle>>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Workload {
    /// Starts writers, each going round all nodes.
    pub(crate) fn start(clients: &[Client], writers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let oracle = Arc::new(Mutex::new(Oracle::default()));
        let threads = (0..writers)
            .map(|writer| {
                let (stop, oracle, clients) = (Arc::clone(&stop), Arc::clone(&oracle), clients.to_vec());
                std::thread::spawn(move || write(writer, &clients, &stop, &oracle))
            })
            .collect();
        Self { stop, oracle, threads }
    }

    /// How many writes were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.oracle.lock().expect("no writer panicked").acknowledged()
    }

    /// Waits until some more writes were acknowledged.
    pub(crate) fn progress(&self) {
        let before = self.acknowledged();
        eventually("writes are acknowledged again", || (self.acknowledged() >= before + 20).then_some(()));
    }

    /// Stops the writers. Gives what they know, and every value they saw in the register.
    pub(crate) fn stop(self) -> (Oracle, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.threads.into_iter().flat_map(|thread| thread.join().expect("no writer panicked")).collect();
        let oracle = Arc::into_inner(self.oracle).expect("all writers have ended");
        (oracle.into_inner().expect("no writer panicked"), seen)
    }
}

fn write(writer: usize, clients: &[Client], stop: &AtomicBool, oracle: &Mutex<Oracle>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut current: Option<String> = None;
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let client = &clients[(writer + turn) % clients.len()];
        let key = format!("w{writer}-{turn}");
        let answer = client.put(&key, &key, TIMEOUT_MS);
        if answer.as_ref().err() == Some(&NoAnswer::NotSent) {
            // Nobody listens there; leave the processor to those who are starting.
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        oracle.lock().expect("no writer panicked").put(&key, answer);

        // The register counts its swaps: "7 w0-3" was set by the seventh, in turn 3 of writer 0.
        let value = format!("{} {key}", swaps_of(current.as_deref()) + 1);
        let answer = client.cas(REGISTER, current.as_deref(), &value, TIMEOUT_MS);
        current = match &answer {
            Ok(answer) if answer.status == 200 => Some(value.clone()),
            Ok(answer) if answer.status == 409 => answer.json()["current"].as_str().map(str::to_owned),
            Ok(_) | Err(_) => current,
        };
        seen.extend(current.clone());
        oracle.lock().expect("no writer panicked").swap(&value, answer);
    }
    seen
}

/// How many swaps led to this value of the register.
pub(crate) fn swaps_of(value: Option<&str>) -> usize {
    value.map_or(0, |value| value.split(' ').next().and_then(|count| count.parse().ok()).expect("a count"))
}
