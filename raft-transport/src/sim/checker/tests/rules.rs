//! What no step of a member may do, the membership and bounded memory: each is refused when it is broken.

use std::collections::BTreeSet;

use raft_actor::consensus::{
    Configuration, Effect, Entries, Entry, Input, LogIndex, LogPosition, LogWrite, Payload, ReadId, ReplicationOrder,
    Role, Round, Settings, Term, WriteSeq,
};

use super::world::World;
use super::{at, node, refused};
use crate::sim::checker::member::{Cause, Facts, Run};
use crate::sim::checker::{Checker, Verdict};

fn index(n: u64) -> LogIndex {
    LogIndex::new(n)
}

/// Three servers with n1 leading, at rest.
fn settled() -> World {
    let mut world = World::of(3);
    world.elect(1);
    world.propose(1, &["a"]).unwrap();
    world.settle().unwrap();
    world
}

impl World {
    pub(super) fn run(&mut self, n: u64) -> &mut Run {
        self.checker.members.get_mut(&node(n)).unwrap().run.as_mut().unwrap()
    }

    /// A step of `n` that changes nothing, after `change` to what it was before.
    fn idle_step_after(&mut self, n: u64, change: impl Fn(&mut Facts)) -> Verdict {
        change(&mut self.run(n).facts);
        self.idle_step(n, &[])
    }

    /// A step of `n` that only has these effects.
    pub(super) fn idle_step(&mut self, n: u64, effects: &[Effect]) -> Verdict {
        let raft = self.servers[&node(n)].raft.as_ref().expect("it runs");
        self.checker.after(node(n), raft, effects, &self.disks)
    }
}

#[test]
fn what_falls_is_refused() {
    let fallen = |change: fn(&mut Facts)| settled().idle_step_after(1, change);
    refused(fallen(|before| before.term = Term::new(3)), "term_never_falls");
    refused(fallen(|before| before.vote = Some(node(2))), "one_vote_a_term");
    refused(fallen(|before| before.commit = index(4)), "commit_never_falls");
    refused(fallen(|before| before.applied = index(4)), "applied_never_falls");
    fallen(|_| {}).unwrap();
}

#[test]
fn a_log_that_is_not_what_was_written_is_refused() {
    let mut world = settled();
    world.run(1).log.truncate_after(index(2));
    refused(world.idle_step(1, &[]), "log_as_written");
    let mut world = settled();
    world.run(1).recheck_at = 0;
    let run = world.run(1);
    // The same end, another middle.
    run.log.truncate_after(index(1));
    run.log.push(at(2, 1), false);
    run.log.push(at(3, 2), false);
    refused(world.idle_step(1, &[]), "log_matching");
}

#[test]
fn a_leader_from_nowhere_is_refused() {
    let mut world = settled();
    refused(world.idle_step_after(1, |before| before.role = Role::Follower), "election_safety");
}

#[test]
fn a_durable_index_beyond_the_disk_is_refused() {
    let mut world = settled();
    world.disk(1).truncate(index(2));
    refused(world.idle_step_after(1, |before| before.durable = index(2)), "persisted_is_durable");
}

#[test]
fn effects_that_break_a_rule_are_refused() {
    let of = |effect: Effect| settled().idle_step(1, &[effect]);
    refused(of(Effect::Halt { violation: "a violation".to_owned() }), "halted");
    refused(of(Effect::Apply { through: index(9) }), "order_of_indexes");
    refused(of(Effect::ReadReady { id: ReadId(77), index: index(3) }), "reads_are_answered_once");
    refused(of(Effect::ReadRefused { id: ReadId(77), leader: None }), "reads_are_answered_once");
    let role = Effect::RoleChanged { role: Role::Candidate, term: Term::new(2), leader: None, noop: None };
    refused(of(role), "announced_as_it_is");
    let leader = Some(node(2));
    let role = Effect::RoleChanged { role: Role::Leader, term: Term::new(2), leader, noop: Some(index(2)) };
    refused(of(role), "election_safety");
    let empty =
        Effect::Persist { seq: WriteSeq::new(9), hard_state: None, log: Some(LogWrite::Append(Entries::new())) };
    refused(of(empty), "log_matching");
    let purge = Some(LogWrite::Purge { through: index(9) });
    refused(of(Effect::Persist { seq: WriteSeq::new(9), hard_state: None, log: purge }), "purged_is_covered");
    let reset = Some(LogWrite::Reset { to: at(9, 2) });
    let mut world = settled();
    let effect = Effect::Persist { seq: WriteSeq::new(9), hard_state: None, log: reset };
    refused(world.idle_step(2, &[effect]), "purged_is_covered");
}

#[test]
fn writes_out_of_order_are_refused() {
    let write = |seq| Effect::Persist { seq: WriteSeq::new(seq), hard_state: None, log: None };
    refused(settled().idle_step(1, &[write(9), write(8)]), "writes_in_order");
}

#[test]
fn what_is_applied_before_it_is_durable_is_refused() {
    let mut world = settled();
    world.disk(1).truncate(index(2));
    refused(world.idle_step(1, &[Effect::Apply { through: index(3) }]), "applied_is_durable");
}

#[test]
fn orders_of_what_is_not_there_are_refused() {
    let order = |prev: LogPosition, through: LogPosition, term: u64, commit: u64| {
        let (term, commit, round) = (Term::new(term), index(commit), Round::new(50));
        let order = ReplicationOrder { peer: node(2), term, prev, through, commit, round };
        settled().idle_step(1, &[Effect::Replicate(order)])
    };
    order(at(2, 2), at(3, 2), 2, 3).unwrap();
    refused(order(at(2, 2), at(4, 2), 2, 3), "orders_are_in_the_log");
    refused(order(at(2, 1), at(3, 2), 2, 3), "orders_are_in_the_log");
    refused(order(at(3, 2), at(3, 2), 2, 3), "orders_are_in_the_log");
    refused(order(at(2, 2), at(3, 2), 1, 3), "orders_are_in_the_log");
    refused(order(at(2, 2), at(3, 2), 2, 4), "orders_are_in_the_log");
}

#[test]
fn a_read_that_misses_what_was_committed_is_refused() {
    let mut world = settled();
    world.run(1).reads.insert(ReadId(5), index(3));
    refused(
        world.idle_step(1, &[Effect::ReadReady { id: ReadId(5), index: index(2) }]),
        "reads_see_what_was_committed",
    );
}

#[test]
fn a_machine_that_says_it_is_done_and_is_not_is_refused() {
    let mut world = settled();
    let run = world.run(2);
    (run.machine_applied, run.machine_told) = (index(2), index(2));
    run.cause = Cause::Applied(index(3));
    refused(world.idle_step(2, &[]), "applied_in_order");
}

/// What the checker says of a leader that appends `new` behind the configuration of servers 1 to 3.
fn changed_to(new: Configuration, prepare: impl Fn(&mut Checker)) -> Verdict {
    let mut world = settled();
    let entry = Entry { position: at(4, 2), payload: Payload::Configuration(Box::new(new)) };
    world.checker.known.written.remember(node(1), &entry, at(3, 2)).unwrap();
    world.run(1).log.push(at(4, 2), true);
    prepare(&mut world.checker);
    let run = world.checker.members.get_mut(&node(1)).unwrap().run.as_mut().unwrap();
    let before = run.facts;
    let after = Facts { configured_at: index(4), last: at(4, 2), ..before };
    let raft = world.servers[&node(1)].raft.as_ref().unwrap();
    world.checker.known.check_change(node(1), run, &before, &after)?;
    world.checker.known.check_configuration(node(1), run, &before, &after, raft)
}

fn voters(ids: &[u64]) -> Configuration {
    Configuration::of_voters(ids.iter().map(|n| (node(*n), format!("n{n}"))))
}

#[test]
fn changes_of_the_membership_that_break_a_rule_are_refused() {
    refused(changed_to(voters(&[1, 2]), |_| {}), "majorities_overlap");
    let ids = |ids: &[u64]| ids.iter().copied().map(node).collect::<BTreeSet<_>>();
    let joint = |new: &[u64], old: &[u64]| Configuration { voters_outgoing: ids(old), ..voters(new) };
    refused(changed_to(joint(&[1, 2, 4], &[1, 2, 3]), |_| {}), "no_stranger_gets_a_vote");
    // The core knows nothing of this one, which breaks no other rule.
    refused(changed_to(joint(&[1, 2], &[1, 2, 3]), |_| {}), "latest_configuration_counts");
    let uncommitted = |checker: &mut Checker| {
        let run = checker.members.get_mut(&node(1)).unwrap().run.as_mut().unwrap();
        run.facts.commit = LogIndex::ZERO;
    };
    refused(changed_to(joint(&[1, 2], &[1, 2, 3]), uncommitted), "one_change_at_a_time");
    let nothing_own = |checker: &mut Checker| {
        let run = checker.members.get_mut(&node(1)).unwrap().run.as_mut().unwrap();
        run.facts.commit = LogIndex::new(1);
    };
    refused(changed_to(joint(&[1, 2], &[1, 2, 3]), nothing_own), "one_change_at_a_time");
}

#[test]
fn a_removed_leader_that_stays_is_refused() {
    let mut world = settled();
    world.change(1, &[2, 3], &[]).unwrap();
    while world.raft(1).role() == Role::Leader {
        let envelope = world.network.pop_front().expect("the change goes on");
        world.deliver(envelope).unwrap();
    }
    let run = world.checker.members.get_mut(&node(1)).unwrap().run.as_mut().unwrap();
    let (before, mut after) = (run.facts, run.facts);
    after.role = Role::Leader;
    let raft = world.servers[&node(1)].raft.as_ref().unwrap();
    let verdict = world.checker.known.check_configuration(node(1), run, &before, &after, raft);
    refused(verdict, "who_is_removed_leads_no_more");
}

#[test]
fn memory_beyond_the_settings_is_refused() {
    let tight = Settings { inflight_appends_max: 1, append_batch_bytes_max: 30, ..Settings::default() };
    let order = |prev: u64, through: u64| {
        let (prev, through) = (at(prev, 2), at(through, 2));
        let (term, commit, round) = (Term::new(2), index(3), Round::new(50));
        Effect::Replicate(ReplicationOrder { peer: node(2), term, prev, through, commit, round })
    };
    let with = |limits: &Settings, effects: &[Effect]| {
        let mut world = settled();
        world.propose(1, &["b", "c"]).unwrap();
        world.settle().unwrap();
        world.checker.known.limits = limits.clone();
        world.idle_step(1, effects)
    };
    with(&tight, &[order(2, 3)]).unwrap();
    refused(with(&tight, &[order(2, 4)]), "batch_is_bounded");
    refused(with(&tight, &[order(2, 3), order(3, 4)]), "window_is_bounded");
    let narrow = Settings { inflight_bytes_max: 10, ..Settings::default() };
    refused(with(&narrow, &[order(2, 3), order(3, 4)]), "window_is_bounded");
    let mut world = World::of(3);
    world.elect(1);
    world.cut.push(node(1));
    world.propose(1, &["a"]).unwrap();
    world.checker.known.limits.uncommitted_bytes_max = 10;
    refused(world.propose(1, &["b"]), "uncommitted_is_bounded");
}

#[test]
fn a_step_of_who_does_not_run_is_refused() {
    let mut world = settled();
    world.checker.crashed(node(1));
    refused(world.step(1, Input::Deadline), "starts_with_what_is_durable");
    refused(world.checker.applied(node(1), at(3, 2), 0, 0), "applied_in_order");
}
