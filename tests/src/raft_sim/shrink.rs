//! Makes the run of a failure smaller: less time, fewer faults, fewer clients and servers. A run that is smaller is
//! another run, in which chance falls differently; it counts if the same invariant does not hold.

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
    pub attempts: u32,
}

/// Looks for the smallest run that fails as this one does, with at most so many runs. `attempt` makes one and says
/// what did not hold.
pub fn shrink(
    run: Run,
    failed: Box<Failed>,
    attempts_max: u32,
    attempt: impl FnMut(&Run) -> Option<Box<Failed>>,
) -> Shrunk {
    let mut search = Search { best: Shrunk { run, failed, attempts: 0 }, attempts_max, attempt };
    search.end_at_the_failure();
    loop {
        let before = search.best.run.clone();
        search.shorter();
        search.fewer_faults();
        search.fewer_clients();
        search.fewer_servers();
        if search.best.run == before || search.is_over() {
            return search.best;
        }
    }
}

struct Search<A> {
    best: Shrunk,
    attempts_max: u32,
    attempt: A,
}

impl<A: FnMut(&Run) -> Option<Box<Failed>>> Search<A> {
    fn is_over(&self) -> bool {
        self.best.attempts >= self.attempts_max
    }

    /// Makes a run; it is the best from now on if it fails, too. Returns whether it does.
    fn fails(&mut self, run: Run) -> bool {
        if !self.is_it(run) {
            return false;
        }
        self.end_at_the_failure();
        true
    }

    fn is_it(&mut self, run: Run) -> bool {
        if self.is_over() {
            return false;
        }
        self.best.attempts += 1;
        let Some(failed) = (self.attempt)(&run).filter(|failed| failed.is_like(&self.best.failed)) else {
            return false;
        };
        (self.best.run, self.best.failed) = (run, failed);
        true
    }

    /// What was planned for later does not matter.
    fn end_at_the_failure(&mut self) {
        // What is to happen at the very moment still has to.
        let lasting = self.best.failed.at + Duration::from_micros(1);
        // A panic has no time of its own.
        if self.best.failed.at > Duration::ZERO && lasting < self.best.run.lasting {
            self.is_it(Run { lasting, ..self.best.run.clone() });
        }
    }

    /// Mends everything sooner. A failure that came only when everything was mended may need no more.
    fn shorter(&mut self) {
        for parts in [0, 1, 2, 4, 6, 7] {
            if self.fails(Run { lasting: whole_micros(self.best.run.lasting * parts / 8), ..self.best.run.clone() }) {
                return;
            }
        }
    }

    /// Leaves out as many faults as possible, first many at a time: Zeller's and Hildebrandt's ddmin.
    fn fewer_faults(&mut self) {
        let mut left = self.faults();
        if left.is_empty() || self.fails_with(Vec::new()) {
            return;
        }
        let mut pieces = 2;
        while left.len() >= 2 {
            let size = left.len().div_ceil(pieces);
            let without = |start: usize| [&left[..start], &left[(start + size).min(left.len())..]].concat();
            let is_smaller = (0..left.len()).step_by(size).any(|start| self.fails_with(without(start)));
            if is_smaller {
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

    fn fails_with(&mut self, faults: Vec<usize>) -> bool {
        self.fails(Run { only_faults: Some(faults), ..self.best.run.clone() })
    }

    fn fewer_clients(&mut self) {
        for clients in 0..self.best.run.clients {
            if self.fails(Run { clients, ..self.best.run.clone() }) {
                return;
            }
        }
    }

    fn fewer_servers(&mut self) {
        for nodes in [1, 3, 5] {
            if nodes < self.best.run.nodes && self.fails(Run { nodes, ..self.best.run.clone() }) {
                return;
            }
        }
    }
}

fn whole_micros(duration: Duration) -> Duration {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
