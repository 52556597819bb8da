//! The language of the stories.
//!
//! Before anything happens:
//! ```text
//! cluster 3                     servers n1 to n3, all voters
//! settings heartbeat_ms=50 ..   other settings than the default ones
//! log n1 1 1 2 2:n1,n2          terms of the entries from index 1 on; `:` makes it a configuration
//! term n1 7                     its term, if later than that of its log
//! without-suffrage n3           it may not vote yet
//! lease 10%                     lease reads, for clocks that are off by so much at most; behind `settings`
//! joining n4 n5                 further servers without a configuration, which wait to be added
//! disks                         everybody meets the others with their disks
//! ```
//! What happens:
//! ```text
//! deadline n1                   the clock reaches n1's deadline; nobody else notices
//! tick 100ms | run 100ms        time passes, deadlines come; without or with messages arriving
//! elect n1                      deadline n1, settle
//! deliver | deliver n1 -> n2    what is on its way now arrives (`*` stands for everybody)
//! settle                        everything arrives, and what it causes, until nothing is on its way
//! drop n1 -> n2                 what is on its way is lost
//! delay n1 -> n2, copy n1 -> n2 it is kept back, or a copy of it, until:
//! release                       what was kept back is on its way again, after everything else
//! partition n1 n2 | n3          no messages between the two groups
//! cut n1 -> n2, heal            one direction breaks; all are mended
//! propose n1 x y, read n1       clients
//! read-by-lease n1              the same, with the lease if there is one
//! lease-reads n1 10%, .. off    lease reads are switched on, or off
//! clock n1 900                  its clock is slow, from the beginning: 1000 is right
//! change n1 n1,n2,n4 +n5        a change of the membership: its voters, and its learners
//! transfer n1 n2, transfer n1   n1 is asked to hand over its leadership: to n2, or to whom it chooses
//! hold-disk n1, free-disk n1    writes wait until `persist n1 [COUNT]`; or no longer
//! hold-streams n1, free-streams n1     replication orders wait; or no longer
//! hold-machine n1, free-machine n1     its state machine neither applies nor loads; or goes on
//! take-snapshot n1              somebody asks for a snapshot
//! snapshot-lost n1              its newest snapshot cannot be read any more
//! hold-snapshots n1, free-snapshots n1 snapshots, its own and received ones, wait to be stored; or no longer
//! store n1, fail-snapshot n1    its own that waits is durable, or cannot be stored
//! adopt n1                      the received one that waits is durable, and goes to the machine
//! crash n1, restart n1
//! wipe n1                       it dies, and its disk is replaced by an empty one
//! damage n1 3                   while it is down, its disk loses what is behind index 3
//! grant-suffrage n3
//! quietly elect n1              any of these, but its trace is left out
//! show, configurations          the state of everybody; whom everybody counts as voters
//! ```
use raft_consensus::notation;
use raft_consensus::{
    Configuration, Entry, Input, LeaseChange, LeaseReads, Membership, Message, NodeId, Payload, Role, Settings, Status,
};

use crate::support::network::Packet;
use crate::support::{Cluster, Setup, at, entry, node, voters};

/// Runs the commands of a story and returns it with the traces they leave.
pub(crate) fn run(name: &str, story: &str) -> String {
    let mut stage = Stage { setup: None, cluster: None, kept_back: Vec::new() };
    let mut told = String::new();
    for line in story.lines().filter(|line| !line.starts_with(' ')) {
        told.push_str(line);
        told.push('\n');
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        if stage.prepare(&words) {
            continue;
        }
        let (is_quiet, words) = words.strip_prefix(&["quietly"]).map_or((false, &words[..]), |words| (true, words));
        stage.cluster().label = format!("story {name}, command `{line}`");
        let begin = stage.cluster().trace.len();
        stage.act(words);
        if is_quiet {
            continue;
        }
        for event in &stage.cluster().trace[begin..] {
            told.push_str(&format!("    {event}\n"));
        }
    }
    told
}

struct Stage {
    setup: Option<Setup>,
    cluster: Option<Cluster>,
    kept_back: Vec<Packet>,
}

fn id(word: &str) -> u64 {
    let number = word.strip_prefix('n').and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("`{word}` is no server, `n1` is"))
}

fn percent_of(word: &str) -> u8 {
    let number = word.strip_suffix('%').and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("`{word}` is no bound, `10%` is"))
}

fn millis(word: &str) -> u64 {
    let number = word.strip_suffix("ms").and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("`{word}` is no time, `100ms` is"))
}

/// `4` is an entry of term 4, `4:n1,n2` one that carries a configuration.
fn log_entry(index: u64, word: &str) -> Entry {
    let (term, members) = word.split_once(':').map_or((word, None), |(term, members)| (term, Some(members)));
    let term = term.parse().unwrap_or_else(|_| panic!("`{word}` is no entry, `4` or `4:n1,n2` is"));
    let Some(members) = members else { return entry(index, term) };
    let ids: Vec<NodeId> = members.split(',').map(|word| node(id(word))).collect();
    let mut configuration = voters(0);
    configuration.voters.extend(&ids);
    configuration.addresses.extend(ids.iter().map(|id| (*id, format!("n{id}"))));
    Entry { position: at(index, term), payload: Payload::Configuration(Box::new(configuration)) }
}

fn change(settings: &mut Settings, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or_else(|| panic!("`{word}` is no setting"));
    let value: u64 = value.parse().unwrap_or_else(|_| panic!("`{word}`: not a number"));
    match name {
        "election_timeout_ms_min" => settings.election_timeout_ms_min = value,
        "heartbeat_ms" => settings.heartbeat_ms = value,
        "append_batch_bytes_max" => settings.append_batch_bytes_max = value,
        "inflight_appends_max" => settings.inflight_appends_max = usize::try_from(value).expect("a small number"),
        "inflight_bytes_max" => settings.inflight_bytes_max = value,
        "snapshot_entries" => settings.snapshot_entries = value,
        "snapshot_bytes" => settings.snapshot_bytes = value,
        "log_tail_entries" => settings.log_tail_entries = value,
        "log_tail_bytes_max" => settings.log_tail_bytes_max = value,
        "storage_stall_ms_max" => settings.storage_stall_ms_max = Some(value),
        other => panic!("no setting is called `{other}`"),
    }
}

/// What `n1 -> *` and the like choose.
fn link(words: &[&str]) -> impl Fn(&Packet) -> bool {
    let side = |word: &str| if word == "*" { None } else { Some(node(id(word))) };
    let (from, to) = match words {
        [] => (None, None),
        [from, "->", to] => (side(from), side(to)),
        other => panic!("`{}` is no link, `n1 -> n2` is", other.join(" ")),
    };
    move |packet| from.is_none_or(|from| from == packet.from) && to.is_none_or(|to| to == packet.to)
}

impl Stage {
    fn cluster(&mut self) -> &mut Cluster {
        let setup = self.setup.as_ref().expect("a story begins with `cluster`");
        self.cluster.get_or_insert_with(|| setup.start())
    }

    /// Commands that describe the cluster before it starts; `false` if it is none of them.
    fn prepare(&mut self, words: &[&str]) -> bool {
        let setup = self.setup.clone();
        let setup = || setup.expect("a story begins with `cluster`");
        let setup = match words {
            ["cluster", count] => Setup::of(count.parse().expect("a number of servers")),
            ["settings", changes @ ..] => {
                setup().settings(|settings| changes.iter().for_each(|word| change(settings, word)))
            }
            ["log", n, entries @ ..] => {
                let entries = (1..).zip(entries).map(|(index, word)| log_entry(index, word)).collect();
                setup().log(id(n), entries)
            }
            ["term", n, term] => setup().term(id(n), term.parse().expect("a term")),
            ["lease", percent] => setup().lease_reads(percent_of(percent)),
            ["without-suffrage", n] => setup().without_suffrage(id(n)),
            ["disks"] => setup().disks(),
            ["joining", servers @ ..] => servers.iter().fold(setup(), |setup, n| setup.joining(id(n))),
            _ => return false,
        };
        assert!(self.cluster.is_none(), "`{}` comes too late", words.join(" "));
        self.setup = Some(setup);
        true
    }

    fn act(&mut self, words: &[&str]) {
        match words {
            ["deadline", n] => self.cluster().deadline(id(n)),
            ["tick", time] => self.cluster().pass(millis(time), false),
            ["run", time] => self.cluster().run(millis(time)),
            ["elect", n] => self.cluster().elect(id(n)),
            ["settle"] => self.cluster().settle(),
            ["deliver", link @ ..] => self.deliver(link),
            ["drop", link @ ..] => self.drop(link),
            ["delay", link @ ..] => self.delay(link),
            ["copy", link @ ..] => self.copy(link),
            ["release"] => {
                let packets = std::mem::take(&mut self.kept_back);
                self.cluster().network.in_flight.extend(packets);
            }
            ["partition", groups @ ..] => self.partition(groups),
            ["cut", from, "->", to] => self.cluster().network.cut(node(id(from)), node(id(to))),
            ["heal"] => self.cluster().heal(),
            ["propose", n, commands @ ..] => {
                self.cluster().propose_all(id(n), commands);
            }
            ["change", n, voters, learners @ ..] => {
                let voters: Vec<u64> = voters.split(',').map(id).collect();
                let learners: Vec<u64> = learners.iter().map(|word| id(word.trim_start_matches('+'))).collect();
                self.cluster().change_membership(id(n), &voters, &learners);
            }
            ["transfer", n] => {
                self.cluster().transfer(id(n), None);
            }
            ["transfer", n, to] => {
                self.cluster().transfer(id(n), Some(id(to)));
            }
            ["read", n] => {
                self.cluster().read(id(n));
            }
            ["read-by-lease", n] => {
                self.cluster().read_by_lease(id(n));
            }
            ["lease-reads", n, change] => self.change_leases(id(n), change),
            ["clock", n, per_mille] => {
                self.cluster().member_mut(id(n)).clock_per_mille = per_mille.parse().expect("1000 is right");
            }
            ["crash", n] => self.cluster().crash(id(n)),
            ["restart", n] => self.cluster().restart(id(n)),
            ["wipe", n] => self.cluster().wipe(id(n)),
            ["damage", n, through] => self.cluster().damage(id(n), through.parse().expect("an index")),
            ["grant-suffrage", n] => {
                self.cluster().member_mut(id(n)).suffrage = true;
                self.cluster().input(node(id(n)), Input::SuffrageGranted);
            }
            ["show"] => self.show(),
            ["configurations"] => self.configurations(),
            _ => self.surroundings(words),
        }
    }

    /// Switches lease reads on (`10%`) or off, and leaves the membership as it is.
    fn change_leases(&mut self, n: u64, change: &str) {
        let status = self.cluster().status(n);
        let election_timeout_ms_min = self.cluster().member(n).settings.election_timeout_ms_min;
        let change = match change {
            "off" => LeaseChange::Off,
            percent => LeaseChange::On(LeaseReads { election_timeout_ms_min, drift_percent_max: percent_of(percent) }),
        };
        let Configuration { voters, learners, .. } = status.configuration;
        let membership = Membership { voters, learners, lease_reads: change, ..Membership::default() };
        let proposal = self.cluster().fresh_proposal();
        self.cluster().input(node(n), Input::ChangeMembership { id: proposal, membership });
    }

    fn surroundings(&mut self, words: &[&str]) {
        match words {
            ["hold-disk", n] => self.cluster().member_mut(id(n)).disk.held = true,
            ["free-disk", n] => {
                self.cluster().member_mut(id(n)).disk.held = false;
                self.cluster().work(node(id(n)));
            }
            ["persist", n] => {
                self.cluster().sync(node(id(n)), usize::MAX);
                self.cluster().work(node(id(n)));
            }
            ["persist", n, count] => {
                self.cluster().sync(node(id(n)), count.parse().expect("a number of writes"));
                self.cluster().work(node(id(n)));
            }
            ["hold-streams", n] => self.cluster().member_mut(id(n)).streams_held = true,
            ["free-streams", n] => {
                self.cluster().member_mut(id(n)).streams_held = false;
                self.cluster().work(node(id(n)));
            }
            ["hold-machine", n] => self.cluster().member_mut(id(n)).machine.held = true,
            ["free-machine", n] => {
                self.cluster().member_mut(id(n)).machine.held = false;
                self.cluster().work(node(id(n)));
            }
            ["take-snapshot", n] => self.cluster().input(node(id(n)), Input::TakeSnapshot),
            ["snapshot-lost", n] => self.cluster().input(node(id(n)), Input::SnapshotLost),
            ["hold-snapshots", n] => self.cluster().member_mut(id(n)).snapshots.held = true,
            ["free-snapshots", n] => {
                self.cluster().member_mut(id(n)).snapshots.held = false;
                self.cluster().work(node(id(n)));
            }
            ["store", n] => {
                self.cluster().store_snapshot(node(id(n)));
                self.cluster().work(node(id(n)));
            }
            ["adopt", n] => {
                self.cluster().adopt_snapshot(node(id(n)));
                self.cluster().work(node(id(n)));
            }
            ["fail-snapshot", n] => {
                self.cluster().fail_snapshot(node(id(n)));
                self.cluster().work(node(id(n)));
            }
            other => panic!("nobody understands `{}`", other.join(" ")),
        }
    }

    fn deliver(&mut self, words: &[&str]) {
        let packets = self.cluster().network.take_all(link(words));
        assert!(!packets.is_empty(), "there is nothing to deliver");
        for packet in packets {
            self.cluster().hand_over(packet);
        }
    }

    fn drop(&mut self, words: &[&str]) {
        let packets = self.cluster().network.take_all(link(words));
        assert!(!packets.is_empty(), "there is nothing to drop");
        for Packet { from, to, message } in packets {
            if let Message::InstallSnapshot(_) = message {
                // The stream hears nothing and gives up.
                self.cluster().snapshot_lost(from, to);
                self.cluster().work(from);
            }
        }
    }

    fn delay(&mut self, words: &[&str]) {
        let packets = self.cluster().network.take_all(link(words));
        assert!(!packets.is_empty(), "there is nothing to delay");
        self.kept_back.extend(packets);
    }

    fn copy(&mut self, words: &[&str]) {
        let wanted = link(words);
        let copies: Vec<Packet> =
            self.cluster().network.in_flight.iter().filter(|packet| wanted(packet)).cloned().collect();
        assert!(!copies.is_empty(), "there is nothing to copy");
        self.kept_back.extend(copies);
    }

    fn partition(&mut self, groups: &[&str]) {
        let group: Vec<u64> = groups.iter().take_while(|word| **word != "|").map(|word| id(word)).collect();
        self.cluster().partition(&group);
    }

    fn configurations(&mut self) {
        let cluster = self.cluster();
        let up = cluster.ids_up();
        let lines: Vec<String> = up.iter().map(|id| configuration_line(&cluster.status(id.get()))).collect();
        cluster.trace.extend(lines);
    }

    fn show(&mut self) {
        let cluster = self.cluster();
        for id in cluster.ids() {
            let member = cluster.member(id.get());
            let written = member.disk.written();
            let log: Vec<String> = written.entries.iter().map(show_entry).collect();
            let state = if member.is_up() {
                let status = member.status();
                let leader = status.leader.filter(|_| status.role != Role::Leader);
                let of = leader.map(|id| format!(" of n{id}")).unwrap_or_default();
                let role = notation::role(status.role);
                format!("n{id}@{} {role}{of}, commit {}, applied {}", status.term, status.commit, status.applied)
            } else {
                format!("n{id} is down")
            };
            let log = if log.is_empty() { "empty".to_owned() } else { log.join(" ") };
            let begin = if written.base.index.get() > 0 { format!("behind {} ", written.base) } else { String::new() };
            let covered = member.snapshots.covered();
            let snapshot =
                if covered.index.get() > 0 { format!(", snapshot through {covered}") } else { String::new() };
            cluster.trace.push(format!("{state}{snapshot}, log {begin}{log}"));
        }
    }
}

fn configuration_line(status: &Status) -> String {
    let members = notation::members_of(&status.configuration, " ");
    let members = if members.is_empty() { "nobody" } else { &members };
    format!("n{}@{} counts the voters {members}", status.id, status.term)
}

/// An entry as its term, with the members if it is a configuration.
fn show_entry(entry: &Entry) -> String {
    let term = entry.position.term;
    match &entry.payload {
        Payload::Noop | Payload::Command(_) => term.to_string(),
        Payload::Configuration(_) => format!("{term}:{}", notation::name_of(&entry.payload)),
    }
}
