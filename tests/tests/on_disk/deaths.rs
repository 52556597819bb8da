//! Processes and machines die, disks fail and fill up, at any point. Whatever the client asked for is applied once.

use raft_actor::log_storage::sim_disk::{Keep, SimDisk};

use crate::bank::{Till, kill, start};

const WRITES: usize = 16;
/// What a machine that loses its power keeps of what was not synced; `None`: only the process dies.
const KEEPS: [Option<Keep>; 4] =
    [None, Some(Keep::Nothing), Some(Keep::Bits(0b1010_1010_0110_1001)), Some(Keep::Bits(0x5555_3333_0f0f_00ff))];

/// One life: writes until something fails, or enough. Whether it came to its end.
async fn live(disk: &SimDisk, till: &mut Till) -> bool {
    let Ok(raft) = start(disk).await else { return false };
    let mut is_well = true;
    for _ in 0..WRITES {
        is_well = is_well && till.write(&raft).await.is_ok();
    }
    kill(disk, raft).await;
    is_well
}

/// What `strikes` does to the disk happens in the second of three lives; the third finds all that was promised.
async fn survives(seed: u64, keep: Option<Keep>, strikes: impl Fn(&SimDisk)) -> bool {
    let (disk, mut till) = (SimDisk::new(seed), Till::default());
    assert!(live(&disk, &mut till).await, "nothing strikes yet");
    strikes(&disk);
    let is_unhurt = live(&disk, &mut till).await;
    disk.clear_orders();
    disk.set_room(None);
    if let Some(keep) = keep {
        disk.crash_machine_keeping(keep);
    }
    let raft = start(&disk).await.expect("it finds what it left");
    till.check(&raft).await;
    kill(&disk, raft).await;
    is_unhurt
}

#[actix_rt::test]
async fn a_death_in_any_change_of_the_disk_loses_nothing_and_applies_nothing_twice() {
    for keep in KEEPS {
        let mut changes = 0;
        while !survives(u64::from(changes), keep, |disk| disk.kill_process_after(changes)).await {
            // Each at first, where the start is; then some, which are others each time.
            changes += 1 + changes / 24;
        }
        assert!(changes > 40, "{changes}");
    }
}

#[actix_rt::test]
async fn a_sync_that_fails_stops_the_host_and_loses_nothing_that_was_answered() {
    for keep in KEEPS {
        for syncs in (0..40).step_by(3) {
            survives(u64::from(syncs), keep, |disk| disk.fail_sync_after(syncs)).await;
        }
    }
}

#[actix_rt::test]
async fn a_disk_that_is_full_stops_the_host_and_loses_nothing_that_was_answered() {
    for keep in KEEPS {
        for room in (0..6_000).step_by(379) {
            survives(room, keep, |disk| disk.set_room(Some(room))).await;
        }
    }
}
