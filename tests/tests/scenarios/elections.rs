//! Votes and those who ask for them.

use raft_actor::consensus::{NodeId, Role};
use raft_transport::sim::{Fate, Keep};

use crate::support::{TIMEOUT, all_agree, begin_write, campaign, is_on, ms, play, read, settle_under, vote, write};

/// Figure 2: updated on stable storage before responding.
#[test]
fn no_vote_is_heard_of_before_no_power_loss_can_take_it_back() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.crash(1);
        sim.slow_disk(3, ms(50));
        sim.intercept(|sent| if vote(sent).is_some() { Fate::Held } else { Fate::Arrives });
        campaign(sim, 2)?;
        sim.expect("3 votes", |sim| sim.held().any(|sent| sent.from == 3.into()))?;
        let term = sim.held().find_map(vote).expect("it was just there").term;
        let hard_state = sim.durable(3).expect("the log is whole").state(1.into()).hard_state();
        sim.require((hard_state.term, hard_state.vote) == (term, Some(2.into())), "the vote is durable by then")?;

        sim.crash_machine_keeping(3, Keep::Nothing);
        sim.intercept(|sent| if vote(sent).is_some() { Fate::Copied } else { Fate::Arrives });
        sim.start(3);
        sim.start(1);
        sim.jump_clock(1, TIMEOUT * 2);
        sim.await_leader()?;
        let mut votes = sim.held().filter(|sent| sent.from == 3.into() && vote(sent).is_some_and(|v| v.term == term));
        sim.require(votes.all(|sent| sent.to == 2.into()), "nobody else gets 3's vote in that term")
    });
}

/// A server must not need a term as high as that of others who cannot win anyway (etcd #8243).
#[test]
fn the_better_log_is_elected_though_its_term_is_the_lowest() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(1);
        let ticket = begin_write(sim, 1, "only 1 has it");
        sim.run_for(ms(10))?;
        sim.crash(1);
        sim.mend_network();
        // The others campaign in vain, term after term.
        sim.intercept(|sent| if vote(sent).is_some() { Fate::Lost } else { Fate::Arrives });
        let term = sim.seen(2).expect("it runs").term;
        sim.expect("terms grow", |sim| sim.seen(2).is_some_and(|seen| seen.term.get() > term.get() + 3))?;
        sim.crash(3);
        sim.intercept_nothing();
        sim.start(1);
        sim.expect("1 leads", |sim| sim.leader() == Some(1.into()))?;
        all_agree(sim)?;
        let lines = read(sim, 2)?;
        sim.require(lines == ["only 1 has it"], "and with it what only it had")?;
        sim.require(!sim.is_back(ticket) || sim.outcome(ticket).is_some(), "its client knows what it can know")
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
        sim.require(sim.running().iter().all(|seen| seen.term == term), "in the same term")
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
            if is_between { Fate::Held } else { Fate::Arrives }
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
