//! What is said to a node that is to change who belongs to the cluster, and what travels if another one leads.

use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use raft_consensus::{InvalidMembership, LogPosition, Membership, NodeId};
use serde::{Deserialize, Serialize};

use super::asker::{Asker, Outcome};
use crate::callers::{MembershipError, decode, encode_to_bytes};
use crate::envelope::ForwardError;

/// Change the membership, and answer whoever asked.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ChangeMembership {
    pub(crate) wanted: Membership,
    pub(crate) timeout: Duration,
    pub(crate) asker: Asker<Result<LogPosition, MembershipError>>,
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

impl Outcome for Result<LogPosition, MembershipError> {
    fn to_wire(self) -> Result<Bytes, ForwardError> {
        let verdict = match self {
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
            ForwardError::Overloaded
            | ForwardError::BadRequest
            | ForwardError::SessionExpired
            | ForwardError::Unknown
            | ForwardError::Forgotten,
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
