//! Votes and those who ask for them.

use raft_actor::consensus::{NodeId, Role};
use raft_transport::sim::{Keep, Transit};

use crate::support::{
    Script, TIMEOUT, all_agree, begin_write, campaign, elect, is_on, is_request, ms, play, read, settle_under, vote,
    write,
};

/// Figure 2: updated on stable storage before responding. Two candidates of one term ask the same server, whose machine
/// dies in between and comes back with what was on its disk.
#[test]
fn no_vote_is_heard_of_before_no_power_loss_can_take_it_back_and_none_is_given_twice() {
    play(5, |sim| {
        settle_under(sim, 1)?;
        sim.crash(1);
        // Neither hears of the other.
        sim.cut(2, 3);
        sim.cut(3, 2);
        sim.intercept(|sent| if is_request(sent) { Transit::Held } else { Transit::Arrives });
        campaign(sim, 2)?;
        campaign(sim, 3)?;
        let term = sim.seen(2).expect("it runs").term;
        let campaigns = |id: u64| sim.seen(id).is_some_and(|seen| (seen.role, seen.term) == (Role::Candidate, term));
        sim.require(campaigns(2) && campaigns(3), "both campaign in the same term")?;
        sim.expect("both ask 4", |sim| [2, 3].into_iter().all(|id| sim.held().any(|held| is_on(held, id, 4))))?;

        sim.intercept(|sent| match vote(sent) {
            Some(_) => Transit::Copied,
            None if is_request(sent) => Transit::Held,
            None => Transit::Arrives,
        });
        sim.slow_disk(4, ms(50));
        sim.let_go_if(|held| is_on(held, 2, 4));
        sim.expect("4 votes for 2", |sim| sim.held().any(|sent| vote(sent).is_some()))?;
        let hard_state = sim.durable(4).expect("the log is whole").state(1.into()).hard_state();
        sim.require((hard_state.term, hard_state.vote) == (term, Some(2.into())), "by then that is on its disk")?;

        sim.crash_machine_keeping(4, Keep::Nothing);
        sim.mend_disk(4);
        sim.start(4);
        sim.expect("4 is back", |sim| sim.seen(4).is_some())?;
        sim.let_go_if(|held| is_on(held, 3, 4));
        sim.run_for(ms(100))?;
        sim.require(!sim.held().any(|sent| is_on(sent, 4, 3) && vote(sent).is_some()), "4 does not vote for 3")?;
        sim.require(!sim.held().any(|held| is_on(held, 3, 4)), "although it was asked")?;
        sim.intercept_nothing();
        sim.mend_network();
        sim.await_leader()?;
        all_agree(sim)
    });
}

/// §5.4.1: the later term wins, and only then the longer log.
#[test]
fn a_longer_log_of_an_older_term_is_not_elected() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(1);
        for number in 0..5 {
            begin_write(sim, 1, &format!("lost {number}"));
        }
        sim.run_for(ms(10))?;
        elect(sim, 2)?;
        write(sim, 2, "kept")?;
        let longest = |sim: &Script| sim.seen(1).expect("it runs").last > sim.seen(3).expect("it runs").last;
        sim.require(longest(sim), "1 has the longest log")?;
        sim.crash(2);
        sim.mend_network();
        for _ in 0..20 {
            sim.jump_clock(1, TIMEOUT * 2);
            sim.run_for(ms(20))?;
            sim.require(sim.leader() != Some(1.into()), "1 is not elected with it")?;
        }
        sim.expect("3 leads", |sim| sim.leader() == Some(3.into()))?;
        let lines = read(sim, 1)?;
        sim.require(lines == ["kept"], "what was committed is there")
    });
}

/// A server must not need a term as high as that of others who cannot win anyway (etcd #8243).
#[test]
fn the_better_log_is_elected_though_its_term_is_the_lowest() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(1);
        begin_write(sim, 1, "only 1 has it");
        sim.run_for(ms(10))?;
        sim.crash(1);
        sim.mend_network();
        // The others campaign in vain, term after term.
        sim.intercept(|sent| if vote(sent).is_some() { Transit::Lost } else { Transit::Arrives });
        let term = sim.seen(2).expect("it runs").term;
        sim.expect("terms grow", |sim| sim.seen(2).is_some_and(|seen| seen.term.get() > term.get() + 3))?;
        sim.crash(3);
        sim.intercept_nothing();
        sim.start(1);
        sim.expect("1 leads", |sim| sim.leader() == Some(1.into()))?;
        all_agree(sim)?;
        let lines = read(sim, 2)?;
        sim.require(lines == ["only 1 has it"], "what only 1 had is there")
    });
}

/// One server hears both sides (Cloudflare, November 2020): the leader stays, and so does the term.
#[test]
fn a_bridge_to_a_server_that_does_not_hear_the_leader_costs_no_term() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        let term = sim.seen(1).expect("it runs").term;
        sim.cut(1, 3);
        sim.cut(3, 1);
        // At first 3's log is as good as any, so that only the leader that 2 hears can keep it from being elected.
        sim.run_for(TIMEOUT * 20)?;
        for number in 0..100 {
            write(sim, 1, &format!("line {number}"))?;
            sim.run_for(ms(200))?;
            sim.require(sim.leader() == Some(1.into()), "1 stays the leader")?;
        }
        sim.require(sim.running().iter().all(|seen| seen.term == term), "nobody's term has grown")?;
        sim.require(sim.seen(3).expect("it runs").role != Role::Leader, "3 never led")?;
        sim.mend_network();
        all_agree(sim)
    });
}

/// The other side of that: if only one server reaches a majority, it is to lead, and not the ones who shout loudest.
#[test]
fn the_only_one_who_hears_a_majority_comes_to_lead() {
    play(5, |sim| {
        settle_under(sim, 1)?;
        let hub = 3;
        let others = [1, 2, 4, 5];
        for from in others {
            others.into_iter().filter(|to| *to != from).for_each(|to| sim.cut(from, to));
        }
        sim.expect("the hub leads", |sim| sim.leader() == Some(hub.into()))?;
        let term = sim.seen(hub).expect("it runs").term;
        for number in 0..20 {
            write(sim, 5, &format!("line {number}"))?;
            sim.run_for(ms(500))?;
        }
        sim.require(sim.running().iter().all(|seen| seen.term == term), "there is one election and no more")?;
        sim.require(sim.leader() == Some(hub.into()), "the hub leads on")
    });
}

/// Who was cut off for long asks before it campaigns, and disturbs nobody when it is back (dissertation 9.6).
#[test]
fn a_server_that_was_cut_off_for_long_comes_back_without_an_election() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        let term = sim.seen(1).expect("it runs").term;
        sim.isolate(3);
        sim.run_for(TIMEOUT * 50)?;
        sim.require(sim.seen(3).expect("it runs").term == term, "its term has not grown")?;
        sim.mend_network();
        write(sim, 3, "after it is back")?;
        sim.require(sim.leader() == Some(NodeId::from(1)), "1 leads as before")?;
        sim.require(sim.running().iter().all(|seen| seen.term == term), "the term stays the same")
    });
}

/// Each of two asks for the same votes at the same moment; whoever lost must not keep the winner from leading.
#[test]
fn of_two_who_ask_at_once_one_leads_and_the_other_follows() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.crash(1);
        // Each hears only of itself until both have asked: they vote for themselves.
        sim.intercept(|sent| {
            let is_between = is_on(sent, 2, 3) || is_on(sent, 3, 2);
            if is_between { Transit::Held } else { Transit::Arrives }
        });
        sim.run_for(TIMEOUT + ms(1))?;
        sim.jump_clock(2, TIMEOUT * 2);
        sim.jump_clock(3, TIMEOUT * 2);
        sim.expect("both ask", |sim| sim.held().count() == 2)?;
        sim.intercept_nothing();
        sim.let_go();
        let leader = sim.await_leader()?;
        all_agree(sim)?;
        let roles: Vec<Role> = sim.running().iter().filter(|seen| seen.node != leader).map(|seen| seen.role).collect();
        sim.require(roles == [Role::Follower], "the other one follows")
    });
}
