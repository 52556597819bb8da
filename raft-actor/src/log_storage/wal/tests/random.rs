//! Random work on a disk that fails and crashes anywhere, beside the model.

use proptest::prelude::*;

use super::*;
use crate::log_storage::contract::random_write;
use crate::log_storage::sim_disk::{Keep, SimDisk};

#[derive(Debug, Clone)]
enum Step {
    /// Write a batch and sync it; the numbers choose what is in it.
    Write(Vec<u64>),
    /// Write a batch, then crash before its sync.
    Crash(Vec<u64>, Ending),
    /// Nothing happens for a while.
    Idle(usize),
    /// Stop and start.
    Reopen,
    /// From here on something goes wrong after so many changes or syncs, in whatever step that is.
    Fault { after: u32, is_sync: bool, ending: Ending },
}

/// How a run ends that went wrong.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// The process ends, the page cache stays.
    Process,
    /// The machine crashes; the bits say which of the sectors that were not synced stay.
    Machine { kept: u64 },
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![Just(Ending::Process), any::<u64>().prop_map(|kept| Ending::Machine { kept })]
}

fn choices() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(any::<u64>(), 1..40)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => choices().prop_map(Step::Write),
        2 => (choices(), ending()).prop_map(|(choices, ending)| Step::Crash(choices, ending)),
        2 => (1..6_usize).prop_map(Step::Idle),
        1 => Just(Step::Reopen),
        2 => (0..25_u32, any::<bool>(), ending())
            .prop_map(|(after, is_sync, ending)| Step::Fault { after, is_sync, ending }),
    ]
}

/// A batch that fits `model`, chosen by the numbers.
fn batch(model: &Model, choices: &[u64]) -> Vec<GroupWrite> {
    let mut after = model.clone();
    let mut choices = choices.iter().copied().cycle();
    let mut below = |n: u64| choices.next().unwrap_or(0) % n.max(1);
    let count = 1 + below(8);
    (0..count)
        .map(|_| {
            let write = random_write(&after, &mut below);
            after.write(std::slice::from_ref(&write));
            write
        })
        .collect()
}

/// The models after each record of the batch: what a torn batch may leave.
fn prefixes(model: &Model, writes: &[GroupWrite]) -> Vec<Model> {
    let mut all = vec![model.clone()];
    for write in writes {
        let group = write.group;
        let mut apply = |hard_state, log| {
            let mut next = all[all.len() - 1].clone();
            next.write(&[GroupWrite { group, hard_state, log }]);
            all.push(next);
        };
        if write.hard_state.is_some() {
            apply(write.hard_state, None);
        }
        let entries = match &write.log {
            None => continue,
            Some(LogWrite::Append(entries)) => entries,
            Some(LogWrite::Replace(entries)) => {
                let mut next = all[all.len() - 1].clone();
                next.truncate_after(group, entries.first_index().unwrap().prev());
                all.push(next);
                entries
            }
            Some(log @ (LogWrite::Reset { .. } | LogWrite::Purge { .. })) => {
                apply(None, Some(log.clone()));
                continue;
            }
        };
        for entry in entries.iter() {
            let mut next = all[all.len() - 1].clone();
            next.write(&[append(group.get(), [entry.clone()].into_iter().collect())]);
            all.push(next);
        }
    }
    all
}

/// A log on a simulated disk, and what it must hold.
struct Run {
    disk: SimDisk,
    wal: Option<Wal>,
    model: Model,
    /// Written and not acknowledged.
    pending: Vec<GroupWrite>,
    ending: Ending,
}

impl Run {
    fn open(disk: &SimDisk) -> Result<Wal, LogError> {
        Wal::open_on(disk.process(), "/wal", options(SMALL))
    }

    fn wal(&mut self) -> &mut Wal {
        self.wal.as_mut().expect("the log is open between the steps")
    }

    fn step(&mut self, step: &Step) -> Result<(), LogError> {
        match step {
            Step::Write(choices) => {
                self.pending = batch(&self.model, choices);
                let writes = self.pending.clone();
                self.wal().write(&writes)?;
                self.wal().sync()?;
                self.model.write(&writes);
                self.pending.clear();
            }
            Step::Crash(choices, ending) => {
                self.ending = *ending;
                self.pending = batch(&self.model, choices);
                let writes = self.pending.clone();
                self.wal().write(&writes)?;
                return Err(LogError::Stopped);
            }
            Step::Idle(count) => {
                for _ in 0..*count {
                    if !self.wal().idle()? {
                        break;
                    }
                }
            }
            Step::Reopen => {
                self.wal = None;
                self.wal = Some(Self::open(&self.disk)?);
            }
            Step::Fault { after, is_sync: true, ending } => {
                self.ending = *ending;
                self.disk.fail_sync_after(*after);
            }
            Step::Fault { after, is_sync: false, ending } => {
                self.ending = *ending;
                self.disk.kill_process_after(*after);
            }
        }
        Ok(())
    }

    /// What happens after a failure: the log is opened again, dies once more while it is opened, and is opened at last.
    fn recover(&mut self, second: u32) {
        self.wal = None;
        for death in [Some(second % 16), None] {
            match self.ending {
                Ending::Process => self.disk.kill_process(),
                Ending::Machine { kept } => {
                    self.disk.crash_machine_keeping(Keep::Bits(kept));
                }
            }
            self.disk.clear_orders();
            if let Some(changes) = death {
                self.disk.kill_process_after(changes);
            }
            match Self::open(&self.disk) {
                Ok(wal) => {
                    self.wal = Some(wal);
                    break;
                }
                Err(LogError::Io { .. }) if death.is_some() => {}
                Err(error) => panic!("the log does not open after a crash: {error}"),
            }
        }
        self.disk.clear_orders();
        let found = Model::of(self.wal());
        let allowed = prefixes(&self.model, &self.pending);
        // A group of which only a truncation got through is there in the one and not in the other.
        assert!(
            allowed.contains(&found),
            "found {found:#?}\nacknowledged {:#?}\npending {:#?}",
            self.model,
            self.pending
        );
        self.model = found;
        self.pending.clear();
        self.assert_durable();
    }

    /// All that an open log says must be there after a crash of the machine that loses all that was not synced.
    fn assert_durable(&mut self) {
        let fork = self.disk.fork();
        fork.crash_machine_keeping(Keep::Nothing);
        let mut wal = Self::open(&fork).unwrap_or_else(|error| panic!("what was read was not durable: {error}"));
        self.model.assert_same(&mut wal);
    }
}

fn run(steps: &[Step]) {
    let disk = SimDisk::new(0);
    let wal = Some(Run::open(&disk).expect("an empty disk takes a log"));
    let mut run = Run { disk, wal, model: Model::default(), pending: Vec::new(), ending: Ending::Process };
    for (number, step) in steps.iter().enumerate() {
        match run.step(step) {
            Ok(()) => {
                let model = run.model.clone();
                model.assert_same(run.wal());
            }
            Err(LogError::Io { .. } | LogError::Stopped) => run.recover(u32::try_from(number).unwrap() * 7),
            Err(error) => panic!("a fault of the disk was taken for damage: {error}"),
        }
    }
    run.assert_durable();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_crashes_all_that_was_acknowledged_is_kept_and_nothing_is_invented(
        steps in proptest::collection::vec(step(), 1..100)
    ) {
        run(&steps);
    }
}
