//! From a step of the core to the events that tell of it.

use raft_consensus::{Configuration, Effect, HardState, Input, LogIndex, LogPosition, LogWrite, Raft, Role, Time};

use super::feed::EventFeed;
use super::{ConfigurationSummary, EventKind};

/// What a member was before a step of which somebody wants to hear.
pub(crate) struct Before {
    role: Role,
    durable: LogIndex,
    commit: LogIndex,
    applied: LogIndex,
    configured: Configured,
    input: Option<EventKind>,
}

/// Which configuration is the latest, and whether it is committed.
type Configured = (LogPosition, bool);

impl EventFeed {
    /// To be called before each step; `None` if nobody listens.
    pub(crate) fn before(&self, raft: &Raft, input: &Input) -> Option<Before> {
        self.is_heard().then(|| Before {
            role: raft.role(),
            durable: raft.durable(),
            commit: raft.commit(),
            applied: raft.applied(),
            configured: configured(raft),
            input: of_input(raft, input),
        })
    }

    /// To be called after the step, before its effects are carried out.
    pub(crate) fn after(&self, before: Before, now: Time, raft: &Raft, effects: &[Effect]) {
        let mut kinds = Vec::new();
        let configured_now = configured(raft);
        let Before { role, durable, commit, applied, configured, input } = before;
        kinds.extend(input);
        effects.iter().for_each(|effect| of_effect(role, raft, effect, &mut kinds));
        if raft.durable() > durable {
            kinds.push(EventKind::Durable { index: raft.durable() });
        }
        if raft.commit() != commit {
            kinds.push(EventKind::Committed { index: raft.commit() });
        }
        if raft.applied() != applied {
            kinds.push(EventKind::Applied { index: raft.applied() });
        }
        if configured_now != configured {
            let (at, committed) = configured_now;
            kinds.push(EventKind::ConfigurationChanged(summary(raft.log().configuration(), at.index, committed)));
        }
        if !kinds.is_empty() {
            self.tell(raft.term(), now, kinds);
        }
    }
}

fn configured(raft: &Raft) -> Configured {
    let at = raft.log().configured_at();
    (at, raft.commit() >= at.index)
}

fn of_input(raft: &Raft, input: &Input) -> Option<EventKind> {
    match input {
        Input::Received { from, message } => {
            Some(EventKind::MessageReceived { from: *from, to: raft.id(), message: message.into() })
        }
        Input::SnapshotTaken(meta) => Some(EventKind::SnapshotTaken { through: meta.position }),
        Input::SnapshotFailed => Some(EventKind::SnapshotFailed {}),
        Input::SnapshotInstalled(through) => Some(EventKind::SnapshotInstalled { through: *through }),
        Input::Unreachable(peer) | Input::HungUp(peer) => Some(EventKind::PeerUnreachable { peer: *peer }),
        // What comes of these is seen in the effects.
        Input::Deadline
        | Input::Propose { .. }
        | Input::Read { .. }
        | Input::ReadByLease { .. }
        | Input::ChangeMembership { .. }
        | Input::TransferLeadership { .. }
        | Input::Persisted(_)
        | Input::Applied(_)
        | Input::TakeSnapshot
        | Input::SnapshotLost
        | Input::HostSilent(_)
        | Input::Stirred
        | Input::Met { .. }
        | Input::SuffrageGranted => None,
    }
}

fn of_effect(role_before: Role, raft: &Raft, effect: &Effect, kinds: &mut Vec<EventKind>) {
    let from = raft.id();
    match effect {
        Effect::Persist { seq: _, hard_state, log } => {
            if let Some(HardState { term: _, vote: Some(candidate), damage: _ }) = hard_state {
                kinds.push(EventKind::Voted { candidate: *candidate });
            }
            if let Some(log) = log {
                of_write(log, kinds);
            }
        }
        Effect::Send { to, message } => {
            kinds.push(EventKind::MessageSent { from, to: *to, message: message.into() });
        }
        Effect::Replicate(order) => {
            kinds.push(EventKind::MessageSent { from, to: order.peer, message: order.into() });
        }
        Effect::TakeSnapshot => kinds.push(EventKind::SnapshotStarted {}),
        Effect::SendSnapshot(order) => {
            kinds.push(EventKind::SnapshotSent { from, to: order.peer, through: order.position });
        }
        Effect::RoleChanged { role, term: _, leader, noop: _ } => {
            kinds.push(EventKind::RoleChanged { from: role_before, role: *role, leader_id: *leader });
        }
        // Answers to whoever asked, and what is seen when it has come about.
        Effect::Apply { .. }
        | Effect::InstallSnapshot(_)
        | Effect::DropSnapshot { .. }
        | Effect::Proposed { .. }
        | Effect::MembershipChange { .. }
        | Effect::Transfer { .. }
        | Effect::ReadReady { .. }
        | Effect::ReadRefused { .. }
        // The node stops with this as its reason.
        | Effect::Halt { .. } => {}
    }
}

fn of_write(write: &LogWrite, kinds: &mut Vec<EventKind>) {
    let entries = match write {
        LogWrite::Append(entries) => entries,
        LogWrite::Replace(entries) => {
            kinds.extend(entries.first_index().map(|from_index| EventKind::Truncated { from_index }));
            entries
        }
        LogWrite::Reset { to } => return kinds.push(EventKind::LogReset { to: *to }),
        LogWrite::Purge { through } => return kinds.push(EventKind::Purged { through_index: *through }),
    };
    if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
        kinds.push(EventKind::Appended { first: first.position, last: last.position });
    }
}

fn summary(configuration: &Configuration, index: LogIndex, committed: bool) -> ConfigurationSummary {
    let Configuration { voters, voters_outgoing, learners, addresses, directories: _, wish: _, lease_reads: _ } =
        configuration.clone();
    ConfigurationSummary { index, committed, voters, voters_outgoing, learners, addresses }
}
