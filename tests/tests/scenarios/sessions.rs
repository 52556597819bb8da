//! Clients that number their writes.

use raft_actor::consensus::{Message, Role};
use raft_actor::envelope::Body;
use raft_actor::remote::Sequence;
use raft_transport::sim::{Outcome, Transit};

use crate::support::{append_reply, elect, is_applied, ms, play, read, settle_under, write};

fn number(sequence: u64, acknowledged: u64) -> Sequence<'static> {
    Sequence { client: "till-7", sequence, acknowledged, may_open: sequence == 1 }
}

/// The leader dies before it answered, and whoever leads next has the command: to try it again is safe (§8).
#[test]
fn a_command_whose_leader_died_is_tried_again_elsewhere_and_happens_once() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.intercept(|sent| {
            if append_reply(sent).is_some() && sent.to == 1.into() { Transit::Lost } else { Transit::Arrives }
        });
        let ticket = sim.write_sequenced(1, number(1, 0), "add one".to_owned()).expect("it runs");
        sim.expect("2 has it", |sim| sim.seen(2).is_some_and(|seen| seen.last == sim.seen(1).expect("it runs").last))?;
        sim.run_for(ms(5))?;
        sim.crash(1);
        sim.intercept_nothing();
        sim.expect("the client is told", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Unknown), "the client is told that nobody knows")?;
        elect(sim, 2)?;
        assert!(sim.try_again(ticket, 3), "3 runs");
        sim.expect("the client is told", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Applied(&1)), "it has happened")?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["add one"], "it happened once")?;
        sim.require(sim.situations().answered_from_memory == 1, "it was remembered")
    });
}

/// That the second try found no leader says nothing of the first, which a leader has in its log.
#[test]
fn a_command_whose_first_try_may_have_happened_does_not_fail_for_want_of_a_leader() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.intercept(|sent| {
            if append_reply(sent).is_some() && sent.to == 1.into() { Transit::Lost } else { Transit::Arrives }
        });
        let before = sim.seen(3).map(|seen| seen.last);
        let ticket = sim.write_sequenced(2, number(1, 0), "add one".to_owned()).expect("it runs");
        sim.expect("3 has it", |sim| sim.seen(3).map(|seen| seen.last) > before)?;
        sim.run_for(ms(5))?;
        sim.crash_in_silence(1);
        // 2 sends it to the next leader, which leads no more when it comes, and nor does anybody else.
        sim.intercept(|sent| if matches!(sent.body, Body::Forward(_)) { Transit::Held } else { Transit::Arrives });
        elect(sim, 3)?;
        sim.expect("it is sent again", |sim| sim.held().count() == 1)?;
        sim.isolate(3);
        sim.expect("3 steps down", |sim| sim.seen(3).is_some_and(|seen| seen.role != Role::Leader))?;
        sim.intercept(|sent| {
            let is_election = matches!(sent.body, Body::Raft(Message::PreVote(_) | Message::RequestVote(_)));
            if is_election { Transit::Lost } else { Transit::Arrives }
        });
        sim.mend_network();
        sim.let_go();
        sim.expect("2 gives up", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Unknown), "the client is told that nobody knows")?;
        sim.intercept_nothing();
        sim.start(1);
        sim.start(3);
        sim.await_leader()?;
        write(sim, 3, "add two")?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["add one", "add two"], "it has happened")?;
        assert!(sim.try_again(ticket, 2), "2 runs");
        sim.expect("the client is told", |sim| is_applied(sim, ticket))
    });
}

/// A copy that the network brings late, after its client has acknowledged the answer: it must not be taken for new.
#[test]
fn a_copy_that_comes_after_its_answer_was_acknowledged_is_not_applied() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.intercept(|sent| {
            let is_forward = matches!(sent.body, Body::Forward(_));
            if is_forward { Transit::Held } else { Transit::Arrives }
        });
        let ticket = sim.write_sequenced(2, number(1, 0), "add one".to_owned()).expect("it runs");
        sim.expect("it is on its way", |sim| sim.held().count() == 1)?;
        assert!(sim.try_again(ticket, 1), "1 runs");
        sim.expect("it is answered", |sim| is_applied(sim, ticket))?;
        let next = sim.write_sequenced(1, number(2, 1), "add two".to_owned()).expect("it runs");
        sim.expect("it is answered", |sim| is_applied(sim, next))?;
        sim.intercept_nothing();
        sim.let_go();
        sim.run_for(ms(100))?;
        sim.require(sim.situations().came_when_forgotten == 1, "it has arrived")?;
        let lines = read(sim, 3)?;
        sim.require(lines == ["add one", "add two"], "each happened once")
    });
}

/// Snapshots carry what clients were answered, to those who load them as well.
#[test]
fn a_command_that_is_tried_again_at_one_who_loaded_a_snapshot_happens_once() {
    use crate::support::{play_on, settings};
    use raft_transport::sim::SimCluster;

    let settings =
        raft_actor::Settings { snapshot_entries: 10, log_tail_entries: 0, log_tail_bytes_max: 0, ..settings() };
    play_on(&SimCluster::of(3).settings(settings), |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        let ticket = sim.write_sequenced(1, number(1, 0), "once".to_owned()).expect("it runs");
        sim.expect("it is answered", |sim| is_applied(sim, ticket))?;
        for number in 0..30 {
            write(sim, 1, &format!("line {number}"))?;
        }
        sim.mend_network();
        sim.expect("3 loads a snapshot", |sim| sim.situations().snapshot_installed > 0)?;
        assert!(sim.try_again(ticket, 3), "3 runs");
        sim.expect("it comes back", |sim| sim.is_back(ticket))?;
        sim.require(sim.outcome(ticket) == Some(Outcome::Applied(&1)), "with the first answer")
    });
}
