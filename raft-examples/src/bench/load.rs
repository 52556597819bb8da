//! The clients: a closed loop each, or an open loop for all of them; all on the calling thread.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use raft_actor::NodeThread;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_local, yield_now};

use super::BenchError;
use super::machine::Data;
use super::options::{RaftBench, Rate, ReadKind};
use super::process::Meter;
use super::target::Target;

mod alarm;
mod open;
mod parts;

pub(super) use open::Pace;
pub(super) use parts::{Figures, Part};

use parts::Cutter;

const WARM_UP: Duration = Duration::from_secs(1);
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// A run that ends after so many requests ends after this long in any case.
const ENTRIES_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// What the clients have seen.
pub(super) struct LoadResult {
    /// One for each request; each write of a batch takes as long as its batch.
    pub(super) latencies_ns: Histogram<u64>,
    /// From the end of the warm-up to the last reply.
    pub(super) seconds: f64,
    /// Of the whole process in that time, and of the nodes if they are processes of their own.
    pub(super) cpu_seconds: f64,
    pub(super) errors: u64,
    /// The most memory that a node had, if they are.
    pub(super) node_peak_rss_bytes: Option<u64>,
    /// How an open loop went.
    pub(super) pace: Option<Pace>,
    /// Of a run in parts.
    pub(super) parts: Vec<Figures>,
}

/// What the clients write down; they take turns on one thread, so there is one for all.
struct Notes {
    latencies_ns: Histogram<u64>,
    /// Those since a part was cut, which are not in the whole yet.
    since_cut: Histogram<u64>,
    parts: Vec<Figures>,
    /// Requests that were sent in the time that is measured.
    begun: u64,
    errors: u64,
    last_error: String,
}

impl Notes {
    fn new() -> Self {
        let latencies_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("bounds and precision are valid");
        let since_cut = latencies_ns.clone();
        Self { latencies_ns, since_cut, parts: Vec::new(), begun: 0, errors: 0, last_error: String::new() }
    }

    /// So many requests with the same outcome.
    fn note(&mut self, outcome: &Result<(), String>, took: Duration, requests: u64) {
        match outcome {
            Ok(()) => {
                let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                self.since_cut.saturating_record_n(nanoseconds, requests);
            }
            Err(_) => self.errors += requests,
        }
    }
}

/// Like [`run`], with the clients on a thread where nodes live: no request wakes another thread.
///
/// # Errors
/// If nobody was ever answered.
pub(super) async fn run_on<T: Target + Send>(
    thread: &NodeThread,
    targets: Vec<T>,
    options: RaftBench,
    clients: usize,
) -> Result<LoadResult, BenchError> {
    let (done, result) = oneshot::channel();
    thread.run(move || {
        spawn_local(async move { done.send(run(&targets, &options, clients, &Meter::default()).await) });
    });
    result.await.map_err(|_| io::Error::other("the nodes' thread ended while it was measured"))?
}

/// Runs `clients` clients, after a warm-up: each against one of the targets, which may be nodes of several groups. Within
/// a `LocalSet`.
///
/// # Errors
/// If nobody was ever answered.
pub(super) async fn run<T: Target>(
    targets: &[T],
    options: &RaftBench,
    clients: usize,
    meter: &Meter,
) -> Result<LoadResult, BenchError> {
    let notes = Rc::new(RefCell::new(Notes::new()));
    let begin = Instant::now() + WARM_UP;
    let lasts = options.entries.map_or(Duration::from_secs(options.seconds), |_| ENTRIES_WITHIN);
    let end = begin + lasts;

    // On the nodes' thread they do it already.
    let busy_poll = spawn_local(raft_actor::busy_poll(options.busy_poll()));
    let (cpu_known, cpu_at_begin) = oneshot::channel();
    let watcher = spawn_local({
        let (meter, notes, every) = (meter.clone(), Rc::clone(&notes), options.every);
        async move {
            tokio::time::sleep_until(begin.into()).await;
            // Whoever waits for it is still there.
            let _ = cpu_known.send(meter.cpu_seconds());
            if let Some(every) = every {
                Cutter::new(notes, meter).run(Duration::from_secs(every)).await;
            }
        }
    });
    // One for all: so many clients would have nothing in the processor's caches else.
    let data = Data(Bytes::from(vec![0x5a; options.payload()]));
    let client = |target: &T| Client {
        target: target.clone(),
        data: data.clone(),
        batch: options.batch,
        read_kind: options.read_kind,
        begin,
        notes: Rc::clone(&notes),
    };
    let pace = match options.rate {
        Some(Rate::PerSecond(rate)) => {
            let mix = Mix { reads: options.reads(), share: 0 };
            let clients = (0..clients).map(|number| client(&targets[number % targets.len()])).collect();
            Some(open::run(clients, mix, rate, end).await?)
        }
        // One that depends on a peak is known when that is.
        Some(Rate::PercentOfPeak(_)) | None => {
            let mut tasks = JoinSet::new();
            for number in 0..clients {
                // Spread out, so that they do not all read at the same time.
                let mix = Mix { reads: options.reads(), share: (number * 37 % 100) as u32 };
                let client = client(&targets[number % targets.len()]);
                tasks.spawn_local(client.closed_loop(mix, end, options.entries));
            }
            while let Some(client) = tasks.join_next().await {
                client.map_err(io::Error::other)?;
            }
            None
        }
    };

    busy_poll.abort();
    let seconds = begin.elapsed().as_secs_f64();
    let cpu_at_begin = cpu_at_begin.await.map_err(io::Error::other)?;
    watcher.abort();
    let mut notes = notes.borrow_mut();
    notes.merge_cut();
    if notes.latencies_ns.is_empty() {
        return Err(BenchError::NothingDone { clients, seconds: options.seconds, last: notes.last_error.clone() });
    }
    Ok(LoadResult {
        latencies_ns: notes.latencies_ns.clone(),
        seconds,
        cpu_seconds: meter.cpu_seconds() - cpu_at_begin,
        errors: notes.errors,
        node_peak_rss_bytes: meter.node_peak_rss_bytes(),
        pace,
        parts: std::mem::take(&mut notes.parts),
    })
}

struct Client<T> {
    target: T,
    data: Data,
    /// Writes in one request.
    batch: usize,
    read_kind: ReadKind,
    /// What is due before is warm-up.
    begin: Instant,
    notes: Rc<RefCell<Notes>>,
}

impl<T: Target> Client<T> {
    /// One request, or one batch of writes, that is due then. It counts if that is after the warm-up, whenever it is
    /// answered, so what is under way in the end is counted with the time it takes. Returns when it was answered.
    async fn send(&self, is_read: bool, due: Instant) -> Instant {
        let (target, counts) = (&self.target, due >= self.begin);
        self.notes.borrow_mut().begun += if counts { self.batch as u64 } else { 0 };
        let outcome = if is_read {
            target.read(self.read_kind).await
        } else if self.batch > 1 {
            target.write_many(self.data.clone(), self.batch).await
        } else {
            target.write(self.data.clone()).await
        };
        let answered = Instant::now();
        if counts {
            self.notes.borrow_mut().note(&outcome, answered - due, self.batch as u64);
        }
        if let Err(failure) = outcome {
            self.notes.borrow_mut().last_error = failure;
            // Some are refused at once; the others need the thread, too.
            yield_now().await;
        }
        answered
    }

    /// Requests until `end`, or until so many have been sent by all clients together, each when the one before is answered.
    async fn closed_loop(self, mut mix: Mix, end: Instant, entries: Option<u64>) {
        let mut now = Instant::now();
        while now < end && entries.is_none_or(|entries| self.notes.borrow().begun < entries) {
            now = self.send(mix.next_is_read(), now).await;
        }
    }
}

/// Which requests are reads.
struct Mix {
    /// Of a hundred requests.
    reads: u32,
    /// Grows by `reads` with each request; each full hundred is a read.
    share: u32,
}

impl Mix {
    fn next_is_read(&mut self) -> bool {
        self.share += self.reads;
        let is_read = self.share >= 100;
        self.share -= if is_read { 100 } else { 0 };
        is_read
    }
}

#[cfg(test)]
mod tests;
