//! Entries on their way to the others.

use raft_actor::consensus::{AppendEntries, LogIndex, Role, Settings};
use raft_transport::sim::{SimCluster, Transit};

use crate::support::{
    TIMEOUT, all_agree, append, append_reply, begin_write, durable_terms, elect, is_applied, is_on, ms, play, play_on,
    read, settings, settle_under, write,
};

/// Figure 8: an entry of an older term is on a majority, and is not committed by that (§5.4.2).
#[test]
fn an_entry_of_an_older_term_on_a_majority_can_still_be_overwritten() {
    // One entry in a message, so that an old one can arrive without the one that would commit it.
    let one_by_one = Settings { append_batch_bytes_max: 1, ..settings() };
    play_on(&SimCluster::of(5).settings(one_by_one), |sim| {
        settle_under(sim, 1)?;
        let committed = sim.seen(1).expect("it runs").commit;
        let old = committed.next();

        // (a) S1 leads and replicates an entry to S2 alone.
        [3, 4, 5].into_iter().for_each(|other| sim.cut(1, other));
        let lost = begin_write(sim, 1, "of S1");
        sim.expect("S2 has it", |sim| sim.seen(2).is_some_and(|seen| seen.last == old))?;
        let first_term = sim.seen(1).expect("it runs").term;
        sim.run_for(ms(5))?;

        // (b) S1 crashes; S5 is elected by S3 and S4 and has another entry there, which reaches nobody.
        sim.crash_in_silence(1);
        sim.mend_network();
        sim.intercept(|sent| match append(sent) {
            Some(message) if !message.entries.is_empty() => Transit::Lost,
            _ => Transit::Arrives,
        });
        sim.isolate(2);
        elect(sim, 5)?;
        sim.run_for(ms(5))?;
        let overwriting_term = sim.seen(5).expect("it runs").term;
        sim.crash_in_silence(5);
        sim.mend_network();

        // (c) S1 is back, is elected, and brings its old entry to S3 and S4. Nothing of its own term arrives.
        sim.intercept(move |sent| match append(sent) {
            Some(message) if message.entries.iter().any(|entry| entry.position.term > first_term) => Transit::Lost,
            _ => Transit::Arrives,
        });
        sim.start(1);
        elect(sim, 1)?;
        sim.expect("S1 knows the old entry on a majority", |sim| {
            let holds = |id: u64| durable_terms(sim, id).get(old.get() as usize - 1) == Some(&first_term.get());
            let Some(status) = sim.status(1) else { return false };
            let is_known = |id: u64| status.peers.get(&id.into()).is_some_and(|peer| peer.match_index == old);
            [3, 4].into_iter().all(|id| holds(id) && is_known(id)) && holds(1) && holds(2)
        })?;
        sim.run_for(ms(200))?;
        let commits: Vec<LogIndex> = sim.running().iter().map(|seen| seen.commit).collect();
        sim.require(commits.iter().all(|commit| *commit <= committed), "nobody takes the old entry for committed")?;

        // (d) S1 crashes again; S5 is elected, also by S2 and S3, and overwrites the entry.
        sim.crash_in_silence(1);
        sim.intercept_nothing();
        sim.start(5);
        sim.expect("S5 can be heard", |sim| sim.seen(5).is_some())?;
        elect(sim, 5)?;
        all_agree(sim)?;
        let overwritten = |id| durable_terms(sim, id).get(old.get() as usize - 1) == Some(&overwriting_term.get());
        sim.require([2, 3, 4, 5].into_iter().all(overwritten), "the old entry is overwritten everywhere")?;
        sim.require(!is_applied(sim, lost), "nobody was told that it was applied")?;
        let lines = read(sim, 5)?;
        sim.require(lines.is_empty(), "it was not applied")
    });
}

/// §5.3, "if an existing entry conflicts": one that does not conflict is no reason to truncate.
#[test]
fn an_append_entries_that_comes_once_more_and_late_truncates_nothing() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.intercept(
            |sent| if append(sent).is_some() && is_on(sent, 1, 2) { Transit::Copied } else { Transit::Arrives },
        );
        write(sim, 1, "first")?;
        sim.intercept_nothing();
        write(sim, 1, "second")?;
        write(sim, 1, "third")?;
        all_agree(sim)?;
        let (before, terms) = (sim.seen(2).expect("it runs"), durable_terms(sim, 2));
        sim.require(sim.held().any(|late| !append(late).expect("only such").entries.is_empty()), "the first is held")?;

        // 2 starts anew and hears of nobody else: it does not know what is committed, or what it has acknowledged.
        sim.isolate(2);
        sim.crash(2);
        sim.start(2);
        sim.expect("2 is back", |sim| {
            sim.seen(2).is_some_and(|seen| (seen.last, seen.term) == (before.last, before.term))
        })?;
        sim.let_go();
        sim.run_for(ms(100))?;
        sim.require(sim.seen(2).is_some_and(|seen| seen.last == before.last), "2 has what it had")?;
        sim.require(durable_terms(sim, 2) == terms, "its disk has what it had")
    });
}

/// A commit index only grows, in whatever order the acknowledgements come in.
#[test]
fn acknowledgements_in_the_wrong_order_commit_what_they_acknowledge_and_nothing_falls() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        sim.intercept(|sent| if append_reply(sent).is_some() { Transit::Held } else { Transit::Arrives });
        let before = sim.seen(1).expect("it runs").commit;
        let tickets: Vec<_> = (0..4)
            .map(|number| {
                let ticket = begin_write(sim, 1, &format!("line {number}"));
                sim.run_for(ms(5)).map(|()| ticket)
            })
            .collect::<Result<_, _>>()?;
        sim.require(sim.held().count() >= 4, "each was acknowledged on its own")?;
        sim.require(sim.seen(1).expect("it runs").commit == before, "no acknowledgement arrived")?;
        let mut commit = before;
        while sim.held().next().is_some() {
            sim.let_newest_go();
            sim.intercept(|sent| if append_reply(sent).is_some() { Transit::Lost } else { Transit::Arrives });
            sim.run_for(ms(1))?;
            let now = sim.seen(1).expect("it runs").commit;
            sim.require(now >= commit, "the commit index never falls")?;
            commit = now;
        }
        sim.require(commit == sim.seen(1).expect("it runs").last, "what was acknowledged is committed")?;
        sim.require(tickets.iter().all(|ticket| is_applied(sim, *ticket)), "the clients know")
    });
}

/// At one moment a leader orders entries to be sent, steps down and is overwritten: whoever then reads the log for the
/// order finds entries of another leader there. They must not go out under the old term.
#[test]
fn entries_of_a_later_leader_are_never_sent_under_an_older_term() {
    let one_by_one = Settings { inflight_appends_max: 1, ..settings() };
    play_on(&SimCluster::of(3).settings(one_by_one), |sim| {
        settle_under(sim, 1)?;
        let first_term = sim.seen(1).expect("it runs").term;
        // One message is on its way to 3 and three lines wait behind it, when 1 falls asleep.
        sim.cut(1, 2);
        sim.intercept(|sent| if is_on(sent, 3, 1) { Transit::Held } else { Transit::Arrives });
        for number in 0..4 {
            begin_write(sim, 1, &format!("of the first leader {number}"));
            sim.run_for(ms(3))?;
        }
        sim.pause(1);
        // The answer that lets them go is the first thing that 1 is going to hear. The second is a leader of its own.
        sim.let_go();
        sim.run_for(ms(3))?;
        sim.intercept(|sent| if append(sent).is_some() { Transit::Copied } else { Transit::Arrives });
        sim.jump_clock(2, TIMEOUT);
        sim.jump_clock(3, TIMEOUT * 2);
        sim.expect("3 leads", |sim| sim.leader() == Some(3.into()))?;
        for number in 0..4 {
            write(sim, 3, &format!("of the second leader {number}"))?;
        }
        sim.resume(1);
        sim.expect("1 follows", |sim| sim.seen(1).is_some_and(|seen| seen.role == Role::Follower))?;
        all_agree(sim)?;
        let sent: Vec<_> = sim.held().filter_map(append).collect();
        sim.require(sent.iter().any(|message| message.term > first_term), "3 led in a later term")?;
        let fits = |message: &AppendEntries| message.entries.iter().all(|entry| entry.position.term <= message.term);
        sim.require(sent.into_iter().all(fits), "no message holds an entry of a later term than its own")
    });
}

/// A follower that does not answer gets as many messages as the window allows, then heartbeats only.
#[test]
fn a_follower_that_stands_still_makes_nobody_hold_more_than_the_window() {
    let narrow = Settings { inflight_appends_max: 4, append_batch_bytes_max: 1_000, ..settings() };
    play_on(&SimCluster::of(3).settings(narrow), |sim| {
        settle_under(sim, 1)?;
        sim.pause(3);
        sim.intercept(|sent| if is_on(sent, 1, 3) { Transit::Copied } else { Transit::Arrives });
        for number in 0..200 {
            write(sim, 1, &format!("{number} {}", "x".repeat(500)))?;
        }
        let with_entries = sim.held().filter(|sent| append(sent).is_some_and(|m| !m.entries.is_empty())).count();
        sim.require(
            (1..=4).contains(&with_entries),
            "no more than the window is on its way to the one that stands still",
        )?;
        sim.intercept_nothing();
        sim.resume(3);
        all_agree(sim)
    });
}

/// Without a majority nothing is committed, and what clients go on asking for must not fill the leader's memory.
#[test]
fn a_leader_that_commits_nothing_takes_in_no_more_than_it_may_hold() {
    let tight = Settings { uncommitted_bytes_max: 10_000, ..settings() };
    play_on(&SimCluster::of(3).settings(tight), |sim| {
        settle_under(sim, 1)?;
        let before = sim.seen(1).expect("it runs").last;
        sim.intercept(|sent| match append(sent) {
            Some(message) if !message.entries.is_empty() => Transit::Lost,
            _ => Transit::Arrives,
        });
        let tickets: Vec<_> = (0..100)
            .map(|_| {
                let ticket = begin_write(sim, 1, &"x".repeat(1_000));
                sim.run_for(ms(1)).map(|()| ticket)
            })
            .collect::<Result<_, _>>()?;
        let leader = sim.seen(1).expect("it runs");
        sim.require(leader.role == Role::Leader, "it is still in contact with its followers")?;
        sim.require(leader.last.get() - before.get() <= 10, "it took in no more than it may hold")?;
        let refused = tickets.iter().filter(|ticket| sim.is_back(**ticket)).count();
        sim.require(refused >= 90, "all others were told at once")?;
        sim.intercept_nothing();
        sim.expect("what it took in is committed", |sim| {
            tickets.iter().all(|ticket| sim.is_back(*ticket)) && sim.seen(1).is_some_and(|s| s.commit == s.last)
        })
    });
}

/// A second leader of the same moment cannot come about while the first is cut off from a part only.
#[test]
fn a_follower_whose_log_is_behind_is_not_elected() {
    play(3, |sim| {
        settle_under(sim, 1)?;
        sim.isolate(3);
        write(sim, 1, "that 3 does not have")?;
        sim.crash(1);
        sim.mend_network();
        for _ in 0..5 {
            sim.jump_clock(3, TIMEOUT * 2);
            sim.run_for(ms(50))?;
            sim.require(sim.leader() != Some(3.into()), "3 does not lead")?;
        }
        sim.expect("2 leads", |sim| sim.leader() == Some(2.into()))?;
        let lines = read(sim, 2)?;
        sim.require(lines == ["that 3 does not have"], "nothing is lost")
    });
}
