//! The proof that simulations catch bugs: our own code, broken on purpose, one rule at a time.
//!
//! `tests/mutations` has the list. Each mutation is a replacement of text; `raft-mutants` carries it out in a copy of
//! the workspace, builds `raft-sim` there and counts the seeds that it takes until something does not hold. One that
//! survives is a hole in what simulations check, or in what they do.
//!
//! | file | what it is about |
//! |---|---|
//! | `list` | reading the mutations, and applying them to a text |
//! | `workshop` | the copy of the workspace, and building it |
//! | `hunt` | running more and more seeds until one fails |
//! | `options`, `program`, `report` | what `raft-mutants` is told, does, and prints |

mod hunt;
mod list;
mod options;
mod program;
mod report;
mod workshop;

pub use hunt::{Hunt, Outcome};
pub use list::{ListError, Misfit, Mutation, Replacement, mutations, parse, without_second_opinion};
pub use options::Options;
pub use program::main;
pub use report::Row;
pub use workshop::{Workshop, WorkshopError};

use std::path::{Path, PathBuf};

/// Where the workspace is.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the crate of the tests is a folder of the workspace").to_owned()
}
