//! Leadership that is handed over, and what clients see of it.

use crate::support::{TIMEOUT, begin_write, is_applied, ms, play, read, settle_under, write};

/// A rolling restart: the others need not notice by an election timeout that the leader is gone.
#[test]
fn a_leader_that_is_asked_to_stop_leaves_no_gap_and_no_write_behind() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        let term = sim.seen(1).expect("it runs").term;
        // In its queue, in its log, on their way to it from those who forward.
        let before: Vec<_> = (1..=3).map(|node| begin_write(sim, node, "before")).collect();
        assert!(sim.shut_down(1), "it runs");
        let meanwhile: Vec<_> = (2..=3).map(|node| begin_write(sim, node, "meanwhile")).collect();
        sim.run_for(ms(40))?;
        let leader = sim.leader().expect("somebody leads");
        sim.require(leader != 1.into(), "another one leads")?;
        sim.require(sim.seen(leader).expect("it runs").term == term.next(), "elected at once, at the first attempt")?;
        let are_applied = before.iter().skip(1).chain(&meanwhile).all(|ticket| is_applied(sim, *ticket));
        sim.require(are_applied, "all writes of those who stay are acknowledged, though no election timeout has passed")
    });
}

/// The operating system closes the connections of a process that ends.
#[test]
fn a_leader_whose_process_dies_is_replaced_before_anybodys_election_timeout() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.crash(1);
        sim.run_for(TIMEOUT / 5)?;
        sim.require(sim.leader().is_some_and(|leader| leader != 1.into()), "another one leads")?;
        let leader = sim.leader().expect("it was just there").get();
        write(sim, leader, "by the next leader")
    });
}

/// It is alive, and a majority hears it: to lose a connection is no reason for another term (dissertation 4.2.3).
#[test]
fn connections_that_are_closed_between_two_of_three_cost_nobody_its_office() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        let term = sim.seen(1).expect("it runs").term;
        for line in 0..20 {
            sim.hang_up(1, 2);
            sim.run_for(ms(17 * line % 100))?;
            write(sim, 2, &format!("line {line}"))?;
        }
        sim.require(sim.leader() == Some(1.into()), "1 leads on")?;
        sim.require(sim.seen(2).expect("it runs").term == term, "in the same term")
    });
}

/// What is certain is only that it takes commands again after an election timeout; until then they wait.
#[test]
fn a_transfer_to_a_server_that_is_cut_off_ends_in_time_and_the_leader_goes_on() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.cut(1, 3);
        write(sim, 1, "of which 3 does not hear")?;
        assert!(sim.transfer_leadership(2, Some(3.into())), "2 runs");
        sim.run_for(ms(20))?;
        let held = [1, 2].map(|node| begin_write(sim, node, "held"));
        sim.run_for(TIMEOUT / 2)?;
        sim.require(!held.iter().any(|ticket| is_applied(sim, *ticket)), "the leader takes no commands meanwhile")?;
        // It may serve reads: it still leads.
        read(sim, 2)?;
        sim.run_for(TIMEOUT)?;
        sim.require(sim.leader() == Some(1.into()), "it leads on")?;
        sim.require(held.iter().all(|ticket| is_applied(sim, *ticket)), "what was held is acknowledged")
    });
}

/// Who leads is told to give it to one who lacks entries: it waits until that one has them.
#[test]
fn a_server_that_lags_is_brought_level_before_it_is_told_to_lead() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.cut(1, 3);
        write(sim, 1, "of which 3 does not hear")?;
        let last = sim.seen(1).expect("it runs").last;
        sim.require(sim.seen(3).expect("it runs").last < last, "3 lags")?;
        assert!(sim.transfer_leadership(1, Some(3.into())), "1 runs");
        sim.run_for(ms(20))?;
        sim.require(sim.leader() == Some(1.into()), "nobody is told to lead who lacks something")?;
        sim.mend_network();
        sim.expect("3 leads", |sim| sim.leader() == Some(3.into()))?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["of which 3 does not hear"], "and has it all")
    });
}
