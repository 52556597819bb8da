//! The room rules of `docs/ARCHITECTURE.md`, as far as types and visibility cannot hold them: who must not know whom.
//!
//! Each test is an invariant of absence. When one fails, the code is in the wrong room; widening a list here is a
//! change of the architecture and belongs into the document as well.

mod documents;
mod source;

use source::{manifest_keys, offences, read, sources};

/// Every folder with Rust code of ours.
const CRATES: [&str; 5] =
    ["raft-actor/src", "raft-actor/consensus/src", "raft-transport/src", "raft-examples/src", "tests"];

#[track_caller]
fn none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn consensus_touches_no_runtime_file_socket_clock_or_thread() {
    let words = [
        "actix",
        "actix_rt",
        "tokio",
        "std::fs",
        "std::io",
        "std::net",
        "std::thread",
        "Mutex",
        "RwLock",
        "mpsc",
        "std::process",
        "std::env",
        "Instant",
        "SystemTime",
        "println!",
        "eprintln!",
    ];
    none(offences("raft-actor/consensus/src", &words), "consensus/ is pure: time and randomness are handed in");
}

#[test]
fn consensus_contains_no_await() {
    none(offences("raft-actor/consensus/src", &["async", ".await", "Future", "Pin"]), "consensus/ never waits");
}

#[test]
fn consensus_is_deterministic() {
    let words = ["HashMap", "HashSet", "thread_rng", "RandomState", "rand::rng", "random", "SysRng", "from_os_rng"];
    none(offences("raft-actor/consensus/src", &words), "the same inputs and seed give the same effects");
}

#[test]
fn consensus_depends_on_nothing_that_could_do_io() {
    let allowed = ["bytes", "serde", "thiserror", "rand", "rand_chacha"];
    let foreign: Vec<String> = manifest_keys("raft-actor/consensus/Cargo.toml", "dependencies")
        .into_iter()
        .filter(|key| !allowed.contains(&key.as_str()))
        .collect();
    none(foreign, "the dependency list of consensus/ is short so that the rest cannot happen");
}

#[test]
fn the_framework_does_not_depend_on_its_transports() {
    let dependencies = manifest_keys("raft-actor/Cargo.toml", "dependencies");
    assert!(dependencies.contains(&"raft-consensus".to_owned()), "{dependencies:?}");
    assert!(!dependencies.contains(&"raft-transport".to_owned()), "raft-transport depends on raft-actor, never back");
}

/// What belongs to a thread and to nobody on it: a buffer that is empty between uses, and whether the thread stays awake.
const OF_A_THREAD: [&str; 2] = ["raft-actor/src/handle/queue.rs", "raft-actor/src/busy_poll.rs"];

#[test]
fn nothing_is_a_static() {
    let mut found = Vec::new();
    for folder in CRATES {
        found.extend(offences(folder, &["static mut", "thread_local!", "lazy_static!", "OnceLock", "LazyLock"]));
        for source in sources(folder).iter().filter(|source| !source.is_test()) {
            let items = source.product_code().filter(|(_, line)| {
                let line = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
                line.starts_with("static ")
            });
            found.extend(items.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
        }
    }
    found.retain(|place| !OF_A_THREAD.iter().any(|file| place.starts_with(file)));
    none(found, "hosts, clusters and tests live side by side in one process: nothing is shared behind their backs");
}

#[test]
fn the_node_decides_nothing() {
    let words = [
        "term <",
        "term >",
        "majority",
        "quorum",
        "voter_sets",
        "is_voter",
        "next_index",
        "match_index",
        "voted_for",
        "AppendEntriesReply",
        "RequestVote",
        "RequestVoteReply",
        "PreVote",
    ];
    none(
        offences("raft-actor/src/node", &words),
        "who wins, what is committed and what is sent next is the core's to say",
    );
    let words = ["next_index", "match_index", "majority", "quorum", "Role", "RequestVote"];
    none(offences("raft-actor/src/replication", &words), "a stream sends what it was ordered to send");
}

#[test]
fn logs_know_neither_roles_nor_messages() {
    let words = ["Role", "Envelope", "AppendEntries", "RequestVote", "Transport", "Outbound"];
    none(offences("raft-actor/src/log_storage", &words), "to a log, terms and indexes are labels");
}

#[test]
fn state_machines_know_no_wall_clock_and_no_network() {
    let words = ["SystemTime", "Instant", "std::net", "tokio::net", "std::fs", "Role", "AppendEntries", "RequestVote"];
    none(offences("raft-actor/src/state_machine", &words), "what apply sees is the same on every member");
}

#[test]
fn transports_queue_nothing_without_bound() {
    let words = ["unbounded_channel", "UnboundedSender", "unbounded", "mpsc::channel::<", "std::sync::mpsc"];
    none(offences("raft-transport/src", &words), "a transport drops, and says so, instead of queueing without bound");
}

#[test]
fn transports_do_not_look_into_bodies() {
    let words = ["RequestVote", "PreVote", "AppendEntries", "HardState", "LogPosition", "Term", "LogIndex"];
    let mut found = offences("raft-transport/src", &words);
    // A simulation carries nobody's messages but its own, and is there to judge them.
    found.retain(|place| !place.starts_with("raft-transport/src/sim/"));
    none(found, "the meaning of a message is not the transport's business");
}

#[test]
fn what_judges_the_log_does_not_share_its_code() {
    let words = ["Wal", "WalOptions", "LogStorage", "LogReader", "RecoveredGroup", "GroupWrite"];
    none(offences("raft-transport/src/sim/durable", &words), "a second opinion is formed from the bytes alone");
}

#[test]
fn examples_use_the_public_face_only() {
    let mut found = offences("raft-examples/src", &["consensus::", "raft_consensus"]);
    found.extend(offences("raft-examples/examples", &["consensus::", "raft_consensus"]));
    none(found, "what an example needs from the inside, a user would need as well");
}

#[test]
fn no_test_is_ignored_or_left_empty() {
    let mut found = Vec::new();
    for folder in CRATES.into_iter().chain(["raft-examples/tests", "raft-examples/examples"]) {
        for source in sources(folder).iter().filter(|source| !source.path.ends_with("rooms/main.rs")) {
            let lines = source.text.lines().enumerate();
            let bad =
                lines.filter(|(_, line)| ["#[ignore", "todo!(", "unimplemented!("].iter().any(|w| line.contains(w)));
            found.extend(bad.map(|(at, line)| format!("{}:{}: {}", source.path, at + 1, line.trim())));
        }
    }
    none(found, "a test that does not run is not a test");
}

#[test]
fn every_crate_forbids_unsafe_and_wants_docs() {
    for root in ["raft-actor/src", "raft-actor/consensus/src", "raft-transport/src", "raft-examples/src"] {
        let text = read(&format!("{root}/lib.rs"));
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root}/lib.rs does not forbid unsafe code");
        assert!(text.contains("#![warn(missing_docs)]"), "{root}/lib.rs does not ask for docs");
    }
}

#[test]
fn a_file_can_be_read_in_a_sitting() {
    let long: Vec<String> = CRATES
        .into_iter()
        .chain(["raft-examples/tests", "raft-examples/examples", "raft-transport/tests"])
        .filter(|folder| source::workspace().join(folder).exists())
        .flat_map(sources)
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, _)| *lines > 600)
        .map(|(lines, path)| format!("{path} has {lines} lines"))
        .collect();
    none(long, "split it: one concept per file");
}
