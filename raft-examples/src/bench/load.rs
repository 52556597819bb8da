//! The clients: a closed loop each, all on the calling thread.

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
use super::options::RaftBench;
use super::process::Meter;
use super::target::Target;

const WARM_UP: Duration = Duration::from_secs(1);
const LATENCY_NS_MAX: u64 = 60_000_000_000;

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
}

/// What the clients write down; they take turns on one thread, so there is one for all.
struct Notes {
    latencies_ns: Histogram<u64>,
    errors: u64,
    last_error: String,
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
    let latencies_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("bounds and precision are valid");
    let notes = Rc::new(RefCell::new(Notes { latencies_ns, errors: 0, last_error: String::new() }));
    let data = Data(Bytes::from(vec![0x5a; options.payload]));
    let begin = Instant::now() + WARM_UP;
    let end = begin + Duration::from_secs(options.seconds);

    let mut tasks = JoinSet::new();
    // On the nodes' thread they do it already.
    let busy_poll = spawn_local(raft_actor::busy_poll(options.busy_poll()));
    for client in 0..clients {
        let client = Client {
            target: targets[client % targets.len()].clone(),
            data: data.clone(),
            batch: options.batch,
            reads: options.reads,
            // Spread out, so that they do not all read at the same time.
            read_share: (client * 37 % 100) as u32,
            notes: Rc::clone(&notes),
        };
        tasks.spawn_local(client.run(begin, end));
    }
    let cpu_at_begin = spawn_local({
        let meter = meter.clone();
        async move {
            tokio::time::sleep_until(begin.into()).await;
            meter.cpu_seconds()
        }
    });
    while let Some(client) = tasks.join_next().await {
        client.map_err(io::Error::other)?;
    }

    busy_poll.abort();
    let seconds = begin.elapsed().as_secs_f64();
    let cpu_at_begin = cpu_at_begin.await.expect("it only reads a file");
    let notes = Rc::into_inner(notes).expect("all clients are done").into_inner();
    if notes.latencies_ns.is_empty() {
        return Err(BenchError::NothingDone { clients, seconds: options.seconds, last: notes.last_error });
    }
    Ok(LoadResult {
        latencies_ns: notes.latencies_ns,
        seconds,
        cpu_seconds: meter.cpu_seconds() - cpu_at_begin,
        errors: notes.errors,
        node_peak_rss_bytes: meter.node_peak_rss_bytes(),
    })
}

struct Client<T> {
    target: T,
    data: Data,
    /// Writes in one request.
    batch: usize,
    /// Reads in a hundred requests.
    reads: u32,
    /// Grows by `reads` with each request; each full hundred is a read.
    read_share: u32,
    notes: Rc<RefCell<Notes>>,
}

impl<T: Target> Client<T> {
    /// Requests until `end`. Counts those sent after `begin` and answered at any time, so what is
    /// under way in the end is counted with the time it takes.
    async fn run(mut self, begin: Instant, end: Instant) {
        let mut sent = Instant::now();
        while sent < end {
            let outcome = self.request().await;
            let answered = Instant::now();
            if sent >= begin {
                let (mut notes, requests) = (self.notes.borrow_mut(), self.batch as u64);
                match &outcome {
                    Ok(()) => {
                        let nanoseconds = u64::try_from((answered - sent).as_nanos()).unwrap_or(u64::MAX);
                        notes.latencies_ns.saturating_record_n(nanoseconds, requests);
                    }
                    Err(_) => notes.errors += requests,
                }
            }
            if let Err(failure) = outcome {
                self.notes.borrow_mut().last_error = failure;
                // Some are refused at once; the others need the thread, too.
                yield_now().await;
            }
            sent = answered;
        }
    }

    /// One request, or one batch of writes.
    async fn request(&mut self) -> Result<(), String> {
        self.read_share += self.reads;
        if self.read_share >= 100 {
            self.read_share -= 100;
            self.target.read().await
        } else if self.batch > 1 {
            self.target.write_many(self.data.clone(), self.batch).await
        } else {
            self.target.write(self.data.clone()).await
        }
    }
}
