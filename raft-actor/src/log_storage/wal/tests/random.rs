//! Random work with crashes, beside the model.

use proptest::prelude::*;

use super::*;
use crate::log_storage::contract::random_write;

#[derive(Debug, Clone)]
enum Step {
    /// Write a batch of this many writes and sync it; the numbers choose what they are.
    Write(Vec<u64>),
    /// Write without a sync, then crash and lose any part of what was not synced.
    Crash { choices: Vec<u64>, lost: u64 },
    /// The process is killed: the page cache keeps what was written.
    Kill(Vec<u64>),
    /// Nothing happens for a while.
    Idle(usize),
    /// Stop and start.
    Reopen,
}

fn choices() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(any::<u64>(), 1..40)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => choices().prop_map(Step::Write),
        2 => (choices(), any::<u64>()).prop_map(|(choices, lost)| Step::Crash { choices, lost }),
        1 => choices().prop_map(Step::Kill),
        2 => (1..4_usize).prop_map(Step::Idle),
        1 => Just(Step::Reopen),
    ]
}

/// A batch that fits `model`, chosen by the numbers; with larger entries, so that segments fill up.
fn batch(model: &Model, choices: &[u64]) -> Vec<GroupWrite> {
    let mut after = model.clone();
    let mut choices = choices.iter().copied().cycle();
    let mut below = |n: u64| choices.next().unwrap_or(0) % n.max(1);
    let count = 1 + below(6);
    (0..count)
        .map(|_| {
            let write = random_write(&after, &mut below);
            after.write(std::slice::from_ref(&write));
            write
        })
        .collect()
}

/// The models after each record of the batch, the full one last: what a torn batch may leave.
fn prefixes(model: &Model, writes: &[GroupWrite]) -> Vec<Model> {
    let mut all = vec![model.clone()];
    let mut now = model.clone();
    let mut apply = |write: GroupWrite| {
        now.write(&[write]);
        all.push(now.clone());
    };
    for write in writes {
        let group = write.group;
        if write.hard_state.is_some() {
            apply(GroupWrite { log: None, ..write.clone() });
        }
        match &write.log {
            None => {}
            Some(LogWrite::Append(entries)) => {
                entries.iter().for_each(|entry| apply(append(group.get(), [entry.clone()].into_iter().collect())));
            }
            Some(LogWrite::Replace(entries)) => {
                // Its first record only truncates, which the model has no write for: compared by the entries after it.
                let mut first = true;
                for entry in entries.iter() {
                    let one = [entry.clone()].into_iter().collect();
                    let log = if first { LogWrite::Replace(one) } else { LogWrite::Append(one) };
                    apply(GroupWrite { group, hard_state: None, log: Some(log) });
                    first = false;
                }
            }
            Some(log) => apply(GroupWrite { group, hard_state: None, log: Some(log.clone()) }),
        }
    }
    all
}

/// Loses sectors of the last batch, as a machine crash does: each of them or not, by the bits of `lost`.
fn lose_sectors(path: &Path, start: u64, before: &[u8], lost: u64) {
    let mut bytes = fs::read(path).unwrap();
    let start = start as usize;
    for (number, sector) in (start / 512..bytes.len().div_ceil(512)).enumerate() {
        if lost >> (number % 64) & 1 == 0 {
            continue;
        }
        for at in (sector * 512).max(start)..((sector + 1) * 512).min(bytes.len()) {
            bytes[at] = before.get(at).copied().unwrap_or(0);
        }
    }
    fs::write(path, bytes).unwrap();
}

/// What `wal` holds is one of `allowed`; returns which. A truncation without the entries behind it is allowed too.
fn matching(wal: &mut Wal, allowed: &[Model]) -> Option<Model> {
    let snapshot = |storage: &mut dyn LogStorage| -> Vec<_> {
        let groups = storage.groups();
        groups.into_iter().map(|group| (group, storage.recover(group).unwrap())).collect()
    };
    let found = snapshot(wal);
    allowed.iter().find(|model| model.recovered() == found).cloned()
}

fn run(steps: &[Step]) {
    let directory = temporary();
    let mut wal = open(directory.path());
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Write(choices) => {
                let writes = batch(&model, choices);
                write(&mut wal, &mut model, &writes);
            }
            Step::Crash { choices, lost } => {
                let writes = batch(&model, choices);
                let (path, start) = (wal.active.segment.path.clone(), wal.active.end);
                let before = fs::read(&path).unwrap();
                wal.write(&writes).unwrap();
                let is_same = wal.active.segment.path == path;
                drop(wal);
                if is_same {
                    lose_sectors(&path, start, &before, *lost);
                }
                wal = open(directory.path());
                let allowed = prefixes(&model, &writes);
                // A lone truncation matches none of them: then the group it cut is shorter than before.
                match matching(&mut wal, &allowed) {
                    Some(found) => model = found,
                    None => {
                        model = Model::of(&mut wal);
                        assert!(writes.iter().any(|write| matches!(write.log, Some(LogWrite::Replace(_)))));
                    }
                }
            }
            Step::Kill(choices) => {
                let writes = batch(&model, choices);
                wal.write(&writes).unwrap();
                model.write(&writes);
                drop(wal);
                wal = open(directory.path());
            }
            Step::Idle(count) => {
                (0..*count).take_while(|_| wal.idle().unwrap()).for_each(drop);
            }
            Step::Reopen => {
                drop(wal);
                wal = open(directory.path());
            }
        }
        model.assert_same(&mut wal);
    }
    drop(wal);
    model.assert_same(&mut open(directory.path()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_work_with_crashes_keeps_all_that_was_synced_and_invents_nothing(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        run(&steps);
    }
}
