use std::fs;

use raft_consensus::NodeId;

use super::*;
use crate::log_storage::sim_disk::{Keep, SimDisk};
use crate::transport::{DirectoryId, Incarnation};

fn identity(node: u64) -> Identity {
    Identity::new(node.into(), "chat", Incarnation(7), DirectoryId(0x1234_5678_9abc_def0))
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("the machine has room for a temporary directory")
}

#[test]
fn an_identity_is_found_again() {
    let directory = temporary();
    let path = directory.path().join("a/b/data");
    let mut data = DataDirectory::open(&path).unwrap();
    assert_eq!(data.identity(), None);
    let mut stored = identity(1);
    data.store(&stored).unwrap();
    stored.confirmed = true;
    stored.peers.insert(NodeId::from(2), DirectoryId(9));
    data.store(&stored).unwrap();
    assert_eq!(data.identity(), Some(&stored));
    drop(data);
    assert_eq!(DataDirectory::open(&path).unwrap().identity(), Some(&stored));
}

#[test]
fn a_second_owner_is_kept_out_until_the_first_is_gone() {
    let directory = temporary();
    let first = DataDirectory::open(directory.path()).unwrap();
    let error = DataDirectory::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Locked { .. }), "{error}");
    drop(first);
    DataDirectory::open(directory.path()).unwrap();
}

#[test]
fn a_directory_of_another_node_or_cluster_is_refused() {
    let directory = temporary();
    let mut data = DataDirectory::open(directory.path()).unwrap();
    data.store(&identity(1)).unwrap();
    let owner = data.identity().unwrap();
    owner.check_owner(data.path(), NodeId::from(1), "chat").unwrap();
    for (node, cluster) in [(2, "chat"), (1, "shop")] {
        let error = owner.check_owner(data.path(), NodeId::from(node), cluster).unwrap_err();
        assert!(matches!(error, LogError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("node 1 of cluster \"chat\""), "{error}");
    }
    assert!(matches!(data.store(&identity(2)).unwrap_err(), LogError::Foreign { .. }));
    assert_eq!(data.identity(), Some(&identity(1)));
}

#[test]
fn every_flipped_bit_and_every_cut_of_an_identity_is_refused() {
    let path = Path::new("identity");
    let whole = identity::encode(&identity(1));
    assert_eq!(identity::decode(path, &whole).unwrap(), identity(1));
    for length in 0..whole.len() {
        let error = identity::decode(path, &whole[..length]).unwrap_err();
        assert!(matches!(error, LogError::Damaged { .. }), "cut at {length}: {error}");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = identity::decode(path, &flipped).unwrap_err();
        assert!(matches!(error, LogError::Damaged { .. }), "bit {bit}: {error}");
    }
}

#[test]
fn an_identity_of_a_newer_build_is_refused() {
    let directory = temporary();
    let mut data = DataDirectory::open(directory.path()).unwrap();
    data.store(&identity(1)).unwrap();
    drop(data);
    let mut file = identity::encode(&identity(1));
    let end = file.len() - 4;
    file[8] = 9;
    let crc = crc32fast::hash(&file[..end]);
    file[end..].copy_from_slice(&crc.to_le_bytes());
    fs::write(directory.path().join(IDENTITY_FILE), &file).unwrap();
    let error = DataDirectory::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Version { found: 9, .. }), "{error}");
}

#[test]
fn an_unfinished_identity_does_not_count_and_is_removed() {
    let directory = temporary();
    let leftover = directory.path().join(disk::temporary_name(IDENTITY_FILE));
    fs::write(&leftover, b"half of an ident").unwrap();
    let data = DataDirectory::open(directory.path()).unwrap();
    assert_eq!(data.identity(), None);
    assert!(!leftover.exists());
}

#[test]
fn a_log_without_an_identity_is_not_a_first_start() {
    let directory = temporary();
    let wal = directory.path().join(WAL_DIRECTORY);
    fs::create_dir(&wal).unwrap();
    drop(DataDirectory::open(directory.path()).unwrap());
    fs::write(wal.join("something"), b"x").unwrap();
    let error = DataDirectory::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn a_file_instead_of_a_directory_is_refused() {
    let directory = temporary();
    let file = directory.path().join("file");
    fs::write(&file, b"x").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = DataDirectory::open(&path).unwrap_err();
        assert!(matches!(error, LogError::Io { .. }), "{error}");
        assert!(error.to_string().contains("directory"), "{error}");
    }
}

#[test]
fn a_directory_never_forgets_that_it_has_a_log() {
    let directory = temporary();
    let mut data = DataDirectory::open(directory.path()).unwrap();
    data.store(&Identity { has_log: true, ..identity(1) }).unwrap();
    data.store(&identity(1)).unwrap();
    assert!(data.identity().unwrap().has_log);
}

/// Killed in every step of write, sync, rename and sync of the directory; then the machine crashes, or only the process.
#[test]
fn a_crash_leaves_the_old_or_the_new_identity_and_what_was_found_once_stays() {
    let new = Identity { confirmed: true, ..identity(1) };
    for changes in 0..6 {
        for kept in [None, Some(0), Some(1), Some(2), Some(u64::MAX)] {
            let disk = SimDisk::new(0);
            let open = |disk: &SimDisk| DataDirectory::open_on(disk.process(), "/data").unwrap();
            let crash = || match kept {
                None => disk.kill_process(),
                Some(kept) => {
                    disk.crash_machine_keeping(Keep::Bits(kept));
                }
            };
            let mut data = open(&disk);
            data.store(&identity(1)).unwrap();
            disk.kill_process_after(changes);
            let is_stored = data.store(&new).is_ok();
            drop(data);
            crash();
            let found = open(&disk).identity().cloned().unwrap();
            assert!(found == new || (!is_stored && found == identity(1)), "{found:?}");
            disk.crash_machine_keeping(Keep::Nothing);
            assert_eq!(open(&disk).identity(), Some(&found), "what others may have been told of stays");
        }
    }
}
