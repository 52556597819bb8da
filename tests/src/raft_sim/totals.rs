//! What many runs were like together.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use raft_transport::sim::{Fault, Situations, Tally};
use serde_json::{Value, json};

use super::attempt::{Attempt, Failed};
use super::effort::Effort;
use super::run::Run;
use super::shrink::Shrunk;

/// What many runs were like together.
#[derive(Debug, Default)]
pub struct Totals {
    /// Runs that were made.
    pub seeds: u64,
    /// Those of them in which servers ran several groups.
    pub runs_with_several_groups: u64,
    /// Virtual time that passed in them.
    pub lasted: Duration,
    /// Events that happened and were checked.
    pub events: u64,
    /// Steps of the consensus cores in their wake.
    pub steps: u64,
    /// Writes that were answered.
    pub acked_writes: u64,
    /// Reads that were answered.
    pub answered_reads: u64,
    /// What went wrong, and how often; kinds that could have and did not, with none.
    pub faults: BTreeMap<&'static str, u64>,
    /// What else came of that.
    pub tally: Tally,
    /// Histories of keys that were judged.
    pub keys: u64,
    /// Operations in them.
    pub operations: u64,
    /// Histories that could not be decided.
    pub undecided: u64,
    /// Rare situations, and how often they came up.
    pub situations: Situations,
    /// A number that two makings of the same runs have in common.
    pub hash: u64,
    /// Runs in which something did not hold.
    pub failures: BTreeMap<u64, (Run, Box<Failed>)>,
}

impl Totals {
    /// One more run.
    pub fn add(&mut self, attempt: Attempt) {
        let Attempt { run, report, failed, judged } = attempt;
        self.seeds += 1;
        self.runs_with_several_groups += u64::from(run.groups > 1);
        self.keys += judged.keys();
        self.operations += judged.operations();
        self.undecided += judged.undecided();
        for kind in run.faults.kinds() {
            self.faults.entry(kind.name()).or_default();
        }
        if let Some(report) = report {
            self.lasted += report.lasted;
            self.events += report.events;
            self.steps += report.steps;
            self.acked_writes += report.acked_writes;
            self.answered_reads += report.answered_reads;
            report.tally.faults().for_each(|(kind, count)| *self.faults.entry(kind.name()).or_default() += count);
            self.tally.merge(&report.tally);
            self.situations.add(&report.situations);
            // The order in which the runs end does not matter.
            self.hash = self.hash.wrapping_add(report.hash);
        }
        if let Some(failed) = failed {
            self.failures.insert(run.seed, (run, failed));
        }
    }

    /// One object with everything, for programs.
    pub fn to_json(&self, effort: &Effort) -> Value {
        let violations: Vec<Value> = self.failures.values().map(|(run, failed)| failure_to_json(run, failed)).collect();
        let situations: BTreeMap<&str, u64> = self.situations.rows().collect();
        json!({
            "seeds": self.seeds,
            "virtual_seconds": self.lasted.as_secs_f64(),
            "events": self.events,
            "steps": self.steps,
            "acked_writes": self.acked_writes,
            "answered_reads": self.answered_reads,
            "acked_writes_per_virtual_second": self.acked_writes as f64 / self.lasted.as_secs_f64().max(1e-9),
            "faults": self.faults,
            "situations": situations,
            "stops": self.tally.stops,
            "messages_cut": self.tally.messages_cut,
            "lost_sectors": self.tally.lost_sectors,
            "rotten_records": self.tally.rotten_records,
            "rotten_snapshots": self.tally.rotten_snapshots,
            "stops_for_rot": self.tally.stops_for_rot,
            "snapshots_replaced": self.tally.snapshots_replaced,
            "unbearable_losses": self.tally.unbearable_losses,
            "standstills": self.tally.standstills,
            "groups": {
                "runs_with_several": self.runs_with_several_groups,
                "begun": self.tally.groups_begun,
                "destroyed": self.tally.groups_destroyed,
                "stops": self.tally.group_stops,
            },
            "histories": { "keys": self.keys, "operations": self.operations, "undecided": self.undecided },
            "seconds": effort.took.as_secs_f64(),
            "jobs": effort.jobs,
            "cpu_seconds": effort.cpu.map(|cpu| cpu.as_secs_f64()),
            "events_per_second_and_core": self.per_core(effort),
            "hash": format!("{:016x}", self.hash),
            "violations": violations,
        })
    }

    fn per_core(&self, effort: &Effort) -> u64 {
        (self.events as f64 / effort.core_seconds()) as u64
    }

    /// The same for people.
    ///
    /// # Errors
    /// If `out` takes no more.
    pub fn show(&self, effort: &Effort, out: &mut dyn Write) -> io::Result<()> {
        let (virtual_seconds, seconds) = (self.lasted.as_secs_f64(), effort.took.as_secs_f64());
        let seeds = if self.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", self.seeds) };
        writeln!(out, "{seeds}, {virtual_seconds:.0} virtual seconds in {seconds:.1} s")?;
        writeln!(out, "  events     {}, {} per second and core", self.events, self.per_core(effort))?;
        writeln!(out, "  steps      {}", self.steps)?;
        let per_second = self.acked_writes as f64 / virtual_seconds.max(1e-9);
        let Self { acked_writes, answered_reads, keys, operations, undecided, tally, .. } = self;
        writeln!(out, "  requests   {acked_writes} writes acknowledged, {per_second:.1} per virtual second")?;
        writeln!(out, "             {answered_reads} reads answered")?;
        writeln!(out, "  histories  {keys} keys, {operations} operations judged, {undecided} undecided")?;
        let Tally { stops, messages_cut, lost_sectors, .. } = tally;
        writeln!(out, "  faults     {stops} stops, {messages_cut} messages cut off, {lost_sectors} sectors lost")?;
        let Tally { rotten_records, rotten_snapshots, stops_for_rot, snapshots_replaced, .. } = tally;
        writeln!(
            out,
            "             bits flipped in {rotten_records} records and {rotten_snapshots} snapshots in use:"
        )?;
        writeln!(out, "             {stops_for_rot} stops for that, {snapshots_replaced} snapshots replaced")?;
        self.faults.iter().try_for_each(|(kind, count)| writeln!(out, "    {kind:<20} {count}"))?;
        if self.runs_with_several_groups > 0 {
            let Tally { groups_begun, groups_destroyed, group_stops, .. } = &self.tally;
            let several = self.runs_with_several_groups;
            writeln!(
                out,
                "  several groups in {several} runs: {groups_begun} more begun, {groups_destroyed} times one destroyed, {group_stops} stops"
            )?;
        }
        if self.tally.unbearable_losses > 0 {
            let Tally { unbearable_losses, standstills, .. } = &self.tally;
            writeln!(
                out,
                "  beyond what a majority can bear: {unbearable_losses} disks lost, {standstills} standstills"
            )?;
        }
        writeln!(out, "  situations")?;
        self.situations.rows().try_for_each(|(name, count)| writeln!(out, "    {name:<40} {count}"))
    }
}

/// One failure, for programs.
pub(super) fn failure_to_json(run: &Run, failed: &Failed) -> Value {
    json!({
        "seed": run.seed,
        "invariant": failed.invariant,
        "virtual_seconds": failed.at.as_secs_f64(),
        "what": failed.what,
        "replay": run.to_string(),
        "last_events": failed.last_events(),
    })
}

/// The smallest run that fails like another, for programs.
pub(super) fn smallest_to_json(found: &Shrunk) -> Value {
    let Shrunk { run, failed, attempts } = found;
    let faults: Vec<Value> = run.planned().iter().map(fault_to_json).collect();
    let mut smallest = failure_to_json(run, failed);
    smallest["faults"] = faults.into();
    smallest["nodes"] = run.nodes.into();
    smallest["clients"] = run.clients.into();
    smallest["runs"] = (*attempts).into();
    smallest
}

fn fault_to_json(fault: &Fault) -> Value {
    let Fault { number, kind, at_us, duration_us, .. } = fault;
    json!({ "number": number, "kind": kind.name(), "at_us": at_us, "duration_us": duration_us })
}
