//! Runs more and more seeds until one fails.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Seeds after which it is looked whether one has failed.
const STEPS: [u64; 7] = [8, 32, 128, 512, 2_000, 10_000, 100_000];

/// How a mutation is hunted for.
#[derive(Debug, Clone)]
pub struct Hunt {
    /// It survives if so many seeds find nothing.
    pub seeds_max: u64,
    /// What every `raft-sim` is told beside the seeds.
    pub flags: Vec<String>,
    /// A `raft-sim` that takes longer is taken to hang.
    pub patience: Duration,
}

/// How a mutation fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was caught.
    Caught {
        /// The name of the invariant that did not hold.
        by: String,
        /// What was found, with the values.
        what: String,
        /// How many seeds it took.
        seeds: u64,
    },
    /// Nothing was found.
    Survived {
        /// In so many seeds.
        seeds: u64,
    },
    /// Nothing can be said about it.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What `raft-sim` found in a range of seeds.
struct Found {
    seed: u64,
    by: String,
    what: String,
}

impl Hunt {
    /// Runs seeds from 0 on with this `raft-sim`.
    pub fn run(&self, program: &Path, flags: &[String]) -> Outcome {
        let mut from = 0;
        for step in STEPS {
            let to = step.min(self.seeds_max);
            if from >= to {
                break;
            }
            match self.look(program, flags, from..to) {
                Ok(None) => from = to,
                Ok(Some(Found { seed, by, what })) => return Outcome::Caught { by, what, seeds: seed + 1 },
                Err(reason) => return Outcome::Failed { reason },
            }
        }
        Outcome::Survived { seeds: from }
    }

    fn look(&self, program: &Path, flags: &[String], seeds: std::ops::Range<u64>) -> Result<Option<Found>, String> {
        let mut child = Command::new(program)
            .arg("--json")
            .arg("--seeds")
            .arg(format!("{}..{}", seeds.start, seeds.end))
            .args(["--failures-max", "1", "--no-shrink"])
            .args(&self.flags)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let said = self.listen(&mut child);
        if said.is_err() {
            // It may have ended meanwhile.
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| format!("raft-sim is gone: {error}"))?;
        let (out, err) = said?;
        judge(&out).map_err(|what| {
            let last: Vec<&str> = err.lines().rev().take(5).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            format!("{what}; raft-sim ended with {status}: {}", last.join("\n"))
        })
    }

    /// All that it says until it ends.
    fn listen(&self, child: &mut Child) -> Result<(String, String), String> {
        let (done, ended) = mpsc::channel();
        let mut out = child.stdout.take().expect("it is piped");
        let mut err = child.stderr.take().expect("it is piped");
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            // What cannot be read is not there.
            let _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = out.read_to_end(&mut text);
            // Nobody listens any more if it took too long.
            let _ = done.send(String::from_utf8_lossy(&text).into_owned());
        });
        let out = ended.recv_timeout(self.patience);
        let out = out.map_err(|_| format!("raft-sim did not end within {} s", self.patience.as_secs()))?;
        Ok((out, errors.join().unwrap_or_default()))
    }
}

/// The first seed that failed, if one did.
fn judge(out: &str) -> Result<Option<Found>, String> {
    let last = out.lines().last().ok_or("raft-sim said nothing")?;
    let summary: Value = serde_json::from_str(last).map_err(|error| format!("the last line is no summary: {error}"))?;
    let violations = summary["violations"].as_array().ok_or("the summary names no violations")?;
    let mut found = Vec::new();
    for violation in violations {
        let text = |key: &str| violation[key].as_str().map(str::to_owned).ok_or_else(|| format!("no {key} is named"));
        let seed = violation["seed"].as_u64().ok_or("no seed is named")?;
        found.push(Found { seed, by: text("invariant")?, what: text("what")? });
    }
    Ok(found.into_iter().min_by_key(|found| found.seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seed_that_failed_counts() {
        let out = r#"{"violation":{"seed":7}}
{"seeds":8,"violations":[{"seed":7,"invariant":"b","what":"."},{"seed":3,"invariant":"a","what":"."}]}"#;
        let found = judge(out).expect("a summary").expect("a violation");
        assert_eq!((found.seed, found.by.as_str()), (3, "a"));
        assert!(judge(r#"{"seeds":8,"violations":[]}"#).expect("a summary").is_none());
    }

    #[test]
    fn a_program_that_dies_or_says_nothing_has_caught_nothing() {
        for out in ["", "thread panicked", r#"{"seeds":8}"#, r#"{"violations":[{"seed":1}]}"#] {
            assert!(judge(out).is_err(), "{out}");
        }
    }
}
