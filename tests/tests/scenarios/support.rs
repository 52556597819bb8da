//! What the scenarios share: a machine that remembers every command, and words for what they often do.

use std::time::Duration;

use raft_actor::consensus::{AppendEntries, AppendEntriesReply, Message, NodeId, RequestVoteReply, Settings};
use raft_actor::envelope::{Body, Envelope};
use raft_actor::{ApplyContext, StateMachine};
use raft_transport::sim::{Outcome, Report, Seen, Sim, SimCluster, Ticket, Violation};
use serde::{Deserialize, Serialize};

/// Remembers every command in the order in which it was applied.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Journal(Vec<String>);

impl StateMachine for Journal {
    type Command = String;
    type Response = usize;
    type Query = ();
    type Answer = Vec<String>;

    fn apply(&mut self, _: &mut ApplyContext<'_>, line: String) -> usize {
        self.0.push(line);
        self.0.len()
    }

    fn query(&self, (): ()) -> Vec<String> {
        self.0.clone()
    }
}

pub(crate) type Script = Sim<Journal>;
pub(crate) type Played = Result<(), Violation>;

/// The shortest election timeout of these clusters.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn settings() -> Settings {
    Settings { election_timeout_ms_min: 300, heartbeat_ms: 50, ..Settings::default() }
}

/// So many servers, none of which has had a turn yet.
pub(crate) fn play(nodes: u64, script: impl FnOnce(&mut Script) -> Played + Send) -> Report {
    play_on(&SimCluster::of(nodes).settings(settings()), script)
}

pub(crate) fn play_on(cluster: &SimCluster<Journal>, script: impl FnOnce(&mut Script) -> Played + Send) -> Report {
    cluster.direct(7, script).unwrap_or_else(|failure| panic!("{failure}"))
}

/// `id` asks for votes until those who could give them have been without a leader for long enough to listen: so it is
/// the first to begin an election.
pub(crate) fn campaign(sim: &mut Script, id: u64) -> Played {
    sim.expect(&format!("n{id} runs"), |sim| sim.seen(id).is_some())?;
    let before = sim.seen(id).map(|seen| seen.term);
    for _ in 0..1_000 {
        sim.jump_clock(id, TIMEOUT * 2);
        sim.run_for(ms(2))?;
        if sim.seen(id).map(|seen| seen.term) > before {
            return Ok(());
        }
    }
    sim.require(false, &format!("n{id} begins an election"))
}

/// See [`campaign`]; and it wins.
pub(crate) fn elect(sim: &mut Script, id: u64) -> Played {
    for _ in 0..20 {
        campaign(sim, id)?;
        if sim.run_until(ms(20), |sim| sim.leader() == Some(id.into()))? {
            return Ok(());
        }
    }
    sim.require(false, &format!("n{id} is elected"))
}

/// `id` leads, and all members that run know all that there is.
pub(crate) fn settle_under(sim: &mut Script, id: u64) -> Played {
    elect(sim, id)?;
    all_agree(sim)
}

/// Waits until all members that run know all that there is.
pub(crate) fn all_agree(sim: &mut Script) -> Played {
    sim.expect("all members know all that there is", |sim| {
        let Some(leader) = sim.leader().and_then(|leader| sim.status(leader)) else { return false };
        let is_member = |seen: &Seen| leader.voters.contains(&seen.node) || leader.learners.contains(&seen.node);
        let seen: Vec<Seen> = sim.running().into_iter().filter(is_member).collect();
        seen.iter().all(|one| (one.last, one.applied) == (one.commit, one.commit) && one.commit == seen[0].commit)
    })
}

/// Writes a line, and waits until that is acknowledged.
pub(crate) fn write(sim: &mut Script, node: u64, line: &str) -> Played {
    let ticket = begin_write(sim, node, line);
    sim.expect(&format!("{line:?} is acknowledged by n{node}"), |sim| is_applied(sim, ticket))
}

#[track_caller]
pub(crate) fn begin_write(sim: &mut Script, node: u64, line: &str) -> Ticket {
    sim.write(node, line.to_owned()).expect("the server runs")
}

pub(crate) fn is_applied(sim: &Script, ticket: Ticket) -> bool {
    matches!(sim.outcome(ticket), Some(Outcome::Applied(_)))
}

/// All lines, by a linearizable read.
pub(crate) fn read(sim: &mut Script, node: u64) -> Result<Vec<String>, Violation> {
    let mut ticket = sim.read(node, ());
    sim.expect(&format!("n{node} answers a read"), |sim| match ticket.map(|ticket| sim.outcome(ticket)) {
        Some(Some(Outcome::Answered(_))) => true,
        Some(None) => false,
        // Not yet, or not any more.
        Some(Some(_)) | None => {
            ticket = sim.read(node, ());
            false
        }
    })?;
    Ok(answer(sim, ticket.expect("it was answered")).expect("it was answered"))
}

/// What a read was answered.
pub(crate) fn answer(sim: &Script, ticket: Ticket) -> Option<Vec<String>> {
    match sim.outcome(ticket) {
        Some(Outcome::Answered(lines)) => Some(lines.clone()),
        _ => None,
    }
}

/// The log of a server, as it is on its disk: the term of each entry.
pub(crate) fn durable_terms(sim: &Script, node: u64) -> Vec<u64> {
    let disk = sim.durable(node).expect("the log is whole");
    disk.state(1.into()).entries().map(|record| record.position.term.get()).collect()
}

pub(crate) fn is_on(envelope: &Envelope, from: u64, to: u64) -> bool {
    (envelope.from, envelope.to) == (NodeId::from(from), NodeId::from(to))
}

pub(crate) fn append(envelope: &Envelope) -> Option<&AppendEntries> {
    match &envelope.body {
        Body::Raft(Message::AppendEntries(message)) => Some(message),
        _ => None,
    }
}

pub(crate) fn append_reply(envelope: &Envelope) -> Option<&AppendEntriesReply> {
    match &envelope.body {
        Body::Raft(Message::AppendEntriesReply(message)) => Some(message),
        _ => None,
    }
}

/// Whether somebody asks for a vote.
pub(crate) fn is_request(envelope: &Envelope) -> bool {
    matches!(envelope.body, Body::Raft(Message::RequestVote(_)))
}

/// A vote that is given.
pub(crate) fn vote(envelope: &Envelope) -> Option<&RequestVoteReply> {
    match &envelope.body {
        Body::Raft(Message::RequestVoteReply(message)) if message.granted => Some(message),
        _ => None,
    }
}
