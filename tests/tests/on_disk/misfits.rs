//! A machine, its log and its snapshots that do not belong together: what can be put right is, all else is refused with
//! what to do.

use std::path::Path;
use std::sync::Arc;

use raft_actor::log_storage::sim_disk::SimDisk;
use raft_actor::transport::LocalNetwork;
use raft_actor::{GroupError, GroupOptions, MachineError, RaftHost, StartError};
use raft_tests::register::{DiskRegister, Get};

use crate::bank::{Till, kill, start};

const JOURNAL: &str = "/machine/journal";

fn machine_of(disk: &SimDisk) -> Vec<u8> {
    let file = disk.process().open(Path::new(JOURNAL)).expect("there is one");
    let mut bytes = vec![0; usize::try_from(file.length().expect("readable")).expect("it is small")];
    file.read_at(&mut bytes, 0).expect("readable");
    bytes
}

/// As an operator does who mixes up backups.
fn put_machine(disk: &SimDisk, bytes: &[u8]) {
    let process = disk.process();
    process.create_directory(Path::new("/machine")).expect("there is room");
    let file = process.create(Path::new(JOURNAL)).expect("there is room");
    file.write_at(bytes, 0).and_then(|()| file.sync_data()).expect("there is room");
    process.sync_directory(Path::new("/machine")).expect("there is room");
}

async fn live(disk: &SimDisk, till: &mut Till, writes: usize) {
    let raft = start(disk).await.expect("starts");
    raft.read(Get(0)).await.expect("it leads");
    for _ in 0..writes {
        till.write(&raft).await.expect("it works");
    }
    kill(disk, raft).await;
}

async fn refusal(disk: &SimDisk) -> StartError {
    match start(disk).await {
        Ok(raft) => panic!("it starts: {:?}", raft.status()),
        Err(error) => error,
    }
}

#[actix_rt::test]
async fn a_machine_that_is_ahead_of_the_log_is_refused_with_what_to_do() {
    let (disk, mut till) = (SimDisk::new(1), Till::default());
    live(&disk, &mut till, 3).await;
    let backup = disk.fork();
    live(&disk, &mut till, 3).await;
    put_machine(&backup, &machine_of(&disk));
    let error = refusal(&backup).await;
    assert!(matches!(error, StartError::MachineMismatch { .. }), "{error}");
    assert!(error.to_string().contains("start with both empty and add it again"), "{error}");
}

#[actix_rt::test]
async fn a_machine_that_is_behind_the_log_gets_the_snapshot_that_fills_the_gap() {
    let (disk, mut till) = (SimDisk::new(1), Till::default());
    live(&disk, &mut till, 3).await;
    let backup = machine_of(&disk);
    live(&disk, &mut till, 40).await;
    put_machine(&disk, &backup);
    let raft = start(&disk).await.expect("the snapshot covers what the log does not hold any more");
    assert!(raft.status().first_log_index.get() > 20);
    till.check(&raft).await;
    kill(&disk, raft).await;
    // The same with a machine that has lost everything.
    put_machine(&disk, &[]);
    let raft = start(&disk).await.expect("so it does from the beginning");
    till.check(&raft).await;
    kill(&disk, raft).await;
}

#[actix_rt::test]
async fn a_machine_that_is_behind_the_log_is_refused_without_such_a_snapshot() {
    let (disk, mut till) = (SimDisk::new(1), Till::default());
    live(&disk, &mut till, 3).await;
    let backup = machine_of(&disk);
    live(&disk, &mut till, 40).await;
    put_machine(&disk, &backup);
    let process = disk.process();
    let directory = Path::new("/data/snapshots/1");
    for name in process.list(directory).expect("it is there") {
        process.remove(&directory.join(name)).expect("it is there");
    }
    process.sync_directory(directory).expect("it works");
    let error = refusal(&disk).await;
    assert!(matches!(error, StartError::SnapshotMissing { .. }), "{error}");
    assert!(error.to_string().contains("put the snapshot back"), "{error}");
}

#[actix_rt::test]
async fn a_machine_of_another_history_is_refused_by_name() {
    let (disk, mut till) = (SimDisk::new(1), Till::default());
    live(&disk, &mut till, 3).await;
    // Each start is an election: what stands at an index has another term.
    let (other, mut another) = (SimDisk::new(2), Till::default());
    live(&other, &mut another, 0).await;
    live(&other, &mut another, 0).await;
    live(&other, &mut another, 2).await;
    put_machine(&other, &machine_of(&disk));
    let error = refusal(&other).await;
    assert!(matches!(error, StartError::MachineDiverges { .. }), "{error}");
    assert!(error.to_string().contains("belongs to another cluster or was restored from another time"), "{error}");
}

#[actix_rt::test]
async fn a_machine_of_another_group_is_refused_by_name() {
    let disk = SimDisk::new(1);
    let process = disk.process();
    let host = RaftHost::builder()
        .node(1)
        .disk(Arc::clone(&process))
        .data_dir("/data")
        .log_segment_bytes(64 << 10)
        .transport(LocalNetwork::default().transport(1))
        .peers([(1, "local:1")])
        .start_host()
        .await
        .expect("starts");
    let mut till = Till::default();
    let open = || DiskRegister::open(Arc::clone(&process));
    let raft = host.create_group(7, open(), GroupOptions::default()).await.expect("it is new");
    till.write(&raft).await.expect("it works");
    raft.shutdown().await;
    let error = host.create_group(8, open(), GroupOptions::default()).await.expect_err("it is the machine of group 7");
    let GroupError::Start(StartError::Machine(MachineError::OtherGroup { .. })) = &error else { panic!("{error}") };
    let raft = host.open_group(7, open(), GroupOptions::default()).await.expect("it is its own");
    till.check(&raft).await;
    drop(raft);
    host.shutdown().await;
}

#[actix_rt::test]
async fn a_machine_whose_disk_cannot_be_read_is_refused_with_what_the_disk_says() {
    let (disk, mut till) = (SimDisk::new(1), Till::default());
    live(&disk, &mut till, 3).await;
    let process = disk.process();
    // The next read is the machine's.
    disk.fail_next_read();
    let machine = DiskRegister::open(Arc::clone(&process));
    let error = crate::bank::host(process).start(machine).await.map(|raft| raft.status()).expect_err("it has no state");
    assert!(matches!(error, StartError::Machine(MachineError::Failed { .. })), "{error}");
    let raft = start(&disk).await.expect("it was that one read");
    till.check(&raft).await;
    kill(&disk, raft).await;
}
