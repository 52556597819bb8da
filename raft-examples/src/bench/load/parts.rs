//! A long run in parts, to see whether it gets slower or takes more memory as it goes on.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::super::process::Meter;
use super::super::row::{quantile_us, rounded};
use super::Notes;

/// A part of a run, as a row has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(in super::super) struct Part {
    /// How long the run had lasted when this part of it was over.
    pub(in super::super) until_s: f64,
    /// Resident then, of this process and the nodes.
    pub(in super::super) rss_bytes: u64,
}

/// The figures of a part, which stand in its row in place of those of the whole run.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Figures {
    pub(in super::super) part: Part,
    pub(in super::super) seconds: f64,
    pub(in super::super) ops_per_s: f64,
    pub(in super::super) p50_us: f64,
    pub(in super::super) p99_us: f64,
    pub(in super::super) p999_us: f64,
    pub(in super::super) cpu_us_per_op: f64,
    pub(in super::super) errors: u64,
}

/// Cuts parts from what clients write down.
pub(super) struct Cutter {
    notes: Rc<RefCell<Notes>>,
    meter: Meter,
    begin: Instant,
    begun: Instant,
    cpu_seconds: f64,
    errors: u64,
}

impl Cutter {
    /// The first part begins now.
    pub(super) fn new(notes: Rc<RefCell<Notes>>, meter: Meter) -> Self {
        let (now, cpu_seconds) = (Instant::now(), meter.cpu_seconds());
        Self { notes, meter, begin: now, begun: now, cpu_seconds, errors: 0 }
    }

    /// Cuts a part every so often, until it is dropped.
    pub(super) async fn run(mut self, every: Duration) {
        for number in 1.. {
            tokio::time::sleep_until((self.begin + number * every).into()).await;
            self.cut();
        }
    }

    fn cut(&mut self) {
        let mut notes = self.notes.borrow_mut();
        let (now, cpu_seconds) = (Instant::now(), self.meter.cpu_seconds());
        let seconds = (now - self.begun).as_secs_f64();
        let done = notes.since_cut.len() as f64;
        // Where nothing was done there is nothing to divide by.
        let per_op = |value: f64| if done > 0.0 { value / done } else { 0.0 };
        let quantile = |at| quantile_us(&notes.since_cut, at);
        let figures = Figures {
            part: Part {
                until_s: rounded((now - self.begin).as_secs_f64(), 1000.0),
                rss_bytes: self.meter.resident_bytes(),
            },
            seconds: rounded(seconds, 1000.0),
            ops_per_s: (done / seconds).round(),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            cpu_us_per_op: rounded(per_op((cpu_seconds - self.cpu_seconds) * 1e6), 100.0),
            errors: notes.errors - self.errors,
        };
        (self.begun, self.cpu_seconds, self.errors) = (now, cpu_seconds, notes.errors);
        notes.parts.push(figures);
        notes.merge_cut();
    }
}

impl Notes {
    /// What was written down since the last cut becomes part of the whole.
    pub(super) fn merge_cut(&mut self) {
        let since_cut: &Histogram<u64> = &self.since_cut;
        self.latencies_ns.add(since_cut).expect("both have the same bounds");
        self.since_cut.reset();
    }
}
