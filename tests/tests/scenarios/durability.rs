//! What is said is durable.

use std::time::Duration;

use raft_actor::consensus::{AppendOutcome, LogIndex};
use raft_transport::sim::{Keep, Outcome, Transit};

use crate::support::{
    all_agree, append, append_reply, begin_write, durable_terms, elect, is_applied, is_on, ms, play, read,
    settle_under, write,
};

/// A majority of one is not one before its disk is (etcd #14370).
#[test]
fn a_server_alone_acknowledges_nothing_that_a_power_loss_can_take() {
    play(1, |sim| {
        sim.await_leader()?;
        all_agree(sim)?;
        write(sim, 1, "acknowledged")?;
        sim.crash_machine_keeping(1, Keep::Nothing);
        sim.start(1);
        sim.await_leader()?;
        let lines = read(sim, 1)?;
        sim.require(lines == ["acknowledged"], "what was acknowledged a moment ago is there")?;

        sim.slow_disk(1, ms(500));
        let ticket = begin_write(sim, 1, "on its way to the disk");
        sim.run_for(ms(499))?;
        sim.require(!sim.is_back(ticket), "nothing is acknowledged while the sync is under way")?;
        sim.crash_machine_keeping(1, Keep::Nothing);
        sim.mend_disk(1);
        sim.start(1);
        sim.await_leader()?;
        let lines = read(sim, 1)?;
        sim.require(lines == ["acknowledged"], "the power took what was not acknowledged")
    });
}

/// A follower's acknowledgement counts for a majority, so what it acknowledges must be on its disk (tikv #994).
#[test]
fn a_follower_acknowledges_nothing_that_a_power_loss_can_take() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        sim.slow_disk(2, ms(150));
        let ticket = begin_write(sim, 1, "on two disks");
        sim.expect("2 has it, not on its disk", |sim| sim.seen(2).is_some_and(|seen| seen.last == LogIndex::new(3)))?;
        sim.require(durable_terms(sim, 2).len() == 2, "it is not on its disk")?;
        sim.run_for(ms(100))?;
        sim.require(!sim.is_back(ticket), "it is not acknowledged while 2's sync is under way")?;
        sim.expect("it is acknowledged", |sim| is_applied(sim, ticket))?;
        sim.require(durable_terms(sim, 2).len() == 3, "by then it is on 2's disk")?;

        // The other copy is gone with its machine; 2's must do.
        sim.crash_machine_keeping(2, Keep::Nothing);
        sim.crash(1);
        sim.mend_disk(2);
        sim.mend_network();
        sim.start(2);
        sim.expect("2 leads", |sim| sim.leader() == Some(2.into()))?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["on two disks"], "nothing acknowledged is lost")
    });
}

/// ABA (etcd-io/raft #8): a write is overwritten while its sync is under way. That sync's end says nothing about what
/// has taken its place.
#[test]
fn the_sync_of_what_was_overwritten_confirms_nothing_of_what_took_its_place() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        let before = sim.seen(1).expect("it runs").last;
        let sync = ms(400);
        sim.isolate(1);
        sim.slow_disk(1, sync);
        begin_write(sim, 1, "of the first leader");
        sim.run_for(ms(1))?;

        // 1 votes for 2; that waits for the second sync, while the first one is under way. During the second comes what
        // takes the place of the line.
        sim.mend_network();
        sim.intercept(|sent| match append(sent) {
            Some(_) if is_on(sent, 2, 1) => Transit::Held,
            Some(_) if is_on(sent, 1, 2) || is_on(sent, 1, 3) => Transit::Lost,
            _ => Transit::Arrives,
        });
        elect(sim, 2)?;
        let term = sim.seen(2).expect("it runs").term;
        sim.expect("1 knows the term", |sim| sim.seen(1).is_some_and(|seen| seen.term == term))?;
        sim.expect("the second sync is under way", |sim| durable_terms(sim, 1).len() as u64 == before.get() + 1)?;
        sim.require(durable_terms(sim, 1).last() < Some(&term.get()), "the first brought the line to the disk")?;
        sim.intercept(|sent| {
            if is_on(sent, 1, 2) && append_reply(sent).is_some() { Transit::Copied } else { Transit::Arrives }
        });
        sim.let_go();

        let acknowledges = |sim: &crate::support::Script| {
            sim.held().filter_map(append_reply).any(|reply| {
                reply.term == term && matches!(reply.outcome, AppendOutcome::Matched { durable } if durable > before)
            })
        };
        sim.expect("1 acknowledges what 2 has sent", |sim| acknowledges(sim))?;
        sim.require(durable_terms(sim, 1).last() == Some(&term.get()), "by then it is on its disk")?;
        sim.crash_machine_keeping(1, Keep::Nothing);
        sim.require(durable_terms(sim, 1).last() == Some(&term.get()), "where no power loss can take it")
    });
}

/// After kill -9 the page cache gives back what never was on the disk. What a server says after a restart must not
/// rest on that.
#[test]
fn what_a_server_reads_when_it_starts_is_on_its_disk_before_it_speaks_of_it() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        sim.slow_disk(2, Duration::from_secs(60));
        let ticket = begin_write(sim, 1, "in 2's page cache");
        sim.run_for(ms(5))?;
        sim.require(durable_terms(sim, 2).len() == 2, "it is not on its disk")?;
        sim.crash(2);
        sim.mend_disk(2);
        sim.start(2);
        sim.expect("it is acknowledged", |sim| is_applied(sim, ticket))?;
        sim.crash_machine_keeping(2, Keep::Nothing);
        sim.require(durable_terms(sim, 2).len() == 3, "2 had it on its disk")
    });
}

/// fsyncgate: a sync fails once, and the page cache takes its pages for clean. The next one that succeeds proves
/// nothing.
#[test]
fn a_sync_that_fails_once_stops_the_server_and_acknowledges_nothing() {
    play(1, |sim| {
        sim.await_leader()?;
        all_agree(sim)?;
        write(sim, 1, "before")?;
        sim.fail_next_sync(1);
        let ticket = begin_write(sim, 1, "not on the disk");
        sim.expect("it comes back", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Unknown), "nobody knows what became of it")?;
        sim.require(sim.happened_to_disk(1).failed_syncs == 1, "the sync failed")?;
        sim.expect("the server stops", |sim| sim.last_words(1).is_some())?;

        // It is started again. What it shows from here on must be there for good.
        sim.expect("it is back", |sim| sim.leader().is_some())?;
        let shown = read(sim, 1)?;
        sim.require(shown.first().is_some_and(|line| line == "before"), "what was acknowledged is there")?;
        sim.crash_machine_keeping(1, Keep::Nothing);
        sim.start(1);
        sim.expect("it is back again", |sim| sim.leader().is_some())?;
        let shown_again = read(sim, 1)?;
        sim.require(shown_again == shown, "what it showed once it still shows")
    });
}

/// In a cluster the others go on, and the one that failed catches up.
#[test]
fn a_leader_whose_sync_fails_is_replaced_and_nothing_acknowledged_is_lost() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        write(sim, 1, "before")?;
        sim.fail_next_sync(1);
        let ticket = begin_write(sim, 1, "while the sync fails");
        sim.expect("it comes back", |sim| sim.is_back(ticket))?;
        sim.require(!matches!(sim.outcome(ticket), Some(Outcome::Failed)), "it is not called failed")?;
        sim.await_leader()?;
        write(sim, 2, "after")?;
        sim.expect("1 is back", |sim| sim.is_up(1) && sim.seen(1).is_some())?;
        all_agree(sim)?;
        let lines = read(sim, 1)?;
        sim.require(lines.first().is_some_and(|line| line == "before"), "nothing acknowledged is lost")?;
        sim.require(lines.last().is_some_and(|line| line == "after"), "what was acknowledged last is there")?;
        sim.require(lines.len() <= 3, "nothing happened twice")
    });
}
