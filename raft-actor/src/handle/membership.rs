//! What is said to a node that is to change who belongs to the cluster, and what travels if another one leads.

use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use raft_consensus::{InvalidMembership, LogPosition, Membership, NodeId};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::callers::{MembershipError, Outlet, decode, encode_to_bytes};
use crate::envelope::{ForwardError, ForwardReply};

/// Change the membership, and answer whoever asked.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ChangeMembership {
    pub(crate) wanted: Membership,
    pub(crate) timeout: Duration,
    pub(crate) asker: Asker,
}

/// Who waits for a change of the membership. Whoever is dropped without an answer learns that nobody knows.
pub(crate) struct Asker(Option<Place>);

enum Place {
    /// A future of a handle.
    Here(oneshot::Sender<Result<LogPosition, MembershipError>>),
    /// Another node, by the id of its Forward.
    Remote { id: u64, outlet: Outlet },
}

/// The leader's answer to a forwarded change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Verdict {
    Done(LogPosition),
    InProgress,
    Superseded,
    Invalid(InvalidMembership),
    NotCaughtUp { waiting_for: Vec<NodeId> },
}

impl Asker {
    /// A caller at this node, and what it waits for.
    pub(crate) fn here() -> (Self, oneshot::Receiver<Result<LogPosition, MembershipError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(Place::Here(sender))), receiver)
    }

    /// A caller at another node, which forwarded the request under this id.
    pub(crate) fn remote(id: u64, outlet: Outlet) -> Self {
        Self(Some(Place::Remote { id, outlet }))
    }

    /// Whether the request was forwarded to us: it is never forwarded again.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.0, Some(Place::Remote { .. }))
    }

    /// Tells the outcome.
    pub(crate) fn answer(mut self, outcome: Result<LogPosition, MembershipError>) {
        match self.0.take() {
            // A caller that does not wait any more gets nothing; that is its right.
            Some(Place::Here(sender)) => drop(sender.send(outcome)),
            Some(Place::Remote { id, outlet }) => outlet(reply(id, to_wire(outcome))),
            None => {}
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        // One here learns it from its channel, and looks up why the node stopped.
        if let Some(Place::Remote { id, outlet }) = self.0.take() {
            outlet(reply(id, Err(ForwardError::Unknown)));
        }
    }
}

fn reply(id: u64, outcome: Result<Bytes, ForwardError>) -> ForwardReply {
    ForwardReply { id, first: 0, outcomes: vec![outcome] }
}

fn to_wire(outcome: Result<LogPosition, MembershipError>) -> Result<Bytes, ForwardError> {
    let verdict = match outcome {
        Ok(position) => Verdict::Done(position),
        Err(MembershipError::InProgress {}) => Verdict::InProgress,
        Err(MembershipError::Superseded {}) => Verdict::Superseded,
        Err(MembershipError::Invalid(invalid)) => Verdict::Invalid(invalid),
        Err(MembershipError::NotCaughtUp { waiting_for }) => Verdict::NotCaughtUp { waiting_for },
        // Nothing was changed: its own node tries the next leader, within the deadline.
        Err(MembershipError::NoLeader { leader }) => return Err(ForwardError::NotLeader { leader }),
        Err(MembershipError::TimedOut { maybe_applied: false })
        | Err(MembershipError::NodeStopped { maybe_applied: false, .. }) => return Err(ForwardError::ShuttingDown),
        Err(MembershipError::TimedOut { maybe_applied: true })
        | Err(MembershipError::NodeStopped { maybe_applied: true, .. })
        | Err(MembershipError::Unknown {}) => return Err(ForwardError::Unknown),
    };
    encode_to_bytes(&verdict).map_err(|_| ForwardError::Unknown)
}

/// What the leader said to a change that we forwarded. `None`: it certainly was not begun there, so try again.
pub(crate) fn from_wire(outcome: Result<Bytes, ForwardError>) -> Option<Result<LogPosition, MembershipError>> {
    let unknown = Err(MembershipError::Unknown {});
    Some(match outcome {
        Ok(bytes) => match decode::<Verdict>(&bytes) {
            Ok(Verdict::Done(position)) => Ok(position),
            Ok(Verdict::InProgress) => Err(MembershipError::InProgress {}),
            Ok(Verdict::Superseded) => Err(MembershipError::Superseded {}),
            Ok(Verdict::Invalid(invalid)) => Err(MembershipError::Invalid(invalid)),
            Ok(Verdict::NotCaughtUp { waiting_for }) => Err(MembershipError::NotCaughtUp { waiting_for }),
            // A newer build has more to say than this one understands.
            Err(_) => unknown,
        },
        Err(ForwardError::NotLeader { .. } | ForwardError::ShuttingDown) => return None,
        // The first two are never said to such a request.
        Err(
            ForwardError::Overloaded | ForwardError::BadRequest | ForwardError::SessionExpired | ForwardError::Unknown,
        ) => unknown,
    })
}

/// A membership as it travels to the leader.
pub(crate) fn encode(wanted: &Membership) -> Bytes {
    encode_to_bytes(wanted).expect("a membership has only fields that MessagePack can hold")
}

/// The membership that was forwarded, if it is one.
pub(crate) fn decode_wanted(requests: &[Bytes]) -> Option<Membership> {
    match requests {
        [request] => decode(request).ok(),
        [] | [_, ..] => None,
    }
}
