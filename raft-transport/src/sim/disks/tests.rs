use raft_actor::consensus::{Entries, Entry, HardState, LogPosition, LogWrite, Payload, Term};
use raft_actor::log_storage::{GroupWrite, LogStorage, Wal, WalOptions};

use super::*;

const NODE: NodeId = NodeId::new(1);

fn at(index: u64) -> LogPosition {
    LogPosition::new(Term::new(1), LogIndex::new(index))
}

fn open(disk: &SimDisk) -> Wal {
    Wal::open_on(disk.process(), WAL_DIRECTORY, WalOptions { segment_bytes: 16 << 10, ..WalOptions::default() })
        .expect("a log that can be read")
}

/// Writes one short entry; it is not durable yet.
fn write(wal: &mut Wal, index: u64) {
    let payload = Payload::Command(bytes::Bytes::from_static(b"line"));
    let entries: Entries = vec![Entry { position: at(index), payload }].into();
    let hard_state = Some(HardState { term: Term::new(1), vote: Some(NODE), damage: None });
    wal.write(&[GroupWrite { group: GROUP, hard_state, log: Some(LogWrite::Append(entries)) }]).expect("there is room");
}

/// A log of three durable entries and a fourth that is only written, and whoever reads it: a bit of the first is
/// flipped on the disk. All of it is in one sector, so that the page cache has it as it was, and is to write it.
fn flipped_under_a_dirty_page() -> (SimDisk, DiskReaders) {
    let disk = SimDisk::new(7);
    let mut readers = DiskReaders::default();
    readers.add(NODE, &disk);
    let mut wal = open(&disk);
    for index in 1..=3 {
        write(&mut wal, index);
        wal.sync().expect("the disk is well");
    }
    write(&mut wal, 4);
    assert!(readers.follow(NODE).expect("it is whole").is_some());
    let first = readers.earlier_records(NODE).into_iter().next().expect("three batches");
    assert!(disk.flip_bit(&first.path, first.offset + first.length - 1, 3));
    readers.damaged(NODE);
    let mut stranger = DurableReader::new(disk.clone(), WAL_DIRECTORY);
    assert!(stranger.reread().is_err(), "by now it is damaged");
    (disk, readers)
}

/// The process dies, and the next one finds in the page cache what it makes durable: then nothing is damaged, and the
/// reader must not go on overlooking this disk, nor believe what it knew before.
#[test]
fn a_flipped_bit_that_a_dirty_page_has_healed_is_over_when_the_server_starts() {
    let (disk, mut readers) = flipped_under_a_dirty_page();
    disk.kill_process();
    let mut wal = open(&disk);
    let found = wal.recover(GROUP).expect("it is whole");
    assert_eq!((found.hard_state.damage, found.log.last()), (None, at(4)));
    assert!(readers.is_damaged(NODE) && readers.follow(NODE).expect("it is not looked at").is_none());

    readers.look_again(NODE).expect("it is whole again");
    assert!(!readers.is_damaged(NODE));
    let last = |readers: &DiskReaders| readers.reader(NODE).expect("it is one of them").last();
    assert_eq!(last(&readers), at(4));
    write(&mut wal, 5);
    wal.sync().expect("the disk is well");
    assert!(readers.follow(NODE).expect("it is whole").is_some(), "it is followed again");
    assert_eq!(last(&readers), at(5));
    readers.check().expect("from scratch as well");
}

/// A machine that loses its power loses the page, too: whoever starts then as if nothing had happened is found out.
#[test]
fn a_flipped_bit_that_nothing_has_healed_is_seen_when_the_server_starts() {
    let (disk, mut readers) = flipped_under_a_dirty_page();
    disk.crash_machine_keeping(raft_actor::log_storage::sim_disk::Keep::Nothing);
    assert!(readers.look_again(NODE).is_err());
    assert!(!readers.is_damaged(NODE), "it is looked at from now on");
}
