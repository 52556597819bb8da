//! The small programs do what they say. Cargo builds them together with the tests.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::eventually;
use crate::cluster::{Cluster, Ports, spawn};

/// An example that runs, and does not outlive the test.
struct Example {
    child: Child,
    output: PathBuf,
}

impl Example {
    fn start(name: &str, args: &[String], dir: &TempDir) -> Self {
        let tests = std::env::current_exe().expect("this program");
        let program = tests.parent().and_then(|deps| deps.parent()).expect("target/debug").join("examples").join(name);
        assert!(program.exists(), "{} is missing: run cargo build -p raft-examples --examples", program.display());
        let output = dir.path().join(format!("{name}-{}.txt", args.first().map_or("", String::as_str)));
        let file = std::fs::File::create(&output).expect("the temporary directory");
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stderr(file.try_clone().expect("a second descriptor")).stdout(file);
        Self { child: spawn(&mut command), output }
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Ctrl-D, then waits for the end. Gives what it printed.
    fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let status = eventually("the example ends", || self.child.try_wait().expect("a child of ours"));
        assert!(status.success(), "{status}: {}", self.printed());
        self.printed()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_counter_counts_on_when_its_leader_is_gone() {
    let dir = TempDir::new().expect("a temporary directory");
    let printed = Example::start("counter", &[], &dir).finish();
    assert!(printed.contains("node 3 says 1000"), "{printed}");
    assert!(printed.contains("counting: 1001"), "{printed}");
}

#[test]
fn the_embedded_worker_moves_with_the_leadership() {
    let dir = TempDir::new().expect("a temporary directory");
    let printed = Example::start("embedded_actor", &[], &dir).finish();
    assert!(printed.matches("I go to work").count() >= 2, "{printed}");
    assert!(printed.contains("the journal: ["), "{printed}");
}

#[test]
fn a_machine_in_a_database_is_given_nothing_again_when_it_is_restarted() {
    let dir = TempDir::new().expect("a temporary directory");
    let printed = Example::start("on_disk", &[], &dir).finish();
    assert!(printed.contains("it holds Some(1100), with 0 deposits applied again"), "{printed}");
    assert!(printed.contains("asks again: it came to 1100"), "{printed}");
    assert!(printed.contains("and one more: Some(1101)"), "{printed}");
}

#[test]
fn a_simulation_finds_a_planted_bug_and_nothing_when_it_is_mended() {
    let dir = TempDir::new().expect("a temporary directory");
    let printed = Example::start("simulate", &[], &dir).finish();
    let verdict = printed.lines().find(|line| line.contains("apply must depend on the state and the command alone"));
    assert!(verdict.is_some_and(|verdict| verdict.contains("responded")), "{printed}");
    assert!(printed.contains("20 seeds") && printed.contains("nothing found"), "{printed}");
}

#[test]
fn a_service_without_a_node_counts_in_a_cluster_of_processes() {
    let cluster = Cluster::start(3);
    let dir = TempDir::new().expect("a temporary directory");
    // One address is enough: it tells where the others are.
    let printed = Example::start("remote_client", &["test".to_owned(), cluster.raft_address(1)], &dir).finish();
    assert_eq!(printed.matches("came to 10").count(), 10, "{printed}");
    assert!(printed.contains("task-9 = 10") && printed.contains("before that 9"), "{printed}");
}

#[test]
fn the_chat_shows_every_line_at_every_node() {
    let (dir, ports) = (TempDir::new().expect("a temporary directory"), Ports::reserve());
    let addresses = [0, 1, 2].map(|at| ports.raft(at));
    let args = |id: usize| [vec![id.to_string()], addresses.to_vec()].concat();
    let mut nodes: Vec<Example> = (1..=3).map(|id| Example::start("remote_nodes", &args(id), &dir)).collect();
    for node in &mut nodes {
        node.type_line("hello");
    }
    eventually("every line is shown everywhere", || {
        let shows_all = |text: String| (1..=3).all(|id| text.contains(&format!("{id}: hello")));
        nodes.iter().map(Example::printed).all(shows_all).then_some(())
    });
    for node in nodes {
        node.finish();
    }
}
