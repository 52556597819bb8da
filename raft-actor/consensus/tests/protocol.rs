//! `docs/PROTOCOL.md` says where each rule stands and what shows it; this checks that it is so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    let path = package().join("../../docs/PROTOCOL.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks and names a file: `file.rs:function`, `file.rs`, `name.story`.
fn places(document: &str) -> BTreeSet<(PathBuf, Option<String>)> {
    let quoted = document.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|quoted| {
        let (file, item) = quoted.split_once(':').map_or((quoted, None), |(file, item)| (file, Some(item.to_owned())));
        let is_file = file.ends_with(".rs") || file.ends_with(".story");
        let folder = if file.starts_with("tests/") || file.starts_with("src/") { "" } else { "src" };
        is_file.then(|| (Path::new(folder).join(file), item))
    });
    named.collect()
}

/// Whether a Rust file has the function, or (`Handle<M>`) the handler.
fn has(text: &str, item: &str) -> bool {
    if item.starts_with("Handle<") {
        return text.contains(&format!("impl {item} for "));
    }
    let ends_name = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    text.match_indices(&format!("fn {item}")).any(|(at, found)| ends_name(&text[at + found.len()..]))
}

#[test]
fn every_place_named_in_the_document_exists() {
    let places = places(&document());
    assert!(places.len() > 80, "the document names only {} places", places.len());
    for (file, item) in places {
        let path = package().join(&file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if let Some(item) = item {
            assert!(has(&text, &item), "{} has no `{item}`", file.display());
        }
    }
}

/// The sentences of the paper are numbered in the tests that stand for them; none is missing.
#[test]
fn every_sentence_of_the_paper_has_a_test() {
    let folder = package().join("tests/paper");
    let files = std::fs::read_dir(&folder).expect("the tests of the paper are part of the package");
    let texts = files.map(|file| std::fs::read_to_string(file.expect("a readable folder").path()).expect("a text"));
    let text: String = texts.collect();
    let doc_lines = text.lines().filter(|line| line.starts_with("/// §"));
    let numbers = doc_lines.filter_map(|line| line.split_once(", ")?.1.split_once(':')?.0.parse::<u32>().ok());
    assert_eq!(numbers.collect::<BTreeSet<_>>(), (1..=26).collect());
}

/// The stories and scenarios are not forgotten in the document.
#[test]
fn every_story_is_named_in_the_document() {
    let document = document();
    let files = std::fs::read_dir(package().join("tests/stories")).expect("the stories are part of the package");
    for file in files {
        let name = file.expect("a readable folder").file_name().to_string_lossy().into_owned();
        assert!(!name.ends_with(".story") || document.contains(&name), "docs/PROTOCOL.md does not name {name}");
    }
}
