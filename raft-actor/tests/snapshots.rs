//! Snapshots through whole hosts: taken while clients write, found again at the start, the log purged behind them.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use raft_actor::{
    ApplyContext, LocalCluster, LogIndex, Membership, RaftHandle, Settings, Snapshot, SnapshotError, StartError,
    StateMachine, TakeSnapshotError,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Adds up what it is told, and counts how often it is told something: that is not part of its state.
#[derive(Default)]
struct Ledger {
    sum: u64,
    lines: u64,
    applied_here: Arc<AtomicU64>,
    cannot_save: bool,
}

/// An amount, and something that takes room.
type Line = (u64, String);

impl StateMachine for Ledger {
    type Command = Line;
    type Response = u64;
    type Query = ();
    type Answer = (u64, u64);

    fn apply(&mut self, _: &mut ApplyContext<'_>, (amount, _): Line) -> u64 {
        self.applied_here.fetch_add(1, Ordering::Relaxed);
        self.sum = self.sum.wrapping_mul(31).wrapping_add(amount);
        self.lines += 1;
        self.lines
    }

    fn query(&self, (): ()) -> (u64, u64) {
        (self.sum, self.lines)
    }
}

impl Snapshot for Ledger {
    type Frozen = Option<[u64; 2]>;

    fn freeze(&self) -> Self::Frozen {
        (!self.cannot_save).then_some([self.sum, self.lines])
    }

    fn save(frozen: Self::Frozen, out: &mut dyn Write) -> io::Result<()> {
        let numbers = frozen.ok_or_else(|| io::Error::other("asked to"))?;
        numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))
    }

    fn load(&mut self, input: &mut dyn Read) -> io::Result<()> {
        let mut numbers = [[0; 8]; 2];
        numbers.iter_mut().try_for_each(|number| input.read_exact(number))?;
        [self.sum, self.lines] = numbers.map(u64::from_le_bytes);
        Ok(())
    }
}

async fn write(raft: &RaftHandle<Ledger>, lines: std::ops::Range<u64>, bytes: usize) {
    let raft = raft.with_timeout(PATIENCE);
    let outcomes = raft.write_many(lines.map(|line| (line, "x".repeat(bytes)))).await;
    outcomes.into_iter().collect::<Result<Vec<_>, _>>().expect("everything is written");
}

/// Waits until all that is in the log of one node is applied on this one.
async fn catches_up(raft: &RaftHandle<Ledger>, through: LogIndex) {
    raft.watch().wait_for(|status| status.last_applied >= through).await.expect("it runs");
}

#[tokio::test]
async fn a_cluster_starts_from_its_snapshots_without_applying_everything_again() {
    const WRITES: u64 = 3_000;
    let applied = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&applied);
    let machine = move || Ledger { applied_here: Arc::clone(&counter), ..Ledger::default() };
    let builder = LocalCluster::<Ledger>::builder(3).durable().snapshot_every(50).log_tail(20);
    let mut cluster = builder.start(machine).await.expect("starts");
    for part in 0..WRITES / 100 {
        write(cluster.node(1 + part % 3), part * 100..(part + 1) * 100, 10).await;
    }
    let state = cluster.node(1).with_timeout(PATIENCE).read(()).await.expect("a majority runs");
    assert_eq!(state.1, WRITES);
    let mut last = LogIndex::ZERO;
    for id in cluster.ids() {
        let node = cluster.node(id);
        catches_up(node, LogIndex::new(WRITES)).await;
        // The last one was ordered at the latest when 50 entries were applied since the one before it was taken.
        let status = node.watch().wait_for(|status| status.snapshot_index.get() > WRITES - 500).await.expect("it runs");
        assert!(status.first_log_index > LogIndex::new(1), "the log was purged: {status:?}");
        assert!(status.first_log_index <= status.snapshot_index, "with a tail: {status:?}");
        last = last.max(status.last_log_index);
    }
    for id in cluster.ids() {
        cluster.stop(id).await;
    }
    applied.store(0, Ordering::Relaxed);
    for id in cluster.ids() {
        cluster.restart(id).await.expect("its directory is free and whole");
    }
    for id in cluster.ids() {
        catches_up(cluster.node(id), last).await;
        assert_eq!(cluster.node(id).read_local(()).await.expect("it runs"), state, "on node {id}");
    }
    let again = AtomicU64::load(&applied, Ordering::Relaxed);
    assert!(again < 3 * 600, "{again} of {} were applied again", 3 * WRITES);
    write(cluster.node(2), WRITES..WRITES + 100, 10).await;
    assert_eq!(cluster.node(3).with_timeout(PATIENCE).read(()).await.expect("a majority runs").1, WRITES + 100);
    cluster.shutdown().await;
}

#[tokio::test]
async fn the_disk_holds_what_counts_and_a_few_segments() {
    let place = tempfile::tempdir().expect("a directory");
    let builder = LocalCluster::<Ledger>::builder(1).data_dir(place.path()).snapshot_every(500).log_tail(100);
    let cluster = builder.start(Ledger::default).await.expect("starts");
    let node = cluster.node(1);
    // 40 MiB into segments of 4 MiB.
    for part in 0..20 {
        write(node, part * 500..(part + 1) * 500, 4 << 10).await;
        let (bytes, files) = size(&place.path().join("1/wal"));
        assert!(bytes <= 24 << 20, "{bytes} bytes in {files} files after {part} parts");
        let (bytes, files) = size(&place.path().join("1/snapshots/1"));
        assert!(bytes < 4096 && files <= 2, "{bytes} bytes in {files} snapshots");
    }
    assert!(node.status().snapshot_index > LogIndex::new(5_000));
    cluster.shutdown().await;
}

fn size(directory: &Path) -> (u64, usize) {
    let files = directory.read_dir().expect("it is there");
    // One that is renamed or removed meanwhile counts for nothing.
    let sizes: Vec<u64> = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).collect();
    (sizes.iter().sum(), sizes.len())
}

#[tokio::test]
async fn whoever_asks_gets_a_snapshot_of_everything_applied_and_the_same_again_if_nothing_was() {
    let cluster = LocalCluster::<Ledger>::builder(1).start(Ledger::default).await.expect("starts");
    let node = cluster.node(1);
    write(node, 0..10, 1).await;
    let applied = node.status().last_applied;
    let (first, second) = tokio::join!(node.snapshot(), node.snapshot());
    let first = first.expect("it is in memory");
    assert!(first >= applied && first.get() >= 10, "{first}");
    assert_eq!(second.expect("it is in memory"), first);
    assert_eq!(node.snapshot().await.expect("nothing to do"), first);
    assert_eq!(node.status().snapshot_index, first);
    write(node, 10..11, 1).await;
    assert!(node.snapshot().await.expect("it is in memory") > first);
    let admin = node.admin();
    cluster.shutdown().await;
    let error = admin.snapshot().await.expect_err("it does not run");
    assert!(matches!(error, TakeSnapshotError::NodeStopped { .. }), "{error}");
}

#[tokio::test]
async fn a_machine_that_cannot_be_saved_serves_on_and_whoever_asked_is_told_why() {
    let machine = || Ledger { cannot_save: true, ..Ledger::default() };
    let cluster = LocalCluster::<Ledger>::builder(1).snapshot_every(10).start(machine).await.expect("starts");
    let node = cluster.node(1);
    write(node, 0..100, 1).await;
    let error = node.snapshot().await.expect_err("it cannot be saved");
    let TakeSnapshotError::Failed(reason) = &error else { panic!("{error}") };
    assert!(matches!(**reason, SnapshotError::Machine { action: "save", .. }), "{reason}");
    write(node, 100..200, 1).await;
    assert_eq!(node.status().snapshot_index, LogIndex::ZERO);
    assert_eq!(node.status().first_log_index, LogIndex::new(1), "nothing is purged that no snapshot covers");
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_or_gone_is_refused_by_name() {
    let place = tempfile::tempdir().expect("a directory");
    let builder = LocalCluster::<Ledger>::builder(1).data_dir(place.path()).log_tail(0);
    let mut cluster = builder.start(Ledger::default).await.expect("starts");
    write(cluster.node(1), 0..100, 1).await;
    cluster.node(1).snapshot().await.expect("it is taken");
    write(cluster.node(1), 100..110, 1).await;
    let state = cluster.node(1).read(()).await.expect("it decides alone");
    cluster.stop(1).await;
    let directory = place.path().join("1/snapshots/1");
    let file = directory.read_dir().expect("it is there").next().expect("one").expect("readable").path();
    let whole = std::fs::read(&file).expect("it is there");

    let mut bytes = whole.clone();
    bytes[40] ^= 1;
    std::fs::write(&file, &bytes).expect("room");
    let Err(StartError::Snapshot(SnapshotError::Damaged { path, .. })) = cluster.restart(1).await else {
        panic!("a damaged snapshot must not be loaded")
    };
    assert_eq!(path, file);

    std::fs::remove_file(&file).expect("it is there");
    let Err(error) = cluster.restart(1).await else { panic!("the log lacks what the snapshot held") };
    assert!(matches!(error, StartError::SnapshotMissing { .. }), "{error}");
    assert!(error.to_string().contains("put the snapshot back"), "{error}");

    std::fs::write(&file, &whole).expect("room");
    cluster.restart(1).await.expect("all is well again");
    assert_eq!(cluster.node(1).with_timeout(PATIENCE).read(()).await.expect("it decides alone"), state);
    cluster.shutdown().await;
}

/// As many lines as a member that was away or is new lacks, and more than the tail of the log holds.
async fn catches_up_by_snapshot(durable: bool) {
    let applied = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&applied);
    let machine = move || Ledger { applied_here: Arc::clone(&counter), ..Ledger::default() };
    // A leader keeps for one that follows what it lacks, but no more than this.
    let settings =
        Settings { election_timeout_ms_min: 300, heartbeat_ms: 50, log_tail_bytes_max: 1 << 10, ..Settings::default() };
    let builder = LocalCluster::<Ledger>::builder(3).settings(settings).snapshot_every(50).log_tail(10);
    let builder = if durable { builder.durable() } else { builder };
    let mut cluster = builder.start(machine).await.expect("starts");
    write(cluster.node(1), 0..200, 10).await;
    if durable {
        cluster.stop(3).await;
    }
    for part in 2..20 {
        write(cluster.node(1), part * 100..(part + 1) * 100, 10).await;
    }
    let before = AtomicU64::load(&applied, Ordering::Relaxed);
    let late = if durable { 3 } else { 4 };
    if durable {
        cluster.restart(late).await.expect("its directory is free and whole");
    } else {
        cluster.join(late).await.expect("starts");
        let membership = Membership::of_voters([1, 2, 3]).learners([4]).address(4, "local:4");
        let admin = cluster.node(1).admin().with_timeout(PATIENCE);
        admin.change_membership(membership).await.expect("a majority runs");
    }
    // The first entry is the leader's own, then there is one for each line.
    let mut leader = cluster.leader().await.watch();
    let through = leader.wait_for(|status| status.commit_index.get() > 2_000).await.expect("it runs").commit_index;
    catches_up(cluster.node(late), through).await;
    let state = cluster.node(1).with_timeout(PATIENCE).read(()).await.expect("a majority runs");
    assert_eq!(cluster.node(late).read_local(()).await.expect("it runs"), state);
    let status = cluster.node(late).status();
    assert!(status.snapshot_index.get() > 1_000, "{status:?}");
    let again = AtomicU64::load(&applied, Ordering::Relaxed) - before;
    assert!(again < 1_000, "{again} were applied after it came");
    // And it goes on from there, with the snapshot that it installed and those that it takes.
    write(cluster.node(late), 2_000..2_200, 10).await;
    let state = cluster.node(late).with_timeout(PATIENCE).read(()).await.expect("a majority runs");
    assert_eq!(state.1, 2_200);
    if durable {
        cluster.restart(late).await.expect("its directory is free and whole");
        let read = cluster.node(late).with_timeout(PATIENCE).read(()).await;
        assert_eq!(read.expect("a majority runs"), state);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_member_that_was_away_for_too_long_gets_a_snapshot_and_keeps_it() {
    catches_up_by_snapshot(true).await;
}

#[tokio::test]
async fn a_member_that_joins_gets_a_snapshot_also_where_nothing_is_kept_on_disk() {
    catches_up_by_snapshot(false).await;
}

/// Nothing else was applied since, and the log is gone: what can be sent is what the running state machine holds.
#[tokio::test]
async fn a_leader_whose_snapshot_is_damaged_takes_another_one_and_sends_that() {
    let place = tempfile::tempdir().expect("a directory");
    let settings = Settings { log_tail_bytes_max: 0, ..Settings::default() };
    let builder = LocalCluster::<Ledger>::builder(3).settings(settings).data_dir(place.path()).log_tail(0);
    let mut cluster = builder.start(Ledger::default).await.expect("starts");
    cluster.leader().await;
    cluster.stop(3).await;
    write(cluster.node(1), 0..500, 10).await;
    let leader = cluster.leader().await.clone();
    let covered = leader.snapshot().await.expect("it is taken");
    let directory = place.path().join(format!("{}/snapshots/1", leader.status().node_id));
    let files = || directory.read_dir().expect("it is there").map(|file| file.expect("readable").path());
    let file = files().next().expect("one");
    let whole = std::fs::read(&file).expect("it is there");
    let mut bytes = whole.clone();
    let end = bytes.len() - 20;
    bytes[end] ^= 1;
    std::fs::write(&file, &bytes).expect("room");

    cluster.restart(3).await.expect("its directory is free and whole");
    let mut watch = cluster.node(3).watch();
    watch.wait_for(|status| status.snapshot_index >= covered).await.expect("it runs");
    let state = leader.with_timeout(PATIENCE).read(()).await.expect("a majority runs");
    assert_eq!(cluster.node(3).with_timeout(PATIENCE).read(()).await.expect("it is served"), state);
    // The one that takes its place is whole: the next start finds it.
    let id = leader.status().node_id;
    drop(leader);
    cluster.stop(id).await;
    cluster.restart(id).await.expect("nothing damaged is left");
    assert_eq!(cluster.node(id).with_timeout(PATIENCE).read(()).await.expect("it is served"), state);
    cluster.shutdown().await;
}
