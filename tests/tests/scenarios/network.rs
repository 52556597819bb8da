//! Links that swallow, and strangers.

use raft_actor::transport::Refusal;
use raft_transport::sim::Transit;

use crate::support::{
    all_agree, append, append_reply, begin_write, is_applied, is_on, ms, play, read, settle_under, write,
};

/// What is sent to one peer is swallowed; nobody is told so. The others notice nothing.
#[test]
fn a_link_that_swallows_everything_delays_nobody_else() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        let term = sim.seen(1).expect("it runs").term;
        sim.cut(1, 3);
        for number in 0..50 {
            // A heartbeat takes longer than this whole round trip to 2 does: nothing waits for 3.
            let ticket = begin_write(sim, 1, &format!("line {number}"));
            sim.run_for(ms(10))?;
            sim.require(is_applied(sim, ticket), "the round trip to 2 is all that it takes")?;
            sim.run_for(ms(100))?;
        }
        sim.require([1, 2].into_iter().all(|id| sim.seen(id).is_some_and(|seen| seen.term == term)), "no election")?;
        sim.require(sim.leader() == Some(1.into()), "1 leads on")?;
        sim.mend_network();
        all_agree(sim)?;
        let lines = read(sim, 3)?;
        sim.require(lines.len() == 50, "3 catches up when the link is back")
    });
}

/// Somebody started a server of another cluster with our addresses. It is told so, and changes nothing here.
#[test]
fn a_server_of_another_cluster_is_not_heard_and_told_why() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        write(sim, 1, "ours")?;
        let term = sim.seen(1).expect("it runs").term;
        sim.wipe(3);
        sim.intercept(
            |sent| if sent.from == 3.into() || sent.to == 3.into() { Transit::Copied } else { Transit::Arrives },
        );
        sim.start_in(3, "another");
        sim.expect("it has started", |sim| sim.status(3).is_some())?;
        for _ in 0..20 {
            sim.jump_clock(3, ms(600));
            sim.run_for(ms(500))?;
        }
        let is_told = |to: u64| matches!(sim.refusal(3, to), Some(Refusal::Cluster { ours }) if ours == "simulated");
        sim.require(is_told(1) && is_told(2), "both tell it which cluster they are")?;
        sim.require(sim.held().count() == 0, "nobody exchanged a single message with it")?;
        sim.require([1, 2].into_iter().all(|id| sim.seen(id).is_some_and(|seen| seen.term == term)), "no election")?;
        sim.require(sim.leader() == Some(1.into()), "1 leads on")?;
        write(sim, 2, "ours as well")
    });
}

/// Messages that were under way for so long that their sender has died and lives again count for what they say, not
/// for who is there now.
#[test]
fn what_a_leader_of_the_past_has_sent_changes_nothing_when_it_comes() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.intercept(|sent| {
            let is_late = is_on(sent, 1, 3) && (append(sent).is_some() || append_reply(sent).is_some());
            if is_late { Transit::Held } else { Transit::Arrives }
        });
        begin_write(sim, 1, "of the past");
        sim.run_for(ms(100))?;
        sim.crash(1);
        sim.start(1);
        sim.intercept_nothing();
        sim.await_leader()?;
        write(sim, 2, "of the present")?;
        all_agree(sim)?;
        let before = sim.seen(3).expect("it runs");
        sim.require(sim.held().next().is_some(), "something is late")?;
        sim.let_go();
        sim.run_for(ms(20))?;
        let after = sim.seen(3).expect("it runs");
        sim.require(
            (before.term, before.last, before.commit) == (after.term, after.last, after.commit),
            "3 is as it was",
        )
    });
}
