use std::cell::Cell;

use clap::Parser;
use tokio::task::LocalSet;

use super::*;

/// Answers after a while, and counts.
#[derive(Clone, Default)]
struct Slow {
    under_way: Rc<Cell<usize>>,
    under_way_max: Rc<Cell<usize>>,
    answered: Rc<Cell<u64>>,
}

const TAKES: Duration = Duration::from_millis(20);

impl Target for Slow {
    async fn write(&self, _: Data) -> Result<(), String> {
        self.under_way.set(self.under_way.get() + 1);
        self.under_way_max.set(self.under_way_max.get().max(self.under_way.get()));
        tokio::time::sleep(TAKES).await;
        self.under_way.set(self.under_way.get() - 1);
        self.answered.set(self.answered.get() + 1);
        Ok(())
    }

    async fn write_many(&self, data: Data, _: usize) -> Result<(), String> {
        self.write(data).await
    }

    async fn read(&self, _: ReadKind) -> Result<(), String> {
        self.write(Data(Bytes::new())).await
    }
}

async fn run_against(target: &Slow, clients: usize, arguments: &[&str]) -> LoadResult {
    let options = RaftBench::parse_from([&["raft-bench", "--seconds", "1"], arguments].concat());
    let meter = Meter::default();
    LocalSet::new()
        .run_until(run(std::slice::from_ref(target), &options, clients, &meter))
        .await
        .expect("all are answered")
}

#[tokio::test]
async fn an_open_loop_counts_the_time_since_a_request_was_due() {
    let target = Slow::default();
    // One client manages 50 in a second.
    let result = run_against(&target, 1, &["--rate", "200"]).await;
    let pace = result.pace.expect("it was an open loop");
    assert_eq!(target.under_way_max.get(), 1, "never more than there are clients");
    assert!(pace.missed > 0 && pace.late > 0, "{pace:?}");
    assert_eq!(pace.rate, 200.0);
    // The thirtieth was due after 150 ms and sent after 600.
    assert!(result.latencies_ns.max() > 20 * TAKES.as_nanos() as u64, "{}", result.latencies_ns.max());
}

#[tokio::test]
async fn an_open_loop_that_the_system_keeps_up_with_sends_all_that_was_due() {
    let result = run_against(&Slow::default(), 1000, &["--rate", "500"]).await;
    let pace = result.pace.expect("it was an open loop");
    assert_eq!((pace.late, pace.missed), (0, 0));
    assert!((499..=501).contains(&result.latencies_ns.len()), "{}", result.latencies_ns.len());
}

#[tokio::test]
async fn a_run_of_so_many_entries_ends_after_them_and_its_parts_are_the_whole() {
    let target = Slow::default();
    // 100 in a second.
    let result = {
        let options = RaftBench::parse_from(["raft-bench", "--entries", "150", "--every", "1"]);
        let meter = Meter::default();
        LocalSet::new()
            .run_until(run(std::slice::from_ref(&target), &options, 2, &meter))
            .await
            .expect("all are answered")
    };
    let done = result.latencies_ns.len();
    assert!((150..=152).contains(&done), "{done}, and those that the warm-up had begun");
    let [first, ..] = result.parts.as_slice() else { panic!("150 take longer than a second") };
    assert!(first.ops_per_s * first.seconds < done as f64, "the first part is not all");
    assert!(first.part.until_s >= 1.0);
}

#[test]
fn reads_are_spread_evenly_among_the_requests() {
    let mut mix = Mix { reads: 25, share: 0 };
    let reads = (0..8).map(|_| mix.next_is_read()).collect::<Vec<_>>();
    assert_eq!(reads, [false, false, false, true, false, false, false, true]);
}
