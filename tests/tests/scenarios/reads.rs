//! Reads of the past.

use raft_actor::consensus::Term;
use raft_transport::sim::Transit;

use crate::support::{TIMEOUT, all_agree, answer, append, elect, ms, play, read, settle_under, write};

/// §8: a leader does not know what is committed before an entry of its own term is (tikv #9239).
#[test]
fn a_new_leader_answers_no_read_before_its_own_no_op_is_committed() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        // 2 and 3 have the line; that it is committed is known to 1 alone.
        sim.intercept(|sent| match append(sent) {
            Some(message) if message.entries.is_empty() => Transit::Lost,
            _ => Transit::Arrives,
        });
        write(sim, 1, "acknowledged by 1")?;
        sim.crash(1);
        sim.require(sim.seen(2).is_some_and(|seen| seen.commit < seen.last), "2 does not know that it is committed")?;

        let first_term = sim.seen(2).expect("it runs").term;
        // Its heartbeats arrive, so that the round of a read is confirmed; its no-op does not.
        let is_of_second = move |term: Term| term > first_term;
        sim.intercept(move |sent| match append(sent) {
            Some(message) if message.entries.iter().any(|entry| is_of_second(entry.position.term)) => Transit::Held,
            _ => Transit::Arrives,
        });
        elect(sim, 2)?;
        let ticket = sim.read(2, ()).expect("it runs");
        sim.run_for(TIMEOUT)?;
        sim.require(sim.leader() == Some(2.into()), "2 leads and is in contact")?;
        sim.require(!sim.is_back(ticket), "it does not answer before it knows")?;
        sim.intercept_nothing();
        sim.let_go();
        sim.expect("it answers then", |sim| sim.is_back(ticket))?;
        let lines = answer(sim, ticket);
        sim.require(lines.as_deref() == Some(&["acknowledged by 1".to_owned()]), "2 knows the line")
    });
}

/// A leader that stood still (SIGSTOP, a long pause of its machine) does not know that another one leads by now.
#[test]
fn a_leader_that_stood_still_answers_no_read_from_its_own_memory() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        write(sim, 1, "old")?;
        all_agree(sim)?;
        // Reads that came before it stood still, while it did, and at the moment when it goes on.
        let mut tickets = vec![sim.read(1, ()).expect("it runs")];
        sim.pause(1);
        elect(sim, 2)?;
        write(sim, 2, "new")?;
        tickets.push(sim.read(1, ()).expect("it runs"));
        sim.resume(1);
        tickets.push(sim.read(1, ()).expect("it runs"));
        sim.expect("all come back", |sim| tickets.iter().all(|ticket| sim.is_back(*ticket)))?;
        for ticket in &tickets[1..] {
            let lines = answer(sim, *ticket);
            sim.require(
                lines.is_none_or(|lines| lines == ["old", "new"]),
                "no read misses what was acknowledged before it",
            )?;
        }
        let lines = read(sim, 1)?;
        sim.require(lines == ["old", "new"], "in the end 1 answers as well")
    });
}

/// A leader that is cut off cannot know, and does not guess.
#[test]
fn a_leader_that_is_cut_off_answers_no_linearizable_read() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        write(sim, 1, "old")?;
        sim.isolate(1);
        let tickets: Vec<_> = (0..5)
            .map(|_| {
                let ticket = sim.read(1, ()).expect("it runs");
                sim.run_for(ms(20)).map(|()| ticket)
            })
            .collect::<Result<_, _>>()?;
        elect(sim, 2)?;
        write(sim, 2, "new")?;
        sim.expect("all come back", |sim| tickets.iter().all(|ticket| sim.is_back(*ticket)))?;
        sim.require(tickets.iter().all(|ticket| answer(sim, *ticket).is_none()), "none comes back with an answer")
    });
}
