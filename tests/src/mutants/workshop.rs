//! A copy of the workspace in which code is broken and built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use tempfile::TempDir;

/// So many lines of what the compiler says are kept.
const COMPLAINT_LINES: usize = 30;

/// A copy of the workspace, with a target directory of its own: from one mutation to the next only what changed is
/// built again.
#[derive(Debug)]
pub struct Workshop {
    source: PathBuf,
    target: PathBuf,
    /// The files that are changed now, as they were.
    originals: BTreeMap<String, String>,
    /// Removes it all in the end, unless it is to be kept.
    _temporary: Option<TempDir>,
}

/// Why nothing can be made in the workshop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkshopError {
    /// A file cannot be copied or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it cannot be done.
        source: io::Error,
    },
    /// The files of the workspace are those that git tracks.
    #[error("cannot list the files of {workspace} with `git ls-files`: {reason}")]
    Git {
        /// The workspace.
        workspace: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Cargo cannot be run.
    #[error("cannot run cargo: {0}")]
    Cargo(io::Error),
    /// What was made does not compile.
    #[error("it does not compile:\n{0}")]
    DoesNotCompile(String),
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WorkshopError {
    let path = path.to_owned();
    move |source| WorkshopError::File { action, path, source }
}

impl Workshop {
    /// A copy of the tracked files of `workspace`, in `place`, which is kept, or in a temporary directory.
    ///
    /// # Errors
    /// If git does not know the files, or one cannot be copied.
    pub fn open(workspace: &Path, place: Option<PathBuf>) -> Result<Self, WorkshopError> {
        let (place, temporary) = match place {
            Some(place) => (place, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("raft-mutants-").tempdir();
                let temporary = temporary.map_err(file("create a directory in", &std::env::temp_dir()))?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        fs::create_dir_all(&place).map_err(file("create", &place))?;
        // Cargo is run elsewhere: a relative path would mean another place there.
        let place = place.canonicalize().map_err(file("find", &place))?;
        let (source, target) = (place.join("source"), place.join("target"));
        let tracked = tracked(workspace)?;
        for name in &tracked {
            let (from, to) = (workspace.join(name), source.join(name));
            let content = fs::read(&from).map_err(file("read", &from))?;
            write_if_other(&to, &content)?;
        }
        remove_others(&source, &source, &tracked)?;
        Ok(Self { source, target, originals: BTreeMap::new(), _temporary: temporary })
    }

    /// A file as it was when the copy was made, whatever has been done to it since.
    ///
    /// # Errors
    /// If it is not there.
    pub fn original(&self, name: &str) -> io::Result<String> {
        self.originals.get(name).map_or_else(|| fs::read_to_string(self.source.join(name)), |text| Ok(text.clone()))
    }

    /// Lets these files have these texts, and all others their own.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn change(&mut self, texts: &BTreeMap<String, String>) -> Result<(), WorkshopError> {
        let mut originals = BTreeMap::new();
        for name in texts.keys() {
            let original = self.original(name).map_err(file("read", &self.source.join(name)))?;
            originals.insert(name.clone(), original);
        }
        for (name, original) in std::mem::replace(&mut self.originals, originals) {
            if !texts.contains_key(&name) {
                write_if_other(&self.source.join(&name), original.as_bytes())?;
            }
        }
        for (name, text) in texts {
            write_if_other(&self.source.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    /// Builds `raft-sim` as it is now; returns where it is.
    ///
    /// # Errors
    /// If it does not compile.
    pub fn build(&self) -> Result<PathBuf, WorkshopError> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--release", "--locked", "--quiet", "-p", "raft-tests", "--bin", "raft-sim"])
            .current_dir(&self.source)
            .env("CARGO_TARGET_DIR", &self.target)
            // Built often and run briefly.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_INCREMENTAL", "1")
            .output()
            .map_err(WorkshopError::Cargo)?;
        if output.status.success() {
            return Ok(self.target.join("release").join(format!("raft-sim{}", std::env::consts::EXE_SUFFIX)));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let errors = said.lines().skip_while(|line| !line.starts_with("error")).take(COMPLAINT_LINES);
        Err(WorkshopError::DoesNotCompile(errors.collect::<Vec<_>>().join("\n")))
    }
}

/// The files that git tracks, and that are there.
fn tracked(workspace: &Path) -> Result<BTreeSet<String>, WorkshopError> {
    let git = |reason: String| WorkshopError::Git { workspace: workspace.to_owned(), reason };
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(workspace).output();
    let output = output.map_err(|error| git(error.to_string()))?;
    if !output.status.success() {
        return Err(git(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = names.split('\0').filter(|name| !name.is_empty() && workspace.join(name).is_file());
    Ok(names.map(str::to_owned).collect())
}

/// Files that stay as they are keep their time: nothing is built anew because of them.
fn write_if_other(path: &Path, content: &[u8]) -> Result<(), WorkshopError> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(file("create", parent))?;
    }
    fs::write(path, content).map_err(file("write", path))
}

/// Removes what an earlier copy had and this one has not.
fn remove_others(source: &Path, directory: &Path, tracked: &BTreeSet<String>) -> Result<(), WorkshopError> {
    for entry in fs::read_dir(directory).map_err(file("list", directory))? {
        let path = entry.map_err(file("list", directory))?.path();
        let name = path.strip_prefix(source).expect("it was found in there").to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            remove_others(source, &path, tracked)?;
        } else if !tracked.contains(&name) {
            fs::remove_file(&path).map_err(file("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_as_it_was_when_something_else_is() {
        let place = tempfile::tempdir().expect("a directory");
        let workspace = super::super::workspace();
        let mut workshop = Workshop::open(&workspace, Some(place.path().to_owned())).expect("a copy");
        let text = |name: &str| fs::read_to_string(place.path().join("source").join(name)).expect("it was copied");
        let change = |name: &str| BTreeMap::from([(name.to_owned(), "changed".to_owned())]);
        workshop.change(&change("Cargo.toml")).expect("written");
        assert_eq!(text("Cargo.toml"), "changed");
        assert_ne!(workshop.original("Cargo.toml").expect("it was kept"), "changed");
        workshop.change(&change("README.md")).expect("written");
        assert_eq!(text("Cargo.toml"), fs::read_to_string(workspace.join("Cargo.toml")).expect("it is there"));
        assert_eq!(text("README.md"), "changed");
        // The same place again, with something in it that does not belong there.
        fs::write(place.path().join("source/left.rs"), "").expect("written");
        Workshop::open(&workspace, Some(place.path().to_owned())).expect("a copy");
        assert_ne!(text("README.md"), "changed");
        assert!(!place.path().join("source/left.rs").exists());
    }
}
