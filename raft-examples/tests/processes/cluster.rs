//! Starts, kills and restarts `raft-kv` processes.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use raft_tests::proxy::Mesh;
use tempfile::TempDir;

use crate::client::{Client, eventually};

/// Held while ports are tried out, and while a process is forked: between fork and exec a child holds
/// whatever its parent had open, and a port that is tried out meanwhile would stay in use for that long.
static FORK: Mutex<()> = Mutex::new(());

fn no_fork() -> MutexGuard<'static, ()> {
    FORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a process.
pub(crate) fn spawn(command: &mut Command) -> Child {
    let _one_at_a_time = no_fork();
    command.spawn().expect("the program can be started")
}

/// A `raft-kv` process that does not outlive the test.
pub(crate) struct Process {
    args: Vec<String>,
    output: PathBuf,
    child: Option<Child>,
    survives_file_size_limit: bool,
}

impl Process {
    /// Starts `raft-kv` with these arguments; what it prints goes to `output`.
    pub(crate) fn start(args: Vec<String>, output: &Path) -> Self {
        Self::start_as(args, output, false)
    }

    /// The same, but it is not killed by a limit on the size of its files: its writes fail instead.
    pub(crate) fn start_with_disk_faults(args: Vec<String>, output: &Path) -> Self {
        Self::start_as(args, output, true)
    }

    fn start_as(args: Vec<String>, output: &Path, survives_file_size_limit: bool) -> Self {
        let mut process = Self { args, output: output.to_owned(), child: None, survives_file_size_limit };
        process.restart();
        process
    }

    /// Starts it again with the same arguments.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "still running");
        let mut output = File::options().create(true).append(true).open(&self.output).expect("the temporary directory");
        let program = env!("CARGO_BIN_EXE_raft-kv");
        if !self.survives_file_size_limit {
            let stderr = output.try_clone().expect("a second descriptor");
            self.child = Some(self.spawn(Command::new(program).stderr(stderr).stdout(output)));
            return;
        }
        // An ignored signal stays ignored in the program that takes the shell's place. What it prints goes through a
        // pipe, which has no size.
        let (mut printed, stdout) = io::pipe().expect("a pipe");
        let stderr = stdout.try_clone().expect("a second descriptor");
        let shell = ["-c", r#"trap '' XFSZ; exec "$0" "$@""#, program];
        self.child = Some(self.spawn(Command::new("sh").args(shell).stderr(stderr).stdout(stdout)));
        std::thread::spawn(move || io::copy(&mut printed, &mut output));
    }

    fn spawn(&self, command: &mut Command) -> Child {
        spawn(command.args(&self.args).env("RUST_LOG", "info").stdin(Stdio::null()))
    }

    /// The number that the operating system knows it by.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// SIGKILL: no warning, no last words.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM: the polite request. Waits until it has followed it.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.exited()
    }

    /// SIGSTOP: it does nothing any more and does not know it. Its sockets stay open.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it goes on as if nothing had happened.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("the kill command");
        assert!(sent.success(), "process {pid} is gone already:\n{}", self.printed());
    }

    /// Waits until it ends by itself.
    pub(crate) fn exited(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        let status = eventually("the process ends", || child.try_wait().expect("a child of ours"));
        self.child = None;
        status
    }

    /// Whether it ended by itself, and how.
    pub(crate) fn has_exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("a child of ours")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.is_some() && self.has_exited().is_none()
    }

    /// All it has printed so far.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let printed = self.printed();
            let lines: Vec<&str> = printed.lines().collect();
            let tail = &lines[lines.len().saturating_sub(30)..];
            eprintln!("--- end of {}:\n{}", self.output.display(), tail.join("\n"));
        }
    }
}

/// Some neighbouring ports that no other test takes while this lives, not even when a node of ours is down and its
/// port is free. They lie below the range that outgoing connections take theirs from.
pub(crate) struct Ports {
    first: u16,
    /// Bound for as long as the block is ours: who cannot bind it looks elsewhere.
    _guard: TcpListener,
}

impl Ports {
    /// How many there are.
    const COUNT: u16 = 11;

    pub(crate) fn reserve() -> Self {
        eventually("free ports are found", || {
            let _no_child_inherits_them = no_fork();
            let random = RandomState::new().build_hasher().finish() % 1_800;
            let guard = 10_000 + u16::try_from(random).expect("small") * (Self::COUNT + 1);
            let bind = |port| TcpListener::bind(("127.0.0.1", port));
            let ports = Self { first: guard + 1, _guard: bind(guard).ok()? };
            (0..Self::COUNT).all(|at| bind(ports.port(at)).is_ok()).then_some(ports)
        })
    }

    pub(crate) fn port(&self, at: u16) -> u16 {
        assert!(at < Self::COUNT, "a block has {} ports", Self::COUNT);
        self.first + at
    }

    pub(crate) fn address(&self, at: u16) -> String {
        format!("127.0.0.1:{}", self.port(at))
    }

    /// Where node `at` (from 0) is asked; room for five.
    pub(crate) fn http(&self, at: usize) -> String {
        self.address(u16::try_from(at).expect("few nodes"))
    }

    /// Where node `at` (from 0) listens for the others; room for five.
    pub(crate) fn raft(&self, at: usize) -> String {
        self.address(u16::try_from(at).expect("few nodes") + 5)
    }
}

/// Nodes of one cluster, each a process of its own.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Process>,
    /// Goes after the nodes, who at the end of a failed test show what they printed into it.
    pub(crate) dir: TempDir,
    pub(crate) clients: Vec<Client>,
    /// What lies between the nodes; `None`: nothing does.
    pub(crate) mesh: Option<Mesh>,
    /// How many nodes found the cluster.
    size: usize,
    ports: Ports,
    /// Of those that joined.
    more_ports: Vec<Ports>,
    /// Of the founders, on their command lines.
    options: Vec<String>,
}

impl Cluster {
    /// Starts `size` nodes and waits until they have a leader.
    pub(crate) fn start(size: usize) -> Self {
        let mut cluster = Self::spawn(size);
        cluster.has_leader();
        cluster
    }

    /// The same with more options on the command lines of the founders.
    pub(crate) fn start_with(size: usize, options: &[&str]) -> Self {
        let mut cluster = Self::planned(size);
        cluster.options = options.iter().map(ToString::to_string).collect();
        cluster.spawn_all(Process::start);
        cluster.has_leader();
        cluster
    }

    /// Starts up to five more nodes that wait to be added; gives where each listens for the others.
    pub(crate) fn join(&mut self, count: usize) -> Vec<String> {
        let ports = Ports::reserve();
        let addresses = (0..count).map(|at| {
            let id = self.nodes.len() + 1;
            self.clients.push(Client::new(&format!("http://{}", ports.http(at))));
            let mut args = self.common_args(id, ports.raft(at), ports.http(at));
            args.push("--join".to_owned());
            let output = self.dir.path().join(format!("node-{id}.txt"));
            self.nodes.push(Process::start(args, &output));
            ports.raft(at)
        });
        let addresses = addresses.collect();
        self.more_ports.push(ports);
        addresses
    }

    /// The same with a proxy on the way from each node to each other, and nodes that survive a full disk.
    pub(crate) fn start_under_fire(size: usize) -> Self {
        let mut cluster = Self::planned(size);
        let address = |at| cluster.ports.raft(at).parse().expect("an address");
        let targets: Vec<SocketAddr> = (0..size).map(address).collect();
        cluster.mesh = Some(Mesh::start(&targets).expect("ports"));
        cluster.spawn_all(Process::start_with_disk_faults);
        cluster.has_leader();
        cluster
    }

    /// Starts `size` nodes and waits for nothing.
    pub(crate) fn spawn(size: usize) -> Self {
        let mut cluster = Self::planned(size);
        cluster.spawn_all(Process::start);
        cluster
    }

    fn planned(size: usize) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let ports = Ports::reserve();
        let clients = (0..size).map(|at| Client::new(&format!("http://{}", ports.http(at)))).collect();
        let (nodes, more_ports) = (Vec::new(), Vec::new());
        Self { dir, nodes, clients, mesh: None, size, ports, more_ports, options: Vec::new() }
    }

    fn spawn_all(&mut self, start: fn(Vec<String>, &Path) -> Process) {
        for at in 0..self.size {
            let output = self.dir.path().join(format!("node-{}.txt", at + 1));
            self.nodes.push(start(self.args(at), &output));
        }
    }

    fn has_leader(&mut self) {
        eventually("a leader is elected", || {
            for node in &mut self.nodes {
                assert!(node.is_running(), "a node did not start:\n{}", node.printed());
            }
            self.leader()
        });
    }

    /// The command line of a founder.
    pub(crate) fn args(&self, at: usize) -> Vec<String> {
        let mut args = self.common_args(at + 1, self.ports.raft(at), self.ports.http(at));
        for peer in 0..self.size {
            let address = match &self.mesh {
                Some(mesh) if peer != at => mesh.link(at, peer).address().to_string(),
                Some(_) | None => self.ports.raft(peer),
            };
            args.extend(["--peer".to_owned(), format!("{}={address}", peer + 1)]);
        }
        args.extend(self.options.iter().cloned());
        args
    }

    /// What founders and those who join are told.
    fn common_args(&self, id: usize, raft: String, http: String) -> Vec<String> {
        let mut args: Vec<String> = ["node", "--cluster", "test"].map(str::to_owned).into();
        let mut option = |name: &str, value: String| args.extend([name.to_owned(), value]);
        option("--id", id.to_string());
        option("--data-dir", self.data_dir(id - 1).display().to_string());
        option("--listen", raft);
        option("--http", http);
        option("--election-timeout-ms", "300".into());
        option("--heartbeat-ms", "30".into());
        args
    }

    pub(crate) fn data_dir(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("data-{}", at + 1))
    }

    /// Where node `at` (from 0) listens for the others, and for remote clients.
    pub(crate) fn raft_address(&self, at: usize) -> String {
        self.ports.raft(at)
    }

    /// Where in `nodes` the leader of the highest term is, if one claims to lead.
    pub(crate) fn leader(&self) -> Option<usize> {
        let statuses = self.clients.iter().map(|client| client.status().ok());
        let leading = statuses.enumerate().filter_map(|(at, status)| {
            let status = status?;
            (status["role"] == "leader").then(|| (status["term"].as_u64(), at))
        });
        leading.max().map(|(_, at)| at)
    }

    /// Waits until all running nodes name the same leader of the same term.
    pub(crate) fn settled(&mut self) -> usize {
        eventually("all nodes agree on a leader", || {
            let mut named = Vec::new();
            for (node, client) in self.nodes.iter_mut().zip(&self.clients) {
                if node.is_running() {
                    let status = client.status().ok()?;
                    named.push((status["leader_id"].as_u64()?, status["term"].as_u64()?));
                }
            }
            named.dedup();
            let (leader, _) = (named.len() == 1).then(|| named[0])?;
            usize::try_from(leader - 1).ok()
        })
    }

    /// Writes until a write is accepted, through whichever node takes it.
    pub(crate) fn write_until_accepted(&self, key: &str, value: &str) {
        eventually("a write is accepted", || {
            self.clients.iter().any(|node| node.put(key, value, 1000).is_ok_and(|a| a.status == 200)).then_some(())
        });
    }
}
