//! Makes the run of a failure smaller: less time, fewer faults, fewer clients and servers. A run that is smaller is
//! another run, in which chance falls differently; it counts if the same invariant does not hold.
//!
//! What takes a coincidence to fail hardly ever does so when anything is left out. Then a short run of another seed
//! is found sooner than one that has become short: so those are tried, too.

use std::thread;
use std::time::Duration;

use super::attempt::Failed;
use super::run::Run;

#[cfg(test)]
mod tests;

/// The smallest run that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The run.
    pub run: Run,
    /// What does not hold in it.
    pub failed: Box<Failed>,
    /// How many runs it took to find it.
    pub attempts: u64,
}

/// What a search for a smaller run may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// So many runs as long as the first; shorter ones cost less.
    pub runs: u32,
    /// So many at a time.
    pub jobs: usize,
}

/// Looks for the smallest run that fails as this one does. `attempt` makes one and says what did not hold.
pub fn shrink(
    run: Run,
    failed: Box<Failed>,
    budget: Budget,
    attempt: impl Fn(&Run) -> Option<Box<Failed>> + Sync,
) -> Shrunk {
    let all = cost(&run) * budget.runs;
    let jobs = budget.jobs.max(1);
    let best = Shrunk { run, failed, attempts: 0 };
    let mut search = Search { best, spent: Duration::ZERO, may_spend: all / 4, jobs, attempt };
    search.smaller();
    if search.best.run.planned().len() > FEW_FAULTS {
        search.another_seed(all / 8);
    }
    search.may_spend = all;
    search.smaller();
    search.best
}

/// With so few faults nobody needs a shorter run.
const FEW_FAULTS: usize = 4;
/// How long runs of other seeds are, in seconds of virtual time.
const SHORT_RUNS: [u64; 4] = [2, 5, 10, 20];

struct Search<A> {
    best: Shrunk,
    /// In virtual time.
    spent: Duration,
    may_spend: Duration,
    jobs: usize,
    attempt: A,
}

/// In virtual time: the recovery takes some, too.
fn cost(run: &Run) -> Duration {
    run.lasting + Duration::from_secs(2)
}

impl<A: Fn(&Run) -> Option<Box<Failed>> + Sync> Search<A> {
    fn is_over(&self) -> bool {
        self.spent >= self.may_spend
    }

    /// Whether one of these runs fails, too; the first that does is the best from now on.
    fn any_fails(&mut self, runs: impl IntoIterator<Item = Run>) -> bool {
        if !self.finds(runs) {
            return false;
        }
        self.end_at_the_failure();
        true
    }

    fn finds(&mut self, runs: impl IntoIterator<Item = Run>) -> bool {
        let mut runs = runs.into_iter();
        loop {
            let some: Vec<Run> = runs.by_ref().take(self.jobs).collect();
            if some.is_empty() || self.is_over() {
                return false;
            }
            self.best.attempts += some.len() as u64;
            self.spent += some.iter().map(cost).sum::<Duration>();
            let failed = make_all(&some, &self.attempt);
            let is_it = |failed: &Failed| failed.is_like(&self.best.failed);
            let found = some
                .into_iter()
                .zip(failed)
                .find_map(|(run, failed)| Some((run, failed.filter(|failed| is_it(failed))?)));
            if let Some(found) = found {
                (self.best.run, self.best.failed) = found;
                return true;
            }
        }
    }

    /// Whatever makes the run smaller, until nothing does.
    fn smaller(&mut self) {
        self.end_at_the_failure();
        loop {
            let before = self.best.run.clone();
            self.shorter();
            self.fewer_faults();
            self.fewer_clients();
            self.fewer_servers();
            self.fewer_groups();
            if self.best.run == before || self.is_over() {
                return;
            }
        }
    }

    /// What was planned for later does not matter.
    fn end_at_the_failure(&mut self) {
        // What is to happen at the very moment still has to.
        let lasting = self.best.failed.at + Duration::from_micros(1);
        // A panic has no time of its own.
        if self.best.failed.at > Duration::ZERO && lasting < self.best.run.lasting {
            self.finds([Run { lasting, ..self.best.run.clone() }]);
        }
    }

    /// Mends everything sooner. A failure that came only when everything was mended may need no more.
    fn shorter(&mut self) {
        let run = self.best.run.clone();
        let sooner = |parts| Run { lasting: whole_micros(run.lasting * parts / 8), ..run.clone() };
        self.any_fails([0, 1, 2, 4, 6, 7].map(sooner));
    }

    /// Leaves out as many faults as possible, first many at a time: Zeller's and Hildebrandt's ddmin.
    fn fewer_faults(&mut self) {
        let mut left = self.faults();
        if left.is_empty() || self.any_fails([self.with_only(Vec::new())]) {
            return;
        }
        let mut pieces = 2;
        while left.len() >= 2 && !self.is_over() {
            let size = left.len().div_ceil(pieces);
            let without = |start: usize| [&left[..start], &left[(start + size).min(left.len())..]].concat();
            let smaller: Vec<Run> = (0..left.len()).step_by(size).map(|start| self.with_only(without(start))).collect();
            if self.any_fails(smaller) {
                pieces = (pieces - 1).max(2);
                left = self.faults();
            } else if size == 1 {
                return;
            } else {
                pieces = (pieces * 2).min(left.len());
            }
        }
    }

    /// The numbers of the faults in the best run.
    fn faults(&self) -> Vec<usize> {
        self.best.run.planned().iter().map(|fault| fault.number).collect()
    }

    fn with_only(&self, faults: Vec<usize>) -> Run {
        Run { only_faults: Some(faults), ..self.best.run.clone() }
    }

    fn fewer_clients(&mut self) {
        let run = self.best.run.clone();
        self.any_fails((0..run.clients).map(|clients| Run { clients, ..run.clone() }));
    }

    fn fewer_servers(&mut self) {
        let run = self.best.run.clone();
        let fewer = [1, 3, 5].into_iter().filter(|nodes| *nodes < run.nodes);
        self.any_fails(fewer.map(|nodes| Run { nodes, ..run.clone() }));
    }

    fn fewer_groups(&mut self) {
        let run = self.best.run.clone();
        self.any_fails((1..run.groups).map(|groups| Run { groups, ..run.clone() }));
    }

    /// Looks for a short run of another seed, spending so much on each length.
    fn another_seed(&mut self, spend: Duration) {
        let run = Run { only_faults: None, ..self.best.run.clone() };
        for lasting in SHORT_RUNS.map(Duration::from_secs) {
            if lasting * 2 > run.lasting {
                return;
            }
            self.may_spend = self.spent + spend;
            let seeds = (1..u64::MAX).map(|more| run.seed.wrapping_add(more));
            // The largest number is no seed on a command line.
            let seeds = seeds.filter(|seed| *seed != u64::MAX);
            if self.any_fails(seeds.map(|seed| Run { seed, lasting, ..run.clone() })) {
                return;
            }
        }
    }
}

/// What comes of these runs, made at the same time.
fn make_all(runs: &[Run], attempt: &(impl Fn(&Run) -> Option<Box<Failed>> + Sync)) -> Vec<Option<Box<Failed>>> {
    thread::scope(|scope| {
        let threads: Vec<_> = runs.iter().map(|run| scope.spawn(move || attempt(run))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a panic of a run is what did not hold in it")).collect()
    })
}

fn whole_micros(duration: Duration) -> Duration {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
