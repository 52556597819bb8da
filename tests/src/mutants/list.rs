//! The list of mutations.
//!
//! ```text
//! == name_of_the_mutation
//! What it breaks, with the section of the paper.
//! flags --nodes 5
//! @@ path/of/the/file.rs
//! -        the lines as they are
//! +        the lines as they become
//! ```
//!
//! What stands before the first `==` is for readers. `flags`, for `raft-sim`, may be absent; there may be several `@@`.
//! Lines are compared without the white space around them.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

/// Where the lists are, in the workspace.
const LISTS: &str = "tests/mutations";
/// The list that is none: what is left out beside each mutation.
const SECOND_OPINION: &str = "second_opinion.txt";

/// One rule, broken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mutation {
    /// Its name.
    pub name: String,
    /// What it breaks, in a sentence.
    pub breaks: String,
    /// What `raft-sim` is to be told beside the seeds.
    pub flags: Vec<String>,
    /// How it is done.
    pub replacements: Vec<Replacement>,
}

/// Lines of a file that become others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replacement {
    /// The file, from the workspace on.
    pub file: String,
    /// The lines as they are.
    pub original: Vec<String>,
    /// The lines as they become.
    pub mutated: Vec<String>,
}

/// Why the list cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// A file of the list cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A line that has no place where it stands.
    #[error("{path}, line {line}: {what}")]
    Malformed {
        /// In which file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Why a mutation does not apply any more: the code has changed, and the mutation has to follow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The lines are not there, or more than once.
    #[error("{file} has these lines {found} times, and must have them once:\n{original}")]
    NotOnce {
        /// The file.
        file: String,
        /// The lines.
        original: String,
        /// How often it has them.
        found: usize,
    },
}

/// All mutations, in the order of the list.
///
/// # Errors
/// If the list cannot be read.
pub fn mutations(workspace: &Path) -> Result<Vec<Mutation>, ListError> {
    let directory = workspace.join(LISTS);
    let unreadable = |source| ListError::Unreadable { path: LISTS.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name.ends_with(".txt") && name != SECOND_OPINION);
    names.sort();
    let mut all = Vec::new();
    for name in names {
        all.extend(read(&directory, &name)?);
    }
    Ok(all)
}

/// Not a mutation, but what goes with each: members do not check themselves, so that it is the simulation that has to
/// find what is wrong.
///
/// # Errors
/// If the list cannot be read.
pub fn without_second_opinion(workspace: &Path) -> Result<Vec<Mutation>, ListError> {
    read(&workspace.join(LISTS), SECOND_OPINION)
}

fn read(directory: &Path, name: &str) -> Result<Vec<Mutation>, ListError> {
    let path = format!("{LISTS}/{name}");
    match fs::read_to_string(directory.join(name)) {
        Ok(text) => parse(&path, &text),
        Err(source) => Err(ListError::Unreadable { path, source }),
    }
}

/// The mutations of one list; `path` is named in errors.
///
/// # Errors
/// If a line has no place where it stands.
pub fn parse(path: &str, text: &str) -> Result<Vec<Mutation>, ListError> {
    let mut all: Vec<Mutation> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what| ListError::Malformed { path: path.to_owned(), line: number + 1, what };
        if let Some(name) = line.strip_prefix("== ") {
            all.push(Mutation { name: name.trim().to_owned(), ..Mutation::default() });
            continue;
        }
        // What stands before the first one is for readers.
        let Some(mutation) = all.last_mut() else { continue };
        if let Some(file) = line.strip_prefix("@@ ") {
            let file = file.trim().to_owned();
            mutation.replacements.push(Replacement { file, ..Replacement::default() });
        } else if let Some(flags) = line.strip_prefix("flags ") {
            mutation.flags.extend(flags.split_whitespace().map(str::to_owned));
        } else if let Some(original) = line.strip_prefix('-') {
            let replacement = mutation.replacements.last_mut().ok_or_else(|| wrong("no @@ names its file"))?;
            if !replacement.mutated.is_empty() {
                return Err(wrong("a - behind a +: begin another @@"));
            }
            replacement.original.push(original.to_owned());
        } else if let Some(mutated) = line.strip_prefix('+') {
            let replacement = mutation.replacements.last_mut().ok_or_else(|| wrong("no @@ names its file"))?;
            replacement.mutated.push(mutated.to_owned());
        } else if !line.trim().is_empty() {
            if !mutation.replacements.is_empty() {
                return Err(wrong("a line is removed with -, added with +, or begins with ==, @@ or flags"));
            }
            let separator = if mutation.breaks.is_empty() { "" } else { " " };
            mutation.breaks.push_str(separator);
            mutation.breaks.push_str(line.trim());
        }
    }
    Ok(all)
}

impl Replacement {
    /// The text with these lines replaced.
    ///
    /// # Errors
    /// If it does not have them exactly once.
    pub fn apply(&self, text: &str) -> Result<String, Misfit> {
        let lines: Vec<&str> = text.lines().collect();
        let count = self.original.len();
        let is_here = |at: &usize| {
            let here = lines[*at..].iter().take(count);
            count > 0 && here.map(|line| line.trim()).eq(self.original.iter().map(|line| line.trim()))
        };
        let places: Vec<usize> = (0..lines.len()).filter(is_here).collect();
        let [place] = places[..] else {
            let (file, original) = (self.file.clone(), self.original.join("\n"));
            return Err(Misfit::NotOnce { file, original, found: places.len() });
        };
        let mutated = self.mutated.iter().map(String::as_str);
        let changed: Vec<&str> =
            lines[..place].iter().copied().chain(mutated).chain(lines[place + count..].iter().copied()).collect();
        Ok(changed.join("\n") + "\n")
    }
}

impl Mutation {
    /// Adds the files that it changes, with their new texts, to those that others have `changed` before; `read` knows
    /// how they were.
    ///
    /// # Errors
    /// If it does not apply any more.
    pub fn apply(
        &self,
        read: impl Fn(&str) -> io::Result<String>,
        changed: &mut BTreeMap<String, String>,
    ) -> Result<(), Misfit> {
        for replacement in &self.replacements {
            let file = &replacement.file;
            let text = match changed.get(file) {
                Some(text) => text.clone(),
                None => read(file).map_err(|source| Misfit::Unreadable { file: file.clone(), source })?,
            };
            changed.insert(file.clone(), replacement.apply(&text)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
What this list is about.

== adds_instead
It adds.
And that is wrong.
flags --nodes 5
@@ src/lib.rs
-    a - b
-}
+    a + b
+}
";

    #[test]
    fn a_mutation_has_a_name_a_sentence_flags_and_replacements() {
        let list = parse("list", LIST).expect("it is well formed");
        let [mutation] = &list[..] else { panic!("{list:?}") };
        assert_eq!(mutation.name, "adds_instead");
        assert_eq!(mutation.breaks, "It adds. And that is wrong.");
        assert_eq!(mutation.flags, ["--nodes", "5"]);
        assert_eq!(mutation.replacements[0].original, ["    a - b", "}"]);
        assert_eq!(mutation.replacements[0].mutated, ["    a + b", "}"]);
    }

    #[test]
    fn lines_are_replaced_where_they_stand_once_whatever_their_indentation() {
        let list = parse("list", LIST).expect("it is well formed");
        let replacement = &list[0].replacements[0];
        let once = "fn f() {\n        a - b\n    }\nfn g() {}\n";
        assert_eq!(replacement.apply(once).expect("once"), "fn f() {\n    a + b\n}\nfn g() {}\n");
        for text in ["fn f() {}\n", &format!("{once}{once}")] {
            assert!(matches!(replacement.apply(text), Err(Misfit::NotOnce { .. })), "{text}");
        }
    }

    #[test]
    fn a_line_without_a_place_is_refused_with_its_number() {
        for (list, line) in [("== a\n- b\n", 2), ("== a\n@@ f\n- b\n+ c\n- d\n", 5), ("== a\n@@ f\nwords\n", 3)] {
            let error = parse("list", list).expect_err(list).to_string();
            assert!(error.contains(&format!("line {line}")), "{error}");
        }
    }
}
