//! Reads the workspace's own source as text, the way a reviewer would: code without comments and without its tests.

use std::fs;
use std::path::{Path, PathBuf};

/// One file of the workspace.
pub(crate) struct Source {
    /// Relative to the workspace, with `/` between folders.
    pub(crate) path: String,
    /// Everything, as it stands on disk.
    pub(crate) text: String,
}

impl Source {
    /// The lines that are compiled into the product, with their numbers: no
    /// comments, nothing after the `#[cfg(test)]` that opens a test module.
    pub(crate) fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = (0..lines.len())
            .find(|&at| {
                lines[at].trim() == "#[cfg(test)]"
                    && lines.get(at + 1).is_some_and(|next| next.trim_start().starts_with("mod "))
            })
            .unwrap_or(lines.len());
        lines.into_iter().take(end).enumerate().map(|(at, line)| (at + 1, without_comment(line)))
    }

    /// Whether the whole file belongs to tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
    }
}

/// Cuts a line at its comment. Two slashes within a string (`"http://"`) are kept.
fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '"' if previous != '\\' && previous != '\'' => in_string = !in_string,
            '/' if previous == '/' && !in_string => return &line[..at - 1],
            _ => {}
        }
        previous = c;
    }
    line
}

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_path_buf()
}

/// The text of one file of the workspace.
pub(crate) fn read(path: &str) -> String {
    let full = workspace().join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("cannot read {}: {error}", full.display()))
}

/// All Rust files below `folder`, in a fixed order. A folder without any is a mistake in the caller.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let root = workspace();
    let mut found = Vec::new();
    collect(&root.join(folder), &mut found);
    found.sort();
    assert!(!found.is_empty(), "no Rust files below {folder}: was the room moved?");
    let relative = |path: &Path| path.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
    found.iter().map(|path| Source { path: relative(path), text: fs::read_to_string(path).unwrap() }).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// Every place in the product code of `folder` where one of `words` stands as a whole word.
pub(crate) fn offences(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources(folder).iter().filter(|source| !source.is_test()) {
        for (number, line) in source.product_code() {
            for word in words.iter().filter(|word| stands_in(word, line)) {
                found.push(format!("{}:{number}: `{word}` in: {}", source.path, line.trim()));
            }
        }
    }
    found
}

/// Whether `word` occurs in `line` and is not a part of a longer name.
fn stands_in(word: &str, line: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts = !word.starts_with(is_name) || !before.is_some_and(is_name);
        let ends = !word.ends_with(is_name) || !after.is_some_and(is_name);
        starts && ends
    })
}

/// The keys of a `[section]` of a `Cargo.toml`.
pub(crate) fn manifest_keys(path: &str, section: &str) -> Vec<String> {
    let text = read(path);
    let header = format!("[{section}]");
    text.lines()
        .skip_while(|line| line.trim() != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|key| !key.is_empty() && !key.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_scanner_finds_whole_words_outside_of_comments_and_tests() {
    let text = "let a = std::fs::read(b); // tokio\nlet tokio_like = \"http://x\"; let c = 1; // std::net\n\
                #[cfg(test)]\nmod tests {\n    use tokio;\n}\n";
    let source = Source { path: "x/src/a.rs".into(), text: text.into() };
    let code: Vec<&str> = source.product_code().map(|(_, line)| line).collect();
    assert_eq!(code.len(), 2);
    assert!(stands_in("std::fs", code[0]) && !stands_in("tokio", code[0]));
    assert!(!stands_in("tokio", code[1]) && stands_in("c", code[1]) && !stands_in("std::net", code[1]));
    assert!(stands_in(".await", "x.await?") && !stands_in(".await", "x.awaited()"));
}
