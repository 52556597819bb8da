//! How it is printed: JSON lines, or a table for a person.

use std::io::{IsTerminal, Write, stderr, stdout};

use serde::Serialize;

use super::BenchError;
use super::groups::IdleRow;
use super::heartbeats::Heartbeats;
use super::peer::RatioRow;
use super::row::{FailoverRow, Row};
use super::storage::{AppendRow, OpenRow};

/// Where results go: each at once, for a row takes long.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    header_printed: bool,
    /// Of the rows of clusters in trouble.
    irregular: Vec<Heartbeats>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, header_printed: false, irregular: Vec::new() }
    }

    /// What is being done at the moment; overwritten by whatever comes next on a terminal.
    pub(super) fn progress(&self, text: &str) {
        if stderr().is_terminal() {
            eprint!("\r\x1b[K{text} ...");
            let _ = stderr().flush();
        } else {
            eprintln!("{text}");
        }
    }

    /// Whether what was printed can be relied on.
    ///
    /// # Errors
    /// If a cluster was in trouble while it was measured.
    pub(super) fn verdict(&self) -> Result<(), BenchError> {
        let Some(all) = self.irregular.iter().copied().reduce(Heartbeats::and) else {
            return Ok(());
        };
        let Heartbeats { longest_silence_ms: silence_ms, elections, election_timeout_ms: _ } = all;
        Err(BenchError::Irregular { rows: self.irregular.len(), silence_ms, elections })
    }

    pub(super) fn row(&mut self, row: &Row) {
        self.irregular.extend(row.heartbeats.filter(|heartbeats| heartbeats.is_irregular()));
        row.in_parts().for_each(|part| self.line(&part));
        self.line(row);
    }

    fn line(&mut self, row: &Row) {
        clear_progress();
        if self.json {
            return print_json(row);
        }
        let durable = row.synced_append_us.is_some();
        if !self.header_printed {
            self.header_printed = true;
            print!(
                "system              store   transport clients      ops/s  (min .. max)             p50 us    p99 us  p99.9 us  cpu us/op  peak MiB"
            );
            println!("{}", if durable { "  sync us  quorum us  p50/sync" } else { "" });
        }
        let store = format!("{:?}", row.store).to_lowercase();
        let transport = format!("{:?}", row.transport).to_lowercase();
        let range = format!("({:.0} .. {:.0})", row.ops_per_s_min, row.ops_per_s_max);
        let placed = row.workers.or(row.connections).map(|number| number.to_string());
        let placed = placed.or(row.through.map(str::to_owned));
        let system = placed.map_or_else(|| row.system.to_owned(), |placed| format!("{} ({placed})", row.system));
        print!(
            "{system:<19} {store:<7} {transport:<9} {:>7} {:>10.0}  {range:<21} {:>9.1} {:>9.1} {:>9.1} {:>10.2} {:>9}",
            row.clients,
            row.ops_per_s,
            row.p50_us,
            row.p99_us,
            row.p999_us,
            row.cpu_us_per_op,
            row.peak_rss_bytes >> 20,
        );
        if let (Some(sync), Some(quorum)) = (row.synced_append_us, row.quorum_append_us) {
            print!(" {sync:>8.1} {quorum:>10.1} {:>9.2}", row.p50_in_synced_appends.unwrap_or_default());
        }
        if let Some(entries) = row.entries_per_sync {
            print!("  {entries:.1} entries/sync");
        }
        if let Some(part) = row.part {
            print!("  until {} s, {} MiB resident", part.until_s, part.rss_bytes >> 20);
        }
        if let Some(pace) = row.pace {
            print!("  {:.0}/s due, {} late, {} missed", pace.rate, pace.late, pace.missed);
        }
        println!("{}", if row.errors == 0 { String::new() } else { format!("  {} errors", row.errors) });
        if row.synced_append_us.is_some_and(|us| us < 10.0) {
            eprintln!("raft-bench: a sync in under 10 us: this is no disk; name a directory on one with --data-dir");
        }
    }

    pub(super) fn ratio(&self, row: &RatioRow) {
        clear_progress();
        if self.json {
            return print_json(row);
        }
        let of = row.through.map_or_else(|| row.of.to_owned(), |through| format!("{} ({through})", row.of));
        println!(
            "{:<37} {:>7} {:>10.2}  ({:.2} .. {:.2}) times the operations, {:.2} times the processor time for each",
            of, row.clients, row.median, row.min, row.max, row.cpu_median,
        );
    }

    pub(super) fn idle(&self, row: &IdleRow) {
        clear_progress();
        if self.json {
            return print_json(row);
        }
        println!(
            "{} groups on {} nodes ({:?}, {:?}) created in {:.2} s; idle: {:.2} % of a processor, {:.1} KiB for a group on a node",
            row.groups,
            row.nodes,
            row.store,
            row.transport,
            row.created_s,
            row.idle_cpu_percent,
            row.bytes_per_group_and_node as f64 / 1024.0,
        );
    }

    pub(super) fn failover(&self, row: &FailoverRow) {
        clear_progress();
        if self.json {
            return print_json(row);
        }
        println!(
            "{} failovers of {} nodes ({:?}, {:?}, election timeout {} ms, heartbeat {} ms): median {:.1} ms, min {:.1} ms, max {:.1} ms",
            row.failovers,
            row.nodes,
            row.store,
            row.transport,
            row.election_timeout_ms,
            row.heartbeat_ms,
            row.median_ms,
            row.min_ms,
            row.max_ms,
        );
    }

    pub(super) fn append(&mut self, row: &AppendRow) {
        clear_progress();
        if self.json {
            return print_json(row);
        }
        if !self.header_printed {
            self.header_printed = true;
            println!(
                "  batch  bytes    entries/s    p50 us    p99 us  cpu us/entry  bare p50 us  bare p99 us  bare cpu us/entry"
            );
        }
        println!(
            "{:>7} {:>6} {:>12.0} {:>9.1} {:>9.1} {:>13.3} {:>12.1} {:>12.1} {:>18.3}",
            row.batch,
            row.payload_bytes,
            row.entries_per_s,
            row.p50_us,
            row.p99_us,
            row.cpu_us_per_entry,
            row.bare_p50_us,
            row.bare_p99_us,
            row.bare_cpu_us_per_entry,
        );
    }

    pub(super) fn open(&self, row: &OpenRow) {
        clear_progress();
        if self.json {
            return print_json(row);
        }
        println!(
            "{} entries of {} bytes ({} MiB on disk, in the page cache) opened in {:.3} s ({:.3} s of a processor), {} MiB at most",
            row.entries,
            row.payload_bytes,
            row.disk_bytes >> 20,
            row.open_s,
            row.cpu_s,
            row.peak_bytes >> 20,
        );
    }
}

fn clear_progress() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

fn print_json(row: &impl Serialize) {
    println!("{}", serde_json::to_string(row).expect("a row is numbers and names"));
    let _ = stdout().flush();
}
