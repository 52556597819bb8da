//! Rare situations that a good simulation runs into, counted when they happen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft_actor::consensus::{LogIndex, LogPosition, NodeId, Raft, Role, Term};

use raft_actor::envelope::SnapshotChunk;
use raft_actor::state_machine::SnapshotId;

use super::disks::{Disks, holds};
use super::member::{Cause, Facts, Member, Run, Write};
use super::shape::LogShape;
use super::written::Written;

macro_rules! situations {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// How often each situation came up.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Situations {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Situations {
            /// All of them with their names.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Adds those of another run.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

situations! {
    /// A leader that was elected.
    leader_elected,
    /// Figure 8: a leader found an entry of an older term on a majority, and committed it only together with
    /// one of its own.
    figure_8,
    /// The same, and the entry was overwritten.
    figure_8_overwritten,
    /// A configuration was taken out of a log again.
    configuration_rolled_back,
    /// A follower removed entries that conflict with its leader's.
    suffix_truncated,
    /// The storage confirmed a write when what it wrote had been ordered to be overwritten.
    late_persisted,
    /// A snapshot replaced a log that conflicts with it.
    snapshot_over_conflict,
    /// A snapshot of a server's own became durable, and its core took it in.
    snapshot_taken,
    /// A snapshot of the leader was installed.
    snapshot_installed,
    /// A snapshot of the leader was durable and loaded when the log had got as far by itself.
    appends_overtook_snapshot,
    /// A snapshot went on its way to a follower from where it had stopped.
    transfer_resumed,
    /// A server was started that had stored a snapshot of its leader and not reset its log.
    log_reset_at_start,
    /// A server that had lost something of its log had it all back.
    damage_repaired,
    /// A leader stepped down while its storage worked on a write.
    step_down_with_writes_pending,
    /// A leader stepped down with entries in its log that it does not know to be committed.
    step_down_with_uncommitted,
    /// A leader stepped down because its storage was stuck.
    step_down_by_stuck_disk,
    /// A second server asked for pre-votes for a term while another one did.
    contested_pre_vote,
    /// A second candidate asked for votes in a term.
    contested_election,
    /// An election that nobody won.
    election_without_winner,
    /// A read waited at a leader that stepped down.
    read_over_leader_change,
    /// A leader answered a read by its lease.
    read_by_lease,
    /// A leader committed entries that it had read back from its disk.
    commit_after_restart,
    /// A leader committed entries of former leaders with its own.
    inherited_entries_committed,
    /// A joint configuration was committed.
    joint_configuration_committed,
    /// A leader committed a configuration without itself.
    leader_removed,
    /// A command of a session came again when it had been applied.
    answered_from_memory,
    /// A command of a session came when its session, or its number, was forgotten.
    came_when_forgotten,
    /// A voter was told to campaign.
    told_to_campaign,
    /// Leadership went where it was wanted.
    leadership_handed_over,
    /// It did not, in time.
    transfer_timed_out,
}

/// What has to be remembered to notice them.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) seen: Situations,
    /// Entries of older terms on a majority that are not committed, as a later leader had them.
    figure_8: BTreeSet<LogPosition>,
    pre_votes: BTreeMap<Term, NodeId>,
    /// Which snapshot was last asked for, by whom of whom, if no piece of it was sent since.
    asked_for: BTreeMap<(NodeId, NodeId), SnapshotId>,
    contested_terms: BTreeSet<Term>,
}

impl std::ops::Deref for Watch {
    type Target = Situations;

    fn deref(&self) -> &Situations {
        &self.seen
    }
}

impl std::ops::DerefMut for Watch {
    fn deref_mut(&mut self) -> &mut Situations {
        &mut self.seen
    }
}

impl Watch {
    /// A member ordered the removal of what is at `first` and above.
    pub(super) fn entries_removed(&mut self, log: &LogShape, first: LogIndex, before: &Facts) {
        self.seen.suffix_truncated += u64::from(before.role != Role::Leader);
        let is_removed = |at: &LogPosition| at.index >= first && log.contains(*at);
        if let Some(at) = self.figure_8.iter().copied().find(is_removed) {
            self.figure_8.remove(&at);
            self.seen.figure_8_overwritten += 1;
        }
    }

    /// A leader has not yet committed an entry of its own: is what it inherited on a majority already?
    pub(super) fn look_for_figure_8(&mut self, run: &Run, written: &Written, disks: &dyn Disks) {
        let Some(inherited) = run.inherited.filter(|at| !self.figure_8.contains(at)) else { return };
        let own = run.log.position_at(inherited.index.next()).unwrap_or(inherited);
        let configuration = written.configuration(run.log.configurations().last().copied());
        let is_held = |at: LogPosition| {
            let mut sets = configuration.voter_sets();
            sets.all(|set| set.iter().filter(|voter| holds(disks, **voter, at)).count() * 2 > set.len())
        };
        if is_held(inherited) && !is_held(own) {
            self.figure_8.insert(inherited);
        }
    }

    /// A leader is the first to commit what lies behind `known`, through `newest`.
    pub(super) fn commits_counted(&mut self, run: &Run, written: &Written, known: LogPosition, newest: LogPosition) {
        let is_new = |index: LogIndex| index > known.index && index <= newest.index;
        self.seen.commit_after_restart += u64::from(known.index < run.read_back.min(newest.index));
        let inherits = run.inherited.is_some_and(|at| is_new(at.index));
        self.seen.inherited_entries_committed += u64::from(inherits);
        let committed: Vec<_> = self.figure_8.iter().copied().filter(|at| run.log.contains(*at)).collect();
        for at in committed.into_iter().filter(|at| at.index <= newest.index) {
            self.figure_8.remove(&at);
            self.seen.figure_8 += 1;
        }
        let configurations = run.log.configurations().iter().filter(|at| is_new(at.index));
        let joint = configurations.filter(|at| written.configuration(Some(**at)).is_joint()).count();
        self.seen.joint_configuration_committed += u64::try_from(joint).unwrap_or(0);
    }

    /// A piece of a snapshot leaves, or the question of how much is there.
    pub(super) fn chunk(&mut self, link: (NodeId, NodeId), chunk: &SnapshotChunk) {
        if chunk.is_question() {
            self.asked_for.insert(link, chunk.id);
        } else if self.asked_for.remove(&link) == Some(chunk.id) {
            self.seen.transfer_resumed += u64::from(chunk.offset > 0);
        }
    }

    /// A server asks whether it would be elected in `term`.
    pub(super) fn pre_vote(&mut self, members: &BTreeMap<NodeId, Member>, from: NodeId, term: Term) {
        let other = *self.pre_votes.entry(term).or_insert(from);
        if other == from {
            return;
        }
        let run = members.get(&other).and_then(|member| member.run.as_ref());
        let asks_too = run.is_some_and(|run| run.facts.role == Role::Candidate && run.facts.term < term);
        if asks_too && self.contested_terms.insert(term) {
            self.seen.contested_pre_vote += 1;
        }
        self.pre_votes.insert(term, from);
    }

    /// A member took a step.
    pub(super) fn step(
        &mut self,
        run: &Run,
        writes: &VecDeque<Write>,
        before: &Facts,
        after: &Facts,
        cause: Cause,
        raft: &Raft,
    ) {
        let leads_on = before.leads() && after.leads() && before.term == after.term;
        if after.leads() && !leads_on {
            self.seen.leader_elected += 1;
        }
        if before.role == Role::Candidate && after.role == Role::Candidate && after.term > before.term {
            let asked = before.vote.is_some() && run.campaign.is_some_and(|(term, _)| term == after.term);
            self.seen.election_without_winner += u64::from(asked);
        }
        if !before.leads() || leads_on {
            return;
        }
        self.seen.step_down_with_writes_pending += u64::from(!writes.is_empty());
        self.seen.step_down_with_uncommitted += u64::from(before.last.index > before.commit);
        let waits_since = writes.front().map_or(run.office.now, |write| write.ordered_at);
        let is_stuck = run.office.now.since(waits_since) >= raft.settings().storage_stall_max();
        let is_by_itself = cause == Cause::Deadline && after.term == before.term;
        self.seen.step_down_by_stuck_disk += u64::from(is_by_itself && is_stuck);
        self.seen.leader_removed += u64::from(after.role == Role::Learner && after.term == before.term);
    }
}
