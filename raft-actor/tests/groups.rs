//! Several groups on the hosts of one process: begun, found again and ended while others serve.

mod counter;

use std::collections::BTreeMap;

use counter::Counter;
use raft_actor::transport::LocalNetwork;
use raft_actor::{
    ApplyContext, GroupError, GroupId, GroupOptions, LeaseChange, LeaseReads, Membership, NodeThread, Placement,
    RaftHandle, RaftHost, Settings, StateMachine,
};
use serde::{Deserialize, Serialize};

/// Another machine than [`Counter`]: remembers the last word.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Word(String);

impl StateMachine for Word {
    type Command = String;
    type Response = String;
    type Query = ();
    type Answer = String;

    fn apply(&mut self, _: &mut ApplyContext<'_>, word: String) -> String {
        std::mem::replace(&mut self.0, word)
    }

    fn query(&self, (): ()) -> String {
        self.0.clone()
    }
}

/// Three hosts, and what they stand on.
struct Hosts {
    network: LocalNetwork,
    thread: NodeThread,
    place: tempfile::TempDir,
    is_durable: bool,
    hosts: BTreeMap<u64, RaftHost>,
}

impl Hosts {
    async fn start() -> Self {
        Self::begin(true).await
    }

    async fn in_memory() -> Self {
        Self::begin(false).await
    }

    async fn begin(is_durable: bool) -> Self {
        let thread = NodeThread::spawn("raft-hosts").expect("a thread");
        let place = tempfile::tempdir().expect("a directory");
        let network = LocalNetwork::default();
        let mut hosts = Self { network, thread, place, is_durable, hosts: BTreeMap::new() };
        for id in 1..=3 {
            hosts.restart(id).await;
        }
        hosts
    }

    async fn restart(&mut self, id: u64) {
        if let Some(host) = self.hosts.remove(&id) {
            host.shutdown().await;
        }
        let builder = RaftHost::builder()
            .node(id)
            .transport(self.network.transport(id))
            .peers((1..=3).map(|peer| (peer, format!("local:{peer}"))))
            .settings(Settings { election_timeout_ms_min: 300, heartbeat_ms: 50, ..Settings::default() })
            .placement(Placement::on_thread(&self.thread));
        let builder = if id > 3 { builder.join() } else { builder };
        let builder = if self.is_durable {
            builder.data_dir(self.place.path().join(id.to_string())).log_segment_bytes(256 << 10)
        } else {
            builder.in_memory()
        };
        self.hosts.insert(id, builder.start_host().await.expect("starts"));
    }

    fn host(&self, id: u64) -> &RaftHost {
        &self.hosts[&id]
    }

    /// The group on hosts 1 to 3.
    async fn create<S: StateMachine + Default>(&self, group: u64) -> Vec<RaftHandle<S>> {
        let mut members = Vec::new();
        for id in 1..=3 {
            let member = self.host(id).create_group(group, S::default(), GroupOptions::default()).await;
            members.push(member.expect("a new group"));
        }
        members
    }

    async fn open<S: StateMachine + Default>(&self, group: u64, ids: &[u64]) -> Vec<RaftHandle<S>> {
        let mut members = Vec::new();
        for id in ids {
            let member = self.host(*id).open_group(group, S::default(), GroupOptions::default()).await;
            members.push(member.expect("a group that is there"));
        }
        members
    }
}

fn ids(groups: &BTreeMap<GroupId, bool>) -> Vec<(u64, bool)> {
    groups.iter().map(|(group, runs)| (group.get(), *runs)).collect()
}

#[actix_rt::test]
async fn groups_of_different_machines_begin_and_end_at_run_time() {
    let hosts = Hosts::start().await;
    let counters = hosts.create::<Counter>(7).await;
    assert_eq!(counters[0].write(5).await.expect("a majority is there"), 5);
    let words = hosts.create::<Word>(9).await;
    assert_eq!(words[1].write("first".to_owned()).await.expect("a majority is there"), "");
    assert_eq!(counters[2].read(()).await.expect("a majority is there"), 5);
    assert_eq!(ids(&hosts.host(2).groups()), [(7, true), (9, true)]);
    for id in 1..=3 {
        hosts.host(id).destroy_group(7).await.expect("it is there");
    }
    assert_eq!(ids(&hosts.host(2).groups()), [(9, true)]);
    assert!(counters[0].write(1).await.is_err(), "it is no more");
    assert_eq!(words[2].write("second".to_owned()).await.expect("others are not touched"), "first");
}

#[actix_rt::test]
async fn a_restart_finds_the_groups_and_what_was_in_them() {
    let mut hosts = Hosts::start().await;
    let (counters, words) = (hosts.create::<Counter>(7).await, hosts.create::<Word>(9).await);
    for round in 1..=20 {
        counters[0].write(1).await.expect("a majority is there");
        words[0].write(format!("word {round}")).await.expect("a majority is there");
    }
    counters[1].snapshot().await.expect("a disk that works");
    drop((counters, words));
    for id in 1..=3 {
        hosts.restart(id).await;
        assert_eq!(ids(&hosts.host(id).groups()), [(7, false), (9, false)], "found, and not begun by itself");
    }
    let unknown = hosts.host(1).open_group(8, Counter::default(), GroupOptions::default()).await;
    assert!(matches!(unknown, Err(GroupError::Unknown { .. })));
    let again = hosts.host(1).create_group(7, Counter::default(), GroupOptions::default()).await;
    assert!(matches!(again, Err(GroupError::Exists { .. })), "what it voted there counts");
    let counters = hosts.open::<Counter>(7, &[1, 2, 3]).await;
    let words = hosts.open::<Word>(9, &[1, 2, 3]).await;
    assert_eq!(counters[0].read(()).await.expect("a majority is there"), 20);
    assert_eq!(words[2].read(()).await.expect("a majority is there"), "word 20");
}

#[actix_rt::test]
async fn a_group_stops_and_is_opened_again_while_its_host_goes_on() {
    let hosts = Hosts::start().await;
    let (counters, words) = (hosts.create::<Counter>(7).await, hosts.create::<Word>(9).await);
    counters[0].write(5).await.expect("a majority is there");
    let mut members = counters;
    for round in 1..=5 {
        for member in &members {
            member.shutdown().await;
        }
        assert_eq!(ids(&hosts.host(1).groups()), [(7, false), (9, true)]);
        members = hosts.open::<Counter>(7, &[1, 2, 3]).await;
        assert_eq!(members[1].write(1).await.expect("a majority is there"), 5 + round);
        words[0].write(round.to_string()).await.expect("others are not touched");
    }
}

#[actix_rt::test]
async fn a_destroyed_group_stays_destroyed_whatever_others_say_and_after_restarts() {
    let mut hosts = Hosts::start().await;
    let counters = hosts.create::<Counter>(7).await;
    counters[0].write(5).await.expect("a majority is there");
    hosts.host(3).destroy_group(7).await.expect("it is there");
    for run in 0..3 {
        // The others go on speaking to it.
        assert_eq!(counters[0].write(1).await.expect("two of three are there"), 6 + run);
        assert_eq!(ids(&hosts.host(3).groups()), []);
        let blank = hosts.host(3).create_group(7, Counter::default(), GroupOptions::default()).await;
        assert!(matches!(blank, Err(GroupError::Destroyed { .. })), "it may have voted there");
        let blank = hosts.host(3).create_group(7, Counter::default(), GroupOptions::default().join()).await;
        assert!(matches!(blank, Err(GroupError::Destroyed { .. })));
        let opened = hosts.host(3).open_group(7, Counter::default(), GroupOptions::default()).await;
        assert!(matches!(opened, Err(GroupError::Destroyed { .. })));
        assert!(matches!(hosts.host(3).destroy_group(7).await, Err(GroupError::Destroyed { .. })));
        hosts.restart(3).await;
    }
}

#[actix_rt::test]
async fn who_leaves_one_group_goes_on_in_another_and_joins_a_third() {
    let mut hosts = Hosts::start().await;
    hosts.restart(4).await;
    let (counters, words) = (hosts.create::<Counter>(7).await, hosts.create::<Word>(9).await);
    counters[0].write(5).await.expect("a majority is there");
    let joined = hosts.host(4).create_group(7, Counter::default(), GroupOptions::default().join()).await;
    let joined = joined.expect("a new group");
    let membership = Membership::of_voters([1, 2, 4]).address(4, "local:4");
    counters[0].change_membership(membership).await.expect("it catches up");
    assert_eq!(joined.read(()).await.expect("a majority is there"), 5);
    hosts.host(3).destroy_group(7).await.expect("it is no member any more");
    assert_eq!(joined.write(1).await.expect("a majority is there"), 6);
    assert_eq!(words[2].write("still here".to_owned()).await.expect("a majority is there"), "");
}

/// To switch on what is on adds nothing to the log.
#[actix_rt::test]
async fn a_group_has_lease_reads_from_the_beginning_if_its_options_say_so() {
    let hosts = Hosts::in_memory().await;
    let lease_reads = LeaseReads { election_timeout_ms_min: 300, drift_percent_max: 10 };
    for (group, drift_percent) in [(7, Some(10)), (9, None)] {
        let options = GroupOptions::default().lease_reads(drift_percent);
        let mut members = Vec::new();
        for id in 1..=3 {
            let member = hosts.host(id).create_group(group, Counter::default(), options.clone()).await;
            members.push(member.expect("a new group"));
        }
        assert_eq!(members[0].write(5).await.expect("a majority is there"), 5);
        assert_eq!(members[1].read_lease(()).await.expect("a majority is there"), 5);
        let wanted = Membership::of_voters([1, 2, 3]).lease_reads(LeaseChange::On(lease_reads));
        let configured = members[2].change_membership(wanted).await.expect("a majority is there");
        assert_eq!(configured.index.get() == 1, drift_percent.is_some(), "{group}: {configured}");
    }
}

#[actix_rt::test]
async fn lease_reads_that_nobody_could_keep_begin_no_group() {
    let hosts = Hosts::in_memory().await;
    let options = GroupOptions::default().lease_reads(50);
    let error = hosts.host(1).create_group(7, Counter::default(), options).await.map(|_| ()).expect_err("too much");
    assert!(matches!(error, GroupError::Start(_)), "{error}");
    assert_eq!(ids(&hosts.host(1).groups()), [], "nothing is left of it");
}

#[actix_rt::test]
async fn a_host_that_is_no_founder_is_told_so() {
    let hosts = Hosts::start().await;
    let options = GroupOptions::default().members([(2, "local:2"), (3, "local:3")]);
    let error = hosts.host(1).create_group(7, Counter::default(), options).await.map(|_| ()).expect_err("not listed");
    assert!(matches!(error, GroupError::Start(_)), "{error}");
    assert_eq!(ids(&hosts.host(1).groups()), [], "nothing is left of it");
}

#[actix_rt::test]
async fn a_host_runs_as_long_as_somebody_has_a_handle_of_it_or_of_a_group() {
    let mut hosts = Hosts::start().await;
    let counters = hosts.create::<Counter>(7).await;
    let stopped = hosts.host(1).stopped();
    hosts.hosts.clear();
    assert_eq!(counters[0].write(5).await.expect("a majority is there"), 5);
    drop(counters);
    stopped.await;
}

/// Waits until the group rests on all of these.
async fn at_rest<S: StateMachine>(members: &[RaftHandle<S>]) {
    for member in members {
        member.watch().wait_for(|status| status.rests).await.expect("it runs");
    }
}

/// Where the group's leader is.
async fn leader_of<S: StateMachine>(members: &[RaftHandle<S>]) -> u64 {
    let mut watch = members[0].watch();
    let status = watch.wait_for(|status| status.leader_id.is_some()).await.expect("it runs");
    status.leader_id.expect("it was waited for").get()
}

#[actix_rt::test]
async fn a_thousand_groups_elect_rest_and_serve() {
    let hosts = Hosts::in_memory().await;
    let mut groups = Vec::new();
    for group in 1..=1000 {
        groups.push(hosts.create::<Counter>(group).await);
    }
    for round in 1..=2 {
        for (group, members) in (1_u64..).zip(&groups) {
            let member = &members[usize::try_from(group % 3).expect("small")];
            assert_eq!(member.write(group).await.expect("a majority is there"), group * round);
        }
        for members in &groups {
            at_rest(members).await;
        }
    }
}

#[actix_rt::test]
async fn groups_at_rest_whose_leaders_host_is_lost_elect_and_serve_again() {
    let hosts = Hosts::in_memory().await;
    let mut groups = Vec::new();
    for group in 1..=30 {
        groups.push(hosts.create::<Counter>(group).await);
    }
    for members in &groups {
        members[0].write(1).await.expect("a majority is there");
        at_rest(members).await;
    }
    let lost = leader_of(&groups[0]).await;
    hosts.network.isolate(lost);
    for members in &groups {
        let other = members.iter().find(|member| member.status().node_id.get() != lost).expect("there are three");
        let elected = |status: &raft_actor::Status| status.leader_id.is_some_and(|leader| leader.get() != lost);
        // Nobody asks for anything: they find out by themselves.
        other.watch().wait_for(elected).await.expect("it runs");
        assert_eq!(other.write(1).await.expect("two of three are there"), 2);
    }
}

#[actix_rt::test]
async fn a_group_at_rest_whose_leader_has_stopped_on_a_host_that_lives_elects_another() {
    let hosts = Hosts::in_memory().await;
    let counters = hosts.create::<Counter>(7).await;
    let words = hosts.create::<Word>(9).await;
    counters[0].write(5).await.expect("a majority is there");
    words[0].write("there".to_owned()).await.expect("a majority is there");
    at_rest(&counters).await;
    let leader = leader_of(&counters).await;
    let (lost, rest): (Vec<_>, Vec<_>) =
        counters.into_iter().partition(|member| member.status().node_id.get() == leader);
    drop(lost); // at once, without a word to the others
    for member in &rest {
        let elected = |status: &raft_actor::Status| status.leader_id.is_some_and(|id| id.get() != leader);
        member.watch().wait_for(elected).await.expect("it runs");
    }
    assert_eq!(rest[0].read(()).await.expect("two of three are there"), 5);
    at_rest(&words).await;
}

/// Takes its time.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Slow(u64);

impl StateMachine for Slow {
    type Command = u64;
    type Response = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, ms: u64) -> u64 {
        std::thread::sleep(std::time::Duration::from_millis(ms));
        self.0 += 1;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}

#[actix_rt::test]
async fn a_machine_that_takes_long_costs_no_group_its_leader() {
    let hosts = Hosts::in_memory().await;
    let (slow, counters) = (hosts.create::<Slow>(7).await, hosts.create::<Counter>(9).await);
    slow[0].write(0).await.expect("a majority is there");
    counters[0].write(1).await.expect("a majority is there");
    let terms = |members: &[RaftHandle<Counter>]| members.iter().map(|raft| raft.status().term).collect::<Vec<_>>();
    let before = terms(&counters);
    // Several election timeouts, on the thread that all machines of a host share.
    assert_eq!(slow[0].write(1500).await.expect("a majority is there"), 2);
    assert_eq!(counters[0].write(1).await.expect("a majority is there"), 2);
    assert_eq!(terms(&counters), before, "nobody had to be elected");
}
