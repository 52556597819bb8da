//! The judge of a simulation: the properties of Raft (Figure 3) and what must hold for durability.
//!
//! It looks on from outside and shares no code with what it judges. What a server stores it learns from
//! the disk itself ([`Durable`]), what it says from the messages that leave, what it applies from the
//! state machine, and what it decides from the steps of its core. It remembers what was ever written,
//! voted and committed; each event costs a few looks at what it concerns, and every few thousand steps
//! everything is looked at again from scratch.
//!
//! | to see | read |
//! |---|---|
//! | what holds of each step, and what it may never undo | `step`, `writes` |
//! | Election Safety, Leader Completeness, one vote a term | `elections` |
//! | Log Matching | `written`, with `shape` for the log of one server |
//! | what is committed, by whom, and that a majority has it | `commits` |
//! | State Machine Safety | `machines` |
//! | commands of sessions are applied once | `sessions` |
//! | reads by lease | `leases` |
//! | who may lead, rest and vote as far as its disk, its quorum and its memory go | `offices` |
//! | what may leave a server | `messages` |
//! | what a disk may never lose, and what a server starts with; the look from scratch | `stored` |
//! | snapshots: what covers, what may be purged, what is loaded and sent | `snapshots` |
//! | what a disk may lose when it is damaged, and until when its log is marked | `repair` |
//! | the membership | `membership` |
//! | bounded memory | `flow` |
//! | a group that was destroyed somewhere stays destroyed there | `tombs` |
//! | which rare situations came up | `situations` |

mod commits;
mod disks;
mod elections;
mod flow;
mod leases;
mod machines;
mod member;
mod membership;
mod messages;
mod offices;
mod repair;
mod sessions;
mod shape;
mod situations;
mod snapshots;
mod step;
mod stored;
mod tombs;
mod transfer;
mod verdict;
mod writes;
mod written;

use std::collections::BTreeMap;

use raft_actor::Settings;
use raft_actor::consensus::{Effect, Input, LogIndex, LogPosition, NodeId, Raft, Round, Term, Time};
use raft_actor::envelope::{Body, Envelope};

pub use disks::{Disks, Durable, Stored};
pub use situations::Situations;
pub use verdict::{Verdict, Violation};

use commits::Commits;
use elections::Elections;
use machines::Applied;
use member::{Cause, Image, Member};
use sessions::Sessions;
use situations::Watch;
use step::next_recheck;
use tombs::Tomb;
use verdict::ensure;
use written::Written;

/// Judges one cluster (one group) from its beginning on.
///
/// Call every method at the moment when what it is about happens; the first `Err` is final.
#[derive(Debug, Default)]
pub struct Checker {
    members: BTreeMap<NodeId, Member>,
    known: Knowledge,
}

/// What is known of the cluster as a whole.
#[derive(Debug, Default)]
struct Knowledge {
    now: Time,
    written: Written,
    commits: Commits,
    elections: Elections,
    /// By index, what the first member to apply it made of it.
    applied: Vec<Option<Applied>>,
    /// Whether it is told what state machines apply.
    watches_machines: bool,
    limits: Settings,
    /// What was on the disks that were wiped.
    wiped: BTreeMap<NodeId, Image>,
    /// What disks held before something of it was lost, while their logs are marked as damaged.
    lost: BTreeMap<NodeId, Image>,
    /// In which term and round a snapshot was last sent by whom to whom.
    sendings: BTreeMap<(NodeId, NodeId), (Term, Round)>,
    situations: Watch,
    told: transfer::Told,
    words: leases::Words,
    /// Servers whose disks were wiped, with the last configuration before that in which they had a vote.
    forgetful: BTreeMap<NodeId, LogPosition>,
    rests: offices::Rests,
    sessions: Sessions,
}

impl Checker {
    /// A judge who has seen nothing yet. What the disks hold when the first servers start was there before.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether this server has a vote, by the last configuration that was committed.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.known.is_voter(node)
    }

    /// The time is this, by nobody's clock. Only leases, rests and [`Situations`] depend on it.
    pub fn at(&mut self, now: Time) {
        self.known.now = now;
    }

    /// A server's core was made from what its disk holds, and has taken no step yet.
    ///
    /// # Errors
    /// If it starts with anything else, or if the disk has lost something.
    pub fn started(&mut self, node: NodeId, raft: &Raft, disk: &dyn Durable) -> Verdict {
        self.known.check_start(node, self.members.entry(node).or_default(), raft, disk)
    }

    /// A server's process is gone. Nothing if it was not running.
    pub fn crashed(&mut self, node: NodeId) {
        if let Some(member) = self.members.get_mut(&node) {
            let run = member.run.take();
            member.covered = run.map_or(member.covered, |run| run.facts.snapshot.index);
            (member.held, member.loaded) = (None, None);
        }
    }

    /// Something was done to a server's disk on purpose: what it held and promised counts no more.
    pub fn wiped(&mut self, node: NodeId) {
        self.happens_unheard(node);
        if let Some(member) = self.members.get_mut(&node) {
            let gone = std::mem::take(&mut member.durable);
            let gone = self.known.lost.remove(&node).unwrap_or(gone);
            if !member.tomb.is_closed() {
                self.known.wiped.insert(node, gone);
            }
            member.writes.clear();
            member.covered = LogIndex::ZERO;
            if member.tomb.is_closed() {
                member.tomb = Tomb::Forgotten;
                return;
            }
            self.known.elections.forget(node);
            self.known.forgets(node, member.had_suffrage);
        }
    }

    /// A server is told to destroy its part of the group, for ever.
    pub fn destroys(&mut self, node: NodeId) {
        self.members.entry(node).or_default().is_to_end();
    }

    /// A server says that it has destroyed its part of the group.
    ///
    /// # Errors
    /// If that is not durable.
    pub fn has_destroyed(&mut self, node: NodeId, disk: &dyn Durable) -> Verdict {
        let is_durable = self.known.check_tomb(node, self.members.entry(node).or_default(), disk)?;
        ensure!("destroyed_is_durable", node, is_durable, "n{node} says that the group is destroyed: {}", disk.last());
        Ok(())
    }

    /// Whether this server has begun to take part in the group, and has not been told to end that.
    pub fn has_part(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.runs > 0 && member.tomb == Tomb::None)
    }

    /// Something was done to a server's disk on purpose: it may have lost what it held when it is started next, if it
    /// says so.
    pub fn damaged(&mut self, node: NodeId) {
        let member = self.members.entry(node).or_default();
        if member.tomb.is_closed() {
            return;
        }
        member.may_have_lost = true;
        // What it has stored since an earlier damage it has not acknowledged.
        self.known.lost.entry(node).or_insert_with(|| member.durable.clone());
        self.happens_unheard(node);
    }

    /// Nobody who leads has heard yet of what is done to this disk.
    fn happens_unheard(&mut self, node: NodeId) {
        let Some(Image { hard_state, log, .. }) = self.members.get(&node).map(|member| &member.durable) else { return };
        let held = (hard_state.term, log.last());
        let leading = self.members.values_mut().filter_map(|member| member.run.as_mut());
        leading.filter(|run| run.facts.leads()).for_each(|run| run.unheard.happens(node, held));
    }

    /// Whether this server runs and has all that it ever held, as far as its disk says.
    pub fn is_whole(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.run.is_some() && member.durable.hard_state.damage.is_none())
    }

    /// Whether this server runs and rests.
    pub fn rests(&self, node: NodeId) -> bool {
        self.members.get(&node).and_then(|member| member.run.as_ref()).is_some_and(|run| run.office.rests)
    }

    /// Whether this server runs, as far as is known here.
    pub fn is_running(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.run.is_some())
    }

    /// A server is about to take in `input`; its own clock shows `now`.
    pub fn before(&mut self, node: NodeId, input: &Input, now: Time) {
        if let Some(run) = self.members.get_mut(&node).and_then(|member| member.run.as_mut()) {
            run.cause = Cause::of(input);
            run.unheard.hears(input);
            run.office.takes_in(input, now);
        }
    }

    /// It has taken it in; none of the effects has been carried out.
    ///
    /// # Errors
    /// The first property that is found broken.
    pub fn after(&mut self, node: NodeId, raft: &Raft, effects: &[Effect], disks: &dyn Disks) -> Verdict {
        let Some(member) = self.members.get_mut(&node) else {
            ensure!("starts_with_what_is_durable", node, false, "n{node} takes a step and was never started");
            return Ok(());
        };
        self.known.check_step(node, member, raft, effects, disks)?;
        member.had_suffrage |= raft.has_suffrage();
        let Some(run) = &mut member.run else { return Ok(()) };
        if run.inherited.is_some() {
            self.known.situations.look_for_figure_8(run, &self.known.written, disks);
            if run.facts.commit.next() > run.inherited.map_or(LogIndex::ZERO, |at| at.index.next()) {
                run.inherited = None;
            }
        }
        run.steps += 1;
        if run.steps >= run.recheck_at {
            run.recheck_at = next_recheck(run.steps, run.log.last().index);
            self.known.recheck_run(node, run, raft)?;
            if let Some(disk) = disks.disk(node) {
                self.known.recheck_disk(node, member, disk)?;
            }
        }
        Ok(())
    }

    /// A server hands this to the network.
    ///
    /// # Errors
    /// If it says what is not durable, or not so.
    pub fn leaves(&mut self, envelope: &Envelope, disks: &dyn Disks) -> Verdict {
        let tomb = self.members.get(&envelope.from).map_or(Tomb::None, |member| member.tomb);
        self.known.check_lives(envelope.from, tomb, "speaks")?;
        match &envelope.body {
            Body::Raft(message) => self.known.check_leaving(&self.members, envelope.from, envelope.to, message, disks),
            // Between clients and servers; what comes of it is seen in the log.
            Body::Forward(_) | Body::ForwardReply(_) => Ok(()),
            Body::SnapshotChunk(chunk) => self.known.check_chunk(envelope.from, envelope.to, chunk, disks),
            // Between disks; what comes of it is seen when it is installed.
            Body::SnapshotReply(_) => Ok(()),
            // Says nothing of any group's state.
            Body::Pulse(_) => Ok(()),
        }
    }

    /// A server's state machine has applied the command at `position`; `command` and `response` are numbers
    /// that equal ones have in common.
    ///
    /// # Errors
    /// If another server has applied something else there, or to another end; if it is not this command's turn.
    pub fn applied(&mut self, node: NodeId, position: LogPosition, command: u64, response: u64) -> Verdict {
        self.known.watches_machines = true;
        let run = self.members.get_mut(&node).and_then(|member| member.run.as_mut());
        let Some(run) = run else {
            ensure!("applied_in_order", node, false, "n{node} applies {position} and does not run");
            return Ok(());
        };
        self.known.check_applied(node, run, position, command, response)
    }

    /// A client is told that the session in which it sent this number is forgotten.
    ///
    /// # Errors
    /// If that is not so by the log.
    pub fn told_expired(&self, client: &str, sequence: u64) -> Verdict {
        self.known.check_expired(client, sequence)
    }

    /// A server's state machine was opened and has kept by itself a state whose last command stands at `index`.
    pub fn holds(&mut self, node: NodeId, index: LogIndex) {
        self.known.watches_machines = true;
        let member = self.members.entry(node).or_default();
        (member.held, member.loaded) = (Some(index), Some(index));
    }

    /// A server's state machine has loaded a state whose last command stands at `index`: before its core is there, or
    /// because a snapshot is installed.
    ///
    /// # Errors
    /// If it is older than what the machine was.
    pub fn loaded(&mut self, node: NodeId, index: LogIndex) -> Verdict {
        self.known.watches_machines = true;
        self.known.check_loaded(node, self.members.entry(node).or_default(), index)
    }

    /// A server's disk holds something else than it did: after a sync, and after a crash.
    ///
    /// # Errors
    /// If it lost something, or holds what nobody wrote.
    pub fn durable_changed(&mut self, node: NodeId, disk: &dyn Durable) -> Verdict {
        match self.members.get_mut(&node) {
            Some(member) if member.runs > 0 => self.known.check_disk(node, member, disk),
            // Its first start is still under way.
            Some(_) | None => Ok(()),
        }
    }

    /// Looks at all disks and at all that is committed from scratch.
    ///
    /// # Errors
    /// The first property that is found broken.
    pub fn recheck(&self, disks: &dyn Disks) -> Verdict {
        self.known.recheck_commits()?;
        for (node, member) in self.members.iter().filter(|(_, member)| member.runs > 0) {
            if let Some(disk) = disks.disk(*node) {
                self.known.recheck_disk(*node, member, disk)?;
            }
        }
        Ok(())
    }

    /// How often each rare situation came up.
    pub fn situations(&self) -> &Situations {
        &self.known.situations.seen
    }

    /// The last entry that is committed, as far as any server has ever known.
    pub fn committed(&self) -> LogPosition {
        self.known.commits.last()
    }
}

#[cfg(test)]
mod tests;
