//! A state of hundreds of megabytes goes from one server to another, over a real network that breaks in the middle.
//!
//! The state is made up as it is written and checked as it is read, so nearly all of the memory that is measured is
//! what the transfer takes. `RAFT_LARGE_SNAPSHOT_MIB` sets the size: 1024 in release builds takes about as long as the
//! disk needs.

use std::fs;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use raft_actor::transport::Transport;
use raft_actor::{ApplyContext, RaftHandle, RaftHost, Settings, Snapshot, StateMachine};
use raft_tests::proxy::Mesh;
use raft_transport::{Count, Tcp, TcpCounters, TcpOptions};
use tempfile::TempDir;

/// How large the state is, unless the environment says otherwise.
const STATE_MIB: u64 = 256;
/// What may be in memory beside the windows: those of the log, of the allocator, and of three hosts in one process.
const MEMORY_MIB_MAX: u64 = 64;
/// How often a condition is looked at, at most, every few milliseconds.
const LOOKS_MAX: u32 = 60_000;

/// As many bytes as it was told to be, which follow from their place.
#[derive(Debug, Default)]
struct Large {
    mib: u64,
    applied: u64,
}

const BLOCK_BYTES: usize = 1 << 16;

fn block(number: u64) -> Vec<u8> {
    let words = (0..BLOCK_BYTES as u64 / 8).map(|word| (number << 32 | word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words.flat_map(u64::to_le_bytes).collect()
}

fn blocks(mib: u64) -> u64 {
    (mib << 20) / BLOCK_BYTES as u64
}

impl Snapshot for Large {
    type Frozen = (u64, u64);

    fn freeze(&self) -> (u64, u64) {
        (self.mib, self.applied)
    }

    fn save((mib, applied): (u64, u64), out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&mib.to_le_bytes())?;
        out.write_all(&applied.to_le_bytes())?;
        (0..blocks(mib)).try_for_each(|number| out.write_all(&block(number)))
    }

    fn load(&mut self, input: &mut dyn Read) -> io::Result<()> {
        let mut number = || {
            let mut bytes = [0; 8];
            input.read_exact(&mut bytes).map(|()| u64::from_le_bytes(bytes))
        };
        let (mib, applied) = (number()?, number()?);
        let mut found = vec![0; BLOCK_BYTES];
        for number in 0..blocks(mib) {
            input.read_exact(&mut found)?;
            if found != block(number) {
                return Err(io::Error::other(format!("block {number} is not what was saved")));
            }
        }
        *self = Self { mib, applied };
        Ok(())
    }
}

impl StateMachine for Large {
    type Command = u64;
    type Response = u64;
    type Query = ();
    type Answer = (u64, u64);

    fn apply(&mut self, _: &mut ApplyContext<'_>, mib: u64) -> u64 {
        self.mib = mib;
        self.applied += 1;
        self.applied
    }

    fn query(&self, (): ()) -> (u64, u64) {
        (self.mib, self.applied)
    }
}

struct Host {
    raft: RaftHandle<Large>,
    counters: Arc<TcpCounters>,
}

/// Three servers; the lines between them can be cut.
struct Cluster {
    mesh: Mesh,
    addresses: Vec<std::net::SocketAddr>,
    dir: TempDir,
}

impl Cluster {
    async fn start(&self, at: usize, tcp: Tcp) -> Host {
        let own = tcp.address();
        let peers = (0..3).map(|to| {
            let address = if to == at { own.clone() } else { self.mesh.link(at, to).address().to_string() };
            (to as u64 + 1, address)
        });
        let settings = Settings { election_timeout_ms_min: 2_000, heartbeat_ms: 100, ..Settings::default() };
        let options = TcpOptions { reconnect_delay_max: Duration::from_millis(20), ..TcpOptions::default() };
        let counters = tcp.counters();
        let host = RaftHost::builder()
            .node(at as u64 + 1)
            .cluster("large")
            .data_dir(self.dir.path().join(at.to_string()))
            .log_segment_bytes(1 << 20)
            .log_tail(0)
            .settings(settings)
            .transport(tcp.options(options))
            .peers(peers);
        Host { raft: host.start(Large::default()).await.expect("starts"), counters }
    }
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS_MAX {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("in vain: {what}");
}

/// The most memory that this process has had since it was last asked, in MiB. `None` where the system does not say.
fn peak_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(kib >> 10)
}

#[tokio::test]
async fn a_large_state_arrives_through_a_breaking_network_in_bounded_memory_while_heartbeats_go_on() {
    let mib = std::env::var("RAFT_LARGE_SNAPSHOT_MIB").map_or(STATE_MIB, |mib| mib.parse().expect("a number"));
    let transports: Vec<Tcp> = (0..3).map(|_| Tcp::bind("127.0.0.1:0").expect("a port")).collect();
    let addresses: Vec<_> = transports.iter().map(Tcp::local_addr).collect();
    let mesh = Mesh::start(&addresses).expect("ports");
    let cluster = Cluster { mesh, addresses, dir: TempDir::new().expect("a temporary directory") };
    let mut hosts = Vec::new();
    for (at, tcp) in transports.into_iter().enumerate() {
        hosts.push(cluster.start(at, tcp).await);
    }
    let leader = eventually("a leader", async || {
        let leader = usize::try_from(hosts[0].raft.status().leader_id?.get()).expect("a small number") - 1;
        hosts.iter().all(|host| host.raft.status().leader_id == hosts[0].raft.status().leader_id).then_some(leader)
    })
    .await;
    let behind = (leader + 1) % 3;

    // One is away while the others write, and purge what it would need.
    hosts[behind].raft.shutdown().await;
    let leads = hosts[leader].raft.with_timeout(Duration::from_secs(600));
    eventually("the leader stops keeping its log for the one that is away", async || {
        leads.write(0).await.ok()?;
        leads.snapshot().await.expect("a small snapshot");
        (leads.status().first_log_index.get() > 10).then_some(())
    })
    .await;
    let applied = leads.write(mib).await.expect("an answer");
    let covered = leads.snapshot().await.expect("a large snapshot");
    eventually("the log is purged", async || (leads.status().first_log_index > covered).then_some(())).await;
    let term = hosts[leader].raft.status().term;

    let before = peak_mib();
    let tcp = Tcp::bind(cluster.addresses[behind]).expect("its port");
    hosts[behind] = cluster.start(behind, tcp).await;
    let received = || hosts[behind].counters.get(Count::BulkBytesIn);
    let heartbeats = || hosts[behind].counters.get(Count::MessagesIn);
    // Broken twice, wherever it happens to be: within the first and within the second third.
    for third in 1..=2 {
        let (bytes, beats) = (received(), heartbeats());
        let enough = bytes + (mib << 20) / 4;
        eventually("a part of the snapshot", async || (received() >= enough).then_some(())).await;
        assert!(heartbeats() > beats, "no message beside the snapshot in part {third}");
        cluster.mesh.link(leader, behind).reset();
    }
    let answer = eventually("the state arrives", async || {
        let answer = hosts[behind].raft.read_local(()).await.ok()?;
        (answer.0 == mib).then_some(answer)
    })
    .await;
    assert_eq!(answer, (mib, applied));
    let peak = peak_mib();

    assert!(received() < (mib << 20) / 4 * 5, "{} bytes were sent for {mib} MiB", received());
    assert_eq!(hosts[leader].counters.get(Count::BulkDisconnected), 2, "it was resumed twice");
    let queued = hosts[leader].counters.bulk_queue_bytes_peak();
    assert!(queued <= 2 << 20, "{queued} bytes of it waited for the network");
    for host in &hosts {
        assert_eq!(host.raft.status().term, term, "heartbeats are punctual: nobody campaigned");
    }
    if let (Some(before), Some(peak)) = (before, peak) {
        println!("{mib} MiB: peak memory {before} MiB before, {peak} MiB during the transfer, {queued} bytes queued");
        assert!(peak <= before + MEMORY_MIB_MAX, "{before} MiB before, {peak} MiB with the transfer");
    }
    eventually("it follows the log again", async || hosts[behind].raft.write(mib).await.ok()).await;
    assert!(hosts[behind].raft.read(()).await.expect("an answer").1 > applied);
}
