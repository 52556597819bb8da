//! What clients are told.

use raft_actor::consensus::Role;
use raft_actor::envelope::Body;
use raft_transport::sim::{Outcome, Ticket, Transit, Violation};

use crate::support::{
    Script, all_agree, append_reply, begin_write, elect, is_applied, is_on, ms, play, read, settle_under, write,
};

/// A leader that steps down leaves its entries alone, and whoever waits for them (CCF #5674): the next leader may have
/// them, and then they happen.
#[test]
fn a_write_that_outlives_its_leaders_office_is_acknowledged_by_it_all_the_same() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        // 2 gets the line, and 1 never hears so.
        sim.intercept(|sent| {
            if append_reply(sent).is_some() && sent.to == 1.into() { Transit::Lost } else { Transit::Arrives }
        });
        let ticket = begin_write(sim, 1, "of the first leader");
        sim.expect("2 has it", |sim| sim.seen(2).is_some_and(|seen| seen.last == sim.seen(1).expect("it runs").last))?;
        sim.isolate(1);
        sim.intercept_nothing();
        sim.expect("1 steps down", |sim| sim.seen(1).is_some_and(|seen| seen.role != Role::Leader))?;
        sim.require(!sim.is_back(ticket), "its client is not told anything yet")?;
        elect(sim, 2)?;
        sim.mend_network();
        sim.expect("its client is told", |sim| sim.is_back(ticket))?;
        sim.require(is_applied(sim, ticket), "the client is told that it was applied")?;
        all_agree(sim)?;
        let lines = read(sim, 1)?;
        sim.require(lines == ["of the first leader"], "it was applied once")
    });
}

/// Other entries take their place: then they have not happened and never will.
#[test]
fn writes_that_were_overwritten_after_a_step_down_are_acknowledged_to_nobody() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(1);
        let lost: Vec<_> = (0..3).map(|number| begin_write(sim, 1, &format!("lost {number}"))).collect();
        sim.run_for(ms(10))?;
        elect(sim, 2)?;
        for number in 0..5 {
            write(sim, 2, &format!("kept {number}"))?;
        }
        sim.mend_network();
        sim.expect("all come back", |sim| lost.iter().all(|ticket| sim.is_back(*ticket)))?;
        let is_honest = |outcome| matches!(outcome, Some(Outcome::Failed | Outcome::Unknown));
        sim.require(lost.iter().all(|ticket| is_honest(sim.outcome(*ticket))), "none comes back as applied")?;
        all_agree(sim)?;
        let lines = read(sim, 1)?;
        sim.require(lines.len() == 5 && lines.iter().all(|line| line.starts_with("kept")), "none of them was applied")
    });
}

/// Without a session nobody can tell a retry from a second command. So the first must not be called "failed" when it
/// may have happened: to try it again is the client's decision, and it may happen twice.
#[test]
fn a_write_whose_leader_died_before_it_answered_is_unknown_and_trying_again_can_apply_it_twice() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.intercept(|sent| {
            if append_reply(sent).is_some() && sent.to == 1.into() { Transit::Lost } else { Transit::Arrives }
        });
        let first = begin_write(sim, 1, "add one");
        sim.expect("2 has it", |sim| sim.seen(2).is_some_and(|seen| seen.last == sim.seen(1).expect("it runs").last))?;
        sim.run_for(ms(5))?;
        sim.crash(1);
        sim.intercept_nothing();
        sim.expect("the client is told", |sim| sim.is_back(first))?;
        sim.require(sim.outcome(first) == Some(Outcome::Unknown), "the client is told that nobody knows")?;
        elect(sim, 2)?;
        write(sim, 2, "add one")?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["add one", "add one"], "it happened, and so did the retry")
    });
}

/// A follower passes a write on; the network brings that twice. It is not a second command.
#[test]
fn a_forwarded_write_that_the_network_repeats_is_applied_once() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.intercept(|sent| {
            let is_forward = matches!(sent.body, Body::Forward(_));
            if is_forward { Transit::Copied } else { Transit::Arrives }
        });
        write(sim, 2, "through 2")?;
        sim.require(sim.held().count() == 1, "it was passed on once")?;
        sim.let_go();
        sim.run_for(ms(100))?;
        all_agree(sim)?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["through 2"], "it is applied once")
    });
}

/// The leader takes a forwarded write in, dies, and is elected again; then the network brings the write once more. It
/// was meant for the leader of a passed term, which this server does not remember to have been (seed 5156).
#[test]
fn a_forwarded_write_that_comes_again_after_its_leader_was_started_anew_is_applied_once() {
    play(3, |sim| {
        let ticket = forwarded_and_applied_unanswered(sim)?;
        sim.crash_in_silence(1);
        sim.start(1);
        elect(sim, 1)?;
        sim.let_go();
        sim.run_for(ms(100))?;
        sim.expect("its client is told", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Unknown), "its client is told that nobody knows")?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["through 2"], "it is applied once")
    });
}

/// The same, but the copy finds a server that only knows that it does not lead. "Not appended, try again" would be a lie.
#[test]
fn who_was_started_anew_does_not_send_a_forwarded_write_back_as_not_appended() {
    play(3, |sim| {
        let ticket = forwarded_and_applied_unanswered(sim)?;
        sim.crash_in_silence(1);
        sim.start(1);
        // It is in contact with the others again, and nobody campaigns yet.
        sim.run_for(ms(20))?;
        sim.let_go();
        sim.expect("its client is told", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Unknown), "its client is told that nobody knows")?;
        // What is asked from now on was never asked before: it waits for the next leader.
        let fresh = begin_write(sim, 2, "later");
        elect(sim, 3)?;
        sim.expect("it is answered", |sim| sim.is_back(fresh))?;
        sim.require(is_applied(sim, fresh), "it is applied")?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["through 2", "later"], "each is applied once")
    });
}

/// Server 2 passes a write on to 1, which applies it; the answer is lost, and a copy of the write is held on the wire.
fn forwarded_and_applied_unanswered(sim: &mut Script) -> Result<Ticket, Violation> {
    settle_under(sim, 1)?;
    sim.intercept(|sent| match sent.body {
        Body::Forward(_) => Transit::Copied,
        Body::ForwardReply(_) => Transit::Lost,
        _ => Transit::Arrives,
    });
    let ticket = begin_write(sim, 2, "through 2");
    sim.run_for(ms(20))?;
    sim.intercept_nothing();
    all_agree(sim)?;
    sim.require(sim.held().count() == 1 && !sim.is_back(ticket), "it is applied, and nobody is told")?;
    Ok(ticket)
}

/// The answer is lost on the way back: whoever asked must not be told "failed" for what has happened.
#[test]
fn a_forwarded_write_whose_answer_is_lost_is_unknown() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.intercept(|sent| {
            let is_answer = is_on(sent, 1, 2) && matches!(sent.body, Body::ForwardReply(_));
            if is_answer { Transit::Lost } else { Transit::Arrives }
        });
        let ticket = begin_write(sim, 2, "through 2");
        sim.expect("it comes back", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Unknown), "it comes back as unknown")?;
        sim.intercept_nothing();
        let lines = read(sim, 2)?;
        sim.require(lines == ["through 2"], "it has happened")
    });
}

/// Nothing was sent to anybody who could apply it: that is certain, and said so.
#[test]
fn a_write_that_was_never_appended_is_certainly_not_applied() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.crash(1);
        sim.crash(3);
        let ticket = begin_write(sim, 2, "to nobody");
        sim.expect("it comes back", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Failed), "it comes back as failed")?;
        sim.start(1);
        sim.start(3);
        sim.await_leader()?;
        write(sim, 2, "later")?;
        let lines = read(sim, 1)?;
        sim.require(lines == ["later"], "it was not applied")
    });
}
