//! What the documents claim about the code must be so.

use crate::source::{manifest_keys, read, sources, workspace};

/// What stands between backquotes in `text`, outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// A name of a test: a claim in at least three words.
fn is_test_name(name: &str) -> bool {
    name.matches('_').count() >= 2 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[test]
fn every_test_that_architecture_names_exists() {
    every_test_named_in("docs/ARCHITECTURE.md");
}

#[test]
fn every_test_that_the_page_on_testing_names_exists() {
    every_test_named_in("docs/TESTING.md");
}

fn every_test_named_in(document: &str) {
    let text = read(document);
    let named: Vec<&str> = quoted(&text).into_iter().filter(|name| is_test_name(name)).collect();
    assert!(named.len() > 10, "the document should name the tests that guard its rules, found only {named:?}");
    let all: Vec<_> =
        ["raft-actor", "raft-transport", "raft-examples", "tests"].into_iter().flat_map(sources).collect();
    let story = |name: &str| workspace().join(format!("raft-actor/consensus/tests/stories/{name}.story")).exists();
    let is_test = |name: &str| all.iter().any(|source| source.text.contains(&format!("fn {name}(")));
    let missing: Vec<&&str> = named.iter().filter(|name| !is_test(name) && !story(name)).collect();
    assert!(missing.is_empty(), "{document} names tests that do not exist: {missing:?}");
}

#[test]
fn every_path_that_architecture_names_exists() {
    let text = read("docs/ARCHITECTURE.md");
    let is_path =
        |name: &&str| name.contains('/') && !name.contains([' ', '<', ':', '*', '{']) && !name.starts_with('/');
    let missing: Vec<&str> =
        quoted(&text).into_iter().filter(is_path).filter(|path| !workspace().join(path).exists()).collect();
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md names paths that do not exist: {missing:?}");
}

#[test]
fn the_program_of_the_readme_has_at_most_forty_lines() {
    let text = read("README.md");
    let program: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("```rust"))
        .skip(1)
        .take_while(|line| *line != "```")
        .collect();
    assert!(program.iter().any(|line| line.contains("fn main")), "the first Rust block is a complete program");
    assert!(program.len() <= 40, "the program of the README has {} lines", program.len());
}

#[test]
fn the_examples_are_short_and_say_how_to_run_them() {
    for source in sources("raft-examples/examples") {
        let name = source.path.rsplit('/').next().and_then(|file| file.strip_suffix(".rs")).expect("a Rust file");
        let command = format!("cargo run -p raft-examples --example {name}");
        assert!(source.text.lines().take(12).any(|line| line.contains(&command)), "{} lacks: {command}", source.path);
        let lines = source.text.lines().count();
        assert!(lines < 80, "{} has {lines} lines; an example is read at a glance", source.path);
    }
}

#[test]
fn the_readme_names_the_two_commands_that_work_on_a_fresh_machine() {
    let text = read("README.md");
    for command in ["cargo run --release -p raft-examples", "cargo test --workspace"] {
        assert!(text.contains(command), "README.md lacks: {command}");
    }
    let default_run = read("raft-examples/Cargo.toml");
    assert!(default_run.contains("default-run = \"raft-kv\""), "cargo run -p raft-examples must start raft-kv");
    assert!(!manifest_keys("Cargo.toml", "workspace.dependencies").is_empty());
}
