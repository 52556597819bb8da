//! The list of mutations follows the code: see `raft-mutants --help` for what it is for.

use std::collections::{BTreeMap, BTreeSet};

use raft_tests::mutants::{mutations, without_second_opinion, workspace};

#[test]
fn every_mutation_still_applies_exactly_once() {
    let workspace = workspace();
    let beside = without_second_opinion(&workspace).expect("it can be read");
    let mut misfits = Vec::new();
    for mutation in mutations(&workspace).expect("the list can be read") {
        let mut texts = BTreeMap::new();
        for each in beside.iter().chain([&mutation]) {
            if let Err(misfit) = each.apply(|file| std::fs::read_to_string(workspace.join(file)), &mut texts) {
                misfits.push(format!("{}: {misfit}", each.name));
            }
        }
    }
    assert!(misfits.is_empty(), "the code has changed, and these have to follow:\n{}", misfits.join("\n"));
}

#[test]
fn every_mutation_has_a_name_of_its_own_and_says_what_it_breaks() {
    let list = mutations(&workspace()).expect("the list can be read");
    assert!(list.len() >= 25, "{} mutations", list.len());
    let names: BTreeSet<&str> = list.iter().map(|mutation| mutation.name.as_str()).collect();
    assert_eq!(names.len(), list.len());
    for mutation in &list {
        assert!(mutation.breaks.ends_with('.') && !mutation.replacements.is_empty(), "{}", mutation.name);
    }
}

#[test]
fn mutations_break_what_is_shipped_and_not_what_judges_it() {
    for mutation in mutations(&workspace()).expect("the list can be read") {
        for file in mutation.replacements.iter().map(|replacement| &replacement.file) {
            let is_ours = file.starts_with("raft-actor/") && !file.contains("/sim_disk/") && !file.contains("/tests");
            assert!(is_ours, "{} changes {file}", mutation.name);
        }
    }
}
