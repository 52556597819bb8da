//! Snapshots of machines on disk, and members that get them.

use std::sync::Arc;
use std::time::Duration;

use raft_actor::log_storage::sim_disk::{Keep, SimDisk};
use raft_actor::transport::LocalNetwork;
use raft_actor::{LogIndex, Settings, StartError, StateMachine};
use raft_tests::register::{Command, DiskRegister};

use crate::bank::{Handle, Till, host, kill, start};

#[actix_rt::test]
async fn the_log_is_cut_only_behind_what_the_machine_has_made_durable() {
    let (disk, mut till) = (SimDisk::new(1), Till::default());
    let raft = start(&disk).await.expect("starts");
    for _ in 0..50 {
        till.write(&raft).await.expect("it works");
    }
    let covered = raft.snapshot().await.expect("it works");
    assert!(raft.status().first_log_index > LogIndex::new(40), "it was cut: {:?}", raft.status());
    kill(&disk, raft).await;
    disk.crash_machine_keeping(Keep::Nothing);
    let held = DiskRegister::open(disk.process());
    let held = held.durable_through().expect("it is on disk");
    assert!(held >= covered.prev(), "it holds {held}, the log may begin behind {covered}");
    let raft = start(&disk).await.expect("starts");
    till.check(&raft).await;
    kill(&disk, raft).await;
}

/// One of three, none of which keeps any log for one that is away.
async fn start_in(network: &LocalNetwork, node: u64, disk: &SimDisk) -> Result<Handle, StartError> {
    let process = disk.process();
    let peers = (1..=3).map(|id| (id, format!("local:{id}")));
    let settings = Settings { log_tail_bytes_max: 0, ..Settings::default() };
    let builder = host(Arc::clone(&process)).node(node).peers(peers).transport(network.transport(node));
    let raft = builder.settings(settings).start(DiskRegister::open(process)).await?;
    Ok(raft.with_timeout(Duration::from_secs(60)))
}

#[actix_rt::test]
async fn a_member_that_was_away_gets_a_snapshot_into_its_machine_and_keeps_it() {
    let network = LocalNetwork::default();
    let disks = [1, 2, 3].map(SimDisk::new);
    let mut till = Till::default();
    let mut nodes = Vec::new();
    for (node, disk) in (1..).zip(&disks) {
        nodes.push(start_in(&network, node, disk).await.expect("starts"));
    }
    for _ in 0..10 {
        till.write(&nodes[0]).await.expect("all run");
    }
    let away = nodes.pop().expect("three");
    let before = away.status().last_applied;
    kill(&disks[2], away).await;
    for _ in 0..40 {
        till.write(&nodes[0]).await.expect("two of three run");
    }
    // Wherever it dies while it gets it, it begins again; at last it is let.
    let mut deaths = 0;
    let back = loop {
        disks[2].kill_process_after(10 + 9 * deaths);
        let Ok(raft) = start_in(&network, 3, &disks[2]).await else {
            deaths += 1;
            continue;
        };
        let through = nodes[0].status().commit_index;
        let mut watch = raft.watch();
        let caught_up = async { watch.wait_for(|status| status.last_applied >= through).await.is_ok() };
        if caught_up.await {
            break raft;
        }
        raft.stopped().await;
        deaths += 1;
        disks[2].crash_machine();
    };
    disks[2].clear_orders();
    assert!(back.status().snapshot_index > before, "it got one: {:?}", back.status());
    assert!(deaths > 0, "nothing struck it");
    till.write(&back).await.expect("all run");
    for (raft, disk) in nodes.into_iter().chain([back]).zip(&disks) {
        kill(disk, raft).await;
        disk.crash_machine_keeping(Keep::Nothing);
    }
    let mut nodes = Vec::new();
    for (node, disk) in (1..).zip(&disks) {
        nodes.push(start_in(&network, node, disk).await.expect("starts"));
    }
    till.check(&nodes[2]).await;
    let filler = String::new();
    nodes[2].write(Command::Put { key: 9, value: 9, filler }).await.expect("all run");
    for (raft, disk) in nodes.into_iter().zip(&disks) {
        kill(disk, raft).await;
    }
}
