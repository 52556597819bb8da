//! What is said to a node that is to see to it that another one leads, and what travels if it does not lead itself.

use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use raft_consensus::{NodeId, Term};
use serde::{Deserialize, Serialize};

use super::asker::{Asker, Outcome};
use crate::callers::{TransferError, decode, encode_to_bytes};
use crate::envelope::ForwardError;

/// Who leads the group, and since which term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// The leader.
    pub leader: NodeId,
    /// The term it leads.
    pub term: Term,
}

/// Hand over leadership, and answer whoever asked.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TransferLeadership {
    /// To this node, or to any.
    pub(crate) to: Option<NodeId>,
    pub(crate) timeout: Duration,
    pub(crate) asker: Asker<Result<Leadership, TransferError>>,
}

/// The leader's answer to a forwarded wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Verdict {
    Done(Leadership),
    NotVoter { to: NodeId },
    NobodyElse,
    InProgress { to: NodeId },
    TimedOut,
    Superseded(Leadership),
}

impl Outcome for Result<Leadership, TransferError> {
    fn to_wire(self) -> Result<Bytes, ForwardError> {
        let verdict = match self {
            Ok(leadership) => Verdict::Done(leadership),
            Err(TransferError::NotVoter { to }) => Verdict::NotVoter { to },
            Err(TransferError::NobodyElse {}) => Verdict::NobodyElse,
            Err(TransferError::InProgress { to }) => Verdict::InProgress { to },
            Err(TransferError::TimedOut {}) => Verdict::TimedOut,
            Err(TransferError::Superseded { leader, term }) => Verdict::Superseded(Leadership { leader, term }),
            // Its own node tries the next leader, within the deadline.
            Err(TransferError::NoLeader { leader }) => return Err(ForwardError::NotLeader { leader }),
            Err(TransferError::NodeStopped { .. }) => return Err(ForwardError::Unknown),
        };
        encode_to_bytes(&verdict).map_err(|_| ForwardError::Unknown)
    }
}

/// What the leader said to a wish that we forwarded. `None`: it was not begun there, so try again.
pub(crate) fn from_wire(outcome: Result<Bytes, ForwardError>) -> Option<Result<Leadership, TransferError>> {
    let unknown = Err(TransferError::TimedOut {});
    Some(match outcome {
        Ok(bytes) => match decode::<Verdict>(&bytes) {
            Ok(Verdict::Done(leadership)) => Ok(leadership),
            Ok(Verdict::NotVoter { to }) => Err(TransferError::NotVoter { to }),
            Ok(Verdict::NobodyElse) => Err(TransferError::NobodyElse {}),
            Ok(Verdict::InProgress { to }) => Err(TransferError::InProgress { to }),
            Ok(Verdict::TimedOut) => unknown,
            Ok(Verdict::Superseded(Leadership { leader, term })) => Err(TransferError::Superseded { leader, term }),
            // A newer build has more to say than this one understands.
            Err(_) => unknown,
        },
        Err(ForwardError::NotLeader { .. } | ForwardError::ShuttingDown) => return None,
        Err(
            ForwardError::Overloaded
            | ForwardError::BadRequest
            | ForwardError::SessionExpired
            | ForwardError::Unknown
            | ForwardError::Forgotten,
        ) => unknown,
    })
}

/// A wish as it travels to the leader.
pub(crate) fn encode(to: Option<NodeId>) -> Bytes {
    encode_to_bytes(&to).expect("MessagePack can hold an optional number")
}

/// The wish that was forwarded, if it is one.
pub(crate) fn decode_wanted(requests: &[Bytes]) -> Option<Option<NodeId>> {
    match requests {
        [request] => decode(request).ok(),
        [] | [_, ..] => None,
    }
}
