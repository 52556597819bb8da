//! Damage in the middle, and what is left of the log then.

use raft_consensus::{Configuration, DamageId, Entries, Entry, LogPosition, Payload};

use super::*;
use crate::log_storage::sim_disk::{Keep, SimDisk};

const WAL: &str = "/wal";

fn mending() -> WalOptions {
    WalOptions { repair: true, create: false, ..options(SMALL) }
}

/// With segments that take all that there is.
fn roomy() -> WalOptions {
    WalOptions { segment_bytes: 1 << 20, ..mending() }
}

fn voters(members: std::ops::RangeInclusive<u64>) -> Entries {
    let configuration = Configuration::of_voters(members.map(|id| (id.into(), format!("at {id}"))));
    let position = LogPosition::new(Term::new(1), LogIndex::new(1));
    Entries::from(vec![Entry { position, payload: Payload::Configuration(Box::new(configuration)) }])
}

fn first(group: u64, members: std::ops::RangeInclusive<u64>) -> GroupWrite {
    let hard_state = HardState { term: Term::new(1), vote: None, damage: None };
    GroupWrite { group: group.into(), hard_state: Some(hard_state), log: Some(LogWrite::Append(voters(members))) }
}

/// A log of two groups with three voters each over a few segments, on a simulated disk.
fn written(disk: &SimDisk) -> Wal {
    let mut wal = Wal::open_on(disk.process(), WAL, options(SMALL)).expect("the log begins");
    let mut commit = |writes: &[GroupWrite]| {
        wal.write(writes).expect("a write succeeds");
        wal.sync().expect("a sync succeeds");
    };
    commit(&[first(1, 1..=3), first(2, 1..=3)]);
    for round in 0..60 {
        let next = 2 + round * 12;
        commit(
            &[append(1, commands(1, next..=next + 11)), append(2, commands(1, next..=next + 5))]
                .into_iter()
                .filter(|write| write.group == 1.into() || round == 0)
                .collect::<Vec<_>>(),
        );
        if round % 7 == 0 {
            commit(&[vote(1, 2 + round)]);
        }
    }
    wal
}

fn durable(disk: &SimDisk, path: &Path) -> Vec<u8> {
    disk.with_durable(path, <[u8]>::to_vec).expect("the file is there")
}

fn named(disk: &SimDisk, prefix: &str) -> Vec<PathBuf> {
    let mut found = disk.files();
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    found
}

/// What a group holds, and that it can be read.
fn held(wal: &mut Wal, group: u64) -> (HardState, Vec<Entry>) {
    let recovered = wal.recover(group.into()).expect("the group can be recovered");
    let (from, last) = (recovered.log.first_index(), recovered.log.last().index);
    let read = wal.reader().read(group.into(), from, last, u64::MAX).expect("the entries can be read");
    (recovered.hard_state, read.iter().cloned().collect())
}

fn mark(number: u64) -> Option<DamageId> {
    Some(DamageId(number))
}

/// Wherever a record is hit: what is in front of it stays, what is behind it goes, term and vote are the last ones, and
/// the log says that it has lost something, also when it is opened again. If that cannot be, it is refused.
#[test]
fn a_damaged_log_keeps_what_is_whole_in_front_and_its_last_vote() {
    let disk = SimDisk::new(1);
    let mut whole = written(&disk);
    let (vote, entries) = held(&mut whole, 1);
    let (_, others) = held(&mut whole, 2);
    drop(whole);
    let files = named(&disk, "segment-");
    assert!(files.len() > 3, "there are several segments");
    let (mut mended, mut refused) = (0, 0);
    for (at, path) in files.iter().enumerate() {
        let is_last = at + 1 == files.len();
        let places = records(&durable(&disk, path));
        // In the last batch it would be a torn tail.
        let last_batch = places.iter().rev().find(|place| place.header.kind != Kind::Seal).unwrap().header.batch;
        let earlier = places.iter().filter(|place| !is_last || place.header.batch < last_batch);
        for place in earlier.step_by(5).filter(|place| place.header.kind != Kind::Seal) {
            let disk = disk.fork();
            assert!(disk.flip_bit(path, (place.offset + 3) as u64, 5));
            let mut wal = match Wal::open_on(disk.process(), WAL, roomy()) {
                Ok(wal) => wal,
                Err(LogError::Damaged { advice, .. }) => {
                    assert!(is_last, "what lies in an older segment is restated by the next: {}", path.display());
                    assert!(advice.contains("whom it voted for"), "{advice}");
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            mended += 1;
            let number = files.len() as u64 + 1;
            let marked = HardState { damage: mark(number), ..vote };
            let (hard_state, kept) = held(&mut wal, 1);
            assert_eq!(hard_state, marked);
            assert_eq!(kept, entries[..kept.len()], "only what was there is there");
            assert!(kept.len() < entries.len());
            let hit = place.header;
            if hit.group == 1 && matches!(hit.kind, Kind::Command | Kind::Configuration) {
                assert_eq!(kept.len() as u64, hit.index - 1, "what stands in front of the damage stays");
            }
            let (hard_state, kept) = held(&mut wal, 2);
            assert_eq!((hard_state.damage, kept.as_slice()), (mark(number), &others[..kept.len()]));
            drop(wal);
            assert_eq!(named(&disk, "damaged-").len(), files.len(), "what was there is set aside");
            // It goes on from there.
            let mut wal = Wal::open_on(disk.process(), WAL, roomy()).expect("it opens");
            let (hard_state, kept) = held(&mut wal, 1);
            assert_eq!(hard_state, marked, "a restart does not forget it");
            let next = kept.len() as u64 + 1;
            wal.write(&[append(1, commands(9, next..=next + 3))]).expect("it can be written to");
            wal.sync().expect("it can be synced");
            drop(wal);
            let mut wal = Wal::open_on(disk.process(), WAL, roomy()).expect("it opens");
            assert_eq!(held(&mut wal, 1).1.len() as u64, next + 3);
        }
    }
    assert!(mended > 20 && refused > 0, "{mended} mended, {refused} refused");
}

/// One segment is enough for all that is kept: what does not fit comes from the leader.
#[test]
fn what_is_kept_comes_to_one_segment() {
    let disk = SimDisk::new(6);
    drop(written(&disk));
    let files = named(&disk, "segment-");
    let places = records(&durable(&disk, &files[files.len() - 2]));
    // Not the seal at its end: that can be written again.
    let late = places.iter().rfind(|place| place.header.kind == Kind::Command).expect("it holds entries");
    assert!(disk.flip_bit(&files[files.len() - 2], late.offset as u64, 0));
    let kept = |options| held(&mut Wal::open_on(disk.fork().process(), WAL, options).expect("it is mended"), 1).1;
    let (all, some) = (kept(roomy()), kept(mending()));
    assert!(some.len() < all.len() && !some.is_empty());
    assert_eq!(some, all[..some.len()]);
}

/// However little was written: after a moment in which nothing was, what stands behind it tells everybody's vote.
#[test]
fn a_small_log_can_be_repaired_once_it_was_idle() {
    let disk = SimDisk::new(7);
    let mut wal = Wal::open_on(disk.process(), WAL, options(SMALL)).expect("the log begins");
    wal.write(&[first(1, 1..=3)]).expect("a write succeeds");
    wal.sync().expect("a sync succeeds");
    wal.write(&[append(1, commands(1, 2..=30))]).expect("a write succeeds");
    wal.sync().expect("a sync succeeds");
    while wal.idle().expect("it can be idle") {}
    drop(wal);
    let only = &named(&disk, "segment-")[0];
    let hit = *records(&durable(&disk, only)).iter().find(|place| place.header.index == 20).unwrap();
    assert!(disk.flip_bit(only, (hit.offset + 3) as u64, 1));
    let mut wal = Wal::open_on(disk.process(), WAL, mending()).expect("it is mended");
    let (hard_state, kept) = held(&mut wal, 1);
    assert_eq!((hard_state.term, kept.len()), (Term::new(1), 19));
    assert!(hard_state.damage.is_some());
}

/// A crash at each of the changes that opening makes to the disk, of the process or the machine: the next opening ends
/// with the same log.
#[test]
fn a_crash_at_any_step_of_mending_leaves_a_log_that_is_damaged_or_mended() {
    let disk = SimDisk::new(2);
    drop(written(&disk));
    let files = named(&disk, "segment-");
    let places = records(&durable(&disk, &files[1]));
    assert!(disk.flip_bit(&files[1], (places[places.len() / 2].offset + 3) as u64, 5));
    let expected = held(&mut Wal::open_on(disk.fork().process(), WAL, mending()).expect("it is mended"), 1);
    let mut steps = 0;
    loop {
        let mut has_died = false;
        for crash in [None, Some(Keep::Bits(0)), Some(Keep::Bits(0b0110_1001)), Some(Keep::Bits(u64::MAX))] {
            let disk = disk.fork();
            disk.kill_process_after(steps);
            let first = Wal::open_on(disk.process(), WAL, mending());
            has_died |= disk.has_died_of_order();
            drop(first);
            disk.kill_process();
            disk.clear_orders();
            if let Some(keep) = crash {
                disk.crash_machine_keeping(keep);
            }
            let mut wal = Wal::open_on(disk.process(), WAL, mending()).expect("it is mended");
            assert_eq!(held(&mut wal, 1), expected, "after {steps} changes");
            drop(wal);
            assert_eq!(named(&disk, "segment-").len(), 1, "all the others are set aside");
            assert_eq!(named(&disk, "damaged-").len(), files.len());
        }
        if !has_died {
            break;
        }
        steps += 1;
    }
    assert!(steps as usize > files.len(), "it died {steps} times");
}

/// Each damage has a number of its own, and what was set aside for the one before makes room.
#[test]
fn a_log_that_is_damaged_twice_has_another_number_each_time() {
    let disk = SimDisk::new(3);
    drop(written(&disk));
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let oldest = named(&disk, "segment-").remove(0);
        let places = records(&durable(&disk, &oldest));
        let hit = places.iter().find(|place| place.header.index == 3).expect("an entry is there");
        assert!(disk.flip_bit(&oldest, (hit.offset + 50) as u64, 1));
        let mut wal = Wal::open_on(disk.process(), WAL, mending()).expect("it is mended");
        let (hard_state, kept) = held(&mut wal, 1);
        numbers.push(hard_state.damage.expect("it is marked"));
        // Enough that the hard states are restated behind it.
        let mut next = kept.len() as u64 + 1;
        for _ in 0..60 {
            wal.write(&[append(1, commands(9, next..=next + 9))]).expect("it can be written to");
            wal.sync().expect("it can be synced");
            next += 10;
        }
        let aside = named(&disk, "damaged-");
        assert!(!aside.is_empty() && aside.iter().all(|path| !named(&disk, "segment-").contains(path)));
    }
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

#[test]
fn a_log_whose_group_has_no_other_voter_is_refused() {
    for alone in [1, 2] {
        let disk = SimDisk::new(4);
        let mut wal = Wal::open_on(disk.process(), WAL, options(SMALL)).expect("the log begins");
        let members = |group| if group == alone { 1..=1 } else { 1..=3 };
        wal.write(&[first(1, members(1)), first(2, members(2))]).expect("a write succeeds");
        wal.sync().expect("a sync succeeds");
        for round in 0..60 {
            let next = 2 + round * 12;
            wal.write(&[append(1, commands(1, next..=next + 11))]).expect("a write succeeds");
            wal.sync().expect("a sync succeeds");
        }
        drop(wal);
        let oldest = named(&disk, "segment-").remove(0);
        let hit = *records(&durable(&disk, &oldest)).iter().find(|place| place.header.index == 5).unwrap();
        assert!(disk.flip_bit(&oldest, hit.offset as u64, 1));
        let before = disk.files();
        let error = Wal::open_on(disk.process(), WAL, mending()).map(|_| "opened").unwrap_err();
        let LogError::Damaged { offset, advice, .. } = error else { panic!("{error}") };
        assert_eq!(offset, hit.offset as u64);
        assert!(advice.contains("no other voter"), "{advice}");
        assert_eq!(disk.files(), before, "nothing is set aside");
        let error = Wal::open_on(disk.process(), WAL, options(SMALL)).map(|_| "opened").unwrap_err();
        assert!(matches!(error, LogError::Damaged { .. }), "nor without the permission to repair: {error}");
    }
}

/// A group that was destroyed has nothing to be repaired, and a torn tail is no damage.
#[test]
fn neither_a_tombstone_nor_a_torn_tail_is_marked() {
    let disk = SimDisk::new(5);
    let mut wal = written(&disk);
    wal.write(&[GroupWrite::tombstone(2.into())]).expect("a write succeeds");
    wal.sync().expect("a sync succeeds");
    let next = held(&mut wal, 1).1.len() as u64 + 1;
    wal.write(&[append(1, commands(9, next..=next + 9))]).expect("a write succeeds");
    drop(wal);
    disk.crash_machine_keeping(Keep::Bits(0b10));
    let mut wal = Wal::open_on(disk.process(), WAL, mending()).expect("it opens");
    assert_eq!(held(&mut wal, 1).0.damage, None, "a torn tail");
    let mut next = held(&mut wal, 1).1.len() as u64 + 1;
    for _ in 0..30 {
        wal.write(&[append(1, commands(9, next..=next + 9))]).expect("a write succeeds");
        wal.sync().expect("a sync succeeds");
        next += 10;
    }
    drop(wal);
    let oldest = named(&disk, "segment-").remove(0);
    let hit = *records(&durable(&disk, &oldest)).iter().find(|place| place.header.index == 5).unwrap();
    assert!(disk.flip_bit(&oldest, hit.offset as u64, 1));
    let mut wal = Wal::open_on(disk.process(), WAL, mending()).expect("it is mended");
    assert!(wal.recover(1.into()).expect("it is there").hard_state.damage.is_some());
    let destroyed = wal.recover(2.into()).expect("it is there");
    assert!(destroyed.is_destroyed() && destroyed.hard_state.damage.is_none());
}

/// Group 1 has so many voters, and an entry that is damaged while the log is in use. Returns what the reader said of it.
fn rotten(disk: &SimDisk, voters: u64, options: WalOptions) -> (Wal, LogError) {
    let mut wal = Wal::open_on(disk.process(), WAL, WalOptions { create: true, ..options }).expect("the log begins");
    wal.write(&[first(1, 1..=voters)]).expect("a write succeeds");
    wal.sync().expect("a sync succeeds");
    for at in 0..3 {
        wal.write(&[append(1, commands(1, 2 + 10 * at..=11 + 10 * at))]).expect("a write succeeds");
        wal.sync().expect("a sync succeeds");
    }
    let only = &named(disk, "segment-")[0];
    // In the last batch.
    let hit = *records(&durable(disk, only)).iter().find(|place| place.header.index == 25).unwrap();
    assert!(disk.flip_bit(only, (hit.offset + 3) as u64, 1));
    let index = LogIndex::new;
    assert_eq!(wal.reader().read(1.into(), index(2), index(24), u64::MAX).expect("others can be read").len(), 23);
    let error = wal.reader().read(1.into(), index(20), index(31), u64::MAX).expect_err("one cannot");
    let LogError::Damaged { path, offset, .. } = &error else { panic!("{error}") };
    assert_eq!((path, *offset), (only, hit.offset as u64));
    (wal, error)
}

/// Nothing was written behind it that would show that it is no torn tail, or whom the member voted for.
#[test]
fn what_is_damaged_while_the_log_is_in_use_is_missed_at_the_next_start_and_repaired() {
    let disk = SimDisk::new(8);
    let (mut wal, error) = rotten(&disk, 3, mending());
    assert!(error.to_string().contains("Start the node again: it gets back from its peers"), "{error}");
    wal.close().expect("its disk is well otherwise");
    drop(wal);
    let mut wal = Wal::open_on(disk.process(), WAL, mending()).expect("it is mended");
    let (hard_state, kept) = held(&mut wal, 1);
    assert_eq!((hard_state.term, kept.len()), (Term::new(1), 24));
    assert!(hard_state.damage.is_some(), "it promises nothing");
}

#[test]
fn whoever_is_alone_with_damage_or_does_not_repair_is_told_so_while_the_log_is_in_use() {
    let disk = SimDisk::new(9);
    let (mut wal, error) = rotten(&disk, 1, mending());
    assert!(
        error.to_string().contains("no other voter to repair it from. Restore the directory from a backup"),
        "{error}"
    );
    wal.close().expect("its disk is well otherwise");
    drop(wal);
    let refused = Wal::open_on(disk.process(), WAL, mending()).map(|_| "opened").unwrap_err();
    assert!(refused.to_string().contains("no other voter"), "the next start says the same: {refused}");
    let (_, error) = rotten(&SimDisk::new(10), 3, WalOptions { repair: false, ..mending() });
    assert!(error.to_string().contains("Restore the directory from a backup taken while"), "{error}");
}

/// Closed twice with nothing in between, it writes nothing the second time.
#[test]
fn closing_a_log_writes_no_more_than_it_takes() {
    let disk = SimDisk::new(11);
    let mut wal = written(&disk);
    wal.close().expect("it is whole");
    let version = disk.version();
    wal.close().expect("it is whole");
    assert_eq!(disk.version(), version);
    while wal.idle().expect("it can be idle") {}
    let end = |disk: &SimDisk| records(&durable(disk, named(disk, "segment-").last().unwrap())).len();
    let before = end(&disk);
    wal.close().expect("it is whole");
    assert_eq!(end(&disk), before);
}
