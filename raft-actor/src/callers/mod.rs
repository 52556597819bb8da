//! Everybody who waits for an answer, and what they can be told.
//!
//! A caller waits in a slot of a [`Page`](slots::Page). The node is responsible for it, without
//! knowing its type, as part of a [`Waiting`]; the state machine's actor gets the right to
//! answer it as part of an [`Answers`]. Whoever comes first settles the slot, and whoever is
//! dropped settles what is left, so that nobody waits for ever.

mod answers;
mod codec;
mod error;
mod failure;
mod handed_out;
pub(crate) mod lane;
mod membership_error;
pub(crate) mod permits;
mod request;
mod segment;
pub(crate) mod slots;
mod snapshot_error;
mod stop_reason;
mod transfer_error;
mod waiting;

pub use error::{ReadError, WriteError};
pub use membership_error::MembershipError;
pub use permits::QueueLimits;
pub use snapshot_error::TakeSnapshotError;
pub use stop_reason::StopReason;
pub use transfer_error::TransferError;

pub(crate) use answers::Answers;
pub(crate) use codec::{decode, encode_into, encode_to_bytes};
pub(crate) use failure::{DEFAULT_TIMEOUT, Failure};
pub(crate) use request::Request;
pub(crate) use segment::Outlet;
pub(crate) use waiting::Waiting;
