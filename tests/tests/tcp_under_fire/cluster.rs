//! Three hosts with a proxy for each direction between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use raft_actor::transport::Transport;
use raft_actor::{RaftHandle, RaftHost, Settings, Status};
use raft_tests::proxy::{Flow, Mesh, Weather};
use raft_transport::{Count, Tcp, TcpCounters, TcpOptions};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::ledger::{Known, Ledger, Line};

/// How long a test waits for what must happen. Only a failing test ever waits that long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client waits. Short, so that one who asked in vain goes on.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many write while `load` runs.
const CLIENTS: usize = 9;
/// Lines that are under way at a time while `commits` runs.
const LINES_AT_A_TIME: usize = 16;

/// Election timeouts for tests in which nobody may be elected but the first leader: a busy machine is no dead leader.
pub(crate) const CALM: Settings = settings(2_500, 100);
/// Election timeouts for tests in which somebody has to be.
pub(crate) const BRISK: Settings = settings(500, 50);

const fn settings(election_timeout_ms_min: u64, heartbeat_ms: u64) -> Settings {
    Settings {
        election_timeout_ms_min,
        heartbeat_ms,
        append_batch_bytes_max: 64 << 10,
        inflight_appends_max: 8,
        inflight_bytes_max: WINDOW_BYTES,
        ..Settings::DEFAULT
    }
}

/// What a leader has on its way to one follower at most.
pub(crate) const WINDOW_BYTES: u64 = 512 << 10;

/// Limits that let what must time out do so soon.
pub(crate) fn options() -> TcpOptions {
    TcpOptions {
        handshake_timeout: Duration::from_millis(500),
        reconnect_delay_min: Duration::from_millis(2),
        reconnect_delay_max: Duration::from_millis(20),
        ..TcpOptions::default()
    }
}

pub(crate) struct Cluster {
    pub(crate) mesh: Mesh,
    pub(crate) nodes: Vec<Node>,
    known: Mutex<Known>,
    _dir: TempDir,
}

pub(crate) struct Node {
    pub(crate) raft: RaftHandle<Ledger>,
    pub(crate) counters: Arc<TcpCounters>,
}

impl Node {
    pub(crate) fn count(&self, count: Count) -> u64 {
        self.counters.get(count)
    }

    pub(crate) fn status(&self) -> Arc<Status> {
        self.raft.status()
    }
}

/// Who leads which term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reign {
    /// Its place among the nodes.
    pub(crate) leader: usize,
    pub(crate) term: u64,
}

impl Cluster {
    /// Starts three durable nodes and waits until they have a leader and all lines stand.
    pub(crate) async fn start(settings: Settings, options: TcpOptions) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let transports: Vec<Tcp> = (0..3).map(|_| Tcp::bind("127.0.0.1:0").expect("a port")).collect();
        let targets: Vec<_> = transports.iter().map(Tcp::local_addr).collect();
        let mesh = Mesh::start(&targets).expect("ports");
        let mut nodes = Vec::new();
        for (at, tcp) in transports.into_iter().enumerate() {
            let own = tcp.address();
            let peers = (0..3).map(|to| {
                let address = if to == at { own.clone() } else { mesh.link(at, to).address().to_string() };
                (id_of(to), address)
            });
            let peers: BTreeMap<u64, String> = peers.collect();
            let counters = tcp.counters();
            let host = RaftHost::builder()
                .node(id_of(at))
                .cluster("fire")
                .data_dir(dir.path().join(at.to_string()))
                .log_segment_bytes(4 << 20)
                .transport(tcp.options(options.clone()))
                .peers(peers)
                .settings(settings.clone());
            let raft = host.start(Ledger::default()).await.expect("starts");
            nodes.push(Node { raft: raft.with_timeout(CLIENT_TIMEOUT), counters });
        }
        let cluster = Self { mesh, nodes, known: Mutex::default(), _dir: dir };
        cluster.reign().await;
        cluster.connected().await;
        cluster
    }

    /// Waits until all nodes agree on who leads.
    pub(crate) async fn reign(&self) -> Reign {
        eventually("all nodes agree on a leader", async || self.agreed(&[0, 1, 2])).await
    }

    /// Waits until these nodes agree on one of them.
    pub(crate) async fn reign_among(&self, nodes: &[usize]) -> Reign {
        eventually("some nodes agree on one of them", async || {
            self.agreed(nodes).filter(|reign| nodes.contains(&reign.leader))
        })
        .await
    }

    fn agreed(&self, nodes: &[usize]) -> Option<Reign> {
        let mut reigns = nodes.iter().map(|at| {
            let status = self.nodes[*at].status();
            Some(Reign { leader: place_of(status.leader_id?.get()), term: status.term.get() })
        });
        let first = reigns.next()??;
        reigns.all(|reign| reign == Some(first)).then_some(first)
    }

    /// The followers of `leader`.
    pub(crate) fn followers(leader: usize) -> [usize; 2] {
        [(leader + 1) % 3, (leader + 2) % 3]
    }

    /// Nobody was elected since, and nobody tried so that others noticed.
    #[track_caller]
    pub(crate) fn still(&self, reign: Reign) {
        for (at, node) in self.nodes.iter().enumerate() {
            let status = node.status();
            assert_eq!(status.term.get(), reign.term, "node {at} is in another term: {status:?}");
        }
        let leader = self.nodes[reign.leader].status();
        assert_eq!(leader.leader_id.map(|id| place_of(id.get())), Some(reign.leader), "it stepped down: {leader:?}");
    }

    /// The weather of all lines from and to `node`; the others are well.
    pub(crate) fn around(&self, node: usize, from_it: Flow, to_it: Flow) {
        self.mesh.set(|from, to| match (from == node, to == node) {
            // Replies to what is sent over a connection travel on another one; `back` carries its end only.
            (true, _) => Weather { there: from_it, back: to_it, ..Weather::default() },
            (_, true) => Weather { there: to_it, back: from_it, ..Weather::default() },
            (false, false) => Weather::default(),
        });
    }

    /// Writes a line of `bytes` at node `at` and notes the outcome. Returns whether it was acknowledged.
    pub(crate) async fn write(&self, at: usize, bytes: usize) -> bool {
        let number = self.known.lock().await.next();
        let outcome = self.nodes[at].raft.write(Line { number, padding: "x".repeat(bytes) }).await;
        self.known.lock().await.note(number, &outcome);
        outcome.is_ok()
    }

    /// Writes at node `at` until that many lines of `bytes` were acknowledged.
    pub(crate) async fn commits(&self, at: usize, lines: usize, bytes: usize) {
        let give_up = Instant::now() + PATIENCE;
        let mut acknowledged = 0;
        while acknowledged < lines {
            assert!(Instant::now() < give_up, "node {at} commits nothing: {:?}", self.nodes[at].status());
            let batch = (lines - acknowledged).min(LINES_AT_A_TIME);
            let outcomes = futures_util::future::join_all((0..batch).map(|_| self.write(at, bytes))).await;
            acknowledged += outcomes.into_iter().filter(|acknowledged| *acknowledged).count();
        }
    }

    /// Some clients at every node, each of which keeps writing until told to stop.
    pub(crate) async fn load(&self, bytes: usize, stop: &AtomicBool) {
        let clients = (0..CLIENTS).map(async |client| {
            while !stop.load(Ordering::Relaxed) {
                self.write(client % 3, bytes).await;
            }
        });
        futures_util::future::join_all(clients).await;
    }

    pub(crate) async fn acknowledged(&self) -> usize {
        self.known.lock().await.acknowledged()
    }

    /// Waits until somebody who writes has got one more answer.
    pub(crate) async fn acknowledged_more(&self) {
        let before = self.acknowledged().await;
        eventually("a line is acknowledged", async || (self.acknowledged().await > before).then_some(())).await;
    }

    /// Waits until every node has a connection to each of the others.
    pub(crate) async fn connected(&self) {
        eventually("all lines stand", async || {
            let up = |node: &Node| node.count(Count::Connected) - node.count(Count::Disconnected);
            self.nodes.iter().all(|node| up(node) == 2).then_some(())
        })
        .await;
    }

    /// Waits until `count` of node `at` has grown by `more` since it was `before`.
    pub(crate) async fn counted(&self, at: usize, count: Count, before: u64, more: u64) {
        let node = &self.nodes[at];
        let claim = format!("{count:?} of node {at} grows from {before} by {more}");
        eventually(&claim, async || (node.count(count) >= before + more).then_some(())).await;
    }

    /// The sum of a count over all nodes.
    pub(crate) fn sum(&self, count: Count) -> u64 {
        self.nodes.iter().map(|node| node.count(count)).sum()
    }

    /// All lines are well: everybody catches up, commits, and has what was acknowledged. Then it ends.
    pub(crate) async fn check(self) {
        self.mesh.calm();
        self.connected().await;
        self.reign().await;
        for at in 0..3 {
            self.commits(at, 1, 10).await;
        }
        let mut states = Vec::new();
        for node in &self.nodes {
            let state = eventually("a read is answered", async || node.raft.read(()).await.ok()).await;
            self.known.lock().await.check(&state);
            states.push(state);
        }
        assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "the nodes' states differ");
        for impossible in [Count::IgnoredMalformed, Count::ClosedFrameBroken, Count::ClosedMisaddressed] {
            assert_eq!(self.sum(impossible), 0, "a failing line garbles nothing: {impossible:?}");
        }
        for node in &self.nodes {
            node.raft.shutdown().await;
        }
    }
}

fn id_of(place: usize) -> u64 {
    u64::try_from(place).expect("few nodes") + 1
}

fn place_of(id: u64) -> usize {
    usize::try_from(id - 1).expect("few nodes")
}

/// Polls until `what` gives something.
pub(crate) async fn eventually<T>(claim: &str, mut what: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = what().await {
            return result;
        }
        assert!(Instant::now() < give_up, "not within {PATIENCE:?}: {claim}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
