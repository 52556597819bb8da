//! Many runs on all cores.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use super::attempt::Attempt;

/// Calls `make` for all seeds of the range on `jobs` threads, and hands over what comes of it in whatever order it
/// is done. When `made` returns false, those that have begun are still handed over, and no others begin.
pub fn run_all(
    seeds: Range<u64>,
    jobs: usize,
    make: impl Fn(u64) -> Attempt + Sync,
    mut made: impl FnMut(Attempt) -> bool,
) {
    // Counted from zero, so that it cannot overflow.
    let begun = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let count = seeds.end.saturating_sub(seeds.start);
    let next = || {
        let place = begun.fetch_add(1, Ordering::Relaxed);
        (place < count && !is_over.load(Ordering::Relaxed)).then(|| seeds.start + place)
    };
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let done = done.clone();
            let (next, make) = (&next, &make);
            scope.spawn(move || {
                while let Some(seed) = next() {
                    done.send(make(seed)).expect("somebody takes them until all are done");
                }
            });
        }
        drop(done);
        for attempt in results {
            if !made(attempt) {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    });
}
